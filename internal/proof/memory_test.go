package proof

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"syscall"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/torture"
)

// On a disk that takes not one more byte and not one more file, checkpoint follows checkpoint, also in
// a process that finds the disk so, and with more leaves waiting than the room that was reserved takes.
func TestCheckpointsOnFullDisk(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		b := newBench(t)
		b.do(b.d.MkdirAll(stateDir))
		d := faultdisk.New(b.d, nil)
		b.d = d
		l := b.open()
		b.do(l.Start("p", "c", ""))
		seq := record.Seq(0)
		more := func(n int) {
			for range n {
				seq++
				b.do(l.Add(context.Background(), b.outcome(seq, record.Stored)))
			}
			b.do(l.Checkpoint(context.Background()))
			if p := l.Stats().Proven; p != seq {
				t.Fatalf("%v: %d of %d records are proven", full, p, seq)
			}
		}
		more(10)
		d.SetFull(full)
		more(3)
		more(5000)
		more(1)
		b.d = d.Next() // another process
		b.d.(*faultdisk.Disk).SetFull(full)
		d = b.d.(*faultdisk.Disk)
		l = b.open()
		b.do(l.Start("p", "c", ""))
		more(400)
		more(1)
		d.SetFull(nil)
		more(100)
		b.do(l.Stop(context.Background()))
		if r := b.clean(); r.Records != int64(seq) {
			t.Fatalf("%d records of %d are in the log", r.Records, seq)
		}
	}
}

// Whatever call processes are killed in, and whether or not the power is cut then, the state is whole, and
// none older than the last one whose save returned.
func TestStateSurvivesAnyKill(t *testing.T) {
	for seed := range uint64(torture.RaceShare(40)) {
		rng := rand.New(rand.NewPCG(seed, 9))
		under := crashdisk.New()
		n, saved := 0, 0
		for range 6 {
			d := faultdisk.New(under, faultdisk.Nth(1+rng.IntN(30), faultdisk.Fault{Kill: true, Apply: rng.IntN(2) == 0, Keep: rng.IntN(20000)}))
			m := &memory{disk: d}
			for range 6 {
				n++
				s := &state{cp: Checkpoint{Log: "test-log"}, edge: &edge{}, pending: [][]byte{fmt.Append(nil, n)}}
				for range rng.IntN(50) {
					s.pending = append(s.pending, bytes.Repeat([]byte{byte(n)}, 6000))
				}
				if s.save(m) != nil {
					break
				}
				saved = n
			}
			d.Kill()
			if rng.IntN(3) == 0 {
				under = under.Crash(rng, 50)
			}
			got, err := loadState(under, "test-log")
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			have := 0
			if got != nil {
				_, err = fmt.Sscan(string(got.pending[0]), &have)
			}
			if err != nil || have < saved || have > n {
				t.Fatalf("seed %d: state %d after save %d: %v", seed, have, saved, err)
			}
		}
	}
}

// A sync that fails once and then succeeds tells nothing of what was written before: the file is not used again.
func TestStateAfterFailedSync(t *testing.T) {
	under, fail := crashdisk.New(), false
	d := faultdisk.New(under, func(c faultdisk.Call) *faultdisk.Fault {
		if fail && c.Op == faultdisk.Sync && path.Base(c.Name) == path.Base(spareFile) {
			fail = false
			return &faultdisk.Fault{Err: syscall.EIO}
		}
		return nil
	})
	m := &memory{disk: d}
	s := func(n int) *state {
		return &state{cp: Checkpoint{Log: "test-log"}, edge: &edge{}, pending: [][]byte{fmt.Append(nil, n)}}
	}
	for n := range 3 {
		if err := s(n).save(m); err != nil {
			t.Fatal(err)
		}
	}
	d.Trace()
	fail = true
	if err := s(3).save(m); err == nil {
		t.Fatal("the failed sync is not told")
	}
	if err := s(4).save(m); err != nil {
		t.Fatal(err)
	}
	made := false
	for _, line := range d.Trace() {
		made = made || line == "create "+spareFile+".new"
	}
	if !made {
		t.Fatal("a file whose sync failed was used again")
	}
}

