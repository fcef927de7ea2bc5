package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/testserver"
)

// TestBacklog has serve take INDELIBLE_BACKLOG bytes (such as 10737418240) in records of 4 KiB
// while nothing answers at the destination, and reports its peak of memory and how long it takes to open
// that backlog again. The bounds are the product's promise: 100 MiB and a second.
func TestBacklog(t *testing.T) {
	want, err := strconv.ParseInt(os.Getenv("INDELIBLE_BACKLOG"), 10, 64)
	if err != nil {
		t.Skip("fills the disk: set INDELIBLE_BACKLOG to a number of bytes")
	}
	const size, senders = 4096, 64
	d := &serve{t: t, binary: build(t), dir: t.TempDir(), endpoint: "http://127.0.0.1:1", door: freeAddr(t),
		s3: &testserver.Server{Bucket: "audit", Region: "us-east-1", Access: "a", Secret: "s"}}
	d.open = true
	d.start()
	began := time.Now()
	var sent atomic.Int64
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			rng := rand.NewChaCha8([32]byte{})
			body := make([]byte, size)
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				n := sent.Add(1)
				if n*size > want {
					return
				}
				_, _ = rng.Read(body)
				url := fmt.Sprintf("http://%s/audit/2026-11-24/time-01-02-03-%09d_chatcmpl-%d.json", d.door, n, n)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", url, resp.Status)
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	filled := peak(t, d.cmd.Process.Pid)
	d.kill()
	began = time.Now()
	d.start()
	opened := time.Since(began)
	pending := d.status().Pending
	t.Logf("%d MiB in %v (%.0f records/s); VmHWM %d MiB while filling, %d MiB after opening %d pending records, which took %v",
		want>>20, took.Round(time.Second), float64(want/size)/took.Seconds(), filled>>20, peak(t, d.cmd.Process.Pid)>>20, pending, opened.Round(time.Millisecond))
	if pending != int(want/size) {
		t.Errorf("%d records are pending, want %d", pending, want/size)
	}
	if filled > 100<<20 {
		t.Errorf("VmHWM is %d MiB", filled>>20)
	}
	if opened > time.Second {
		t.Errorf("opening took %v", opened)
	}
}

// peak is the process's VmHWM in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Skip("no VmHWM here:", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM in /proc")
	return 0
}

type status struct{ Acked, Stored, Pending int }

// status asks the daemon.
func (d *serve) status() status {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), d.binary, "status", "--json")
	cmd.Env = d.env()
	out, err := cmd.Output()
	var s status
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		d.t.Fatalf("status: %s, %v", out, err)
	}
	return s
}
