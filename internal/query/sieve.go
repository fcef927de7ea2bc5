package query

import (
	"bytes"
	"path"
	"strings"
	"time"

	"indelible/internal/layout/pack"
	"indelible/internal/query/filter"
)

// sieve says of the rows of one row group which can match a filter, by their columns. It never leaves one out that matches:
// what its columns do not tell exactly, it lets pass.
type sieve struct {
	exact []test // about numbers and times of the record
	names []test // about its texts, which are exact where the column extra has nothing
	call  []test // about the call in it, which the columns tell where it holds just one
	text  []test // about words in that call: the dearest
	key   pack.Column
	sent  pack.Column
	extra pack.Column
}

// test says whether a term may hold for a row.
type test func(row int) bool

func newSieve(b *pack.Block, w *Walk) (*sieve, error) {
	s := &sieve{}
	for _, c := range []struct {
		into *pack.Column
		name string
	}{{&s.key, pack.ColumnKey}, {&s.sent, "sent_key"}, {&s.extra, "extra"}} {
		var err error
		if *c.into, err = b.Column(c.name); err != nil {
			return nil, err
		}
	}
	if w.ID != "" {
		carries, err := s.carries(b, w.ID)
		if err != nil {
			return nil, err
		}
		s.call = append(s.call, carries)
	}
	if w.Filter == nil {
		return s, nil
	}
	for i := range w.Filter.Terms {
		if err := s.add(b, &w.Filter.Terms[i], w.Bodies); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add adds the test of a term.
func (s *sieve) add(b *pack.Block, t *filter.Term, bodies bool) error {
	if t.Field == nil {
		words, err := s.words(b, t, bodies)
		s.text = append(s.text, words)
		return err
	}
	switch name := t.Field.Name; name {
	case "state": // the columns do not know it
	case "seq":
		s.exact = append(s.exact, func(row int) bool { return t.Holds(int64(b.Seq(row))) })
	case "time":
		col, err := b.Column("time_ns")
		s.exact = append(s.exact, func(row int) bool {
			ns, _ := col.Int(row)
			return t.Holds(time.Unix(0, ns))
		})
		return err
	case "size":
		col, err := b.Column(name)
		s.exact = append(s.exact, number(col, t))
		return err
	case "key":
		s.names = append(s.names, text(t, s.sentKey))
	case "door", "source", "bucket", "sha256":
		col, err := b.Column(name)
		s.names = append(s.names, text(t, col.Text))
		return err
	default:
		col, err := b.Column(name)
		s.call = append(s.call, field(col, t))
		return err
	}
	return nil
}

// may says whether a row can match, and whether its columns say what is in its body.
func (s *sieve) may(row int) (may, known bool) {
	if !all(s.exact, row) {
		return false, false
	}
	if _, more := s.extra.Text(row); more {
		return true, false
	}
	if !all(s.names, row) {
		return false, false
	}
	if key, _ := s.sentKey(row); HoldsLines(string(key[max(0, len(key)-len(".ndjson")):])) {
		return true, false
	}
	return all(s.call, row) && all(s.text, row), true
}

func all(tests []test, row int) bool {
	for _, t := range tests {
		if !t(row) {
			return false
		}
	}
	return true
}

// sentKey is the key that the sender used.
func (s *sieve) sentKey(row int) ([]byte, bool) {
	if sent, ok := s.sent.Text(row); ok {
		return sent, true
	}
	return s.key.Text(row)
}

// HoldsLines says whether a record of this key holds a call in each line.
func HoldsLines(key string) bool {
	ext := path.Ext(key)
	return ext == ".jsonl" || ext == ".ndjson"
}

// field is the test of a term about a column that holds what the body says.
func field(col pack.Column, t *filter.Term) test {
	switch t.Field.Kind {
	case filter.List:
		return func(row int) bool {
			if list := col.List(row); len(list) > 0 {
				return t.Holds(list)
			}
			return t.Holds(nil)
		}
	case filter.Number:
		if t.Field.Name == "cost" {
			return func(row int) bool {
				if f, ok := col.Float(row); ok {
					return t.Holds(f)
				}
				return t.Holds(nil)
			}
		}
		return number(col, t)
	case filter.Time:
		return func(row int) bool {
			if us, ok := col.Int(row); ok {
				return t.Holds(time.UnixMicro(us))
			}
			return t.Holds(nil)
		}
	case filter.Bool:
		return func(row int) bool {
			if n, ok := col.Int(row); ok {
				return t.Holds(n != 0)
			}
			return t.Holds(nil)
		}
	}
	return text(t, col.Text)
}

func number(col pack.Column, t *filter.Term) test {
	return func(row int) bool {
		if n, ok := col.Int(row); ok {
			return t.Holds(n)
		}
		return t.Holds(nil)
	}
}

// text is the test of a term about texts. Most columns have few different ones: each is compared once.
func text(t *filter.Term, of func(row int) ([]byte, bool)) test {
	none := t.Holds(nil)
	if t.Op == filter.Equal && t.Text != "" {
		return func(row int) bool {
			b, _ := of(row)
			return string(b) == t.Text
		}
	}
	seen := map[string]bool{}
	return func(row int) bool {
		b, ok := of(row)
		if !ok || len(b) == 0 {
			return none
		}
		holds, ok := seen[string(b)]
		if !ok {
			s := string(b)
			holds = t.Holds(s)
			seen[s] = holds
		}
		return holds
	}
}

// wordColumns are the columns in which words are looked for: those of filter.FieldText.
var wordColumns = [...]string{
	"team", "model", "served_model", "model_group", "provider", "call_type", "status", "error_code", "error_class", "error_message",
	"finish_reason", "key_alias", "user", "end_user",
}

// words is the test of a term of words: a row that has all of them in its fields, or in its body if bodies is set, may have them one
// behind the other.
func (s *sieve) words(b *pack.Block, t *filter.Term, bodies bool) (test, error) {
	var masks []func(row int) uint64
	for _, name := range wordColumns {
		col, err := b.Column(name)
		if err != nil {
			return nil, err
		}
		masks = append(masks, wordsIn(t.Words, col))
	}
	tags, err := b.Column("tags")
	if err != nil {
		return nil, err
	}
	names := []func(int) ([]byte, bool){s.sentKey}
	for _, name := range [...]string{pack.ColumnID, pack.ColumnCallID, pack.ColumnTraceID} {
		col, err := b.Column(name)
		if err != nil {
			return nil, err
		}
		names = append(names, col.Text)
	}
	want := maskOf(t.Words, func(string) bool { return true })
	return func(row int) bool {
		var got uint64
		for _, of := range masks {
			if got |= of(row); got == want {
				return true
			}
		}
		for _, tag := range tags.List(row) {
			got |= maskIn(t.Words, tag)
		}
		if got == want {
			return true
		}
		for _, of := range names {
			if name, ok := of(row); ok && string(name) == t.Text {
				return true
			}
		}
		if !bodies {
			return false
		}
		body, err := b.Body(row) // it is compared with its digest when the row is opened, and so is an error told then
		return err != nil || got|maskOf(t.Words, filter.MayBeIn(body)) == want
	}, nil
}

// carries is the test of whether a row carries an id.
func (s *sieve) carries(b *pack.Block, id string) (test, error) {
	var ids []pack.Column
	for _, name := range [...]string{pack.ColumnID, pack.ColumnCallID, pack.ColumnTraceID} {
		col, err := b.Column(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, col)
	}
	inKey, spelled := CarriesID(id), []byte(spelledInKey(id))
	return func(row int) bool {
		for _, col := range ids {
			if b, ok := col.Text(row); ok && string(b) == id {
				return true
			}
		}
		key, _ := s.sentKey(row)
		if name := key[bytes.LastIndexByte(key, '/')+1:]; len(name) < shortenedName && !bytes.Contains(name, spelled) {
			return false // most of them, without the expression that takes keys apart
		}
		return inKey(string(key))
	}, nil
}

// wordsIn is which of the words a row's text in a column has.
func wordsIn(words []string, col pack.Column) func(row int) uint64 {
	seen := map[string]uint64{}
	return func(row int) uint64 {
		b, ok := col.Text(row)
		if !ok {
			return 0
		}
		mask, ok := seen[string(b)]
		if !ok {
			s := string(b)
			mask = maskIn(words, s)
			seen[s] = mask
		}
		return mask
	}
}

func maskIn(words []string, s string) uint64 {
	lower := strings.ToLower(s)
	return maskOf(words, func(w string) bool { return strings.Contains(lower, w) })
}

// maskOf is a bit for each of the first 64 words that has is true for.
func maskOf(words []string, has func(string) bool) (mask uint64) {
	for i, w := range words[:min(len(words), 64)] {
		if has(w) {
			mask |= 1 << i
		}
	}
	return mask
}
