package sigv4

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	testDate  = "20130524T000000Z"
	testScope = "20130524/us-east-1/s3/aws4_request"
)

var testSeed = strings.Repeat("5e", 32)

// A stream is one aws-chunked body and how it is announced.
type stream struct {
	kind     string // x-amz-content-sha256
	decoded  string // x-amz-decoded-content-length
	trailers string // x-amz-trailer
	wire     string
}

func testAuth(kind string) *Auth {
	return &Auth{KeyID: exampleID, Signed: true, payload: kind, signature: testSeed, date: testDate, scope: testScope,
		key: newSigningKey(exampleSecret, testDate[:8], "us-east-1")}
}

// read decodes s in reads of at most one byte if slow, and of any size otherwise.
func (s stream) read(slow bool) (string, error) {
	var src io.Reader = strings.NewReader(s.wire)
	if slow {
		src = iotest.OneByteReader(src)
	}
	r := &http.Request{Header: http.Header{}, ContentLength: int64(len(s.wire)), Body: io.NopCloser(src)}
	for name, value := range map[string]string{"X-Amz-Decoded-Content-Length": s.decoded, "X-Amz-Trailer": s.trailers} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	b, err := testAuth(s.kind).Body(r)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(b)
	if err == nil && b.Size() >= 0 && b.Size() != int64(len(data)) {
		return string(data), errors.New("size and data differ")
	}
	return string(data), err
}

// valid makes the stream that a good client sends for chunks.
func valid(kind string, chunks []string, checksums ...string) stream {
	body := strings.Join(chunks, "")
	var trailers [][2]string
	if strings.HasSuffix(kind, "-TRAILER") {
		trailers = [][2]string{}
	}
	s := stream{kind: kind, decoded: strconv.Itoa(len(body))}
	slices.Sort(checksums)
	for _, c := range checksums {
		trailers = append(trailers, [2]string{checksumPrefix + c, encodeSum(c, body)})
	}
	var names []string
	for _, tr := range trailers {
		names = append(names, tr[0])
	}
	s.trailers = strings.Join(names, ",")
	var key []byte
	if kind != streamUnsigned {
		key = testAuth(kind).key.key
	}
	s.wire = chunkedBody(key, testDate, testScope, testSeed, chunks, trailers)
	return s
}

var kinds = []string{streamSigned, streamTrailer, streamUnsigned}

func validStreams() map[string]stream {
	streams := map[string]stream{}
	for _, kind := range kinds {
		streams[kind+" empty"] = valid(kind, nil)
		streams[kind+" one"] = valid(kind, []string{"hello"})
		streams[kind+" many"] = valid(kind, []string{strings.Repeat("a", 9000), "b", strings.Repeat("c\r\n0\r\n", 2000), "d"})
		if kind != streamSigned {
			for _, c := range algorithms {
				streams[kind+" "+c] = valid(kind, []string{"hello ", "world"}, c)
			}
			streams[kind+" two"] = valid(kind, []string{"hello"}, "sha1", "crc32")
		}
	}
	return streams
}

func TestChunkedValid(t *testing.T) {
	for name, s := range validStreams() {
		for _, slow := range []bool{false, true} {
			if data, err := s.read(slow); err != nil || strconv.Itoa(len(data)) != s.decoded {
				t.Errorf("%s (slow %v): %d of %s bytes, %v", name, slow, len(data), s.decoded, err)
			}
		}
	}
}

