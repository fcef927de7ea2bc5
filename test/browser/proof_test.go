package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// liar stands in front of a daemon, and changes the answers to some paths: what a daemon does
// that somebody has broken into.
func liar(t *testing.T, d *daemon, path string, change func([]byte) []byte) *daemon {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: d.Admin}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(resp *http.Response) error {
			if resp.Request.URL.Path != path {
				return nil
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			b = change(b)
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			resp.Header.Set("Content-Length", fmt.Sprint(len(b)))
			return nil
		},
		FlushInterval: -1,
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.CloseClientConnections)
	lying := *d
	lying.Admin = strings.TrimPrefix(server.URL, "http://")
	return &lying
}

// liarAsked stands in front of a daemon, and asks it for other bytes and another proof than
// the browser does.
func liarAsked(t *testing.T, d *daemon, change func(url.Values)) *daemon {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: d.Admin}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			if r.In.URL.Path == "/api/body" || r.In.URL.Path == "/api/proof" {
				q := r.In.URL.Query()
				change(q)
				r.Out.URL.RawQuery = q.Encode()
			}
		},
		FlushInterval: -1,
	})
	t.Cleanup(server.CloseClientConnections)
	lying := *d
	lying.Admin = strings.TrimPrefix(server.URL, "http://")
	return &lying
}

// openRecord opens a record by its number.
func (p *page) openRecord(d *daemon, seq int) {
	p.t.Helper()
	p.open(d)
	p.shows("sentence", "every record is stored and proven")
	_ = js[string](p, fmt.Sprintf("location.hash = '#/record/%d'", seq))
}

// A proof is checked by the browser, with the key that the user has pinned.
func TestProof(t *testing.T) {
	d := serve(t, build(t), newBucket(t))
	d.calls(t, 1, 100)
	p := newPage(t, 1280, 1000, false)
	p.openRecord(d, 42)
	p.shows("proof-result", "Verified: this record is in the log, unchanged.")
	for _, want := range []string{"These bytes are what was logged", "Leaf 42 is in the tree of 101", "The checkpoint is signed by demo-log", "The key is what this daemon says it is"} {
		p.shows("proof", want)
	}
	p.shows("detail-body", "demo-log/42/") // the receipt
	p.do("pin the key", chromedp.Focus(chromedp.CSS(".pin input")), chromedp.KeyEvent(d.vkey(t)+kb.Enter))
	p.shows("proof", "The key is the one that you pinned")
	p.shows("proof-result", "Verified")
	p.picture("proof", false)
}

// Whatever a daemon lies about, the browser refuses the proof, and says what is wrong.
func TestProofRefused(t *testing.T) {
	real := serve(t, build(t), newBucket(t))
	real.calls(t, 1, 20)
	flip := func(at func([]byte) int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[at(b)] ^= 1
			return b
		}
	}
	inProof := func(change func(lines []string) []string) func([]byte) []byte {
		return func(b []byte) []byte {
			var a struct{ Proof, VKey string }
			if err := json.Unmarshal(b, &a); err != nil {
				t.Error(err)
			}
			a.Proof = strings.Join(change(strings.Split(a.Proof, "\n")), "\n")
			out, err := json.Marshal(map[string]string{"proof": a.Proof, "vkey": a.VKey})
			if err != nil {
				t.Error(err)
			}
			return out
		}
	}
	tests := []struct {
		name, path string
		change     func([]byte) []byte
		want       string
	}{
		{"a byte of the record", "/api/body", flip(func(b []byte) int { return bytes.Index(b, []byte("total_tokens")) + 14 }), "These bytes are not what was logged"},
		{"a hash of the path", "/api/proof", inProof(func(l []string) []string { l[3], l[4] = l[4], l[3]; return l }), "The leaf is not in the signed tree"},
		{"the leaf's place", "/api/proof", inProof(func(l []string) []string { l[2] = "index 8"; return l }), "The leaf is not in the signed tree"},
		{"a path that is too short", "/api/proof", inProof(func(l []string) []string { return append(l[:3:3], l[4:]...) }), "shorter than the tree is high"},
		{"the root", "/api/proof", inProof(func(l []string) []string {
			for i := range l {
				if l[i] == "" { // the checkpoint is behind it: name, size, root
					l[i+3] = "A" + l[i+3][1:]
					break
				}
			}
			return l
		}), "The checkpoint is not signed by this key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := liar(t, real, tt.path, tt.change)
			p := newPage(t, 1280, 1000, false)
			p.openRecord(d, 7)
			p.shows("proof-result", "Refused: this does not prove the record.")
			p.shows("proof", tt.want)
			if tt.path == "/api/body" {
				p.picture("refused", false)
			}
		})
	}
	t.Run("another record with its good proof", func(t *testing.T) {
		d := liarAsked(t, real, func(q url.Values) {
			for _, name := range []string{"seq", "name"} {
				if q.Get(name) == "7" {
					q.Set(name, "8")
				}
			}
		})
		p := newPage(t, 1280, 1000, false)
		p.openRecord(d, 7)
		p.shows("proof-result", "Refused")
		p.shows("proof", "The proof is about another record than 7")
	})
	t.Run("another log's key is pinned", func(t *testing.T) {
		other := serve(t, real.binary, newBucket(t))
		p := newPage(t, 1280, 1000, false)
		p.openRecord(real, 7)
		p.shows("proof-result", "Verified")
		p.do("pin another key", chromedp.Focus(chromedp.CSS(".pin input")), chromedp.KeyEvent(other.vkey(t)+kb.Enter))
		p.shows("proof-result", "Refused")
		p.shows("proof", "The checkpoint is not signed by this key")
	})
}
