package indelible

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"indelible/internal/recorder"
)

// Transport is an http.RoundTripper that records each exchange with a model
// provider in the log: docs/format/exchange.md is what the records hold. Credentials are never recorded,
// only a keyed HMAC of them.
//
// Strict, which is the default, RoundTrip sends nothing before the request is durable, and Read of the answer's
// body gives its end (io.EOF, and of an answer of known length the last bytes) only after the answer is
// durable; where there is no room on the disk for 20 seconds the call fails, before it is made if possible. An answer
// that is closed before its end, or whose request's context ends, is recorded as far as it was read.
//
// A request's body is read to its end before it is sent, and may have 512 MiB. It is safe for concurrent use; set the fields before.
type Transport struct {
	// Base sends the requests; nil is http.DefaultTransport. Where it undoes compression, as that does,
	// what is recorded is what the program reads.
	Base http.RoundTripper
	// Relaxed makes one record of an exchange after its end, and nobody waits for it. A crash loses
	// exchanges that are under way.
	Relaxed bool

	log *Log
}

// Transport returns a strict Transport over base. The first one of a log also makes records of the
// answers that were under way when the process before died.
func (l *Log) Transport(base http.RoundTripper) *Transport {
	return &Transport{Base: base, log: l}
}

// RoundTrip implements http.RoundTripper. An error that wraps ErrPushback or ErrClosed says that the
// exchange could not be recorded.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	r, err := t.log.exchanges.recorder(t.log)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip must; it was not read
		}
		return nil, err
	}
	return r.With(t.Base, t.Relaxed).RoundTrip(req)
}

// exchanges makes the recorder of a log, once it is needed.
type exchanges struct {
	mu     sync.Mutex
	made   *recorder.Recorder // guarded by mu
	closed bool               // guarded by mu
}

// recoverPatience bounds how long the first call waits for room for what was under way before.
const recoverPatience = 10 * time.Second

func (e *exchanges) recorder(l *Log) (*recorder.Recorder, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("record exchanges: %w", ErrClosed)
	}
	if e.made != nil {
		return e.made, nil
	}
	r, err := recorder.New(recorder.Options{Log: l.engine, Recorded: l.engine.Recorded, Door: "lib", Data: l.engine.Data(), Logger: l.logger})
	if err != nil {
		return nil, fmt.Errorf("record exchanges: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), recoverPatience)
	defer cancel()
	if _, err := r.Recover(ctx); err != nil && l.logger != nil {
		l.logger.Error("answers that were under way when the last process ended are not recorded yet; the next process tries again", "error", err)
	}
	e.made = r
	return r, nil
}

func (e *exchanges) close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed = true; e.made == nil {
		return nil
	}
	return e.made.Close(ctx)
}
