// Package indelible keeps an audit log of LLM traffic that never loses a
// record: Append returns after the fsync, and Run brings every record to the
// store, exactly once, whatever the store does meanwhile, and proves it there in
// a signed transparency log.
//
// What a crash loses depends on how far a record has come: one whose Append has not returned may be
// lost, and its sender knows; after that nothing is, as long as the disk
// survives; once stored, not even the disk is needed; once proven, nobody can take it out unnoticed.
//
// The log is the same that the daemon (indelible serve) keeps behind its doors,
// and its commands read it: indelible verify --data DIR --to STORE.
// This package carries no SDK: a directory is the built-in store, and package
// indelible/s3store brings S3.
//
// The module is not published yet. Another module names the place of a clone:
//
//	require indelible v0.0.0
//	replace indelible => ../indelible
package indelible

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"indelible/internal/engine"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// Store is where records end up; see package indelible/s3store for one.
type Store = store.Store

// Receipt is the evidence that a record is durable. Its String is
// "<log>/<seq>/<sha256 hex>", as the doors of the daemon send it.
type Receipt = record.Receipt

// Errors of Open, Run, Append, Wait and WaitProven, to be told by errors.Is.
var (
	// ErrPushback: there was no room on the disk until the context ended; the
	// record was not taken, and the caller still has it.
	ErrPushback = record.ErrPushback
	// ErrClosed: the log is closed; the record was not taken, or is not waited for any more.
	ErrClosed = record.ErrClosed
	// ErrQuarantined: the store refuses this record for its own content. It
	// stays on the disk, durable, until it is redriven.
	ErrQuarantined = errors.New("the store refuses this record; it is kept on the disk")
	// ErrForked: the store does not hold the log that was written from this directory: an
	// old copy of it was opened, or two processes wrote one log. Nothing is appended to it any more; the
	// error names the command that brings the pending records into the store.
	ErrForked = proof.ErrForked
	// ErrLost: the disk damaged the record before it was stored. The log says so, too.
	ErrLost = errors.New("the disk has lost this record")
)

// Options say where a log lives.
type Options struct {
	// Dir is the log's directory, made where it is missing. One process at a time can have it. Required.
	Dir string
	// Store is where the records go; nil is the directory Dir/store.
	Store Store
	// Prefix stands before every key in the store; it may hold {bucket}.
	Prefix string
	// Proof is about the signed log, which is on unless Proof.Off is set.
	Proof Proof
	// Logger hears of retries, damage and the like; nil discards.
	Logger *slog.Logger
}

// Proof says how the log is signed. Its zero value signs with a key that is
// made at the first Open and kept in Dir: log.key, and log.vkey for whoever verifies.
type Proof struct {
	// Off keeps no signed log: records are stored, and nothing proves that none is missing.
	Off bool
	// Every bounds how long a stored record stays unproven; 0 is a minute.
	Every time.Duration
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
	engine    *engine.Engine
	waits     *waits
	logger    *slog.Logger
	exchanges exchanges
}

// Open opens the log in o.Dir and recovers what a crash left of it. It starts
// nothing: Append works at once, and delivery begins with Run. It reads the signed log in the store, and fails
// with ErrForked where that is not the one that was written from Dir; a store that is away is waited for ten seconds at most, and read
// before the first delivery. Where Open fails, also because ctx has ended, nothing is left open.
func Open(ctx context.Context, o Options) (*Log, error) {
	if o.Dir == "" {
		return nil, errors.New("open log: Options.Dir must name a directory")
	}
	objects, err := layout.Parse(o.Prefix)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	identity, rescue := o.place()
	l := &Log{waits: newWaits(), logger: o.Logger}
	l.engine, err = engine.Open(ctx, engine.Options{
		Dir: o.Dir, Logger: o.Logger, Identity: identity, Rescue: rescue,
		Destination: func(context.Context, string) (*engine.Destination, error) {
			if o.Store != nil {
				return &engine.Destination{Store: o.Store, Layout: objects}, nil
			}
			return engine.Directory(filepath.Join(o.Dir, "store"), objects, false)
		},
		Upload: upload.Options{Events: l.waits.events()},
		Proof:  engine.Proof{Off: o.Proof.Off, Program: "indelible (Go library)", CheckpointEvery: o.Proof.Every},
	})
	if err != nil {
		return nil, fmt.Errorf("open log in %s: %w", o.Dir, err)
	}
	l.waits.released = l.engine.Spool().Released
	if err := l.match(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open log in %s: %w", o.Dir, err), l.engine.Close())
	}
	return l, nil
}

// matchPatience bounds how long Open waits for the store to say whether it holds this log.
const matchPatience = 10 * time.Second

// match compares the log in the store with the directory. A store that is away keeps nobody from
// appending: then nothing is delivered before it was matched.
func (l *Log) match(ctx context.Context) error {
	err := l.engine.AwaitMatch(ctx, matchPatience)
	if err == nil || errors.Is(err, ErrForked) || l.engine.Suspect() {
		return err
	}
	return ctx.Err()
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
	return l.engine.Append(ctx, record.Record{Door: "lib", Bucket: r.Bucket, Key: key, Attrs: attrs, Body: r.Body, Size: -1})
}

// Run delivers and proves records until ctx ends or the log is closed. What was not delivered by then is
// delivered by the next Run, in this process or a later one. One Run at a time. Its error says that the log can go no further.
func (l *Log) Run(ctx context.Context) error {
	err := l.engine.Run(ctx)
	if err != nil {
		l.waits.end(err)
	}
	return err
}

// Close waits, while something is in Run and until ctx ends, for what was
// appended to be stored and proven, ends Run, and closes the log. Nothing appended is lost either
// way: what was not stored is kept on the disk.
func (l *Log) Close(ctx context.Context) error {
	err := l.exchanges.close(ctx)
	if l.engine.Running() {
		if derr := l.engine.Drain(ctx); derr != nil && ctx.Err() == nil {
			err = errors.Join(err, fmt.Errorf("close log: %w", derr))
		}
	}
	l.engine.Stop(context.WithoutCancel(ctx))
	l.waits.end(ErrClosed)
	return errors.Join(err, l.engine.Close())
}
