package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"indelible/internal/torture/driver"
)

const (
	readyPatience = 5 * time.Minute // LiteLLM takes half a minute beside others, and minutes on a busy machine
	stopPatience  = 30 * time.Second
)

// process is a peer at work, started again and again. It is for one goroutine.
type process struct {
	line  []string
	env   []string
	dir   string // working directory
	log   string // a file that its output is appended to
	ready string // a URL that answers 200 once it takes records; or any answer, where anyAnswer is set

	anyAnswer bool
	cmd       *exec.Cmd
	ended     chan struct{} // closed when it is gone
}

// start starts it and waits until it takes records.
func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.line[0], p.line[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, log, log
	driver.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(ended)
	}()
	p.cmd, p.ended = cmd, ended
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(readyPatience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(p.ready)
		if err == nil {
			_ = resp.Body.Close()
			if p.anyAnswer || resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s", resp.Status)
		}
		if p.wait(0) || time.Now().After(end) {
			p.kill()
			return fmt.Errorf("%s does not take records: %w\n%s", filepath.Base(p.line[0]), err, p.tail())
		}
	}
}

func (p *process) wait(most time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(most):
		return false
	}
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it may be gone
		<-p.ended
	}
}

// stop asks it to end, as a deploy does, and kills it where it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	if !p.wait(stopPatience) {
		p.kill()
	}
}

// cpu is the processor time that it has used (Linux).
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const utime, stime, tick = 11, 12, 10 * time.Millisecond // counted from the state; USER_HZ is 100
	user, err := strconv.Atoi(string(fields[utime]))
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(string(fields[stime]))
	return time.Duration(user+system) * tick, err
}

func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}
