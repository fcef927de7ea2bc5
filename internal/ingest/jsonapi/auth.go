package jsonapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// tokens are the digests of the bearer tokens that may send. Digests have one
// length, so that a comparison tells nothing of the token's.
type tokens [][sha256.Size]byte

func newTokens(list []string) tokens {
	t := make(tokens, 0, len(list))
	for _, token := range list {
		t = append(t, sha256.Sum256([]byte(token)))
	}
	return t
}

// allow reports whether an Authorization header names one of the tokens. It
// takes as long for a wrong one as for a right one.
func (t tokens) allow(authorization string) bool {
	if len(t) == 0 {
		return true
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := 0
	for i := range t {
		found |= subtle.ConstantTimeCompare(t[i][:], sum[:])
	}
	return found == 1
}
