package proof

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"indelible/internal/record"
)

// tampering is one way to change a log in its bucket, and what the verifiers must say of it.
type tampering struct {
	name string
	// make builds a log of its own; nil: a copy of the one that filled makes.
	make   func(b *bench)
	tamper func(b *bench)

	seq        record.Seq // that a fault must name, if any
	want       string     // in that fault
	object     string     // in the name of its object
	demand     bool       // the cosignatures of b.witness are demanded
	incomplete bool       // no fault: it keeps the log from being complete
	kept       func(b *bench) []byte

	fsck     bool // Tessera's checker sees it too: it is about the tree
	onlyHere bool // a copy in files cannot show it
}

// forge edits the leaves and rebuilds the whole tree; only the signature it cannot make.
func (b *bench) forge(edit func(leaves []Leaf) []Leaf) {
	raw := b.st.data(b.path("checkpoint"))
	b.resign(edit)
	b.st.put(b.path("checkpoint"), raw)
}

// resign edits the leaves and rebuilds the whole tree, signed: what only the holder of the key can do.
func (b *bench) resign(edit func(leaves []Leaf) []Leaf) {
	leaves := edit(b.leaves())
	f := &bench{t: b.t, key: b.key, st: newMemStore(), d: tempDisk(b.t)}
	l := f.open()
	l.next = b.key // for a log whose key changes
	for i := range leaves {
		l.state.pending = append(l.state.pending, leaves[i].Encode())
	}
	b.do(l.Checkpoint(b.t.Context()))
	for _, k := range f.st.keys() {
		if !strings.Contains(k, "/history/") {
			b.st.put(k, f.st.data(k))
		}
	}
}

// said is a log of three records and then these leaves, signed by its writer.
func said(leaves ...Leaf) func(b *bench) {
	return func(b *bench) {
		l := b.open()
		b.do(l.Start("p", "c", ""))
		b.add(l, 1, 3)
		for _, leaf := range leaves {
			if leaf.Time.IsZero() {
				leaf.Time = time.Now()
			}
			l.append(&leaf)
		}
		b.do(l.Stop(b.t.Context()))
	}
}

// rotated is a log of ten records whose key changes in the middle; b.key is the new one.
func rotated(b *bench) {
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 5)
	b.do(l.Checkpoint(b.t.Context()))
	next, err := GenerateKey("test-log")
	b.do(err)
	b.do(l.Rotate(b.t.Context(), next))
	b.add(l, 6, 10)
	b.do(l.Stop(b.t.Context()))
	b.old, b.key = b.key, next
}

func (b *bench) history() []string {
	return slices.DeleteFunc(b.st.keys(), func(k string) bool { return !strings.Contains(k, "/history/") })
}

func (b *bench) older() []byte { return b.st.data(b.history()[0]) }

// sign replaces the checkpoint by one that states size leaves, with these signers.
func (b *bench) sign(size uint64, signers ...Key) {
	cp, err := ParseCheckpoint(b.st.data(b.path("checkpoint")))
	b.do(err)
	cp.Size = size
	raw := []byte(cp.text() + "\n— test-log AAAAAA==\n")
	if len(signers) > 0 {
		raw, err = cp.sign(b.t.Context(), signers...)
		b.do(err)
	}
	b.st.put(b.path("checkpoint"), raw)
}

// forgedByOldKey is the log of whoever has the key that was replaced, and the
// leaf of the change, which is public.
func forgedByOldKey(b *bench) {
	rotated(b)
	var change Leaf
	for _, leaf := range b.leaves() {
		if leaf.Kind == NewKey {
			change = leaf
		}
	}
	f := &bench{t: b.t, key: b.old, st: newMemStore(), d: tempDisk(b.t)}
	l := f.open()
	f.do(l.Start("p", "c", ""))
	for seq := record.Seq(1); seq <= 5; seq++ { // as many as there were, so that the change stands at its index
		o := f.outcome(seq, record.Stored)
		o.Digest = record.Digest(tlogSum("forged"))
		o.Size = int64(len("forged"))
		f.st.put(o.Stored, []byte("forged"))
		f.do(l.Add(b.t.Context(), o))
	}
	l.append(&change)
	l.next = f.key // he has no other key to sign with
	f.do(l.Checkpoint(b.t.Context()))
	b.st = f.st
}

