//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// platformAccidents come from what the daemon runs in: users, limits, files beside it, signals.
var platformAccidents = []accident{
	{name: "keys rotated as root", run: func(m *mishap) error {
		setpriv, err := exec.LookPath("setpriv")
		if err != nil || os.Getuid() != 0 {
			return &notHere{"needs root and setpriv"}
		}
		const nobody = 65534
		if err := m.reachable(nobody); err != nil {
			return err
		}
		m.serve.Wrap = []string{setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"}
		if err := m.begin(); err != nil {
			return err
		}
		if err := m.serve.Stop(); err != nil {
			return err
		}
		if _, err := m.serve.Run(m.ctx, "keys", "rotate"); err != nil { // as root
			return err
		}
		return m.settled()
	}},
	{name: "credentials corrected in the shared file", run: func(m *mishap) error {
		file := filepath.Join(m.dir, "credentials")
		write := func(secret string) error {
			return os.WriteFile(file, []byte("[default]\naws_access_key_id = "+m.s3.Access+"\naws_secret_access_key = "+secret+"\n"), 0o600)
		}
		if err := write("another"); err != nil {
			return err
		}
		var env []string
		for _, e := range m.serve.Env {
			if !strings.HasPrefix(e, "AWS_ACCESS") && !strings.HasPrefix(e, "AWS_SECRET") {
				env = append(env, e)
			}
		}
		m.serve.Env = append(env, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SHARED_CREDENTIALS_FILE="+file, "AWS_EC2_METADATA_DISABLED=true")
		if err := m.serve.Start(); err != nil {
			return err
		}
		if err := m.must("wrong", 20); err != nil {
			return err
		}
		if err := m.until("the destination's state is credentials", func() (bool, string) {
			st, err := m.serve.Status(m.ctx)
			return err == nil && st.Destination.State == "credentials", fmt.Sprintf("%+v %v", st.Destination, err)
		}); err != nil {
			return err
		}
		if err := write(m.s3.Secret); err != nil {
			return err
		}
		return m.settled() // without a restart
	}},
	{name: "data directory behind an absolute symlink", run: func(m *mishap) error {
		real := filepath.Join(m.dir, "real")
		if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, m.serve.Data)); err != nil {
			return err
		}
		if err := m.begin(); err != nil {
			return err
		}
		m.serve.Kill()
		return m.settled()
	}},
	{name: "destination behind an absolute symlink", run: func(m *mishap) error {
		m.toDir()
		real := m.bucket
		m.bucket += ".link"
		if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, m.bucket)); err != nil {
			return err
		}
		m.serve.To = "file://" + m.bucket
		if err := m.begin(); err != nil {
			return err
		}
		m.bucket = real // to count in
		return m.settled()
	}},
	{name: "the logger behind stderr ends", run: func(m *mishap) error {
		m.serve.Wrap = []string{"/bin/sh", "-c", `exec "$@" 2>&1 >/dev/null | head -n 1`, "sh"}
		if err := m.serve.Start(); err != nil {
			return err
		}
		defer m.killAt()
		for n := range 20 { // each refusal is a line to stderr
			if err := m.must("piped", 2); err != nil {
				return err
			}
			_, _ = m.client.Get(fmt.Sprintf("http://%s/audit/none-%d?torrent", m.serve.At.S3, n))
		}
		m.killAt()
		m.serve.Wrap = nil
		return m.settled()
	}},
	{name: "SIGHUP", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		if err := m.must("before", 20); err != nil {
			return err
		}
		if err := syscall.Kill(m.serve.At.PID, syscall.SIGHUP); err != nil {
			return err
		}
		if m.serve.Wait(10 * time.Second) { // a stop in order, or a reload
			if err := m.serve.Exit(); err != nil {
				return fmt.Errorf("SIGHUP ends it with %w", err)
			}
		}
		return m.settled()
	}},
	{name: "socket and run.json removed", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		if err := errors.Join(os.Remove(filepath.Join(m.serve.Data, "run.json")), os.Remove(filepath.Join(m.serve.Data, "indelible.sock"))); err != nil {
			return err
		}
		if err := m.must("without", 10); err != nil {
			return err
		}
		if err := m.serve.Stop(); err != nil {
			return err
		}
		return m.settled()
	}},
	{name: "status of a stopped process", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		if err := syscall.Kill(m.serve.At.PID, syscall.SIGSTOP); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(m.ctx, time.Minute)
		_, err := m.serve.Status(ctx)
		ended := ctx.Err() == nil
		cancel()
		if err := syscall.Kill(m.serve.At.PID, syscall.SIGCONT); err != nil {
			return err
		}
		if err == nil || !ended {
			return fmt.Errorf("status of a stopped daemon: %v, by itself: %v", err, ended)
		}
		return m.settled()
	}},
	{name: "too few descriptors", run: func(m *mishap) error {
		prlimit, err := exec.LookPath("prlimit")
		if err != nil {
			return &notHere{"needs prlimit"}
		}
		m.serve.Wrap = []string{prlimit, "--nofile=80:80"}
		if err := m.begin(); err != nil {
			return err
		}
		var idle []net.Conn
		defer func() {
			for _, c := range idle {
				_ = c.Close()
			}
		}()
		for range 120 {
			if c, err := net.DialTimeout("tcp", m.serve.At.S3, time.Second); err == nil {
				idle = append(idle, c)
			}
		}
		m.send("crowded", 5)
		for _, c := range idle {
			_ = c.Close()
		}
		idle = nil
		return m.settled()
	}},
	{name: "a file may not grow (EFBIG)", run: func(m *mishap) error {
		prlimit, err := exec.LookPath("prlimit")
		if err != nil {
			return &notHere{"needs prlimit"}
		}
		m.serve.Wrap = []string{prlimit, "--fsize=1048576:1048576"}
		if m.serve.Start() == nil {
			m.front.Refuse()
			for range 40 {
				m.send("limited", 50)
			}
			if m.send("limited", 1) == 0 { // refused: then everybody is told why
				st, err := m.serve.Status(m.ctx)
				if err != nil || st.Disk.State == "ok" || st.Health().Level == "good" {
					return fmt.Errorf("status says that all is well: %+v %v", st.Disk, err)
				}
				if code := m.readyz(); code == http.StatusOK {
					return fmt.Errorf("/readyz says 200 where no file may grow")
				}
			}
			m.serve.Kill()
			if log, err := os.Stat(m.serve.Log); err != nil || log.Size() > 1<<20 {
				return fmt.Errorf("the log grew to %d bytes: %w", log.Size(), err)
			}
		}
		m.serve.Wrap = nil
		return m.settled()
	}},
}

// reachable gives the data directory to a user, and lets that user through to it.
func (m *mishap) reachable(uid int) error {
	if err := os.Mkdir(m.serve.Data, 0o700); err != nil {
		return err
	}
	for dir := m.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(os.Chown(m.serve.Data, uid, uid), os.Chmod(m.serve.Config, 0o644), os.Chmod(m.serve.Binary, 0o755), os.Chmod(filepath.Dir(m.serve.Binary), 0o755))
}

// killAt kills the daemon itself, where a shell stands before it.
func (m *mishap) killAt() {
	if m.serve.At.PID > 0 {
		_ = syscall.Kill(m.serve.At.PID, syscall.SIGKILL)
	}
	m.serve.Kill()
}

// readyz is what the daemon says of itself.
func (m *mishap) readyz() int {
	resp, err := m.client.Get("http://" + m.serve.At.Admin + "/readyz")
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}
