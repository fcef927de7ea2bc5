//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

// accident is something that people and platforms do to a machine.
type accident struct {
	name string
	long bool // takes long, or is much like another one: only the long share runs it
	run  func(*mishap) error
}

// accidents are all of them.
var accidents = slices.Concat(spoolAccidents, logAccidents, platformAccidents, diskAccidents, storeAccidents, fileAccidents)

// TestTortureAccidents has each accident happen to the real binary, and judges the end: nothing that
// was acked is missing from the bucket, unless the accident itself took it away; no
// number was given to two records; verify is not content while something is gone; and where the daemon
// refuses, the command that it prints leads out.
func TestTortureAccidents(t *testing.T) {
	torture.NeedsShare(t)
	binary := driver.Build(t)
	s3 := testserver.Versitygw(t)
	row := torture.Report(t, "real binary, accidents", "accidents")
	slots := make(chan struct{}, killLanes) // they wait more than they work
	var skipped sync.Map
	t.Run("all", func(t *testing.T) {
		for n, a := range accidents {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				if a.long && torture.Share(0, 0, 1) == 0 {
					t.Skip("only --long runs it")
				}
				slots <- struct{}{}
				defer func() { <-slots }()
				m := newMishap(t, binary, s3, n)
				defer m.end()
				err := a.run(m)
				var not *notHere
				switch {
				case errors.As(err, &not):
					skipped.Store(a.name, not.why)
					t.Skip("cannot be had here: " + not.why)
				case err != nil:
					said, tail := err.Error(), m.serve.Tail()
					t.Errorf("%s\n...%s", said[:min(len(said), 1500)], tail[max(0, len(tail)-800):])
					row.FailedAt(strings.ReplaceAll(a.name, " ", "_"))
				}
				row.Ran(1, m.oracle.Acked())
			})
		}
	})
	var notes []string
	skipped.Range(func(name, why any) bool {
		notes = append(notes, fmt.Sprintf("not here: %s (%s)", name, why))
		return true
	})
	slices.Sort(notes)
	row.Note = strings.Join(notes, "; ")
}

// notHere says that an accident cannot be staged on this machine.
type notHere struct{ why string }

func (e *notHere) Error() string { return e.why }

// mishap is one data directory to which an accident happens, with a bucket behind a proxy.
type mishap struct {
	t      *testing.T
	ctx    context.Context
	dir    string // of its own, on the ordinary disk
	bucket string // the directory that is the bucket
	s3     *testserver.Server
	front  *faultproxy.Server
	serve  *driver.Serve
	oracle *driver.Oracle
	sent   int
	client *http.Client
}

// quick is a configuration by which everything happens within seconds.
const quick = "upload:\n  backoff_max: 500ms\n  attempt_timeout: 5s\nproof:\n  checkpoint_every: 1s\nshutdown:\n  drain: 2s\n"

func newMishap(t *testing.T, binary string, s3 *testserver.Server, n int) *mishap {
	t.Helper()
	m := &mishap{t: t, ctx: t.Context(), dir: t.TempDir(), s3: s3, oracle: driver.NewOracle(), client: &http.Client{Timeout: 30 * time.Second}}
	name := fmt.Sprintf("accident-%d", n)
	m.bucket = filepath.Join(s3.Root, name)
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if m.front, err = faultproxy.Listen("127.0.0.1:0", faultproxy.New(target, 1)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(m.dir, "indelible.yaml")
	if err := errors.Join(os.Mkdir(m.bucket, 0o700), os.WriteFile(config, []byte(quick), 0o600)); err != nil {
		t.Fatal(err)
	}
	m.serve = &driver.Serve{
		Binary: binary, Data: filepath.Join(m.dir, "data"), To: "s3://" + name, Config: config, Log: filepath.Join(m.dir, "log"),
		Env: []string{"AWS_ENDPOINT_URL_S3=http://" + m.front.Addr, "AWS_REGION=" + s3.Region, "AWS_ACCESS_KEY_ID=" + s3.Access, "AWS_SECRET_ACCESS_KEY=" + s3.Secret},
	}
	return m
}

func (m *mishap) end() {
	m.serve.Kill()
	m.client.CloseIdleConnections()
	m.front.Close()
	_ = os.RemoveAll(m.bucket)
}

// toDir has the daemon deliver into a directory.
func (m *mishap) toDir() {
	m.bucket = filepath.Join(m.dir, "store")
	m.serve.To = "file://" + m.bucket
}

// send sends n new records of a name, and returns how many were acked.
func (m *mishap) send(name string, n int) int {
	acked := 0
	for range n {
		m.sent++
		if m.oracle.Put(m.ctx, m.client, m.serve.At.S3, driver.Name(name, uint64(m.sent), 600), 0) == nil {
			acked++
		}
	}
	return acked
}

// must sends n records that all have to be acked.
func (m *mishap) must(name string, n int) error {
	if acked := m.send(name, n); acked != n {
		return fmt.Errorf("%s: %d of %d records were acked", name, acked, n)
	}
	return nil
}

// begin starts the daemon and has some records delivered and proven.
func (m *mishap) begin() error {
	if err := m.serve.Start(); err != nil {
		return err
	}
	if err := m.must("begin", 20); err != nil {
		return err
	}
	return m.proven()
}

// proven waits until everything is delivered, and covered by a checkpoint.
func (m *mishap) proven() error {
	return m.until("everything proven", func() (bool, string) {
		st, err := m.serve.Status(m.ctx)
		return err == nil && st.Pending == 0 && st.Proven >= st.Stored, fmt.Sprintf("%+v, %v", st, err)
	})
}

// patience bounds what takes seconds on a machine that is not busy.
const patience = 90 * time.Second

// until waits for something; what tells how it stands.
func (m *mishap) until(name string, met func() (ok bool, how string)) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ok, how := met()
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %v: %s", name, patience, how)
		}
	}
}

