package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// maxPage is how many bytes the whole page may take on its way, zipped.
const maxPage = 120 << 10

func TestPageSize(t *testing.T) {
	text, _ := whole()
	size := len(pack(page, text).zipped)
	for _, name := range names() {
		size += len(load(name).zipped)
	}
	if t.Logf("%d bytes", size); size > maxPage {
		t.Errorf("the page has %d bytes, more than %d", size, maxPage)
	}
}

// The page brings everything along, runs nothing that is written in it, and every part of it is there.
func TestPage(t *testing.T) {
	h := Handler()
	get := func(path, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	page := get("/", "")
	if kind := page.Header().Get("Content-Type"); page.Code != 200 || kind != "text/html; charset=utf-8" {
		t.Fatalf("%d, %s", page.Code, kind)
	}
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if got := page.Header().Get("Content-Security-Policy"); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
			t.Errorf("the policy is %q, want %q in it", got, want)
		}
	}
	text, style, ok := strings.Cut(page.Body.String(), "<style>")
	style, rest, closed := strings.Cut(style, "</style>")
	digest := sha256.Sum256([]byte(style))
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "';"; !ok || !closed || !strings.Contains(page.Header().Get("Content-Security-Policy"), want) {
		t.Errorf("the page's style is not the one that the policy names: want %s", want)
	}
	text += rest
	if inline := regexp.MustCompile(`<script>|<script [^>]*[^>/]>[^<]|<style|<link rel="stylesheet|\son\w+=|\sstyle=|https?://`).FindString(text); inline != "" {
		t.Errorf("%q in the page", inline)
	}
	parts := regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(text, -1)
	if len(parts) < 3 {
		t.Fatalf("%q", parts)
	}
	for _, part := range parts {
		if w := get(part[1], "gzip"); w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v", part[1], w.Code, w.Header())
		}
	}
	for _, name := range names() { // what modules import
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?:from |import\()"\./([^"]+)"`).FindAllStringSubmatch(string(load(name).plain), -1) {
			if w := get("/assets/"+m[1], ""); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
				t.Errorf("%s imports %s: %d", name, m[1], w.Code)
			}
		}
		if strings.Contains(string(load(name).plain), "innerHTML") {
			t.Errorf("%s makes HTML out of text", name)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("If-None-Match", page.Header().Get("ETag"))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 304 {
		t.Errorf("a page that the browser has: %d", w.Code)
	}
	if w := get("/assets/../web.go", ""); w.Code != 404 {
		t.Errorf("something else: %d", w.Code)
	}
}
