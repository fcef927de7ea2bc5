package otlp

import (
	"bytes"
	"regexp"
	"strings"
	"unsafe"

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

// longCredential is how long a text is at least that is masked wherever it stands, and mostLong how many of them. A shorter one, which
// other bytes may well be equal to, and one more is masked in its attribute alone.
const (
	longCredential = 12
	mostLong       = 64
)

// secret is what is replaced by what.
type secret struct{ old, masked []byte }

// hinted says whether one of the hints stands in s. It goes through s once: each hint has a k before "ey", "ie" or "en", a z, a sig behind
// ? or &, or a secret, and only there they are looked for.
func hinted(s string) bool {
	if len(s) < 24 {
		return false
	}
	for i, looked := 0, 0; i+2 < len(s); i++ {
		switch s[i] | 0x20 {
		case 'k':
			if a, b := s[i+1]|0x20, s[i+2]|0x20; !(a == 'e' && (b == 'y' || b == 'n') || a == 'i' && b == 'e') {
				continue
			}
		case 'z':
		case 's':
			if a, b := s[i+1]|0x20, s[i+2]|0x20; !(a == 'e' && b == 'c' || a == 'i' && b == 'g') {
				continue
			}
		default:
			continue
		}
		around := s[max(0, i-longestHint):min(len(s), i+longestHint)]
		if looked++; looked > 64+i/64 { // a text of z, or base64: to search it for each hint takes less time
			around = s[max(0, i-longestHint):]
		}
		for _, hint := range hints {
			if strings.Contains(around, hint) {
				return true
			}
		}
		if looked > 64+i/64 {
			return false
		}
	}
	return false
}

// longestHint is how long a hint is at most.
const longestHint = 12

// leaf is called with a text in a value, as it is spelled and as it is meant, and the name before it.
type leaf func(key, spelled, meant string)

// maxJSONDepth is how deep a value in OTLP/JSON is looked into: each list or map of it is several of JSON's.
const maxJSONDepth = 4 * maxDepth

// eachText calls f with the texts in a value of OTLP/JSON, at any depth.
func eachText(key string, v gjson.Result, depth int, f leaf) {
	switch {
	case v.Type == gjson.String && len(v.Raw) >= 2:
		f(key, v.Raw[1:len(v.Raw)-1], v.Str)
	case depth == 0:
	case v.IsArray():
		v.ForEach(func(_, e gjson.Result) bool {
			eachText(key, e, depth-1, f)
			return true
		})
	case v.IsObject():
		if name := v.Get("key"); name.Type == gjson.String {
			key = name.Str
		}
		v.ForEach(func(name, e gjson.Result) bool {
			switch under := key; {
			case name.Str == "key":
			case isCredential(name.Str):
				under = name.Str
				fallthrough
			default:
				eachText(under, e, depth-1, f)
			}
			return true
		})
	}
}

// eachBytes calls f with the texts and bytes in an AnyValue, at any depth.
func eachBytes(key string, anyValue []byte, depth int, f leaf) {
	if depth == 0 {
		f(key, shared(anyValue), shared(anyValue)) // nobody looks into it either
		return
	}
	_ = eachField(anyValue, func(v field) error { // as far as it can be read
		switch {
		case v.is(1), v.is(7):
			f(key, v.text(), v.text())
		case v.is(5):
			_ = eachField(v.bytes, func(e field) error {
				if e.is(1) {
					eachBytes(key, e.bytes, depth-1, f)
				}
				return nil
			})
		case v.is(6):
			_ = eachField(v.bytes, func(e field) error {
				if e.is(1) {
					a, _ := parseAttribute(e.bytes)
					_ = eachField(e.bytes, func(x field) error {
						if x.is(2) {
							eachBytes(a.key, x.bytes, depth-1, f)
						}
						return nil
					})
				}
				return nil
			})
		}
		return nil
	})
}

// masker masks the credentials of an item.
type masker struct {
	raw, outer, inner []byte
	original          []byte // raw as it came: what is read shares its memory
	copied            bool   // raw and outer are no longer what came
	found             bool
	long              []secret
	known             map[string]bool // in long
}

// mask is the item's bytes and those around it, with an asterisk for each byte of a credential: lengths stay, and so does
// everything else. The bytes are copied where something is masked.
func (r *Record) mask() (raw, outer, inner []byte) {
	it, c := r.item, &r.content
	m := masker{raw: it.raw, outer: it.scope.outer, inner: it.scope.inner, original: it.raw}
	told := func(key string) {
		if m.found && len(r.masked) < 64 {
			r.masked = append(r.masked, cutAt(key, 256))
		}
		m.found = false
	}
	look := func(list attributes, place func(a *attribute) leaf) {
		for i := range list {
			if a := &list[i]; isCredential(a.key) || hinted(shared(a.raw)) {
				it.eachLeaf(a.key, a.raw, place(a))
				told(a.key)
			}
		}
	}
	within := func(*attribute) leaf { return m.leaf(func(text string) { m.place(m.original, 0, text) }) }
	look(c.attrs, within)
	for i := range c.events {
		look(c.events[i].attrs, within)
	}
	switch body := within(nil); {
	case it.signal != Logs || !hinted(shared(it.raw)):
	case it.encoding == JSON:
		eachText("body", gjson.Parse(shared(it.raw)).Get("body"), maxJSONDepth, body)
	default:
		_ = eachField(it.raw, func(f field) error {
			if f.is(5) {
				eachBytes("body", f.bytes, maxDepth, body)
			}
			return nil
		})
	}
	told("body")
	within(nil)("", c.message, c.message)
	told("status.message")
	within(nil)("", c.name, c.name)
	told("name")
	from := 0 // attributes stand in their order
	look(it.scope.resource, func(a *attribute) leaf {
		at := bytes.Index(m.outer[from:], a.raw)
		if at < 0 {
			return m.leaf(func(string) {})
		}
		at += from
		from = at + len(a.raw)
		return m.leaf(func(text string) { m.place(a.raw, at, text) })
	})
	for _, s := range m.long {
		for _, b := range []*[]byte{&m.raw, &m.outer, &m.inner} {
			if bytes.Contains(*b, s.old) {
				*b = bytes.ReplaceAll(*b, s.old, s.masked)
			}
		}
		if d := r.derived; d != nil {
			d.mask(s)
		}
	}
	return m.raw, m.outer, m.inner
}

// eachLeaf calls f with the texts in an attribute's value.
func (it *Item) eachLeaf(key string, attribute []byte, f leaf) {
	if it.encoding == JSON {
		eachText(key, gjson.Parse(shared(attribute)).Get("value"), maxJSONDepth, f)
		return
	}
	_ = eachField(attribute, func(v field) error { // as far as it can be read
		if v.is(2) {
			eachBytes(key, v.bytes, maxDepth, f)
		}
		return nil
	})
}

// leaf finds the credentials in a text. place masks one where it stands.
func (m *masker) leaf(place func(text string)) leaf {
	found := func(spelled, meant string) {
		if spelled == "" {
			return
		}
		m.found = true
		place(spelled)
		m.everywhere(spelled)
		m.everywhere(meant)
		quoted := appendString(nil, meant)
		m.everywhere(string(quoted[1 : len(quoted)-1])) // as it may be derived
	}
	return func(key, spelled, meant string) {
		if isCredential(key) {
			found(spelled, meant)
			return
		}
		in := func(s string, skip int) {
			if !hinted(s) {
				return
			}
			for _, at := range inText.FindAllStringSubmatchIndex(s, 1024) {
				if at[2] >= skip && strings.ContainsAny(s[at[2]:at[3]], "0123456789") {
					text := spelled[at[2]-skip : at[3]-skip]
					found(text, text)
				}
			}
		}
		in(spelled, 0)
		if key += ": "; len(spelled) <= maxKeyed {
			in(key+spelled, len(key))
		}
	}
}

// maxKeyed is how long a text may be that is a credential because of the end of its name.
const maxKeyed = 8 << 10

// everywhere has a text masked wherever it stands.
func (m *masker) everywhere(s string) {
	if len(s) < longCredential || len(m.long) >= mostLong || m.known[s] {
		return
	}
	if m.known == nil {
		m.known = map[string]bool{}
	}
	m.known[s] = true
	m.long = append(m.long, secret{[]byte(s), bytes.Repeat([]byte{'*'}, len(s))})
}

// place masks a text that is in part of the item, or of what stands around it at an offset.
func (m *masker) place(part []byte, offset int, text string) {
	at := int(uintptr(unsafe.Pointer(unsafe.StringData(text))) - uintptr(unsafe.Pointer(unsafe.SliceData(part))))
	if at < 0 || at+len(text) > len(part) {
		return // a copy: it stands there in another spelling
	}
	if !m.copied {
		m.raw, m.outer, m.copied = bytes.Clone(m.raw), bytes.Clone(m.outer), true
	}
	to := m.outer
	if unsafe.SliceData(part) == unsafe.SliceData(m.original) {
		to = m.raw
	}
	to = to[offset+at : offset+at+len(text)]
	for i := range to {
		to[i] = '*'
	}
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
	if !tooDeep(data) && gjson.ValidBytes(data) {
		m := masker{raw: data, original: data}
		eachText("", gjson.Parse(shared(data)), maxJSONDepth, m.leaf(func(text string) { m.place(data, 0, text) }))
		data = m.raw
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