// A process that was killed between the exchange of the names and its sync has left a spare file that a power
// cut may bring back as the state: the next process makes the names durable before it writes over it.
func TestStateIsNotWrittenOverUnsyncedNames(t *testing.T) {
	s := func(n int) *state {
		s := &state{cp: Checkpoint{Log: "test-log"}, edge: &edge{}, pending: [][]byte{fmt.Append(nil, n)}}
		for range 4 {
			s.pending = append(s.pending, bytes.Repeat([]byte{byte(n)}, 6000))
		}
		return s
	}
	for seed := range uint64(20) {
		under := crashdisk.New()
		m := &memory{disk: under}
		for n := range 3 {
			if err := s(n).save(m); err != nil {
				t.Fatal(err)
			}
		}
		exchanged := false
		m.disk = faultdisk.New(under, func(c faultdisk.Call) *faultdisk.Fault {
			exchanged = exchanged || c.Op == faultdisk.Exchange
			if exchanged && c.Op == faultdisk.SyncDir {
				return &faultdisk.Fault{Kill: true}
			}
			return nil
		})
		if s(3).save(m) == nil || !exchanged {
			t.Fatal("it was not killed there")
		}
		next := &memory{disk: faultdisk.New(under, func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Sync {
				return &faultdisk.Fault{Kill: true}
			}
			return nil
		})}
		if s(4).save(next) == nil {
			t.Fatal("it was not killed")
		}
		got, err := loadState(under.Crash(rand.New(rand.NewPCG(seed, 1)), 50), "test-log")
		if err != nil || got == nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// An exchange of names that fails and happened nevertheless does not bring the older state back.
func TestStateAfterFailedExchange(t *testing.T) {
	s := func(n int) *state {
		return &state{cp: Checkpoint{Log: "test-log"}, edge: &edge{}, pending: [][]byte{fmt.Append(nil, n)}}
	}
	for _, happened := range []bool{false, true} {
		under, fail := crashdisk.New(), false
		d := faultdisk.New(under, func(c faultdisk.Call) *faultdisk.Fault {
			if fail && c.Op == faultdisk.Exchange {
				return &faultdisk.Fault{Err: syscall.EIO, Apply: happened}
			}
			return nil
		})
		m := &memory{disk: d}
		saved := 0
		for n := range 8 {
			fail = n == 3 || n == 4
			if err := s(n).save(m); err == nil {
				saved = n
			} else if !fail {
				t.Errorf("%d: %v", n, err)
			}
			got, err := loadState(under, "test-log")
			if err != nil || string(got.pending[0]) < fmt.Sprint(saved) {
				t.Fatalf("happened %v: state %s after save %d: %v", happened, got.pending[0], saved, err)
			}
		}
		if saved != 7 {
			t.Errorf("happened %v: %d saved", happened, saved)
		}
	}
}

// Who reads the state while it is written, as a verification beside the daemon does, may hold the file that becomes the spare
// one: that is no damage.
func TestStateReadWhileWritten(t *testing.T) {
	under := crashdisk.New()
	m := &memory{disk: under}
	save := func(n int) {
		s := &state{cp: Checkpoint{Log: "test-log"}, edge: &edge{}, checkpoint: fmt.Append(nil, n), pending: [][]byte{bytes.Repeat([]byte{byte(n)}, 20000)}}
		if err := s.save(m); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		save(n)
	}
	reads := 0
	d := faultdisk.New(under, func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Read && c.Name == stateFile {
			if reads++; reads == 1 {
				save(3)
				f, err := under.OpenWrite(spareFile) // as far as the next save has come
				if err == nil {
					_, err = f.WriteAt(make([]byte, 5000), 3000)
				}
				if err = syncClose(f, err); err != nil {
					t.Error(err)
				}
			}
		}
		return nil
	})
	if checkpoint, _, err := LastPublished(d); err != nil || string(checkpoint) != "3" {
		t.Errorf("%q, %v", checkpoint, err)
	}
}
