package sigv4

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"indelible/internal/record"
)

// What x-amz-content-sha256 can be, besides a digest in hexadecimal.
const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	streamSigned    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamUnsigned  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamECDSA     = "STREAMING-AWS4-ECDSA-"

	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

const headerContentSHA256 = "X-Amz-Content-Sha256"

// Body is the body of a request as its sender meant it: without the framing of
// aws-chunked, and checked against all that the request says about it. It is
// for one reader at a time.
//
// It ends with io.EOF only if the body is as long as announced, every chunk's
// and trailer's signature is right, all trailers announced are there, and
// Content-MD5 and every x-amz-checksum-* match. What is checked against the
// body's SHA-256 (x-amz-content-sha256 and x-amz-checksum-sha256) is left to
// Seal, because the spool has computed that digest already.
//
// Its errors are an *Error where the body is at fault, and otherwise those of
// the connection. Bytes that were read before an error must not be kept.
type Body struct {
	src     io.Reader
	chunks  *chunkReader // src, if the body is aws-chunked
	size    int64        // as announced, or -1
	n       int64        // bytes read
	err     error        // sticky
	md5     hash.Hash    // nil before the first byte and after the last
	md5Sum  []byte       // set at EOF
	sumBuf  [md5.Size]byte
	wantMD5 string // Content-MD5 as sent
	wantSHA string // x-amz-content-sha256, if it is a digest
	sums    []sum
}

// Body returns the body of r, the request that a is about. It reads nothing
// yet; the error is an *Error for announcements that make no sense.
func (a *Auth) Body(r *http.Request) (*Body, error) {
	b := &Body{src: r.Body, size: r.ContentLength}
	if b.src == nil {
		b.src = http.NoBody
	}
	b.wantMD5 = headerValue(r.Header, "Content-Md5")
	var trailers []string
	switch payload := a.payload; {
	case isHex(strings.ToLower(payload), hex.EncodedLen(len(record.Digest{}))):
		b.wantSHA = strings.ToLower(payload)
	case payload == streamSigned, payload == streamTrailer, payload == streamUnsigned,
		payload == "" && isChunked(r.Header): // unsigned clients frame and say no more
		var err error
		if trailers, err = b.dechunk(a, r); err != nil {
			return nil, err
		}
	case strings.HasPrefix(payload, streamECDSA):
		return nil, notImplemented("Chunks signed with Signature Version 4A (asymmetric) are not supported: use " + streamSigned + ".")
	case payload != "" && payload != unsignedPayload:
		return nil, &Error{Status: http.StatusBadRequest, Code: "XAmzContentSHA256Mismatch",
			Message: "x-amz-content-sha256 must be " + unsignedPayload + ", one of the STREAMING-… values, or a SHA-256 in hexadecimal."}
	}
	b.sums = announcedSums(r.Header, trailers)
	return b, nil
}

// dechunk puts the decoder of aws-chunked in front of the body and returns the
// names of the trailers that are announced.
func (b *Body) dechunk(a *Auth, r *http.Request) (trailers []string, err error) {
	b.size = -1
	if s := headerValue(r.Header, "X-Amz-Decoded-Content-Length"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return nil, incompleteBody("x-amz-decoded-content-length is no length.", nil)
		}
		b.size = n
	}
	for _, v := range r.Header["X-Amz-Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
				trailers = append(trailers, name)
			}
		}
	}
	if a.payload == streamSigned && len(trailers) > 0 {
		return nil, badTrailer("x-amz-trailer is there, but " + streamSigned + " has no trailers: use " + streamTrailer + ".")
	}
	signed := a.payload == streamSigned || a.payload == streamTrailer
	var c *chain
	if signed && a.Signed {
		c = newChain(a)
	}
	b.chunks = newChunkReader(b.src, trailers, c, a.payload == streamTrailer)
	b.src = b.chunks
	return trailers, nil
}

// isChunked tells whether the body is framed as aws-chunked says.
func isChunked(h http.Header) bool {
	return slices.ContainsFunc(h["Content-Encoding"], func(v string) bool {
		return slices.ContainsFunc(strings.Split(v, ","), isAWSChunked)
	})
}

func isAWSChunked(coding string) bool {
	return strings.EqualFold(strings.TrimSpace(coding), "aws-chunked")
}

