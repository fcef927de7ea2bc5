package s3api_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/layout"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// limited is a store with S3's bounds of what goes with an object.
type limited struct {
	store.Store
	t *testing.T
}

func (l limited) Put(ctx context.Context, o store.Object) (store.Info, error) {
	for what, m := range map[string]map[string]string{"headers": o.Header, "metadata": o.Meta} {
		size := 0
		for name, value := range m {
			size += len(name) + len(value)
		}
		if size > layout.MaxMeta {
			l.t.Errorf("%s: %d bytes of %s", o.Key, size, what)
		}
	}
	return l.Store.Put(ctx, o)
}

// Headers that no store takes with an object are kept, whole, and come back; before delivery and after it.
func TestLongHeaders(t *testing.T) {
	disposition := `inline; filename="time-10-11-12-000001_resp_` + strings.Repeat("bGl0ZWxsbTpjdXN0b21f", 115) + `.json"`
	cases := map[string][]string{
		"short":       {"Content-Type", "application/json", "X-Amz-Meta-A", "1"},
		"disposition": {"Content-Disposition", disposition, "Content-Type", "application/json", "Content-Language", "en"},
		"type":        {"Content-Type", "application/json; x=" + strings.Repeat("y", 3000)},
		"metadata":    {"X-Amz-Meta-A", strings.Repeat("v", 2039)},
		"unicode":     {"X-Amz-Meta-A", strings.Repeat("\u65e5", 666), "X-Amz-Meta-B", "b"},
		"both":        {"X-Amz-Meta-A", strings.Repeat("v", 10_000), "Content-Disposition", disposition},
	}
	p := newParts(t)
	u := upload.New(upload.Options{Source: p.spool, Store: limited{p.store, t}, Layout: p.layout, Log: "test", ReleaseEvery: time.Millisecond})
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); wg.Wait() })
	d, err := s3api.New(p.options(&sigv4.Verifier{Trust: true}))
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		for name, headers := range cases {
			for _, method := range []string{"GET", "HEAD"} {
				w := do(d, method, "/audit/"+name, "")
				if w.Code != 200 {
					t.Fatalf("%s: %s %s: %d %s", when, method, name, w.Code, w.Body)
				}
				for i := 0; i < len(headers); i += 2 {
					header := headers[i]
					if strings.HasPrefix(header, "X-Amz-Meta-") {
						header = strings.ToLower(header)
					}
					if got := sent(w, header); got != headers[i+1] {
						t.Errorf("%s: %s %s: %s is %d bytes: %.60q", when, method, name, header, len(got), got)
					}
				}
			}
		}
	}
	for name, headers := range cases {
		for range 2 { // sent again: known
			if w := do(d, "PUT", "/audit/"+name, "hello", headers...); w.Code != 200 {
				t.Fatalf("%s: %d %s", name, w.Code, w.Body)
			}
		}
	}
	check("pending")
	wg.Go(func() { _ = u.Run(ctx) })
	if err := u.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := p.spool.Stats(); s.Quarantined != 0 || s.Deferred != 0 || s.Pending != 0 {
		t.Errorf("%+v", s)
	}
	check("stored")
	if n := p.spool.Stats().Acked; int(n) != len(cases)+5 {
		t.Errorf("%d records for %d, 5 of them with long headers", n, len(cases))
	}
}