// TestChunkedVariants: what clients do that is not in the documentation's grammar.
func TestChunkedVariants(t *testing.T) {
	signed, trailer, unsigned := valid(streamSigned, []string{"hello"}), valid(streamTrailer, []string{"hello"}, "crc32c"), valid(streamUnsigned, []string{"hello"}, "crc32c")
	for name, s := range map[string]stream{
		"line feeds alone":               {streamUnsigned, "5", unsigned.trailers, strings.ReplaceAll(unsigned.wire, "\r\n", "\n")},
		"no line at the end":             {streamSigned, "5", "", strings.TrimSuffix(signed.wire, "\r\n")},
		"blank line before the trailers": {streamTrailer, "5", trailer.trailers, strings.Replace(trailer.wire, "x-amz-checksum", "\r\nx-amz-checksum", 1)},
		"blank line before their signature": {streamTrailer, "5", trailer.trailers,
			strings.Replace(trailer.wire, "\r\nx-amz-trailer-sig", "\n\r\nx-amz-trailer-sig", 1)},
		"blank after the colon":        {streamTrailer, "5", trailer.trailers, strings.Replace(trailer.wire, "crc32c:", "crc32c: ", 1)},
		"names in capitals":            {streamUnsigned, "5", "X-Amz-Checksum-CRC32C", strings.Replace(unsigned.wire, "x-amz-checksum-crc32c", "X-Amz-Checksum-Crc32c", 1)},
		"sizes in capitals and padded": {streamUnsigned, "10", "", "0000A\r\n0123456789\r\n0\r\n\r\n"},
		"extensions":                   {streamUnsigned, "5", "", "5;a=b;c\r\nhello\r\n0;chunk-signature=no\r\n\r\n"},
		"length not announced":         {streamUnsigned, "", unsigned.trailers, unsigned.wire},
	} {
		if data, err := s.read(false); err != nil || strconv.Itoa(len(data)) != cmpOr(s.decoded, "5") {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestChunkedInvalid(t *testing.T) {
	signed, trailer, unsigned := valid(streamSigned, []string{"hello", "world"}), valid(streamTrailer, []string{"hello"}, "crc32c"), valid(streamUnsigned, []string{"hello"}, "crc32c")
	sig := func(n int, s string) string { // another n-th signature
		i := -1
		for range n {
			i += 1 + strings.Index(s[i+1:], "signature")
		}
		j := i + len("signature=")
		return s[:j] + strings.Repeat("0", 64) + s[j+64:]
	}
	other := encodeSum("crc32c", "other")
	for name, tt := range map[string]struct {
		stream
		status int
		code   string
	}{
		"first chunk's signature":     {stream{streamSigned, "10", "", sig(1, signed.wire)}, 403, "SignatureDoesNotMatch"},
		"second chunk's signature":    {stream{streamSigned, "10", "", sig(2, signed.wire)}, 403, "SignatureDoesNotMatch"},
		"last chunk's signature":      {stream{streamSigned, "10", "", sig(3, signed.wire)}, 403, "SignatureDoesNotMatch"},
		"no signature":                {stream{streamSigned, "5", "", "5\r\nhello\r\n0\r\n\r\n"}, 403, "SignatureDoesNotMatch"},
		"data changed":                {stream{streamSigned, "10", "", strings.Replace(signed.wire, "world", "World", 1)}, 403, "SignatureDoesNotMatch"},
		"trailer changed":             {stream{streamTrailer, "5", trailer.trailers, strings.Replace(trailer.wire, encodeSum("crc32c", "hello"), other, 1)}, 403, "SignatureDoesNotMatch"},
		"trailers' signature":         {stream{streamTrailer, "5", trailer.trailers, sig(3, trailer.wire)}, 403, "SignatureDoesNotMatch"},
		"no signature of trailers":    {stream{streamTrailer, "5", trailer.trailers, trailer.wire[:strings.Index(trailer.wire, trailerSigName)] + "\r\n"}, 403, "SignatureDoesNotMatch"},
		"trailer does not match":      {stream{streamUnsigned, "5", unsigned.trailers, strings.Replace(unsigned.wire, encodeSum("crc32c", "hello"), other, 1)}, 500, "InternalError"},
		"trailer is no base64":        {stream{streamUnsigned, "5", unsigned.trailers, strings.Replace(unsigned.wire, "crc32c:", "crc32c:!", 1)}, 500, "InternalError"},
		"trailer missing":             {stream{streamUnsigned, "5", unsigned.trailers, "5\r\nhello\r\n0\r\n\r\n"}, 400, "MalformedTrailerError"},
		"another trailer missing":     {stream{streamUnsigned, "5", unsigned.trailers + ",x-amz-checksum-xxhash64", unsigned.wire}, 400, "MalformedTrailerError"},
		"trailer not announced":       {stream{streamUnsigned, "5", "", unsigned.wire}, 400, "MalformedTrailerError"},
		"trailer twice":               {stream{streamUnsigned, "5", unsigned.trailers, strings.TrimSuffix(unsigned.wire, "\r\n") + unsigned.trailers + ":x\r\n\r\n"}, 400, "MalformedTrailerError"},
		"trailer without colon":       {stream{streamUnsigned, "5", unsigned.trailers, "5\r\nhello\r\n0\r\nnonsense\r\n\r\n"}, 400, "MalformedTrailerError"},
		"trailers without end":        {stream{streamUnsigned, "5", unsigned.trailers, "5\r\nhello\r\n0\r\n" + strings.Repeat("\r\n", 40_000)}, 400, "MalformedTrailerError"},
		"trailer in the wrong kind":   {stream{streamSigned, "10", "x-amz-checksum-crc32c", strings.TrimSuffix(signed.wire, "\r\n") + "x-amz-checksum-crc32c:" + encodeSum("crc32c", "helloworld") + "\r\n\r\n"}, 400, "MalformedTrailerError"},
		"longer than announced":       {stream{streamUnsigned, "4", "", "5\r\nhello\r\n0\r\n\r\n"}, 400, "IncompleteBody"},
		"longer in the second chunk":  {stream{streamUnsigned, "6", "", "5\r\nhello\r\n2\r\nab\r\n0\r\n\r\n"}, 400, "IncompleteBody"},
		"shorter than announced":      {stream{streamUnsigned, "6", "", "5\r\nhello\r\n0\r\n\r\n"}, 400, "IncompleteBody"},
		"announced length is no one":  {stream{streamUnsigned, "-5", "", "5\r\nhello\r\n0\r\n\r\n"}, 400, "IncompleteBody"},
		"announced length is a word":  {stream{streamUnsigned, "five", "", "5\r\nhello\r\n0\r\n\r\n"}, 400, "IncompleteBody"},
		"chunk longer than its size":  {stream{streamUnsigned, "5", "", "4\r\nhello\r\n0\r\n\r\n"}, 400, "InvalidChunk"},
		"size is negative":            {stream{streamUnsigned, "5", "", "-5\r\nhello\r\n0\r\n\r\n"}, 400, "InvalidChunk"},
		"size overflows":              {stream{streamUnsigned, "5", "", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"}, 400, "InvalidChunk"},
		"size is missing":             {stream{streamUnsigned, "5", "", "\r\nhello\r\n0\r\n\r\n"}, 400, "InvalidChunk"},
		"header without end":          {stream{streamUnsigned, "5", "", "5;" + strings.Repeat("x", 5000) + "\r\nhello\r\n0\r\n\r\n"}, 400, "InvalidChunk"},
		"no framing at all":           {stream{streamUnsigned, "5", "", "hello"}, 400, "IncompleteBody"},
		"something behind the end":    {stream{streamSigned, "10", "", signed.wire + "more\r\n"}, 400, "MalformedTrailerError"},
		"a piece of a line at an end": {stream{streamSigned, "10", "", signed.wire + "x"}, 400, "IncompleteBody"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.read(false)
			wantError(t, err, tt.status, tt.code)
			_, err = tt.read(true)
			wantError(t, err, tt.status, tt.code)
		})
	}
}

// TestChunkedCut cuts each stream at each byte: only what is behind the last
// thing that counts may be missing.
func TestChunkedCut(t *testing.T) {
	for name, s := range validStreams() {
		whole := strings.TrimSuffix(s.wire, "\r\n")
		for i := 0; i < len(whole); i += 1 + i/1000 {
			cut := s
			cut.wire = whole[:i]
			if _, err := cut.read(false); err == nil {
				t.Errorf("%s: clean end after %d of %d bytes", name, i, len(s.wire))
			}
			cut.decoded = ""
			if _, err := cut.read(false); err == nil {
				t.Errorf("%s, length not announced: clean end after %d of %d bytes", name, i, len(s.wire))
			}
		}
	}
}

// TestChunkedCutConnection: a connection that breaks is no end, wherever it breaks.
func TestChunkedCutConnection(t *testing.T) {
	s := valid(streamUnsigned, []string{"hello"})
	for i := range len(s.wire) + 1 {
		src := io.MultiReader(strings.NewReader(s.wire[:i]), iotest.ErrReader(io.ErrUnexpectedEOF))
		if data, err := io.ReadAll(newChunkReader(src, nil, nil, false)); err == nil {
			t.Errorf("clean end with %q after %d bytes", data, i)
		}
	}
}
