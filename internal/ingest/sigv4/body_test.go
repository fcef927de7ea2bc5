package sigv4

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"indelible/internal/record"
)

// encodeSum is a checksum as a client computes it.
func encodeSum(algorithm, body string) string {
	var b []byte
	switch data := []byte(body); algorithm {
	case "crc32":
		b = binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	case "crc32c":
		b = binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	case "crc64nvme":
		b = binary.BigEndian.AppendUint64(nil, crc64.Checksum(data, crc64.MakeTable(0x9a6c9329ac4bc9b5)))
	case "sha1":
		sum := sha1.Sum(data)
		b = sum[:]
	case "sha256":
		sum := sha256.Sum256(data)
		b = sum[:]
	case "sha512":
		sum := sha512.Sum512(data)
		b = sum[:]
	case "md5":
		sum := md5.Sum(data)
		b = sum[:]
	}
	return base64.StdEncoding.EncodeToString(b)
}

var algorithms = []string{"crc32", "crc32c", "crc64nvme", "sha1", "sha256", "sha512", "md5"}

// Check values of "123456789" from the catalogue of CRC algorithms.
func TestCRCCheckValues(t *testing.T) {
	for algorithm, want := range map[string]uint64{"crc32": 0xcbf43926, "crc32c": 0xe3069283, "crc64nvme": 0xae8b14860a799888} {
		h, _ := newSum(algorithm)
		io.WriteString(h, "123456789")
		if got := hex.EncodeToString(h.Sum(nil)); got != fmt.Sprintf("%0*x", 2*h.Size(), want) {
			t.Errorf("%s = %s, want %x", algorithm, got, want)
		}
	}
}

// trusted receives a body under Trust: signatures are not checked, all else is.
func trusted(t testing.TB, header http.Header, size int64, body io.Reader) (*Body, string, record.Attrs, error) {
	t.Helper()
	r := &http.Request{Method: http.MethodPut, RequestURI: "/b/k", Host: "h", Header: http.Header{}, ContentLength: size, Body: io.NopCloser(body)}
	for name, values := range header {
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
	a, err := (&Verifier{Trust: true}).Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.Body(r)
	if err != nil {
		return nil, "", nil, err
	}
	data, err := io.ReadAll(b)
	if err != nil {
		return b, string(data), nil, err
	}
	attrs, err := b.Seal(sha256.Sum256(data), int64(len(data)))
	return b, string(data), attrs, err
}

func TestDigests(t *testing.T) {
	const body = "hello world"
	headers := map[string]string{"content-md5": encodeSum("md5", body), "x-amz-content-sha256": hexSum(body)}
	for _, algorithm := range algorithms {
		headers[checksumPrefix+algorithm] = encodeSum(algorithm, body)
	}
	for name, value := range headers {
		other := encodeSum(strings.TrimPrefix(name, checksumPrefix), "other")
		bad := []string{other, value[:len(value)-2], value + "AAAA", "!" + value[1:], ""}
		switch name {
		case "content-md5":
			bad[0], bad[4] = encodeSum("md5", "other"), "x"
		case "x-amz-content-sha256":
			bad = []string{hexSum("other")}
		}
		t.Run(name, func(t *testing.T) {
			b, got, attrs, err := trusted(t, http.Header{name: {value}}, int64(len(body)), strings.NewReader(body))
			if err != nil || got != body {
				t.Fatalf("body %q, %v", got, err)
			}
			want := record.Attrs{{Name: record.AttrMD5, Value: "5eb63bbbe01eeed093cb22bb8f5acdc3"}}
			if algorithm, ok := strings.CutPrefix(name, checksumPrefix); ok {
				want = append(want, record.Attr{Name: record.AttrChecksum, Value: algorithm + " " + value})
				if list := b.Checksums(); len(list) != 1 || list[0] != (Checksum{algorithm, value}) || list[0].Header() != name {
					t.Errorf("checksums = %v", list)
				}
			}
			if !slices.Equal(attrs, want) {
				t.Errorf("attrs = %v, want %v", attrs, want)
			}
			for _, value := range bad {
				_, _, _, err := trusted(t, http.Header{name: {value}}, int64(len(body)), strings.NewReader(body))
				wantError(t, err, 500, "InternalError")
			}
		})
	}
}

func TestLength(t *testing.T) {
	short := func(n int64) error {
		_, _, _, err := trusted(t, nil, n, strings.NewReader("hello"))
		return err
	}
	if err := short(-1); err != nil {
		t.Errorf("length not announced: %v", err)
	}
	wantError(t, short(6), 400, "IncompleteBody")
	wantError(t, short(4), 400, "IncompleteBody")
	if !errors.Is(short(6), io.ErrUnexpectedEOF) {
		t.Error("a short body is not io.ErrUnexpectedEOF")
	}
	_, _, _, err := trusted(t, nil, 9, io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	wantError(t, err, 400, "IncompleteBody")
	if _, _, _, err := trusted(t, nil, 9, iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("hello wor")))); err != iotest.ErrTimeout {
		t.Errorf("the connection's error became %v", err)
	}
}

