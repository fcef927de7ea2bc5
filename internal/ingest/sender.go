package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Sender is who sent a request.
type Sender struct {
	Name string // what the operator calls the credential; "" if it has no name
	Team string // whom it belongs to; "" if that was not said
	ID   string // the access key id, if it was proven; "" otherwise
	Addr string // the remote address, without its port
}

// Source is how a record names its sender: by the credential's name, behind its team where
// it has one, by its id, or else by the remote address.
func (s Sender) Source() string {
	switch {
	case s.Name != "" && s.Team != "":
		return s.Team + "/" + s.Name
	case s.Name != "":
		return s.Name
	case s.ID != "":
		return s.ID
	}
	return s.Addr
}

// Authenticator says who sent a request, or why it is not known.
type Authenticator interface {
	Authenticate(r *http.Request) (Sender, *Refusal)
}

// Token is a bearer token and who sends with it.
type Token struct {
	Secret     string
	Name, Team string // of the Sender
}

// Tokens authenticates by bearer tokens. It is safe for concurrent use.
type Tokens struct {
	known   []Token
	digests [][sha256.Size]byte // digests have one length: a comparison tells nothing of the token's
	refusal Refusal
}

// NewTokens knows the tokens of list. Without any, everybody may send. refusal
// is the answer to who has none of them.
func NewTokens(list []Token, refusal Refusal) *Tokens {
	t := &Tokens{known: list, refusal: refusal}
	for _, token := range list {
		t.digests = append(t.digests, sha256.Sum256([]byte(token.Secret)))
	}
	return t
}

// Authenticate implements Authenticator. It takes as long for a wrong token as
// for a right one.
func (t *Tokens) Authenticate(r *http.Request) (Sender, *Refusal) {
	s := Sender{Addr: Host(r)}
	if len(t.known) == 0 {
		return s, nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := -1
	for i := range t.digests {
		if subtle.ConstantTimeCompare(t.digests[i][:], sum[:]) == 1 {
			found = i
		}
	}
	if found < 0 || !strings.EqualFold(scheme, "Bearer") {
		refusal := t.refusal
		return s, &refusal
	}
	s.Name, s.Team = t.known[found].Name, t.known[found].Team
	return s, nil
}

// Quoted reports whether a credential begins or ends with a quotation mark: a
// mark that an environment file or a shell was meant to take away.
func Quoted(credential string) bool {
	return strings.Trim(credential, `"'`) != credential
}
