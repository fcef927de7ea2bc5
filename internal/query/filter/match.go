package filter

import (
	"slices"
	"strings"
	"time"

	"indelible/internal/fields"
	"indelible/internal/record"
)

// Row is what a filter is asked about: a call, which is a record or one line of a batch of records.
type Row struct {
	record.Info // without Attrs
	State       record.State
	// Line is the number of the call in a record that holds several, from 1; 0 in one that holds one.
	Line   int
	Fields fields.Fields
}

// Value is the row's value of a field: string, int64, float64, bool, time.Time or []string; nil
// where it has none.
func (r *Row) Value(name string) any {
	switch name {
	case "seq":
		return int64(r.Seq)
	case "time":
		return r.Time
	case "state":
		return text(string(r.State))
	case "door":
		return text(r.Door)
	case "source":
		return text(r.Source)
	case "bucket":
		return text(r.Bucket)
	case "key":
		return text(r.Key)
	case "size":
		return r.Size
	case "sha256":
		return r.Digest.String()
	}
	for n, v := range r.Fields.All() {
		if n == name {
			return v
		}
	}
	return nil
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Match says whether every term holds for a row. words are the words in which the
// filter's are looked for; it is called only where the filter has any.
func (f *Filter) Match(r *Row, words func() []string) bool {
	var all []string
	for i := range f.Terms {
		t := &f.Terms[i]
		if t.Field != nil {
			if !t.Holds(r.Value(t.Field.Name)) {
				return false
			}
			continue
		}
		if all == nil {
			all = words()
		}
		if !holds(all, t.Words, t.Prefix) && !r.carries(t.Text) {
			return false
		}
	}
	return true
}

// Holds says whether the comparison of a term with a field holds for a value as Row.Value gives it.
func (t *Term) Holds(v any) bool {
	switch v := v.(type) {
	case nil:
		switch t.Op {
		case Equal:
			return (t.Field.Kind == Text || t.Field.Kind == List) && t.Text == ""
		case NotEqual:
			return t.Field.Kind == Number || t.Field.Kind == Time || t.Field.Kind == Bool || t.Text != ""
		}
		return t.Op == Lacks
	case string:
		return t.holdsText(v)
	case []string:
		if t.Op == NotEqual || t.Op == Lacks {
			return !slices.ContainsFunc(v, func(s string) bool { return !t.holdsText(s) })
		}
		return slices.ContainsFunc(v, t.holdsText)
	case bool:
		return (v == t.Bool) == (t.Op == Equal)
	case int64:
		return ordered(float64(v), t.Num, t.Op)
	case float64:
		return ordered(v, t.Num, t.Op)
	case time.Time:
		return ordered(v.UnixNano(), t.Time.UnixNano(), t.Op)
	}
	return false
}

func (t *Term) holdsText(v string) bool {
	switch t.Op {
	case Equal:
		return v == t.Text
	case NotEqual:
		return v != t.Text
	case Contains:
		return strings.Contains(FoldASCII(v), FoldASCII(t.Text))
	case Lacks:
		return !strings.Contains(FoldASCII(v), FoldASCII(t.Text))
	}
	return false
}

// FoldASCII is s with the capital letters of ASCII in lower case.
func FoldASCII(s string) string {
	for i := range len(s) {
		if 'A' > s[i] || s[i] > 'Z' {
			continue
		}
		b := []byte(s)
		for ; i < len(b); i++ {
			if 'A' <= b[i] && b[i] <= 'Z' {
				b[i] += 'a' - 'A'
			}
		}
		return string(b)
	}
	return s
}

func ordered[T int64 | float64](a, b T, op Op) bool {
	switch op {
	case Equal:
		return a == b
	case NotEqual:
		return a != b
	case Less:
		return a < b
	case LessEqual:
		return a <= b
	case More:
		return a > b
	case MoreEqual:
		return a >= b
	}
	return false
}

// carries says whether a text is the row's key or one of its ids.
func (r *Row) carries(name string) bool {
	for _, id := range [...]*string{&r.Key, r.Fields.ID, r.Fields.CallID, r.Fields.TraceID} {
		if id != nil && *id == name && name != "" {
			return true
		}
	}
	return false
}

// FieldText is the text of a row in which words are looked for besides those of its body: what many rows may share.
// Keys and ids are looked for as a whole.
func FieldText(r *Row) string {
	f := &r.Fields
	var b strings.Builder
	for _, s := range [...]*string{
		f.Team, f.Model, f.ServedModel, f.ModelGroup, f.Provider, f.CallType, f.Status, f.ErrorCode, f.ErrorClass, f.ErrorMessage,
		f.FinishReason, f.KeyAlias, f.User, f.EndUser,
	} {
		if s != nil {
			b.WriteString(*s)
			b.WriteByte('\n')
		}
	}
	for _, tag := range f.Tags {
		b.WriteString(tag)
		b.WriteByte('\n')
	}
	return strings.ToValidUTF8(b.String(), " ")
}

// MayArrive says whether a record that arrived between two times, which are cut to microseconds, can match.
func (f *Filter) MayArrive(first, last time.Time) bool {
	last = last.Add(time.Microsecond)
	for i := range f.Terms {
		t := &f.Terms[i]
		if t.Field == nil || t.Field.Name != "time" {
			continue
		}
		switch t.Op {
		case More, MoreEqual:
			if last.Before(t.Time) {
				return false
			}
		case Less, LessEqual:
			if first.After(t.Time) {
				return false
			}
		case Equal:
			if last.Before(t.Time) || first.After(t.Time) {
				return false
			}
		}
	}
	return true
}
