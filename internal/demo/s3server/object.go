package s3server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"indelible/internal/record"
	"indelible/internal/store"
)

// kept are the headers that an object keeps.
var kept = []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}

const (
	metaPrefix     = "X-Amz-Meta-"
	checksumHeader = "x-amz-checksum-sha256"
)

// put stores an object: with If-None-Match only a new one, with If-Match in place of the
// one that is meant, without a condition whatever is there.
func put(w http.ResponseWriter, r *http.Request, b store.Store, key string) error {
	switch {
	case r.ContentLength < 0:
		return errNoLength
	case r.ContentLength > maxBody:
		return errTooLarge
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return errIncomplete
	}
	digest := record.Digest(sha256.Sum256(body))
	sum := base64.StdEncoding.EncodeToString(digest[:])
	if want := r.Header.Get(checksumHeader); want != "" && want != sum {
		return errDigest
	}
	if want, err := hex.DecodeString(r.Header.Get("x-amz-content-sha256")); err == nil && len(want) == len(digest) && !bytes.Equal(want, digest[:]) {
		return errDigest
	}
	o := store.Object{Key: key, Body: bytes.NewReader(body), Size: r.ContentLength, Digest: digest, Header: map[string]string{}, Meta: map[string]string{}}
	for _, name := range kept {
		if value := r.Header.Get(name); value != "" {
			o.Header[name] = value
		}
	}
	for name, values := range r.Header {
		if rest, ok := strings.CutPrefix(name, metaPrefix); ok {
			o.Meta[strings.ToLower(rest)] = strings.Join(values, ",")
		}
	}
	switch match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match"); {
	case match != "":
		o.Condition.Match = strings.Trim(match, `"`)
	case none == "":
		o.Condition.Any = true
	case none != "*":
		return errArgument
	}
	info, err := b.Put(r.Context(), o)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+info.ETag+`"`)
	w.Header().Set(checksumHeader, sum)
	return nil
}

// get answers GET and HEAD, of the whole object or of one range.
func get(w http.ResponseWriter, r *http.Request, b store.Store, key string) error {
	info, err := b.Head(r.Context(), key, store.GetOptions{})
	if err != nil {
		return err
	}
	from, to, ranged, err := rangeOf(r.Header.Get("Range"), info.Size)
	if err != nil {
		return err
	}
	body, info, err := b.Get(r.Context(), key, store.GetOptions{From: from, To: to})
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	h := w.Header()
	for name, value := range info.Header {
		h.Set(name, value)
	}
	for name, value := range info.Meta {
		h[textproto.CanonicalMIMEHeaderKey(metaPrefix+name)] = []string{value}
	}
	h.Set("ETag", `"`+info.ETag+`"`)
	h.Set("Last-Modified", info.ModTime.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	status, size := http.StatusOK, info.Size
	if ranged {
		status, size = http.StatusPartialContent, to-from
		h.Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to-1, 10)+"/"+strconv.FormatInt(info.Size, 10))
	} else if info.Digest != (record.Digest{}) {
		h.Set(checksumHeader, base64.StdEncoding.EncodeToString(info.Digest[:]))
	}
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = nil // nothing is guessed
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.CopyN(w, body, size); err != nil {
		panic(http.ErrAbortHandler) // cut the connection: a short body must not look whole
	}
	return nil
}

// rangeOf reads "bytes=FROM-TO" and "bytes=FROM-" of an object of size bytes as [from, to).
func rangeOf(s string, size int64) (from, to int64, ranged bool, err error) {
	if s == "" {
		return 0, 0, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	if from, err = strconv.ParseInt(first, 10, 64); !ok || err != nil || from < 0 {
		return 0, 0, false, errArgument
	}
	to = size
	if last != "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n < from {
			return 0, 0, false, errArgument
		}
		to = min(n+1, size)
	}
	if from >= size {
		return 0, 0, false, errRange
	}
	return from, to, true, nil
}
