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

// filled is a log of 600 records with several heads.
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
	if r.Records != 599 || r.Checked != 599 || r.First != 1 || r.Last != 600 || r.Quarantined != 1 || r.Deferred != 0 || r.Heads != 3 || r.Extras != 1 || r.Size != 605 {
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

// forge edits a leaf, or inserts one before it, and makes the whole tree anew; only the
// signature it cannot make.
func (b *bench) forge(edit func(leaves []Leaf) []Leaf) {
	raw := b.st.data(b.path("checkpoint"))
	leaves := edit(b.leaves())
	f := &bench{t: b.t, key: b.key, st: newMemStore(), d: tempDisk(b.t)}
	l := f.open()
	for i := range leaves {
		l.state.pending = append(l.state.pending, leaves[i].Encode())
	}
	b.do(l.Checkpoint(b.t.Context()))
	for _, k := range f.st.keys() {
		if !strings.Contains(k, "/history/") {
			b.st.put(k, f.st.data(k))
		}
	}
	b.st.put(b.path("checkpoint"), raw)
}

func TestTampering(t *testing.T) {
	pristine := filled(t)
	pristine.clean()
	history := func(b *bench) []string {
		return slices.DeleteFunc(b.st.keys(), func(k string) bool { return !strings.Contains(k, "/history/") })
	}
	older := func(b *bench) []byte { return b.st.data(history(b)[0]) }
	for _, c := range []struct {
		name   string
		tamper func(b *bench)
		seq    record.Seq // that a fault must name, if any
		want   string     // in that fault
		object string
		opt    func(b *bench) VerifyOptions
	}{
		{name: "object deleted", tamper: func(b *bench) { b.st.remove(b.key5()) }, seq: 5, want: "missing", object: pristine.key5()},
		{name: "one bit changed", tamper: func(b *bench) { b.flip(b.key5(), 3) }, seq: 5, want: "changed", object: pristine.key5()},
		{name: "truncated", tamper: func(b *bench) { b.st.put(b.key5(), b.st.data(b.key5())[:4]) }, seq: 5, want: "truncated", object: pristine.key5()},
		{name: "appended to", tamper: func(b *bench) { b.st.put(b.key5(), append(bytes.Clone(b.st.data(b.key5())), '\n')) }, seq: 5, want: "more than"},
		{name: "swapped with another", tamper: func(b *bench) {
			five, six := b.st.data(b.key5()), b.st.data(b.outcomeKey(6))
			b.st.put(b.key5(), six)
			b.st.put(b.outcomeKey(6), five)
		}, seq: 6, want: "changed"},
		{name: "full bundle deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/entries/000")) }, want: "leaves 0 to 255", object: pristine.path("tile/entries/000")},
		{name: "partial bundle deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/entries/002.p/93")) }, want: "leaves 512 to 604"},
		{name: "full tile deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/0/001")) }, want: "missing", object: pristine.path("tile/0/001")},
		{name: "partial tile deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/0/002.p/93")) }, want: "missing"},
		{name: "upper tile deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/1/000.p/2")) }, want: "missing", object: pristine.path("tile/1/000.p/2")},
		{name: "full tile changed", tamper: func(b *bench) { b.flip(b.path("tile/0/001"), 100) }, want: "tile was changed", object: pristine.path("tile/0/001")},
		{name: "partial tile changed", tamper: func(b *bench) { b.flip(b.path("tile/0/002.p/93"), 100) }, want: "tile was changed"},
		{name: "upper tile changed", tamper: func(b *bench) { b.flip(b.path("tile/1/000.p/2"), 40) }, want: "tile was changed"},
		{name: "leaf changed in its bundle", tamper: func(b *bench) {
			k := b.path("tile/entries/000")
			b.st.put(k, bytes.Replace(b.st.data(k), []byte(`_id5.json"`), []byte(`_id6.json"`), 1))
		}, seq: 5, want: "leaf 5 was changed", object: pristine.path("tile/entries/000")},
		{name: "leaf changed in the last bundle", tamper: func(b *bench) {
			k := b.path("tile/entries/002.p/93")
			b.st.put(k, bytes.Replace(b.st.data(k), []byte(`_id590.json"`), []byte(`_id591.json"`), 1))
		}, seq: 590, want: "was changed"},
		{name: "leaf and object changed, tiles made anew", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf {
				b.st.put(b.key5(), []byte("forged"))
				leaves[5].Size, leaves[5].Digest = 6, record.Digest(tlogSum("forged"))
				return leaves
			})
		}, want: "among the first 304"},
		{name: "the same, late in the log", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf { leaves[500].Source = "somebody"; return leaves })
		}, want: "agrees with that of size 304: a leaf from 304 to 604"},
		{name: "record injected", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf { return slices.Insert(leaves, 10, leaves[9]) })
		}, seq: 9, want: "out of order"},
		{name: "record taken out of the log", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf {
				tick := Leaf{Kind: Tick, Seq: leaves[9].Seq, Time: leaves[9].Time}
				return append(slices.Delete(leaves, 10, 11), tick)
			})
		}, seq: 10, want: "records 10 to 10 are missing from the log"},
		{name: "checkpoint missing", tamper: func(b *bench) { b.st.remove(b.path("checkpoint")) }, want: "the checkpoint is missing"},
		{name: "checkpoint is nonsense", tamper: func(b *bench) { b.st.put(b.path("checkpoint"), []byte("hello")) }, want: "parse checkpoint"},
		{name: "older checkpoint, seen in history", tamper: func(b *bench) { b.st.put(b.path("checkpoint"), older(b)) }, want: "replaced by an older one"},
		{name: "consistent rollback, seen by a kept head", tamper: func(b *bench) {
			b.st.put(b.path("checkpoint"), older(b))
			b.st.remove(history(b)[1])
		}, opt: func(b *bench) VerifyOptions {
			return VerifyOptions{Kept: []KeptHead{{"kept.txt", pristine.st.data(b.path("checkpoint"))}}}
		}, want: "put back to an older state", object: "kept.txt"},
		{name: "consistent rollback, seen by the data directory", tamper: func(b *bench) {
			b.st.put(b.path("checkpoint"), older(b))
			b.st.remove(history(b)[1])
		}, opt: func(b *bench) VerifyOptions {
			head, _, err := LastPublished(pristine.d)
			b.do(err)
			return VerifyOptions{Kept: []KeptHead{{"data directory", head}}}
		}, want: "put back to an older state", object: "data directory"},
		{name: "signed by a stranger", tamper: func(b *bench) {
			stranger, _ := GenerateKey("test-log")
			head, err := ParseHead(b.st.data(b.path("checkpoint")))
			b.do(err)
			raw, err := head.sign(stranger.signer())
			b.do(err)
			b.st.put(b.path("checkpoint"), raw)
		}, want: "does not bear the log's signature", object: pristine.path("checkpoint")},
		{name: "signature cut out", tamper: func(b *bench) {
			raw := string(b.st.data(b.path("checkpoint")))
			b.st.put(b.path("checkpoint"), []byte(raw[:strings.Index(raw, "—")]))
		}, want: "signature"},
		{name: "log forked: another tree signed with the key", tamper: func(b *bench) {
			f := &bench{t: b.t, key: b.key, st: b.st, d: tempDisk(b.t)}
			leaves := b.leaves()
			leaves[400].Source = "other"
			f.st = newMemStore()
			l := f.open()
			for i := range leaves {
				l.state.pending = append(l.state.pending, leaves[i].Encode())
			}
			b.do(l.Checkpoint(b.t.Context()))
			for _, k := range f.st.keys() {
				if !strings.Contains(k, "/history/") {
					b.st.put(k, f.st.data(k))
				}
			}
		}, want: "is not the one that the signed head", object: pristine.path(historyName(605))},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *pristine
			b.t, b.st = t, pristine.st.clone()
			c.tamper(&b)
			o := VerifyOptions{}
			if c.opt != nil {
				o = c.opt(&b)
			}
			r := b.verify(o)
			for _, f := range r.Faults {
				if f.Seq == c.seq && strings.Contains(f.What, c.want) && strings.Contains(f.Object, c.object) {
					return
				}
			}
			t.Errorf("want a fault of record %d with %q, got %v", c.seq, c.want, r.Faults)
		})
	}
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
	b.do(l.life(Leaf{Kind: Tick}))
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

func TestVerifyLifecycleSense(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 11, 24, h, 0, 0, 0, time.UTC) }
	for want, leaves := range map[string][]Leaf{
		"nothing says what became of it": {{Kind: Start, Time: at(1)}, {Kind: Start, Time: at(2)}, {Kind: Stop, Time: at(2)}},
		"said nothing for 1h0m0s":        {{Kind: Start, Time: at(1)}, {Kind: Tick, Time: at(2)}, {Kind: Stop, Time: at(2)}},
		"it was no stop":                 {{Kind: Start, Time: at(1)}},
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
		if r := b.clean(); r.Heads != 6 {
			t.Errorf("with key %d: %d heads", i, r.Heads)
		}
	}
	b.key = keys[0] // a key that was replaced signs no more
	head, err := ParseHead(b.st.data(b.path("checkpoint")))
	b.do(err)
	raw, err := head.sign(keys[0].signer())
	b.do(err)
	b.st.put(b.path("checkpoint"), raw)
	if r := b.verify(VerifyOptions{}); r.OK() {
		t.Error("a head signed by a key that was replaced passes")
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
