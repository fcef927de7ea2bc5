//go:build unix

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// logAccidents befall the log, its key and the bucket.
var logAccidents = []accident{
	{name: "log.key lost", run: func(m *mishap) error {
		return m.lost("log.key")
	}},
	{name: "log.name lost", run: func(m *mishap) error {
		if err := m.pendingKilled(); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(m.serve.Data, "log.name")); err != nil {
			return err
		}
		return m.settled() // it stands elsewhere, too
	}},
	{name: "checkpoint removed from the bucket", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		names, err := filepath.Glob(filepath.Join(m.bucket, "_indelible", "*", "checkpoint"))
		if err != nil || len(names) != 1 {
			return fmt.Errorf("%q: %w", names, err)
		}
		if err := errors.Join(os.Remove(names[0]), m.must("without", 10), m.proven()); err != nil {
			return err
		}
		if err := m.serve.Stop(); err != nil {
			return err
		}
		if err := os.Remove(names[0]); err != nil { // and while nothing runs
			return err
		}
		return m.settled()
	}},
	{name: "older checkpoint put back", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		names, err := filepath.Glob(filepath.Join(m.bucket, "_indelible", "*", "checkpoint"))
		if err != nil || len(names) != 1 {
			return fmt.Errorf("%q: %w", names, err)
		}
		old := names[0] + ".old" // with the attributes that the S3 server keeps beside it
		if err := errors.Join(copyFile(names[0], old), m.must("newer", 10), m.proven(), m.serve.Stop()); err != nil {
			return err
		}
		if err := os.Rename(old, names[0]); err != nil {
			return err
		}
		return m.settled()
	}},
	{name: "proof/state damaged", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		if err := m.serve.Stop(); err != nil {
			return err
		}
		name := filepath.Join(m.serve.Data, "proof", "state")
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for i := range b {
			b[i] ^= 0x55
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return err
		}
		if _, err := m.serve.Status(m.ctx); err != nil {
			return fmt.Errorf("status while proof/state is damaged: %w", err)
		}
		if m.serve.Start() == nil { // acks go on; what it says of the log names the remedy
			if err := m.must("damaged", 5); err != nil {
				return err
			}
			resp, err := m.client.Get("http://" + m.serve.At.Admin + "/metrics")
			if err != nil {
				return err
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || !bytes.Contains(text, []byte("indelible_pending_records")) {
				return fmt.Errorf("/metrics while proof/state is damaged: %s, %v", resp.Status, err)
			}
		}
		if err := m.until("it says what is damaged", func() (bool, string) {
			said := m.serve.Tail()
			return strings.Contains(said, "proof/state"), said
		}); err != nil {
			return err
		}
		m.serve.Kill()
		if err := os.Rename(name, name+".damaged"); err != nil { // as it is told to
			return err
		}
		return m.settled()
	}},
	{name: "objects removed from the bucket", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		if err := errors.Join(m.must("eaten", 10), m.proven()); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(m.bucket, "eaten")); err != nil {
			return err
		}
		return m.settled("eaten") // verify has to say so
	}},
	{name: "store directory replaced under the daemon", run: func(m *mishap) error {
		m.toDir()
		if err := m.begin(); err != nil {
			return err
		}
		away := m.bucket + ".away"
		if err := errors.Join(os.Rename(m.bucket, away), os.Mkdir(m.bucket, 0o700)); err != nil {
			return err
		}
		m.send("after", 30)
		// It may wait for the right one, deliver to the new one, or stop; nothing may be counted
		// as delivered and be in neither.
		m.serve.Wait(5e9)
		m.serve.Kill()
		if err := errors.Join(os.RemoveAll(m.bucket+".new"), os.Rename(m.bucket, m.bucket+".new"), os.Rename(away, m.bucket)); err != nil {
			return err
		}
		return m.settled()
	}},
	{name: "mistyped destination", run: func(m *mishap) error {
		if err := m.pendingKilled(); err != nil {
			return err
		}
		right := m.serve.To
		wrong := m.bucket + "-mistyped"
		if err := os.Mkdir(wrong, 0o700); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(wrong) }()
		m.serve.To = "s3://" + filepath.Base(wrong)
		if m.serve.Start() == nil {
			m.serve.Wait(3e9)
			m.serve.Kill()
		}
		m.serve.To = right
		var there []string
		err := filepath.WalkDir(wrong, func(name string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				there = append(there, name)
			}
			return err
		})
		if err != nil || len(there) > 0 {
			return fmt.Errorf("delivered to a bucket that has another log or none: %q, %v", there, err)
		}
		return m.settled()
	}},
	{name: "files of two logs mixed", run: func(m *mishap) error {
		if err := m.pendingKilled(); err != nil {
			return err
		}
		first := *m.serve
		m.serve.Data = filepath.Join(m.dir, "second")
		if err := errors.Join(m.begin(), m.serve.Stop()); err != nil {
			return err
		}
		for _, name := range []string{"log.name", "log.key", "log.vkey", "proof"} {
			if err := os.RemoveAll(filepath.Join(first.Data, name)); err != nil {
				return err
			}
			if err := copyFile(filepath.Join(m.serve.Data, name), filepath.Join(first.Data, name)); err != nil {
				return err
			}
		}
		*m.serve = first
		if m.serve.Start() == nil {
			return fmt.Errorf("it starts on the files of two logs")
		}
		return m.rescued()
	}},
	{name: "two logs in one bucket", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		first := *m.serve
		m.serve.Kill()
		m.serve.Data = filepath.Join(m.dir, "second")
		if err := m.begin(); err != nil {
			return err
		}
		if err := m.serve.Stop(); err != nil {
			return err
		}
		out, err := m.serve.Run(m.ctx, "verify")
		if err != nil || bytes.Contains(out, []byte("extra")) {
			return fmt.Errorf("verify of one of two logs: %v: %s", err, out)
		}
		*m.serve = first
		return m.settled()
	}},
}

// copyFile copies a file with all its attributes.
func copyFile(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, out)
	}
	return nil
}

// pendingKilled leaves records that are acked and not delivered, and no daemon.
func (m *mishap) pendingKilled() error {
	if err := m.begin(); err != nil {
		return err
	}
	m.front.Refuse()
	if err := m.must("pending", 30); err != nil {
		return err
	}
	m.serve.Kill()
	return m.front.Accept()
}

// lost removes a file of the log with records pending: the daemon refuses, and says the way out.
func (m *mishap) lost(name string) error {
	if err := m.pendingKilled(); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(m.serve.Data, name)); err != nil {
		return err
	}
	if err := m.serve.Start(); err == nil {
		return fmt.Errorf("it starts without %s", name)
	}
	return m.rescued()
}
