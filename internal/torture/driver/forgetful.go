package driver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Forgetful is a mounted file system that forgets what was not synced (test/forgetfs). It is
// for one goroutine.
type Forgetful struct {
	Dir   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// BuildForgetfs builds the file system's program. root is the directory of this module.
func BuildForgetfs(ctx context.Context, root, program string) error {
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", root+"/test/forgetfs", "-o", program, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("build forgetfs: %w: %s", err, out)
	}
	return nil
}

// MountForgetful mounts a new file system at dir, which it makes. The error says why FUSE
// cannot be mounted here.
func MountForgetful(program, dir string, flags ...string) (*Forgetful, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	f := &Forgetful{Dir: dir, cmd: exec.Command(program, append(flags, dir)...)}
	var err1, err2 error
	var out io.ReadCloser
	f.in, err1 = f.cmd.StdinPipe()
	out, err2 = f.cmd.StdoutPipe()
	f.cmd.Stderr = os.Stderr
	if err := errors.Join(err1, err2, f.cmd.Start()); err != nil {
		return nil, err
	}
	f.lines = bufio.NewScanner(out)
	if !f.lines.Scan() {
		return nil, fmt.Errorf("mount forgetfs: %w", errors.Join(f.cmd.Wait(), f.lines.Err()))
	}
	return f, nil
}

// Tell gives the file system an order (see test/forgetfs), and waits until it is carried out.
func (f *Forgetful) Tell(line string) error {
	if _, err := io.WriteString(f.in, line+"\n"); err != nil {
		return fmt.Errorf("forgetfs: %w", err)
	}
	if !f.lines.Scan() || f.lines.Text() != "ok" {
		return fmt.Errorf("forgetfs: no answer to %q", line)
	}
	return nil
}

// CutPower takes the power away, has kill kill every process that uses the file system, and
// gives the power back. What was not synced has any of the states that seed picks.
func (f *Forgetful) CutPower(seed uint64, kill func()) error {
	if err := f.Tell(fmt.Sprint("cut ", seed)); err != nil {
		return err
	}
	killed := make(chan struct{})
	go func() {
		kill() // waits for the calls that hang in the disk
		close(killed)
	}()
	time.Sleep(5 * time.Millisecond) // the signal comes before the calls fail
	if err := f.Tell("dead"); err != nil {
		return err
	}
	<-killed
	return f.Tell("on")
}

// Close unmounts it.
func (f *Forgetful) Close() {
	_ = f.in.Close()
	_ = f.cmd.Wait()
}
