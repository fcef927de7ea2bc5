package proof

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// parseCosigner reads a witness's verifier key.
func parseCosigner(vkey string) (*noteKey, error) {
	v, err := parseVKey(vkey, typeCosignature, typeMLDSA44)
	if err != nil {
		return nil, fmt.Errorf("no key of a witness: %w", err)
	}
	return v, nil
}

// signatureLines are the lines in an answer by which this witness cosigned the checkpoint; all others are ignored.
func (v *noteKey) signatureLines(checkpoint, answer []byte) (string, error) {
	n, err := note.Open(append(checkpoint[:len(checkpoint):len(checkpoint)], answer...), note.VerifierList(v))
	if err != nil {
		return "", fmt.Errorf("its answer holds no cosignature of %s: %w", v.name, err)
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

// cosignedAt is the time in a cosignature, the base64 of a signature line; zero where it tells none.
func cosignedAt(line string) time.Time {
	raw, err := base64.StdEncoding.DecodeString(line)
	if err != nil || len(raw) < 12 {
		return time.Time{}
	}
	at := binary.BigEndian.Uint64(raw[4:12])
	if at == 0 || at > 1<<40 { // an ML-DSA-44 one may tell none; and none is from the year 36812
		return time.Time{}
	}
	return time.Unix(int64(at), 0).UTC()
}
