package otlpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"indelible/internal/disk/osdisk"
	"indelible/internal/ingest"
	"indelible/internal/ingest/otlpapi"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// A full disk is the one thing that is refused: 503, to come again in a second. With room again, the batch is taken.
func TestFullDisk(t *testing.T) {
	fs, err := osdisk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(fs, spool.Options{Log: "test", MaxBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), fs.Close()); err != nil {
			t.Error(err)
		}
	})
	b := newBench(t, func(o *otlpapi.Options) { o.Spool, o.MaxHold = s, 500*time.Millisecond })
	b.spool = s
	acked := 0
	var refused reply
	var data []byte
	for i := range 1000 {
		data = export(t, "s", call(uint16(i), text("gen_ai.input.messages", string(bytes.Repeat([]byte("x"), 60<<10)))))
		if refused = b.post("/v1/traces", bytes.NewReader(data)); refused.status != 200 {
			break
		}
		acked++
	}
	if refused.status != 503 || refused.header.Get("Retry-After") != "1" || acked == 0 || acked == 1000 {
		t.Fatalf("%d after %d: %q", refused.status, acked, refused.body)
	}
	if got := len(b.stored()); got != acked && got != acked+1 { // the one that was held may be written all the same
		t.Errorf("%d records of %d that were acked", got, acked)
	}
	for seq := record.Seq(1); seq <= record.Seq(acked); seq++ {
		if err := s.Release(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if got := b.post("/v1/traces", bytes.NewReader(data)); got.status == 200 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("refused although there is room again")
		}
	}
}

// nowhere acks at once, and keeps nothing.
type nowhere struct{ seq atomic.Uint64 }

func (n *nowhere) Append(_ context.Context, r record.Record) (record.Receipt, error) {
	size, err := io.Copy(io.Discard, r.Body)
	return record.Receipt{Log: "bench", Seq: record.Seq(n.seq.Add(1)), Size: size}, err
}

func (n *nowhere) AppendAll(_ context.Context, rs []record.Record) ([]record.Receipt, error) {
	receipts := make([]record.Receipt, len(rs))
	for i := range receipts {
		receipts[i] = record.Receipt{Log: "bench", Seq: record.Seq(n.seq.Add(1)), Size: rs[i].Size}
	}
	return receipts, nil
}

// message is a length-delimited field.
func message(number byte, content []byte) []byte {
	return protowire.AppendBytes([]byte{number<<3 | 2}, content)
}

