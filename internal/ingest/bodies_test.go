package ingest

import (
	"bytes"
	"compress/zlib"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestDeflateBehindItsEnd has something follow the end of a zlib stream, short or long, in memory or as it comes: it is not left out without a word.
func TestDeflateBehindItsEnd(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("a long one that does not fit into a buffer, ", 1<<14)} {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, rest := range []string{"", "x", b.String(), strings.Repeat("x", 2*shortBody)} {
			packed := append(bytes.Clone(b.Bytes()), rest...)
			for name, read := range map[string]func(*Reading) ([]byte, error){
				"in memory": func(r *Reading) ([]byte, error) { return r.Undo(t.Context(), packed, "deflate") },
				"as it comes": func(r *Reading) ([]byte, error) {
					var body Body
					req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(packed))
					body.Init(httptest.NewRecorder(), req, DefaultPace)
					return r.Decoded(t.Context(), &body, "deflate", -1)
				},
			} {
				reading := NewBodies(1<<20, 32<<20).Begin("s", time.Minute)
				got, err := read(&reading)
				if (err == nil) != (rest == "") || err == nil && string(got) != text {
					t.Errorf("%d bytes with %d behind, %s: %d bytes, %v", len(text), len(rest), name, len(got), err)
				}
				reading.Release()
			}
		}
	}
}
