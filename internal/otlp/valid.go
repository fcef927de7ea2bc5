package otlp

import (
	"encoding/binary"
	"math/bits"
)

// validJSON reports whether s is one JSON value that nests no deeper than maxNesting. It takes what gjson.Valid takes, in one pass.
func validJSON(s []byte) bool {
	var lists [maxNesting/64 + 1]uint64 // a bit for each level that is a list, not an object
	depth := 0
	i := skipSpace(s, 0)
	for {
		// A value begins at i.
		if i >= len(s) {
			return false
		}
		switch c := s[i]; c {
		case '{', '[':
			if depth == maxNesting {
				return false
			}
			depth++
			end := byte('}')
			if c == '[' {
				end = ']'
				lists[depth/64] |= 1 << (depth % 64)
			} else {
				lists[depth/64] &^= 1 << (depth % 64)
			}
			if i = skipSpace(s, i+1); i < len(s) && s[i] == end {
				break // as the end of what holds a value
			}
			if c == '{' {
				if i = skipName(s, i); i < 0 {
					return false
				}
			}
			continue
		default:
			if i = skipScalar(s, i); i < 0 {
				return false
			}
			i = skipSpace(s, i)
		}
		// A value has ended, or an empty list or object is about to.
		for {
			if depth == 0 {
				return i == len(s)
			}
			if i >= len(s) {
				return false
			}
			inList := lists[depth/64]&(1<<(depth%64)) != 0
			if s[i] == ',' {
				i = skipSpace(s, i+1)
				if !inList {
					if i = skipName(s, i); i < 0 {
						return false
					}
				}
				break
			}
			if inList && s[i] != ']' || !inList && s[i] != '}' {
				return false
			}
			depth--
			i = skipSpace(s, i+1)
		}
	}
}

func skipSpace(s []byte, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// skipName is behind a member's name, its colon and the spaces around; -1 if that is not what stands at i.
func skipName(s []byte, i int) int {
	if i >= len(s) || s[i] != '"' {
		return -1
	}
	if i = skipText(s, i+1); i < 0 {
		return -1
	}
	if i = skipSpace(s, i); i >= len(s) || s[i] != ':' {
		return -1
	}
	return skipSpace(s, i+1)
}

// skipScalar is behind a text, a number or a word; -1 if that is not what stands at i.
func skipScalar(s []byte, i int) int {
	switch c := s[i]; {
	case c == '"':
		return skipText(s, i+1)
	case c == 't':
		return skipWord(s, i, "true")
	case c == 'f':
		return skipWord(s, i, "false")
	case c == 'n':
		return skipWord(s, i, "null")
	case c == '-' || c >= '0' && c <= '9':
		return skipNumber(s, i)
	}
	return -1
}

func skipWord(s []byte, i int, word string) int {
	if len(s)-i < len(word) || string(s[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// skipText is behind the quote that ends a text which began before i; -1 if it has no end or is none.
func skipText(s []byte, i int) int {
	for i < len(s) {
		i += plainText(s[i:])
		if i >= len(s) {
			return -1
		}
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i++; i >= len(s) {
				return -1
			}
			switch s[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(s)-i < 5 {
					return -1
				}
				for _, h := range s[i+1 : i+5] {
					if !(h >= '0' && h <= '9' || h|0x20 >= 'a' && h|0x20 <= 'f') {
						return -1
					}
				}
				i += 4
			default:
				return -1
			}
		}
		i++
	}
	return -1
}

// plainText is how many bytes at the beginning of s stand for themselves in a JSON text.
func plainText(s []byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		if found := zeros(w^ones*'"') | zeros(w^ones*'\\') | zeros(w&(ones*0xe0)); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// skipNumber is behind a number; -1 if that is not what stands at i.
func skipNumber(s []byte, i int) int {
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(s) && s[i] == '.' {
		if i++; !digits() {
			return -1
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}
