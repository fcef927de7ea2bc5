package spool_test

import (
	"fmt"
	"strings"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// The copy of a parked record is damaged and its segment is gone: the log has said that it is deferred, and takes no gap
// for it. The spool counts it as lost, names it to whoever asks, and does so again after a restart; the others are kept.
func TestDamagedCopyOfParked(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	for i := range 3 {
		mustAppend(t, s, rec("b", fmt.Sprint(i), fmt.Appendf(nil, "the body of %d", i)))
	}
	for seq := record.Seq(1); seq <= 3; seq++ {
		state := record.Stored
		if seq < 3 {
			state = record.Deferred
		}
		if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: seq, Size: 13}, State: state, Reason: "500"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Release(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := fd.ReadDir("parked")
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	f, err := fd.OpenWrite("parked/" + list[1].Name()) // of record 2
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 540); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for restart := range 2 {
		var told []record.GapError
		s = openOn(t, fd, spool.Options{Events: spool.Events{Gap: func(g record.GapError) { told = append(told, g) }}})
		list, others := s.Gaps(10)
		if st := s.Stats(); st.Gaps != 1 || st.GapRecords != 1 || st.Deferred != 1 {
			t.Errorf("restart %d: %+v", restart, st)
		}
		if restart == 0 && (len(told) != 1 || len(list) != 1 || list[0].First != 2 || !strings.Contains(list[0].Cause, "damaged")) || restart > 0 && uint64(len(list))+others != 1 {
			t.Errorf("restart %d: told %v, list %v and %d others", restart, told, list, others)
		}
		for a, err := range s.Parked(t.Context()) {
			if err != nil || a.Seq != 1 {
				t.Errorf("parked: %+v, %v", a, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
