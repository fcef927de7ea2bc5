// Package indelible keeps an audit log of LLM traffic that never loses a
// record: Append returns after the fsync, and Run brings every record to the
// store, exactly once, whatever the store does meanwhile.
//
// What a crash loses depends on how far a record has come: one whose Append has not returned may be
// lost, and its sender knows; after that nothing is, as long as the disk
// survives; once stored, not even the disk is needed.
//
// The log is the same that the daemon (indelible serve) keeps behind its doors.
// This package carries no SDK: a directory is the built-in store, and package
// indelible/s3store brings S3.
package indelible

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/upload"
)

// Store is where records end up; see package indelible/s3store for one.
type Store = store.Store

// Receipt is the evidence that a record is durable. Its String is
// "<log>/<seq>/<sha256 hex>", as the doors of the daemon send it.
type Receipt = record.Receipt

// State is how far a record has come.
type State = record.State

// Stored is the state in which the store has confirmed the record's checksum.
const Stored = record.Stored

// Errors of Append and Wait, to be told by errors.Is.
var (
	// ErrPushback: there was no room on the disk until the context ended; the
	// record was not taken, and the caller still has it.
	ErrPushback = record.ErrPushback
	// ErrClosed: the log is closed; the record was not taken.
	ErrClosed = record.ErrClosed
	// ErrQuarantined: the store refuses this record for its own content. It
	// stays on the disk, durable, until it is redriven.
	ErrQuarantined = errors.New("the store refuses this record; it is kept on the disk")
)

// Options say where a log lives.
type Options struct {
	// Dir is the log's directory, made where it is missing. One process at a time can have it. Required.
	Dir string
	// Store is where the records go; nil is the directory Dir/store.
	Store Store
	// Prefix stands before every key in the store; it may hold {bucket}.
	Prefix string
	// Logger hears of retries, damage and the like; nil discards.
	Logger *slog.Logger
}

// Record is what Append takes.
type Record struct {
	// ID is the call's, such as the provider's response id. It is a part of
	// the default key, and may hold any character.
	ID string
	// Key is the record's name in the store, at most 16 KiB of any characters. "" is the key that
	// LiteLLM would use: "YYYY-MM-DD/time-<HH-MM-SS-ffffff>_<ID>.json" of Time.
	Key string
	// Time is when the call began; zero is now.
	Time time.Time
	// Bucket names the source, where the Prefix tells sources apart; usually "".
	Bucket string
	// ContentType of the body; "" is "application/json".
	ContentType string
	// Meta is kept with the record. Names are HTTP tokens; all names and values together have at most 1 KiB.
	Meta map[string]string
	// Body is read to its end once. It has at most 1 GiB and is never held in memory whole when it is large.
	Body io.Reader
}

// maxMeta leaves the store's 2 KiB room for what the log adds.
const maxMeta = 1 << 10

// Log is an audit log. Its methods may be called concurrently.
type Log struct {
	data     *osdisk.FS
	spool    *spool.Spool
	uploader *upload.Uploader
	running  atomic.Bool

	mu      sync.Mutex
	stored  map[record.Seq]bool         // confirmed in this run and not released yet; guarded by mu
	waiting map[record.Seq][]chan error // guarded by mu
}

// Open opens the log in o.Dir and recovers what a crash left of it. It starts
// nothing: Append works at once, and delivery begins with Run.
func Open(ctx context.Context, o Options) (*Log, error) {
	if o.Dir == "" {
		return nil, errors.New("open log: Options.Dir must name a directory")
	}
	objects, err := layout.Parse(o.Prefix)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &Log{stored: map[record.Seq]bool{}, waiting: map[record.Seq][]chan error{}}
	if err := l.open(o, objects); err != nil {
		return nil, errors.Join(fmt.Errorf("open log in %s: %w", o.Dir, err), l.closeParts())
	}
	return l, ctx.Err()
}

func (l *Log) open(o Options, objects layout.Objects) (err error) {
	if l.data, err = osdisk.Open(o.Dir); err != nil {
		return err
	}
	name, err := proof.KeepName(l.data, "")
	if err != nil {
		return err
	}
	if err := l.data.MkdirAll("spool"); err != nil {
		return err
	}
	spoolDisk, err := osdisk.Open(path.Join(o.Dir, "spool"))
	if err != nil {
		return err
	}
	if l.spool, err = spool.Open(spoolDisk, spool.Options{Log: name, Logger: o.Logger}); err != nil {
		return errors.Join(err, spoolDisk.Close())
	}
	to := o.Store
	if to == nil {
		if err := l.data.MkdirAll("store"); err != nil {
			return err
		}
		storeDisk, err := osdisk.Open(path.Join(o.Dir, "store"))
		if err != nil {
			return err
		}
		to = dir.Open(storeDisk)
	}
	l.uploader = upload.New(upload.Options{
		Source: l.spool, Store: to, Layout: objects, Log: name, Logger: o.Logger,
		Events: upload.Events{Stored: l.onStored, Aside: l.onAside},
	})
	return nil
}

