package proof

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
)

// keeper is a signer with keys of its own, the newest last. internal/signer runs real programs.
type keeper struct {
	keys []Key
	away error
	lies bool // signs with another key than the one it is asked for
}

func newKeeper(t *testing.T, n int, also ...Algorithm) *keeper {
	k := &keeper{}
	for range n {
		key, err := GenerateKey("kept-outside", also...)
		if err != nil {
			t.Fatal(err)
		}
		k.keys = append(k.keys, key)
	}
	return k
}

func (k *keeper) Public(context.Context) (keys []SignerKey, err error) {
	for _, v := range k.keys[len(k.keys)-1].public.parts {
		keys = append(keys, SignerKey{algorithmOf(v.kind), v.key})
	}
	return keys, k.away
}

func (k *keeper) Sign(ctx context.Context, key SignerKey, message []byte) ([]byte, error) {
	for _, own := range k.keys {
		for i, v := range own.public.parts {
			if bytes.Equal(v.key, key.Public) != k.lies && algorithmOf(v.kind) == key.Algorithm {
				sig, err := own.signBytes(ctx, i, message)
				return sig, errors.Join(err, k.away)
			}
		}
	}
	return nil, errors.New("no such key")
}

// A log whose key is outside is made, grows, waits while the signer is away, and changes its key there.
func TestKeyOutside(t *testing.T) {
	b := newBench(t)
	d := tempDisk(t)
	out := newKeeper(t, 1, MLDSA44)
	k, err := OpenKeys(t.Context(), d, KeySource{Name: "test-log", Signer: out})
	b.do(err)
	if k.Made || !k.Key.QuantumSafe() || k.Key.Secret() != "" {
		t.Errorf("%+v", k)
	}
	if secret, err := readLine(d, KeyFile); secret != "" || err != nil {
		t.Errorf("a secret was written: %v", err)
	}
	b.key = k.Key
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 3)
	b.do(l.Checkpoint(t.Context()))

	out.away = errors.New("the HSM is locked")
	b.add(l, 4, 4)
	if err := l.Checkpoint(t.Context()); err == nil || !strings.Contains(err.Error(), "the HSM is locked") || errors.Is(err, ErrForked) {
		t.Errorf("away: %v", err)
	}
	again, err := OpenKeys(t.Context(), d, KeySource{Signer: out}) // a start meanwhile
	if err != nil || again.Key.Public() != k.Key.Public() {
		t.Errorf("a start while it is away: %v", err)
	}
	out.away = nil
	b.do(l.Checkpoint(t.Context()))

	out.keys = append(out.keys, newKeeper(t, 1).keys...)
	out.lies = true
	b.add(l, 5, 5)
	if err := l.Checkpoint(t.Context()); err == nil || !strings.Contains(err.Error(), "no signature of the log's") {
		t.Errorf("another key's signature is believed: %v", err)
	}
	out.lies = false
	b.do(BeginRotation(t.Context(), d, &k))
	b.do(l.Rotate(t.Context(), k.Next))
	b.do(FinishRotation(d, &k))
	b.add(l, 6, 6)
	b.do(l.Stop(t.Context()))
	b.key = k.Key
	if r := b.verify(VerifyOptions{}); !r.OK() || r.Records != 6 {
		t.Errorf("%d records, %v", r.Records, r.Faults)
	}
	if err := BeginRotation(t.Context(), d, &k); !errors.Is(err, ErrSameKey) {
		t.Errorf("a change to the same key: %v", err)
	}
	if _, err := OpenKeys(t.Context(), d, KeySource{}); err == nil || !strings.Contains(err.Error(), "proof.key") {
		t.Errorf("without the setting: %v", err)
	}
}

