package dir_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
)

// described is an object with attributes.
func described(key, body string) store.Object {
	o := storetest.Object(key, body)
	o.Header = map[string]string{"content-type": "application/json"}
	o.Meta = map[string]string{"indelible-seq": "7"}
	return o
}

// wantWhole checks that the store holds all of described(key, body).
func wantWhole(t *testing.T, s store.Store, key, body string) {
	t.Helper()
	got, info, err := storetest.Read(t, s, key, store.GetOptions{})
	if err != nil || got != body || info.Meta["indelible-seq"] != "7" || info.Header["content-type"] != "application/json" {
		t.Errorf("%q, %+v, %v", got, info, err)
	}
}

// A crash after each disk operation of a Put: what Put acknowledged is there
// with its attributes, what it did not is there with all its bytes or not at
// all, and the next Put makes it whole.
func TestCrashAtEachOperation(t *testing.T) {
	const key, body = "team/2026-11-24/time-01.json", `{"id":1}`
	for _, percent := range []int{0, 50, 100} {
		for n := 1; ; n++ {
			mem := crashdisk.New()
			storetest.MustPut(t, dir.Open(mem), described("team/before", "x"))
			var crashed *crashdisk.Disk
			seen := 0
			fd := faultdisk.New(mem, func(c faultdisk.Call) *faultdisk.Fault {
				if c.Op.Mutates() {
					if seen++; seen == n {
						crashed = mem.Crash(rand.New(rand.NewPCG(uint64(n), uint64(percent))), percent)
					}
				}
				return nil
			})
			storetest.MustPut(t, dir.Open(fd), described(key, body))
			done := crashed == nil
			if done {
				crashed = mem.Crash(rand.New(rand.NewPCG(1, 1)), percent)
			}
			t.Run(fmt.Sprintf("%d%%/%d", percent, n), func(t *testing.T) {
				s := dir.Open(crashed)
				wantWhole(t, s, "team/before", "x")
				if !done {
					got, _, err := storetest.Read(t, s, key, store.GetOptions{})
					if store.ClassOf(err) != store.NotFound && (err != nil || got != body) {
						t.Errorf("half an object: %q, %v", got, err)
					}
					if _, err := s.Put(t.Context(), described(key, body)); err != nil && store.ClassOf(err) != store.Exists {
						t.Errorf("put again: %v", err)
					}
					// Durable also where the crash had left the name.
					s = dir.Open(crashed.Crash(rand.New(rand.NewPCG(1, 1)), 0))
				}
				wantWhole(t, s, key, body)
			})
			if done {
				break
			}
		}
	}
}

// A fault at each disk operation of a Put, which the uploader answers as it
// does: after an ambiguous error it asks with Head first, and takes an object
// with its bytes for stored.
func TestFaultAtEachOperation(t *testing.T) {
	const key, body = "team/time-01.json", `{"id":1}`
	for _, apply := range []bool{false, true} {
		for n := 1; ; n++ {
			mem := crashdisk.New()
			fd := faultdisk.New(mem, faultdisk.Nth(n, faultdisk.Fault{Err: syscall.EIO, Apply: apply}))
			s := dir.Open(fd)
			_, err := s.Put(t.Context(), described(key, body))
			trace := fd.Trace()
			t.Run(fmt.Sprintf("apply=%v/%d", apply, n), func(t *testing.T) {
				if err != nil {
					info, herr := s.Head(t.Context(), key, store.GetOptions{})
					if herr == nil && info.Digest == described(key, body).Digest {
						// The uploader takes it for stored and releases it.
						t.Log(trace)
						wantWhole(t, dir.Open(mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)), key, body)
					}
					if _, err := s.Put(t.Context(), described(key, body)); err != nil && store.ClassOf(err) != store.Exists {
						t.Fatalf("put again: %v", err)
					}
				}
				wantWhole(t, dir.Open(mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)), key, body)
			})
			if err == nil {
				break
			}
		}
	}
}

// A directory that cannot be looked at is told as one that exists (os.Root.MkdirAll, where fstatat
// fails), which is not to be taken for attributes that exist.
func TestDirectoryThatCannotBeLookedAt(t *testing.T) {
	const key, body = "team/time-01.json", `{"id":1}`
	for n := 1; ; n++ {
		mem, seen := crashdisk.New(), 0
		s := dir.Open(faultdisk.New(mem, func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op != faultdisk.Mkdir {
				return nil
			}
			if seen++; seen != n {
				return nil
			}
			return &faultdisk.Fault{Err: syscall.EEXIST, Apply: true}
		}))
		for try := 0; ; try++ {
			_, err := s.Put(t.Context(), described(key, body))
			if err == nil || store.ClassOf(err) == store.Exists {
				break
			}
			if try == 3 {
				t.Fatal(err)
			}
		}
		wantWhole(t, dir.Open(mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)), key, body)
		if seen < n {
			break
		}
	}
}

// A fault at each disk operation of a Put that replaces an object. What a read
// shows afterwards survives a power loss, and the same Put done again makes the new
// bytes whole and durable.
func TestFaultAtEachOperationOfReplace(t *testing.T) {
	const key = "log/checkpoint"
	for _, apply := range []bool{false, true} {
		for n := 1; ; n++ {
			mem := crashdisk.New()
			armed, seen := false, 0
			fd := faultdisk.New(mem, func(faultdisk.Call) *faultdisk.Fault {
				if !armed {
					return nil
				}
				if seen++; seen != n {
					return nil
				}
				return &faultdisk.Fault{Err: syscall.EIO, Apply: apply}
			})
			s := dir.Open(fd)
			one := storetest.MustPut(t, s, described(key, "one"))
			armed = true
			two := described(key, "two")
			two.Condition.Match = one.ETag
			_, err := s.Put(t.Context(), two)
			armed = false
			powerLoss := func() *dir.Store { return dir.Open(mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)) }
			t.Run(fmt.Sprintf("apply=%v/%d", apply, n), func(t *testing.T) {
				if err != nil {
					got, _, rerr := storetest.Read(t, s, key, store.GetOptions{})
					after, _, aerr := storetest.Read(t, powerLoss(), key, store.GetOptions{})
					if rerr == nil && (aerr != nil || after != got) {
						t.Errorf("read %q, but after a power loss %q, %v", got, after, aerr)
					}
					if class := store.ClassOf(rerr); rerr != nil && class != store.Ambiguous {
						t.Errorf("in doubt: %v", rerr)
					}
					again := described(key, "two")
					again.Condition.Match = one.ETag
					storetest.MustPut(t, s, again)
				}
				wantWhole(t, s, key, "two")
				wantWhole(t, powerLoss(), key, "two")
			})
			if seen < n {
				break
			}
		}
	}
}
