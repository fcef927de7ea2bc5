package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// TestLookupAgainstModel appends, settles, releases and reopens at random, and
// compares lookups, lists and counts with a model that is a map.
func TestLookupAgainstModel(t *testing.T) {
	for seed := range uint64(torture.RaceShare(6)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, seed) })
	}
}

func runModel(t *testing.T, seed uint64) {
	rng := newRand(seed)
	d := crashdisk.New()
	opts := spool.Options{SegmentBytes: 16 << 10, InlineBytes: 3 << 10, FilterBytes: []int64{1, 1001, 1 << 20}[seed%3]}
	s := openOn(t, d, opts)
	type kept struct {
		bucket, key string
		body        []byte
		state       record.State
	}
	records := map[record.Seq]*kept{}
	released, resent := record.Seq(0), uint64(0)
	restarted := record.Seq(0) // what was released at the last restart
	here := func(seq record.Seq) bool {
		return seq > released || records[seq].state == record.Deferred || records[seq].state == record.Quarantined
	}
	for range 400 {
		switch op := rng.IntN(40); {
		case op < 25:
			k := &kept{bucket: fmt.Sprintf("b%d", rng.IntN(2)), key: fmt.Sprintf("dir%d/%d", rng.IntN(5), rng.IntN(30)), body: randomBody(uint64(rng.IntN(3)), rng.IntN(2)*rng.IntN(5000))}
			newest := record.Seq(0)
			for seq, o := range records {
				if seq > newest && o.bucket == k.bucket && o.key == k.key {
					newest = seq
				}
			}
			r := mustAppend(t, s, rec(k.bucket, k.key, k.body))
			// The newest of a name is known again, and nothing else is; after a restart for certain only what was not released.
			same := newest > 0 && bytes.Equal(records[newest].body, k.body)
			if r.Resent && (!same || r.Seq != newest) || !r.Resent && same && newest > restarted {
				t.Fatalf("append of %s: %+v, the newest is %d, the same %v", k.key, r, newest, same)
			}
			if r.Resent {
				resent++
			} else {
				k.state = record.Pending
				records[r.Seq] = k
			}
		case op < 34 && len(records) > 0:
			seq := record.Seq(rng.IntN(len(records)) + 1)
			k := records[seq]
			e, ok, err := s.Entry(t.Context(), seq)
			if err != nil || ok != here(seq) {
				t.Fatalf("entry %d: %v, %v", seq, ok, err)
			}
			if !ok || k.state == record.Stored {
				continue
			}
			k.state = []record.State{record.Stored, record.Stored, record.Stored, record.Deferred, record.Quarantined}[rng.IntN(5)]
			if err := s.Settle(t.Context(), record.Outcome{Info: e.Info, State: k.state, Reason: "because"}); err != nil {
				t.Fatal(err)
			}
		case op < 37:
			upto := released
			for records[upto+1] != nil && records[upto+1].state != record.Pending && rng.IntN(10) > 0 {
				upto++
			}
			if err := s.Release(t.Context(), upto); err != nil {
				t.Fatal(err)
			}
			released = upto
		default:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openOn(t, d, opts)
			restarted = released
		}
	}
	for range 2 {
		newest := map[string]record.Seq{}
		var st spool.Stats
		var unsettled, parked []record.Seq
		for _, seq := range slices.Sorted(maps.Keys(records)) {
			k := records[seq]
			if here(seq) {
				newest[k.bucket+"|"+k.key] = seq
			}
			switch k.state {
			case record.Pending:
				unsettled = append(unsettled, seq)
				st.Pending++
				st.PendingBytes += int64(len(k.body))
			case record.Stored:
				st.Stored++
			case record.Deferred:
				st.Deferred++
				st.Pending++
				st.PendingBytes += int64(len(k.body))
				parked = append(parked, seq)
			case record.Quarantined:
				st.Quarantined++
				parked = append(parked, seq)
			}
		}
		checkStats(t, s, st, uint64(len(records)), resent)
		entries, gaps := all(t, s, 1)
		var got []record.Seq
		for _, e := range entries {
			got = append(got, e.Seq)
			if !bytes.Equal(bodyOf(t, e), records[e.Seq].body) {
				t.Errorf("record %d has another body", e.Seq)
			}
		}
		if !slices.Equal(got, unsettled) || len(gaps) > 0 {
			t.Errorf("Entries: %v, want %v, gaps %v", got, unsettled, gaps)
		}
		got = nil
		for a, err := range s.Parked(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, a.Seq); a.State != records[a.Seq].state || a.Reason != "because" || a.Since.IsZero() || a.Attrs.Get("content-type") == "" || len(a.Attrs) != 1 {
				t.Errorf("parked %+v", a)
			}
			if !bytes.Equal(bodyOf(t, a.Entry), records[a.Seq].body) {
				t.Errorf("parked record %d has another body", a.Seq)
			}
		}
		if !slices.Equal(got, parked) {
			t.Errorf("Parked: %v, want %v", got, parked)
		}
		for _, bucket := range []string{"b0", "b1", "none"} {
			for _, prefix := range []string{"", "dir1/", "dir3/2", "x"} {
				for _, after := range []string{"", "dir1/15", "dir3/29", "zzz"} {
					checkKeys(t, s, newest, bucket, prefix, after)
				}
			}
			for dir := range 5 {
				for n := range 30 {
					key := fmt.Sprintf("dir%d/%d", dir, n)
					e, ok, err := s.Lookup(t.Context(), bucket, key)
					if want := newest[bucket+"|"+key]; err != nil || ok != (want > 0) || e.Seq != want {
						t.Errorf("lookup %s %s: %d %v %v, want %d", bucket, key, e.Seq, ok, err, want)
					}
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openOn(t, d, opts)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func checkStats(t *testing.T, s *spool.Spool, want spool.Stats, acked, resent uint64) {
	t.Helper()
	st := s.Stats()
	if st.Acked != acked || st.Stored != want.Stored || st.Pending != want.Pending || st.PendingBytes != want.PendingBytes ||
		st.Deferred != want.Deferred || st.Quarantined != want.Quarantined || st.Resent != resent || st.Gaps != 0 {
		t.Errorf("stats %+v\nwant %+v, acked %d, resent %d", st, want, acked, resent)
	}
	if (st.Pending > 0) != !st.OldestPending.IsZero() {
		t.Errorf("%d pending, the oldest from %v", st.Pending, st.OldestPending)
	}
}

func checkKeys(t *testing.T, s *spool.Spool, newest map[string]record.Seq, bucket, prefix, after string) {
	t.Helper()
	var want, got []string
	for name, seq := range newest {
		key, ok := strings.CutPrefix(name, bucket+"|")
		if ok && strings.HasPrefix(key, prefix) && key > after {
			want = append(want, fmt.Sprint(key, " ", seq))
		}
	}
	slices.SortFunc(want, func(a, b string) int {
		x, _, _ := strings.Cut(a, " ")
		y, _, _ := strings.Cut(b, " ")
		return strings.Compare(x, y)
	})
	for i, err := range s.Keys(context.Background(), bucket, prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(i.Key, " ", i.Seq))
	}
	if !slices.Equal(got, want) {
		t.Errorf("Keys(%q, %q, %q):\n got %v\nwant %v", bucket, prefix, after, got, want)
	}
}

// TestRedrive brings a quarantined record back into delivery, over restarts.
func TestRedrive(t *testing.T) {
	d := crashdisk.New()
	s := openOn(t, d, spool.Options{InlineBytes: 1 << 10})
	for i := range 3 {
		mustAppend(t, s, rec("b", fmt.Sprint(i), randomBody(uint64(i), 1000*i)))
	}
	entries, _ := all(t, s, 1)
	for _, e := range entries {
		if err := s.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Quarantined, Reason: "too odd"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Release(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	open := entries[2]
	for range 2 { // what was parked is there although its segment is gone, and the power fails
		d = d.Crash(newRand(1), 0)
		s = openOn(t, d, spool.Options{InlineBytes: 1 << 10})
		n := 0
		for a, err := range s.Parked(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			bodyOf(t, a.Entry)
		}
		if n != 3 {
			t.Fatalf("%d of 3 records are parked", n)
		}
	}
	if n, err := s.Redrive(t.Context(), 2); n != 1 || err != nil {
		t.Errorf("Redrive(2): %d, %v", n, err)
	}
	if n, err := s.Redrive(t.Context(), 0); n != 2 || err != nil {
		t.Errorf("Redrive(0): %d, %v", n, err)
	}
	d = d.Crash(newRand(2), 0)
	s = openOn(t, d, spool.Options{})
	if st := s.Stats(); st.Deferred != 3 || st.Quarantined != 0 || st.Pending != 3 {
		t.Errorf("%+v", st)
	}
	if err := s.Settle(t.Context(), record.Outcome{Info: open.Info, State: record.Stored}); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Stored != 1 || st.Deferred != 2 {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestReaderOutlivesRelease reads a body whose segment is gone.
func TestReaderOutlivesRelease(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{SegmentBytes: 4 << 10, InlineBytes: 64 << 10})
	for i := range 4 {
		mustAppend(t, s, rec("", fmt.Sprint(i), randomBody(uint64(i), 100_000*(i%2)+5000)))
	}
	entries, _ := all(t, s, 1)
	r, err := entries[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil || !bytes.Equal(b.Bytes(), randomBody(1, 105_000)) {
		t.Errorf("read after release: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, ok, err := s.Entry(t.Context(), 2); ok || err != nil {
		t.Errorf("a released record is still there: %v, %v", ok, err)
	}
	if st := s.Stats(); st.Segments > 1 {
		t.Errorf("%d segments after a release", st.Segments)
	}
}

// TestSettleDamaged parks a record that the disk does not give back.
func TestSettleDamaged(t *testing.T) {
	img, bodies := build(t, 3, false)
	const seg = "00000000000000000001.seg"
	at := bytes.Index(img[seg], bodies[2])
	img[seg][at] ^= 1
	var told []record.GapError
	s := openOn(t, img.disk(t), spool.Options{Events: spool.Events{Gap: func(g record.GapError) { told = append(told, g) }}})
	err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: 2}, State: record.Deferred})
	if gap, ok := errors.AsType[*record.GapError](err); !ok || gap.First != 2 || gap.Last != 2 {
		t.Errorf("settle: %v, want the gap", err)
	}
	if len(told) != 1 || told[0].First != 2 {
		t.Errorf("told of %v", told)
	}
	if err := s.Release(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Gaps != 1 || st.GapRecords != 1 || st.Stored != 2 {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestResendInFlight sends the same bytes many times at once.
func TestResendInFlight(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{})
	results := make(chan record.Receipt)
	for range 32 {
		go func() {
			r, err := s.Append(context.Background(), rec("b", "same", []byte("same")))
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	first := 0
	for range 32 {
		r := <-results
		if r.Seq != 1 {
			t.Errorf("seq %d", r.Seq)
		}
		if !r.Resent {
			first++
		}
	}
	if st := s.Stats(); first != 1 || st.Resent != 31 || st.Acked != 1 {
		t.Errorf("%d first copies, %+v", first, st)
	}
}
