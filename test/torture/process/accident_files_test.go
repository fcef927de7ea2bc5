//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"indelible/internal/torture/driver"
)

// fileAccidents befall single files of the data directory, and who may open them.
var fileAccidents = func() []accident {
	all := []accident{
		{name: "pids.max is met", run: (*mishap).crowded},
		{name: "data directory closed to the service", long: true, run: func(m *mishap) error {
			return m.asNobody(func([]string) error {
				if err := m.begin(); err != nil {
					return err
				}
				m.front.Refuse()
				if err := m.must("open", 20); err != nil {
					return err
				}
				if err := m.own(0, 0); err != nil { // as after a restore by root
					return err
				}
				m.send("closed", 20)
				m.serve.Kill()
				if m.serve.Start() == nil {
					return fmt.Errorf("it starts on files of somebody else")
				}
				if said := m.serve.Tail(); !strings.Contains(said, "permission denied") {
					return fmt.Errorf("it does not say why it cannot start: %s", said)
				}
				if err := m.own(65534, 65534); err != nil {
					return err
				}
				return m.settled()
			})
		}},
		{name: "data directory not writable in the middle", run: func(m *mishap) error {
			return m.asNobody(func([]string) error {
				if err := m.begin(); err != nil {
					return err
				}
				m.front.Refuse()
				if err := m.must("open", 20); err != nil {
					return err
				}
				modes := func(mode os.FileMode) error {
					return filepath.WalkDir(m.serve.Data, func(name string, d fs.DirEntry, err error) error {
						if err != nil || !d.IsDir() {
							return err
						}
						return os.Chmod(name, mode)
					})
				}
				if err := modes(0o500); err != nil {
					return err
				}
				m.send("closed", 60)
				if err := m.front.Accept(); err != nil {
					return err
				}
				if err := m.serve.Delivered(m.ctx, patience); err != nil {
					return fmt.Errorf("nothing is delivered from a directory in which no file can be made: %w", err)
				}
				m.serve.Kill()
				if err := modes(0o700); err != nil {
					return err
				}
				return m.settled()
			})
		}},
		{name: "hard-linked copy started", long: true, run: func(m *mishap) error {
			if err := m.begin(); err != nil {
				return err
			}
			m.front.Refuse()
			if err := m.must("both", 20); err != nil {
				return err
			}
			m.serve.Kill()
			copied := m.serve.Data + ".links"
			if out, err := exec.Command("cp", "-al", m.serve.Data, copied).CombinedOutput(); err != nil {
				return &notHere{string(out)}
			}
			second := *m.serve
			second.Data, second.Log = copied, filepath.Join(m.dir, "second")
			defer second.Kill()
			if err := second.Start(); err == nil {
				for range 20 {
					m.sent++
					m.oracle.Put(m.ctx, m.client, second.At.S3, driver.Name("copy", uint64(m.sent), 600), 0)
				}
				if m.serve.Start() == nil { // beside it: their files are the same
					m.oracle.NumbersMayRepeat()
					m.send("beside", 20)
					m.serve.Kill()
				}
				second.Kill()
			}
			if err := m.front.Accept(); err != nil {
				return err
			}
			original := *m.serve
			*m.serve = second // its pending records lead out, too
			err := m.settle()
			*m.serve = original
			if err != nil {
				return fmt.Errorf("the copy: %w", err)
			}
			return m.settled()
		}},
		{name: "two daemons, and locks that do not hold", run: func(m *mishap) error {
			strace, err := exec.LookPath("strace")
			if err != nil {
				return &notHere{"needs strace"}
			}
			if err := m.begin(); err != nil {
				return err
			}
			m.front.Refuse()
			if err := m.must("first", 20); err != nil {
				return err
			}
			first := *m.serve
			m.serve.Wrap = []string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:retval=0"}
			m.serve.Log = filepath.Join(m.dir, "second")
			if m.serve.Start() == nil {
				m.oracle.NumbersMayRepeat()
				for range 20 {
					m.send("second", 2)
					m.sent++
					m.oracle.Put(m.ctx, m.client, first.At.S3, driver.Name("first", uint64(m.sent), 600), 0)
				}
			}
			first.Kill()
			m.serve.Kill()
			m.serve.Wrap = nil
			return m.settled()
		}},
		{name: "stopped for a minute under load", long: true, run: func(m *mishap) error {
			if err := m.begin(); err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(m.ctx)
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for n := 0; ctx.Err() == nil; n++ {
					_ = m.oracle.Put(ctx, m.client, m.serve.At.S3, driver.Name("through", uint64(n), 600), 0)
				}
			}()
			time.Sleep(time.Second)
			if err := syscall.Kill(m.serve.At.PID, syscall.SIGSTOP); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			err := syscall.Kill(m.serve.At.PID, syscall.SIGCONT)
			time.Sleep(2 * time.Second)
			cancel()
			<-done
			if err != nil {
				return err
			}
			return m.settled()
		}},
	}
	for _, name := range []string{"log.key", "log.name", "proof/state", "spool/state", "index.db"} {
		all = append(all, accident{name: "zero length after a crash: " + name, run: func(m *mishap) error { return m.emptied(name) }})
	}
	for _, name := range []string{"log.vkey", "proof/state.spare", "run.json", "admin.token", "lock", "spool/acked", "spool/buckets", "spool/ballast"} {
		all = append(all, accident{name: "zero length after a crash: " + name, long: true, run: func(m *mishap) error { return m.emptied(name) }})
	}
	return all
}()

