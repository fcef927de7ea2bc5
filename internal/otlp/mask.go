package otlp

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"
)

// credentials are names of attributes, without what stands before their last dot, whose values are credentials.
var credentials = map[string]bool{
	"authorization": true, "proxy_authorization": true, "x_api_key": true, "api_key": true, "apikey": true, "x_goog_api_key": true, "user_api_key": true,
	"cookie": true, "set_cookie": true, "password": true, "secret": true, "client_secret": true, "secret_key": true, "aws_secret_access_key": true, "aws_session_token": true,
	"x_amz_security_token": true, "token": true, "access_token": true, "refresh_token": true, "id_token": true, "auth_token": true, "api_token": true, "bearer_token": true, "private_key": true,
}

// isCredential reports whether an attribute of that name holds a credential.
func isCredential(key string) bool {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		key = key[i+1:]
	}
	if len(key) > 32 {
		return false
	}
	return credentials[strings.ReplaceAll(strings.ToLower(key), "-", "_")]
}

// inText finds credentials in texts that hold headers or parameters: as JSON, as a Python repr, or as lines.
var inText = regexp.MustCompile(`(?i)(?:authorization|api[-_]?key|cookie|access[-_]?token|client[-_]?secret|[?&]key|[?&]sig|[?&]signature|[?&]token)\\*["']?\s*[:=]\s*\\*["']?(?:(?:bearer|basic)\s+)?([A-Za-z0-9._~+/=-]{16,})`)

// hints are in every text that inText finds something in.
var hints = [...]string{"uthorization", "UTHORIZATION", "api_key", "api-key", "apikey", "apiKey", "ApiKey", "Api-Key", "API-Key", "API_KEY", "API-KEY", "APIKEY",
	"ookie", "OOKIE", "ccess_token", "ccess-token", "ccessToken", "ccess-Token", "CCESS_TOKEN", "?key=", "&key=", "?sig", "&sig", "?token=", "&token=", "lient_secret", "lientSecret", "lient-secret", "LIENT_SECRET"}

// longCredential is how long a text is at least that is masked wherever it stands. A shorter one, which
// other bytes may well be equal to, is masked in its attribute alone.
const longCredential = 12

// secret is what is replaced by what.
type secret struct{ old, masked []byte }

// secrets are the credentials that an attribute holds.
func (a *attribute) secrets() (out []secret) {
	if isCredential(a.key) {
		v := gjson.Result{}
		switch {
		case a.inJSON():
			v = gjson.ParseBytes(a.raw).Get("value")
		case a.value.kind == kindProtobuf:
			v = gjson.ParseBytes(a.value.appendJSON(nil))
		}
		for _, s := range append(texts(v, nil), a.value.text) {
			out = append(out, a.secret(s))
		}
		return out
	}
	s := a.value.text
	switch {
	case a.inJSON():
		s = shared(a.raw) // as it is spelled there
	case a.value.kind == kindProtobuf:
		s = a.value.string()
	case a.value.kind != kindText:
		return nil
	}
	if !hinted(s) {
		return nil
	}
	for _, m := range inText.FindAllStringSubmatch(s, 64) {
		if strings.ContainsAny(m[1], "0123456789") {
			out = append(out, a.secret(m[1]))
		}
	}
	return out
}

func (a *attribute) secret(s string) secret {
	old := []byte(s)
	if len(s) < longCredential {
		old = a.raw
		i := bytes.LastIndex(old, []byte(s))
		if i < 0 || len(s) == 0 {
			return secret{}
		}
		masked := bytes.Clone(old)
		copy(masked[i:], strings.Repeat("*", len(s)))
		return secret{old, masked}
	}
	return secret{old, bytes.Repeat([]byte{'*'}, len(s))}
}

func hinted(s string) bool {
	if len(s) < 24 {
		return false
	}
	for _, hint := range hints {
		if strings.Contains(s, hint) {
			return true
		}
	}
	return false
}

// inJSON reports whether the attribute came as OTLP/JSON.
func (a *attribute) inJSON() bool { return len(a.raw) > 0 && a.raw[0] == '{' }

// texts are the texts in a JSON value, at any depth, as they are spelled and as they are meant.
func texts(v gjson.Result, out []string) []string {
	if v.Type == gjson.String && len(v.Raw) >= 2 {
		if out = append(out, v.Raw[1:len(v.Raw)-1]); v.Str != v.Raw[1:len(v.Raw)-1] {
			out = append(out, v.Str)
		}
	}
	if v.IsArray() || v.IsObject() {
		v.ForEach(func(_, e gjson.Result) bool {
			out = texts(e, out)
			return len(out) < 512
		})
	}
	return out
}

// mask is the item's bytes and those around it, with an asterisk for each byte of a credential: lengths stay, and so does
// everything else. The bytes are copied where something is masked.
func (r *Record) mask() (raw, outer, inner []byte) {
	it := r.item
	raw, outer, inner = it.raw, it.scope.outer, it.scope.inner
	var secrets []secret
	look := func(list attributes) {
		for i := range list {
			found := list[i].secrets()
			if len(found) > 0 && len(r.masked) < 64 {
				r.masked = append(r.masked, cutAt(list[i].key, 256))
			}
			secrets = append(secrets, found...)
		}
	}
	look(r.content.attrs)
	body := attribute{key: "body", value: r.content.body}
	if it.encoding == JSON && it.signal == Logs {
		body.raw = it.raw // as it is spelled there
	}
	look(attributes{body})
	for i := range r.content.events {
		look(r.content.events[i].attrs)
	}
	look(it.scope.resource)
	for _, s := range secrets {
		if len(s.old) == 0 {
			continue
		}
		for _, b := range []*[]byte{&raw, &outer, &inner} {
			*b = bytes.ReplaceAll(*b, s.old, s.masked)
		}
		if d := r.derived; d != nil {
			d.mask(s)
		}
	}
	return raw, outer, inner
}

// mask masks a credential in what was derived.
func (d *Derived) mask(s secret) {
	d.Input, d.Output = bytes.ReplaceAll(d.Input, s.old, s.masked), bytes.ReplaceAll(d.Output, s.old, s.masked)
	for _, text := range []*string{&d.ErrorMessage, &d.APIBase, &d.User, &d.EndUser, &d.Session, &d.Model} {
		*text = strings.ReplaceAll(*text, string(s.old), string(s.masked))
	}
}

// MaskText is a copy of data that nobody can read with the credentials masked that its texts show, or data itself.
func MaskText(data []byte) []byte {
	if !hinted(shared(data)) {
		return data
	}
	var out []byte
	for _, at := range inText.FindAllSubmatchIndex(data, 1024) {
		if m := data[at[2]:at[3]]; bytes.ContainsAny(m, "0123456789") {
			if out == nil {
				out = bytes.Clone(data)
			}
			copy(out[at[2]:at[3]], bytes.Repeat([]byte{'*'}, len(m)))
		}
	}
	if out == nil {
		return data
	}
	return out
}
