package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"indelible/internal/record"
)

// An audit from a checkpoint reads what is new, at any size of the tree before.
func TestVerifyFrom(t *testing.T) {
	for _, size := range []int{1, 2, 255, 256, 257, 511, 512, 1000} {
		b := newBench(t)
		l := b.open()
		b.do(l.Start("p", "c", ""))
		b.add(l, 1, record.Seq(size-1))
		b.do(l.Checkpoint(t.Context()))
		from := KeptCheckpoint{"kept", b.st.data(b.path("checkpoint"))}
		if r := b.verify(VerifyOptions{From: from}); !r.OK() || r.From != uint64(size) || r.Checked != 0 {
			t.Errorf("size %d, nothing new: %+v", size, r)
		}
		b.add(l, record.Seq(size), record.Seq(size+299))
		b.do(l.Stop(t.Context()))
		b.st.gets = 0
		r := b.verify(VerifyOptions{From: from})
		if !r.OK() || !r.Complete() || r.From != uint64(size) || r.Checked != 300 || r.Size != uint64(size+301) || r.First != record.Seq(size) {
			t.Errorf("size %d: %+v", size, r)
		}
		b.st.remove(b.outcomeKey(record.Seq(size + 7)))
		if r := b.verify(VerifyOptions{From: from}); r.FaultCount != 1 || r.Faults[0].Seq != record.Seq(size+7) {
			t.Errorf("size %d, a new object is gone: %v", size, r.Faults)
		}
	}
}

// It is as sound as the whole: what changes the log before the checkpoint, or behind it, shows.
func TestVerifyFromIsSound(t *testing.T) {
	pristine := filled(t) // checkpoints of 304 and 605 leaves
	from := KeptCheckpoint{"kept", pristine.older()}
	for name, c := range map[string]struct {
		tamper func(b *bench)
		from   []byte
		want   string
	}{
		"tree rebuilt with another leaf before": {func(b *bench) {
			b.resign(func(leaves []Leaf) []Leaf { leaves[100].Source = "other"; return leaves })
		}, nil, "two trees of size 605 were signed"},
		"leaf changed behind": {func(b *bench) {
			k := b.path("tile/entries/001")
			b.st.put(k, []byte(strings.Replace(string(b.st.data(k)), "_id400.json", "_id401.json", 1)))
		}, nil, "was changed"},
		"bucket put back to before": {func(b *bench) {
			b.st.put(b.path("checkpoint"), b.older())
			b.st.remove(b.history()[1])
		}, pristine.st.data(pristine.path("checkpoint")), "put back to an older state"},
		"checkpoint of a stranger": {func(b *bench) {}, func() []byte {
			stranger, err := GenerateKey("test-log")
			pristine.do(err)
			cp, err := ParseCheckpoint(from.Checkpoint)
			pristine.do(err)
			raw, err := cp.sign(context.Background(), stranger)
			pristine.do(err)
			return raw
		}(), "does not bear the log's signature"},
		"leaves before the edge changed": {func(b *bench) {
			b.flip(b.path("tile/0/001"), 100)
			b.flip(b.path("tile/0/001.p/48"), 100)
		}, nil, "is not, or no longer, the one"},
	} {
		b := *pristine
		b.t, b.st = t, pristine.st.clone()
		c.tamper(&b)
		f := from
		if c.from != nil {
			f.Checkpoint = c.from
		}
		r := b.verify(VerifyOptions{From: f})
		if !slices.ContainsFunc(r.Faults, func(f Fault) bool { return strings.Contains(f.What, c.want) }) {
			t.Errorf("%s: want %q, got %v", name, c.want, r.Faults)
		}
	}
	// A record that was parked before and stored since is no fault.
	if r := pristine.verify(VerifyOptions{From: from}); !r.OK() || r.Checked != 299 {
		t.Errorf("%d checked, %v", r.Checked, r.Faults)
	}
}

