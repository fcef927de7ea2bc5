package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
)

// openCounter counts the side files that are opened.
type openCounter struct {
	disk.FS
	opened atomic.Int64
}

func (d *openCounter) Open(name string) (disk.File, error) {
	if strings.HasSuffix(name, idxSuffix) {
		d.opened.Add(1)
	}
	return d.FS.Open(name)
}

// TestFilters has a backlog that is longer than the filters in memory: what is
// sent again is known again as far back as they go, over a restart too, and an
// append opens no side file to find that it is new.
func TestFilters(t *testing.T) {
	const records = 200 // of 3000 bytes: a few in a segment, whose filter has 64 bytes
	d := &openCounter{FS: crashdisk.New()}
	open := func() *Spool {
		s, err := Open(d, Options{Log: "test", SegmentBytes: 16 << 10, FilterBytes: 500})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sent := 0
	send := func(s *Spool, n int) record.Receipt {
		body := bytes.Repeat(fmt.Appendf(nil, "%04d", n), 750)
		r, err := s.Append(t.Context(), record.Record{Door: "s3", Key: fmt.Sprint(n), Body: bytes.NewReader(body), Size: int64(len(body))})
		if err != nil {
			t.Fatal(err)
		}
		s.waitForSeal()
		return r
	}
	check := func(s *Spool, when string) {
		t.Helper()
		with, size, ended := 0, int64(0), false
		for i := len(s.segs) - 1; i >= 0; i-- {
			x := s.segs[i].idx.Load()
			if x == nil {
				continue // the active one
			}
			f := x.filter.Load()
			if ended = ended || f == nil; ended && f != nil {
				t.Errorf("%s: segment %d has a filter, a newer one has none", when, i)
			}
			if f != nil {
				with++
				size += int64(len(*f))
			}
		}
		if with < 5 || size > 500 || size != s.filters || len(s.segs) < 30 {
			t.Errorf("%s: %d segments, %d filters of %d bytes, %d counted", when, len(s.segs), with, size, s.filters)
		}
		if r := send(s, sent-8); !r.Resent || r.Seq != record.Seq(sent-8) {
			t.Errorf("%s: a new copy is %+v", when, r)
		}
		if _, ok, err := s.Lookup(t.Context(), "", "3"); !ok || err != nil {
			t.Errorf("%s: lookup of an old one: %v, %v", when, ok, err)
		}
		s.files.close()
		before := d.opened.Load()
		for range 20 {
			sent++
			if r := send(s, sent); r.Resent {
				t.Errorf("%s: %+v was never sent", when, r)
			}
		}
		if n := d.opened.Load() - before; n > 1 { // a filter may be wrong
			t.Errorf("%s: 20 appends opened %d side files", when, n)
		}
	}
	s := open()
	for sent < records {
		sent++
		send(s, sent)
	}
	check(s, "live")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	check(s, "reopened")

	// A filter that the disk does not give back is made anew from its segment.
	newest := s.segs[len(s.segs)-2].idx.Load()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, d, newest.name, newest.bloomPos())
	s = open()
	check(s, "damaged")

	// So is the rest of a side file, once it is asked: nothing is counted twice.
	s.files.close()
	damage(t, d, s.segmentOf(record.Seq(sent-8)).idx.Load().name, 0)
	if r := send(s, sent-8); !r.Resent {
		t.Errorf("with a damaged side file a new copy is %+v", r)
	}
	check(s, "damaged while it ran")

	// An old copy is a record of its own.
	if r := send(s, 1); r.Resent {
		t.Errorf("an old copy is %+v", r)
	}
	if err := s.Release(t.Context(), record.Seq(s.Stats().Acked)); err != nil {
		t.Fatal(err)
	}
	if n := len(s.segs); n > 1 || s.filters != 0 {
		t.Errorf("%d segments, and %d bytes of filters are counted, of an empty spool", n, s.filters)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// damage flips a bit of a file.
func damage(t *testing.T, d disk.FS, name string, at int64) {
	t.Helper()
	file, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
	if err := errors.Join(err, file.Close(), d.Remove(name)); err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	put(t, d, name, b)
}