func tamperings() []tampering {
	other := record.Digest(tlogSum("other bytes"))
	list := []tampering{
		{name: "object deleted", tamper: func(b *bench) { b.st.remove(b.key5()) }, seq: 5, want: "missing", object: "_id5.json"},
		{name: "one bit changed", tamper: func(b *bench) { b.flip(b.key5(), 3) }, seq: 5, want: "changed", object: "_id5.json"},
		{name: "truncated", tamper: func(b *bench) { b.st.put(b.key5(), b.st.data(b.key5())[:4]) }, seq: 5, want: "truncated"},
		{name: "appended to", tamper: func(b *bench) { b.st.put(b.key5(), append(bytes.Clone(b.st.data(b.key5())), '\n')) }, seq: 5, want: "more than"},
		{name: "swapped with another", tamper: func(b *bench) {
			five, six := b.st.data(b.key5()), b.st.data(b.outcomeKey(6))
			b.st.put(b.key5(), six)
			b.st.put(b.outcomeKey(6), five)
		}, seq: 6, want: "changed"},

		{name: "metadata changed", tamper: func(b *bench) {
			b.st.describe(b.key5(), map[string]string{"content-type": "application/json"}, map[string]string{"user": "mallory", "indelible-seq": "5"})
		}, seq: 5, want: "headers or metadata were changed"},
		{name: "content type changed", tamper: func(b *bench) {
			_, meta := attrsOf(5)
			b.st.describe(b.key5(), map[string]string{"content-type": "text/html"}, meta)
		}, seq: 5, want: "headers or metadata were changed"},
		{name: "metadata added", tamper: func(b *bench) {
			header, meta := attrsOf(5)
			meta["more"] = "x"
			b.st.describe(b.key5(), header, meta)
		}, seq: 5, want: "headers or metadata were changed"},
		{name: "metadata of one object taken away", tamper: func(b *bench) { b.st.describe(b.key5(), nil, nil) }, seq: 5, want: "headers and metadata are gone"},
		{name: "metadata of all objects taken away", tamper: func(b *bench) {
			for seq := record.Seq(1); seq <= 600; seq++ {
				if seq != 301 {
					b.st.describe(b.outcomeKey(seq), nil, nil)
				}
			}
		}, want: "could not be compared", incomplete: true},

		{name: "full bundle deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/entries/000")) }, want: "leaves 0 to 255", object: "tile/entries/000", fsck: true},
		{name: "partial bundle deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/entries/002.p/93")) }, want: "leaves 512 to 604", fsck: true},
		{name: "bundle and tile deleted", tamper: func(b *bench) {
			b.st.remove(b.path("tile/entries/001"))
			b.st.remove(b.path("tile/0/001"))
		}, want: "nothing from leaf 256 on was checked", fsck: true},
		{name: "bundle cut off", tamper: func(b *bench) {
			k := b.path("tile/entries/001")
			b.st.put(k, b.st.data(k)[:500])
		}, want: "missing or damaged", object: "tile/entries/001", fsck: true},
		{name: "full tile deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/0/001")) }, want: "missing", object: "tile/0/001", fsck: true},
		{name: "partial tile deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/0/002.p/93")) }, want: "missing", fsck: true},
		{name: "upper tile deleted", tamper: func(b *bench) { b.st.remove(b.path("tile/1/000.p/2")) }, want: "missing", object: "tile/1/000.p/2", fsck: true},
		{name: "full tile changed", tamper: func(b *bench) { b.flip(b.path("tile/0/001"), 100) }, want: "tile was changed", object: "tile/0/001", fsck: true},
		{name: "partial tile changed", tamper: func(b *bench) { b.flip(b.path("tile/0/002.p/93"), 100) }, want: "tile was changed", fsck: true},
		{name: "upper tile changed", tamper: func(b *bench) { b.flip(b.path("tile/1/000.p/2"), 40) }, want: "tile was changed", fsck: true},
		{name: "leaf changed in its bundle", tamper: func(b *bench) {
			k := b.path("tile/entries/000")
			b.st.put(k, bytes.Replace(b.st.data(k), []byte(`_id5.json"`), []byte(`_id6.json"`), 1))
		}, seq: 5, want: "leaf 5 was changed", object: "tile/entries/000", fsck: true},
		{name: "leaf changed in the last bundle", tamper: func(b *bench) {
			k := b.path("tile/entries/002.p/93")
			b.st.put(k, bytes.Replace(b.st.data(k), []byte(`_id590.json"`), []byte(`_id591.json"`), 1))
		}, seq: 590, want: "was changed", fsck: true},

		{name: "leaf and object changed, tiles rebuilt", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf {
				b.st.put(b.key5(), []byte("forged"))
				leaves[5].Size, leaves[5].Digest = 6, record.Digest(tlogSum("forged"))
				return leaves
			})
		}, want: "among the first 304", fsck: true},
		{name: "the same, late in the log", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf { leaves[500].Source = "somebody"; return leaves })
		}, want: "agrees with that of size 304: a leaf from 304 to 604", fsck: true},
		{name: "record injected", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf { return slices.Insert(leaves, 10, leaves[9]) })
		}, seq: 9, want: "out of order", fsck: true},
		{name: "record taken out of the log", tamper: func(b *bench) {
			b.forge(func(leaves []Leaf) []Leaf {
				tick := Leaf{Kind: Tick, Seq: leaves[9].Seq, Time: leaves[9].Time}
				return append(slices.Delete(leaves, 10, 11), tick)
			})
		}, seq: 10, want: "record 10 is missing from the log", fsck: true},

		{name: "checkpoint missing", tamper: func(b *bench) { b.st.remove(b.path("checkpoint")) }, want: "the checkpoint is missing", fsck: true},
		{name: "checkpoint is nonsense", tamper: func(b *bench) { b.st.put(b.path("checkpoint"), []byte("hello")) }, want: "parse checkpoint", fsck: true},
		{name: "checkpoint of another log", tamper: func(b *bench) {
			b.st.put(b.path("checkpoint"), bytes.Replace(b.st.data(b.path("checkpoint")), []byte("test-log"), []byte("best-log"), 1))
		}, want: "is that of log", fsck: true},
		{name: "older checkpoint, seen in history", tamper: func(b *bench) { b.st.put(b.path("checkpoint"), b.older()) }, want: "replaced by an older one"},
		{name: "consistent rollback, seen by a kept checkpoint", tamper: func(b *bench) {
			b.st.put(b.path("checkpoint"), b.older())
			b.st.remove(b.history()[1])
		}, kept: func(b *bench) []byte { return b.st.data(b.path("checkpoint")) }, want: "put back to an older state", object: "kept"},
		{name: "rollback in a bucket that keeps versions", make: func(b *bench) {
			b.st.versioned = true
			l := b.open()
			b.do(l.Start("p", "c", ""))
			b.add(l, 1, 5)
			b.do(l.Stop(b.t.Context()))
			l = b.open()
			b.do(l.Start("p", "c", ""))
			b.add(l, 6, 9)
			b.do(l.Stop(b.t.Context()))
		}, tamper: func(b *bench) {
			b.st.put(b.path("checkpoint"), b.older())
			b.st.remove(b.history()[1]) // a delete marker: Object Lock allows it
			for seq := record.Seq(6); seq <= 9; seq++ {
				b.st.remove(b.outcomeKey(seq))
			}
		}, want: "replaced by an older one", object: "version", onlyHere: true},
		{name: "checkpoint signed by a stranger", tamper: func(b *bench) {
			stranger, err := GenerateKey("test-log")
			b.do(err)
			b.sign(605, stranger)
		}, want: "does not bear the log's signature", object: "checkpoint", fsck: true},
		{name: "signature cut out", tamper: func(b *bench) {
			raw := string(b.st.data(b.path("checkpoint")))
			b.st.put(b.path("checkpoint"), []byte(raw[:strings.Index(raw, "—")]))
		}, want: "signature", fsck: true},
		{name: "unsigned checkpoint of 2^50 leaves", tamper: func(b *bench) { b.sign(1 << 50) }, want: "does not bear the log's signature"},
		{name: "checkpoint of 2^50 leaves, signed with the key", tamper: func(b *bench) { b.sign(1<<50, b.key) }, want: "nothing from leaf"},
		{name: "log forked: another tree signed with the key", tamper: func(b *bench) {
			b.resign(func(leaves []Leaf) []Leaf { leaves[400].Source = "other"; return leaves })
		}, want: "is not the one that the checkpoint", object: "history/00000000000000000605"},
		{name: "log forked: seen by a kept checkpoint", tamper: func(b *bench) {
			b.resign(func(leaves []Leaf) []Leaf { leaves[400].Source = "other"; return leaves })
			for _, k := range b.history() {
				b.st.remove(k)
			}
		}, kept: func(b *bench) []byte { return b.st.data(b.path("checkpoint")) }, want: "two trees of size 605 were signed", object: "kept"},

		{name: "log forged with the key that was replaced", make: forgedByOldKey, want: "no checkpoint here that is signed"},
		{name: "checkpoint signed with the key that was replaced", make: rotated, tamper: func(b *bench) {
			cp, err := ParseCheckpoint(b.st.data(b.path("checkpoint")))
			b.do(err)
			b.sign(cp.Size, b.old)
			b.st.remove(b.history()[1])
		}, want: "does not bear the log's signature", object: "checkpoint"},
		{name: "change of key signed for another tree", make: rotated, tamper: func(b *bench) {
			b.resign(func(leaves []Leaf) []Leaf { leaves[2].Source = "other"; return leaves })
			for _, k := range b.history() {
				b.st.remove(k)
			}
		}, want: "was signed for another tree"},
		{name: "change of key that the old key has not signed", make: rotated, tamper: func(b *bench) {
			b.resign(func(leaves []Leaf) []Leaf { leaves[6].OldSig = leaves[6].NewSig; return leaves })
			for _, k := range b.history() {
				b.st.remove(k)
			}
		}, want: "the old key has not signed it"},
		{name: "cosignature of one witness cut out", make: witnessed, tamper: func(b *bench) { b.withoutLine(1) }, demand: true, want: "cosigned by 1 of the 2 witnesses"},
		{name: "cosignatures from another checkpoint", make: witnessed, tamper: func(b *bench) {
			older := strings.SplitAfter(string(b.older()), "\n")
			b.withoutLine(1)
			b.withoutLine(1)
			b.st.put(b.path("checkpoint"), append(b.st.data(b.path("checkpoint")), strings.Join(older[len(older)-3:], "")...))
		}, demand: true, want: "cosigned by 0 of the 2 witnesses"},
		{name: "log goes on while a witness is away", make: func(b *bench) {
			witnessed(b)
			b.opt.Witnesses = b.opt.Witnesses[:1]
			l := b.open()
			b.do(l.Start("p", "c", ""))
			b.do(l.Stop(b.t.Context()))
		}, demand: true, want: "rest on the log's own word"},

		{name: "ML-DSA-44 half of the signature cut out", make: quantumSafe, tamper: func(b *bench) { b.withoutLine(1) }, want: "does not bear the log's signature"},
		{name: "Ed25519 half of the signature cut out", make: quantumSafe, tamper: func(b *bench) { b.withoutLine(0) }, want: "does not bear the log's signature"},
		{name: "ML-DSA-44 half of the signature from another tree", make: quantumSafe, tamper: func(b *bench) {
			older := strings.SplitAfter(string(b.st.data(b.history()[1])), "\n")
			b.withoutLine(1)
			b.st.put(b.path("checkpoint"), append(b.st.data(b.path("checkpoint")), older[len(older)-2]...))
		}, want: "does not bear the log's signature"},
		{name: "change of key that the new ML-DSA-44 half has not signed", make: quantumSafe, tamper: func(b *bench) {
			b.resign(func(leaves []Leaf) []Leaf {
				leaves[6].NewSig = strings.Fields(leaves[6].NewSig)[0]
				return leaves
			})
			for _, k := range b.history() {
				b.st.remove(k)
			}
		}, want: "the new key has not signed it"},

		{name: "pack that is none", make: func(b *bench) {
			b.st.put(testBase+"packs/x", []byte("other bytes"))
			said(Leaf{Kind: Pack, First: 4, Last: 1003, Key: testBase + "packs/x", Size: 11, Digest: other, Count: 1000, Root: strings.Repeat("00", 32)})(b)
		}, seq: 4, want: "the rows from record 4 on cannot be read", onlyHere: true},
		{name: "pack of fewer rows than records", make: func(b *bench) {
			b.st.put(testBase+"packs/x", []byte("other bytes"))
			said(Leaf{Kind: Pack, First: 4, Last: 1003, Key: testBase + "packs/x", Size: 11, Digest: other, Count: 1, Root: strings.Repeat("00", 32)})(b)
		}, want: "pack of 1 rows for records 4 to 1003"},
		{name: "row of a pack in the log", make: said(Leaf{Kind: Row, Seq: 4, SentKey: "k"}), seq: 4, want: "has no place in the log"},
		{name: "second stored leaf with other bytes", make: func(b *bench) {
			b.st.put(testBase+"elsewhere", []byte("other bytes"))
			said(Leaf{Kind: Stored, Seq: 2, Door: "s3", Key: testBase + "elsewhere", Size: 11, Digest: other})(b)
		}, seq: 2, want: "neither parked nor lost"},
		{name: "stored with other bytes than parked", make: func(b *bench) {
			b.st.put(testBase+"elsewhere", []byte("other bytes"))
			said(Leaf{Kind: Deferred, Seq: 4, SentKey: "k", Size: 1, Digest: record.Digest{1}, Reason: "500"}, Leaf{Kind: Stored, Seq: 4, Key: testBase + "elsewhere", Size: 11, Digest: other})(b)
		}, seq: 4, want: "other bytes than it had"},
		{name: "stored before its turn", make: func(b *bench) {
			b.st.put(testBase+"elsewhere", []byte("other bytes"))
			said(Leaf{Kind: Stored, Seq: 9, Key: testBase + "elsewhere", Size: 11, Digest: other})(b)
		}, seq: 9, want: "before the log came to it"},
		{name: "gap", make: said(Leaf{Kind: Gap, First: 4, Last: 6, Reason: "bad block"}), seq: 4, want: "records 4 to 6 are lost"},
		{name: "removed before its turn", make: said(Leaf{Kind: Removed, First: 2, Last: 9, Reason: "retention"}), seq: 2, want: "had been removed before the log came"},
		{name: "numbers left out", make: said(Leaf{Kind: Deferred, Seq: 9, SentKey: "k", Reason: "500"}), seq: 4, want: "records 4 to 8 are missing from the log"},
		{name: "number given twice", make: said(Leaf{Kind: Deferred, Seq: 3, SentKey: "k", Reason: "500"}), seq: 3, want: "out of order"},
		{name: "tick that remembers another number", make: said(Leaf{Kind: Tick, Seq: 2}), want: "it had come to 3"},
		{name: "continues in the middle", make: said(Leaf{Kind: Continues, Seq: 3, FromLog: "x", Root: strings.Repeat("00", 32)}), want: "only the first leaf may"},
		{name: "record deferred and never stored", make: said(Leaf{Kind: Deferred, Seq: 4, Reason: "input/output error", Unread: true}), want: "1 deferred", incomplete: true},
		{name: "record quarantined", make: said(Leaf{Kind: Quarantined, Seq: 4, SentKey: "k", Reason: "too large"}), want: "1 quarantined", incomplete: true},
		{name: "silent for a year", make: func(b *bench) {
			l := b.open()
			l.append(&Leaf{Kind: Start, Time: time.Now().Add(-8766 * time.Hour), Prefix: testBase})
			b.do(l.Checkpoint(b.t.Context()))
		}, want: "it was no stop", incomplete: true},
	}
	return slices.Concat(list, packTamperings(), formTamperings(), checkpointTamperings())
}