// emptied leaves a file of the data directory empty, as some file systems leave what was not synced when the power went.
func (m *mishap) emptied(name string) error {
	if err := m.pendingKilled(); err != nil {
		return err
	}
	file := filepath.Join(m.serve.Data, filepath.FromSlash(name))
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return &notHere{"there is no " + name}
	}
	if err := os.Truncate(file, 0); err != nil {
		return err
	}
	if err := m.serve.Start(); err == nil {
		m.send("after", 5)
	}
	if name == "proof/state" {
		if said := m.serve.Tail(); !strings.Contains(said, "move that file away") {
			return fmt.Errorf("it does not say what to do: %s", said)
		}
		m.serve.Kill()
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return m.settled()
}

// asNobody runs an accident with the daemon as a user that may not do everything.
func (m *mishap) asNobody(run func(user []string) error) error {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Getuid() != 0 {
		return &notHere{"needs root and setpriv"}
	}
	if err := m.reachable(65534); err != nil {
		return err
	}
	m.serve.Wrap = []string{setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"}
	return run(m.serve.Wrap)
}

// own gives the whole data directory to a user.
func (m *mishap) own(uid, gid int) error {
	return filepath.WalkDir(m.serve.Data, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, uid, gid)
	})
}

// crowded runs the daemon where it may have few threads, and has more clients than that.
func (m *mishap) crowded() error {
	group := ""
	for _, root := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(root); err != nil {
			continue
		}
		dir := filepath.Join(root, fmt.Sprintf("indelible-torture-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "pids.max")); err != nil {
			_ = os.Remove(dir)
			continue
		}
		group = dir
		break
	}
	if group == "" {
		return &notHere{"needs root and a control group with pids.max"}
	}
	m.t.Cleanup(func() {
		for range 100 {
			if os.Remove(group) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	limit := func(n string) error { return os.WriteFile(filepath.Join(group, "pids.max"), []byte(n), 0) }
	if err := limit("60"); err != nil {
		return &notHere{err.Error()}
	}
	m.serve.Wrap = []string{"/bin/sh", "-c", "echo $$ > " + group + `/cgroup.procs && exec "$@"`, "sh"}
	if err := m.begin(); err != nil {
		return err
	}
	defer m.killAt()
	if err := m.until("it says that few threads are left", func() (bool, string) {
		b, err := os.ReadFile(m.serve.Log)
		return err == nil && strings.Contains(string(b), "pids.max"), string(b)
	}); err != nil {
		return err
	}
	if err := limit("1"); err != nil { // it keeps those that it has
		return err
	}
	m.front.Refuse()
	done := make(chan int)
	for c := range 40 {
		go func() {
			n := 0
			for range 20 {
				if m.oracle.Put(m.ctx, m.client, m.serve.At.S3, driver.Name(fmt.Sprint("crowd-", c), uint64(n), 300000), 0) == nil {
					n++
				}
			}
			done <- n
		}()
	}
	for range 40 {
		<-done
	}
	m.killAt()
	if err := limit("60"); err != nil {
		return err
	}
	if err := m.front.Accept(); err != nil {
		return err
	}
	if err := m.serve.Start(); err != nil {
		return err
	}
	b, err := os.ReadFile(m.serve.Log)
	if err != nil {
		return err
	}
	if said := string(b); strings.Contains(said, "newosproc") && !strings.Contains(said, "was met") {
		return fmt.Errorf("it ended for want of a thread, and does not say so at the next start: %s", m.serve.Tail())
	}
	if said, _ := m.serve.Run(m.ctx, "doctor"); !strings.Contains(string(said), "pids.max") {
		return fmt.Errorf("doctor does not tell of the limit: %s", said)
	}
	return m.settled()
}
