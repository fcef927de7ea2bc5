package s3api_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/layout"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store/dir"
	"indelible/internal/upload"
)

// parts are what serve puts behind the door: the spool and a directory store.
type parts struct {
	spool  *spool.Spool
	reader *query.Reader
	layout layout.Objects
	store  *dir.Store
}

func newParts(t testing.TB) *parts {
	t.Helper()
	open := func() *osdisk.FS {
		fs, err := osdisk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return fs
	}
	s, err := spool.Open(open(), spool.Options{Log: "test", ReserveBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := layout.Parse("{bucket}")
	if err != nil {
		t.Fatal(err)
	}
	p := &parts{spool: s, layout: l, store: dir.Open(open())}
	p.reader = query.New(s, p.store, l)
	return p
}

// options are those of a door over the parts.
func (p *parts) options(v *sigv4.Verifier) s3api.Options {
	return s3api.Options{Spool: p.spool, Records: p.reader, Verifier: v}
}

// newRealDoor is a door over real parts, whose records stay in the spool.
func newRealDoor(t testing.TB, v *sigv4.Verifier) *s3api.Door {
	t.Helper()
	d, err := s3api.New(newParts(t).options(v))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// released is a spool that acknowledges a record when it has left for the
// store, so that every read after it is the store's answer.
type released struct{ *spool.Spool }

func (r released) Append(ctx context.Context, rec record.Record) (record.Receipt, error) {
	receipt, err := r.Spool.Append(ctx, rec)
	for err == nil && r.Released() < receipt.Seq {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return receipt, err
}

// newStoredDoor is a door over real parts, whose records are in the store when they are acknowledged.
func newStoredDoor(t testing.TB, v *sigv4.Verifier) *s3api.Door {
	t.Helper()
	p := newParts(t)
	u := upload.New(upload.Options{Source: p.spool, Store: p.store, Layout: p.layout, Log: "test", ReleaseEvery: time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := u.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	o := p.options(v)
	o.Spool = released{p.spool}
	d, err := s3api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A large body goes through in both directions without being held in memory.
func TestLargeBody(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 96 MiB")
	}
	const size = 96 << 20
	endpoint := "http://" + serve(t, newRealDoor(t, &sigv4.Verifier{Trust: true}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := http.NewRequest("PUT", endpoint+"/audit/big", io.LimitReader(&pattern{}, size))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = size
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	want := md5.New()
	_, _ = io.Copy(want, io.LimitReader(&pattern{}, size))
	if got := resp.Header.Get("Etag"); got != fmt.Sprintf(`"%x"`, want.Sum(nil)) {
		t.Errorf("ETag %s", got)
	}
	resp, err = http.Get(endpoint + "/audit/big")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := md5.New()
	if n, err := io.Copy(got, resp.Body); err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes came back: %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > size/4 {
		t.Errorf("%d bytes allocated for a body of %d", grown, size)
	}
}

// pattern is endless and the same however it is read.
type pattern struct{ at int }

func (r *pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.at * r.at >> 3)
		r.at++
	}
	return len(p), nil
}
