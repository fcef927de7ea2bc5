package spool_test

import (
	"context"
	"fmt"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// TestReadBesideAWriter opens a spool for reading, again and again, while its
// owner appends, settles, parks and releases: it never fails, and never sees a gap.
func TestReadBesideAWriter(t *testing.T) {
	d := crashdisk.New()
	s := openOn(t, d, spool.Options{SegmentBytes: 16 << 10})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			r, err := s.Append(context.Background(), rec("b", fmt.Sprint(i), make([]byte, 3<<10)))
			if err != nil {
				t.Error(err)
				return
			}
			state := record.Stored
			if i%7 == 0 {
				state = record.Deferred
			}
			o := record.Outcome{Info: record.Info{Seq: r.Seq, Size: r.Size}, State: state}
			if err = s.Settle(context.Background(), o); err == nil && i%5 == 0 {
				err = s.Release(context.Background(), r.Seq)
			}
			if o.State = record.Stored; err == nil && i%7 == 0 {
				err = s.Settle(context.Background(), o)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 300 {
		r, err := spool.Open(d, spool.Options{ReadOnly: true, Events: spool.Events{Gap: func(g record.GapError) { t.Errorf("gap: %v", &g) }}})
		if err != nil {
			t.Error(err)
			break
		}
		if st := r.Stats(); st.Gaps != 0 {
			t.Errorf("%+v", st)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	<-done
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
