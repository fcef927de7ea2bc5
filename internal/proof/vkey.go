package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/note"
)

// Signature types of C2SP signed-note.
const (
	typeEd25519       = 1 // over the text of the note
	typeCosignature   = 4 // Ed25519, over a time and the text (tlog-cosignature)
	typeMLDSA44       = 6 // over a time, the signer's name, and what the checkpoint states (tlog-cosignature)
	mldsa44PublicSize = 1312
	mldsa44Size       = 2420 // of a signature
)

// noteKey verifies the signatures of one key. It is a note.Verifier of checkpoints.
type noteKey struct {
	name string
	hash uint32
	kind byte // the signature type
	key  []byte
}

var _ note.Verifier = (*noteKey)(nil)

// parseVKey reads a verifier key of one of these types: name+hash+base64(type || key).
func parseVKey(vkey string, kinds ...byte) (*noteKey, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(vkey), "+")
	hash, encoded, ok := strings.Cut(rest, "+")
	sum, err := strconv.ParseUint(hash, 16, 32)
	if name == "" || !ok || len(hash) != 8 || err != nil {
		return nil, fmt.Errorf("%q is no verifier key: want name+hash+key", cut(vkey, 200))
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("the verifier key of %s is not in base64", name)
	}
	for _, kind := range kinds {
		if raw[0] != kind {
			continue
		}
		v := newNoteKey(name, kind, raw[1:])
		if want := publicSize(kind); len(v.key) != want {
			return nil, fmt.Errorf("the verifier key of %s has %d bytes: want %d", name, len(v.key), want)
		}
		if v.hash != uint32(sum) {
			return nil, fmt.Errorf("the verifier key of %s: the hash does not fit the name and the key", name)
		}
		return v, nil
	}
	return nil, fmt.Errorf("the verifier key of %s has signature type %d: want type %s", name, raw[0], kindNames(kinds))
}

func kindNames(kinds []byte) string {
	var s []string
	for _, k := range kinds {
		s = append(s, map[byte]string{typeEd25519: "1 (Ed25519)", typeCosignature: "4 (Ed25519 cosignatures)", typeMLDSA44: "6 (ML-DSA-44)"}[k])
	}
	return strings.Join(s, " or ")
}

func publicSize(kind byte) int {
	if kind == typeMLDSA44 {
		return mldsa44PublicSize
	}
	return ed25519.PublicKeySize
}

func newNoteKey(name string, kind byte, key []byte) *noteKey {
	sum := sha256.Sum256(append([]byte(name+"\n"+string(kind)), key...))
	return &noteKey{name: name, hash: binary.BigEndian.Uint32(sum[:]), kind: kind, key: key}
}

// vkey is the verifier key as text.
func (v *noteKey) vkey() string {
	return fmt.Sprintf("%s+%08x+%s", v.name, v.hash, base64.StdEncoding.EncodeToString(append([]byte{v.kind}, v.key...)))
}

// Name is note.Verifier's.
func (v *noteKey) Name() string { return v.name }

// KeyHash is note.Verifier's.
func (v *noteKey) KeyHash() uint32 { return v.hash }

