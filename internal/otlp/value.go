package otlp

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/tidwall/gjson"
)

// kind is what a value is.
type kind uint8

const (
	kindNone kind = iota // no attribute, or one without a value: Python's None
	kindText
	kindBool
	kindInt
	kindNumber
	kindBytes
	kindProtobuf // an AnyValue that holds a list or a map
	kindJSON     // the same in OTLP/JSON
)

// value is the value of an attribute, or a log record's body.
type value struct {
	kind kind
	odd  bool // one of several that its message or its attribute has, or under one of several keys
	text string
	int  int64
	num  float64
	raw  []byte
}

// Bounds of a list or a map that is looked into.
const (
	maxDepth     = 32
	maxComposite = 1 << 20 // bytes
)

// appendJSON appends the value as plain JSON.
func (v value) appendJSON(dst []byte) []byte { return v.appendDepth(dst, maxDepth) }

func (v value) appendDepth(dst []byte, depth int) []byte {
	switch v.kind {
	case kindText:
		return appendString(dst, v.text)
	case kindBool:
		return strconv.AppendBool(dst, v.num != 0)
	case kindInt:
		return strconv.AppendInt(dst, v.int, 10)
	case kindNumber:
		return appendFloat(dst, v.num)
	case kindBytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.raw)
		return append(dst, '"')
	case kindProtobuf:
		if depth > 0 && len(v.raw) <= maxComposite {
			return appendComposite(dst, v.raw, depth-1)
		}
	case kindJSON:
		if depth > 0 && len(v.raw) <= maxComposite {
			return appendCompositeJSON(dst, gjson.Parse(shared(v.raw)), depth-1)
		}
	}
	return append(dst, "null"...)
}

func appendFloat(dst []byte, n float64) []byte {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, n, 'g', -1, 64)
}

// appendComposite appends an AnyValue that is a list or a map.
func appendComposite(dst, anyValue []byte, depth int) []byte {
	from := len(dst)
	_ = eachField(anyValue, func(f field) error { // as far as it can be read
		dst = dst[:from] // the last one counts, as for every protobuf parser
		switch {
		case f.is(5):
			dst = append(dst, '[')
			_ = eachField(f.bytes, func(f field) error {
				if f.is(1) {
					dst = comma(dst)
					dst = value{kind: kindProtobuf, raw: f.bytes}.resolve().appendDepth(dst, depth)
				}
				return nil
			})
			dst = append(dst, ']')
		case f.is(6):
			dst = append(dst, '{')
			_ = eachField(f.bytes, func(f field) error {
				if f.is(1) {
					a, _ := parseAttribute(f.bytes)
					dst = append(appendString(comma(dst), a.key), ':')
					dst = a.value.appendDepth(dst, depth)
				}
				return nil
			})
			dst = append(dst, '}')
		}
		return nil
	})
	if len(dst) == from {
		return append(dst, "null"...)
	}
	return dst
}

// comma separates what follows from what stands before it in a list or a map.
func comma(dst []byte) []byte {
	if last := dst[len(dst)-1]; last != '[' && last != '{' {
		return append(dst, ',')
	}
	return dst
}

// string is the value as text: JSON for lists and maps, "" for none.
func (v value) string() string {
	switch v.kind {
	case kindNone:
		return ""
	case kindText:
		return v.text
	case kindBytes:
		return ""
	}
	return string(v.appendJSON(nil))
}

// count is the value as a number that counts; ok is false where it is none, or less than 0.
func (v value) count() (n int64, ok bool) {
	f, ok := v.number()
	return int64(f), ok && f >= 0 && f <= 1<<53
}

// number is the value as a number; a text that holds one counts.
func (v value) number() (f float64, ok bool) {
	switch v.kind {
	case kindInt, kindNumber:
		f = v.num
	case kindText:
		var err error
		if len(v.text) == 0 || len(v.text) > 32 {
			return 0, false
		}
		if f, err = strconv.ParseFloat(v.text, 64); err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// bool is the value as a truth value.
func (v value) bool() (yes, ok bool) {
	switch {
	case v.kind == kindBool:
		return v.num != 0, true
	case v.kind == kindText && (v.text == "true" || v.text == "True"):
		return true, true
	case v.kind == kindText && (v.text == "false" || v.text == "False"):
		return false, true
	}
	return false, false
}
