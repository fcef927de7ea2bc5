package s3api_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/store"
)

// absent is a store that cannot be reached.
type absent struct {
	store.Store
	class store.Class
}

func (a absent) err(op, key string) error {
	return &store.Error{Op: op, Key: key, Class: a.class, Err: errors.New("connection refused")}
}

func (a absent) Head(_ context.Context, key string, _ store.GetOptions) (store.Info, error) {
	return store.Info{}, a.err("head", key)
}

func (a absent) Get(_ context.Context, key string, _ store.GetOptions) (io.ReadCloser, store.Info, error) {
	return nil, store.Info{}, a.err("get", key)
}

func (a absent) List(context.Context, store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) { yield(store.Info{}, a.err("list", "")) }
}

// While the destination is away, what is in the spool is read, and whoever asks for more is told to come back.
func TestDestinationAway(t *testing.T) {
	for _, class := range []store.Class{store.Unknown, store.Throttled, store.Credentials, store.Configuration, store.Unreachable, store.Ambiguous} {
		p := newParts(t)
		o := p.options(&sigv4.Verifier{Trust: true})
		o.Records = query.New(p.spool, absent{class: class}, p.layout)
		d, err := s3api.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if w := do(d, "PUT", "/audit/here", "hello"); w.Code != 200 {
			t.Fatalf("%v: PUT: %d %s", class, w.Code, w.Body)
		}
		if w := do(d, "GET", "/audit/here", ""); w.Code != 200 || w.Body.String() != "hello" {
			t.Errorf("%v: GET of a pending record: %d %s", class, w.Code, w.Body)
		}
		for _, tt := range [][]string{
			{"GET", "/audit/unknown"}, {"HEAD", "/audit/unknown"}, {"GET", "/audit"}, {"GET", "/audit?list-type=2"},
			{"PUT", "/audit/unknown", "If-None-Match", "*"}, {"PUT", "/audit/unknown", "If-Match", `"x"`},
		} {
			w := do(d, tt[0], tt[1], "", tt[2:]...)
			if w.Code != 503 || w.Header().Get("Retry-After") == "" || tt[0] != "HEAD" && code(w) != "SlowDown" {
				t.Errorf("%v: %v: %d %v %s", class, tt, w.Code, w.Header(), w.Body)
			}
		}
	}
}

// asleep answers nothing before its caller gives up.
type asleep struct{ s3api.Records }

func (asleep) Find(ctx context.Context, _, _ string) (record.Entry, bool, error) {
	<-ctx.Done()
	return record.Entry{}, false, ctx.Err()
}

// A destination that does not answer is waited for no longer than a spool that has no room.
func TestDestinationSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, &memory{}, func(o *s3api.Options) { o.Records = asleep{} })
		begun := time.Now()
		for _, method := range []string{"GET", "PUT"} {
			if w := do(d, method, "/audit/k", "", "If-Match", "x"); w.Code != 503 || code(w) != "SlowDown" {
				t.Errorf("%s: %d %s", method, w.Code, w.Body)
			}
		}
		if took := time.Since(begun); took != 2*s3api.DefaultMaxHold {
			t.Errorf("answered after %v", took)
		}
	})
}
