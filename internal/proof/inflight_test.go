package proof

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"indelible/internal/record"
	"indelible/internal/store"
)

// watchedStore counts how many large bodies are read at once. The first read of each waits a little for others.
type watchedStore struct {
	*memStore
	large int64 // from so many bytes on

	mu          sync.Mutex
	active, max int
}

func (w *watchedStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	body, info, err := w.memStore.Get(ctx, key, o)
	if err == nil && info.Size >= w.large {
		body = &watchedBody{ReadCloser: body, of: w}
	}
	return body, info, err
}

type watchedBody struct {
	io.ReadCloser
	of   *watchedStore
	read bool
}

func (b *watchedBody) count(n int) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.active += n
	b.of.max = max(b.of.max, b.of.active)
}

func (b *watchedBody) Read(p []byte) (int, error) {
	if !b.read {
		b.read = true
		b.count(1)
		time.Sleep(20 * time.Millisecond)
	}
	return b.ReadCloser.Read(p)
}

func (b *watchedBody) Close() error {
	if b.read {
		b.count(-1)
	}
	return b.ReadCloser.Close()
}

// Whoever can write to the bucket can put a bundle of 16 MiB in the place of each: they are not fetched ahead of their turn, where
// 48, and of reconcile 256, would be in memory together.
func TestLargeBundlesAreReadInTurn(t *testing.T) {
	b := newBench(t)
	b.st.put(testBase+"k", body(1))
	l := b.open()
	b.do(l.Start("p", "c", ""))
	for seq := record.Seq(1); seq <= 8*width; seq++ {
		b.do(l.Add(t.Context(), b.outcomeAt(seq, "k")))
	}
	b.do(l.Checkpoint(t.Context()))
	b.clean()
	leaves := make([][]byte, width)
	for i := range leaves {
		leaves[i] = bytes.Repeat([]byte("x"), 6000) // 1.5 MB a bundle: more than its share
	}
	large := encodeBundle(leaves)
	for _, k := range b.st.keys() {
		if strings.Contains(k, "tile/entries/") && !strings.Contains(k, ".p/") {
			b.st.put(k, large)
		}
	}
	st := &watchedStore{memStore: b.st, large: int64(len(large))}
	r, err := Verify(t.Context(), st, testBase, b.key.Public(), VerifyOptions{})
	b.do(err)
	if r.FaultCount < 8*width || st.max != 1 {
		t.Errorf("%d faults, and %d large bundles were read at once", r.FaultCount, st.max)
	}
	st.max = 0
	rd := newReader(st, testBase, "test-log")
	for next := range rd.blocks(t.Context(), 0, r.Size, 256, false) {
		next.take()
	}
	if st.max != 1 {
		t.Errorf("%d large bundles were read at once", st.max)
	}
}

// Reconcile reads records for their ids only so many bytes of them at a time.
func TestReconcileHoldsFewBodies(t *testing.T) {
	b := newBench(t)
	st := &watchedStore{memStore: b.st, large: 1}
	c := reconciling{reader: newReader(st, testBase, "test-log"), bodies: semaphore.NewWeighted(25)}
	data := []byte(`{"id":"x"}`)
	b.st.put("k", data)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ids, err := c.idsInside(t.Context(), &Leaf{Kind: Record, Key: "k", Size: int64(len(data)), Digest: record.Digest(tlogSum(string(data)))})
			if err != nil || len(ids) != 1 {
				t.Errorf("%v, %v", ids, err)
			}
		})
	}
	wg.Wait()
	if st.max != 2 {
		t.Errorf("%d bodies were read at once", st.max)
	}
}

// What a report quotes of the bucket takes bounded memory.
func TestFaultsAreBounded(t *testing.T) {
	b := filled(t)
	for _, name := range []string{"1", "2"} {
		b.st.put(b.path("history/"+name), []byte("test-log\n"+strings.Repeat("9", 200_000)+"\nx\n\n— test-log AAAAAA==\n"))
		b.st.put(b.path("history/x"+name), []byte(strings.Repeat("é", 100_000)+"\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— test-log AAAAAA==\n"))
	}
	r := b.clean()
	if len(r.Notices) < 4 {
		t.Errorf("%d notices", len(r.Notices))
	}
	for _, n := range r.Notices {
		if len(n.What) > maxWhat+3 {
			t.Errorf("a notice of %d bytes", len(n.What))
		}
	}
}
