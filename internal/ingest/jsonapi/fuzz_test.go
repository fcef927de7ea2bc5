package jsonapi_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/ingest/jsonapi"
	"indelible/internal/spool"
)

// FuzzPost sends bodies in every encoding: each gets an answer that blames the
// sender or acks, none makes the door fail, and nothing is kept of what is refused.
func FuzzPost(f *testing.F) {
	f.Add([]byte(`{"id":"a"}`), "", "application/json")
	f.Add([]byte("{\"id\":\"a\"}\n{"), "", "application/x-ndjson")
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, "gzip", "")
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 4, 0, 1, 0, 0}, "zstd", "")
	f.Add([]byte("x"), "deflate", "text/plain")
	s, err := spool.Open(crashdisk.New(), spool.Options{Log: "fuzz", ReserveBytes: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	d, err := jsonapi.New(jsonapi.Options{Spool: s, LogName: "fuzz"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, encoding, kind string) {
		before := s.Stats().Acked
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/records", bytes.NewReader(body))
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError || w.Code != http.StatusOK && s.Stats().Acked > before {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	})
}
