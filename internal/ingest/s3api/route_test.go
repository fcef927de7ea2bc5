package s3api_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
)

// What is asked about a bucket or an object, and the answer.
func TestAnswers(t *testing.T) {
	tests := []struct {
		method, target string
		status         int
		says           string // part of the body, or the error's code
	}{
		{"GET", "/", 200, "<Name>audit</Name>"},
		{"HEAD", "/", 200, ""},
		{"PUT", "/", 405, "MethodNotAllowed"},
		{"HEAD", "/audit", 200, ""},
		{"HEAD", "/never-seen", 200, ""},
		{"HEAD", "/Bad_Name", 400, ""},
		{"GET", "/never-seen", 200, "<KeyCount>0"},
		{"GET", "/Bad_Name", 200, "<KeyCount>0"},
		{"PUT", "/new-bucket", 200, ""},
		{"PUT", "/ab", 400, "InvalidBucketName"},
		{"DELETE", "/audit", 405, "deletes nothing"},
		{"POST", "/audit?delete", 405, "deletes nothing"},
		{"POST", "/audit", 501, "by PUT"},
		{"PATCH", "/audit", 405, "MethodNotAllowed"},
		{"OPTIONS", "/audit/k", 403, "AccessForbidden"},
		{"GET", "/audit?location", 200, "<LocationConstraint"},
		{"GET", "/audit?versioning", 200, "<VersioningConfiguration"},
		{"GET", "/audit?acl", 501, "NotImplemented"},
		{"GET", "/audit?policy", 404, "NoSuchBucketPolicy"},
		{"GET", "/audit?cors", 404, "NoSuchCORSConfiguration"},
		{"GET", "/audit?lifecycle", 404, "NoSuchLifecycleConfiguration"},
		{"GET", "/audit?tagging", 404, "NoSuchTagSet"},
		{"GET", "/audit?object-lock", 404, "ObjectLockConfigurationNotFoundError"},
		{"GET", "/audit?encryption", 404, "ServerSideEncryptionConfigurationNotFoundError"},
		{"GET", "/audit?website", 404, "NoSuchWebsiteConfiguration"},
		{"GET", "/audit?uploads", 200, "<ListMultipartUploadsResult"},
		{"GET", "/audit?versions", 501, "NotImplemented"},
		{"PUT", "/audit?versioning", 501, "NotImplemented"},
		{"PUT", "/audit?policy", 501, "NotImplemented"},
		{"GET", "/audit/k", 200, "hello"},
		{"GET", "/audit/k?versionId=null", 200, "hello"},
		{"GET", "/audit/k?versionId=abc", 404, "NoSuchVersion"},
		{"GET", "/audit/no", 404, "NoSuchKey"},
		{"HEAD", "/audit/no", 404, ""},
		{"GET", "/other/k", 404, "NoSuchKey"},
		{"GET", "/audit/k?acl", 501, "NotImplemented"},
		{"GET", "/audit/k?tagging", 501, "NotImplemented"},
		{"GET", "/audit/k?attributes", 501, "NotImplemented"},
		{"PUT", "/audit/k?acl", 501, "NotImplemented"},
		{"PUT", "/audit/k?retention", 501, "NotImplemented"},
		{"PUT", "/audit/k?partNumber=1&uploadId=u", 501, "multipart_threshold"},
		{"POST", "/audit/k?uploads", 501, "multipart_threshold"},
		{"POST", "/audit/k?uploadId=u", 501, "multipart_threshold"},
		{"DELETE", "/audit/k?uploadId=u", 501, "multipart_threshold"},
		{"DELETE", "/audit/k", 405, "deletes nothing"},
		{"POST", "/audit/k?restore", 501, "NotImplemented"},
		{"GET", "/audit/k?partNumber=2", 416, "InvalidPartNumber"},
		{"GET", "/audit/k?partNumber=0", 400, "InvalidArgument"},
		{"GET", "/audit/k?response-content-type=a", 400, "anonymous"},
		{"GET", "/audit?list-type=2&continuation-token=?", 400, "InvalidArgument"},
		{"GET", "/audit?list-type=3", 400, "InvalidArgument"},
		{"GET", "/?max-buckets=0", 400, "InvalidArgument"},
		{"GET", "/?prefix=x", 200, "<Prefix>x</Prefix>"},
		{"GET", "/audit/k?x-id=GetObject", 200, "hello"},
	}
	d := newDoor(t, &memory{})
	if w := do(d, "PUT", "/audit/k?x-id=PutObject", "hello"); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	for _, tt := range tests {
		method, target := tt.method, tt.target
		if strings.Contains(tt.says, "KeyCount") {
			target += "?list-type=2"
		}
		w := do(d, method, target, "")
		body := w.Body.String()
		if w.Code != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s %s: %d %s, want %d %q", method, target, w.Code, body, tt.status, tt.says)
		}
		if method == "HEAD" && body != "" {
			t.Errorf("HEAD %s has a body", target)
		}
		if w.Code >= 400 && method != "HEAD" {
			checkError(t, w, target)
		}
		if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", method, target)
		}
	}
}

