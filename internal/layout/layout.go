// Package layout says where records live in the bucket and what their objects
// carry: one object per record under the record's own key. It is pure: names
// and attributes go in, names and attributes come out.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Places below the base prefix that are not the senders'.
const (
	ProofDir = "_indelible/"
	PackDir  = "packs/"
	SentDir  = "_sent/"
)

const bucketHole = "{bucket}"

// noBucket stands in the template for records of doors that know no bucket; it is no valid bucket name.
const noBucket = "_"

// variantRoom is what "~" and the longest seq take.
const variantRoom = 1 + 20

// Objects is the object layout below one prefix template. It is immutable.
//
// The stored key is the prefix with the record's key behind it. A key that the
// bucket cannot hold as it is gets another name that anyone can compute:
//
//	too long          its head, "_", the SHA-256 of the whole, its extension
//	reserved or odd   below "_sent/", percent-escaped: keys that would fall into
//	                  "_indelible/", "packs/" or "_sent/", that are no UTF-8, that hold
//	                  control characters or a "." or ".." segment
//	taken by others   a variant: "name~<seq>.ext"
type Objects struct {
	prefix string // "" or ending in "/"; may hold {bucket}
}

// Parse reads a prefix template, such as "", "audit" or "audit/{bucket}".
// Slashes at both ends do not matter. The only placeholder is {bucket}, the
// name of the bucket that the sender used.
func Parse(prefix string) (Objects, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	rest := strings.ReplaceAll(prefix, bucketHole, "")
	if strings.ContainsAny(rest, "{}") {
		return Objects{}, fmt.Errorf("parse prefix %q: the only placeholder is %s", prefix, bucketHole)
	}
	if odd(rest) {
		return Objects{}, fmt.Errorf(`parse prefix %q: a "." or ".." segment, a control character or no UTF-8`, prefix)
	}
	if len(prefix) > store.MaxKey/2 {
		return Objects{}, fmt.Errorf("parse prefix: %d bytes are more than %d", len(prefix), store.MaxKey/2)
	}
	return Objects{prefix: prefix}, nil
}

// Base is the prefix before the first placeholder, "" or ending in "/": proof
// and packs live below it.
func (o Objects) Base() string {
	base, _, _ := strings.Cut(o.prefix, "{")
	return base[:strings.LastIndexByte(base, '/')+1]
}

// PerBucket reports whether each sender's bucket has a name space of its own.
func (o Objects) PerBucket() bool { return strings.Contains(o.prefix, bucketHole) }

// Prefix is where the keys of one sender's bucket live, "" or ending in "/".
func (o Objects) Prefix(bucket string) string {
	if bucket == "" {
		bucket = noBucket
	}
	return strings.ReplaceAll(o.prefix, bucketHole, bucket)
}

// Key is the key as stored of a record sent under bucket and key. It is at
// most store.MaxKey bytes long, and different for different keys of one bucket.
func (o Objects) Key(bucket, key string) string {
	base, full := o.Base(), o.Prefix(bucket)+key
	rest := full[len(base):]
	if reserved(rest) || odd(rest) {
		full = base + SentDir + escape(rest)
	}
	return bound(full, store.MaxKey)
}

// Sent is the inverse of Key as far as the name alone tells: the key as it was
// sent to bucket, and whether the stored key can be one of that bucket. A
// bounded key comes back as it is stored.
func (o Objects) Sent(bucket, stored string) (key string, ok bool) {
	base := o.Base()
	rest, ok := strings.CutPrefix(stored, base)
	if !ok || strings.HasPrefix(rest, ProofDir) || strings.HasPrefix(rest, PackDir) {
		return "", false
	}
	if escaped, below := strings.CutPrefix(rest, SentDir); below {
		if rest, ok = unescape(escaped); !ok {
			return "", false
		}
	}
	return strings.CutPrefix(base+rest, o.Prefix(bucket))
}

// Variant is the name of a record whose stored key is taken by other bytes.
func (o Objects) Variant(stored string, seq record.Seq) string {
	stem, ext := split(variantBase(stored))
	return stem + "~" + strconv.FormatUint(uint64(seq), 10) + ext
}

// VariantPrefix is the prefix that all variants of a stored key share.
func (o Objects) VariantPrefix(stored string) string {
	stem, _ := split(variantBase(stored))
	return stem + "~"
}

// IsVariant reports whether name is what Variant makes of stored, and for which seq.
func (o Objects) IsVariant(stored, name string) (record.Seq, bool) {
	stem, ext := split(variantBase(stored))
	mid, ok := strings.CutPrefix(name, stem+"~")
	if !ok {
		return 0, false
	}
	if mid, ok = strings.CutSuffix(mid, ext); !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(mid, 10, 64)
	if err != nil || seq == 0 || strconv.FormatUint(seq, 10) != mid {
		return 0, false
	}
	return record.Seq(seq), true
}

// VariantOf is the key that name would be a variant of, by its looks: whether
// it is one, only the object's metadata tells. The variant of a key that was
// too long to have one gives the shortened key.
func (o Objects) VariantOf(name string) (stored string, seq record.Seq, ok bool) {
	stem, ext := split(name)
	i := strings.LastIndexByte(stem, '~')
	if i < 0 {
		return "", 0, false
	}
	stored = stem[:i] + ext
	seq, ok = o.IsVariant(stored, name)
	return stored, seq, ok
}

// variantBase leaves a variant room within the bound.
func variantBase(stored string) string { return bound(stored, store.MaxKey-variantRoom) }

// bound shortens a key of more than limit bytes to its head, "_", the SHA-256
// of the whole and its extension.
func bound(key string, limit int) string {
	if len(key) <= limit {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	_, ext := split(key)
	head := cutRune(key[:limit-1-2*len(sum)-len(ext)])
	return head + "_" + hex.EncodeToString(sum[:]) + ext
}

// cutRune drops what a cut left of the last character.
func cutRune(s string) string {
	for range utf8.UTFMax {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}

// maxExt is the longest file extension that is kept as one.
const maxExt = 16

// split cuts a key before the extension of its last segment.
func split(key string) (stem, ext string) {
	name := key[strings.LastIndexByte(key, '/')+1:]
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || len(name)-i > maxExt {
		return key, ""
	}
	at := len(key) - len(name) + i
	return key[:at], key[at:]
}

func reserved(rest string) bool {
	return strings.HasPrefix(rest, ProofDir) || strings.HasPrefix(rest, PackDir) || strings.HasPrefix(rest, SentDir)
}

// odd reports what stores or the way to them are known to refuse or to rewrite.
func odd(key string) bool {
	if !utf8.ValidString(key) {
		return true
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] == 0x7f {
			return true
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