// Requests made to swell take a bounded multiple of what they are allowed to be.
func TestMemoryOfHostileRequests(t *testing.T) {
	if torture.Race {
		t.Skip("it counts bytes, of which the race detector takes its own: the step norace of test/steps runs it")
	}
	const most = 4 << 20
	nested := []byte{}
	for len(nested) < 1<<15 {
		nested = message(5, message(1, nested)) // lists in lists
	}
	attribute := func(v []byte) []byte {
		return message(9, append(message(1, []byte("gen_ai.input.messages")), message(2, v)...))
	}
	traces := func(resource, span []byte) []byte {
		return message(1, append(message(1, resource), message(2, message(2, span))...))
	}
	for name, data := range map[string][]byte{
		"empty spans":            message(1, message(2, bytes.Repeat([]byte{0x12, 0}, most/2-16))),
		"empty scopes":           message(1, bytes.Repeat([]byte{0x12, 2, 0x12, 0}, most/4-16)),
		"empty groups":           bytes.Repeat([]byte{0x0a, 0}, most/2-16),
		"empty attributes":       traces(nil, bytes.Repeat([]byte{0x4a, 0}, most/2-32)),
		"empty events":           traces(nil, bytes.Repeat([]byte{0x5a, 0}, most/2-32)),
		"a resource":             message(1, append(message(1, make([]byte, most/2)), message(2, bytes.Repeat([]byte{0x12, 0}, 90_000))...)),
		"many resources":         bytes.Repeat(message(1, append(message(1, bytes.Repeat([]byte{0x0a, 0}, 1000)), message(2, []byte{0x12, 0})...)), most/2016),
		"many resources in JSON": []byte(`{"resourceSpans":[` + strings.Repeat(`{"resource":{"attributes":[`+strings.Repeat("{},", 999)+`{}]},"scopeSpans":[{"spans":[{}]}]},`, most/3100) + `{}]}`),
		"many credentials":       traces(nil, bytes.Repeat(message(9, append(message(1, []byte("password")), message(2, message(5, bytes.Repeat(message(1, message(1, []byte("0123456789ab"))), 400)))...)), most/6500)),
		"deep":                   traces(nil, attribute(nested)),
		"one value":              traces(nil, attribute(message(1, bytes.Repeat([]byte("[1,"), most/3-64)))),
		"a Python repr":          traces(nil, attribute(message(1, append([]byte("["), bytes.Repeat([]byte("'\\n',"), most/5-64)...)))),
		"empty values":           traces(nil, attribute(message(6, bytes.Repeat([]byte{0x0a, 0}, most/2-64)))),
		"gzip":                   gzipped(message(1, message(2, bytes.Repeat([]byte{0x12, 0}, most/2-16)))),
		"deflate":                deflated(bytes.Repeat([]byte{0}, 256*most)),
		"gzip, a bomb":           gzipped(make([]byte, 64*most)),
		"zstd, a bomb":           zstandard(t, make([]byte, 64*most)),
		"malformed credentials":  append(bytes.Repeat([]byte("\x0a\x05token\x12\x02\x0a\x00api_key=0123456789abcdef "), most/40), 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := otlpapi.New(otlpapi.Options{Spool: &nowhere{}, Bodies: ingest.NewBodies(most, 4*most), KeepOther: true})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("POST", "/v1/traces", bytes.NewReader(data))
			if coding, _, _ := strings.Cut(name, ","); coding == "gzip" || coding == "deflate" || coding == "zstd" {
				r.Header.Set("Content-Encoding", coding)
			}
			runtime.GC()
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			done := make(chan int)
			go func() {
				w := httptest.NewRecorder()
				d.ServeHTTP(w, r)
				done <- w.Code
			}()
			peak := uint64(0)
			for {
				select {
				case code := <-done:
					// What is no longer used and not yet collected counts: the bound is that of the heap.
					if code != 200 || peak > 16*most {
						t.Errorf("answered %d, %d MiB for %d MiB", code, peak>>20, len(data)>>20)
					}
					t.Logf("%d MiB for %d MiB", peak>>20, len(data)>>20)
					return
				case <-time.After(20 * time.Millisecond):
					runtime.ReadMemStats(&now)
					peak = max(peak, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
				}
			}
		})
	}
}

// A sender that holds its body back keeps no other from being answered, and is told in the end to come again.
func TestSlowSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := otlpapi.New(otlpapi.Options{Spool: &nowhere{}, Bodies: ingest.NewBodies(64<<20, 256<<20)})
		if err != nil {
			t.Fatal(err)
		}
		end := make(chan struct{})
		answers := make(chan int, 50)
		for i := range 50 {
			src, _ := io.Pipe()
			r := httptest.NewRequest("POST", "/v1/traces", io.MultiReader(bytes.NewReader(make([]byte, 9<<20)), src))
			r.ContentLength, r.RemoteAddr = 64<<20, fmt.Sprintf("192.0.2.%d:1", i%3)
			go func() {
				<-end
				_ = src.CloseWithError(io.ErrUnexpectedEOF)
			}()
			go func() {
				w := httptest.NewRecorder()
				d.ServeHTTP(w, r)
				answers <- w.Code
			}()
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest("POST", "/v1/traces", bytes.NewReader(export(t, "s", call(1)))))
		if w.Code != http.StatusOK {
			t.Errorf("%d beside slow senders", w.Code)
		}
		close(end)
		for range 50 {
			if code := <-answers; code != http.StatusServiceUnavailable {
				t.Errorf("a body that was cut off: %d", code)
			}
		}
	})
}
