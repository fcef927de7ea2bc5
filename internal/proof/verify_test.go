package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

func (b *bench) verify(o VerifyOptions) Report {
	b.t.Helper()
	r, err := Verify(context.Background(), b.st, testBase, b.key.Public(), o)
	b.do(err)
	return r
}

// clean says that the log verifies.
func (b *bench) clean() Report {
	b.t.Helper()
	r := b.verify(VerifyOptions{})
	if !r.OK() {
		b.t.Errorf("not clean: %v", r.Faults)
	}
	return r
}

// filled is a log of 600 records with several checkpoints.
func filled(t *testing.T) *bench {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 300)
	b.do(l.Add(t.Context(), b.outcome(301, record.Quarantined), b.outcome(302, record.Deferred)))
	b.do(l.Stop(t.Context()))
	l = b.open()
	b.do(l.Start("p", "c", ""))
	b.do(l.Add(t.Context(), b.outcome(302, record.Stored)))
	b.add(l, 303, 600)
	b.do(l.Stop(t.Context()))
	return b
}

func (b *bench) path(name string) string { return Dir(testBase, "test-log") + name }

func (b *bench) key5() string { return b.outcomeKey(5) }

func (b *bench) outcomeKey(seq record.Seq) string {
	return fmt.Sprintf("%s2026-11-24/time-08-00-00-000000_id%d.json", testBase, seq)
}

func (b *bench) flip(key string, at int) {
	data := bytes.Clone(b.st.data(key))
	data[at] ^= 1
	b.st.put(key, data)
}

func TestVerifyClean(t *testing.T) {
	b := filled(t)
	b.st.put(testBase+"someone/else's", []byte("x"))
	r := b.clean()
	if r.Records != 599 || r.Checked != 599 || r.First != 1 || r.Last != 600 || r.Quarantined != 1 || r.Deferred != 0 || r.Checkpoints != 3 || r.Extras != 1 || r.Size != 605 {
		t.Errorf("%+v", r)
	}
	if len(r.Notices) != 2 { // the quarantined one; leaves that are hours apart, in this test's clock
		t.Logf("notices: %v", r.Notices)
	}
	t.Run("in another place, without the prefix", func(t *testing.T) {
		c := newMemStore()
		for _, k := range b.st.keys() {
			c.put("copy/"+strings.TrimPrefix(k, testBase), b.st.data(k))
		}
		r, err := Verify(t.Context(), c, "copy", b.key.Public(), VerifyOptions{})
		if err != nil || !r.OK() || r.Checked != 599 {
			t.Errorf("%v, %+v", err, r)
		}
	})
	t.Run("since", func(t *testing.T) {
		r := b.verify(VerifyOptions{Since: time.Date(2026, 11, 24, 8, 0, 0, 500, time.UTC)})
		if !r.OK() || r.Checked != 101 || r.Skipped != 498 || r.Records != 599 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("sample", func(t *testing.T) {
		r := b.verify(VerifyOptions{Sample: 20})
		if !r.OK() || r.Checked+r.Skipped != 599 || r.Checked < 30 || r.Checked > 300 {
			t.Errorf("checked %d, skipped %d", r.Checked, r.Skipped)
		}
	})
	t.Run("progress", func(t *testing.T) {
		var last Progress
		b.verify(VerifyOptions{Progress: func(p Progress) { last = p }})
		if last.Leaves != 605 || last.Size != 605 {
			t.Errorf("%+v", last)
		}
	})
}

func tlogSum(s string) tlog.Hash {
	return sha256.Sum256([]byte(s))
}

func TestVerifyReportsGapAndRemoved(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 3)
	b.do(l.Gap(t.Context(), record.GapError{First: 4, Last: 6, Cause: "bad block"}))
	b.do(l.lifecycle(Leaf{Kind: Tick}))
	l.mu.Lock()
	l.append(&Leaf{Kind: Removed, First: 2, Last: 2, Time: time.Now(), Reason: "retention"})
	l.mu.Unlock()
	b.do(l.Stop(t.Context()))
	b.st.remove(b.outcomeKey(2))
	r := b.verify(VerifyOptions{})
	if r.FaultCount != 1 || r.Gaps != 3 || !strings.Contains(r.Faults[0].What, "records 4 to 6 are lost") {
		t.Errorf("%+v", r)
	}
	if !slices.ContainsFunc(r.Notices, func(f Fault) bool { return f.Seq == 2 && strings.Contains(f.What, "retention") }) {
		t.Errorf("notices %v", r.Notices)
	}
}

func TestVerifyLifecycle(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 11, 24, h, 0, 0, 0, time.UTC) }
	for want, leaves := range map[string][]Leaf{
		"nothing says what became of it": {{Kind: Start, Time: at(1)}, {Kind: Start, Time: at(2)}, {Kind: Stop, Time: at(2)}},
		"said nothing for 1h0m0s":        {{Kind: Start, Time: at(1)}, {Kind: Tick, Time: at(2)}, {Kind: Stop, Time: at(2)}},
		"does not begin with a start":    {{Kind: Tick, Time: at(1)}, {Kind: Stop, Time: at(1)}},
		"speaks of a crash":              {{Kind: Start, Time: at(1)}, {Kind: Stop, Time: at(1)}, {Kind: Recovered, Time: at(1)}, {Kind: Start, Time: at(1)}, {Kind: Stop, Time: at(1)}},
	} {
		b := newBench(t)
		l := b.open()
		for i := range leaves {
			l.append(&leaves[i])
		}
		b.do(l.Checkpoint(t.Context()))
		r := b.clean()
		if !slices.ContainsFunc(r.Notices, func(f Fault) bool { return strings.Contains(f.What, want) }) {
			t.Errorf("want %q, got %v", want, r.Notices)
		}
	}
}

