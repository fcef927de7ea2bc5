// Package torture is what the tests of the durability promises share: how much
// of a scenario to run, by which seed, and the row of the table that it adds up to.
// go run ./test/torture runs the scenarios and prints the table.
package torture

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The environment by which go run ./test/torture steers the scenarios.
const (
	EnvShare  = "INDELIBLE_TORTURE"        // "ci" or "long"; unset: what go test ./... has time for
	EnvSeed   = "INDELIBLE_TORTURE_SEED"   // the one seed to run; unset: as many as the share asks for
	EnvReport = "INDELIBLE_TORTURE_REPORT" // a file that rows are appended to, one JSON object a line
	EnvBinary = "INDELIBLE_BINARY"         // a binary to be used instead of one built from this tree
)

// Share returns what of a scenario is to be run, in whatever it counts: quick
// is for go test ./..., ci for each change, long for a release. The race detector makes each run
// five times as long: with it, a third of quick is run.
func Share(quick, ci, long int) int {
	if Race && quick > 3 {
		quick /= 3
	}
	return pick(quick, ci, long)
}

// RaceShare is n, of seeds, lives or records in a test of which the race detector finds no more in the
// last of them than in the first: a third of n under it. The step norace of test/steps runs all.
func RaceShare(n int) int {
	if Race {
		return (n + 2) / 3
	}
	return n
}

// RaceStep is 1, from one case of such a test to the next, and n under the race detector.
func RaceStep(n int) int {
	if Race {
		return n
	}
	return 1
}

// Stride is Share in steps from one case to the next: the longer they are, the less is run.
func Stride(quick, ci, long int) int {
	if Race {
		quick *= 3
	}
	return pick(quick, ci, long)
}

func pick(quick, ci, long int) int {
	switch os.Getenv(EnvShare) {
	case "ci":
		return ci
	case "long":
		return long
	}
	return quick
}

// Asked says that the CI or the long share is being run, and not go test ./... alone.
func Asked() bool { return os.Getenv(EnvShare) != "" }

// NeedsShare skips a scenario that is too long for go test ./... .
func NeedsShare(t testing.TB) {
	t.Helper()
	if !Asked() {
		t.Skip("takes long: go run ./test/torture runs it")
	}
}

// Seeds are the seeds of n runs: 1 to n, or the one that EnvSeed names.
func Seeds(n int) []uint64 {
	if seed, err := strconv.ParseUint(os.Getenv(EnvSeed), 10, 64); err == nil {
		return []uint64{seed}
	}
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = uint64(i) + 1
	}
	return seeds
}

// Row is what a scenario adds up to. Its methods may be called concurrently.
type Row struct {
	mu sync.Mutex // guards everything below

	Scenario   string   // as the table prints it
	Unit       string   // what a run is: "kills", "crash points", ...
	Runs       int64    // how many there were
	Acked      int64    // records that a door or the spool acknowledged
	Lost       int64    // acked, and neither in the spool nor in the store
	Duplicated int64    // objects too many
	Corrupted  int64    // bodies that differ from what was sent
	Failed     []string // seeds of the runs that failed, and other failures in a word
	Note       string   // what else there is to say, in a few words
	Skipped    bool     // nothing was run: it cannot be here
}

// Ran counts runs and what was acked in them.
func (r *Row) Ran(runs, acked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Runs += int64(runs)
	r.Acked += int64(acked)
}

// Count adds what an oracle found wrong.
func (r *Row) Count(lost, duplicated, corrupted int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Lost += int64(lost)
	r.Duplicated += int64(duplicated)
	r.Corrupted += int64(corrupted)
}

// FailedAt notes a seed (or a word) by which a failure is found again.
func (r *Row) FailedAt(what any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := fmt.Sprint(what); len(r.Failed) < 20 && !strings.Contains(" "+strings.Join(r.Failed, " ")+" ", " "+s+" ") {
		r.Failed = append(r.Failed, s)
	}
}

// Report makes a row that is logged, and appended to the file of EnvReport,
// when the test ends. A row with anything lost, duplicated or corrupted fails the test.
func Report(t testing.TB, scenario, unit string) *Row {
	t.Helper()
	r := &Row{Scenario: scenario, Unit: unit}
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.Skipped = t.Skipped()
		if r.Lost+r.Duplicated+r.Corrupted > 0 {
			t.Errorf("%d acked records lost, %d objects too many, %d bodies changed", r.Lost, r.Duplicated, r.Corrupted)
		}
		if t.Failed() && len(r.Failed) == 0 {
			r.Failed = append(r.Failed, t.Name())
		}
		if !r.Skipped {
			t.Logf("%s: %d %s, %d acked, %d lost, %d duplicated, %d corrupted %s", r.Scenario, r.Runs, r.Unit, r.Acked, r.Lost, r.Duplicated, r.Corrupted, r.Note)
		}
		if err := r.append(os.Getenv(EnvReport)); err != nil {
			t.Errorf("report: %v", err)
		}
	})
	return r
}

// append writes the row to a file; "" is none. One write, so that processes may share it.
func (r *Row) append(file string) error {
	if file == "" {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
