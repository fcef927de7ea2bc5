package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// full is a spool with something of everything: segments that are sealed and one that
// is not, long bodies, records that were released, settled, and parked.
type full struct {
	img      image
	bodies   map[record.Seq][]byte
	parked   map[record.Seq]record.State
	settled  map[record.Seq]bool // stored, not released: may come again, need not
	released record.Seq
}

func fullKey(seq record.Seq) string { return fmt.Sprintf("dir/k%d.json", seq) }

func buildFull(t testing.TB, closed bool) *full {
	t.Helper()
	f := &full{bodies: map[record.Seq][]byte{}, parked: map[record.Seq]record.State{}, settled: map[record.Seq]bool{}}
	d := crashdisk.New()
	s := openOn(t, d, spool.Options{SegmentBytes: 10 << 10, InlineBytes: 1 << 10})
	for i := 1; i <= 24; i++ {
		size := 60 + i*7
		if i%6 == 0 {
			size = 2<<10 + i // a body file
		}
		body := randomBody(uint64(i), size)
		if i%5 == 0 {
			clear(body[size/4:]) // as sparse as a body can be
		}
		r := mustAppend(t, s, rec("b", fullKey(record.Seq(i)), body))
		f.bodies[r.Seq] = body
	}
	settle := func(seq record.Seq, state record.State) {
		e, ok, err := s.Entry(t.Context(), seq)
		if err != nil || !ok {
			t.Fatal(err)
		}
		if err := s.Settle(t.Context(), record.Outcome{Info: e.Info, State: state, Reason: "because"}); err != nil {
			t.Fatal(err)
		}
	}
	for seq := record.Seq(1); seq <= 16; seq++ {
		switch seq {
		case 3, 6, 14: // 6 has a body file, 14 is not released
			settle(seq, record.Deferred)
			f.parked[seq] = record.Deferred
		case 4, 12:
			settle(seq, record.Quarantined)
			f.parked[seq] = record.Quarantined
		default:
			settle(seq, record.Stored)
			if seq > 13 {
				f.settled[seq] = true
			}
		}
	}
	f.released = 13
	if err := s.Release(t.Context(), f.released); err != nil {
		t.Fatal(err)
	}
	if closed {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f.img = readImage(t, d)
	return f
}

// damageReport is what a damaged spool came to.
type damageReport struct {
	lost, corrupted int // acked, and gone without a word; handed out as something else
	named           int // acked, and in a gap or put away, counted
	what            []string
}

func (v *damageReport) say(format string, args ...any) {
	v.what = append(v.what, fmt.Sprintf(format, args...))
}

// judge opens a damaged spool and looks for every record.
func (f *full) judge(t *testing.T, d disk.FS) (v damageReport) {
	t.Helper()
	var told []record.GapError
	s, err := spool.Open(d, spool.Options{Log: "test", SegmentBytes: 10 << 10, Events: spool.Events{Gap: func(g record.GapError) { told = append(told, g) }}})
	if err != nil {
		v.say("it does not open: %v", err)
		return v
	}
	defer func() {
		if err := s.Close(); err != nil {
			v.say("close: %v", err)
		}
	}()
	have, named := map[record.Seq]bool{}, map[record.Seq]bool{}
	look := func(e record.Entry) {
		body, err := readBody(e)
		switch {
		case err != nil: // rot that is found as the body is read: the uploader makes a gap of it
			named[e.Seq] = true
		case !bytes.Equal(body, f.bodies[e.Seq]) || e.Key != fullKey(e.Seq) || e.Bucket != "b" || e.Attrs.Get("content-type") != "application/json":
			v.corrupted++
			v.say("record %d is another: key %q, %d bytes", e.Seq, e.Key, len(body))
		}
		if have[e.Seq] {
			v.say("record %d comes twice", e.Seq)
		}
		have[e.Seq] = true
	}
	entries, gaps := all(t, s, 1)
	for _, e := range entries {
		look(e)
	}
	for a, err := range s.Parked(t.Context()) {
		if err != nil {
			v.say("parked: %v", err)
			break
		}
		if f.parked[a.Seq] == "" || a.Reason != "because" {
			v.corrupted++
			v.say("record %d is parked as %s because of %q", a.Seq, a.State, a.Reason)
		}
		have[a.Seq] = false // its entry may come as well, where the journal forgot
		look(a.Entry)
	}
	for _, g := range slices.Concat(gaps, told) {
		for seq := g.First; seq <= g.Last && seq < g.First+100; seq++ {
			named[seq] = true
		}
	}
	for seq := range f.bodies {
		gone := seq <= f.released && f.parked[seq] == "" || f.settled[seq]
		switch {
		case have[seq] || gone && !named[seq]:
		case named[seq]:
			v.named++
		default:
			v.lost++
			v.say("record %d was acked, and is neither there nor in a gap", seq)
		}
		_, _, err := s.Lookup(t.Context(), "b", fullKey(seq))
		if _, gap := errors.AsType[*record.GapError](err); err != nil && !gap {
			v.say("lookup of %d: %v", seq, err)
		}
	}
	if r, err := s.Append(t.Context(), rec("b", "next", []byte("next"))); err != nil || r.Seq != record.Seq(len(f.bodies)+1) {
		v.say("the next record is %d, %v", r.Seq, err)
	}
	return v
}

func readBody(e record.Entry) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// redundant says that everything in a file of that name is known from elsewhere, so that no damage to it may cost a record.
func redundant(name string) bool {
	switch path.Ext(name) {
	case ".seg", ".deferred", ".quarantined", ".body":
		return false
	}
	return path.Dir(name) != "bodies"
}

// TestTortureFlips flips single bits in every file of a spool with something of
// everything: nothing is handed out as something else, nothing is lost without a word, one
// flip costs one record at most, and none where the bit stands elsewhere, too.
func TestTortureFlips(t *testing.T) {
	row := torture.Report(t, "disk: single-bit flips", "flips")
	step := torture.Stride(1231, 149, 1) // bits
	fenced, free := 0, 0
	for name, closed := range map[string]bool{"killed": false, "closed": true} {
		f := buildFull(t, closed)
		for _, file := range sortedNames(f.img) {
			b := f.img[file]
			for bit := 0; bit < 8*len(bytes.TrimRight(b, "\x00")); bit += step {
				if blank(b, bit/8) {
					continue
				}
				b[bit/8] ^= 1 << (bit % 8)
				v := f.judge(t, f.img.disk(t))
				b[bit/8] ^= 1 << (bit % 8)
				row.Ran(1, len(f.bodies))
				row.Count(v.lost, 0, v.corrupted)
				fenced += v.named
				if v.named == 0 {
					free++
				}
				if v.named > 1 || v.named > 0 && redundant(file) {
					v.say("it costs %d records", v.named)
				}
				if len(v.what) > 0 {
					row.FailedAt(fmt.Sprintf("%s/%s/%d", name, file, bit))
					t.Errorf("%s: bit %d of byte %d of %s:\n%s", name, bit%8, bit/8, file, strings.Join(v.what, "\n"))
				}
				if len(row.Failed) >= 8 {
					t.FailNow()
				}
			}
		}
	}
	row.Note = fmt.Sprintf("%d flips cost nothing, %d records fenced and named", free, fenced)
}

func sortedNames(m image) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// running is a spool at work, and its disk.
type running struct {
	disk  *crashdisk.Disk
	spool *spool.Spool
}

func buildEmpty(t testing.TB) running {
	t.Helper()
	d := crashdisk.New()
	return running{d, openOn(t, d, spool.Options{SegmentBytes: 10 << 10, InlineBytes: 1 << 10})}
}
