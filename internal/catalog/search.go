package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"indelible/internal/fields"
	"indelible/internal/query"
	"indelible/internal/query/filter"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// Query asks for calls.
type Query struct {
	Expr  []string // a filter, as filter.Parse takes it
	Limit int      // how many at most; 0 is all
	Scan  bool     // read every record, with its body, and do not ask the index
}

// SearchSummary is what a search says at its end.
type SearchSummary struct {
	// Words says what words were looked for in: "fields" or "body"; "" if none were.
	Words string `json:"words,omitempty"`
	// Indexed is the seq up to which the index answered; 0: it was not asked. NoIndex says why, where it was meant to be.
	Indexed record.Seq `json:"indexed"`
	NoIndex string     `json:"no_index,omitempty"`
	// Behind is how many records the index did not know yet: they were looked through one by one, so that nothing is missing.
	Behind  int    `json:"behind,omitempty"`
	Read    int    `json:"read"`              // records that were looked at one by one
	Unread  int    `json:"unread,omitempty"`  // records that could not be read or are lost, and so were not looked at
	Removed int    `json:"removed,omitempty"` // records that were removed by policy, as far as they were come across
	Missing string `json:"missing,omitempty"` // why the answer lacks what is stored; "": it does not
}

// search is one Search under way.
type search struct {
	*Catalog
	f      *filter.Filter
	states states
	sum    SearchSummary
	bodies bool // words are looked for in bodies, too
	sent   bool // Export tells Hit.Sent
	yield  func(*filter.Row) bool
}

// Search gives the calls that match to yield, newest first, until that returns false. Its
// error is a *filter.Error where the expression is wrong.
func (c *Catalog) Search(ctx context.Context, q Query, yield func(Hit) bool) (SearchSummary, error) {
	f, err := filter.Parse(q.Expr, time.Now())
	if err != nil {
		return SearchSummary{}, err
	}
	s, err := c.newSearch(ctx, f)
	if err != nil {
		return SearchSummary{}, err
	}
	left := q.Limit
	s.yield = func(r *filter.Row) bool {
		more := yield(s.states.hitOf(r))
		left--
		return more && left != 0
	}
	err = s.run(ctx, q.Scan)
	return s.sum, err
}

func (c *Catalog) newSearch(ctx context.Context, f *filter.Filter) (*search, error) {
	states, err := c.states(ctx)
	return &search{Catalog: c, f: f, states: states}, err
}

// run asks the index for what it knows, and reads the records that it does not know yet, which are the newest.
func (s *search) run(ctx context.Context, scan bool) error {
	newest, err := s.Newest(ctx)
	if err != nil {
		return err
	}
	indexed, ok := s.indexed(ctx, scan)
	s.bodies = !ok || s.o.Index.Text() == index.TextBody
	if s.f.HasWords() {
		s.sum.Words = string(index.TextFields)
		if s.bodies {
			s.sum.Words = string(index.TextBody)
		}
	}
	if ok {
		s.sum.Indexed, s.sum.Behind = indexed, behind(indexed, newest)
	}
	if more, err := s.scan(ctx, indexed+1, newest, nil); err != nil || !more || !ok {
		return err
	}
	if err := s.countUnread(ctx, 0, indexed); err != nil {
		return err
	}
	return s.o.Index.Search(ctx, s.f, indexed, func(r filter.Row) bool {
		r.State = s.states.of(&r.Info)
		return !s.stateHolds(&r) || s.yield(&r)
	})
}

// behind is how many records an index that has come to a record does not know yet.
func behind(indexed, newest record.Seq) int { return int(max(indexed, newest) - indexed) }

// countUnread counts the records behind after, up to upto, that the index could not read, and does not know.
func (s *search) countUnread(ctx context.Context, after, upto record.Seq) error {
	unread, err := s.o.Index.Unread(ctx)
	for _, seq := range unread {
		if seq > after && seq <= upto {
			s.sum.Unread++
		}
	}
	return err
}

// indexed is the seq up to which the index is asked; false: it is not asked at all.
func (s *search) indexed(ctx context.Context, scan bool) (record.Seq, bool) {
	if scan || s.o.Index == nil {
		if !scan {
			s.sum.NoIndex = "it is switched off (index: off)"
		}
		return 0, false
	}
	if s.f.HasWords() && s.o.Index.Text() == index.TextOff {
		s.sum.NoIndex = "it knows no words (index.text: off)"
		return 0, false
	}
	at, err := s.o.Index.Position(ctx)
	if err != nil {
		s.sum.NoIndex = err.Error()
		return 0, false
	}
	return at, true
}

// stateHolds says whether the terms about the state hold.
func (s *search) stateHolds(r *filter.Row) bool {
	for i := range s.f.Terms {
		t := &s.f.Terms[i]
		if t.Field != nil && t.Field.Name == "state" && !t.Holds(string(r.State)) {
			return false
		}
	}
	return true
}

