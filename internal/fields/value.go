package fields

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"
)

// keeper holds the texts of one record, which then are a few pieces of memory and not two for each of them.
type keeper struct {
	texts []string
	bytes []byte
}

// Pieces that a keeper takes: the fields of most records take one or two.
const (
	keptTexts = 16
	keptBytes = 320
)

// str is the first value that is a text or a number, as text.
func (k *keeper) str(values ...value) *string { return k.first(true, values) }

// id is str for what identifies: one that is too long is left out.
func (k *keeper) id(values ...value) *string { return k.first(false, values) }

func (k *keeper) first(cut bool, values []value) *string {
	for _, v := range values {
		if s := k.textOf(v, cut); s != "" {
			if len(k.texts) == cap(k.texts) {
				k.texts = make([]string, 0, keptTexts) // who points into the one before, keeps it
			}
			k.texts = append(k.texts, s)
			return &k.texts[len(k.texts)-1]
		}
	}
	return nil
}

// copy is a copy of s.
func (k *keeper) copy(s string) string {
	if len(s) > cap(k.bytes)-len(k.bytes) {
		if len(s) > keptBytes/4 {
			return strings.Clone(s)
		}
		k.bytes = make([]byte, 0, keptBytes)
	}
	from := len(k.bytes)
	k.bytes = append(k.bytes, s...)
	return unsafe.String(&k.bytes[from], len(s))
}

// textOf is a copy of v as valid UTF-8, or "".
func (k *keeper) textOf(v value, cut bool) string {
	s := ""
	switch {
	case v.isText():
		s = v.text()
	case v.isNumber():
		s = string(v)
	}
	if len(s) > MaxText {
		if !cut {
			return ""
		}
		s = s[:min(len(s), MaxText+utf8.UTFMax)] // a character may be cut in two behind the bound
	}
	if s == "" {
		return ""
	}
	if len(s) <= MaxText && utf8.ValidString(s) {
		return k.copy(s)
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

func boolean(v value) *bool {
	if v != "true" && v != "false" {
		return nil
	}
	b := v == "true"
	return &b
}

// number is v as a finite number; a text that holds one counts.
func number(v value) (float64, bool) {
	s := string(v)
	if v.isText() {
		if s = v.text(); len(s) > 32 {
			return 0, false
		}
	} else if !v.isNumber() {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsInf(n, 0) && !math.IsNaN(n)
}

func amount(values ...value) *float64 {
	for _, v := range values {
		if n, ok := number(v); ok {
			return &n
		}
	}
	return nil
}

// count is the first value that is a number from 0 to 2^53, without its fraction.
func count(values ...value) *int64 {
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
func moment(values ...value) *time.Time {
	for _, v := range values {
		if n, ok := number(v); ok {
			if t, ok := unix(n); ok {
				return &t
			}
			continue
		}
		if !v.isText() {
			continue
		}
		s := v.text()
		if len(s) > 64 {
			continue
		}
		for _, form := range timeForms {
			if t, err := time.Parse(form, s); err == nil && t.Unix() >= minTime && t.Unix() < maxTime {
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
func (k *keeper) tags(values ...value) []string {
	for _, v := range values {
		var list []string
		if v.isArray() {
			for s := v.elements(); len(list) < MaxTags && s.next(); {
				if text := k.textOf(s.value, true); text != "" {
					list = append(list, text)
				}
			}
		} else if s := k.textOf(v, true); s != "" {
			list = []string{s}
		}
		if list != nil {
			return list
		}
	}
	return nil
}