// ContentEncoding is the Content-Encoding of the bytes that a Body yields: what
// h says without aws-chunked, or "".
func ContentEncoding(h http.Header) string {
	var kept []string
	for _, v := range h["Content-Encoding"] {
		for coding := range strings.SplitSeq(v, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !isAWSChunked(coding) {
				kept = append(kept, coding)
			}
		}
	}
	return strings.Join(kept, ",")
}

// Size is the length of the body as announced, in bytes, or -1 if the request
// does not say.
func (b *Body) Size() int64 { return b.size }

// Read implements io.Reader. See Body for what io.EOF means.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	b.n += int64(n)
	b.hash(p[:n])
	for i := range b.sums {
		if h := b.sums[i].hash; h != nil {
			h.Write(p[:n])
		}
	}
	switch {
	case b.size >= 0 && b.n > b.size:
		err = incompleteBody(fmt.Sprintf("The body is longer than the %d bytes announced.", b.size), nil)
	case err == io.EOF:
		err = b.finish()
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = b.short(err)
	}
	b.err = err
	return n, err
}

// md5s are hashes that were used, for the next body.
var md5s sync.Pool

func (b *Body) hash(p []byte) {
	if b.md5 == nil {
		if h, ok := md5s.Get().(hash.Hash); ok {
			h.Reset()
			b.md5 = h
		} else {
			b.md5 = md5.New()
		}
	}
	b.md5.Write(p)
}

// finish checks at the end of the body what can be checked without its
// SHA-256. It returns io.EOF if all is right.
func (b *Body) finish() error {
	if b.size >= 0 && b.n != b.size {
		return b.short(io.ErrUnexpectedEOF)
	}
	b.hash(nil)
	b.md5Sum = b.md5.Sum(b.sumBuf[:0])
	md5s.Put(b.md5)
	b.md5 = nil
	if b.wantMD5 != "" {
		if err := checkMD5(b.wantMD5, b.md5Sum); err != nil {
			return err
		}
	}
	for i := range b.sums {
		s := &b.sums[i]
		if s.trailer {
			s.value = b.chunks.trailer(checksumPrefix + s.algorithm)
		}
		digest := b.md5Sum
		switch {
		case s.algorithm == "sha256":
			continue // Seal does
		case s.hash != nil:
			digest = s.hash.Sum(nil)
		}
		if err := s.check(digest); err != nil {
			return err
		}
	}
	return io.EOF
}

// short is the error of a body that ended early.
func (b *Body) short(cause error) error {
	var e *Error
	if errors.As(cause, &e) {
		return e
	}
	return incompleteBody(fmt.Sprintf("The request ended after %d bytes of its body, before its announced end.", b.n), cause)
}

// Seal checks the body against the digest that it has. It fits
// record.Record.Seal, and must be called before what was read is kept. The
// attributes are the record's MD5 and the checksums that were verified.
func (b *Body) Seal(digest record.Digest, size int64) (record.Attrs, error) {
	switch {
	case b.err != io.EOF:
		return nil, errors.New("seal body: it was not read to its end")
	case size != b.n:
		return nil, fmt.Errorf("seal body: %d bytes of %d arrived: %w", size, b.n, record.ErrSize)
	case b.wantSHA != "" && b.wantSHA != digest.String():
		return nil, digestMismatch("The x-amz-content-sha256 of the request is " + b.wantSHA +
			", but the body received has " + digest.String() + ": send it again.")
	}
	attrs := record.Attrs{{Name: record.AttrMD5, Value: b.MD5()}}
	for i := range b.sums {
		s := &b.sums[i]
		if s.algorithm == "sha256" {
			if err := s.check(digest[:]); err != nil {
				return nil, err
			}
		}
		attrs = append(attrs, record.Attr{Name: record.AttrChecksum, Value: s.algorithm + " " + s.value})
	}
	return attrs, nil
}

// MD5 is the MD5 of the body in lower-case hexadecimal, which is its ETag
// without quotes. It is "" before the body was read to its end.
func (b *Body) MD5() string { return hex.EncodeToString(b.md5Sum) }

// Checksums are the checksums that the sender gave and that match the body.
// They are proven once Seal has returned without an error.
func (b *Body) Checksums() []Checksum {
	if len(b.sums) == 0 {
		return nil
	}
	list := make([]Checksum, 0, len(b.sums))
	for _, s := range b.sums {
		list = append(list, Checksum{Algorithm: s.algorithm, Value: s.value})
	}
	return list
}
