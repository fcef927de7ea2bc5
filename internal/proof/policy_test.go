package proof

import (
	"strings"
	"testing"
	"time"
)

// witnessed is a log of ten records that two witnesses have cosigned.
func witnessed(b *bench) {
	for range 2 {
		_, known := newTestWitness(b.t, b.key.public)
		b.opt.Witnesses = append(b.opt.Witnesses, known)
		b.witness = append(b.witness, known.Key)
	}
	b.opt.WitnessTimeout = time.Minute
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 5)
	b.do(l.Checkpoint(b.t.Context()))
	b.add(l, 6, 10)
	b.do(l.Stop(b.t.Context()))
}

func TestQuorum(t *testing.T) {
	b := newBench(t)
	witnessed(b)
	stranger, _ := GenerateKey("witness-3", MLDSA44)
	third := stranger.public.parts[1].vkey()
	for name, c := range map[string]struct {
		keys   []string
		quorum int
		ok     bool
	}{
		"both":         {b.witness, 0, true},
		"one of two":   {b.witness, 1, true},
		"two of three": {append([]string{third}, b.witness...), 2, true},
		"all of three": {append([]string{third}, b.witness...), 0, false},
		"another":      {[]string{third}, 1, false},
	} {
		p, err := WitnessPolicy(c.keys, c.quorum)
		b.do(err)
		r := b.verify(VerifyOptions{Policy: p})
		if r.OK() != c.ok || c.ok != (r.Witnessed != nil) || c.ok && (r.Witnessed.Size != r.Size || len(r.Witnessed.Witnesses) != 2 || r.Witnessed.Time.Unix() != 1_700_000_000) {
			t.Errorf("%s: %+v, %v", name, r.Witnessed, r.Faults)
		}
	}
	p, err := WitnessPolicy(b.witness, 0)
	b.do(err)
	if r := b.verify(VerifyOptions{Policy: p, MaxAge: time.Hour}); !r.OK() || r.Complete() || !strings.Contains(r.Incomplete[0], "was cosigned at 2023-11-14") {
		t.Errorf("cosigned long ago: %v, %v", r.Incomplete, r.Faults)
	}
	// A witness of the newer kind.
	raw := b.st.data(b.path("checkpoint"))
	cp, err := ParseCheckpoint(raw)
	b.do(err)
	lines, err := stranger.signatureLines(t.Context(), cp.text())
	b.do(err)
	if p, err = WitnessPolicy([]string{third}, 0); err != nil || p.Check(append(raw, lines...)) != nil || p.Check(raw) == nil {
		t.Errorf("an ML-DSA-44 cosignature: %v", err)
	}
}

func TestParsePolicy(t *testing.T) {
	vkey := func(name string, also ...Algorithm) string {
		k, _ := GenerateKey(name, also...)
		if len(also) > 0 {
			return k.public.parts[1].vkey()
		}
		return k.Public()
	}
	witness := func(name string) string {
		return "witness " + name + " " + vkey("w.example", MLDSA44) + " https://w.example\n"
	}
	five := witness("a") + witness("b") + witness("c")
	good := "# words\nlog " + vkey("test-log") + "\n" + five + "group ab any a b\ngroup all\tall ab c\n  quorum all\n"
	if _, err := ParsePolicy(good); err != nil {
		t.Error(err)
	}
	if _, err := ParsePolicy("quorum none\n"); err != nil {
		t.Error(err)
	}
	double := witness("a")
	for what, bad := range map[string]string{
		"no quorum line":                five,
		"a second quorum":               "quorum none\nquorum none\n",
		`"z" is not defined`:            five + "quorum z\n",
		`"q" is not defined`:            "quorum q\n" + witness("q"),
		"is taken":                      witness("a") + witness("a") + "quorum a\n",
		"have one key":                  double + strings.Replace(double, "witness a", "witness b", 1) + "quorum a\n",
		"a number from 1 to 2":          five + "group g 3 a b\nquorum g\n",
		"want all, any, or":             five + "group g 0 a b\nquorum g\n",
		"member of two groups":          five + "group g any a b\ngroup h any a c\nquorum g\n",
		"or twice of one":               five + "group g any a a\nquorum g\n",
		"cannot read":                   "quorum\n",
		"type 1 (Ed25519): want type 4": "witness a " + vkey("log") + "\nquorum a\n",
		`the name "none" is taken`:      witness("none") + "quorum none\n",
	} {
		if _, err := ParsePolicy(bad); err == nil || !strings.Contains(err.Error(), what) && what != "type 1 (Ed25519): want type 4" || !strings.HasPrefix(err.Error(), "policy") {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := newBench(t)
	witnessed(other)
	p, err := ParsePolicy(good)
	other.do(err)
	if _, err := Verify(t.Context(), other.st, testBase, other.key.Public(), VerifyOptions{Policy: p}); err == nil || !strings.Contains(err.Error(), "another log") {
		t.Errorf("a policy about another log: %v", err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("witness a b\ngroup g any a\nquorum g\n")
	f.Add("log x\nquorum none\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePolicy(text); err == nil && p.quorum != nil && p.Check([]byte("x\n1\ny\n\n")) == nil {
			t.Error("nobody has cosigned, and that is enough")
		}
	})
}
