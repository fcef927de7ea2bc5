package otlp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/ingest/otlpapi"
	"indelible/internal/record"
	"indelible/internal/testserver"
	"indelible/internal/torture/driver"
)

// export runs the real exporter against a URL and returns what it makes of the answer.
func export(t *testing.T, url string, env []string, args ...string) string {
	t.Helper()
	python, err := testserver.MakePython(t.Context(), "requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{"export.py", url}, args...)...)
	cmd.Env = append(append(os.Environ(), "NO_PROXY=127.0.0.1"), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// What this door never answers, and why: after each of these the spans are lost, and the exporter says success or has given up at once.
func TestExporterLosesSilently(t *testing.T) {
	need(t)
	for name, c := range map[string]struct {
		answer   func(w http.ResponseWriter)
		says     string
		requests int64
	}{
		"a redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, "SUCCESS", 1},
		"a partial success": {func(w http.ResponseWriter) { _, _ = w.Write([]byte("\n\x02\b\x01")) }, "SUCCESS", 1},
		"a Retry-After over ten seconds": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "11")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "FAILURE", 1},
		"500": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, "FAILURE", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for an exporter
			var requests atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				c.answer(w)
			}))
			defer s.Close()
			begun := time.Now()
			if got := export(t, s.URL+"/v1/traces", nil); got != c.says || requests.Load() != c.requests {
				t.Errorf("the exporter says %s after %d requests and %v", got, requests.Load(), time.Since(begun))
			}
		})
	}
}

// fullAtFirst has no room for the first requests.
type fullAtFirst struct{ refusals, kept atomic.Int64 }

func (f *fullAtFirst) Append(context.Context, record.Record) (record.Receipt, error) {
	return record.Receipt{}, errors.New("nothing is kept raw here")
}

func (f *fullAtFirst) AppendAll(_ context.Context, rs []record.Record) ([]record.Receipt, error) {
	if f.refusals.Add(-1) >= 0 {
		return nil, record.ErrPushback
	}
	f.kept.Add(int64(len(rs)))
	return make([]record.Receipt, len(rs)), nil
}

// After a 503 of this door the exporter comes again within its ten seconds, and the spans are taken.
func TestExporterComesAgain(t *testing.T) {
	need(t)
	spool := new(fullAtFirst)
	spool.refusals.Store(2)
	d, err := otlpapi.New(otlpapi.Options{Spool: spool, Bodies: ingest.NewBodies(64<<20, 256<<20)})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(d)
	defer s.Close()
	if got := export(t, s.URL+"/v1/traces", nil, "3"); got != "SUCCESS" || spool.kept.Load() != 3 || spool.refusals.Load() != -1 {
		t.Errorf("the exporter says %s, %d spans kept, %d", got, spool.kept.Load(), spool.refusals.Load())
	}
}

// The real daemon takes what the exporter sends with each of its compressions, in requests of up to 64 MiB, which is the most it sends.
func TestExporterCompressesAndSendsMuch(t *testing.T) {
	need(t)
	dir := t.TempDir()
	s := newServe(t, dir, driver.Build(t))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	want := 0
	for _, c := range []struct {
		compression string
		spans, size int
	}{{"none", 3, 10}, {"gzip", 3, 10}, {"deflate", 3, 10}, {"none", 60, 1 << 20}, {"gzip", 512, 1 << 10}} {
		if got := export(t, "http://"+s.At.HTTP+"/v1/traces", []string{"OTEL_EXPORTER_OTLP_COMPRESSION=" + c.compression}, fmt.Sprint(c.spans), fmt.Sprint(c.size)); got != "SUCCESS" {
			t.Errorf("%+v: the exporter says %s", c, got)
		}
		want += c.spans
	}
	if err := s.Proven(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, r := range records(t, filepath.Join(s.Data, "store")) {
		if r.Kind == "call" {
			got++
		}
	}
	if got != want {
		t.Errorf("%d calls, want %d", got, want)
	}
}
