package index

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"indelible/internal/record"
)

const (
	batchDocs   = 512     // calls that are added at a time
	batchBytes  = 8 << 20 // of their texts
	loadDocs    = 8192    // calls in a transaction at most: the more, the fewer times a page is written
	loadTime    = 2 * time.Second
	gather      = 200 * time.Millisecond
	retryMin    = time.Second
	retryMax    = time.Minute
	retryNoRoom = 5 * time.Second
	gapsEvery   = time.Minute
	maxBodyText = 64 << 10
)

// Run follows the log until ctx ends, and returns nil. It is behind everything else: it waits
// for nobody who delivers and nobody waits for it; the more records are acknowledged meanwhile the more it
// rests, and where none are it works all of the time. Whatever fails is told once and tried again, for ever. Only one Run at a time.
func (x *Index) Run(ctx context.Context, s Source) error {
	f := follower{Index: x, source: s}
	defer func() {
		if err := x.drop(true); err != nil {
			x.o.Logger.Warn("the index could not be closed; the next start mends it", "error", err)
		}
	}()
	wait := retryMin
	for ctx.Err() == nil {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrDamaged) {
			x.o.Logger.Warn("the index is damaged and is rebuilt from the log; no record is lost, and searches are slower until then", "error", err, "kept_as", x.o.Path+".damaged")
			err = errors.Join(x.drop(false), moveDamaged(x.o.Path))
		}
		if err == nil {
			wait = retryMin
			continue
		}
		if x.told != kindOf(err) {
			x.told = kindOf(err)
			x.o.Logger.Warn("the index stands still; records are acknowledged and delivered all the same, and it goes on by itself", "error", err)
		}
		if errors.Is(err, errNoRoom) {
			wait = min(wait, retryNoRoom) // the spool may need more soon
		}
		f.sleep(ctx, wait)
		wait = min(2*wait, retryMax)
	}
	return nil
}

// kindOf is what makes two troubles the same.
func kindOf(err error) string {
	if isFull(err) {
		return "full"
	}
	if errors.Is(err, errNoRoom) {
		return "no room"
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// follower is a Run under way.
type follower struct {
	*Index
	source   Source
	gaps     time.Time // when what could not be read was tried last
	pace     pace
	progress func(record.Seq) // is told of each commit; nil: nobody asks
}

// sleep waits, or until somebody wants the index rebuilt.
func (f *follower) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case done := <-f.remake:
		done <- f.again()
	}
}

// again takes the index away, so that it is rebuilt.
func (f *follower) again() error { return errors.Join(f.drop(false), f.remove()) }

// follow brings the index up to the log, and keeps it there. It returns nil where it is to be opened again.
func (f *follower) follow(ctx context.Context) error {
	if err := f.room(); err != nil {
		return err
	}
	if err := f.ready(ctx); err != nil {
		return err
	}
	at, err := f.Position(ctx)
	if err != nil {
		return err
	}
	for {
		upto, err := f.await(ctx, at)
		if err != nil || upto == 0 {
			return err
		}
		f.pace.begin(upto)
		for at < upto {
			if err := f.advance(ctx, at, upto); err != nil {
				return err
			}
			if !f.open() {
				return nil
			}
			if at, err = f.Position(ctx); err != nil {
				return err
			}
			if err := f.still(ctx); err != nil {
				return err
			}
			if !f.open() {
				return nil
			}
		}
	}
}

// committed looks after what has to be looked after between two transactions; false says that the walk is to end here.
func (f *follower) committed(ctx context.Context, at record.Seq) (bool, error) {
	if f.progress != nil {
		f.progress(at)
		return true, ctx.Err()
	}
	if f.told != "" {
		f.told = ""
		f.o.Logger.Info("the index goes on", "seq", at)
	}
	select {
	case done := <-f.remake:
		done <- f.again()
		return false, nil
	default:
	}
	err := f.still(ctx)
	return err == nil && f.open(), err
}

// open says whether the index is still open: somebody may have wanted it rebuilt.
func (x *Index) open() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.db != nil
}

// await waits for news behind at; 0 says that the index is to be opened again.
func (f *follower) await(ctx context.Context, at record.Seq) (record.Seq, error) {
	for {
		wait, cancel := context.WithCancel(ctx)
		type news struct {
			upto record.Seq
			err  error
		}
		got := make(chan news, 1)
		go func() {
			upto, err := f.source.Wait(wait, at)
			got <- news{upto, err}
		}()
		timer := time.NewTimer(gapsEvery)
		select {
		case n := <-got:
			cancel()
			timer.Stop()
			if n.err == nil {
				f.sleep(ctx, gather) // what comes together is written together
				if !f.open() {
					return 0, ctx.Err()
				}
			}
			return n.upto, n.err
		case done := <-f.remake:
			cancel()
			timer.Stop()
			<-got
			done <- f.again()
			return 0, nil
		case <-timer.C:
			cancel()
			<-got
			if err := f.still(ctx); err != nil {
				return 0, err
			}
			if !f.open() {
				return 0, nil
			}
		}
	}
}

// still looks after the open index: its file may be gone, the disk full, and what could not be read may be readable now.
func (f *follower) still(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !f.open() {
		return nil
	}
	if !f.db.there() { // Run alone changes f.db
		f.o.Logger.Warn("the file of the index is gone; it is rebuilt from the log", "file", f.o.Path)
		return f.drop(false)
	}
	if err := f.room(); err != nil {
		return err
	}
	if time.Since(f.gaps) < gapsEvery {
		return nil
	}
	f.gaps = time.Now()
	seqs, err := f.Unread(ctx)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if err := f.fill(ctx, seq); err != nil {
			return err
		}
	}
	return nil
}

// fill adds a record that could not be read before.
func (f *follower) fill(ctx context.Context, seq record.Seq) error {
	b, forgets := batch{filled: []record.Seq{seq}}, f.db.forgets.Load()
	for e, err := range f.source.Rows(ctx, seq, seq) {
		if _, unread := errors.AsType[*record.ReadError](err); unread {
			return nil
		}
		if _, lost := errors.AsType[*record.GapError](err); lost {
			continue
		}
		if err != nil {
			return err
		}
		if !f.take(&b, e) {
			return nil
		}
	}
	if err := f.db.add(ctx, &b, forgets); !errors.Is(err, errForgot) {
		return err
	}
	return nil // it is tried again
}

// unread are seqs that could not be read.
func (d *db) unread(ctx context.Context, limit int) (seqs []record.Seq, err error) {
	rows, err := d.read.QueryContext(ctx, "SELECT seq FROM gaps ORDER BY seq LIMIT ?", limit)
	if err != nil {
		return nil, classed(err)
	}
	defer func(rows *sql.Rows) { _ = rows.Close() }(rows)
	for rows.Next() {
		var seq record.Seq
		if err := rows.Scan(&seq); err != nil {
			return nil, classed(err)
		}
		seqs = append(seqs, seq)
	}
	return seqs, classed(rows.Err())
}
