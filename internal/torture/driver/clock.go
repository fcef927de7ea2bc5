package driver

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// envClock names the file from which a binary of BuildClock reads by how much
// its wall clock is wrong.
const envClock = "INDELIBLE_TORTURE_CLOCK"

// BuildClock builds the product with a wall clock that can be set while it
// runs, as NTP, an administrator or a machine that wakes up set it: the wall clock jumps, the
// monotonic one goes on. Nothing in the tree is changed: go's -overlay takes the place of one
// line of package time, and adds what moves it.
func BuildClock(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	timePkg := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(timePkg, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const reading = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	if strings.Count(string(source), reading) != 1 {
		t.Fatal("time.Now reads the clock in another way than this test knows: look at src/time/time.go of this Go")
	}
	patched := strings.Replace(string(source), reading, "sec, nsec, mono := runtimeNow()\n\tsec += tortured.Load()\n\tif mono == 0 {", 1)
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]string{}
	replace := func(name, text string) {
		file := filepath.Join(dir, strconv.Itoa(len(overlay))+".go")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[name] = file
	}
	replace(filepath.Join(timePkg, "time.go"), patched)
	replace(filepath.Join(timePkg, "tortured.go"), `package time

import "sync/atomic"

var tortured atomic.Int64

// Torture makes Now wrong by this many seconds.
func Torture(seconds int64) { tortured.Store(seconds) }
`)
	replace(filepath.Join(strings.TrimSpace(string(module)), "cmd", "indelible", "tortured.go"), `package main

import (
	"os"
	"strconv"
	"time"
)

func init() {
	wrong := func() {
		b, _ := os.ReadFile(os.Getenv("`+envClock+`"))
		seconds, _ := strconv.ParseInt(string(b), 10, 64)
		time.Torture(seconds)
	}
	wrong()
	go func() {
		for {
			time.Sleep(time.Millisecond)
			wrong()
		}
	}()
}
`)
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	file, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "indelible")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", binary, "indelible/cmd/indelible")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the binary with another clock: %v\n%s", err, out)
	}
	return binary
}

// Clock is the wall clock of a binary that BuildClock built.
type Clock struct {
	File string // where it is told of it
	// Wrong is by how much it is wrong: read it only.
	Wrong time.Duration
}

// Env is for Serve.Env.
func (c *Clock) Env() string { return envClock + "=" + c.File }

// Now is what the binary takes for now.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Wrong) }

// Set makes it wrong by whole seconds. The binary sees it within a few milliseconds.
func (c *Clock) Set(wrong time.Duration) error {
	c.Wrong = wrong.Truncate(time.Second)
	next := c.File + ".next" // never half a number
	if err := os.WriteFile(next, fmt.Append(nil, int64(c.Wrong/time.Second)), 0o600); err != nil {
		return err
	}
	return os.Rename(next, c.File)
}
