//go:build linux

package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The acknowledgement is the fsync: for one PUT, the kernel sees the write to
// the segment, then the end of a sync of that file, then the 200.
func TestSystemCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(strace, "-o", os.DevNull, "true").Run()
	}
	if err != nil {
		if os.Getenv("INDELIBLE_REQUIRE_PEERS") == "1" {
			t.Fatalf("strace does not work here: %v", err)
		}
		t.Skipf("strace does not work here: %v", err)
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	p := start(t, filepath.Join(dir, "data"), strace, "-f", "-y", "-s", "65536", "-o", trace,
		"-e", "trace=write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,sendto,sendmsg")
	const marker = "the-body-of-the-traced-record"
	if err := put(t.Context(), http.DefaultClient, p.at.S3, "traced.json", []byte(marker)); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	lines, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if problem := ackOrder(string(lines), marker); problem != "" {
		t.Error(problem)
	}
}

var (
	call    = regexp.MustCompile(`^(\d+) +(\w+)\(\d+<([^>]*)>`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
)

// ackOrder says what is wrong with the order of a trace, or "".
func ackOrder(trace, marker string) string {
	segment, synced := "", false
	inSync := map[string]string{} // by thread: the file of a sync that has not ended
	for line := range strings.Lines(trace) {
		if m := resumed.FindStringSubmatch(line); m != nil {
			if file, ok := inSync[m[1]]; ok && strings.Contains(line, "= 0") {
				synced = synced || segment != "" && file == segment
				delete(inSync, m[1])
			}
			continue
		}
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, name, file := m[1], m[2], m[3]
		switch {
		case strings.Contains(file, "/spool/") && strings.Contains(line, marker):
			segment = file
		case (name == "fdatasync" || name == "fsync") && strings.Contains(line, "unfinished"):
			if segment != "" { // one that began before the write proves nothing
				inSync[thread] = file
			}
		case name == "fdatasync" || name == "fsync":
			synced = synced || segment != "" && file == segment && strings.Contains(line, "= 0")
		case strings.Contains(line, "HTTP/1.1 200 OK") && strings.Contains(line, "x-indelible-receipt"):
			switch {
			case segment == "":
				return "the 200 was written before the record was: " + line
			case !synced:
				return "the 200 was written before " + segment + " was synced"
			}
			return ""
		}
	}
	return "the trace has no 200 with a receipt"
}

// The judge itself, on traces with the order that it is there to find.
func TestAckOrder(t *testing.T) {
	const (
		write = `11 pwrite64(7</d/spool/1.seg>, "..BODY..", 8, 0) = 8` + "\n"
		sync  = `11 fdatasync(7</d/spool/1.seg>) = 0` + "\n"
		begin = `11 fdatasync(7</d/spool/1.seg> <unfinished ...>` + "\n"
		end   = `11 <... fdatasync resumed>) = 0` + "\n"
		fails = `11 <... fdatasync resumed>) = -1 EIO (Input/output error)` + "\n"
		other = `11 fdatasync(8</d/spool/2.seg>) = 0` + "\n"
		ack   = `12 write(9<socket:[1]>, "HTTP/1.1 200 OK\r\nx-indelible-receipt: l/1/00", 40) = 40` + "\n"
	)
	for trace, ok := range map[string]bool{
		write + sync + ack:          true,
		write + begin + end + ack:   true,
		write + ack + sync:          false,
		write + begin + ack + end:   false,
		begin + write + end + ack:   false,
		write + begin + fails + ack: false,
		write + other + ack:         false,
		sync + ack:                  false,
		write + sync:                false,
	} {
		if problem := ackOrder(trace, "BODY"); (problem == "") != ok {
			t.Errorf("problem %q in\n%s", problem, trace)
		}
	}
}
