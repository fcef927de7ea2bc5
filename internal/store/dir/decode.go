package dir

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// decodeAttributes reads a file of attributes. The form in which describe
// writes nearly all of them is read without reflection.
func decodeAttributes(b []byte) (attributes, bool) {
	if at, ok := decodePlain(b); ok {
		return at, true
	}
	var at attributes
	if json.Unmarshal(b, &at) != nil {
		return attributes{}, false
	}
	return at, at.decodeDigest()
}

func (a *attributes) decodeDigest() bool {
	if a.Version != AttributesVersion || len(a.SHA256) != 2*len(a.Digest) {
		return false
	}
	_, err := hex.Decode(a.Digest[:], []byte(a.SHA256))
	return err == nil
}

// decodePlain reads attributes whose strings hold no escape.
func decodePlain(b []byte) (attributes, bool) {
	p := plain{b, true}
	var at attributes
	p.skip(`{"v":`)
	at.Version = int(p.number())
	p.skip(`,"size":`)
	at.Size = p.number()
	p.skip(`,"sha256":`)
	at.SHA256 = p.text()
	p.skip(`,"md5":`)
	at.MD5 = p.text()
	p.skip(`,"time":`)
	at.Time = p.time()
	at.Header = p.texts(`,"header":{`)
	at.Meta = p.texts(`,"meta":{`)
	at.Tags = p.texts(`,"tags":{`)
	p.skip(`}`)
	return at, p.ok && len(p.rest) == 0 && at.decodeDigest()
}

// plain reads from left to right; ok is false once something else came than is expected.
type plain struct {
	rest []byte
	ok   bool
}

func (p *plain) has(s string) bool {
	return p.ok && len(p.rest) >= len(s) && string(p.rest[:len(s)]) == s
}

func (p *plain) skip(s string) {
	if p.ok = p.has(s); p.ok {
		p.rest = p.rest[len(s):]
	}
}

func (p *plain) number() int64 {
	n := 0
	for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(string(p.rest[:n]), 10, 64)
	p.ok = p.ok && err == nil
	p.rest = p.rest[n:]
	return v
}

func (p *plain) text() string {
	p.skip(`"`)
	end := bytes.IndexByte(p.rest, '"')
	if !p.ok || end < 0 || bytes.IndexByte(p.rest[:end], '\\') >= 0 {
		p.ok = false
		return ""
	}
	v := string(p.rest[:end])
	p.rest = p.rest[end+1:]
	return v
}

func (p *plain) time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, p.text())
	p.ok = p.ok && err == nil
	return t
}

// texts reads an object of strings that begins so; nil where there is none.
func (p *plain) texts(begin string) map[string]string {
	if !p.has(begin) {
		return nil
	}
	p.skip(begin)
	m := map[string]string{}
	for p.ok {
		name := p.text()
		p.skip(":")
		m[name] = p.text()
		if p.has("}") {
			p.skip("}")
			return m
		}
		p.skip(",")
	}
	return nil
}
