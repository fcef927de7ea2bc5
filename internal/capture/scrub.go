package capture

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// Scrub masks every secret in what the exchange would record: an upstream that repeats
// a credential in its answer, or issues one, must not bring it into the log. Digests stay those of the bytes that
// passed, and a body that was changed is marked. Bytes in memory are copied, not changed. Of a body that is compressed, and holds one,
// what the coding holds is recorded, masked: see Message.Undone.
func (e *Exchange) Scrub(secrets []string) {
	if e.Kind != Open && e.Status != 0 && e.Issues() {
		issued := e.Response.issued(e.URL)
		if issued == nil {
			e.Response.hide()
		}
		secrets = slices.Concat(secrets, issued)
	}
	if len(secrets) == 0 {
		return
	}
	e.secrets = secrets
	for _, m := range []*Message{&e.Request, &e.Response} {
		m.scrub(secrets)
		for _, fields := range [][]Field{m.Headers, m.Trailers} {
			for i := range fields {
				fields[i].Value = Mask(fields[i].Value, secrets)
			}
		}
	}
	if e.ClientStream != nil {
		e.ClientStream.scrub(secrets)
	}
	e.Retry = Mask(e.Retry, secrets)
	e.URL, e.Fault = Mask(e.URL, secrets), Mask(e.Fault, secrets)
}

// scrub masks the secrets in a body. One that is compressed is replaced by what its coding holds where there are any in that.
func (m *Message) scrub(secrets []string) {
	switch {
	case m.Absent || m.Body.Kept == 0:
		return
	case m.coding() == "":
		m.Body.scrub(secrets)
		return
	}
	plain, _ := m.content() // as far as it can be undone
	found := false
	for _, secret := range secrets {
		if Contains(plain, secret) {
			plain, found = bytes.ReplaceAll(plain, []byte(secret), bytes.Repeat([]byte{'*'}, len(secret))), true
		}
	}
	if !found {
		m.Body.scrub(secrets) // a server may name a coding and send none
		return
	}
	m.Undone, m.plain = m.coding(), nil
	m.Body = Body{Bytes: plain, Kept: int64(len(plain)), Size: m.Body.Size, Digest: m.Body.Digest, Masked: true}
}

// Mask is a text with an asterisk for each byte of a secret in it.
func Mask(s string, secrets []string) string {
	for _, secret := range secrets {
		if strings.Contains(s, secret) {
			s = strings.ReplaceAll(s, secret, strings.Repeat("*", len(secret)))
		}
	}
	return s
}

// scrub masks secrets in what was derived: from bytes that were compressed, or that spelled
// a secret with escapes of JSON.
func (d *Derived) scrub(secrets []string) {
	if len(secrets) == 0 {
		return
	}
	d.eachText(func(t *string) {
		if len(*t) >= minSecret {
			*t = Mask(*t, secrets)
		}
	})
	for _, raw := range d.Usage {
		if v := string(raw); Mask(v, secrets) != v {
			d.Usage = nil // numbers and names are in it: what else is there is not taken apart
			break
		}
	}
}

// eachText calls f with all texts that an upstream or a client can have chosen.
func (d *Derived) eachText(f func(*string)) {
	for _, t := range [...]*string{
		&d.RequestedModel, &d.ServedModel, &d.ResponseID, &d.PreviousID, &d.TraceID, &d.User, &d.UserAgent,
		&d.Text, &d.ErrorClass, &d.ErrorCode, &d.ErrorMessage, &d.FinishReason,
	} {
		f(t)
	}
	for i := range d.FinishReasons {
		f(&d.FinishReasons[i])
	}
	for i := range d.ToolCalls {
		t := &d.ToolCalls[i]
		f(&t.ID)
		f(&t.Name)
		f(&t.Arguments)
	}
	for i := range d.Unparsed {
		f(&d.Unparsed[i])
	}
}

// Contains says whether a secret stands in b. It looks for the byte of it that is rarest in texts: prompts are long, and bytes.Index,
// which looks for the first byte, stops at each "s" of them for a key that begins with "sk-".
func Contains(b []byte, secret string) bool {
	anchor, rare := 0, rarities[secret[0]]
	for i := 1; i < len(secret) && rare < rarest; i++ {
		if r := rarities[secret[i]]; r > rare {
			anchor, rare = i, r
		}
	}
	last := len(b) - len(secret) + anchor // of the places where the anchor can stand
	for at, compared := anchor, 0; at <= last; at++ {
		n := bytes.IndexByte(b[at:last+1], secret[anchor])
		if n < 0 {
			return false
		}
		at += n
		if string(b[at-anchor:at-anchor+len(secret)]) == secret {
			return true
		}
		// A client can send a long credential and a body that resembles it everywhere: bytes.Contains takes linear time.
		if compared++; compared > 64+at/32 {
			return bytes.Contains(b[at-anchor+1:], []byte(secret))
		}
	}
	return false
}

// rarities are greater for what is rarer in prompts and answers.
var rarities = func() (table [256]uint8) {
	for i := range table {
		switch c := byte(i); {
		case c >= 'a' && c <= 'z' && c != 'q' && c != 'z' && c != 'x' && c != 'j', c == '"', c == ' ', c == '-', c == ',', c == '.', c == ':', c == '/':
			table[c] = 0
		case c >= '0' && c <= '9', c == '_':
			table[c] = 1
		case c >= 'a' && c <= 'z', strings.IndexByte("AEIST", c) >= 0:
			table[c] = 2
		default:
			table[c] = rarest
		}
	}
	return table
}()

const rarest = 3

func (b *Body) scrub(secrets []string) {
	if b.File != nil {
		b.File = &scrubbed{src: b.File, secrets: secrets, begin: b.Offset, end: b.Offset + b.Kept, found: &b.Masked}
		return
	}
	for _, secret := range secrets {
		if Contains(b.Bytes, secret) {
			b.Bytes, b.Masked = bytes.ReplaceAll(b.Bytes, []byte(secret), bytes.Repeat([]byte{'*'}, len(secret))), true
		}
	}
}

// scrubbed is a file with its secrets masked as it is read.
type scrubbed struct {
	src        io.ReaderAt
	secrets    []string
	begin, end int64
	found      *bool
}

// ReadAt implements io.ReaderAt: it reads on both sides of what is asked for, as
// far as a secret can reach.
func (s *scrubbed) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.end {
		return 0, io.EOF
	}
	reach := int64(0)
	for _, secret := range s.secrets {
		reach = max(reach, int64(len(secret)))
	}
	from, to := max(s.begin, off-reach), min(s.end, off+int64(len(p))+reach)
	buf := make([]byte, to-from)
	n, err := s.src.ReadAt(buf, from)
	if err != nil && (err != io.EOF || int64(n) < to-from) {
		return 0, err
	}
	for _, secret := range s.secrets {
		if bytes.Contains(buf, []byte(secret)) {
			*s.found = true
			buf = bytes.ReplaceAll(buf, []byte(secret), bytes.Repeat([]byte{'*'}, len(secret)))
		}
	}
	n = copy(p, buf[off-from:min(s.end, off+int64(len(p)))-from])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
