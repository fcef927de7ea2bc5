package recorder

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/capture"
	"indelible/internal/disk/osdisk"
)

// TestRecoverUpgrade has a process die while a WebSocket is under way: what both sides had sent by then becomes a record, also where one of
// them had sent nothing.
func TestRecoverUpgrade(t *testing.T) {
	for name, c := range map[string]struct{ client, upstream string }{
		"both": {"asked", "answered"}, "the client alone": {"asked", ""}, "the upstream alone": {"", "answered"},
	} {
		synctest.Test(t, func(t *testing.T) {
			data, err := osdisk.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			near, far := net.Pipe()
			up := transport(func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusSwitchingProtocols, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Upgrade": {"websocket"}}, Body: near, Request: req}, nil
			})
			var dead kept
			r, err := New(Options{Log: &dead, Door: "lib", Data: data, Base: up})
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequest(http.MethodGet, "http://h/v1/realtime", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Upgrade", "websocket")
			resp, err := r.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			conn := resp.Body.(io.ReadWriteCloser)
			go func() {
				_, _ = io.ReadFull(far, make([]byte, len(c.client)))
				if c.upstream != "" {
					_, _ = io.WriteString(far, c.upstream)
				}
			}()
			if c.client != "" {
				if _, err := io.WriteString(conn, c.client); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.ReadFull(conn, make([]byte, len(c.upstream))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(spillAge + writeDelay) // nothing is closed: the process dies here

			var log kept
			after, err := New(Options{Log: &log, Door: "lib", Data: data})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := after.Recover(t.Context()); n != 1 || err != nil || len(log.bodies) != 1 {
				t.Fatalf("%s: %d recovered, %d records, %v", name, n, len(log.bodies), err)
			}
			e, _, err := capture.Parse([]byte(log.bodies[0]))
			if err != nil {
				t.Fatal(err)
			}
			sent := ""
			if e.ClientStream != nil {
				sent = string(e.ClientStream.Bytes)
			}
			if e.Transport != capture.Unknown || e.Status != http.StatusSwitchingProtocols || sent != c.client || string(e.Response.Body.Bytes) != c.upstream {
				t.Errorf("%s: %s %d, sent %q, got %q", name, e.Transport, e.Status, sent, e.Response.Body.Bytes)
			}
			if left, err := leftFiles(data); err != nil || len(left) > 0 {
				t.Errorf("%s: %v is left, %v", name, left, err)
			}
			_, _ = conn.Close(), far.Close()
			if err := data.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRecoverDamagedUpgrade has the file with what the client sent damaged: the answer is recorded all the same, and says so; the file is kept where
// it may be all that there is.
func TestRecoverDamagedUpgrade(t *testing.T) {
	first, second := strings.Repeat("first", 4000), strings.Repeat("second", 4000)
	sent := leftFileOf(t, "1", sentSuffix, first, second)
	for name, c := range map[string]struct {
		sent []byte
		want string
		gone bool
	}{
		"whole": {sent, first + second, true}, "cut": {sent[:len(sent)-1], first, true}, "empty": {nil, "", true},
		"a bit in its first frame": {flipped(sent, 30), "", false}, "another exchange's": {leftFileOf(t, "2", sentSuffix, first), "", false},
	} {
		root := t.TempDir()
		file := filepath.Join(root, Dir, "1"+sentSuffix)
		if err := errors.Join(os.Mkdir(filepath.Join(root, Dir), 0o700), os.WriteFile(file, c.sent, 0o600), os.WriteFile(filepath.Join(root, Dir, "1"+answerSuffix), answerFile(t, "answer"), 0o600)); err != nil {
			t.Fatal(err)
		}
		data, err := osdisk.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		var log kept
		r, err := New(Options{Log: &log, Door: "proxy", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.Recover(t.Context())
		if _, serr := os.Stat(file); n != 1 || (err == nil) != c.gone || errors.Is(serr, fs.ErrNotExist) != c.gone || len(log.bodies) != 1 {
			t.Fatalf("%s: %d recovered, %d records, %v, the file: %v", name, n, len(log.bodies), err, serr)
		}
		e, _, err := capture.Parse([]byte(log.bodies[0]))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if e.ClientStream != nil {
			got = string(e.ClientStream.Bytes)
		}
		if string(e.Response.Body.Bytes) != "answer" || got != c.want || strings.Contains(e.Fault, "client sent") != (name != "whole" && name != "empty") {
			t.Errorf("%s: %q, %d bytes sent, %s", name, e.Response.Body.Bytes, len(got), e.Fault)
		}
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	}
}
