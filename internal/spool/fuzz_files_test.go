package spool

import (
	"bytes"
	"slices"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
)

// FuzzJournal: a note of the journal is what was written, or none.
func FuzzJournal(f *testing.F) {
	f.Add(appendSettled(nil, settledNote{seq: 7, size: 3}))
	f.Add(make([]byte, journalEntry))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < journalEntry {
			return
		}
		b = b[:journalEntry]
		if n, ok := parseSettled(b); ok && !bytes.Equal(appendSettled(nil, n), b) {
			t.Errorf("%x is read as %+v", b, n)
		}
	})
}

// FuzzGaps: gaps that are read are well formed, and nothing is left over.
func FuzzGaps(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 'c'})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseGaps(slices.Clone(b))
		if err != nil {
			return
		}
		for _, x := range list {
			if x.First > x.Last {
				t.Errorf("%+v", x)
			}
		}
	})
}

// put makes a file.
func put(t *testing.T, d disk.FS, name string, b []byte) {
	t.Helper()
	file, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzSmallFiles: whatever stands in the small files, the spool opens or says why,
// and takes a record when it opens. Nothing in them makes it give a number twice.
func FuzzSmallFiles(f *testing.F) {
	slot, err := appendState(state{Version: Version, Log: "l", Released: 1, Acked: 5})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slot, []byte{}, appendSettled(nil, settledNote{seq: 3, size: 1}), []byte{}, appendGaps(nil, []gap{{First: 2, Last: 3, Cause: "c"}}))
	f.Add([]byte("00000000\n{}"), slot, []byte("x"), []byte("acked"), []byte("gaps"))
	f.Fuzz(func(t *testing.T, state, buckets, journal, acked, gaps []byte) {
		d := crashdisk.New()
		slots := append(state, make([]byte, max(0, 2*stateSlot-len(state)))...)
		for name, b := range map[string][]byte{stateFile: slots, bucketsFile: buckets, "00000000000000000001" + journalSuffix: journal, highWaterFile: acked, gapsFile: gaps} {
			put(t, d, name, b)
		}
		s, err := Open(d, Options{Log: "l", SegmentBytes: 64 << 10, ReserveBytes: 1})
		if err != nil {
			return
		}
		receipt, err := s.Append(t.Context(), record.Record{Door: "s3", Bucket: "b", Key: "k", Size: 1, Body: bytes.NewReader([]byte("x"))})
		if err != nil || receipt.Seq == 0 {
			t.Errorf("%v, %v", receipt, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
