package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"indelible/internal/record"
	"indelible/internal/torture"
)

var killCalls = torture.RaceShare(12_000)

// longLog is a log that a process needs some time to index.
func longLog() *logOf {
	l := newLog()
	for i := range killCalls {
		l.append(fmt.Sprint("k", i), payload(fmt.Sprint("id-", i), fmt.Sprint("team-", i%7), "m", "success", 0.5, ""))
	}
	return l
}

// TestIndexForKill is the process that TestKill kills: it indexes until then.
func TestIndexForKill(t *testing.T) {
	path := os.Getenv("INDELIBLE_TEST_INDEX")
	if path == "" {
		t.Skip("a process of TestKill's")
	}
	x := New(Options{Path: path, Log: "test"})
	x.most = 2 * batchDocs // so that it comes to the end of some, and is mostly within one
	if err := x.Run(context.Background(), longLog()); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed while it writes leaves an index that the next one goes on with: every call is in it once.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	var was record.Seq
	for range torture.RaceShare(12) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestIndexForKill$")
		cmd.Env = append(os.Environ(), "INDELIBLE_TEST_INDEX="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150*time.Millisecond + rand.N(600*time.Millisecond))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		d, err := open(t.Context(), path, "test", TextFields, false)
		if err != nil {
			continue // it did not come so far
		}
		at, err := d.position(t.Context())
		if err != nil || at < was {
			t.Errorf("it was at %d, and is at %d (%v)", was, at, err)
		}
		was = at
		if err := d.close(false); err != nil {
			t.Error(err)
		}
	}
	x, _ := running(t, longLog(), Options{Path: path})
	reaches(t, x, record.Seq(killCalls))
	for i := 0; i < killCalls; i += torture.RaceStep(7) {
		if got := find(t, x, fmt.Sprint("id-", i)); len(got) != 1 || got[0] != record.Seq(i+1) {
			t.Fatalf("id-%d is found in %v", i, got)
		}
	}
	if err := x.with(func(d *db) error { return d.examine(t.Context()) }); err != nil {
		t.Error(err)
	}
	t.Logf("the last one that was killed had come to %d of %d", was, killCalls)
}