// Verify is note.Verifier's: text is that of a checkpoint.
func (v *noteKey) Verify(text, sig []byte) bool {
	if v.kind == typeEd25519 {
		return v.verifyBytes(text, sig)
	}
	if len(sig) < 8 {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	message, err := v.message(at, text)
	return at < 1<<63 && err == nil && v.verifyBytes(message, sig[8:])
}

// verifyBytes verifies a bare signature over a message.
func (v *noteKey) verifyBytes(message, sig []byte) bool {
	if v.kind != typeMLDSA44 {
		return ed25519.Verify(v.key, message, sig)
	}
	key, err := mldsa.NewPublicKey(mldsa.MLDSA44(), v.key)
	return err == nil && len(sig) == mldsa44Size && mldsa.Verify(key, message, sig, nil) == nil
}

// message is what a signature of this type is over, for a checkpoint that is signed at a time, in seconds
// since 1970.
func (v *noteKey) message(at uint64, text []byte) ([]byte, error) {
	switch v.kind {
	case typeCosignature:
		return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), text...), nil
	case typeMLDSA44:
		cp, err := parseCheckpointText(string(text))
		if err != nil {
			return nil, err
		}
		if len(v.name) > 255 || len(cp.Log) > 255 {
			return nil, errors.New("a name is longer than 255 bytes")
		}
		b := append([]byte("subtree/v1\n\x00"), byte(len(v.name)))
		b = append(b, v.name...)
		b = binary.BigEndian.AppendUint64(b, at)
		b = append(b, byte(len(cp.Log)))
		b = append(b, cp.Log...)
		b = binary.BigEndian.AppendUint64(b, 0)
		b = binary.BigEndian.AppendUint64(b, cp.Size)
		return append(b, cp.Root[:]...), nil
	}
	return text, nil
}

// publicKey is what an auditor knows of a log's key: an Ed25519 key, an ML-DSA-44
// key, or both. Where he knows both, both must have signed.
type publicKey struct {
	parts []*noteKey
}

// parsePublic reads the verifier keys of one log, divided by white space.
func parsePublic(text string) (publicKey, error) {
	var p publicKey
	for vkey := range strings.FieldsSeq(text) {
		v, err := parseVKey(vkey, typeEd25519, typeMLDSA44)
		if err != nil {
			return publicKey{}, err
		}
		for _, other := range p.parts {
			if other.kind == v.kind || other.name != v.name {
				return publicKey{}, fmt.Errorf("two keys of one type, or of two logs, %s and %s: want one Ed25519 key, one ML-DSA-44 key, or both, of one log", other.name, v.name)
			}
		}
		p.parts = append(p.parts, v)
	}
	if len(p.parts) == 0 {
		return publicKey{}, errors.New("there is no verifier key")
	}
	return p, nil
}

// CheckVKey says what is wrong with a log's public key, as an auditor has it in a file.
func CheckVKey(text string) error {
	_, err := parsePublic(text)
	return err
}

// Name is the log's.
func (p publicKey) Name() string { return p.parts[0].name }

// String is the verifier keys, divided by a space.
func (p publicKey) String() string {
	var s []string
	for _, v := range p.parts {
		s = append(s, v.vkey())
	}
	return strings.Join(s, " ")
}

// includes says whether all keys of another one are among these.
func (p publicKey) includes(other publicKey) bool {
	for _, o := range other.parts {
		if !p.has(o.vkey()) {
			return false
		}
	}
	return true
}

func (p publicKey) has(vkey string) bool {
	for _, v := range p.parts {
		if v.vkey() == vkey {
			return true
		}
	}
	return false
}

func (p publicKey) verifiers() (list []note.Verifier) {
	for _, v := range p.parts {
		list = append(list, v)
	}
	return list
}

// open is the text of a note that all keys have signed.
func (p publicKey) open(signed []byte) (string, error) {
	n, err := note.Open(signed, note.VerifierList(p.verifiers()...))
	if err != nil {
		return "", err
	}
	for _, v := range p.parts {
		found := false
		for _, sig := range n.Sigs {
			found = found || sig.Name == v.name && sig.Hash == v.hash
		}
		if !found {
			return "", &note.UnverifiedNoteError{Note: n}
		}
	}
	return n.Text, nil
}

// verifyStatement says whether all keys have signed a text that is no checkpoint: sigs are in
// base64, in the order of the keys, divided by a space.
func (p publicKey) verifyStatement(text, sigs string) bool {
	list := strings.Split(sigs, " ")
	if len(list) != len(p.parts) {
		return false
	}
	for i, v := range p.parts {
		sig, err := base64.StdEncoding.DecodeString(list[i])
		if err != nil || base64.StdEncoding.EncodeToString(sig) != list[i] || !v.verifyBytes([]byte(text), sig) {
			return false
		}
	}
	return true
}
