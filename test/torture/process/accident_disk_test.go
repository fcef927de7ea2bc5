//go:build unix

package process

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// fileSystem is a kind of file system that a test can make and mount.
type fileSystem struct {
	name string
	mkfs []string // the command that makes it in an image; none: it is mounted without one
}

var (
	ext4  = fileSystem{"ext4", []string{"mkfs.ext4", "-q", "-F"}}
	xfs   = fileSystem{"xfs", []string{"mkfs.xfs", "-q", "-f"}}
	btrfs = fileSystem{"btrfs", []string{"mkfs.btrfs", "-q", "-f"}}
	// few is ext4 with as few inodes as it takes.
	ext2    = fileSystem{"ext2", []string{"mkfs.ext2", "-q", "-F"}} // knows no fallocate
	few     = fileSystem{"ext4", []string{"mkfs.ext4", "-q", "-F", "-N", "64"}}
	tmpfs   = fileSystem{"tmpfs", nil}
	overlay = fileSystem{"overlay", nil}
)

// diskAccidents happen on real file systems of their own.
var diskAccidents = []accident{
	{name: "full ext4", run: func(m *mishap) error { return m.filled(ext4) }},
	{name: "full xfs", run: func(m *mishap) error { return m.filled(xfs) }},
	{name: "full btrfs", run: func(m *mishap) error { return m.filled(btrfs) }},
	{name: "full ext2, which refuses fallocate", long: true, run: func(m *mishap) error { return m.filled(ext2) }},
	{name: "full tmpfs", run: func(m *mishap) error { return m.filled(tmpfs) }},
	{name: "killed on overlay", run: func(m *mishap) error {
		if err := m.mount(overlay, 0); err != nil {
			return err
		}
		if err := m.begin(); err != nil {
			return err
		}
		m.send("more", 50)
		m.serve.Kill()
		return m.settled()
	}},
	{name: "no inode left", run: func(m *mishap) error {
		if err := m.mount(few, 256); err != nil {
			return err
		}
		if err := m.begin(); err != nil {
			return err
		}
		m.front.Refuse()
		dir := filepath.Dir(m.serve.Data)
		var made []string
		for n := 0; ; n++ {
			name := filepath.Join(dir, fmt.Sprint("filler-", n))
			f, err := os.Create(name)
			if err != nil {
				break
			}
			_ = f.Close()
			made = append(made, name)
		}
		m.send("without", 40)
		if err := m.until("status tells of the inodes", func() (bool, string) {
			st, err := m.serve.Status(m.ctx)
			return err == nil && st.Disk.State == "inodes", fmt.Sprintf("%+v %v", st.Disk, err)
		}); err != nil {
			return err
		}
		m.serve.Kill()
		if err := m.front.Accept(); err != nil {
			return err
		}
		if err := errors.Join(m.serve.Launch(), m.serve.Up()); err != nil {
			return fmt.Errorf("start without an inode: %w", err)
		}
		if err := m.serve.Delivered(m.ctx, patience); err != nil {
			return fmt.Errorf("deliver without an inode: %w", err)
		}
		for _, name := range made {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
		return m.settled()
	}},
	{name: "file system turned read-only", run: func(m *mishap) error {
		if err := m.mount(ext4, 256); err != nil {
			return err
		}
		if err := m.begin(); err != nil {
			return err
		}
		m.front.Refuse()
		if err := m.must("before", 20); err != nil {
			return err
		}
		trigger, err := m.trigger()
		if err != nil {
			return err
		}
		if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
			return &notHere{err.Error()}
		}
		log, err := os.Stat(m.serve.Log)
		if err != nil {
			return err
		}
		begun := time.Now()
		for time.Since(begun) < 5*time.Second {
			if n := m.send("after", 5); n > 0 {
				return fmt.Errorf("%d records were acked on a file system that is read-only", n)
			}
		}
		if code := m.readyz(); code == http.StatusOK {
			return fmt.Errorf("/readyz says 200 on a file system that is read-only")
		}
		grown, err := os.Stat(m.serve.Log)
		if err != nil {
			return err
		}
		if n := grown.Size() - log.Size(); n > 256<<10 {
			return fmt.Errorf("the log grew by %d bytes in 5 s", n)
		}
		m.serve.Kill()
		if err := m.remount(); err != nil {
			return err
		}
		return m.settled()
	}},
}