// Append makes a record durable: it has been fsynced when Append returns. The
// same bytes under the same bucket and key again get the first one's receipt. Where the disk is full it
// waits for room until ctx ends.
func (l *Log) Append(ctx context.Context, r Record) (Receipt, error) {
	if r.Body == nil {
		return Receipt{}, errors.New("append: Record.Body must be set")
	}
	at := r.Time
	if at.IsZero() {
		at = time.Now()
	}
	key := r.Key
	if key == "" {
		key = layout.DefaultKey(at, r.ID)
	}
	attrs := record.Attrs{{Name: "content-type", Value: r.ContentType}}
	if r.ContentType == "" {
		attrs[0].Value = "application/json"
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(r.Meta)) {
		attrs = append(attrs, record.Attr{Name: "x-amz-meta-" + strings.ToLower(name), Value: r.Meta[name]})
		size += len(name) + len(r.Meta[name])
	}
	if size > maxMeta {
		return Receipt{}, fmt.Errorf("append: Record.Meta has %d bytes, more than %d: put the rest into the body", size, maxMeta)
	}
	return l.spool.Append(ctx, record.Record{Door: "lib", Bucket: r.Bucket, Key: key, Attrs: attrs, Body: r.Body, Size: -1})
}

// Wait returns once the record of a receipt is stored. It fails with
// ErrQuarantined when it cannot be, and with ctx's error. Something must be in Run.
func (l *Log) Wait(ctx context.Context, r Receipt) error {
	l.mu.Lock()
	if l.stored[r.Seq] {
		l.mu.Unlock()
		return nil
	}
	wake := make(chan error, 1)
	l.waiting[r.Seq] = append(l.waiting[r.Seq], wake)
	l.mu.Unlock()
	defer l.forget(r.Seq, wake)
	// From here on an event reaches wake; what came before has left its trace.
	state, err := l.state(ctx, r.Seq)
	if err != nil || state == Stored {
		return err
	}
	select {
	case err := <-wake:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// state looks a record up in the spool: what was released and not set aside is stored.
func (l *Log) state(ctx context.Context, seq record.Seq) (State, error) {
	released := l.spool.Released()
	for aside, err := range l.spool.Aside(ctx) {
		if err != nil {
			return "", fmt.Errorf("wait: %w", err)
		}
		if aside.Seq == seq && aside.State == record.Quarantined {
			return aside.State, fmt.Errorf("wait for record %d: %w: %s", seq, ErrQuarantined, aside.Reason)
		}
		if aside.Seq == seq {
			return aside.State, nil
		}
	}
	if seq > released {
		return record.Pending, nil
	}
	return Stored, nil
}

func (l *Log) forget(seq record.Seq, wake chan error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[seq] = slices.DeleteFunc(l.waiting[seq], func(c chan error) bool { return c == wake })
	if len(l.waiting[seq]) == 0 {
		delete(l.waiting, seq)
	}
}

func (l *Log) onStored(o record.Outcome) {
	released := l.spool.Released()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored[o.Seq] = true
	if len(l.stored) > maxStored {
		maps.DeleteFunc(l.stored, func(seq record.Seq, _ bool) bool { return seq <= released })
	}
	l.wake(o.Seq, nil)
}

// maxStored is when what is known elsewhere is dropped; the uploader's window bounds the rest.
const maxStored = 16 << 10

func (l *Log) onAside(o record.Outcome) {
	if o.State != record.Quarantined {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake(o.Seq, fmt.Errorf("wait for record %d: %w: %s", o.Seq, ErrQuarantined, o.Reason))
}

// wake tells those who wait for seq. The caller holds l.mu.
func (l *Log) wake(seq record.Seq, err error) {
	for _, c := range l.waiting[seq] {
		select {
		case c <- err:
		default: // it was told already
		}
	}
}

// Run delivers records until ctx ends. What was not delivered by then is
// delivered by the next Run, in this process or a later one.
func (l *Log) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return errors.New("run: the log is running already")
	}
	defer l.running.Store(false)
	return l.uploader.Run(ctx)
}

// Close waits, while something is in Run and until ctx ends, for what was
// appended to be stored, and closes the log. Nothing appended is lost either
// way: what was not stored is kept on the disk. End Run's context after Close.
func (l *Log) Close(ctx context.Context) error {
	if l.running.Load() {
		if err := l.uploader.Drain(ctx); err != nil && ctx.Err() == nil {
			return errors.Join(fmt.Errorf("close log: %w", err), l.closeParts())
		}
	}
	return l.closeParts()
}

func (l *Log) closeParts() error {
	var errs []error
	if l.spool != nil {
		errs = append(errs, l.spool.Close())
	}
	if l.data != nil {
		errs = append(errs, l.data.Close())
	}
	return errors.Join(errs...)
}
