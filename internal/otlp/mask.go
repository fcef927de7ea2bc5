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
	var name [32]byte
	if len(key) < len("token") || len(key) > len(name) {
		return false
	}
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 0x80:
			return credentials[strings.ReplaceAll(strings.ToLower(key), "-", "_")]
		case c >= 'A' && c <= 'Z':
			name[i] = c | 0x20
		case c == '-':
			name[i] = '_'
		default:
			name[i] = c
		}
	}
	return credentials[string(name[:len(key)])]
}

// inText finds credentials in texts that hold headers or parameters: as JSON, as a Python repr, or as lines. inForm finds the keys of
// providers that can be told by their form.
var (
	inText = regexp.MustCompile(`(?i)(?:authorization|api[-_]?key|cookie|access[-_]?token|client[-_]?secret|[?&](?:key|sig|signature|token|x-amz-signature|x-amz-security-token|x-goog-signature))` +
		`\\*["']?\s*[:=]\s*\\*["']?(?:(?:bearer|basic)\s+)?([A-Za-z0-9._~+/=%-]{16,})`)
	inForm = regexp.MustCompile(`(?:^|[^A-Za-z0-9])((?:sk-|gsk_|ek_|AIza)[A-Za-z0-9_-]{20,})`)
)

// mostFound bounds the credentials that are looked for in one text of an item, and at a time in a request.
const mostFound = 1024

// eachCredential calls f with the places of credentials in a text that is hinted, of at most so many of each kind; with most < 0,
// of all of them.
func eachCredential(s string, most int, f func(from, to int)) {
	find := func(in *regexp.Regexp) {
		// So many at a time: a hostile text has hundreds of thousands. Each match takes all that its last class takes, so that the
		// next one is the same whether what is behind it is looked through by itself or not.
		for begin := 0; ; {
			found := in.FindAllStringSubmatchIndex(s[begin:], mostFound)
			for _, at := range found {
				if from, to := begin+at[2], begin+at[3]; strings.ContainsAny(s[from:to], "0123456789") {
					f(from, to)
				}
			}
			if len(found) < mostFound || most >= 0 {
				return
			}
			begin += found[len(found)-1][1]
		}
	}
	find(inText)
	for _, begin := range forms {
		if strings.Contains(s, begin) {
			find(inForm)
			return
		}
	}
}

// longCredential is how long a text is at least that is masked wherever it stands, and mostLong how many of them. A shorter one, which
// other bytes may well be equal to, and one more is masked in its attribute alone.
const (
	longCredential = 12
	mostLong       = 64
)

// secret is what is replaced by what.
type secret struct{ old, masked []byte }

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
		if v.Get("key").Type == gjson.String {
			key = keyOfJSON(v)
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

// keyOfJSON is the key of a KeyValue. Of several it is one that is named like a credential: who reads the record may take any.
func keyOfJSON(v gjson.Result) (key string) {
	v.ForEach(func(name, k gjson.Result) bool {
		if name.Str == "key" && !telling(key) {
			key = k.Str
		}
		return true
	})
	return key
}

// keyOf is likewise.
func keyOf(keyValue []byte) (key string) {
	_ = eachField(keyValue, func(k field) error { // as far as it can be read
		if k.is(1) && !telling(key) {
			key = k.text()
		}
		return nil
	})
	return key
}

// telling says whether what has this key may be a credential.
func telling(key string) bool { return isCredential(key) || named(key) }

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
					eachValue(e.bytes, depth-1, f)
				}
				return nil
			})
		}
		return nil
	})
}

// eachValue calls f with the texts and bytes in a KeyValue, at any depth.
func eachValue(keyValue []byte, depth int, f leaf) {
	key := keyOf(keyValue)
	_ = eachField(keyValue, func(v field) error { // as far as it can be read
		if v.is(2) {
			eachBytes(key, v.bytes, depth, f)
		}
		return nil
	})
}

// suspect says whether a credential may stand in the attribute: in lists and maps any name may be that of one, and JSON can spell one with escapes.
func (a *attribute) suspect() bool {
	return a.value.odd || a.value.kind == kindProtobuf || a.value.kind == kindJSON || isCredential(a.key) || hinted(shared(a.raw)) || bytes.Contains(a.raw, []byte(`\u00`))
}

func (a *attributes) suspects() (list []attribute) {
	for i := range a.list {
		if a.list[i].suspect() {
			list = append(list, a.list[i])
		}
	}
	return list
}

// masker masks the credentials of an item.
type masker struct {
	raw, outer, inner []byte
	original          []byte // raw as it came: what is read shares its memory
	copied            bool   // they are no longer what came
	found             bool
	long              []secret
	known             map[string]bool // in long
	many              bool            // there are more than in long
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
	look := func(a *attribute, f leaf) {
		if a.suspect() {
			it.eachLeaf(a.key, a.raw, f)
			told(a.key)
		}
	}
	within := m.leaf(func(text string) { m.place(&m.raw, m.original, 0, text) })
	switch {
	case c.more && it.encoding == JSON:
		gjson.Parse(shared(it.raw)).ForEach(func(name, v gjson.Result) bool {
			eachText(name.Str, v, maxJSONDepth, within)
			told(name.Str)
			return true
		})
	case c.more:
		it.eachAttribute(func(a attribute) { look(&a, within) }, func(text string) { within("", text, text) })
	default:
		for i := range c.attrs.list {
			look(&c.attrs.list[i], within)
		}
		for i := range c.events {
			for j := range c.events[i].attrs.list {
				look(&c.events[i].attrs.list[j], within)
			}
		}
	}
	switch {
	case it.signal != Logs:
	case it.encoding == JSON:
		gjson.Parse(shared(it.raw)).ForEach(func(name, v gjson.Result) bool {
			if name.Str == "body" {
				eachText("body", v, maxJSONDepth, within)
			}
			return true
		})
	default:
		_ = eachField(it.raw, func(f field) error {
			if f.is(5) {
				eachBytes("body", f.bytes, maxDepth, within)
			}
			return nil
		})
	}
	told("body")
	within("", c.message, c.message)
	told("status.message")
	within("", c.name, c.name)
	told("name")
	m.outside(&m.outer, it.scope.suspects, look)
	m.outside(&m.inner, it.scope.own, look)
	for _, s := range m.long {
		for _, b := range []*[]byte{&m.raw, &m.outer, &m.inner} {
			if bytes.Contains(*b, s.old) {
				*b = bytes.ReplaceAll(*b, s.old, s.masked)
			}
		}
		c.name = strings.ReplaceAll(c.name, string(s.old), string(s.masked))
		r.derived.mask(func(b []byte) []byte { return bytes.ReplaceAll(b, s.old, s.masked) })
	}
	if m.many {
		c.name = string(MaskText([]byte(c.name)))
		r.derived.mask(MaskText)
	}
	return m.raw, m.outer, m.inner
}

