package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"math"
	"os"
	"sync"

	"indelible/internal/query"
	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// File is the index's name in the data directory.
const File = "index.db"

// Source is the log that an Index follows.
type Source interface {
	// Wait returns once a record with a seq greater than after is durable, and tells the newest durable seq.
	Wait(ctx context.Context, after record.Seq) (record.Seq, error)
	// Rows yields the records from seq up to upto, in the order of seq, wherever they
	// are. Two errors do not end it: a *record.GapError stands for a range that is lost, and a
	// *record.ReadError with its Seq for a record that cannot be read now. Any other ends it.
	Rows(ctx context.Context, from, upto record.Seq) iter.Seq2[query.Row, error]
}

// Options are what an Index is made of. Path and Log are required.
type Options struct {
	Path string // of the file
	Log  string // the log's name; an index of another one is rebuilt
	Text Text   // "": TextFields
	// Free is how many bytes of the disk are free, and Reserve how many of them the spool keeps for delivery: the index takes
	// nothing that the spool may need, and gives way to it. nil: there is room.
	Free    func() (int64, error)
	Reserve int64
	Logger  *slog.Logger // nil: discarded
}

// Index is the index of one log. Run keeps it up with the log; the other methods may be called
// at any time, also while none runs. It is safe for concurrent use.
type Index struct {
	o    Options
	most int // calls in a transaction: loadDocs, and fewer in tests

	mu     sync.Mutex
	db     *db    // nil: not open; guarded by mu, and changed by Run alone while one runs
	told   string // the trouble that was told last; owned by Run
	gave   int64  // bytes that the index gave back to the spool, and that it will take again; owned by Run
	remake chan chan error
}