// filled has the disk filled to the last byte by somebody else, with a backlog on it: the
// daemon is killed, starts, delivers, and takes records again once there is room.
func (m *mishap) filled(fs fileSystem) error {
	if err := m.mount(fs, 384); err != nil {
		return err
	}
	if err := m.begin(); err != nil {
		return err
	}
	m.front.Refuse()
	if err := m.must("backlog", 100); err != nil {
		return err
	}
	filler := filepath.Join(filepath.Dir(m.serve.Data), "filler")
	f, err := os.Create(filler)
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 20, 4096, 1} { // until not a byte goes in any more
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
			if size > 4096 && err == nil {
				err = f.Sync()
			}
		}
		_ = f.Sync() // what it does not take there is no room for either
	}
	if err := f.Close(); err != nil && fs.name != "btrfs" {
		return err
	}
	m.send("full", 20)
	m.serve.Kill()
	if err := m.front.Accept(); err != nil {
		return err
	}
	if err := errors.Join(m.serve.Launch(), m.serve.Up()); err != nil {
		return fmt.Errorf("start on a full disk: %w", err)
	}
	if err := m.serve.Delivered(m.ctx, patience); err != nil {
		return fmt.Errorf("deliver on a full disk: %w", err)
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	return m.settled()
}

// mount puts the data directory on a file system of its own, of so many MiB, that goes when the test ends.
func (m *mishap) mount(fs fileSystem, mib int) error {
	if os.Getuid() != 0 {
		return &notHere{"mounting needs root"}
	}
	at := filepath.Join(m.dir, "disk")
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	args := []string{"-t", fs.name, "-o", fmt.Sprintf("size=%dm", mib), "none", at}
	switch {
	case fs.mkfs != nil:
		if _, err := exec.LookPath(fs.mkfs[0]); err != nil {
			return &notHere{"no " + fs.mkfs[0]}
		}
		image := filepath.Join(m.dir, "image")
		if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, int64(mib)<<20)); err != nil {
			return err
		}
		if out, err := exec.Command(fs.mkfs[0], append(fs.mkfs[1:], image)...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", fs.mkfs[0], err, out)
		}
		args = []string{"-t", fs.name, "-o", "loop", image, at}
		if fs.name == "ext4" {
			args[3] = "loop,errors=remount-ro"
		}
	case fs.name == "overlay":
		base := filepath.Join(m.dir, "base")
		if out, err := exec.Command("mkdir", base).CombinedOutput(); err != nil {
			return fmt.Errorf("mkdir: %w: %s", err, out)
		}
		// Layers of an overlay cannot be on another overlay: a tmpfs holds them.
		if out, err := exec.Command("mount", "-t", "tmpfs", "none", base).CombinedOutput(); err != nil {
			return &notHere{strings.TrimSpace(string(out))}
		}
		m.t.Cleanup(func() { unmount(m, base) })
		var layers []string
		for _, name := range []string{"lower", "upper", "work"} {
			if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil {
				return err
			}
			layers = append(layers, name+"dir="+filepath.Join(base, name))
		}
		args = []string{"-t", "overlay", "-o", strings.Join(layers, ","), "none", at}
	}
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		return &notHere{fmt.Sprintf("mount %s: %s", fs.name, strings.TrimSpace(string(out)))}
	}
	m.t.Cleanup(func() { unmount(m, at) })
	m.serve.Data = filepath.Join(at, "data")
	return nil
}

// unmount waits for what still uses the mount to be gone.
func unmount(m *mishap, at string) {
	for range 100 {
		if exec.Command("umount", at).Run() == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.t.Errorf("%s cannot be unmounted", at)
}

// device is the loop device of the mount.
func (m *mishap) device() (string, error) {
	out, err := exec.Command("findmnt", "-n", "-o", "SOURCE", filepath.Dir(m.serve.Data)).Output()
	return strings.TrimSpace(string(out)), err
}

// trigger is the file by which ext4 is told that it has an error, and turns read-only.
func (m *mishap) trigger() (string, error) {
	dev, err := m.device()
	if err != nil {
		return "", err
	}
	name := filepath.Join("/sys/fs/ext4", filepath.Base(dev), "trigger_fs_error")
	if _, err := os.Stat(name); err != nil {
		return "", &notHere{err.Error()}
	}
	return name, nil
}

// remount has the file system checked and mounted again, as an operator does.
func (m *mishap) remount() error {
	at := filepath.Dir(m.serve.Data)
	unmount(m, at)
	image := filepath.Join(m.dir, "image")
	out, err := exec.Command("fsck.ext4", "-y", image).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 2) {
		return fmt.Errorf("fsck: %w: %s", err, out)
	}
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop", image, at).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}
