package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/query/filter"
	"indelible/internal/query/index"
	"indelible/internal/record"
	"indelible/internal/store"
)

// ExportQuery asks for whole records.
type ExportQuery struct {
	Expr  []string
	After record.Seq // only records behind this one
	Scan  bool       // read every record, and do not ask the index
	Sent  bool       // tell Hit.Sent and Hit.Stored, too
}

// exportPage is how many calls the index is asked for at a time: between two pages its file can be tidied.
const exportPage = 1000

// Export gives each record of which a call matches to yield, in the order of seq, with its bytes, which are
// read before yield returns; the hit is the first such call. Seqs in which there is nothing any more, and
// records that cannot be read, are counted in the summary. It ends with the error of yield.
func (c *Catalog) Export(ctx context.Context, q ExportQuery, yield func(Hit, io.Reader) error) (SearchSummary, error) {
	f, err := filter.Parse(q.Expr, time.Now())
	if err != nil {
		return SearchSummary{}, err
	}
	s, err := c.newSearch(ctx, f)
	if err != nil {
		return SearchSummary{}, err
	}
	s.sent = q.Sent
	newest, err := s.Newest(ctx)
	if err != nil {
		return s.sum, err
	}
	at := q.After
	if len(f.Terms) > 0 {
		indexed, ok := s.indexed(ctx, q.Scan)
		if ok && s.o.Index.Text() != index.TextBody && f.HasWords() {
			s.sum.Words = string(index.TextFields)
		}
		if at < indexed {
			if err := s.countUnread(ctx, at, indexed); err != nil {
				return s.sum, err
			}
			if err := s.exportIndexed(ctx, at, indexed, yield); err != nil {
				return s.sum, err
			}
			at, s.sum.Indexed, s.sum.Behind = indexed, indexed, behind(indexed, newest)
		}
		s.bodies = !ok || s.o.Index.Text() == index.TextBody
	}
	return s.sum, s.exportRest(ctx, at+1, newest, yield)
}

// exportRest reads every record from first to last.
func (s *search) exportRest(ctx context.Context, first, last record.Seq, yield func(Hit, io.Reader) error) error {
	for e, err := range s.Rows(ctx, first, last) {
		if gap, removed := errors.AsType[*removedError](err); removed {
			s.sum.Removed += int(gap.Last - gap.First + 1)
			continue
		}
		if gap, lost := errors.AsType[*record.GapError](err); lost {
			s.sum.Unread += int(gap.Last - gap.First + 1)
			continue
		}
		if _, unread := errors.AsType[*record.ReadError](err); unread {
			s.sum.Unread++
			continue
		}
		if err != nil {
			return err
		}
		var hit *filter.Row
		s.sum.Read++
		s.yield = func(r *filter.Row) bool { hit = r; return true } // the first call comes last
		if s.record(e); hit == nil {
			continue
		}
		if err := s.give(ctx, e.Entry, s.states.hitOf(hit), yield); err != nil {
			return err
		}
	}
	return nil
}

// give opens a record and hands it over. One that is gone from the destination is counted and passed over.
func (s *search) give(ctx context.Context, e record.Entry, h Hit, yield func(Hit, io.Reader) error) error {
	body, err := e.Open()
	var from *bufio.Reader
	if err == nil {
		defer func() { _ = body.Close() }()
		from = bufio.NewReader(body)
		if _, err = from.Peek(1); err == io.EOF {
			err = nil // an empty one
		}
	}
	if store.ClassOf(err) == store.NotFound {
		if removed, rerr := s.removed(ctx, e.Seq); removed != nil || rerr != nil {
			s.sum.Removed++
			return rerr
		}
		s.sum.Unread++
		s.sum.Missing = fmt.Sprintf("record %d is gone from the destination: run \"indelible verify\"", e.Seq)
		return nil
	}
	if err != nil {
		return fmt.Errorf("export record %d: %w", e.Seq, err)
	}
	if s.sent {
		h.Sent = e.Attrs
		if stored := s.o.Objects.Key(h.Bucket, h.Key); stored != h.Key {
			h.Stored = stored
		}
	}
	return yield(h, from)
}

// exportIndexed gives the records behind at, up to upto, that the index knows.
func (s *search) exportIndexed(ctx context.Context, at, upto record.Seq, yield func(Hit, io.Reader) error) error {
	for {
		var rows []filter.Row
		n := 0
		err := s.o.Index.After(ctx, s.f, at, upto, exportPage, func(r filter.Row) bool {
			n++
			r.State = s.states.of(&r.Info)
			if s.stateHolds(&r) && (len(rows) == 0 || rows[len(rows)-1].Seq != r.Seq) {
				rows = append(rows, r)
			}
			at = r.Seq
			return true
		})
		if err != nil {
			return err
		}
		if err := s.exportRows(ctx, rows, yield); err != nil || n < exportPage {
			return err
		}
		// A record whose calls are cut by the page's end comes once: the next page begins behind it.
	}
}