// New makes an Index. It opens and starts nothing.
func New(o Options) *Index {
	if o.Text == "" {
		o.Text = TextFields
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Free == nil {
		o.Free = func() (int64, error) { return math.MaxInt64, nil }
	}
	return &Index{o: o, most: loadDocs, remake: make(chan chan error)}
}

// ErrNotReady says that there is no index to ask at the moment: none was made yet, or it is being rebuilt.
var ErrNotReady = errors.New("the index is not ready: a daemon makes it by itself, and \"indelible rebuild\" where none runs")

// OpenRead opens the index for reading alone, where nobody runs it. It fails with ErrNotReady where there is none that can be used.
func (x *Index) OpenRead(ctx context.Context) error {
	d, err := open(ctx, x.o.Path, x.o.Log, x.o.Text, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) || errors.Is(err, errOther) {
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	if err != nil {
		return fmt.Errorf("open the index: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.db = d
	return nil
}

// Close closes what OpenRead has opened.
func (x *Index) Close() error { return x.drop(false) }

// with does something with the open index, which stays open meanwhile.
func (x *Index) with(do func(*db) error) error {
	x.mu.Lock()
	d := x.db
	if d == nil {
		x.mu.Unlock()
		return ErrNotReady
	}
	d.users++
	x.mu.Unlock()
	return errors.Join(do(d), x.leave(d))
}

// leave ends a use of d. Whoever is the last closes what was dropped meanwhile.
func (x *Index) leave(d *db) error {
	x.mu.Lock()
	d.users--
	last := d.users == 0 && d.dropped
	x.mu.Unlock()
	if last {
		return d.close(false)
	}
	return nil
}

// Position is the seq up to which the index knows the log; what is newer has to be asked for elsewhere.
func (x *Index) Position(ctx context.Context) (seq record.Seq, err error) {
	err = x.with(func(d *db) (err error) {
		seq, err = d.position(ctx)
		return err
	})
	return seq, err
}

// Text is what words are looked for in.
func (x *Index) Text() Text {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db == nil {
		return x.o.Text
	}
	return x.db.text
}

// ErrBehind says that the index is not as far as it was: it was rebuilt since its position was asked for.
var ErrBehind = errors.New("the index was rebuilt meanwhile: ask again")

// reaches fails with ErrBehind where the index does not know the log up to seq. A file only grows, so that
// whatever is asked of it afterwards is complete up to there.
func (d *db) reaches(ctx context.Context, seq record.Seq) error {
	at, err := d.position(ctx)
	if err == nil && at < seq {
		err = ErrBehind
	}
	return err
}

// Search yields the calls up to the seq upto that match, newest first, until yield returns
// false. It fails with ErrBehind where the index does not know the log up to there. It does not know states: terms about them hold. Body text is known only with TextBody.
func (x *Index) Search(ctx context.Context, f *filter.Filter, upto record.Seq, yield func(filter.Row) bool) error {
	return x.with(func(d *db) error {
		if err := d.reaches(ctx, upto); err != nil {
			return err
		}
		return d.search(ctx, f, upto, yield)
	})
}

// After gives the calls of records behind seq, up to upto, that match, oldest first, at most limit of them, to yield. It
// fails as Search does.
func (x *Index) After(ctx context.Context, f *filter.Filter, seq, upto record.Seq, limit int, yield func(filter.Row) bool) error {
	return x.with(func(d *db) error {
		if err := d.reaches(ctx, upto); err != nil {
			return err
		}
		return d.after(ctx, f, seq, upto, limit, yield)
	})
}

// Named yields the calls at or below the position that carry a name, newest first: a key, or an id
// that the key or the body holds, also as LiteLLM spells or shortens it.
func (x *Index) Named(ctx context.Context, name string, yield func(filter.Row) bool) error {
	return x.with(func(d *db) error { return d.named(ctx, name, yield) })
}

// Unread yields the seqs at or below the position that the index does not know, because they could not be read.
func (x *Index) Unread(ctx context.Context) (seqs []record.Seq, err error) {
	err = x.with(func(d *db) (err error) {
		seqs, err = d.unread(ctx, maxUnread)
		return err
	})
	return seqs, err
}

// maxUnread bounds how many are asked for at a time.
const maxUnread = 1000

// Remake has the index rebuilt from the log. Run must be running. It returns once the old one is gone.
func (x *Index) Remake(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case x.remake <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drop closes the index, if it is open, once nobody uses it any more.
func (x *Index) drop(clean bool) error {
	x.mu.Lock()
	d := x.db
	x.db = nil
	used := d != nil && d.users > 0
	if used {
		d.dropped = true
	}
	x.mu.Unlock()
	if d == nil || used {
		return nil
	}
	return d.close(clean)
}

// ready opens the index, made or rebuilt where that is needed.
func (x *Index) ready(ctx context.Context) error {
	if x.open() {
		return nil
	}
	d, err := open(ctx, x.o.Path, x.o.Log, x.o.Text, true)
	if err == nil {
		if err = d.examine(ctx); err != nil {
			err = errors.Join(err, d.close(false))
		}
	}
	switch {
	case errors.Is(err, ErrDamaged):
		x.o.Logger.Warn("the index is damaged and is rebuilt from the log; no record is lost, and searches are slower until then", "error", err, "kept_as", x.o.Path+".damaged")
		err = moveDamaged(x.o.Path)
	case errors.Is(err, errOther):
		x.o.Logger.Info("the index is rebuilt from the log", "reason", err.Error())
		err = x.remove()
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil:
		x.set(d)
		return nil
	}
	if err != nil {
		return err
	}
	if d, err = create(ctx, x.o.Path, x.o.Log, x.o.Text); err != nil {
		return fmt.Errorf("make the index: %w", err)
	}
	x.set(d)
	return nil
}

func (x *Index) set(d *db) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.db = d
}

func (x *Index) remove() error {
	return removeAll(x.o.Path, x.o.Path+"-wal", x.o.Path+"-shm")
}

// Make rebuilds the index from nothing but the log, up to upto, and tells how far it is; for a command that has
// the data directory for itself.
func (x *Index) Make(ctx context.Context, s Source, upto record.Seq, progress func(record.Seq)) (err error) {
	if err := errors.Join(x.drop(false), x.remove()); err != nil {
		return err
	}
	if err := x.ready(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.drop(err == nil)) }()
	f := follower{Index: x, source: s, progress: progress}
	for at := record.Seq(0); at < upto; {
		if err := f.advance(ctx, at, upto); err != nil {
			return err
		}
		if at, err = x.Position(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Size is how many bytes the index takes on the disk.
func (x *Index) Size() int64 { return sizes(x.o.Path, x.o.Path+"-wal") }

// sizes is how many bytes these files have together; one that is not there has none.
func sizes(names ...string) (n int64) {
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			n += info.Size()
		}
	}
	return n
}
