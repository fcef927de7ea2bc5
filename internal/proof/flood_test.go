package proof

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"

	"indelible/internal/store"
)

// Whoever can write to the bucket can fill history/: neither large objects nor many take memory without a bound,
// and what was not compared is told.
func TestFloodedHistory(t *testing.T) {
	b := filled(t)
	text := []byte("test-log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— test-log AAAAAA==\n")
	large := append(bytes.Clone(text), bytes.Repeat([]byte("— x AAAAAA==\n"), 1<<20)...)
	for i := range 64 { // 15 MiB each, all in one piece of memory
		b.st.put(b.path(fmt.Sprintf("history/9%019d", i)), large)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := b.verify(VerifyOptions{})
	runtime.ReadMemStats(&after)
	if !r.OK() || r.NoticeN < 64 {
		t.Errorf("faults %v, %d notices", r.Faults[:min(3, len(r.Faults))], r.NoticeN)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}

	v := &verifier{key: b.key.public}
	v.findings.report = &v.report
	for range 2 * maxKept / (len(text) + keptEach) {
		v.addCheckpoint("x", text, history, v.start)
	}
	if v.unkept == 0 || v.addCheckpoint("x", text, current, v.start) == nil {
		t.Errorf("%d of %d were left out", v.unkept, len(v.checkpoints))
	}
}

// crowdedStore lists very many names in history/, and twice as many other logs as are looked at.
type crowdedStore struct{ *memStore }

func (s crowdedStore) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	n, name := 0, ""
	switch {
	case strings.HasSuffix(o.Prefix, "/history/"):
		n, name = maxNames+10, "%09d"
	case strings.HasSuffix(o.Prefix, "_indelible/"):
		n, name = 2*listed, "x%09d/"
	}
	return func(yield func(store.Info, error) bool) {
		for info, err := range s.memStore.List(ctx, o) {
			if !yield(info, err) {
				return
			}
		}
		for i := range n {
			if !yield(store.Info{Key: o.Prefix + fmt.Sprintf(name, i), Prefix: o.Delimiter != ""}, nil) {
				return
			}
		}
	}
}

// Neither names in history/ nor other logs are looked at without a bound, and what was not looked at is told.
func TestCrowdedBucket(t *testing.T) {
	b := filled(t)
	usual := b.clean()
	r, err := Verify(t.Context(), crowdedStore{b.st}, testBase, b.key.Public(), VerifyOptions{})
	b.do(err)
	if !r.OK() || len(r.Incomplete) != len(usual.Incomplete)+1 || len(r.OtherLogs) != listed || r.NoticeN != usual.NoticeN+1 {
		t.Errorf("faults %v, incomplete %v, %d other logs, notices %v", r.Faults, r.Incomplete, len(r.OtherLogs), r.Notices)
	}
	older := thinned{stride: 1}
	const versions = 1_000_000
	for i := range versions {
		older.add(keptObject{version: fmt.Sprint(i)})
	}
	list := append(older.newest, older.rest...)
	if n := len(list); n < newestVersions+sparseVersions || n > newestVersions+2*sparseVersions {
		t.Errorf("%d versions", n)
	}
	last := 0
	for i, o := range list {
		var n int
		_, err := fmt.Sscan(o.version, &n)
		b.do(err)
		if i < newestVersions && n != i || n-last > versions/sparseVersions {
			t.Fatalf("version %d after %d", n, last)
		}
		last = n
	}
	if versions-last > versions/sparseVersions {
		t.Errorf("none after %d", last)
	}
}