func (s *search) exportRows(ctx context.Context, rows []filter.Row, yield func(Hit, io.Reader) error) error {
	for len(rows) > 0 {
		part := rows[:min(bodiesAhead, len(rows))]
		rows = rows[len(part):]
		entries := make([]record.Entry, len(part))
		g, ctx := errgroup.WithContext(ctx)
		for i := range part {
			g.Go(func() error {
				e, err := s.locate(ctx, part[i].Info)
				entries[i] = inMemory(e)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i := range part {
			if err := s.give(ctx, entries[i], s.states.hitOf(&part[i]), yield); err != nil {
				return err
			}
		}
	}
	return nil
}

// locate finds a record of which the index tells: in the spool, under its key or a variant of it, or where the log says.
func (c *Catalog) locate(ctx context.Context, i record.Info) (record.Entry, error) {
	e, ok, err := c.o.Records.BySeq(ctx, i.Seq)
	if ok || err != nil {
		return e, err
	}
	if e, ok, err = c.o.Records.Packed(ctx, c.o.Log, i.Seq); err != nil || ok && e.Digest == i.Digest {
		return e, err
	}
	stored := c.o.Objects.Key(i.Bucket, i.Key)
	for _, name := range []string{stored, c.o.Objects.Variant(stored, i.Seq)} {
		e, ok, err := c.o.Records.At(ctx, name)
		if err != nil {
			return e, err
		}
		if ok && e.Seq == i.Seq && e.Digest == i.Digest {
			return e, nil
		}
	}
	m, err := c.bySeq(ctx, i.Seq)
	switch {
	case err != nil:
		return e, err
	case m.missing != nil:
		return e, &AwayError{m.missing}
	case len(m.entries) == 0:
		return e, fmt.Errorf("record %d: %w: the index has it, and neither the spool nor the destination does: run \"indelible verify\"", i.Seq, ErrNotFound)
	}
	return m.entries[0], nil
}

// ErrNothingNew says that no daemon runs here, so that nothing arrives.
var ErrNothingNew = errors.New("no daemon runs on this data directory: nothing new arrives")

// Follow gives the calls of records behind seq that match to yield, as the records are acknowledged, until yield returns
// false or ctx ends. Words are looked for in bodies, too. after 0 begins with what arrives from now on.
func (c *Catalog) Follow(ctx context.Context, expr []string, after record.Seq, yield func(Hit) bool) error {
	f, err := filter.Parse(expr, time.Now())
	if err != nil {
		return err
	}
	if c.o.Wait == nil {
		return ErrNothingNew
	}
	if after == 0 {
		if after, err = c.Newest(ctx); err != nil {
			return err
		}
	}
	for {
		upto, err := c.o.Wait(ctx, after)
		if err != nil {
			return err
		}
		s, err := c.newSearch(ctx, f)
		if err != nil {
			return err
		}
		s.bodies = true
		for e, err := range c.Rows(ctx, after+1, upto) {
			if seq, passed := unreadSeq(err); passed {
				if !yield(Hit{Row: Row{Seq: seq}, Unread: err.Error()}) {
					return nil
				}
				continue
			}
			if err != nil {
				return err
			}
			s.yield = func(r *filter.Row) bool { return yield(s.states.hitOf(r)) }
			if !s.record(e) {
				return nil
			}
		}
		after = upto
	}
}

// unreadSeq is the first seq of what an error says is lost, or cannot be read now; passed is false for other errors.
func unreadSeq(err error) (seq record.Seq, passed bool) {
	if gap, ok := errors.AsType[*record.GapError](err); ok {
		return gap.First, true
	}
	unread, ok := errors.AsType[*record.ReadError](err)
	if !ok {
		return 0, false
	}
	return unread.Seq, true
}

// IndexStatus says how far the index is.
type IndexStatus struct {
	On       bool       `json:"on"`
	Text     string     `json:"text,omitempty"`
	Position record.Seq `json:"position"` // it knows the log up to here
	Newest   record.Seq `json:"newest"`   // of the log
	Bytes    int64      `json:"bytes"`
	Problem  string     `json:"problem,omitempty"` // why it cannot be asked now
}

// Index says how far the index is.
func (c *Catalog) Index(ctx context.Context) (st IndexStatus, err error) {
	if st.Newest, err = c.Newest(ctx); err != nil || c.o.Index == nil {
		return st, err
	}
	st.On, st.Text, st.Bytes = true, string(c.o.Index.Text()), c.o.Index.Size()
	if st.Position, err = c.o.Index.Position(ctx); err != nil {
		st.Problem = err.Error()
	}
	return st, nil
}
