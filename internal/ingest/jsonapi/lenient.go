package jsonapi

import "bytes"

// byteOrderMark is what some Windows programs put in front of UTF-8.
var byteOrderMark = []byte("\xef\xbb\xbf")

// recordSeparator stands in front of each text of a JSON text sequence (RFC 7464).
const recordSeparator = 0x1e

// nonFinite are the numbers that Python, among others, writes and that are no
// JSON, each with a number of the same length that is.
var nonFinite = []struct{ name, number string }{{"NaN", "0.0"}, {"Infinity", "0.000000"}}

// strict is raw with a number in place of each NaN and Infinity, or nil if it
// holds none where a number can be. All other bytes stand where they stood.
func strict(raw []byte) []byte {
	if !bytes.Contains(raw, []byte(nonFinite[0].name)) && !bytes.Contains(raw, []byte(nonFinite[1].name)) {
		return nil
	}
	out := bytes.Clone(raw)
	for i := 0; i < len(out); i++ {
		switch out[i] {
		case '"':
			if i = closingQuote(out, i); i < 0 {
				return nil
			}
		case 'N', 'I':
			n := number(out[i:])
			if n == "" || i > 0 && bytes.IndexByte([]byte(" \t\r\n:,[-"), out[i-1]) < 0 {
				return nil
			}
			copy(out[i:], n)
			i += len(n) - 1
		}
	}
	return out
}

// number is what stands for the name that b begins with, or "".
func number(b []byte) string {
	for _, n := range nonFinite {
		if bytes.HasPrefix(b, []byte(n.name)) {
			return n.number
		}
	}
	return ""
}

// splitValues are the objects and arrays that follow each other in b, with
// nothing but white space and record separators between them; nil if there is
// anything else, or only one. It returns more than most elements if there are more.
func splitValues(b []byte, most int) []element {
	var list []element
	for b = trim(b); len(b) > 0 && len(list) <= most; b = trim(b) {
		end := closingBracket(b)
		if end < 0 {
			return nil
		}
		e := look(b[:end+1])
		if e.flag == flagUnparsed {
			return nil
		}
		list, b = append(list, e), b[end+1:]
	}
	if len(list) < 2 {
		return nil
	}
	return list
}

// closingBracket is where the object or array that b begins with closes, or -1.
func closingBracket(b []byte) int {
	open := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			if open == 0 {
				return -1
			}
			if i = closingQuote(b, i); i < 0 {
				return -1
			}
		case '[', '{':
			open++
		case ']', '}':
			if open--; open <= 0 {
				return i
			}
		default:
			if open == 0 {
				return -1
			}
		}
	}
	return -1
}

// splitSequence are the texts of a JSON text sequence: what stands between its
// separators, each on its own, so that one that was cut short spoils no other.
func splitSequence(b []byte, most int) []element {
	var list []element
	for len(b) > 0 && len(list) <= most {
		text := b
		if i := bytes.IndexByte(b, recordSeparator); i >= 0 {
			text, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if text = trim(text); len(text) > 0 {
			list = append(list, look(text))
		}
	}
	return list
}
