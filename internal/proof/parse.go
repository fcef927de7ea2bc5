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
	l, err := parseLeaf(b)
	if err != nil {
		return Leaf{}, fmt.Errorf("parse leaf: %w", err)
	}
	if !bytes.Equal(l.Encode(), b) {
		return Leaf{}, errors.New("parse leaf: not in canonical form")
	}
	return l, nil
}

func parseLeaf(b []byte) (Leaf, error) {
	if len(b) > MaxLeaf {
		return Leaf{}, fmt.Errorf("%d bytes are more than a leaf may have", len(b))
	}
	s := scanner{rest: b}
	s.expect(`{"v":1,"kind":`)
	l := Leaf{Kind: Kind(s.text())}
	names := members(l.Kind)
	if s.err == nil && names == nil {
		return Leaf{}, fmt.Errorf("unknown kind %q", l.Kind)
	}
	for _, m := range names {
		name, optional := trimOptional(m)
		base64ed := s.skip(`,"` + name + `_base64":`)
		if !base64ed && !s.skip(`,"`+name+`":`) {
			if optional {
				continue
			}
			return Leaf{}, fmt.Errorf("no %q in its place in a leaf of kind %q", name, l.Kind)
		}
		s.member(&l, name, base64ed)
	}
	s.expect("}")
	if s.err == nil && len(s.rest) > 0 {
		s.err = errors.New("more after the end")
	}
	return l, s.err
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

func (s *scanner) member(l *Leaf, name string, base64ed bool) {
	switch name {
	case "seq":
		l.Seq = record.Seq(s.number())
	case "first":
		l.First = record.Seq(s.number())
	case "last":
		l.Last = record.Seq(s.number())
	case "size":
		l.Size = s.int63()
	case "count":
		l.Count = s.int63()
	case "time":
		t, err := time.Parse(timeLayout, s.text())
		if err != nil {
			s.fail("time: %w", err)
		}
		l.Time = t
	case "sha256":
		sum, err := hex.DecodeString(s.text())
		if err != nil || len(sum) != len(l.Digest) {
			s.fail("sha256 is no SHA-256 in hex")
			return
		}
		copy(l.Digest[:], sum)
	default:
		v := s.text()
		if base64ed {
			raw, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				s.fail("%s: %w", name, err)
			}
			v = string(raw)
		}
		*l.text(name) = v
	}
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

// text reads a string with its quotation marks.
func (s *scanner) text() string {
	s.expect(`"`)
	if s.err != nil {
		return ""
	}
	end := bytes.IndexAny(s.rest, `"\`)
	if end >= 0 && s.rest[end] == '"' { // nothing escaped: the usual case
		v := s.rest[:end]
		s.rest = s.rest[end+1:]
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
		s.fail("string is no UTF-8")
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
