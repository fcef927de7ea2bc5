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

	"golang.org/x/mod/sumdb/note"
)

// cosignatureV1 is the algorithm byte of Ed25519 cosignatures (C2SP tlog-cosignature).
const cosignatureV1 = 4

// cosigner verifies the cosignatures of one witness. It is a note.Verifier.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

var _ note.Verifier = (*cosigner)(nil)

// parseCosigner reads a witness's verifier key: name+hash+base64(4 || Ed25519 key).
func parseCosigner(vkey string) (*cosigner, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(vkey), "+")
	hash, encoded, ok := strings.Cut(rest, "+")
	sum, err := strconv.ParseUint(hash, 16, 32)
	if name == "" || !ok || len(hash) != 8 || err != nil {
		return nil, fmt.Errorf("%q is no verifier key: want name+hash+key", vkey)
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != cosignatureV1 {
		return nil, fmt.Errorf("%q is no key for Ed25519 cosignatures (type 4), which witnesses of C2SP tlog-witness have", vkey)
	}
	if sum != uint64(cosignerHash(name, raw)) {
		return nil, fmt.Errorf("%q: the hash does not fit the name and the key", vkey)
	}
	return &cosigner{name: name, hash: uint32(sum), key: raw[1:]}, nil
}

func cosignerHash(name string, raw []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	return binary.BigEndian.Uint32(sum[:])
}

// Name is note.Verifier's.
func (c *cosigner) Name() string { return c.name }

// KeyHash is note.Verifier's.
func (c *cosigner) KeyHash() uint32 { return c.hash }

// Verify is note.Verifier's: sig is a time and a signature over it and the checkpoint's text.
func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return at < 1<<63 && ed25519.Verify(c.key, cosignedText(at, text), sig[8:])
}

// cosignedText is what a witness signs at a time, in seconds since 1970.
func cosignedText(at uint64, text []byte) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), text...)
}

// signatureLines are the lines in an answer by which this witness cosigned the checkpoint; all others are ignored.
func (c *cosigner) signatureLines(checkpoint, answer []byte) (string, error) {
	n, err := note.Open(append(checkpoint[:len(checkpoint):len(checkpoint)], answer...), note.VerifierList(c))
	if err != nil {
		return "", fmt.Errorf("its answer holds no cosignature of %s: %w", c.name, err)
	}
	if len(n.Sigs) == 0 {
		return "", errors.New("its answer holds no cosignature")
	}
	var b strings.Builder
	for _, sig := range n.Sigs {
		b.WriteString("— " + sig.Name + " " + sig.Base64 + "\n")
	}
	return b.String(), nil
}
