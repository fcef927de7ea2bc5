package proof

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"indelible/internal/record"
)

// ParseLeaf reads a leaf. It accepts the canonical form and nothing else:
// Encode of the result is b again, byte for byte.
func ParseLeaf(b []byte) (Leaf, error) {
	var p leafParser
	var l Leaf
	err := p.parse(b, &l)
	if err != nil {
		return Leaf{}, err
	}
	return l, nil
}

// leafParser parses many leaves with one buffer. Door, source and bucket, which
// change little from leaf to leaf, are kept and not allocated again.
type leafParser struct {
	buf                  []byte
	door, source, bucket string
}

func (p *leafParser) parse(b []byte, l *Leaf) error {
	*l = Leaf{}
	if err := p.read(b, l); err != nil {
		return fmt.Errorf("parse leaf: %w", err)
	}
	if p.buf = l.append(p.buf[:0]); !bytes.Equal(p.buf, b) {
		return errors.New("parse leaf: not in canonical form")
	}
	if err := l.check(); err != nil {
		return fmt.Errorf("parse leaf: %w", err)
	}
	return nil
}

func (p *leafParser) read(b []byte, l *Leaf) error {
	if len(b) > MaxLeaf {
		return fmt.Errorf("%d bytes are more than a leaf may have", len(b))
	}
	s := scanner{rest: b}
	s.expect(`{"v":1,"kind":`)
	l.Kind = Kind(s.text(""))
	form := members(l.Kind, false)
	if s.err == nil && form == nil {
		return fmt.Errorf("unknown kind %q", l.Kind)
	}
	for i := range form {
		m := &form[i]
		if l.Kind == Deferred && m.name == "door" && bytes.HasPrefix(s.rest, []byte(`,"reason`)) {
			l.Unread = true
			m = &unreadForm[len(unreadForm)-1]
		}
		base64ed := s.skip(m.base64)
		if !base64ed && !s.skip(m.plain) {
			if m.optional {
				continue
			}
			return fmt.Errorf("no %q in its place in a leaf of kind %q", m.name, l.Kind)
		}
		p.member(&s, l, m.name, base64ed)
		if l.Unread {
			break
		}
	}
	s.expect("}")
	if s.err == nil && len(s.rest) > 0 {
		s.err = errors.New("more after the end")
	}
	return s.err
}

func (p *leafParser) member(s *scanner, l *Leaf, name string, base64ed bool) {
	switch name {
	case "seq":
		l.Seq = record.Seq(s.number())
	case "first":
		l.First = record.Seq(s.number())
	case "last":
		l.Last = record.Seq(s.number())
	case "from_seq":
		l.FromSeq = record.Seq(s.number())
	case "size":
		l.Size = s.int63()
	case "count":
		l.Count = s.int63()
	case "time":
		l.Time = s.time()
	case "sha256":
		s.digest(&l.Digest)
	case "attrs_sha256":
		s.digest(&l.Attrs)
	default:
		v := s.text(p.last(name))
		if base64ed {
			raw, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				s.fail("%s: %w", name, err)
			}
			v = string(raw)
		}
		p.keep(name, v)
		*l.text(name) = v
	}
}

// last is the value that a member had in the leaf before, where it is likely to have it again.
func (p *leafParser) last(name string) string {
	switch name {
	case "door":
		return p.door
	case "source":
		return p.source
	case "bucket":
		return p.bucket
	}
	return ""
}

func (p *leafParser) keep(name, v string) {
	switch name {
	case "door":
		p.door = v
	case "source":
		p.source = v
	case "bucket":
		p.bucket = v
	}
}

// check says whether a leaf whose form is right can be true.
func (l *Leaf) check() error {
	if max(l.Seq, l.First, l.Last, l.FromSeq) == ^record.Seq(0) {
		return errors.New("a number behind which none can follow")
	}
	switch l.Kind {
	case Gap, Removed, Pack:
		if l.First == 0 || l.Last < l.First {
			return fmt.Errorf("%s of %s", l.Kind, SeqRange{l.First, l.Last})
		}
	case Record, Stored, Deferred, Quarantined, Row:
		if l.Seq == 0 {
			return fmt.Errorf("%s without a seq", l.Kind)
		}
	}
	if l.Kind == Pack && uint64(l.Count) != uint64(l.Last-l.First)+1 {
		return fmt.Errorf("pack of %d rows for %s", l.Count, SeqRange{l.First, l.Last})
	}
	if hasRoot := l.Kind == Pack || l.Kind == NewKey || l.Kind == Continues; hasRoot && !isHex256(l.Root) {
		return errors.New("invalid root hash")
	}
	if l.SentKeySum != "" && (l.SentKey != "" || !isHex256(l.SentKeySum)) {
		return errors.New("invalid sent_key_sha256")
	}
	if l.Time.Year() < 1 { // not every verifier's calendar has it
		return errors.New("invalid time")
	}
	if l.Kind == Row && l.SentKey == "" && l.SentKeySum == "" {
		return errors.New("row without a key")
	}
	return nil
}