// A body that does not end is not read to its end.
func TestTooLong(t *testing.T) {
	for _, frame := range []string{"", "fffffff\r\n"} {
		rest := strings.NewReader(strings.Repeat("x", 1<<20))
		header := http.Header{"X-Amz-Decoded-Content-Length": {"5"}}
		if frame != "" {
			header.Set(headerContentSHA256, streamUnsigned)
		}
		_, _, _, err := trusted(t, header, 5, io.MultiReader(strings.NewReader(frame), rest))
		wantError(t, err, 400, "IncompleteBody")
		if rest.Len() < 1<<19 {
			t.Errorf("%d bytes were read behind the end", 1<<20-rest.Len())
		}
	}
}

func TestSeal(t *testing.T) {
	r := &http.Request{Header: http.Header{}, ContentLength: 5, Body: io.NopCloser(strings.NewReader("hello"))}
	b, err := new(Auth).Body(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Seal(sha256.Sum256([]byte("hello")), 5); err == nil {
		t.Error("sealed before it was read")
	}
	if _, err := io.ReadAll(b); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Seal(sha256.Sum256([]byte("hell")), 4); !errors.Is(err, record.ErrSize) {
		t.Errorf("sealed with a byte missing: %v", err)
	}
}

func TestContentEncoding(t *testing.T) {
	for in, want := range map[string]string{"": "", "aws-chunked": "", "gzip": "gzip", "AWS-chunked, gzip": "gzip", "gzip,aws-chunked": "gzip", "a , b": "a,b"} {
		if got := ContentEncoding(http.Header{"Content-Encoding": {in}}); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPayloadKinds(t *testing.T) {
	for _, tt := range []struct {
		value  string
		status int
		code   string
	}{
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", 501, "NotImplemented"},
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", 501, "NotImplemented"},
		{"STREAMING-SOMETHING", 400, "XAmzContentSHA256Mismatch"},
		{"abc", 400, "XAmzContentSHA256Mismatch"},
		{hexSum("hello")[1:], 400, "XAmzContentSHA256Mismatch"},
	} {
		_, _, _, err := trusted(t, http.Header{headerContentSHA256: {tt.value}}, 5, strings.NewReader("hello"))
		wantError(t, err, tt.status, tt.code)
	}
	if _, _, _, err := trusted(t, http.Header{headerContentSHA256: {strings.ToUpper(hexSum("hello"))}}, 5, strings.NewReader("hello")); err != nil {
		t.Errorf("upper-case digest: %v", err)
	}
}

// chunkedBody frames chunks as aws-chunked, signed from seed on if key is set:
// written from S3's documentation, apart from the code under test.
func chunkedBody(key []byte, date, scope, seed string, chunks []string, trailers [][2]string) string {
	var b strings.Builder
	sign := func(kind, middle, data string) string {
		m := hmac.New(sha256.New, key)
		fmt.Fprintf(m, "AWS4-HMAC-SHA256-%s\n%s\n%s\n%s\n%s%s", kind, date, scope, seed, middle, hexSum(data))
		seed = hex.EncodeToString(m.Sum(nil))
		return seed
	}
	for _, c := range append(slices.Clone(chunks), "") {
		fmt.Fprintf(&b, "%x", len(c))
		if key != nil {
			b.WriteString(";chunk-signature=" + sign("PAYLOAD", hexSum("")+"\n", c))
		}
		b.WriteString("\r\n" + c)
		if c != "" {
			b.WriteString("\r\n")
		}
	}
	var canonical strings.Builder
	for _, tr := range trailers {
		b.WriteString(tr[0] + ":" + tr[1] + "\r\n")
		canonical.WriteString(tr[0] + ":" + tr[1] + "\n")
	}
	if key != nil && trailers != nil {
		b.WriteString(trailerSigName + ":" + sign("TRAILER", "", canonical.String()) + "\r\n")
	}
	return b.String() + "\r\n"
}
