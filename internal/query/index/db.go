package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync/atomic"

	"modernc.org/sqlite" // the driver registers itself as "sqlite"

	"indelible/internal/record"
)

// Text says what of a record words are looked for in.
type Text string

// The bounds of full text.
const (
	TextOff    Text = "off"    // nothing
	TextFields Text = "fields" // key, ids and the other fields
	TextBody   Text = "body"   // these and the first 64 KiB of text in the body
)

// ErrDamaged says that the file is no index, or a damaged one. Nothing is lost: it is made again from the log.
var ErrDamaged = errors.New("the index is damaged")

// errOther says that the file is the index of another log, or of other settings or another version.
var errOther = errors.New("the index is of another log, version or setting of index.text")

// db is an open index file. It is safe for concurrent use: one writer, and readers beside it.
type db struct {
	path  string
	write *sql.DB // one connection; nil: only reading
	read  *sql.DB
	text  Text
	info  os.FileInfo // of the file that is open
	stmts statements

	forgets atomic.Int64 // how often records were forgotten: what was read of the log before may hold them

	users   int  // guarded by Index.mu
	dropped bool // whoever uses it last closes it; guarded by Index.mu
}

// Memory of a connection, in KiB, and how many may read at once.
const (
	writeCache = 16 << 10
	readCache  = 4 << 10
	readers    = 3
)

// dsn names the file and how a connection uses it.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": append([]string{"busy_timeout(5000)", "temp_store(2)", "trusted_schema(0)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// create makes an empty index at path, where nothing is.
func create(ctx context.Context, path, log string, text Text) (d *db, err error) {
	// The log of another database would be played into this one.
	if err := removeAll(path+"-wal", path+"-shm"); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if d, err = connect(path, true); err != nil {
		return nil, err
	}
	err = d.exec(ctx, "PRAGMA page_size = 4096")
	if err == nil {
		err = d.exec(ctx, "PRAGMA journal_mode = WAL")
	}
	if err == nil {
		err = d.inTx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, schema()+fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, Version))
			if err == nil {
				_, err = tx.ExecContext(ctx, "INSERT INTO about VALUES (1, ?, ?, 0, 0, 0)", log, string(text))
			}
			return err
		})
	}
	if err == nil {
		err = d.prepare(ctx, text)
	}
	if err != nil {
		return nil, errors.Join(classed(err), d.close(false))
	}
	return d, nil
}

// open opens the index at path. It fails with fs.ErrNotExist, ErrDamaged or errOther. log "" is any.
func open(ctx context.Context, path, log string, text Text, writer bool) (d *db, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open the index %s: it is no regular file", path)
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%w: %s is empty", ErrDamaged, path)
	}
	if d, err = connect(path, writer); err != nil {
		return nil, err
	}
	if err := d.check(ctx, log, text, writer); err != nil {
		return nil, errors.Join(classed(err), d.close(false))
	}
	return d, nil
}

func connect(path string, writer bool) (*db, error) {
	d := &db{path: path}
	var err error
	if writer {
		// Synced at checkpoints only: a power loss takes the newest rows, never the whole.
		if d.write, err = sql.Open("sqlite", dsn(path, "rw", "synchronous(1)", fmt.Sprintf("cache_size(-%d)", writeCache), "wal_autocheckpoint(2000)", "journal_size_limit(16777216)")); err != nil {
			return nil, err
		}
		d.write.SetMaxOpenConns(1)
	}
	if d.read, err = sql.Open("sqlite", dsn(path, "rw", "query_only(1)", fmt.Sprintf("cache_size(-%d)", readCache))); err != nil {
		return nil, err
	}
	d.read.SetMaxOpenConns(readers)
	d.info, err = os.Stat(path)
	return d, err
}

// check says whether the file is the index that is wanted.
func (d *db) check(ctx context.Context, log string, text Text, writer bool) error {
	var app, ver int
	if err := d.read.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return err
	}
	if err := d.read.QueryRowContext(ctx, "PRAGMA user_version").Scan(&ver); err != nil {
		return err
	}
	if app != applicationID {
		return fmt.Errorf("%w: %s is another program's file", ErrDamaged, d.path)
	}
	if ver != Version {
		return fmt.Errorf("%w: it has version %d, and this program writes %d", errOther, ver, Version)
	}
	var owner, has string
	err := d.read.QueryRowContext(ctx, "SELECT log, text FROM about").Scan(&owner, &has)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: it does not say whose it is", ErrDamaged)
	}
	if err != nil {
		return err
	}
	if log != "" && owner != log {
		return fmt.Errorf("%w: it is of the log %q", errOther, owner)
	}
	if writer && Text(has) != text {
		return fmt.Errorf("%w: it was made with index.text %s", errOther, has)
	}
	return d.prepare(ctx, Text(has))
}

// largeFile is what is not read whole at each start.
const largeFile = 1 << 30

// examine reads the whole file, and compares its rows with its sums.
func (d *db) examine(ctx context.Context) error {
	var clean bool
	if err := d.read.QueryRowContext(ctx, "SELECT clean FROM about").Scan(&clean); err != nil {
		return classed(err)
	}
	if clean && d.info.Size() > largeFile {
		return nil
	}
	var result string
	if err := d.read.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return classed(err)
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, result)
	}
	var rows, summed int64
	if err := d.read.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM calls) + (SELECT forgotten FROM about), (SELECT ifnull(sum(calls), 0) FROM days)").Scan(&rows, &summed); err != nil {
		return classed(err)
	}
	if rows != summed {
		return fmt.Errorf("%w: it has %d rows, and its sums say %d", ErrDamaged, rows, summed)
	}
	return nil
}

// position is the seq up to which the index is complete, but for gaps.
func (d *db) position(ctx context.Context) (seq record.Seq, err error) {
	err = d.read.QueryRowContext(ctx, "SELECT position FROM about").Scan(&seq)
	return seq, classed(err)
}

// there says whether the file that is open still has its name.
func (d *db) there() bool {
	info, err := os.Stat(d.path)
	return err == nil && os.SameFile(info, d.info)
}

// close closes the file; clean says that everything written is in it.
func (d *db) close(clean bool) error {
	var errs []error
	if d.write != nil {
		if clean {
			errs = append(errs, d.exec(context.Background(), "UPDATE about SET clean = 1"))
		}
		errs = append(errs, d.stmts.close(), d.read.Close(), d.write.Close())
		return errors.Join(errs...)
	}
	return d.read.Close()
}

func (d *db) exec(ctx context.Context, text string, args ...any) error {
	_, err := d.write.ExecContext(ctx, text, args...)
	return err
}

// inTx does something in one transaction.
func (d *db) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// SQLite's result codes that somebody decides on.
const (
	sqliteIOErr   = 10
	sqliteCorrupt = 11
	sqliteFull    = 13
	sqliteNotADB  = 26
	sqliteSchema  = 1 // "no such table": a file that was half made
)

// classed wraps ErrDamaged where an error says that the file is no sound database.
func classed(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok || errors.Is(err, ErrDamaged) {
		return err
	}
	switch e.Code() & 0xff {
	case sqliteCorrupt, sqliteNotADB, sqliteSchema:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// isFull says whether an error is about a disk without room.
func isFull(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqliteFull
}

// moveDamaged takes a damaged index out of the way: one is kept, for whoever wants to look at it.
func moveDamaged(path string) error {
	err := os.Rename(path, path+".damaged")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeAll(path+"-wal", path+"-shm"))
}

// removeAll removes files, whether they are there or not.
func removeAll(paths ...string) error {
	var errs []error
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
