// Package web is the dashboard's page: files that a browser loads, without any data in
// them. What they show they ask for under /api/.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assets embed.FS

// policy lets the page load its own scripts and styles and ask its own server, and
// nothing else: no inline script, no other origin, no frame, and no HTML made from text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// file is one asset, ready to be sent.
type file struct {
	kind          string // its Content-Type
	etag          string
	plain, zipped []byte
}

// Handler serves the page at / and its parts below /assets/. What it serves holds no
// data, and needs no permission.
func Handler() http.Handler {
	files := map[string]file{}
	for _, name := range names() {
		files["/assets/"+name] = load(name)
	}
	files["/"] = files["/assets/index.html"]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		f, ok := files[r.URL.Path]
		if !ok {
			http.Error(w, "there is nothing here: the dashboard is at /", http.StatusNotFound)
			return
		}
		f.serve(w, r)
	})
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache") // another version of the daemon has others: ask each time
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped
	}
	_, _ = w.Write(body) // an error here is a client that has gone
}

// names are the names of the assets.
func names() []string {
	list, err := fs.Glob(assets, "assets/*")
	if err != nil {
		panic(err) // the pattern is ours
	}
	for i := range list {
		list[i] = path.Base(list[i])
	}
	return list
}

func load(name string) file {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it was listed
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is ours
	}
	_, _ = w.Write(b) // memory does not fail
	_ = w.Close()
	sum := sha256.Sum256(b)
	kinds := map[string]string{".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	kind, ok := kinds[path.Ext(name)]
	if !ok {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	return file{kind: kind, etag: `"` + hex.EncodeToString(sum[:16]) + `"`, plain: b, zipped: zipped.Bytes()}
}
