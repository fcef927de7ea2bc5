package proof

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"indelible/internal/record"
)

func TestProve(t *testing.T) {
	b := filled(t)
	for _, seq := range []record.Seq{1, 5, 255, 256, 301, 302, 511, 600} {
		p, err := Prove(t.Context(), b.st, testBase, b.key.Public(), nil, seq)
		if err != nil {
			t.Fatal(err)
		}
		file := p.Encode()
		if len(file) > 2<<10 {
			t.Errorf("the proof of record %d has %d bytes", seq, len(file))
		}
		again, err := ParseProof(file)
		if err != nil || !bytes.Equal(again.Encode(), file) {
			t.Fatalf("record %d: %v", seq, err)
		}
		leaf, cp, err := again.Check(b.key.Public(), bytes.NewReader(body(seq)))
		if err != nil || leaf.Seq != seq || cp.Size != 605 {
			t.Errorf("record %d: %v, %+v, %+v", seq, err, leaf, cp)
		}
	}
	if _, err := Prove(t.Context(), b.st, testBase, b.key.Public(), nil, 601); !errors.Is(err, ErrUnproven) {
		t.Errorf("a record that is not there: %v", err)
	}
}

func TestCheckProofRefuses(t *testing.T) {
	b := filled(t)
	p, err := Prove(t.Context(), b.st, testBase, b.key.Public(), nil, 5)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := GenerateKey("test-log")
	for name, c := range map[string]struct {
		vkey   string
		body   []byte
		change func(p *OfflineProof)
	}{
		"other bytes":      {b.key.Public(), body(6), nil},
		"longer":           {b.key.Public(), append(body(5), 0), nil},
		"a stranger":       {stranger.Public(), body(5), nil},
		"other leaf":       {b.key.Public(), body(5), func(p *OfflineProof) { p.Raw[30] ^= 1 }},
		"other index":      {b.key.Public(), body(5), func(p *OfflineProof) { p.Index++ }},
		"beyond the tree":  {b.key.Public(), body(5), func(p *OfflineProof) { p.Index = 1 << 62 }},
		"other path":       {b.key.Public(), body(5), func(p *OfflineProof) { p.Path[2][0]++ }},
		"shorter path":     {b.key.Public(), body(5), func(p *OfflineProof) { p.Path = p.Path[1:] }},
		"other checkpoint": {b.key.Public(), body(5), func(p *OfflineProof) { p.Checkpoint[12] ^= 1 }},
	} {
		q, err := ParseProof(p.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if c.change != nil {
			c.change(q)
		}
		if _, _, err := q.Check(c.vkey, bytes.NewReader(c.body)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// A number that was given twice proves the record in the log and no other.
func TestProofOf(t *testing.T) {
	b := filled(t)
	p, err := Prove(t.Context(), b.st, testBase, b.key.Public(), nil, 5)
	b.do(err)
	o, other := b.outcomeOf(5, record.Stored), b.outcomeOf(6, record.Stored)
	if err := p.Of(o.Key, o.Digest.String()); err != nil {
		t.Error(err)
	}
	if err := p.Of("", ""); err != nil {
		t.Error(err)
	}
	if err := p.Of(other.Key, o.Digest.String()); !errors.Is(err, ErrOther) {
		t.Errorf("another key: %v", err)
	}
	if err := p.Of(o.Key, other.Digest.String()); !errors.Is(err, ErrOther) {
		t.Errorf("other bytes: %v", err)
	}
}

func FuzzParseProof(f *testing.F) {
	f.Add([]byte(proofMagic + "extra e30=\nindex 0\n\nlog\n1\nAAAA\n\n— log x\n"))
	f.Add([]byte(proofMagic + "extra e30=\nindex 7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Fatalf("%q was read as %q", b, p.Encode())
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add([]byte("log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— log x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseCheckpoint(b); err == nil && !bytes.HasPrefix(b, []byte(h.text())) {
			t.Fatalf("%q was read as %+v", b, h)
		}
	})
}

func producer(ids ...string) iter.Seq2[KnownID, error] {
	return func(yield func(KnownID, error) bool) {
		for _, id := range ids {
			if !yield(KnownID{ID: id, Time: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}, nil) {
				return
			}
		}
	}
}

func TestKeyIDs(t *testing.T) {
	for key, want := range map[string]string{
		"team/2026-11-24/time-08-00-00-123456_chatcmpl-a_b.json": "chatcmpl-a_b",
		"http/2026-11-24/08/time-08-00-00-123456_x.y.json":       "x.y",
		"plain.json":  "plain",
		"no/ext":      "ext",
		"time-x.json": "time-x",
	} {
		if ids := KeyIDs(&Leaf{Key: "p/" + key, SentKey: key}); !slices.Contains(ids, want) || !slices.Contains(ids, key) {
			t.Errorf("%s: %q lack %q", key, ids, want)
		}
	}
}