// copyData copies the data directory, as a backup does.
func (m *mishap) copyData(to string) error {
	return copyDir(m.serve.Data, to)
}

// putBack puts a copy in the place of the data directory.
func (m *mishap) putBack(from string) error {
	if err := os.RemoveAll(m.serve.Data); err != nil {
		return err
	}
	return copyDir(from, m.serve.Data)
}

func copyDir(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, out)
	}
	for _, name := range []string{"run.json", "indelible.sock"} {
		if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// supervise starts the daemon again and again, as systemd does with Restart=always, with senders at
// the door, until it has ended by itself times.
func (m *mishap) supervise(name string, times int) error {
	for range times {
		if err := m.serve.Launch(); err != nil {
			return err
		}
		if m.serve.Ready() == nil {
			for end := time.Now().Add(patience); !m.serve.Wait(0); {
				m.send(name, 5)
				if time.Now().After(end) {
					return fmt.Errorf("it does not end: nothing was noticed")
				}
			}
		}
		if !m.serve.Wait(patience) {
			return fmt.Errorf("it neither gets ready nor ends")
		}
	}
	return nil
}

var command = regexp.MustCompile(`"(indelible (?:\\.|[^"\\])+)"`)

// advised runs the one command that the last refusal printed, as it is printed, from another directory and
// with nothing but the destination's credentials in the environment.
func (m *mishap) advised() error {
	said := m.serve.Tail()
	all := command.FindAllStringSubmatch(strings.ReplaceAll(said, `\"`, `"`), -1)
	if len(all) == 0 {
		return fmt.Errorf("no command leads out: %s", said)
	}
	line := all[len(all)-1][1]
	bin := filepath.Join(m.dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(m.serve.Binary, filepath.Join(bin, "indelible")); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	cmd := exec.CommandContext(m.ctx, "/bin/sh", "-c", line)
	cmd.Dir = bin
	cmd.Env = append([]string{"PATH=" + bin + ":/usr/bin:/bin"}, m.serve.Env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the printed command %q: %w: %s", line, err, out)
	}
	return nil
}

// settled is the end of an accident: the daemon runs, or starts, where it has to after the one command
// that it prints; everything is delivered, and
// the bucket has every record that was acked, but for those whose names begin with one of the
// lost: the accident itself took them. Where there are any, verify has to say so.
func (m *mishap) settled(lost ...string) error {
	if err := m.settle(); err != nil {
		return err
	}
	return m.judge(lost...)
}

func (m *mishap) settle() error {
	if err := m.front.Accept(); err != nil {
		return err
	}
	if m.serve.Wait(0) {
		if err := m.serve.Start(); err != nil {
			if err := m.advised(); err != nil {
				return fmt.Errorf("start at the end: %w", err)
			}
			if err := m.serve.Start(); err != nil {
				return fmt.Errorf("start after the printed command: %w", err)
			}
		}
	}
	if err := m.must("end", 3); err != nil {
		return err
	}
	if err := m.proven(); err != nil {
		return err
	}
	return m.serve.Stop()
}

func (m *mishap) judge(lost ...string) error {
	f, err := m.oracle.Check(m.bucket)
	if err != nil {
		return err
	}
	gone := 0
	var errs []error
	for _, key := range f.Missing {
		if slices.ContainsFunc(lost, func(prefix string) bool { return strings.HasPrefix(key, prefix+"/") }) {
			gone++
			continue
		}
		errs = append(errs, fmt.Errorf("%s was acked and is in no bucket", key))
	}
	if len(errs) > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", len(errs)-5))
	}
	if f.Twice+f.Duplicated+f.Corrupted > 0 {
		errs = append(errs, fmt.Errorf("%d numbers given twice, %d objects too many, %d bodies changed: %s", f.Twice, f.Duplicated, f.Corrupted, strings.Join(f.What, "; ")))
	}
	report, err := m.serve.Run(m.ctx, "verify")
	switch {
	case gone+len(errs) > 0 && err == nil:
		errs = append(errs, fmt.Errorf("verify is content although %d acked records are gone: %s", len(f.Missing), report))
	case gone+len(errs) == 0 && err != nil:
		errs = append(errs, fmt.Errorf("nothing is gone, and verify says: %w: %s", err, report))
	}
	return errors.Join(errs...)
}
