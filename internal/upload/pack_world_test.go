package upload_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"indelible/internal/disk"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/upload"
)

// lineFormat is a form of packs for these tests: a row on each line. Which form a pack has, the delivery does not care.
type lineFormat struct{}

type lineRow struct {
	Row  record.Row
	Body []byte
}

type lineWriter struct {
	w    io.Writer
	size int64
}

func (lineFormat) New(w io.Writer, _ string) (upload.PackWriter, error) {
	return &lineWriter{w: w}, nil
}

func (l *lineWriter) Add(row record.Row, body []byte) error {
	if row.Key == "odd" {
		return errors.New("this one fits in no row")
	}
	line, err := json.Marshal(lineRow{row, body})
	if err != nil {
		return err
	}
	n, err := l.w.Write(append(line, '\n'))
	l.size += int64(n)
	return err
}

func (l *lineWriter) Size() int64  { return l.size }
func (l *lineWriter) Close() error { return nil }

func (lineFormat) Rows(_ context.Context, file io.ReaderAt, size int64, bodies bool) iter.Seq2[upload.PackRow, error] {
	return func(yield func(upload.PackRow, error) bool) {
		lines := bufio.NewReader(io.NewSectionReader(file, 0, size))
		for {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				return
			}
			var row lineRow
			if err = errors.Join(err, json.Unmarshal(line, &row)); err != nil {
				yield(upload.PackRow{}, err)
				return
			}
			out := upload.PackRow{Row: row.Row}
			if bodies && row.Row.Object == "" {
				out.Body = bytes.NewReader(row.Body)
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// packLedger is a ledger that proves packs. What its checkpoints cover, packs included, survives.
type packLedger struct {
	*ledger
	packs map[record.Seq]record.Pack // by their first record; guarded by ledger.mu
}

func newPackLedger() *packLedger {
	return &packLedger{ledger: newLedger(), packs: map[record.Seq]record.Pack{}}
}

func (l *packLedger) Pack(_ context.Context, p record.Pack) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		if err := l.fault("add"); err != nil {
			return err
		}
	}
	switch {
	case p.First > l.next:
		l.lies = append(l.lies, fmt.Sprintf("pack %d to %d was added, and %d should come", p.First, p.Last, l.next))
	case p.First < l.next:
		if have := l.packs[p.First]; have != p {
			l.lies = append(l.lies, fmt.Sprintf("pack %d to %d came again as another: %v, not %v", p.First, p.Last, p, have))
		}
		return nil
	}
	l.packs[p.First] = p
	for seq := p.First; seq <= p.Last; seq++ {
		l.added[seq] = record.Stored
	}
	l.next = p.Last + 1
	return nil
}

func (l *packLedger) Next(context.Context) (record.Seq, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next, nil
}

func (l *packLedger) PackOf(_ context.Context, seq record.Seq) (record.Pack, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.packs {
		if p.First <= seq && seq <= p.Last {
			return p, true, nil
		}
	}
	return record.Pack{}, false, nil
}

func (l *packLedger) crash() {
	l.ledger.crash()
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.packs, func(first record.Seq, _ record.Pack) bool { return first > l.covered })
}

// newPackWorld is a world that packs into dir.
func newPackWorld(t testing.TB, dir disk.FS) *world {
	t.Helper()
	w := newWorld(t, "")
	w.opts.Packing = &upload.Packing{Dir: dir, Format: lineFormat{}, Names: w.names}
	return w
}

// rows are the records in the packs of the bucket, and those that are objects, by seq: where each is. It fails
// where one is twice, or has other bytes than were acked.
func (w *world) rows(acked map[record.Seq]string) map[record.Seq]string {
	w.t.Helper()
	have := map[record.Seq]string{}
	found := func(seq record.Seq, where, body string) {
		if other, twice := have[seq]; twice {
			w.t.Errorf("record %d is in %q and in %q", seq, other, where)
		}
		if body != acked[seq] {
			w.t.Errorf("record %d in %q: %.20q, not %.20q", seq, where, body, acked[seq])
		}
		have[seq] = where
	}
	for _, key := range slices.Sorted(maps.Keys(w.bucket.objects)) {
		o := w.bucket.objects[key]
		switch {
		case strings.HasSuffix(key, ".parquet"):
			for row, err := range (lineFormat{}).Rows(w.t.Context(), bytes.NewReader(o.body), int64(len(o.body)), true) {
				if err != nil {
					w.t.Errorf("%s: %v", key, err)
					break
				}
				body := w.bucket.objects[row.Object].body
				if row.Body != nil {
					body, _ = io.ReadAll(row.Body)
				}
				found(row.Seq, key, string(body))
			}
		case strings.HasPrefix(key, layout.PackDir):
		default:
			var seq record.Seq
			fmt.Sscan(o.info.Meta["indelible-seq"], &seq)
			found(seq, key, string(o.body))
		}
	}
	for seq := range acked {
		if have[seq] == "" {
			w.t.Errorf("record %d is nowhere", seq)
		}
	}
	return have
}

// packsIn are the keys of the packs in the bucket.
func (w *world) packsIn() []string {
	synctest.Wait()
	var keys []string
	for key := range w.bucket.objects {
		if strings.HasSuffix(key, ".parquet") {
			keys = append(keys, key)
		}
	}
	return slices.Sorted(slices.Values(keys))
}

// below is a directory of a disk as a disk of its own.
type below struct {
	disk.FS
	dir string
}

func (b below) Create(name string) (disk.File, error)    { return b.FS.Create(b.dir + name) }
func (b below) Open(name string) (disk.File, error)      { return b.FS.Open(b.dir + name) }
func (b below) OpenWrite(name string) (disk.File, error) { return b.FS.OpenWrite(b.dir + name) }
func (b below) Rename(oldname, newname string) error {
	return b.FS.Rename(b.dir+oldname, b.dir+newname)
}
func (b below) Remove(name string) error { return b.FS.Remove(b.dir + name) }
func (b below) ReadDir(string) ([]fs.DirEntry, error) {
	return b.FS.ReadDir(strings.TrimSuffix(b.dir, "/"))
}
func (b below) SyncDir(string) error { return b.FS.SyncDir(strings.TrimSuffix(b.dir, "/")) }

// rootOf is the root over the rows of records.
func rootOf(entries []record.Entry) record.Digest {
	var tree proof.RowTree
	for i := range entries {
		tree.Add(&entries[i].Info)
	}
	return tree.Root()
}