// scan looks through the records from first to last, newest first; more is false once yield has had enough. Of packs it reads the
// columns that the filter asks for, and whole rows where these match; only are the fields that yield needs, nil: all.
func (s *search) scan(ctx context.Context, first, last record.Seq, only []string) (more bool, err error) {
	if first > last {
		return true, nil
	}
	how := query.Walk{From: s.floor(first), Upto: last, Back: true, Filter: s.f, Bodies: s.bodies, Only: only, Passed: func(n int) { s.sum.Read += n }}
	for row, err := range s.walk(ctx, how) {
		if _, lost := errors.AsType[*record.GapError](err); lost {
			continue
		}
		if _, unread := errors.AsType[*record.ReadError](err); unread {
			s.sum.Unread++
			continue
		}
		if err != nil {
			s.sum.Missing = err.Error() // the index may know the rest
			return true, ctx.Err()
		}
		if s.sum.Read++; !s.record(row) {
			return false, nil
		}
	}
	return true, nil
}

// floor is the first seq that can match, as far as the filter's own words about seq tell.
func (s *search) floor(first record.Seq) record.Seq {
	for i := range s.f.Terms {
		t := &s.f.Terms[i]
		if t.Field != nil && t.Field.Name == "seq" && (t.Op == filter.Equal || t.Op == filter.More || t.Op == filter.MoreEqual) && t.Num >= 1 && t.Num < 1<<53 {
			first = max(first, record.Seq(t.Num))
		}
	}
	return first
}

// record gives the calls of one record that match; false once yield has had enough.
func (s *search) record(e query.Row) bool {
	bodies := s.bodies && s.f.HasWords()
	if e.Fields != nil && !bodies { // as most are
		return s.call(&filter.Row{Info: e.Info, State: s.states.of(&e.Info), Fields: *e.Fields}, nil)
	}
	var rows []filter.Row
	var texts [][]byte
	ok := index.Calls(e, bodies, func(line int, f fields.Fields, body []byte) {
		rows, texts = append(rows, filter.Row{Info: e.Info, Line: line, State: s.states.of(&e.Info), Fields: f}), append(texts, body)
	})
	if !ok {
		s.sum.Unread++
		return true
	}
	for i := range slices.Backward(rows) {
		if !s.call(&rows[i], texts[i]) {
			return false
		}
	}
	return true
}

// call gives a call to yield if it matches; false once that has had enough.
func (s *search) call(r *filter.Row, body []byte) bool {
	text := ""
	if s.f.HasWords() {
		if text = filter.FieldText(r); s.bodies && !s.f.MayHold(r, text, body) {
			return true
		}
	}
	words := func() []string {
		if s.bodies {
			return filter.Words(text + filter.BodyText(body, fields.MaxBody))
		}
		return filter.Words(text)
	}
	return !s.f.Match(r, words) || s.yield(r)
}

// of is the state of a record.
func (s states) of(i *record.Info) record.State {
	if a, ok := s.parked[i.Seq]; ok {
		return a.State
	}
	switch {
	case i.Seq <= s.proven:
		return record.Proven
	case i.Seq <= s.stored:
		return record.Stored
	}
	return record.Pending
}

// StatsQuery asks for sums.
type StatsQuery struct {
	Expr []string
	By   []string // see index.Dimension
	Scan bool
}

// Stats is the sums of the calls that match, sorted by what they are summed over.
func (c *Catalog) Stats(ctx context.Context, q StatsQuery) (sums []index.Sum, sum SearchSummary, err error) {
	f, err := filter.Parse(q.Expr, time.Now())
	if err != nil {
		return nil, sum, err
	}
	for _, name := range q.By {
		if !index.Dimension(name) {
			return nil, sum, fmt.Errorf("stats: %q is nothing to sum by: want day, or a field that is a text", name)
		}
	}
	s, err := c.newSearch(ctx, f)
	if err != nil {
		return nil, sum, err
	}
	g := newGrouping(q.By)
	s.yield = g.call
	if err := s.stats(ctx, q, g.add); err != nil {
		return nil, s.sum, err
	}
	if g.full {
		return nil, s.sum, fmt.Errorf("stats: more than %d sums: sum by something of fewer values", maxGroups)
	}
	return g.sorted(), s.sum, nil
}

func (s *search) stats(ctx context.Context, q StatsQuery, add func(index.Sum) bool) error {
	if s.f.Asks("state") {
		return s.run(ctx, q.Scan) // the index does not know states
	}
	newest, err := s.Newest(ctx)
	if err != nil {
		return err
	}
	at, ok := s.indexed(ctx, q.Scan)
	s.bodies = !ok || s.o.Index.Text() == index.TextBody
	if ok {
		if at, err = s.o.Index.Stats(ctx, s.f, q.By, add); err != nil {
			return err
		}
		s.sum.Indexed, s.sum.Behind = at, behind(at, newest)
		if err := s.countUnread(ctx, 0, at); err != nil {
			return err
		}
	}
	_, err = s.scan(ctx, at+1, newest, s.summed(q.By))
	return err
}

// summed are the columns that sums by these dimensions need; nil: all of them.
func (s *search) summed(by []string) []string {
	if s.f.HasWords() {
		return nil
	}
	names := append([]string{"tokens_in", "tokens_out", "cost", "sent_key"}, by...)
	for i := range s.f.Terms {
		names = append(names, s.f.Terms[i].Field.Name)
	}
	if slices.Contains(names, "sha256") {
		return nil
	}
	return names
}
