package proof

import (
	"errors"
	"fmt"
	"strings"

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
