package s3_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"indelible/internal/store/s3"
)

// Versions that are not the newest are listed, page after page, whatever their keys hold.
func TestVersions(t *testing.T) {
	r := newRecorder(t)
	version := func(key, id string, latest bool) string {
		return fmt.Sprintf(`<Version><Key>%s</Key><VersionId>%s</VersionId><IsLatest>%v</IsLatest><LastModified>2026-11-24T08:00:00.000Z</LastModified><ETag>"e"</ETag><Size>7</Size></Version>`, key, id, latest)
	}
	r.answer = func(w http.ResponseWriter, req *http.Request) bool {
		q := req.URL.Query()
		if !q.Has("versions") || q.Get("prefix") != "p/a b" {
			t.Errorf("asked for %s", req.URL)
		}
		page, more := version("p%2Fa+b", "v3", true)+version("p%2Fa+b", "v2", false), true
		if q.Get("key-marker") == "p/a b" && q.Get("version-id-marker") == "v2" {
			page, more = version("p%2Fa+b", "v1", false)+`<DeleteMarker><Key>p%2Fa+bc</Key><VersionId>d</VersionId><IsLatest>true</IsLatest></DeleteMarker>`+version("p%2Fa+bc", "w1", false), false
		}
		fmt.Fprintf(w, `<?xml version="1.0"?><ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>%v</IsTruncated><NextKeyMarker>p%%2Fa+b</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>%s</ListVersionsResult>`, more, page)
		return true
	}
	var got strings.Builder
	for info, err := range at(t, r.URL, s3.Config{Bucket: "bucket"}).Versions(t.Context(), "p/a b") {
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(fmt.Sprintf("%s@%s %d; ", info.Key, info.Version, info.Size))
	}
	if want := "p/a b@v2 7; p/a b@v1 7; p/a bc@w1 7; "; got.String() != want {
		t.Errorf("got  %q\nwant %q", got.String(), want)
	}
	// A list that comes to no end is an error.
	r.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker></ListVersionsResult>`)
		return true
	}
	var failed error
	for _, err := range at(t, r.URL, s3.Config{Bucket: "bucket"}).Versions(t.Context(), "") {
		failed = err
	}
	if failed == nil {
		t.Error("a list without end ends")
	}
}
