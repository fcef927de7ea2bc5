// Package driver runs the real binary for the torture scenarios: it builds and
// starts serve, kills and stops it, sends it records from many clients, and
// counts what was acked against what a bucket holds in the end.
package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/control"
	"indelible/internal/torture"
)

// Build builds the product as it is shipped, static, and returns its path, or that of the
// binary that torture.EnvBinary names.
func Build(t testing.TB) string {
	t.Helper()
	if binary := os.Getenv(torture.EnvBinary); binary != "" {
		return binary
	}
	binary := filepath.Join(t.TempDir(), "indelible")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "indelible/cmd/indelible")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the binary: %v\n%s", err, out)
	}
	return binary
}

// patience bounds every wait for the binary to do what it does in milliseconds.
const patience = 2 * time.Minute

// Serve is a serve process, started again and again on one data directory. Set
// the exported fields before the first Start. It is for one goroutine.
type Serve struct {
	Binary string
	Data   string   // the data directory
	To     string   // the destination; "": the directory store below Data
	Config string   // a YAML file; "": none
	Args   []string // further flags
	Env    []string // further environment
	Wrap   []string // put before the command line: a tracer
	Log    string   // a file that stderr is appended to

	At control.Running // where its doors are; set by Start

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
	exit  error         // of Wait; readable once ended is closed
}

// Launch starts the process and does not wait for anything.
func (s *Serve) Launch() error {
	line := append(append([]string{}, s.Wrap...), s.Binary, "serve", "--data", s.Data,
		"--s3", "127.0.0.1:0", "--http", "127.0.0.1:0", "--proxy", "off", "--admin", "127.0.0.1:0", "--log-format", "json")
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	if len(s.Wrap) > 0 {
		_ = os.Remove(s.runFile()) // of one that was killed; without a tracer the process id tells them apart
	}
	s.cmd = exec.Command(line[0], append(line[1:], s.Args...)...)
	s.cmd.Env, s.cmd.Stderr = s.environ(), log
	DieWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start serve: %w", err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		s.exit = cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)
	return nil
}

func (s *Serve) runFile() string { return filepath.Join(s.Data, "run.json") }

func (s *Serve) environ() []string {
	env := append(os.Environ(), "INDELIBLE_CONFIG="+s.Config)
	if s.To != "" {
		env = append(env, "INDELIBLE_TO="+s.To)
	}
	return append(env, s.Env...)
}

// Ready waits until the doors take records.
func (s *Serve) Ready() error { return s.answers("/readyz") }

// Up waits until the process answers, ready or not: on a disk that is full it is not.
func (s *Serve) Up() error { return s.answers("/healthz") }

// answers waits until a path of the admin's answers with 200.
func (s *Serve) answers(path string) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		select {
		case <-s.ended:
			return fmt.Errorf("serve ended by itself: %v\n%s", s.exit, s.Tail())
		default:
		}
		at, err := control.ReadRunning(s.Data)
		if err == nil && len(s.Wrap) == 0 && at.PID != s.cmd.Process.Pid {
			err = fmt.Errorf("run.json is of process %d", at.PID)
		}
		if err == nil {
			var resp *http.Response
			if resp, err = client.Get("http://" + at.Admin + path); err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					s.At = at
					return nil
				}
			}
		}
		if time.Now().After(end) {
			s.Kill()
			return fmt.Errorf("no 200 from %s within %v: %v\n%s", path, patience, err, s.Tail())
		}
	}
}

// Start is Launch and Ready.
func (s *Serve) Start() error {
	if err := s.Launch(); err != nil {
		return err
	}
	return s.Ready()
}