// Where ML-DSA-44 is asked for, a signer that has only an Ed25519 key is refused, at the first start and at a change of key.
func TestKeyOutsideLacksAHalf(t *testing.T) {
	d, out := tempDisk(t), newKeeper(t, 1)
	from := KeySource{Name: "test-log", Signer: out, QuantumSafe: true}
	if _, err := OpenKeys(t.Context(), d, from); err == nil || !strings.Contains(err.Error(), "proof.ml_dsa") {
		t.Errorf("at the first start: %v", err)
	}
	out.keys = newKeeper(t, 1, MLDSA44).keys
	k, err := OpenKeys(t.Context(), d, from)
	if err != nil {
		t.Fatal(err)
	}
	out.keys = append(out.keys, newKeeper(t, 1).keys...)
	if err := BeginRotation(t.Context(), d, &k); err == nil || !strings.Contains(err.Error(), "proof.ml_dsa") || !k.Next.zero() {
		t.Errorf("at a change of key: %v", err)
	}
}

// The way of a key into an HSM, killed at any step, ends with the one key or the other, and a log that goes on.
func TestKeyMovesOutside(t *testing.T) {
	for die := 1; ; die++ {
		b := newBench(t)
		d := crashdisk.New()
		first, err := OpenKeys(t.Context(), d, KeySource{Name: "test-log"})
		b.do(err)
		b.key, b.d = first.Key, d
		l := b.open()
		b.add(l, 1, 2)
		b.do(l.Checkpoint(t.Context()))

		out := newKeeper(t, 1)
		from := KeySource{Signer: out}
		k, err := OpenKeys(t.Context(), d, from)
		b.do(err)
		if k.Key.Public() != first.Key.Public() {
			t.Fatal("the setting alone changed the key")
		}
		dying := &dyingDisk{FS: d, left: die}
		_, err = moveKey(t, b, dying, &k)
		done := err == nil
		if !done {
			d = d.Crash(rand.New(rand.NewPCG(uint64(die), 1)), 0)
			b.d = d
			if k, err = OpenKeys(t.Context(), d, from); err != nil {
				t.Fatalf("killed at step %d: %v", die, err)
			}
			if l, err = moveKey(t, b, d, &k); err != nil {
				t.Fatalf("killed at step %d: %v", die, err)
			}
			b.add(l, 3, 4)
			b.do(l.Checkpoint(t.Context()))
		}
		if secret, err := readLine(d, KeyFile); secret != "" || err != nil {
			t.Errorf("step %d: the old secret is still there: %v", die, err)
		}
		if last, err := OpenKeys(t.Context(), d, from); err != nil || last.Key.Public() != k.Key.Public() || !last.Next.zero() || last.Key.Public() == first.Key.Public() {
			t.Errorf("step %d: %v", die, err)
		}
		b.key = k.Key
		if r := b.verify(VerifyOptions{}); !r.OK() {
			t.Errorf("step %d: %v", die, r.Faults)
		}
		if done {
			if die < 6 {
				t.Errorf("it took %d steps only", die)
			}
			return
		}
	}
}

// moveKey is what the engine does with the log and the key files.
func moveKey(t *testing.T, b *bench, d disk.FS, k *Keys) (*Log, error) {
	l, err := Open(t.Context(), b.st, k.Key, Options{Disk: b.d, Base: testBase, Next: k.Next})
	if err != nil {
		return nil, err
	}
	if k.Key.signer != nil {
		return l, nil // the change had come through
	}
	if l.Public() == k.Key.Public() {
		if err := BeginRotation(t.Context(), d, k); err != nil {
			return nil, err
		}
		if err := l.Rotate(t.Context(), k.Next); err != nil {
			return nil, err
		}
	}
	return l, FinishRotation(d, k)
}

// dyingDisk fails at one operation that changes something, and at all behind it.
type dyingDisk struct {
	disk.FS
	left int
}

var errPulled = errors.New("dead")

func (d *dyingDisk) dead() bool {
	d.left--
	return d.left < 0
}

func (d *dyingDisk) Create(name string) (disk.File, error) {
	if d.dead() {
		return nil, errPulled
	}
	return d.FS.Create(name)
}

func (d *dyingDisk) Rename(from, to string) error {
	if d.dead() {
		return errPulled
	}
	return d.FS.Rename(from, to)
}

func (d *dyingDisk) Remove(name string) error {
	if d.dead() {
		return errPulled
	}
	return d.FS.Remove(name)
}

func (d *dyingDisk) SyncDir(name string) error {
	if d.dead() {
		return errPulled
	}
	return d.FS.SyncDir(name)
}
