package s3_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/store"
	"indelible/internal/store/s3"
)

// keyFile makes the shared credentials file the one source of credentials, and returns what writes a key into it.
func keyFile(t *testing.T) (write func(id string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_CONFIG_FILE", file+".none")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return func(id string) {
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id="+id+"\naws_secret_access_key=secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Credentials that were refused are looked for again, in whatever words: a rotated file is seen without a restart.
func TestRefusedCredentialsAreLookedForAgain(t *testing.T) {
	for code, status := range map[string]int{"InvalidAccessKeyId": 403, "ExpiredToken": 400, "XAdminUserNotFound": 404, "XAdminAccessDenied": 403} {
		t.Run(code, func(t *testing.T) {
			r := newRecorder(t)
			s := at(t, r.URL, s3.Config{})
			write := keyFile(t)
			write("OLD")
			r.answer = func(w http.ResponseWriter, req *http.Request) bool {
				if strings.Contains(req.Header.Get("Authorization"), "NEW/") {
					return false
				}
				w.WriteHeader(status)
				fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
				return true
			}
			if _, err := s.Put(t.Context(), object("key", "x")); store.ClassOf(err) != store.Credentials {
				t.Fatalf("put with the old key: %v, want credentials", err)
			}
			write("NEW")
			if _, err := s.Put(t.Context(), object("key", "x")); err != nil {
				t.Errorf("put after the key was rotated: %v", err)
			}
		})
	}
}

// seenKey keeps the Authorization of the last request.
type seenKey struct{ auth atomic.Pointer[string] }

func (s *seenKey) RoundTrip(req *http.Request) (*http.Response, error) {
	s.auth.Store(new(req.Header.Get("Authorization")))
	return yes{}.RoundTrip(req)
}

// A rotated file is read again before the store refuses the old key, and a file
// that cannot be read at that moment ends nothing.
func TestRotatedFileIsReadAgain(t *testing.T) {
	write := keyFile(t)
	write("OLD")
	synctest.Test(t, func(t *testing.T) {
		seen := &seenKey{}
		s, err := s3.Open(t.Context(), s3.Config{Bucket: "audit", Endpoint: "http://127.0.0.1:1", Region: "us-east-1", Transport: seen})
		if err != nil {
			t.Fatal(err)
		}
		put := func(want string) {
			t.Helper()
			if _, err := s.Put(t.Context(), object("key", "x")); err != nil {
				t.Fatal(err)
			}
			if auth := *seen.auth.Load(); !strings.Contains(auth, want+"/") {
				t.Errorf("signed with %s, want %s", auth, want)
			}
		}
		put("OLD")
		if err := os.Remove(os.Getenv("AWS_SHARED_CREDENTIALS_FILE")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute)
		put("OLD")
		write("NEW")
		time.Sleep(6 * time.Minute)
		put("NEW")
	})
}

// exhausted is a process that can open no more connections.
type exhausted struct{ errno syscall.Errno }

func (e exhausted) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", e.errno)}
}

// A limit of this process is told as one, with what to do, and not as a store that cannot be reached.
func TestLocalLimits(t *testing.T) {
	for errno, says := range map[syscall.Errno]string{syscall.EMFILE: "LimitNOFILE", syscall.ENFILE: "fs.file-max", syscall.EADDRNOTAVAIL: "ip_local_port_range", syscall.ENOBUFS: "sockets"} {
		s := at(t, "http://127.0.0.1:1", s3.Config{Transport: exhausted{errno}})
		_, err := s.Put(t.Context(), object("key", "x"))
		if store.ClassOf(err) != store.Local || !strings.Contains(err.Error(), says) || !errors.Is(err, errno) {
			t.Errorf("%v: %v, want local, with %q", errno, err, says)
		}
	}
	s := at(t, "http://127.0.0.1:1", s3.Config{Transport: exhausted{syscall.ECONNREFUSED}})
	if _, err := s.Put(t.Context(), object("key", "x")); store.ClassOf(err) != store.Unreachable {
		t.Errorf("a refused connection: %v", err)
	}
}

// Every request to the bucket says whose records it is about.
func TestUploaderHeader(t *testing.T) {
	for _, name := range []string{"", "host-1a2b3c4d"} {
		r := newRecorder(t)
		s := at(t, r.URL, s3.Config{Uploader: name})
		if _, err := s.Put(t.Context(), object("key", "x")); err != nil {
			t.Fatal(err)
		}
		_, _ = s.Head(t.Context(), "key", store.GetOptions{})
		for range s.List(t.Context(), store.ListOptions{}) {
		}
		if len(r.requests) != 3 {
			t.Fatalf("%d requests", len(r.requests))
		}
		for _, req := range r.requests {
			if got := req.Header.Get("x-indelible-uploader"); got != name {
				t.Errorf("%s says %q, want %q", req.Method, got, name)
			}
		}
	}
}
