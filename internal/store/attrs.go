package store

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"

	"indelible/internal/record"
)

// metaPrefix is how S3 names user metadata on the wire.
const metaPrefix = "x-amz-meta-"

// AttrsDigest is the SHA-256 over the canonical form of an object's attributes:
// its HTTP headers and its user metadata, as Info shows them. It is the same for
// one object in every store.
//
// The form is, for each attribute in the byte order of the names, the name and
// the value, each behind its length in decimal and a colon. Names are lower
// case; user metadata has "x-amz-meta-" before its name. Left out is what does
// not survive every store: empty values, and a content-type of
// binary/octet-stream or application/octet-stream, which stores set by
// themselves where there is none.
func AttrsDigest(header, meta map[string]string) record.Digest {
	var room [512]byte
	return sha256.Sum256(appendAttrs(room[:0], header, meta))
}

// NoAttrs is the AttrsDigest of an object that shows no attributes.
func NoAttrs() record.Digest { return sha256.Sum256(nil) }

func appendAttrs(b []byte, header, meta map[string]string) []byte {
	var room [16]record.Attr
	list := room[:0]
	for name, value := range header {
		name = strings.ToLower(name)
		if value != "" && !(name == "content-type" && defaultType(value)) {
			list = append(list, record.Attr{Name: name, Value: value})
		}
	}
	for name, value := range meta {
		if value != "" {
			list = append(list, record.Attr{Name: metaPrefix + strings.ToLower(name), Value: value})
		}
	}
	slices.SortFunc(list, func(a, b record.Attr) int { return strings.Compare(a.Name, b.Name) })
	for _, a := range list {
		b = appendCounted(b, a.Name)
		b = appendCounted(b, a.Value)
	}
	return b
}

// defaultType says whether a store gives this content type to what has none.
func defaultType(value string) bool {
	return value == "binary/octet-stream" || value == "application/octet-stream"
}

func appendCounted(b []byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}
