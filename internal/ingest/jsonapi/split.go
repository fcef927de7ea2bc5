package jsonapi

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Flags of elements that are kept raw, as record.AttrFlag.
const (
	flagNull        = "null"        // JSON null: LiteLLM sends it for a payload that it could not build
	flagNonStandard = "nonstandard" // JSON but for NaN and Infinity, which strict parsers refuse
	flagUnparsed    = "unparsed"    // no JSON in UTF-8, or nested too deep
)

// maxDepth is how deep an element may nest and still be looked into, as in
// encoding/json. The parser's stack grows with the depth.
const maxDepth = 10_000

// element is one element of a request: a slice of its body, without the white
// space around it.
type element struct {
	raw    []byte
	flag   string // why it is kept raw; "" for JSON
	strict []byte // what to parse instead of raw; nil for raw itself
}

// json is the element as every parser reads it, or nil if none does.
func (e element) json() []byte {
	switch {
	case e.strict != nil:
		return e.strict
	case e.flag == "":
		return e.raw
	}
	return nil
}

// cutOffError is an array whose end is missing.
type cutOffError struct {
	end     int // bytes of the body
	element int // the last one begun, from 1
	begins  int // where it does
}

func (e *cutOffError) Error() string {
	return fmt.Sprintf("array ends at byte %d within element %d", e.end, e.element)
}

// split finds the elements of a body by its content:
//
//	a record separator first   a JSON text sequence (RFC 7464): each text
//	[ ... ]                    each element of the array
//	first line is JSON         NDJSON: each line that is not blank
//	whole body is JSON         itself, on however many lines
//	{ ... }{ ... }             each value, on however many lines
//	any line is JSON           NDJSON with a damaged first line
//	anything else              the whole, flagged
//
// A line of NDJSON that holds several values is split, too. Byte order marks in
// front of a body, a line or a value are no part of it.
//
// It fails with a *cutOffError on an array that has no end, and stops with more
// than most elements, which it returns then.
func split(body []byte, most int) ([]element, error) {
	whole := trim(body)
	if len(whole) == 0 {
		return nil, nil
	}
	if begins := bytes.TrimPrefix(body, byteOrderMark); begins[0] == recordSeparator {
		return splitSequence(begins, most), nil
	}
	if whole[0] == '[' {
		list, rest, err := splitArray(whole, most)
		if err != nil {
			err.begins += cap(body) - cap(whole) // what was cut off in front
			err.end = len(body)
			return nil, err
		}
		if list != nil && len(rest) == 0 {
			return list, nil
		}
	}
	line, rest := cutLine(whole)
	if len(rest) == 0 {
		return splitLines(whole, most), nil
	}
	if first := look(line); first.flag != flagUnparsed {
		return splitLines(whole, most), nil
	}
	if e := look(whole); e.flag != flagUnparsed {
		return []element{e}, nil
	}
	if list := splitValues(whole, most); list != nil {
		return list, nil
	}
	for len(rest) > 0 {
		if line, rest = cutLine(rest); len(line) > 0 && (line[0] == '{' || line[0] == '[') && look(line).flag != flagUnparsed {
			return splitLines(whole, most), nil
		}
	}
	return []element{{raw: whole, flag: flagUnparsed}}, nil
}

// look says what an element is.
func look(raw []byte) element {
	switch {
	case string(raw) == "null":
		return element{raw: raw, flag: flagNull}
	case valid(raw):
		return element{raw: raw}
	}
	if s := strict(raw); s != nil && valid(s) {
		return element{raw: raw, flag: flagNonStandard, strict: s}
	}
	return element{raw: raw, flag: flagUnparsed}
}

// valid reports whether raw is JSON in UTF-8, at most maxDepth deep. Depth is
// counted first, because the parser recurses.
func valid(raw []byte) bool {
	if bytes.Count(raw, []byte{'['})+bytes.Count(raw, []byte{'{'}) > maxDepth && depth(raw) > maxDepth {
		return false
	}
	return gjson.ValidBytes(raw) && utf8.Valid(raw)
}

// depth is how deep raw nests at most.
func depth(raw []byte) int {
	most, now := 0, 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			if i = closingQuote(raw, i); i < 0 {
				return most // no JSON: the parser will say so before it is deeper
			}
		case '[', '{':
			now++
			most = max(most, now)
		case ']', '}':
			now--
		}
	}
	return most
}

// splitLines are the lines that are not blank.
func splitLines(whole []byte, most int) []element {
	var list []element
	for len(whole) > 0 && len(list) <= most {
		var line []byte
		if line, whole = cutLine(whole); len(line) == 0 {
			continue
		}
		e := look(line)
		if e.flag == flagUnparsed {
			if values := splitValues(line, most-len(list)); values != nil {
				list = append(list, values...)
				continue
			}
		}
		list = append(list, e)
	}
	return list
}

// cutLine is the first line, trimmed, and what is behind it.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return trim(line), rest
}

// splitArray finds the elements of the array that b begins with, and what is
// behind it. A list of nil says that it is none: a bracket or a comma is wrong.
// It looks at nothing but strings, brackets and commas, and it does not
// recurse; what the elements are is looked at one by one.
func splitArray(b []byte, most int) (list []element, rest []byte, cut *cutOffError) {
	list = []element{}
	begin, open := 1, 1
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			if i = closingQuote(b, i); i < 0 {
				return nil, nil, &cutOffError{element: len(list) + 1, begins: begin}
			}
		case '[', '{':
			open++
		case ']', '}':
			if open--; open > 0 {
				continue
			}
			if b[i] == '}' {
				return nil, nil, nil
			}
			raw := trim(b[begin:i])
			if len(raw) > 0 {
				list = append(list, look(raw))
			} else if len(list) > 0 {
				return nil, nil, nil
			}
			return list, b[i+1:], nil
		case ',':
			if open > 1 {
				continue
			}
			raw := trim(b[begin:i])
			if len(raw) == 0 {
				return nil, nil, nil
			}
			if list = append(list, look(raw)); len(list) > most {
				return list, nil, nil
			}
			begin = i + 1
		}
	}
	return nil, nil, &cutOffError{element: len(list) + 1, begins: begin}
}

// closingQuote is where the string that opens at b[i] closes, or -1.
func closingQuote(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		end, slashes := i+n, 0
		for j := end - 1; j >= i && b[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return end
		}
		i = end
	}
	return -1
}

// trim takes off JSON's white space, the separators of JSON text sequences, and
// byte order marks in front.
func trim(b []byte) []byte {
	for len(b) > 0 {
		if blank(b[0]) {
			b = b[1:]
		} else if bytes.HasPrefix(b, byteOrderMark) {
			b = b[len(byteOrderMark):]
		} else {
			break
		}
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func blank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == recordSeparator
}