// witnesses are those whose cosignatures are demanded.
func (c *tampering) witnesses(b *bench) []string {
	if !c.demand {
		return nil
	}
	return b.witness
}

// apply makes the log of a case on a bench of its own, with what a kept checkpoint is at that time.
func (c *tampering) apply(t *testing.T, pristine *bench) (b *bench, kept []byte) {
	b = newBench(t)
	if c.make == nil {
		*b = *pristine
		b.t, b.st = t, pristine.st.clone()
	} else {
		c.make(b)
	}
	if c.kept != nil {
		kept = c.kept(b)
	}
	if c.tamper != nil {
		c.tamper(b)
	}
	return b, kept
}

func TestTampering(t *testing.T) {
	pristine := filled(t)
	pristine.clean()
	for _, c := range tamperings() {
		t.Run(c.name, func(t *testing.T) {
			b, kept := c.apply(t, pristine)
			o := VerifyOptions{Packs: linePacks{}}
			if c.demand {
				var err error
				o.Policy, err = WitnessPolicy(b.witness, 0)
				b.do(err)
			}
			if kept != nil {
				o.Kept = []KeptCheckpoint{{"kept", kept}}
			}
			r := b.verify(o)
			if c.incomplete {
				if !r.OK() || r.Complete() || !strings.Contains(strings.Join(r.Incomplete, "; "), c.want) {
					t.Errorf("ok %v, complete %v: %v; %v", r.OK(), r.Complete(), r.Incomplete, r.Faults)
				}
				return
			}
			for _, f := range r.Faults {
				if f.Seq == c.seq && strings.Contains(f.What, c.want) && strings.Contains(f.Object, c.object) {
					return
				}
			}
			t.Errorf("want a fault of record %d with %q, got %v", c.seq, c.want, r.Faults)
		})
	}
}
