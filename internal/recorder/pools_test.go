package recorder

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"indelible/internal/capture"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
)

// ownBytes is a log that looks whether the bytes of an answer are the ones of its call.
type ownBytes struct{ t *testing.T }

func (l ownBytes) Append(_ context.Context, r record.Record) (record.Receipt, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return record.Receipt{}, err
	}
	e, _, err := capture.Parse(b)
	if err != nil {
		return record.Receipt{}, err
	}
	call := e.URL[strings.LastIndexByte(e.URL, '/')+1:] + ","
	if got := e.Response.Body.Bytes; string(got) != strings.Repeat(call, len(got)/len(call)+1)[:len(got)] {
		l.t.Errorf("the record of %s has the bytes of another call", call)
	}
	return record.Receipt{Seq: 1}, nil
}

// piecemeal is read in pieces.
type piecemeal struct{ io.Reader }

func (p piecemeal) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), 5000)]) }

// TestNoBytesOfOthers has many calls at once use the same memory, one after the other: no record has bytes of another call.
func TestNoBytesOfOthers(t *testing.T) {
	data, err := osdisk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	up := transport(func(req *http.Request) (*http.Response, error) {
		call := req.URL.Path[1:] + ","
		n, _ := strconv.Atoi(call[len(call)-2 : len(call)-1])
		if n == 9 {
			n = 30 // goes on in a file
		}
		body := strings.Repeat(call, n*6<<10/len(call))
		return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(piecemeal{strings.NewReader(body)}), Request: req}, nil
	})
	for _, relaxed := range []bool{false, true} {
		r, err := New(Options{Log: ownBytes{t}, Door: "lib", Data: data, Base: up, Relaxed: relaxed})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for worker := range 16 {
			calls.Go(func() {
				for i := range 40 {
					req, err := http.NewRequest(http.MethodGet, "http://h/"+strconv.Itoa(100*worker+i), nil)
					if err != nil {
						t.Error(err)
						return
					}
					resp, err := r.RoundTrip(req)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.CopyN(io.Discard, resp.Body, int64(1+i%3)*64<<10) // to the end or not
					_ = resp.Body.Close()
				}
			})
		}
		calls.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := data.Close(); err != nil {
		t.Error(err)
	}
}