func TestVerifyClock(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	now := time.Now()
	for seq, at := range []time.Time{now, now.Add(-72 * time.Hour), now.Add(72 * time.Hour)} {
		o := b.outcome(record.Seq(seq+1), record.Stored)
		o.Time = at
		b.do(l.Add(t.Context(), o))
	}
	b.do(l.Stop(t.Context()))
	r := b.clean()
	if c := r.Clock; c.Compared != 3 || c.Late != 1 || c.Early != 1 || c.MaxEarly < 71*time.Hour {
		t.Errorf("%+v", c)
	}
	for _, want := range []string{"older than the arrival", "after their records arrived", "the writer's clock was ahead"} {
		if !slices.ContainsFunc(r.Notices, func(f Fault) bool { return strings.Contains(f.What, want) }) {
			t.Errorf("want %q, got %v", want, r.Notices)
		}
	}
}

// What comes back of a gap is told, and is no loss; its second leaf counts once.
func TestVerifyGapThatCameBack(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 3)
	b.do(l.Gap(t.Context(), record.GapError{First: 4, Last: 4, Cause: "bad block"}))
	b.do(l.Add(t.Context(), b.outcome(4, record.Stored)))
	b.do(l.Add(t.Context(), b.outcome(4, record.Stored)))
	b.add(l, 5, 5)
	b.do(l.Stop(t.Context()))
	if r := b.clean(); r.Records != 5 || r.Gaps != 0 || r.CameBack != 1 {
		t.Errorf("%+v", r)
	}
}

func TestVerifyAfterStop(t *testing.T) {
	b := newBench(t)
	said(Leaf{Kind: Stop, Seq: 3}, Leaf{Kind: Deferred, Seq: 4, SentKey: "k", Reason: "500"})(b)
	if r := b.clean(); !slices.ContainsFunc(r.Notices, func(f Fault) bool { return strings.Contains(f.What, "after its writer had stopped") }) {
		t.Errorf("%v", r.Notices)
	}
}

// Junk in history/ is told, and is no fault for ever.
func TestJunkInHistory(t *testing.T) {
	b := filled(t)
	b.st.put(b.path("history/zzz"), []byte("hello"))
	stranger, err := GenerateKey("test-log")
	b.do(err)
	raw, err := Checkpoint{Log: "test-log", Size: 1 << 40}.sign(context.Background(), stranger)
	b.do(err)
	b.st.put(b.path(historyName(1<<40)), raw)
	b.st.gets = 0
	r := b.clean()
	if b.st.gets > 1000 {
		t.Errorf("%d reads", b.st.gets)
	}
	for _, want := range []string{"parse checkpoint", "nothing was concluded from it"} {
		if !slices.ContainsFunc(r.Notices, func(f Fault) bool { return strings.Contains(f.What, want) }) {
			t.Errorf("want %q, got %v", want, r.Notices)
		}
	}
}

func TestConfidence(t *testing.T) {
	for _, c := range []struct{ checked, all, want int64 }{{0, 100, 100}, {100, 100, 0}, {100, 10_000, 299}, {5000, 10_000, 5}} {
		if got := confidence(c.checked, c.all); got.MaxBad != c.want || got.Level != 0.95 {
			t.Errorf("%d of %d: %+v, want %d", c.checked, c.all, got, c.want)
		}
	}
}

// Beyond what is held exactly, names are in a filter that forgets none.
func TestNameSetFilter(t *testing.T) {
	s := newNameSet()
	s.exact = make([]uint64, exactNames-10, exactNames)
	for i := range 1000 {
		s.add(fmt.Sprint("name", i))
	}
	s.seal()
	if s.filter == nil || s.overlooked() <= 0 {
		t.Fatal("no filter")
	}
	wrong := 0
	for i := range 1000 {
		if !s.has(fmt.Sprint("name", i)) {
			t.Fatalf("name %d is forgotten", i)
		}
		if s.has(fmt.Sprint("other", i)) {
			wrong++
		}
	}
	if wrong > 50 {
		t.Errorf("%d of 1000 other names are taken for ours", wrong)
	}
}
