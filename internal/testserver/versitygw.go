// Package testserver starts real S3 servers for tests: their binaries are built
// from the pinned module test/servers, once per machine and version, and each
// test gets a server of its own on a free loopback port.
package testserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Server is a running S3 server with one empty bucket. It is stopped, by its
// own process id, when the test that started it ends.
type Server struct {
	Endpoint     string // http://127.0.0.1:port, path style
	Access       string
	Secret       string
	Region       string
	Bucket       string // made by making its directory: no versioning, no lock
	Root         string // the directory whose directories are the buckets
	cmd          *exec.Cmd
	waited       chan struct{}
	waitErr      error // readable once waited is closed
	stdoutAndErr *bytes.Buffer
}

// Credentials of every test server. They protect nothing.
const (
	access = "indelible-test"
	secret = "indelible-test-secret"
)

// Build builds the servers into the cache, so that the tests that need them find them there.
func Build(ctx context.Context) error {
	_, err := build(ctx, "github.com/versity/versitygw")
	return err
}

// Versitygw starts a versitygw with one bucket, "audit". Without RequirePeers the test is skipped.
func Versitygw(t testing.TB) *Server {
	t.Helper()
	NeedsPeers(t)
	binary, err := build(t.Context(), "github.com/versity/versitygw")
	if err != nil {
		Missing(t, "versitygw", err)
	}
	s, err := startVersitygw(binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// StartVersitygw is Versitygw without a test: it builds the server where it is not here, and
// keeps the buckets below dir. Stop it.
func StartVersitygw(ctx context.Context, dir string) (*Server, error) {
	binary, err := build(ctx, "github.com/versity/versitygw")
	if err != nil {
		return nil, err
	}
	return startVersitygw(binary, dir)
}

func startVersitygw(binary, dir string) (*Server, error) {
	s := &Server{Access: access, Secret: secret, Region: "us-east-1", Bucket: "audit", Root: filepath.Join(dir, "root")}
	versions := filepath.Join(dir, "versions")
	for _, d := range []string{filepath.Join(s.Root, s.Bucket), versions} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	// Another process may take the free port before the server does: try again then.
	for attempt := 1; ; attempt++ {
		err := s.start(binary, versions)
		if err == nil || attempt == 3 {
			return s, err
		}
	}
}

func (s *Server) start(binary, versions string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	s.Endpoint = "http://" + addr
	s.stdoutAndErr = new(bytes.Buffer)
	s.cmd = exec.Command(binary, "--quiet", "--port", addr, "posix", "--versioning-dir", versions, s.Root)
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.Access, "ROOT_SECRET_KEY="+s.Secret)
	s.cmd.Stdout, s.cmd.Stderr = s.stdoutAndErr, s.stdoutAndErr
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.waited = make(chan struct{})
	go func() {
		s.waitErr = s.cmd.Wait()
		close(s.waited)
	}()
	if err := s.ready(); err != nil {
		s.Stop()
		return fmt.Errorf("%w\n%s", err, s.stdoutAndErr)
	}
	return nil
}

// ready waits for the first answer, whatever it is.
func (s *Server) ready() error {
	deadline := time.After(20 * time.Second)
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for {
		resp, err := client.Get(s.Endpoint)
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-s.waited:
			return fmt.Errorf("the server ended at once: %v", s.waitErr)
		case <-deadline:
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends the server at once.
func (s *Server) Stop() {
	s.cmd.Process.Kill()
	<-s.waited
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// build returns the path of the command of a module that test/servers pins.
func build(ctx context.Context, module string) (string, error) {
	name := filepath.Base(module)
	binary, _, err := buildCommand(ctx, "test/servers", module, module+"/cmd/"+name, name)
	return binary, err
}

// buildCommand returns the path of a package's command, built in a module's directory unless the
// cache has it for the checksum of what is there, and the version of a module that is pinned there. It is put in place by rename, so that test
// packages that run at the same time do not disturb each other.
func buildCommand(ctx context.Context, pins, module, pkg, name string) (binary, version string, err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", "", err
	}
	dir := filepath.Join(root, pins)
	if version, err = run(ctx, dir, "go", "list", "-mod=readonly", "-m", "-f", "{{.Version}}", module); err != nil {
		return "", "", err
	}
	binary, err = buildOnce(ctx, dir, pkg, name, version)
	return binary, version, err
}

func buildOnce(ctx context.Context, dir, pkg, name, version string) (string, error) {
	sum, err := checksum(dir)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cached := filepath.Join(cache, "indelible-test", name+"-"+version+"-"+sum)
	binary := filepath.Join(cached, name)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(cached, 0o700); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cached, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	built := filepath.Join(tmp, filepath.Base(binary))
	if _, err := run(ctx, dir, "go", "build", "-mod=readonly", "-o", built, pkg); err != nil {
		return "", err
	}
	if err := os.Rename(built, binary); err != nil {
		if _, statErr := os.Stat(binary); statErr != nil {
			return "", err
		}
	}
	return binary, nil
}

// checksum is of the files of a module whose files are all in one directory.
func checksum(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(name), len(b), b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}

// moduleRoot is the directory of this module's go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	file, err := run(ctx, "", "go", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	if filepath.Base(file) != "go.mod" {
		return "", fmt.Errorf("not in a module: go env GOMOD is %q", file)
	}
	return filepath.Dir(file), nil
}

func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
