package proof

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs the checkpoints of one log, whose name it bears. The zero Key signs nothing.
type Key struct {
	name    string
	private ed25519.PrivateKey
}

// GenerateKey makes a new key for a log.
func GenerateKey(name string) (Key, error) {
	if err := CheckName(name); err != nil {
		return Key{}, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("generate key: %w", err)
	}
	return Key{name: name, private: private}, nil
}

// ParseKey reads a secret: a line that Secret wrote, or the 32-byte seed of an
// Ed25519 key in hex or base64, as secret managers hold it, which gets the name
// of the log. Its errors never quote the secret.
func ParseKey(secret, name string) (Key, error) {
	secret = strings.TrimSpace(secret)
	if strings.HasPrefix(secret, "PRIVATE+KEY+") {
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
	return Key{name: name, private: ed25519.NewKeyFromSeed(seed)}, nil
}

func parseNoteKey(secret, name string) (Key, error) {
	if _, err := note.NewSigner(secret); err != nil {
		return Key{}, fmt.Errorf("parse key: %w", err)
	}
	parts := strings.SplitN(strings.TrimPrefix(secret, "PRIVATE+KEY+"), "+", 3)
	if name != "" && parts[0] != name {
		return Key{}, fmt.Errorf("parse key: it is the key of log %s, not of %s", parts[0], name)
	}
	if err := CheckName(parts[0]); err != nil {
		return Key{}, err
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return Key{}, errors.New("parse key: no Ed25519 seed in it")
	}
	return Key{name: parts[0], private: ed25519.NewKeyFromSeed(raw[1:])}, nil
}

// Name is the log's name.
func (k Key) Name() string { return k.name }

// Public is the verifier key, one line: what an auditor needs to know of the log.
func (k Key) Public() string {
	vkey, err := note.NewEd25519VerifierKey(k.name, k.private.Public().(ed25519.PublicKey))
	if err != nil {
		return ""
	}
	return vkey
}

// Secret is the key itself, one line. It belongs into log.key and nowhere else.
func (k Key) Secret() string {
	raw := append([]byte{1}, k.private.Seed()...) // 1: Ed25519
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", k.name, k.verifier().KeyHash(), base64.StdEncoding.EncodeToString(raw))
}

// String and LogValue name the key without its secret, so that no log line and
// no error can hold it.
func (k Key) String() string { return k.Public() }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.Public()) }

func (k Key) zero() bool { return k.private == nil }

// sign signs a text that is no checkpoint.
func (k Key) sign(text string) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, []byte(text)))
}

func (k Key) signer() note.Signer {
	s, err := note.NewSigner(k.Secret())
	if err != nil { // our own words: they parse
		panic("proof: " + err.Error())
	}
	return s
}

func (k Key) verifier() note.Verifier {
	v, err := note.NewVerifier(k.Public())
	if err != nil {
		panic("proof: " + err.Error())
	}
	return v
}

// CheckName says whether a log can be named so: letters, digits, '.', '_' and
// '-', at most 200 of them.
func CheckName(name string) error {
	if name == "" || len(name) > 200 || name[0] == '.' {
		return fmt.Errorf("%q cannot name a log: want 1 to 200 letters, digits, '.', '_' or '-'", name)
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c)) {
			return fmt.Errorf("%q cannot name a log: it holds %q, want letters, digits, '.', '_' or '-'", name, c)
		}
	}
	return nil
}

// NewName makes a name for a new log: the host's, and 8 random hex digits.
func NewName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "host"
	}
	clean := strings.Map(func(c rune) rune {
		if CheckName("x"+string(c)) != nil {
			return '-'
		}
		return c
	}, cut(host, 64))
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return clean + "-" + hex.EncodeToString(random[:])
}

// rotation is the statement that both keys sign when one follows the other in a
// log whose tree has this size and root before the leaf that says so. Its first
// line holds spaces, so it can never be taken for a checkpoint.
func rotation(log, oldKey, newKey string, size uint64, root string) string {
	return "indelible key rotation v2\n" + log + "\n" + oldKey + "\n" + newKey + "\n" + strconv.FormatUint(size, 10) + "\n" + root + "\n"
}

// checkRotation says whether both keys of a NewKey leaf have signed it.
func checkRotation(log string, l *Leaf) error {
	text := []byte(rotation(log, l.Old, l.New, uint64(l.Size), l.Root))
	for _, side := range []struct{ which, vkey, sig string }{{"old", l.Old, l.OldSig}, {"new", l.New, l.NewSig}} {
		v, err := note.NewVerifier(side.vkey)
		if err != nil {
			return fmt.Errorf("change of key: the %s key: %w", side.which, err)
		}
		sig, err := base64.StdEncoding.DecodeString(side.sig)
		if err != nil || v.Name() != log || !v.Verify(text, sig) {
			return fmt.Errorf("change of key: the %s key has not signed it", side.which)
		}
	}
	return nil
}