// Kill is kill -9, of the tracer too where there is one, and waits until the process is gone.
func (s *Serve) Kill() {
	if s.cmd == nil {
		return
	}
	if len(s.Wrap) > 0 {
		if s.At.PID > 0 {
			_ = signal(s.At.PID, os.Kill) // it may be gone
		}
		// Where run.json could not be written At is not of this process, and what is traced outlives its tracer.
		for _, pid := range children(s.cmd.Process.Pid) {
			_ = signal(pid, os.Kill)
		}
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// children are the processes that a process has started (Linux; elsewhere none are known).
func children(pid int) []int {
	p := strconv.Itoa(pid)
	list, _ := os.ReadFile(filepath.Join("/proc", p, "task", p, "children"))
	var pids []int
	for field := range strings.FieldsSeq(string(list)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// Term asks the process to stop in order.
func (s *Serve) Term() error {
	pid := s.cmd.Process.Pid
	if len(s.Wrap) > 0 {
		pid = s.At.PID // a tracer would not pass it on
	}
	err := signal(pid, syscall.SIGTERM)
	if err != nil && s.Wait(time.Second) {
		err = fmt.Errorf("serve had ended by itself: %w: %v\n%s", err, s.exit, s.Tail())
	}
	return err
}

func signal(pid int, sig os.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return errors.Join(p.Signal(sig), p.Release())
}

// Stop asks the process to stop in order, and fails unless it does and says that all is well.
func (s *Serve) Stop() error {
	if err := s.Term(); err != nil {
		return fmt.Errorf("stop serve: %w\n%s", err, s.Tail())
	}
	if !s.Wait(2 * patience) {
		s.Kill()
		return fmt.Errorf("serve did not stop within %v\n%s", 2*patience, s.Tail())
	}
	if s.exit != nil {
		return fmt.Errorf("serve did not stop well: %w\n%s", s.exit, s.Tail())
	}
	return nil
}

// Wait waits for the process to end and says whether it did in time.
func (s *Serve) Wait(most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
	}
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Exit is how the process ended, once Wait has said that it did.
func (s *Serve) Exit() error { return s.exit }

// PID is the process id, of the tracer where there is one.
func (s *Serve) PID() int { return s.cmd.Process.Pid }

// Tail is the end of the log.
func (s *Serve) Tail() string {
	b, _ := os.ReadFile(s.Log) // what cannot be read is not shown
	if len(b) > 4096 {
		b = b[len(b)-4096:]
	}
	return string(b)
}

// Run runs a command of the binary on the same data directory and destination,
// and returns its stdout. The error holds its stderr.
func (s *Serve) Run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.Binary, append(args, "--data", s.Data)...)
	cmd.Env = s.environ()
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", args[0], err, complaints.String())
	}
	return out, err
}

// Status is what status --json says.
func (s *Serve) Status(ctx context.Context) (control.Status, error) {
	var st control.Status
	out, err := s.Run(ctx, "status", "--json")
	if err == nil {
		err = json.Unmarshal(out, &st)
	}
	return st, err
}

// Delivered waits until nothing is pending.
func (s *Serve) Delivered(ctx context.Context, most time.Duration) error {
	return s.until(ctx, most, func(st control.Status) bool { return st.Pending == 0 })
}

// Proven waits until nothing is pending and a checkpoint covers all that is stored: what a stop
// leaves out of the log the next start adds.
func (s *Serve) Proven(ctx context.Context, most time.Duration) error {
	return s.until(ctx, most, func(st control.Status) bool { return st.Pending == 0 && st.Proven >= st.Stored })
}

func (s *Serve) until(ctx context.Context, most time.Duration, met func(control.Status) bool) error {
	for end := time.Now().Add(most); ; time.Sleep(20 * time.Millisecond) {
		st, err := s.Status(ctx)
		if err == nil && met(st) {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(err, fmt.Errorf("%d records are still pending after %v: %+v\n%s", st.Pending, most, st, s.Tail()))
		}
	}
}

// Memory is the process's resident set now and at its peak, in bytes (Linux).
func Memory(pid int) (now, peak int64, err error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, 0, err
	}
	field := func(name string) int64 {
		_, rest, _ := strings.Cut(string(b), name+":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return 0
		}
		kib, _ := strconv.ParseInt(fields[0], 10, 64)
		return kib << 10
	}
	return field("VmRSS"), field("VmHWM"), nil
}

// Descriptors is how many files and sockets the process has open (Linux).
func Descriptors(pid int) (int, error) {
	list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return len(list), err
}
