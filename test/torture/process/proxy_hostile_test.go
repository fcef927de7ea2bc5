package process

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"indelible/internal/capture"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

const (
	bombBytes = 1 << 30 // of zeros, compressed
	longBytes = 1 << 30 // of an answer
	loris     = 200     // clients that never end their request
)

// raw are answers that no library would give; the connection is cut behind each.
var raw = map[string]func(c net.Conn){
	"endless head": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		endless(c, "X-Filler: "+strings.Repeat("x", 4000)+"\r\n")
	},
	"endless interim answers": func(c net.Conn) { endless(c, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n") },
	"endless trailers": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
		endless(c, "X-Filler: "+strings.Repeat("x", 4000)+"\r\n")
	},
	"endless chunk size": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
		endless(c, strings.Repeat("x", 4000))
	},
	"half an event": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\ndata: {\"a\":1}\n\ndata: \r\n0\r\n\r\n")
	},
	"half a frame": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nContent-Length: 13\r\n\r\n\x00\xff\xff\xff\x00\x00\x00\x10ABCD\x01")
	},
}

// endless writes until nobody reads.
func endless(c net.Conn, text string) {
	for range 100_000 {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

// gave is what the record of each hostile answer has to say: how it ended, and whether it was looked into.
var gave = map[string]struct {
	how      capture.Transport
	unparsed string // part of what could not be read
}{
	"endless head": {capture.ProxyError, ""}, "endless interim answers": {capture.UpstreamAbort, ""}, // they pass, and end with their connection
	"endless trailers": {capture.UpstreamAbort, ""}, "endless chunk size": {capture.UpstreamAbort, ""},
	"half an event": {capture.Complete, "end is missing"}, "half a frame": {capture.Complete, ""},
	"gzip": {capture.Complete, "longer than is looked at"}, "zstd": {capture.Complete, "longer than is looked at"},
	"gzip request": {capture.Complete, "longer than is looked at"}, "long": {capture.Complete, "longer than is looked at"},
}

// TestTortureProxyHostile sends the recording proxy what hostile upstreams and clients send: heads, interim answers and trailers
// without an end, bombs in gzip and zstd, halves of frames, an answer of a gigabyte, and clients that never end their requests. Memory
// stays bounded, others are served meanwhile, and each call has a record that says how it ended.
func TestTortureProxyHostile(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "recording proxy, hostile upstreams and clients", "calls")
	zip, zst := bombs(t)
	sum := sha256.New()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/"), "-", " ")
		_, _ = io.Copy(io.Discard, r.Body) // it may be cut
		if answer := raw[name]; answer != nil {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			answer(c)
			_ = c.Close()
			return
		}
		switch name {
		case "gzip", "zstd":
			w.Header().Set("Content-Encoding", name)
			_, _ = w.Write(map[string][]byte{"gzip": zip, "zstd": zst}[name])
		case "long":
			piece := bytes.Repeat([]byte("0123456789abcde\n"), 4096)
			for range longBytes / len(piece) {
				sum.Write(piece)
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		default:
			_, _ = io.WriteString(w, `{"model":"m"}`)
		}
	}))
	defer up.Close()
	s := proxyServe(t, up.URL)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	base := "http://" + s.At.Proxy + "/up/"
	before, _, err := driver.Memory(s.PID())
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	var slow sync.WaitGroup
	for range loris {
		slow.Go(func() { lorisClient(s.At.Proxy) })
	}
	for name := range gave {
		header, body := http.Header{}, io.Reader(strings.NewReader("{}"))
		if name == "gzip request" {
			header.Set("Content-Encoding", "gzip")
			body = bytes.NewReader(zip)
		}
		r, err := http.NewRequestWithContext(t.Context(), "POST", base+strings.ReplaceAll(name, " ", "-"), body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if whole := gave[name].how == capture.Complete; (err == nil && resp.StatusCode == http.StatusOK) != whole || name == "long" && n != longBytes {
			t.Errorf("%s: %d, %d bytes, %v", name, resp.StatusCode, n, err)
		}
		_ = resp.Body.Close()
		begun := time.Now()
		if resp, err := http.Get(base + "good"); err != nil || resp.StatusCode != http.StatusOK || time.Since(begun) > 10*time.Second {
			t.Errorf("after %s: %v, in %v", name, err, time.Since(begun))
		} else {
			_ = resp.Body.Close()
		}
	}
	if c, err := net.Dial("tcp", s.At.Proxy); err != nil {
		t.Error(err)
	} else {
		_, _ = io.WriteString(c, "GET /up/x HTTP/1.1\r\nHost: localhost\r\n")
		go endless(c, "X-Filler: "+strings.Repeat("x", 4000)+"\r\n")
		if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 431") {
			t.Errorf("a head without end: %.100q", b)
		}
		_ = c.Close()
	}
	slow.Wait() // they were cut
	_, peak, err := driver.Memory(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	row.Ran(len(gave), len(gave))
	row.Note = fmt.Sprintf("%d slow-loris clients; %d MiB before, VmHWM %d MiB in the end", loris, before>>20, peak>>20)
	if peak > 256<<20 {
		t.Errorf("VmHWM is %d MiB", peak>>20)
	}
	ends := endsByPath(t, filepath.Join(s.Data, "store", "proxy"))
	for name, want := range gave {
		e := ends["/"+strings.ReplaceAll(name, " ", "-")]
		if e.Transport != want.how || !strings.Contains(strings.Join(e.unparsed, ";"), want.unparsed) || want.how != capture.Complete && e.Fault == "" {
			t.Errorf("%s: recorded as %s, %q, %q", name, e.Transport, e.Fault, e.unparsed)
		}
	}
	if e := ends["/long"]; e.size != longBytes || e.sum != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("of the long answer %d bytes are told, with the digest %s", e.size, e.sum)
	}
}

