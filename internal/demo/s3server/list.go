package s3server

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"indelible/internal/store"
)

const maxKeys = 1000

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
}

type commonPrefix struct{ Prefix string }

type listResult struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	KeyCount              int
	MaxKeys               int
	IsTruncated           bool
	EncodingType          string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listed
	CommonPrefixes        []commonPrefix
}

// speller is how the answer to a list spells names: as they are, or URL-encoded where
// the client asks for it, since XML cannot hold every key.
func speller(q url.Values) (spell func(string) string, encoding string) {
	if q.Get("encoding-type") == "url" {
		return url.QueryEscape, "url"
	}
	return func(s string) string { return s }, ""
}

// list answers ListObjectsV2, one page.
func list(w http.ResponseWriter, r *http.Request, name string, b store.Store) error {
	q := r.URL.Query()
	spell, encoding := speller(q)
	out := listResult{Name: name, Prefix: spell(q.Get("prefix")), MaxKeys: maxKeys, EncodingType: encoding}
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return errArgument
		}
		out.MaxKeys = min(n, maxKeys)
	}
	after := q.Get("start-after")
	if token := q.Get("continuation-token"); token != "" {
		b, err := base64.URLEncoding.DecodeString(token)
		if err != nil {
			return errArgument
		}
		after = string(b)
	}
	last := ""
	for info, err := range b.List(r.Context(), store.ListOptions{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: after}) {
		if err != nil {
			return err
		}
		if out.KeyCount == out.MaxKeys {
			out.IsTruncated, out.NextContinuationToken = true, base64.URLEncoding.EncodeToString([]byte(last))
			break
		}
		out.KeyCount++
		last = info.Key
		if info.Prefix {
			out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{spell(info.Key)})
		} else {
			out.Contents = append(out.Contents, listedOf(info, spell))
		}
	}
	return writeXML(w, http.StatusOK, out)
}

func listedOf(info store.Info, spell func(string) string) listed {
	return listed{Key: spell(info.Key), LastModified: info.ModTime.UTC().Format(time.RFC3339Nano), ETag: `"` + info.ETag + `"`, Size: info.Size}
}

// versions answers ListObjectVersions: a bucket that keeps none has the newest of each.
func versions(w http.ResponseWriter, r *http.Request, name string, b store.Store) error {
	type version struct {
		listed
		VersionId string
		IsLatest  bool
	}
	q := r.URL.Query()
	spell, encoding := speller(q)
	out := struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
		Name         string
		Prefix       string
		MaxKeys      int
		IsTruncated  bool
		EncodingType string `xml:",omitempty"`
		Version      []version
	}{Name: name, Prefix: spell(q.Get("prefix")), MaxKeys: maxKeys, EncodingType: encoding}
	for info, err := range b.List(r.Context(), store.ListOptions{Prefix: q.Get("prefix")}) {
		if err != nil {
			return err
		}
		out.Version = append(out.Version, version{listedOf(info, spell), "null", true})
	}
	return writeXML(w, http.StatusOK, out)
}
