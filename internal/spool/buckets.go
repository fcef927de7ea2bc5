package spool

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"indelible/internal/disk"
)

const bucketsFile = "buckets"

// buckets are the names of the buckets seen. They follow from the records that
// are here, so a new one costs no I/O; the file is for what was released, and is written before a
// release. It is safe for concurrent use.
type buckets struct {
	fs  disk.FS
	log *slog.Logger

	saveMu sync.Mutex // one writer of the file at a time
	seen   sync.Map   // of string: known already, without the lock

	mu    sync.Mutex
	since map[string]time.Time // guarded by mu
	stale bool                 // the file lacks something; guarded by mu
}

// see notes a bucket.
func (b *buckets) see(name string, at time.Time) {
	if name == "" {
		return
	}
	if _, known := b.seen.LoadOrStore(name, true); known {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.since[name]; known {
		return
	}
	if b.since == nil {
		b.since = map[string]time.Time{}
	}
	b.since[name], b.stale = at.UTC(), true
}

// all is a copy.
func (b *buckets) all() map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.since)
}

// save writes the file where it lacks something.
func (b *buckets) save() error {
	b.saveMu.Lock()
	defer b.saveMu.Unlock()
	b.mu.Lock()
	if !b.stale {
		b.mu.Unlock()
		return nil
	}
	b.stale = false
	data, err := sumJSON(b.since)
	b.mu.Unlock()
	if err == nil {
		err = replace(b.fs, bucketsFile, data)
	}
	if err != nil {
		b.mu.Lock()
		b.stale = true
		b.mu.Unlock()
		return fmt.Errorf("note the buckets: %w", err)
	}
	return nil
}

// load reads the file, and collects what it does not have from the segments given.
func (b *buckets) load(f *files, segs *segments, unsaved []*segment) error {
	var since map[string]time.Time
	data, err := f.readAll(bucketsFile)
	if err == nil {
		err = parseJSON(data, &since)
	}
	if err != nil && !isDamage(err) {
		return err
	}
	if err != nil {
		if !isNotExist(err) {
			b.log.Error("the names of the buckets are collected from the records that are here", "file", bucketsFile, "error", err)
		}
		unsaved = segs.all()
	}
	for name, at := range since {
		b.see(name, at)
	}
	b.stale = false
	for _, g := range unsaved {
		if err := b.collect(segs, g); err != nil {
			return err
		}
	}
	return nil
}

// collect notes the buckets of a segment.
func (b *buckets) collect(segs *segments, g *segment) error {
	from := ""
	for more := true; more; {
		err := segs.ask(g, func(x index) error {
			name, ok, err := x.firstBucket(from)
			if more = ok; ok && err == nil {
				b.see(name, time.Unix(0, g.created))
				from = name + "\x00"
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