// isHex256 says whether s is 32 bytes in lower-case hex.
func isHex256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// scanner reads the canonical form from left to right; after the first error
// it reads nothing more.
type scanner struct {
	rest []byte
	err  error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *scanner) skip(lit string) bool {
	if s.err != nil || len(s.rest) < len(lit) || string(s.rest[:len(lit)]) != lit {
		return false
	}
	s.rest = s.rest[len(lit):]
	return true
}

func (s *scanner) expect(lit string) {
	if !s.skip(lit) {
		s.fail("want %s", lit)
	}
}

func (s *scanner) digest(d *record.Digest) {
	v := s.quoted()
	if len(v) != 2*len(d) {
		s.fail("want a SHA-256 in hex")
		return
	}
	if _, err := hex.Decode(d[:], v); err != nil {
		s.fail("want a SHA-256 in hex: %w", err)
	}
}

// time reads a time in the layout of leaves. Whether it exists, the comparison with the canonical form tells.
func (s *scanner) time() time.Time {
	v := s.quoted()
	if len(v) != len(timeLayout) {
		s.fail("time: want %s", timeLayout)
		return time.Time{}
	}
	digits := func(from, to int) int {
		n := 0
		for _, c := range v[from:to] {
			if c < '0' || c > '9' {
				s.fail("time: want %s", timeLayout)
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	return time.Date(digits(0, 4), time.Month(digits(5, 7)), digits(8, 10), digits(11, 13), digits(14, 16), digits(17, 19), digits(20, 29), time.UTC)
}

func (s *scanner) int63() int64 {
	n := s.number()
	if n > math.MaxInt64 {
		s.fail("number too large")
	}
	return int64(n)
}

func (s *scanner) number() uint64 {
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(string(s.rest[:n]), 10, 64)
	if err != nil {
		s.fail("%w", err)
	}
	s.rest = s.rest[n:]
	return v
}

// quoted reads a string that holds no escape, with its quotation marks. The result shares the leaf's memory.
func (s *scanner) quoted() []byte {
	s.expect(`"`)
	if s.err != nil {
		return nil
	}
	end := bytes.IndexByte(s.rest, '"')
	if end < 0 {
		s.fail("string without end")
		return nil
	}
	v := s.rest[:end]
	s.rest = s.rest[end+1:]
	return v
}

// text reads a string with its quotation marks. Where it is the one that is
// expected, that one is returned and nothing is allocated.
func (s *scanner) text(expected string) string {
	s.expect(`"`)
	if s.err != nil {
		return ""
	}
	end := bytes.IndexByte(s.rest, '"')
	if end >= 0 && bytes.IndexByte(s.rest[:end], '\\') < 0 { // nothing escaped: the usual case
		v := s.rest[:end]
		s.rest = s.rest[end+1:]
		if expected != "" && string(v) == expected {
			return expected
		}
		return s.valid(v)
	}
	var v []byte
	for len(s.rest) > 0 {
		c := s.rest[0]
		s.rest = s.rest[1:]
		switch c {
		case '"':
			return s.valid(v)
		case '\\':
			v = append(v, s.escaped())
		default:
			v = append(v, c)
		}
	}
	s.fail("string without end")
	return ""
}

func (s *scanner) valid(v []byte) string {
	if !utf8.Valid(v) {
		s.fail("string is not UTF-8")
	}
	return string(v)
}

func (s *scanner) escaped() byte {
	switch {
	case s.skip(`"`):
		return '"'
	case s.skip(`\`):
		return '\\'
	case s.skip("u00") && len(s.rest) >= 2:
		var c [1]byte
		if _, err := hex.Decode(c[:], s.rest[:2]); err != nil {
			s.fail("%w", err)
		}
		s.rest = s.rest[2:]
		return c[0]
	}
	s.fail("an escape that the canonical form does not have")
	return 0
}
