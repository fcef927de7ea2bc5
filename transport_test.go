package indelible_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible"
)

// What the program reads, leaves unread or cannot get is what the records say, strict and relaxed.
func TestTransport(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		switch r.URL.Path {
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/left":
			<-r.Context().Done()
		}
	}))
	defer provider.Close()
	for _, relaxed := range []bool{false, true} {
		dir := t.TempDir()
		ctx := context.Background()
		log, err := indelible.Open(ctx, indelible.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = log.Run(ctx) }() // Close ends it
		tr := log.Transport(http.DefaultTransport)
		tr.Relaxed = relaxed
		client := &http.Client{Transport: tr}
		for _, path := range []string{"/whole", "/cut", "/left"} {
			resp, err := client.Post(provider.URL+path, "text/plain", strings.NewReader("question"))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "part" {
				t.Fatal(string(got), err)
			}
			if path != "/left" {
				if _, err := io.ReadAll(resp.Body); (err != nil) != (path == "/cut") {
					t.Errorf("%s: %v", path, err)
				}
			}
			_ = resp.Body.Close()
		}
		if _, err := client.Get("http://127.0.0.1:1/nobody"); err == nil {
			t.Error("nobody answered")
		}
		if err := log.Close(ctx); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		names, _ := filepath.Glob(filepath.Join(dir, "store/lib/*/*/*.json"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
		kind, n := `"kind":"close"`, 8
		if relaxed {
			kind, n = `"kind":"exchange"`, 4
		}
		if len(names) != n || strings.Count(all.String(), kind) != 4 {
			t.Errorf("relaxed %v: %d records, %d ends", relaxed, len(names), strings.Count(all.String(), kind))
		}
		for _, want := range []string{`"transport":"complete"`, `"transport":"upstream_abort"`, `"transport":"client_abort"`, `"transport":"proxy_error"`} {
			if strings.Count(all.String(), want) != 1 {
				t.Errorf("relaxed %v: %d records with %s", relaxed, strings.Count(all.String(), want), want)
			}
		}
		if _, err := client.Get(provider.URL + "/whole"); !errors.Is(err, indelible.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}