// lorisClient sends a byte of a head now and then, until it is cut.
func lorisClient(addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for _, b := range []byte("POST /up/x HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("x", 1000)) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// bombs are a gigabyte of zeros in gzip and in zstd.
func bombs(t *testing.T) (zip, zst []byte) {
	t.Helper()
	var a, b bytes.Buffer
	g := gzip.NewWriter(&a)
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range bombBytes / len(zeros) {
		_, _ = g.Write(zeros) // into memory
		_, _ = z.Write(zeros)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return a.Bytes(), b.Bytes()
}

// proxyServe is the real binary with a proxy in front of one upstream.
func proxyServe(t *testing.T, upstream string) *driver.Serve {
	t.Helper()
	dir := t.TempDir()
	s := &driver.Serve{Binary: driver.Build(t), Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"), Config: filepath.Join(dir, "indelible.yaml"), Args: []string{"--proxy", "127.0.0.1:0"}}
	config := fmt.Sprintf("doors:\n  proxy:\n    upstreams:\n      up: %q\nproof:\n  checkpoint_every: 1s\nshutdown:\n  drain: 2m\n", upstream)
	if err := os.WriteFile(s.Config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// ended is what a record says of an exchange, without the bytes.
type ended struct {
	*capture.Exchange
	unparsed []string
	size     int64
	sum      string
}

// endsByPath are the ends of exchanges in a bucket, by the path that was asked for, without the answers' bytes.
func endsByPath(t *testing.T, root string) map[string]ended {
	t.Helper()
	byPath := map[string]ended{}
	for _, e := range ends(t, root) {
		_, path, _ := strings.Cut(strings.TrimPrefix(e.URL, "http://"), "/")
		e.unparsed = append(e.unparsed, byPath["/"+path].unparsed...)
		e.Response.Body.Bytes = nil
		byPath["/"+path] = e
	}
	return byPath
}

// ends are the ends of exchanges in a bucket.
func ends(t *testing.T, root string) (list []ended) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		e, derived, err := capture.Parse(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if e.Kind != capture.Open {
			list = append(list, ended{e, derived.Unparsed, e.Response.Body.Size, e.Response.Body.Digest.String()})
		} else if len(derived.Unparsed) > 0 {
			list = append(list, ended{e, derived.Unparsed, 0, ""}) // of the request
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return list
}
