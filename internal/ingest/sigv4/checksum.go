package sigv4

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"slices"
	"strings"
)

// Checksum is an x-amz-checksum-* of a body that was verified.
type Checksum struct {
	Algorithm string // as in the header's name: "crc32", "crc32c", "crc64nvme", "sha1", "sha256", …
	Value     string // base64, as it was sent
}

// Header is the name of the header that carries the checksum.
func (c Checksum) Header() string { return checksumPrefix + c.Algorithm }

const checksumPrefix = "x-amz-checksum-"

// nvme is CRC-64/NVME's polynomial as hash/crc64 wants it, bits reversed.
const nvme = 0x9a6c9329ac4bc9b5

// newSum returns the hash of an algorithm. It is nil where the value is taken
// from a hash that is computed anyway, and for an algorithm we do not know,
// which known tells apart. S3 knows the xxhash family too: its values are not
// checked here, and not confirmed to the sender.
func newSum(algorithm string) (h hash.Hash, known bool) {
	switch algorithm {
	case "crc32":
		return crc32.NewIEEE(), true
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli)), true
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme)), true
	case "sha1":
		return sha1.New(), true
	case "sha512":
		return sha512.New(), true
	case "md5", "sha256": // the ETag's and the record's own
		return nil, true
	}
	return nil, false
}

// sum is one checksum that a body has to have.
type sum struct {
	algorithm string
	value     string // as sent; of a trailer, "" until it came
	trailer   bool
	hash      hash.Hash
}

// announcedSums are the checksums that the head of a request promises, in its
// headers and as trailers.
func announcedSums(h http.Header, trailers []string) []sum {
	var sums []sum
	for name, values := range h {
		algorithm, ok := strings.CutPrefix(name, "X-Amz-Checksum-")
		if !ok || len(values) == 0 {
			continue
		}
		algorithm = strings.ToLower(algorithm)
		if hash, known := newSum(algorithm); known {
			sums = append(sums, sum{algorithm: algorithm, value: strings.TrimSpace(values[0]), hash: hash})
		}
	}
	slices.SortFunc(sums, func(a, b sum) int { return strings.Compare(a.algorithm, b.algorithm) })
	for _, name := range trailers {
		algorithm, ok := strings.CutPrefix(name, checksumPrefix)
		if !ok {
			continue
		}
		if hash, known := newSum(algorithm); known {
			sums = append(sums, sum{algorithm: algorithm, trailer: true, hash: hash})
		}
	}
	return sums
}

// check compares s with the digest of the body. A value that is no base64, or
// of the wrong length, is like one that does not match.
func (s *sum) check(digest []byte) error {
	want, err := base64.StdEncoding.DecodeString(s.value)
	if err != nil || string(want) != string(digest) {
		return digestMismatch("The " + checksumPrefix + s.algorithm + " of the request is " + quote(s.value) +
			", but the body received has " + base64.StdEncoding.EncodeToString(digest) + ": send it again.")
	}
	return nil
}

// quote makes text of a sender fit for a message.
func quote(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return `"` + strings.ToValidUTF8(s, "?") + `"`
}

// checkMD5 compares a Content-MD5 with the digest of the body, as sum.check.
func checkMD5(value string, digest []byte) error {
	want, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(want) != md5.Size || string(want) != string(digest) {
		return digestMismatch("The Content-MD5 of the request is " + quote(value) +
			", but the body received has " + base64.StdEncoding.EncodeToString(digest) + ": send it again.")
	}
	return nil
}
