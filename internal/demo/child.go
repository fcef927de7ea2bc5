package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"indelible/internal/config"
	"indelible/internal/control"
)

// settings are how the demo's daemon differs from the defaults: what happens within a
// minute is to be seen within seconds.
const settings = `upload: {backoff_max: 2s}
proof: {checkpoint_every: 2s}
shutdown: {drain: 2s}
`

// child is the real daemon as a process of its own, started again and again on one data
// directory. It is for one goroutine.
type child struct {
	binary string
	dir    string // working directory
	data   string
	args   []string // of every command that is about this log
	doors  []string // further ones of serve: fixed addresses, so that senders find it again
	env    []string

	cmd   *exec.Cmd
	ended chan error // receives how the process ended
}

// environment is this process's without what would configure another daemon or bucket.
func environment() []string {
	ours := map[string]bool{"INDELIBLE_CONFIG": true}
	for _, f := range config.Fields() {
		ours[f.Env] = true
	}
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !ours[name] && !strings.HasPrefix(name, "AWS_") {
			env = append(env, entry)
		}
	}
	return append(env, "AWS_ACCESS_KEY_ID=demo", "AWS_SECRET_ACCESS_KEY=demo", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
}

// newChild prepares a daemon below dir that delivers to a bucket.
func newChild(binary, dir, bucket, endpoint string) (*child, error) {
	file := filepath.Join(dir, "indelible.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	c := &child{binary: binary, dir: dir, data: filepath.Join(dir, "data"), env: environment()}
	c.args = []string{"--config", file, "--data", c.data, "--to", "s3://" + bucket, "--endpoint", endpoint, "--region", "us-east-1"}
	c.doors = []string{"--s3", freeAddr(), "--http", "off", "--proxy", "off", "--admin", freeAddr(), "--log-format", "json"}
	return c, nil
}

// readyPatience bounds how long a start may take.
const readyPatience = 30 * time.Second

// start starts the daemon and waits until its doors take records; took is how long that was.
func (c *child) start(ctx context.Context) (took time.Duration, err error) {
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(c.binary, append(append([]string{"serve"}, c.args...), c.doors...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = c.dir, c.env, log
	dieWithParent(cmd)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the daemon: %w", err)
	}
	c.cmd, c.ended = cmd, make(chan error, 1)
	go func(ended chan<- error) { ended <- cmd.Wait() }(c.ended)
	for !c.ready() {
		select {
		case err := <-c.ended:
			c.cmd = nil
			return 0, fmt.Errorf("the daemon ended by itself: %w\n%s", err, c.tail())
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(began) > readyPatience {
			return 0, fmt.Errorf("the daemon was not ready after %s\n%s", readyPatience, c.tail())
		}
	}
	return time.Since(began), nil
}

// ready says whether this process, and no earlier one, takes records.
func (c *child) ready() bool {
	at, err := control.ReadRunning(c.data)
	if err != nil || at.PID != c.pid() {
		return false
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + at.Admin + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// kill is kill -9, and waits until the process is gone. It does nothing where none runs.
func (c *child) kill() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may be gone
	<-c.ended
	c.cmd = nil
}

// stopPatience bounds how long an ordered stop may take before it becomes a kill.
const stopPatience = 30 * time.Second

// stop ends the daemon in order, as a signal of an operator does.
func (c *child) stop() error {
	if c.cmd == nil {
		return nil
	}
	defer c.kill()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		return nil // a system without this signal: it is killed, and loses nothing
	}
	select {
	case err := <-c.ended:
		c.ended <- err // for kill
		if err != nil {
			return fmt.Errorf("the daemon stopped with %w\n%s", err, c.tail())
		}
		return nil
	case <-time.After(stopPatience):
		return fmt.Errorf("the daemon did not stop within %s\n%s", stopPatience, c.tail())
	}
}

// status asks the daemon.
func (c *child) status(ctx context.Context) (control.Status, error) {
	client, ok := control.Dial(ctx, c.data)
	if !ok {
		return control.Status{}, fmt.Errorf("the daemon does not answer\n%s", c.tail())
	}
	defer func() { _ = client.Close() }()
	return client.Status(ctx)
}

// command runs a command of the same program about the same log. status is its exit status.
func (c *child) command(ctx context.Context, name string, more ...string) (output string, status int, err error) {
	cmd := exec.CommandContext(ctx, c.binary, append(append([]string{name}, c.args...), more...)...)
	cmd.Dir, cmd.Env = c.dir, c.env
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 {
		return string(out), exit.ExitCode(), nil
	}
	return string(out), 0, err
}

func (c *child) logFile() string { return filepath.Join(c.dir, "daemon.log") }

// tail is the end of what the daemon has said.
func (c *child) tail() string {
	b, err := os.ReadFile(c.logFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(bytes.TrimSpace(b))
}
