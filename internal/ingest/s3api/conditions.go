package s3api

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/record"
)

// etag is the ETag of a record, with its quotes: the MD5 of the body. A record
// that came through a door that computes none has its SHA-256 in a form that S3
// clients do not take for an MD5.
func etag(info *record.Info) string {
	if sum := info.Attrs.Get(record.AttrMD5); sum != "" {
		return `"` + sum + `"`
	}
	return `"` + hex.EncodeToString(info.Digest[:16]) + `-1"`
}

// matches tells whether a list of ETags, as in If-Match, holds tag. Quotes may
// be missing, as S3 allows.
func matches(list, tag string) bool {
	tag = strings.Trim(tag, `"`)
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == "*" || strings.Trim(one, `"`) == tag {
			return true
		}
	}
	return false
}

// checkGet applies the four conditions of a read in the order of RFC 9110,
// which is S3's: If-Match before If-Unmodified-Since, which it overrules, and
// If-None-Match before If-Modified-Since, likewise.
func checkGet(h http.Header, info *record.Info) error {
	tag, modified := etag(info), info.Time.Truncate(time.Second)
	if v := h.Get("If-Match"); v != "" {
		if !matches(v, tag) {
			return preconditionFailed("If-Match")
		}
	} else if t, ok := date(h, "If-Unmodified-Since"); ok && modified.After(t) {
		return preconditionFailed("If-Unmodified-Since")
	}
	if v := h.Get("If-None-Match"); v != "" {
		if matches(v, tag) {
			return notModified(tag, modified)
		}
	} else if t, ok := date(h, "If-Modified-Since"); ok && !modified.After(t) && !t.After(time.Now()) {
		return notModified(tag, modified)
	}
	return nil
}

// date reads a date header; one that is malformed is not there.
func date(h http.Header, name string) (time.Time, bool) {
	v := h.Get(name)
	if v == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(v)
	return t, err == nil
}

func notModified(tag string, modified time.Time) *ingest.Refusal {
	e := refuse(http.StatusNotModified, "NotModified", "Not Modified")
	e.Header = http.Header{"ETag": {tag}, "Last-Modified": {modified.UTC().Format(http.TimeFormat)}}
	return e
}
