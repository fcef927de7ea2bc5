package proof

import (
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// quantumSafe is a log of ten records whose key gets an ML-DSA-44 half in the middle; b.key is the new one.
func quantumSafe(b *bench) {
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 5)
	b.do(l.Checkpoint(b.t.Context()))
	next, err := GenerateKey("test-log", MLDSA44)
	b.do(err)
	b.do(l.Rotate(b.t.Context(), next))
	b.add(l, 6, 10)
	b.do(l.Stop(b.t.Context()))
	b.old, b.key = b.key, next
}

// withoutLine takes a signature line away from the checkpoint: that of the key's part.
func (b *bench) withoutLine(part int) {
	raw := string(b.st.data(b.path("checkpoint")))
	lines := strings.SplitAfter(raw, "\n")
	i := len(lines) - 1 - 2 + part // behind the last line there is nothing
	b.st.put(b.path("checkpoint"), []byte(strings.Join(append(lines[:i:i], lines[i+1:]...), "")))
}

// Whoever knows both halves demands both; whoever knows one is served as before.
func TestMLDSA(t *testing.T) {
	b := newBench(t)
	quantumSafe(b)
	halves := strings.Fields(b.key.Public())
	if len(halves) != 2 {
		t.Fatalf("the key is %q", b.key.Public())
	}
	old, err := note.NewVerifier(halves[0]) // a verifier that knows nothing of type 6
	b.do(err)
	n, err := note.Open(b.st.data(b.path("checkpoint")), note.VerifierList(old))
	if err != nil || len(n.UnverifiedSigs) != 1 || len(n.UnverifiedSigs[0].Base64) < 3000 {
		t.Errorf("an old verifier: %v", err)
	}
	for name, vkey := range map[string]string{
		"both": b.key.Public(), "two lines": halves[1] + "\n" + halves[0] + "\n", "Ed25519": halves[0], "ML-DSA-44": halves[1], "the key before": b.old.Public(),
	} {
		if r, err := Verify(t.Context(), b.st, testBase, vkey, VerifyOptions{}); err != nil || !r.OK() || r.Checkpoints != 4 {
			t.Errorf("%s: %v, %d checkpoints, %v", name, err, r.Checkpoints, r.Faults)
		}
	}
	p, err := Prove(t.Context(), b.st, testBase, b.key.Public(), nil, 7)
	b.do(err)
	if _, _, err := p.Check(b.key.Public(), strings.NewReader(string(body(7)))); err != nil {
		t.Error(err)
	}
	whole := b.st.data(b.path("checkpoint"))
	for part, other := range []string{halves[1], halves[0]} {
		b.st.put(b.path("checkpoint"), whole)
		b.withoutLine(part)
		if r := b.verify(VerifyOptions{}); r.OK() {
			t.Errorf("half %d has not signed, and nobody minds", part)
		}
		if r, err := Verify(t.Context(), b.st, testBase, other, VerifyOptions{}); err != nil || !r.OK() {
			t.Errorf("the other half alone than %d: %v, %v", part, err, r.Faults)
		}
		q := *p
		q.Checkpoint = b.st.data(b.path("checkpoint"))
		if _, _, err := q.Check(b.key.Public(), nil); err == nil {
			t.Errorf("a proof without half %d passes", part)
		}
	}
	b.st.put(b.path("checkpoint"), whole)
	if _, err := b.tryOpen(); err != nil {
		t.Errorf("the log cannot go on: %v", err)
	}
}

// Whoever has broken the Ed25519 half alone can neither sign nor change the key.
func TestMLDSAHoldsAlone(t *testing.T) {
	b := newBench(t)
	b.key, _ = GenerateKey("test-log", MLDSA44)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 5)
	b.do(l.Checkpoint(t.Context()))
	trusted := b.key
	// The forger has the first half, and a key of his own.
	half := Key{public: publicKey{trusted.public.parts[:1]}, seeds: trusted.seeds[:1]}
	own, _ := GenerateKey("test-log", MLDSA44)
	f := &bench{t: t, key: half, st: newMemStore(), d: tempDisk(t)}
	fl := f.open()
	f.do(fl.Start("p", "c", ""))
	f.add(fl, 1, 3)
	f.do(fl.Checkpoint(t.Context()))
	if r, err := Verify(t.Context(), f.st, testBase, trusted.Public(), VerifyOptions{}); err != nil || r.OK() {
		t.Errorf("the forger's log: %v, %v", err, r.Faults)
	}
	f.do(fl.Rotate(t.Context(), own))
	f.add(fl, 4, 6)
	f.do(fl.Stop(t.Context()))
	if r, err := Verify(t.Context(), f.st, testBase, trusted.Public(), VerifyOptions{}); err != nil || r.OK() {
		t.Errorf("the forger's change of key: %v, %v", err, r.Faults)
	}
}

// The message that an ML-DSA-44 signature is over, byte by byte, as C2SP tlog-cosignature has it.
func TestMLDSAMessage(t *testing.T) {
	k, _ := GenerateKey("log", MLDSA44)
	v := k.public.parts[1]
	text := Checkpoint{Log: "log", Size: 0x0102, Root: [32]byte{31: 9}}.text()
	got, err := v.message(0x65, []byte(text))
	want := "subtree/v1\n\x00" + "\x03log" + "\x00\x00\x00\x00\x00\x00\x00\x65" + "\x03log" + strings.Repeat("\x00", 8) + "\x00\x00\x00\x00\x00\x00\x01\x02" + strings.Repeat("\x00", 31) + "\x09"
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	lines, err := k.signatureLines(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Fields(lines)[5])
	if err != nil || len(raw) != 4+8+mldsa44Size || !v.Verify([]byte(text), raw[4:]) {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	raw[20] ^= 1
	if v.Verify([]byte(text), raw[4:]) {
		t.Error("a changed signature passes")
	}
}
