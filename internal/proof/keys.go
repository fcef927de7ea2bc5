package proof

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"filippo.io/mldsa"
)

// Algorithm names a signature algorithm.
type Algorithm string

// The algorithms of a log's key.
const (
	Ed25519 Algorithm = "ed25519"
	MLDSA44 Algorithm = "ml-dsa-44" // FIPS 204, with an empty context
)

func (a Algorithm) kind() byte {
	if a == MLDSA44 {
		return typeMLDSA44
	}
	return typeEd25519
}

func algorithmOf(kind byte) Algorithm {
	if kind == typeMLDSA44 {
		return MLDSA44
	}
	return Ed25519
}

// SignerKey is one public key of a Signer, in the bytes that RFC 8032 or FIPS 204 has.
type SignerKey struct {
	Algorithm Algorithm
	Public    []byte
}

// Signer signs with keys that it keeps to itself. Its calls may take as long as it likes; ctx bounds them.
type Signer interface {
	// Public is the key that a log is to use from now on: an Ed25519 one, and perhaps an ML-DSA-44 one after it.
	Public(ctx context.Context) ([]SignerKey, error)
	// Sign signs a message with the key of this public half, which may be an older one.
	Sign(ctx context.Context, key SignerKey, message []byte) ([]byte, error)
}

// Key signs the checkpoints of one log, whose name it bears. The zero Key signs nothing.
type Key struct {
	public publicKey
	seeds  [][]byte // one for each part of public; nil where signer has them
	signer Signer   // nil where the seeds are here
}

// GenerateKey makes a new key for a log: Ed25519, and beside it others that are asked for.
func GenerateKey(name string, also ...Algorithm) (Key, error) {
	if err := CheckName(name); err != nil {
		return Key{}, err
	}
	k := Key{}
	for _, a := range append([]Algorithm{Ed25519}, also...) {
		seed := make([]byte, 32) // of both algorithms
		_, _ = rand.Read(seed)   // never fails
		k = k.with(name, a.kind(), seed)
	}
	return k, nil
}

// with is the key with one more part.
func (k Key) with(name string, kind byte, seed []byte) Key {
	var public []byte
	if kind == typeMLDSA44 {
		private, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), seed)
		if err != nil { // seeds have 32 bytes
			panic("proof: " + err.Error())
		}
		public = private.PublicKey().Bytes()
	} else {
		public = ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	}
	k.public.parts = append(k.public.parts, newNoteKey(name, kind, public))
	k.seeds = append(k.seeds, seed)
	return k
}

// ParseKey reads a secret: a line that Secret wrote, or the 32-byte seed of an
// Ed25519 key in hex or base64, as secret managers hold it, which gets the name
// of the log. Its errors never quote the secret.
func ParseKey(secret, name string) (Key, error) {
	secret = strings.TrimSpace(secret)
	if strings.HasPrefix(secret, privatePrefix) {
		return parseNoteKey(secret, name)
	}
	seed, err := hex.DecodeString(secret)
	if err != nil || len(seed) != ed25519.SeedSize {
		seed, err = base64.StdEncoding.DecodeString(secret)
	}
	if err != nil || len(seed) != ed25519.SeedSize {
		return Key{}, errors.New("parse key: want a line that starts with PRIVATE+KEY+, or a 32-byte seed in hex or base64")
	}
	if err := CheckName(name); err != nil {
		return Key{}, err
	}
	return Key{}.with(name, typeEd25519, seed), nil
}

const privatePrefix = "PRIVATE+KEY+"

func parseNoteKey(secret, name string) (Key, error) {
	k := Key{}
	for one := range strings.FieldsSeq(secret) {
		parts := strings.SplitN(strings.TrimPrefix(one, privatePrefix), "+", 3)
		if len(parts) != 3 || !strings.HasPrefix(one, privatePrefix) {
			return Key{}, errors.New("parse key: malformed")
		}
		if name != "" && parts[0] != name {
			return Key{}, fmt.Errorf("parse key: it is the key of log %s, not of %s", cut(parts[0], 200), name)
		}
		if err := CheckName(parts[0]); err != nil {
			return Key{}, err
		}
		raw, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil || len(raw) != 1+32 || raw[0] != typeEd25519 && raw[0] != typeMLDSA44 {
			return Key{}, errors.New("parse key: no seed of an Ed25519 or ML-DSA-44 key in it")
		}
		k = k.with(parts[0], raw[0], raw[1:])
		if last := k.public.parts[len(k.public.parts)-1]; fmt.Sprintf("%08x", last.hash) != parts[1] {
			return Key{}, errors.New("parse key: its hash does not fit")
		}
	}
	if _, err := parsePublic(k.Public()); err != nil {
		return Key{}, fmt.Errorf("parse key: %w", err)
	}
	return k, nil
}

// outsideKey is the key whose public half a signer gives; quantumSafe demands both halves.
func outsideKey(ctx context.Context, signer Signer, name string, quantumSafe bool) (Key, error) {
	if err := CheckName(name); err != nil {
		return Key{}, err
	}
	keys, err := signer.Public(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("ask for the public key: %w", err)
	}
	k := Key{signer: signer}
	for _, one := range keys {
		k.public.parts = append(k.public.parts, newNoteKey(name, one.Algorithm.kind(), one.Public))
	}
	if len(keys) == 0 || keys[0].Algorithm != Ed25519 {
		return Key{}, errors.New("the signer must give an Ed25519 key first")
	}
	if _, err := parsePublic(k.Public()); err != nil {
		return Key{}, fmt.Errorf("the signer's public key: %w", err)
	}
	if quantumSafe && !k.QuantumSafe() {
		return Key{}, errors.New("proof.ml_dsa asks for keys that sign with ML-DSA-44 as well, and the program of proof.key gives an Ed25519 key alone: have it give both, or take proof.ml_dsa out")
	}
	return k, nil
}

