package capture

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// minSecret is the length from which a text is taken for a secret.
const minSecret = 8

// secrets collects texts that must not be recorded.
type secrets []string

func (s *secrets) add(v string) {
	if len(v) >= minSecret {
		*s = append(*s, v)
	}
}

// Secrets are the texts of a request that must not be recorded wherever an
// upstream repeats them: credentials, in the forms in which they could come back.
func Secrets(h http.Header, rawQuery string) []string {
	var all secrets
	for name, values := range h {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Cookie":
			for _, line := range values {
				for pair := range strings.SplitSeq(line, ";") {
					all.cookie(pair)
				}
			}
		case "Referer": // has the query of the request that was redirected
			for _, v := range values {
				if _, query, ok := strings.Cut(v, "?"); ok {
					all.query(query)
				}
			}
		case "Sec-Websocket-Key", "Sec-Websocket-Accept": // no secrets: each is made for one connection
		case "Sec-Websocket-Protocol":
			for _, v := range values {
				for one := range strings.SplitSeq(v, ",") {
					all.protocol(strings.TrimSpace(one))
				}
			}
		default:
			usual, ok := usualHeaders[name]
			if !ok && (!namesSecret(name) || keepHeader(strings.ToLower(name))) || ok && !usual.secret {
				break
			}
			for _, v := range values {
				if usual.secret || name == "Proxy-Authorization" || random(v) {
					all.header(v)
				}
			}
		}
	}
	all.query(rawQuery)
	return all
}

// random says whether a text may be made by a machine, as credentials are: what is named like one may be a name, or a word.
func random(v string) bool { return len(v) >= 12 && strings.ContainsAny(v, "0123456789") }

// namesSecret says whether a header, by its canonical name, holds a credential.
func namesSecret(name string) bool {
	for _, word := range [...]string{"Key", "key", "Token", "token", "Secret", "secret", "Authoriz", "Auth-", "Password", "Credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.HasSuffix(name, "Auth")
}

// header adds what a header of such a name holds.
func (s *secrets) header(v string) {
	scheme, secret := splitScheme(strings.TrimSpace(v))
	if strings.HasPrefix(scheme, "AWS4-") { // secret is the id of a key, which is none
		if _, sum, ok := strings.Cut(v, "Signature="); ok {
			sum, _, _ = strings.Cut(sum, ",")
			s.add(strings.TrimSpace(sum))
		}
		return
	}
	s.add(secret)
	if scheme != "Basic" {
		return
	}
	if plain, err := base64.StdEncoding.DecodeString(secret); err == nil {
		user, password, ok := strings.Cut(string(plain), ":")
		if s.add(password); ok && password == "" { // some take the key as the user's name
			s.add(user)
		}
	}
}

// cookie adds the value of a cookie, or of the first pair of a Set-Cookie.
func (s *secrets) cookie(pair string) {
	_, v, _ := strings.Cut(pair, "=")
	s.add(strings.Trim(v, ` "`))
}

// keyProtocols begin protocols of WebSockets behind which browsers send a key, because they cannot set headers.
var keyProtocols = []string{"openai-insecure-api-key.", "openai-ephemeral-user-token.", "base64url.bearer.authorization.k8s.io."}

// protocol adds what may be a key in a protocol of a WebSocket: some take one without anything before it.
func (s *secrets) protocol(one string) {
	for _, begin := range keyProtocols {
		if key, ok := strings.CutPrefix(one, begin); ok {
			s.add(key)
			return
		}
	}
	if len(one) >= 20 && strings.ContainsAny(one, "0123456789") && !strings.Contains(one, "openai-") && !strings.Contains(one, "realtime") {
		s.add(one)
	}
}

// protocolKey is a key among the protocols of a WebSocket.
func protocolKey(h http.Header) string {
	for _, v := range h["Sec-Websocket-Protocol"] {
		for one := range strings.SplitSeq(v, ",") {
			var found secrets
			if found.protocol(strings.TrimSpace(one)); len(found) > 0 {
				return found[0]
			}
		}
	}
	return ""
}

// query adds the values of a query's parameters that hold credentials: as they were sent, and as they are meant.
func (s *secrets) query(raw string) {
	if raw == "" {
		return
	}
	for pair := range strings.SplitSeq(raw, "&") {
		name, v, _ := strings.Cut(pair, "=")
		if !IsKey(name) && (!namesCredential(name) || !random(v)) {
			continue
		}
		s.add(v)
		if text, err := url.QueryUnescape(v); err == nil && text != v {
			s.add(text)
		}
	}
}

// namesCredential says whether a query parameter, by its name as sent, holds a credential. The tokens that lead from one page of
// a list to the next are none.
func namesCredential(name string) bool {
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return false
	}
	plain = strings.ToLower(plain)
	for _, end := range [...]string{"key", "sig", "signature", "jwt", "auth", "authorization"} {
		if strings.HasSuffix(plain, end) {
			return true
		}
	}
	if strings.HasSuffix(plain, "token") {
		return !strings.Contains(plain, "page") && !strings.Contains(plain, "next") && !strings.Contains(plain, "continu")
	}
	return strings.Contains(plain, "secret") || strings.Contains(plain, "password")
}

// AnswerSecrets are the texts in an answer's headers that must not be recorded where its body repeats them: cookies, and what the URL
// holds that it leads to.
func AnswerSecrets(h http.Header) []string {
	var all secrets
	for _, v := range h["Set-Cookie"] {
		pair, _, _ := strings.Cut(v, ";")
		all.cookie(pair)
	}
	for _, v := range h["Location"] {
		if u, err := url.Parse(v); err == nil {
			all.query(u.RawQuery)
			if password, ok := u.User.Password(); ok {
				all.add(password)
			}
		}
	}
	return all
}

// Spellings are the secrets in base64, as they stand in the base64 of a longer text: an upstream that encodes what it repeats must not bring
// them into the log either. Of the characters at the ends, which what stands beside a secret decides as well, there is none in them.
func Spellings(list []string) (spelled []string) {
	var space [1024]byte
	plain, code := space[:0:256], space[256:256]
	var few [32]int
	ends := few[:0] // of each
	for _, secret := range list {
		for before := range 3 {
			plain = append(append(plain[:0], "\x00\x00"[:before]...), secret...)
			begun := len(code)
			code = base64.StdEncoding.AppendEncode(code, plain)
			from, to := begun+[...]int{0, 2, 3}[before], begun+4*len(plain)/3 // what nothing but plain decides
			if code = code[:begun+copy(code[begun:], code[from:to])]; to-from < minSecret {
				code = code[:begun]
				continue
			}
			if ends = append(ends, len(code)); bytes.ContainsAny(code[begun:], "+/") {
				for _, c := range code[begun:len(code):len(code)] {
					switch c {
					case '+':
						c = '-'
					case '/':
						c = '_'
					}
					code = append(code, c)
				}
				ends = append(ends, len(code))
			}
		}
	}
	all, from := string(code), 0
	spelled = make([]string, len(ends))
	for i, to := range ends {
		spelled[i], from = all[from:to], to
	}
	return spelled
}
