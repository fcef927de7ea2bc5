package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"indelible/internal/control"
	"indelible/internal/layout/pack"
)

// commands are what the scripts can do besides testscript's own.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits":      exits,
		"ready":      ready,
		"http":       request,
		"term":       terminate,
		"eventually": eventually,
		"receipt":    receipt,
		"rows":       rows,
	}
}

// exits STATUS COMMAND... runs a command that must end with STATUS.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

const (
	patience = 20 * time.Second
	pause    = 10 * time.Millisecond
)

// wait asks until f is true, and fails the script after patience.
func wait(ts *testscript.TestScript, what string, f func() bool) {
	for end := time.Now().Add(patience); !f(); time.Sleep(pause) {
		if time.Now().After(end) {
			ts.Fatalf("after %s still not: %s", patience, what)
		}
	}
}

// rows N FILE... reads N rows out of Parquet files, in which each body has its row's digest, and writes them to the file "rows".
func rows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: rows N FILE...")
	}
	var out strings.Builder
	n := 0
	for _, name := range args[1:] {
		b := ts.ReadFile(name)
		r, err := pack.Open(strings.NewReader(b), int64(len(b)))
		ts.Check(err)
		for row, err := range r.Rows(context.Background()) {
			ts.Check(err)
			if sum := sha256.Sum256(row.Body); row.Object == "" && sum != row.Info.Digest {
				ts.Fatalf("record %d has other bytes than its digest says", row.Info.Seq)
			}
			n++
			fmt.Fprintln(&out, row.Info.Seq, row.Info.Bucket, row.Key, row.Info.Attrs.Get("content-type"), row.Object)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("rows"), []byte(out.String()), 0o600))
	if fmt.Sprint(n) != args[0] {
		ts.Fatalf("%d rows:\n%s", n, out.String())
	}
}

// ready [DATA] waits until the daemon on that data directory takes records, and
// sets S3, ADMIN and PID to what its run.json says.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs("indelible-data")
	if len(args) == 1 {
		dir = ts.MkAbs(args[0])
	}
	var r control.Running
	wait(ts, "ready", func() bool {
		var err error
		if r, err = control.ReadRunning(dir); err != nil {
			return false
		}
		resp, err := http.Get("http://" + r.Admin + "/readyz")
		if err != nil {
			return false
		}
		return errors.Join(resp.Body.Close()) == nil && resp.StatusCode == http.StatusOK
	})
	ts.Setenv("S3", r.S3)
	ts.Setenv("HTTP", r.HTTP)
	ts.Setenv("PROXY", r.Proxy)
	ts.Setenv("ADMIN", r.Admin)
	ts.Setenv("PID", strconv.Itoa(r.PID))
}

// http STATUS METHOD URL [BODY] [HEADER:VALUE...] sends a request whose body is a
// text in which {NL} is a line break, and writes the answer's headers and body to stdout's file "answer".
func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http STATUS METHOD URL [BODY] [HEADER:VALUE...]")
	}
	body := ""
	if len(args) > 3 {
		body = args[3]
	}
	body = strings.ReplaceAll(body, "{NL}", "\n")
	req, err := http.NewRequest(args[1], args[2], strings.NewReader(body))
	ts.Check(err)
	for _, h := range args[min(4, len(args)):] {
		name, value, _ := strings.Cut(h, ":")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }()
	var answer bytes.Buffer
	ts.Check(resp.Header.Write(&answer))
	_, err = io.Copy(&answer, resp.Body)
	ts.Check(err)
	_, _ = fmt.Fprintf(ts.Stdout(), "%s", answer.String())
	if want := args[0]; strconv.Itoa(resp.StatusCode) != want {
		ts.Fatalf("%s %s: %s, want %s\n%s", args[1], args[2], resp.Status, want, answer.String())
	}
}

// terminate (term) sends SIGTERM to the daemon that ready found.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	p, err := os.FindProcess(pid)
	ts.Check(err)
	ts.Check(p.Signal(syscall.SIGTERM))
}

// eventually TEXT COMMAND... runs a command until its output holds TEXT.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually TEXT COMMAND...")
	}
	wait(ts, args[0], func() bool {
		err := ts.Exec(args[1], args[2:]...)
		return err == nil && strings.Contains(ts.ReadFile("stdout"), args[0])
	})
}

// receipt NAME sets NAME to the receipt in the answer that was read last, and FORGED
// to one that names the same record and other bytes.
func receipt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: receipt NAME")
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "x-indelible-receipt") {
			value = strings.TrimSpace(value)
			ts.Setenv(args[0], value)
			ts.Setenv("FORGED", value[:strings.LastIndexByte(value, '/')+1]+strings.Repeat("0", 64))
			return
		}
	}
	ts.Fatalf("no receipt in the answer")
}
