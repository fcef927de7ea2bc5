package testserver

import (
	"bytes"
	_ "embed"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The packages of moto's server, as small a set as S3 needs.
//
//go:embed testdata/requirements-moto.txt
var motoPins []byte

// Moto starts a moto server with one bucket, "audit": a store that does not repeat
// checksums in its answers to PUT, and compares none. Where its packages cannot be
// had the test is skipped, or fails under RequirePeers.
func Moto(t testing.TB) *Server {
	t.Helper()
	pins := filepath.Join(t.TempDir(), "requirements.txt")
	if err := os.WriteFile(pins, motoPins, 0o600); err != nil {
		t.Fatal(err)
	}
	python := Python(t, pins)
	s := &Server{Access: access, Secret: secret, Region: "us-east-1", Bucket: "audit"}
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint, s.stdoutAndErr, s.waited = "http://"+addr, new(bytes.Buffer), make(chan struct{})
	s.cmd = exec.Command(python, "-m", "moto.server", "-H", host, "-p", port)
	s.cmd.Stdout, s.cmd.Stderr = s.stdoutAndErr, s.stdoutAndErr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.waitErr = s.cmd.Wait()
		close(s.waited)
	}()
	t.Cleanup(s.Stop)
	if err := s.ready(); err != nil {
		t.Fatalf("%v\n%s", err, s.stdoutAndErr)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Endpoint+"/"+s.Bucket, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("make the bucket: %s", resp.Status)
	}
	return s
}