// outside looks at attributes that stand around the item, in b in this order.
func (m *masker) outside(b *[]byte, list []attribute, look func(*attribute, leaf)) {
	from := 0
	for i := range list {
		a := &list[i]
		at := bytes.Index((*b)[from:], a.raw)
		if at < 0 {
			look(a, m.leaf(func(string) {}))
			continue
		}
		at += from
		from = at + len(a.raw)
		look(a, m.leaf(func(text string) { m.place(b, a.raw, at, text) }))
	}
}

// eachAttribute calls f with all attributes of an item in protobuf, and text with its name and the message of its status.
func (it *Item) eachAttribute(f func(attribute), text func(string)) {
	attr := func(v field) {
		a, _ := parseAttribute(v.bytes)
		f(a)
	}
	_ = eachField(it.raw, func(v field) error { // as far as it can be read
		switch {
		case it.signal == Logs && v.is(6), it.signal == Traces && v.is(9):
			attr(v)
		case it.signal == Logs && v.is(12), it.signal == Traces && v.is(5):
			text(v.text())
		case it.signal == Traces && (v.is(11) || v.is(13) || v.is(15)): // an event, a link, the status
			_ = eachField(v.bytes, func(w field) error {
				switch {
				case v.is(11) && w.is(3), v.is(13) && w.is(4):
					attr(w)
				case v.is(15) && w.is(2):
					text(w.text())
				}
				return nil
			})
		}
		return nil
	})
}

// eachLeaf calls f with the texts in an attribute's value.
func (it *Item) eachLeaf(key string, attribute []byte, f leaf) {
	if it.encoding == JSON {
		eachText(key, gjson.Parse(shared(attribute)), maxJSONDepth, f)
		return
	}
	eachValue(attribute, maxDepth, f)
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
			eachCredential(s, mostFound, func(from, to int) {
				if from >= skip {
					text := spelled[from-skip : to-skip]
					found(text, text)
				}
			})
		}
		in(spelled, 0)
		if len(meant) != len(spelled) && hinted(meant) { // a name or what separates it may be spelled with escapes
			eachCredential(meant, mostFound, func(from, to int) {
				text := meant[from:to]
				i := strings.Index(spelled, text)
				if i < 0 { // so may the credential be
					found(spelled, meant)
					return
				}
				found(spelled[i:i+len(text)], text)
			})
		}
		if len(spelled) <= maxKeyed && named(key) {
			key += ": "
			in(key+spelled, len(key))
		}
	}
}

// maxKeyed is how long a text may be that is a credential because of the end of its name.
const maxKeyed = 8 << 10

// everywhere has a text masked wherever it stands.
func (m *masker) everywhere(s string) {
	if len(s) < longCredential || m.known[s] {
		return
	}
	if len(m.long) >= mostLong {
		m.many = true
		return
	}
	if m.known == nil {
		m.known = map[string]bool{}
	}
	m.known[s] = true
	m.long = append(m.long, secret{[]byte(s), bytes.Repeat([]byte{'*'}, len(s))})
}

// place masks a text in b, which has part at an offset.
func (m *masker) place(b *[]byte, part []byte, offset int, text string) {
	at := int(uintptr(unsafe.Pointer(unsafe.StringData(text))) - uintptr(unsafe.Pointer(unsafe.SliceData(part))))
	if at < 0 || at+len(text) > len(part) {
		return // a copy: it stands there in another spelling
	}
	if !m.copied {
		m.raw, m.outer, m.inner, m.copied = bytes.Clone(m.raw), bytes.Clone(m.outer), bytes.Clone(m.inner), true
	}
	to := (*b)[offset+at : offset+at+len(text)]
	for i := range to {
		to[i] = '*'
	}
}

// mask masks credentials in what was derived, if anything was.
func (d *Derived) mask(f func([]byte) []byte) {
	if d == nil {
		return
	}
	d.Input, d.Output = f(d.Input), f(d.Output)
	texts := []*string{
		&d.Service, &d.Scope, &d.Provider, &d.Operation, &d.APIBase, &d.Model, &d.ServedModel, &d.ResponseID, &d.Session, &d.User, &d.EndUser,
		&d.Team, &d.TeamID, &d.KeyAlias, &d.KeyHash, &d.ErrorClass, &d.ErrorCode, &d.ErrorMessage,
	}
	for i := range d.FinishReasons {
		texts = append(texts, &d.FinishReasons[i])
	}
	for i := range d.Tags {
		texts = append(texts, &d.Tags[i])
	}
	for _, text := range texts {
		if *text != "" {
			*text = string(f([]byte(*text)))
		}
	}
}
