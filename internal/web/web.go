// Package web is the dashboard's page: files that a browser loads, without any data in
// them. What they show they ask for under /api/.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed assets
var assets embed.FS

// policy lets the page load its own scripts, take the style that is written in it, which is
// named by its SHA-256 in base64, and ask its own server, and nothing else: no inline script,
// no other origin, no frame, and no HTML made from text.
const policy = "default-src 'none'; script-src 'self'; style-src 'sha256-%s'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

const (
	page  = "index.html"
	style = "style.css"
)

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
	text, sum := whole()
	files["/"] = pack(page, text)
	policy := fmt.Sprintf(policy, sum)
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

// whole is the page with its style in it, so that the first paint waits for one answer, and
// the style's SHA-256 in base64.
func whole() (text []byte, sum string) {
	css := read(style)
	link := []byte(`<link rel="stylesheet" href="/assets/style.css">`)
	digest := sha256.Sum256(css)
	return bytes.Replace(read(page), link, slices.Concat([]byte("<style>"), css, []byte("</style>")), 1), base64.StdEncoding.EncodeToString(digest[:])
}

// names are the names of the assets that are served below /assets/.
func names() []string {
	list, err := fs.Glob(assets, "assets/*")
	if err != nil {
		panic(err) // the pattern is ours
	}
	for i := range list {
		list[i] = path.Base(list[i])
	}
	return slices.DeleteFunc(list, func(name string) bool { return name == page || name == style })
}

func read(name string) []byte {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return b
}

func load(name string) file { return pack(name, read(name)) }

// pack makes a file of an asset's bytes.
func pack(name string, b []byte) file {
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
