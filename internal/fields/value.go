package fields

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// str is the first value that is a text or a number, as text.
func str(values ...*gjson.Result) *string {
	for _, v := range values {
		if s := textOf(v, true); s != "" {
			return &s
		}
	}
	return nil
}

// id is str for what identifies: one that is too long is left out.
func id(values ...*gjson.Result) *string {
	for _, v := range values {
		if s := textOf(v, false); s != "" {
			return &s
		}
	}
	return nil
}

// textOf is a copy of v as valid UTF-8, or "".
func textOf(v *gjson.Result, cut bool) string {
	if v == nil {
		return ""
	}
	s := ""
	switch v.Type {
	case gjson.String:
		s = v.Str
	case gjson.Number:
		s = v.Raw
	}
	if len(s) > MaxText {
		if !cut {
			return ""
		}
		s = s[:min(len(s), MaxText+utf8.UTFMax)] // a character may be cut in two behind the bound
	}
	if len(s) <= MaxText && utf8.ValidString(s) {
		return strings.Clone(s)
	}
	return cutText(strings.ToValidUTF8(s, "\ufffd"), cut)
}

// cutText is valid text of at most MaxText bytes.
func cutText(s string, cut bool) string {
	if len(s) <= MaxText {
		return s
	}
	if !cut {
		return ""
	}
	n := MaxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

func boolean(v *gjson.Result) *bool {
	if v == nil || v.Type != gjson.True && v.Type != gjson.False {
		return nil
	}
	b := v.Type == gjson.True
	return &b
}

// number is v as a finite number; a text that holds one counts.
func number(v *gjson.Result) (float64, bool) {
	if v == nil {
		return 0, false
	}
	switch v.Type {
	case gjson.Number:
		return v.Num, !math.IsInf(v.Num, 0) && !math.IsNaN(v.Num)
	case gjson.String:
		if len(v.Str) > 0 && len(v.Str) <= 32 {
			n, err := strconv.ParseFloat(v.Str, 64)
			return n, err == nil && !math.IsInf(n, 0) && !math.IsNaN(n)
		}
	}
	return 0, false
}

func amount(values ...*gjson.Result) *float64 {
	for _, v := range values {
		if n, ok := number(v); ok {
			return &n
		}
	}
	return nil
}

// count is the first value that is a number from 0 to 2^53, without its fraction.
func count(values ...*gjson.Result) *int64 {
	for _, v := range values {
		if n, ok := number(v); ok && n >= 0 && n <= 1<<53 {
			i := int64(n)
			return &i
		}
	}
	return nil
}

// Bounds of a time, in Unix seconds: what is outside was not meant as a time.
const (
	minTime = 946684800  // 2000
	maxTime = 4102444800 // 2100
)

// Forms of a time in text: RFC 3339, and what Python's str() makes of one.
var timeForms = [...]string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

// moment is the first value that is a time: seconds, milliseconds,
// microseconds or nanoseconds since 1970, or text. Text without a zone is UTC.
func moment(values ...*gjson.Result) *time.Time {
	for _, v := range values {
		if n, ok := number(v); ok {
			if t, ok := unix(n); ok {
				return &t
			}
			continue
		}
		if v == nil || v.Type != gjson.String || len(v.Str) > 64 {
			continue
		}
		for _, form := range timeForms {
			if t, err := time.Parse(form, v.Str); err == nil && t.Unix() >= minTime && t.Unix() < maxTime {
				t = t.UTC().Truncate(time.Microsecond)
				return &t
			}
		}
	}
	return nil
}

// unix is n as a time; its size tells the unit.
func unix(n float64) (time.Time, bool) {
	for _, unit := range [...]float64{1, 1e3, 1e6, 1e9} {
		if n >= minTime*unit && n < maxTime*unit {
			return time.UnixMicro(int64(math.Round(n / unit * 1e6))).UTC(), true
		}
	}
	return time.Time{}, false
}

// tags is the first value that is a list with texts in it, or one text.
func tags(values ...*gjson.Result) []string {
	for _, v := range values {
		var list []string
		if v != nil && v.IsArray() {
			v.ForEach(func(_, e gjson.Result) bool {
				if s := textOf(&e, true); s != "" {
					list = append(list, s)
				}
				return len(list) < MaxTags
			})
		} else if s := textOf(v, true); s != "" {
			list = []string{s}
		}
		if list != nil {
			return list
		}
	}
	return nil
}