// checkError checks the form of an S3 error.
func checkError(t *testing.T, w *httptest.ResponseRecorder, target string) {
	t.Helper()
	var e struct {
		XMLName                            xml.Name `xml:"Error"`
		Code, Message, Resource, RequestId string
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Errorf("%s: %v in %s", target, err, w.Body)
		return
	}
	path, _, _ := strings.Cut(target, "?")
	if e.Code == "" || e.Message == "" || e.Resource != path || e.RequestId != sent(w, "x-amz-request-id") || w.Header().Get("Content-Type") != "application/xml" {
		t.Errorf("%s: %+v", target, e)
	}
}

func TestUnsignedRequestsAreRefused(t *testing.T) {
	m := &memory{}
	d := newDoor(t, m, func(o *s3api.Options) { o.Verifier = &sigv4.Verifier{Keys: map[string]string{"a": "b"}} })
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST"} {
		for _, target := range []string{"/", "/audit", "/audit/k", "/audit/k?uploadId=1"} {
			if w := do(d, method, target, ""); w.Code != 403 || method != "HEAD" && code(w) != "AccessDenied" {
				t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
			}
		}
	}
	if len(m.entries) != 0 {
		t.Error("a record was kept")
	}
}

func TestListBucketsInPages(t *testing.T) {
	d := newDoor(t, &memory{})
	for _, b := range []string{"bucket-c", "bucket-a", "bucket-b"} {
		do(d, "PUT", "/"+b+"/k", "x")
	}
	var names []string
	token := ""
	for range 3 {
		w := do(d, "GET", "/?max-buckets=2&continuation-token="+token, "")
		var page struct {
			Names             []string `xml:"Buckets>Bucket>Name"`
			ContinuationToken string
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		names = append(names, page.Names...)
		if token = page.ContinuationToken; token == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "bucket-a bucket-b bucket-c" {
		t.Error(got)
	}
}

// damaged is a body that turns out to be wrong at a place.
type damaged struct {
	io.Reader
	err error
}

func (d damaged) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if err == io.EOF {
		err = d.err
	}
	return n, err
}
func (damaged) Seek(int64, int) (int64, error) { return 0, nil }
func (damaged) Close() error                   { return nil }

// A reader is never given damaged bytes as a whole object: what is noticed
// before the first byte is sent is an error, later the connection is cut.
func TestGetOfDamagedRecord(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "large": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			m := &memory{entries: []record.Entry{{
				Info: record.Info{Seq: 1, Bucket: "audit", Key: "k", Size: int64(size)},
				Open: func() (io.ReadSeekCloser, error) {
					return damaged{strings.NewReader(strings.Repeat("x", size)), errors.New("checksum")}, nil
				},
			}}}
			w := dial(t, serve(t, newDoor(t, m)))
			w.send("GET /audit/k HTTP/1.1\nHost: x\n\n")
			status, headers := w.head()
			if size == 10 {
				if status != "HTTP/1.1 500 Internal Server Error" {
					t.Error(status)
				}
				return
			}
			n, err := io.Copy(io.Discard, w.in)
			if want := contentLength(t, headers); err != nil || int(n) >= want {
				t.Errorf("%d bytes of %d, %v", n, want, err)
			}
		})
	}
}

// The names under which the bucket keeps our facts are not the sender's business.
func TestOurMetadataIsNotShown(t *testing.T) {
	d := newDoor(t, &memory{})
	do(d, "PUT", "/audit/k", "x", "X-Amz-Meta-Indelible-Seq", "7", "X-Amz-Meta-Team", "a")
	w := do(d, "GET", "/audit/k", "")
	if sent(w, "x-amz-meta-indelible-seq") != "" || sent(w, "x-amz-meta-team") != "a" {
		t.Errorf("%v", w.Header())
	}
}

// Names that XML cannot carry come back whole when they are asked for URL-encoded.
func TestListOfOddNames(t *testing.T) {
	d := newDoor(t, &memory{})
	do(d, "PUT", "/audit/a%01%FF%3C%20+.json", "x")
	w := do(d, "GET", "/audit?encoding-type=url", "")
	if !strings.Contains(w.Body.String(), "<Key>a%01%FF%3C%20%2B.json</Key>") {
		t.Errorf("%s", w.Body)
	}
	if w := do(d, "GET", "/audit", ""); !strings.Contains(w.Body.String(), "<Key>a&#x1;\uFFFD&lt; +.json</Key>") {
		t.Errorf("%s", w.Body)
	}
}
