package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSendersAreHeldWhileTheLogIsMatched starts serve before a destination that does not say for a
// while what its log is: a sender is held, and then gets its ack. One that was refused would give
// its record up after a few tries.
func TestSendersAreHeldWhileTheLogIsMatched(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(asked) })
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer s3.Close()
	var open sync.Once
	release := func() { open.Do(func() { close(answer) }) }
	defer release()

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stderr := new(bytes.Buffer)
	cmd := exec.Command(self, "serve", "--data", t.TempDir(), "--to", "s3://bucket", "--endpoint", s3.URL, "--region", "us-east-1",
		"--s3", door, "--http", "off", "--proxy", "off", "--admin", "off")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), asMain+"=1", "INDELIBLE_CONFIG=", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Log(stderr)
		}
	}()
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("the destination is not asked for the log")
	}
	conn, err := net.Dial("tcp", door)
	if err != nil {
		t.Fatalf("a sender is refused while the log is matched: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	acked := make(chan error, 1)
	go func() {
		req, err := http.NewRequest(http.MethodPut, "http://"+door+"/bucket/key.json", strings.NewReader("{}"))
		if err != nil {
			acked <- err
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			if resp.StatusCode != http.StatusOK {
				t.Errorf("PUT: %s", resp.Status)
			}
			err = resp.Body.Close()
		}
		acked <- err
	}()
	release()
	select {
	case err := <-acked:
		if err != nil {
			t.Errorf("PUT: %v", err)
		}
	case <-time.After(patience):
		t.Error("the sender is held for ever")
	}
}
