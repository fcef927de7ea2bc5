package spool_test

import (
	"bytes"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

const firstSegment = "00000000000000000001.seg"

// TestAckedZerosAreNoTornTail damages the header of an acked record whose body is
// zeros: it is a gap,
// whose number is not given again.
func TestAckedZerosAreNoTornTail(t *testing.T) {
	d := crashdisk.New()
	s := openOn(t, d, spool.Options{})
	mustAppend(t, s, rec("b", "first", []byte("x")))
	mustAppend(t, s, rec("b", "zeros", make([]byte, 3<<10)))
	img := readImage(t, d)
	at := bytes.Index(img[firstSegment], []byte("\x05zeros"))
	if at < 0 {
		t.Fatal("the record is not in the segment")
	}
	img[firstSegment][at-60] ^= 1 // in the entry's header
	var told []record.GapError
	s = openOn(t, img.disk(t), spool.Options{Events: spool.Events{Gap: func(g record.GapError) { told = append(told, g) }}})
	if len(told) != 1 || told[0].First != 2 || told[0].Last != 2 {
		t.Errorf("told of %v, want a gap at 2", told)
	}
	if r := mustAppend(t, s, rec("b", "next", []byte("y"))); r.Seq != 3 {
		t.Errorf("the next record is %d: 2 was acked", r.Seq)
	}
}

// TestDamagedNameIsToldAtTheStart damages the name of a record: whoever opens the
// spool learns of it then, and not when the record's turn comes.
func TestDamagedNameIsToldAtTheStart(t *testing.T) {
	img, _ := build(t, 3, false)
	at := bytes.Index(img[firstSegment], []byte("\x02k2"))
	if at < 0 {
		t.Fatal("the record is not in the segment")
	}
	img[firstSegment][at+2] ^= 1
	var told []record.GapError
	s := openOn(t, img.disk(t), spool.Options{Events: spool.Events{Gap: func(g record.GapError) { told = append(told, g) }}})
	if len(told) != 1 || told[0].First != 2 || told[0].Last != 2 {
		t.Errorf("told of %v, want a gap at 2", told)
	}
	if _, ok, err := s.Lookup(t.Context(), "b", "k3"); !ok || err != nil {
		t.Errorf("the record behind it: %v, %v", ok, err)
	}
}