// CheckSigner asks a signer for its key and says whether it is the one of this public half; vkey is "" where the
// log has none yet. Its error says what is wrong with the signer or its answer.
func CheckSigner(ctx context.Context, s Signer, vkey string, quantumSafe bool) (same bool, err error) {
	name, _, known := strings.Cut(vkey, "+")
	if !known {
		name = "log"
	}
	k, err := outsideKey(ctx, s, name, quantumSafe)
	return err == nil && (!known || k.Public() == vkey), err
}

// Name is the log's name.
func (k Key) Name() string {
	if k.zero() {
		return ""
	}
	return k.public.Name()
}

// Public is what an auditor needs to know of the log, one line: the verifier key, and where the key has an
// ML-DSA-44 half the verifier key of that behind a space.
func (k Key) Public() string { return k.public.String() }

// Secret is the key itself, one line; "" if it is held outside. It belongs into log.key and nowhere else.
func (k Key) Secret() string {
	var lines []string
	for i, seed := range k.seeds {
		v := k.public.parts[i]
		lines = append(lines, fmt.Sprintf("%s%s+%08x+%s", privatePrefix, v.name, v.hash, base64.StdEncoding.EncodeToString(append([]byte{v.kind}, seed...))))
	}
	return strings.Join(lines, " ")
}

// String and LogValue name the key without its secret, so that no log line and
// no error can hold it.
func (k Key) String() string { return k.Public() }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.Public()) }

// Format is fmt.Formatter's: no verb shows more than String.
func (k Key) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, k.Public()) }

func (k Key) zero() bool { return len(k.public.parts) == 0 }

// QuantumSafe says whether the key has an ML-DSA-44 half.
func (k Key) QuantumSafe() bool { return len(k.public.parts) > 1 }

// signTimeout bounds one signature of a signer outside.
const signTimeout = 10 * time.Second

// signBytes makes the signature of one part over a message, and verifies it: what a signer outside says is not
// believed.
func (k Key) signBytes(ctx context.Context, part int, message []byte) ([]byte, error) {
	v := k.public.parts[part]
	if k.signer == nil {
		if v.kind == typeEd25519 {
			return ed25519.Sign(ed25519.NewKeyFromSeed(k.seeds[part]), message), nil
		}
		private, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), k.seeds[part])
		if err != nil {
			return nil, err
		}
		return private.Sign(nil, message, &mldsa.Options{})
	}
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	sig, err := k.signer.Sign(ctx, SignerKey{algorithmOf(v.kind), v.key}, message)
	if err != nil {
		return nil, fmt.Errorf("sign with a key outside: %w", err)
	}
	if !v.verifyBytes(message, sig) {
		return nil, fmt.Errorf("sign with a key outside: the signer gave no signature of the log's %s key %s: it must keep that key until \"indelible keys rotate\" has changed to another", algorithmOf(v.kind), v.vkey())
	}
	return sig, nil
}

// signStatement signs a text that is no checkpoint, as verifyStatement wants it.
func (k Key) signStatement(ctx context.Context, text string) (string, error) {
	var sigs []string
	for i := range k.public.parts {
		sig, err := k.signBytes(ctx, i, []byte(text))
		if err != nil {
			return "", err
		}
		sigs = append(sigs, base64.StdEncoding.EncodeToString(sig))
	}
	return strings.Join(sigs, " "), nil
}

// signatureLines are the lines by which the key signs the text of a checkpoint.
func (k Key) signatureLines(ctx context.Context, text string) (string, error) {
	var b strings.Builder
	for i, v := range k.public.parts {
		line := binary.BigEndian.AppendUint32(nil, v.hash)
		at := uint64(time.Now().Unix())
		message, err := v.message(at, []byte(text))
		if err != nil {
			return "", err
		}
		if v.kind == typeMLDSA44 {
			line = binary.BigEndian.AppendUint64(line, at)
		}
		sig, err := k.signBytes(ctx, i, message)
		if err != nil {
			return "", err
		}
		b.WriteString("— " + v.name + " " + base64.StdEncoding.EncodeToString(append(line, sig...)) + "\n")
	}
	return b.String(), nil
}

// rotation is the statement that both keys sign when one follows the other in a
// log whose tree has this size and root before the leaf that says so. Its first
// line holds spaces, so it can never be taken for a checkpoint.
func rotation(log, oldKey, newKey string, size uint64, root string) string {
	return "indelible key rotation v2\n" + log + "\n" + oldKey + "\n" + newKey + "\n" + strconv.FormatUint(size, 10) + "\n" + root + "\n"
}

// checkRotation says whether both keys of a NewKey leaf have signed it.
func checkRotation(log string, l *Leaf) error {
	text := rotation(log, l.Old, l.New, uint64(l.Size), l.Root)
	for _, side := range []struct{ which, vkey, sig string }{{"old", l.Old, l.OldSig}, {"new", l.New, l.NewSig}} {
		p, err := parsePublic(side.vkey)
		if err == nil && p.String() != side.vkey {
			err = errors.New("not in its one form")
		}
		if err != nil {
			return fmt.Errorf("change of key: the %s key: %w", side.which, err)
		}
		if p.Name() != log || !p.verifyStatement(text, side.sig) {
			return fmt.Errorf("change of key: the %s key has not signed it", side.which)
		}
	}
	return nil
}
