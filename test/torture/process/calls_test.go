package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

// fileCalls are the system calls by which the binary changes or reads its data directory.
var fileCalls = []string{
	"openat", "pwrite64", "write", "fdatasync", "fsync", "renameat", "linkat", "unlinkat", "mkdirat",
	"fallocate", "ftruncate", "flock", "pread64", "read", "getdents64", "newfstatat", "fstat", "fchmodat", "statfs", "close",
}

// injection is a fault in one system call.
type injection struct {
	call  string
	fault string // of strace's inject
	when  int    // the so-manieth of each thread: strace counts by thread
}

func (i injection) String() string { return fmt.Sprintf("%s:%s:when=%d", i.call, i.fault, i.when) }

// TestTortureCalls runs one life of the real binary - start, records, delivery into its
// own directory, an orderly stop - again and again, and each time fails another system call on
// its files with EIO or ENOSPC, or kills it in it. Then it starts again, unharmed; what was acked
// is in the bucket once, and verify agrees. strace counts a thread's calls, so that one run may
// fail as many calls as there are threads, and which ones the scheduler decides.
func TestTortureCalls(t *testing.T) {
	torture.NeedsShare(t)
	strace, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(strace, "-o", os.DevNull, "true").Run()
	}
	if err != nil {
		testserver.Missing(t, "strace (ptrace may not be allowed)", err)
	}
	row := torture.Report(t, "real binary, a system call fails", "runs")
	binary := driver.Build(t)
	whole := &callsRun{binary: binary, strace: strace, dir: t.TempDir()}
	if err := whole.run(t.Context(), row, nil); err != nil {
		t.Fatalf("with nothing injected: %v", err)
	}
	todo := injections(whole.counted)
	all := len(todo)
	if most := torture.Share(0, 60, len(todo)); most < len(todo) { // a sample, with each call and fault in it
		todo = todo[:most]
	}
	next := make(chan injection)
	var wg sync.WaitGroup
	var hits [3]atomic.Int64
	covered := sync.Map{}
	for range 4 { // they wait more than they work
		wg.Go(func() {
			for i := range next {
				r := &callsRun{binary: binary, strace: strace, dir: t.TempDir()}
				if err := r.run(t.Context(), row, &i); err != nil {
					t.Errorf("%s: %v", i, err)
					row.FailedAt(i.String())
				}
				hits[slices.Index(faults, i.fault)].Add(int64(r.injected))
				if r.injected > 0 {
					covered.Store(i.call, true)
				}
				_ = os.RemoveAll(r.dir)
			}
		})
	}
	for _, i := range todo {
		next <- i
	}
	close(next)
	wg.Wait()
	calls := 0
	covered.Range(func(any, any) bool { calls++; return true })
	row.Note = fmt.Sprintf("of %d injections: %d calls failed with EIO, %d with ENOSPC, %d kills in a call; %d kinds of call", all, hits[0].Load(), hits[1].Load(), hits[2].Load(), calls)
	if hits[0].Load() == 0 || hits[2].Load() == 0 {
		t.Error("nothing was injected")
	}
}

// faults are what is injected, in strace's words.
var faults = []string{"error=EIO", "error=ENOSPC", kill}

const kill = "signal=KILL"

// injections are all that the counted calls allow: first the first of each, then the others, mixed by a seed.
func injections(counted map[string]int) []injection {
	var first, rest []injection
	for _, call := range fileCalls {
		for _, fault := range faults {
			if call == "close" && fault == "error=ENOSPC" {
				continue
			}
			for n := 1; n <= counted[call]; n++ {
				i := injection{call, fault, n}
				if n == min(3, counted[call]) {
					first = append(first, i)
				} else {
					rest = append(rest, i)
				}
			}
		}
	}
	rng := rand.New(rand.NewPCG(torture.Seeds(1)[0], 1))
	rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return append(first, rest...)
}

// callsRun is one life of the binary.
type callsRun struct {
	binary, strace, dir string

	injected int            // calls that failed
	counted  map[string]int // calls on the data directory, of the busiest thread; of a run with nothing injected
}

func (r *callsRun) run(ctx context.Context, row *torture.Row, i *injection) error {
	trace, config := filepath.Join(r.dir, "trace"), filepath.Join(r.dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("proof:\n  checkpoint_every: 1s\nupload:\n  attempt_timeout: 2s\nshutdown:\n  drain: 1s\n"), 0o600); err != nil {
		return err
	}
	wrap := []string{r.strace, "-f", "-y", "--seccomp-bpf", "-o", trace, "-e", "trace=" + strings.Join(fileCalls, ",")}
	if i != nil {
		wrap = []string{r.strace, "-f", "-y", "-o", trace, "-e", "trace=" + i.call, "-e", "inject=" + i.String()}
		if i.fault != kill { // strace 6.1 forgets the signal where it has the kernel filter the calls
			wrap = append(wrap, "--seccomp-bpf")
		}
	}
	data := filepath.Join(r.dir, "data")
	s := &driver.Serve{Binary: r.binary, Data: data, Config: config, Log: filepath.Join(r.dir, "log"), Wrap: wrap}
	o := driver.NewOracle()
	if err := s.Launch(); err != nil {
		return err
	}
	defer s.Kill()
	if s.Ready() == nil { // else it has said why it does not start, or died
		r.send(ctx, o, s)
		if s.Term() == nil {
			s.Wait(8 * time.Second)
		}
	}
	s.Wait(300 * time.Millisecond)
	b, err := os.ReadFile(trace) // before we kill it ourselves
	s.Kill()
	if err != nil {
		return err
	}
	r.injected = bytes.Count(b, []byte("(INJECTED)"))
	if i != nil && i.fault == kill {
		r.injected = 0
		if bytes.Contains(b, []byte("killed by SIGKILL")) {
			r.injected = 1
		}
	}
	if i == nil {
		r.counted = countCalls(string(b), data)
	}
	s.Wrap = nil
	if err := s.Start(); err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	row.Ran(1, 0)
	return settle(ctx, s, o, row, filepath.Join(data, "store"))
}

// send sends a few records of every kind. One that gets no ack is sent again after the restart.
func (r *callsRun) send(ctx context.Context, o *driver.Oracle, s *driver.Serve) {
	client := &http.Client{Timeout: 3 * time.Second}
	defer client.CloseIdleConnections()
	gone := 0
	for n, size := range []int{100, 3000, 300 << 10, 0, 70, 9000} {
		key := driver.Name("calls", uint64(n), size)
		err := o.Put(ctx, client, s.At.S3, key, 0)
		if n == 1 {
			err = errors.Join(err, o.Put(ctx, client, s.At.S3, key, 1))
		}
		if err != nil {
			if gone++; gone > 2 {
				return
			}
		}
		if n == 3 { // what is delivered and proven meanwhile makes calls of its own
			time.Sleep(50 * time.Millisecond)
		}
	}
	_ = o.Post(ctx, client, s.At.HTTP, driver.Name("calls", 99, 500)) // not acked, it is no matter
}

var traced = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\(`)

// countCalls counts the calls in a trace, by the busiest thread of each, from
// the first on that concerns the data directory.
func countCalls(trace, data string) map[string]int {
	byThread, most := map[string]int{}, map[string]int{}
	touched := map[string]bool{}
	for line := range strings.Lines(trace) {
		m := traced.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		byThread[m[1]+m[2]]++
		if strings.Contains(line, data) {
			touched[m[2]] = true
		}
		most[m[2]] = max(most[m[2]], byThread[m[1]+m[2]])
	}
	for call := range most {
		if !touched[call] {
			delete(most, call)
		}
	}
	return most
}