// OK and complete are two words: a log that lacks records, by its own words, or that fell silent is not complete.
func TestVerifyComplete(t *testing.T) {
	at := time.Now().Add(-48 * time.Hour)
	start, stop, tick := Leaf{Kind: Start, Time: at}, Leaf{Kind: Stop, Time: at}, Leaf{Kind: Tick, Time: at}
	for _, c := range []struct {
		name   string
		leaves []Leaf
		opt    VerifyOptions
		want   string // in the reason; "": complete
	}{
		{"stopped long ago", []Leaf{start, stop}, VerifyOptions{}, ""},
		{"stopped too long ago", []Leaf{start, stop}, VerifyOptions{MaxAge: time.Hour}, "more than 1h0m0s"},
		{"silent for two days", []Leaf{start, tick}, VerifyOptions{}, "it was no stop"},
		{"silent, and allowed to be", []Leaf{start, tick}, VerifyOptions{MaxAge: 72 * time.Hour}, ""},
		{"alive", []Leaf{start, {Kind: Tick, Time: time.Now()}}, VerifyOptions{MaxAge: time.Hour}, ""},
		{"deferred", []Leaf{start, {Kind: Deferred, Seq: 1, Time: at, SentKey: "k", Reason: "500"}, {Kind: Stop, Seq: 1, Time: at}}, VerifyOptions{}, "1 deferred"},
		{"quarantined", []Leaf{start, {Kind: Quarantined, Seq: 1, Time: at, SentKey: "k", Reason: "too large"}, {Kind: Stop, Seq: 1, Time: at}}, VerifyOptions{}, "1 quarantined"},
		{"attributes not asked for", []Leaf{start, stop}, VerifyOptions{NoAttrs: true}, "as asked"},
	} {
		b := newBench(t)
		l := b.open()
		for i := range c.leaves {
			l.append(&c.leaves[i])
		}
		b.do(l.Checkpoint(t.Context()))
		r := b.verify(c.opt)
		why := strings.Join(r.Incomplete, "; ")
		if !r.OK() || r.Complete() != (c.want == "") || !strings.Contains(why, c.want) {
			t.Errorf("%s: ok %v, complete %v: %s; %v", c.name, r.OK(), r.Complete(), why, r.Faults)
		}
	}
}

func TestVerifyAcrossRotation(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 3)
	b.do(l.Checkpoint(t.Context()))
	keys := []Key{b.key}
	for range 2 {
		next, err := GenerateKey("test-log")
		b.do(err)
		b.do(l.Rotate(t.Context(), next))
		keys = append(keys, next)
		last := l.Next()
		b.add(l, last, last)
		b.do(l.Stop(t.Context()))
	}
	for i, k := range keys {
		b.key = k
		if r := b.clean(); r.Checkpoints != 6 {
			t.Errorf("with key %d: %d checkpoints", i, r.Checkpoints)
		}
	}
	b.key = keys[0] // a key that was replaced signs no more
	cp, err := ParseCheckpoint(b.st.data(b.path("checkpoint")))
	b.do(err)
	raw, err := cp.sign(context.Background(), keys[0])
	b.do(err)
	b.st.put(b.path("checkpoint"), raw)
	if r := b.verify(VerifyOptions{}); r.OK() {
		t.Error("a checkpoint signed by a key that was replaced passes")
	}
}

func TestVerifyVersions(t *testing.T) {
	b := newBench(t)
	b.st.versioned = true
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 4)
	b.do(l.Stop(t.Context()))
	b.st.put(b.outcomeKey(2), []byte("on top"))
	b.st.remove(b.outcomeKey(3))
	r := b.clean()
	var got []string
	for _, f := range r.Notices {
		if f.Seq == 2 || f.Seq == 3 {
			got = append(got, fmt.Sprint(f.Seq, f.What))
		}
	}
	if r.Checked != 4 || len(got) != 2 || !strings.Contains(got[0], "on top") || !strings.Contains(got[1], "delete marker") {
		t.Errorf("%d checked; %q", r.Checked, got)
	}
	b.st.mu.Lock()
	b.st.objects[b.outcomeKey(2)][0].data = nil
	b.st.mu.Unlock()
	if r := b.verify(VerifyOptions{}); r.FaultCount != 1 || r.Faults[0].Seq != 2 {
		t.Errorf("the version is gone: %v", r.Faults)
	}
}

// A store that cannot be reached is no fault of the log.
func TestVerifyCannotLook(t *testing.T) {
	b := filled(t)
	if _, err := Verify(t.Context(), deniedStore{b.st}, testBase, b.key.Public(), VerifyOptions{}); store.ClassOf(err) != store.Credentials {
		t.Errorf("got %v", err)
	}
	if _, err := Verify(t.Context(), b.st, testBase, "no key", VerifyOptions{}); err == nil {
		t.Error("a key that is none is taken")
	}
	stranger, _ := GenerateKey("other-log")
	if r, err := Verify(t.Context(), b.st, testBase, stranger.Public(), VerifyOptions{}); err != nil || r.OK() {
		t.Errorf("a log that is not there verifies: %v", err)
	}
}
