package recorder

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What an upstream goes on to send after Close has written the record is in no record: whoever reads gets none of it,
// and does not take the answer for whole.
func TestNothingIsReadBehindTheRecord(t *testing.T) {
	for name, rest := range map[string]string{"more": "rest", "the end": ""} {
		data, err := osdisk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		var log kept
		r, err := New(Options{Log: &log, Door: "lib", Data: data, Base: transport(func(r *http.Request) (*http.Response, error) {
			body := io.NopCloser(io.MultiReader(strings.NewReader("part"), strings.NewReader(rest))) // knows of no context
			return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: body, ContentLength: -1, Request: r}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest("POST", "http://h/v1/x", strings.NewReader("{}"))
		resp, err := r.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err == nil || len(b) > 0 {
			t.Errorf("%s: read %q and %v", name, b, err)
		}
		e, _, perr := capture.Parse([]byte(log.bodies[len(log.bodies)-1]))
		if err := errors.Join(perr, resp.Body.Close(), data.Close()); err != nil || e.Transport != capture.ProxyError || string(e.Response.Body.Bytes) != "part" {
			t.Errorf("%s: %v, %s", name, err, e.Transport)
		}
	}
}

// slowBody is a file of a body that is read slowly.
type slowBody struct {
	once           sync.Once
	begun, release chan struct{}
	reading        atomic.Bool
}

func (f *slowBody) ReadAt(p []byte, _ int64) (int, error) {
	f.reading.Store(true)
	defer f.reading.Store(false)
	f.once.Do(func() { close(f.begun) })
	<-f.release
	return len(p), nil
}

// appender is a log.
type appender func() error

func (f appender) Append(context.Context, record.Record) (record.Receipt, error) {
	return record.Receipt{}, f()
}

// TestNothingReadsABodyThatWasNotRecorded has the log refuse a record that is still being made of a file: it is read no more when that is known,
// because files and memory are used otherwise then.
func TestNothingReadsABodyThatWasNotRecorded(t *testing.T) {
	f := &slowBody{begun: make(chan struct{}), release: make(chan struct{})}
	r := &Recorder{o: Options{MaxHold: time.Minute, Log: appender(func() error {
		<-f.begun
		time.AfterFunc(50*time.Millisecond, func() { close(f.release) })
		return record.ErrPushback
	})}, shared: &shared{long: make(chan struct{}, 1)}}
	c := capture.Exchange{Kind: capture.Open, Request: capture.Message{Body: capture.Body{File: f, Kept: 1 << 20, Size: 1 << 20}}}
	if _, err := r.append(&c, "", "", nil); !errors.Is(err, record.ErrPushback) || f.reading.Load() {
		t.Errorf("%v, and it is being read: %v", err, f.reading.Load())
	}
}
