package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"indelible/internal/catalog"
	"indelible/internal/disk/osdisk"
	"indelible/internal/engine"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

func TestSocket(t *testing.T) {
	for _, deep := range []string{"d", strings.Repeat("deep/", 30) + "d"} {
		dir := filepath.Join(t.TempDir(), deep)
		if len(deep) > maxSocketPath && runtime.GOOS != "linux" {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time over a stale one
			ln, err := ListenSocket(dir)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(dir, SocketFile))
			if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("socket: %v, %v", info, err)
			}
			server := &http.Server{Handler: http.NotFoundHandler()}
			go func() { _ = server.Serve(ln) }()
			c, ok := Dial(t.Context(), dir)
			if !ok {
				t.Fatal("nobody answers")
			}
			if _, err := c.Find(t.Context(), catalog.Ref{Name: "x"}); err == nil {
				t.Error("no answer came")
			}
			_ = c.Close()
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := Dial(t.Context(), dir); ok {
			t.Error("somebody answers on a stale socket")
		}
	}
}

// answers is a Service that has one record, and counts what is done to it.
type answers struct {
	err               error
	redriven, rotated int
}

var found = catalog.Found{Row: catalog.Row{Seq: 7, Key: "k\n\x1b\u2028é", Attrs: map[string]string{"a": "b"}}, Missing: "m"}

func (a *answers) Search(_ context.Context, q catalog.Query, yield func(catalog.Hit) bool) (catalog.SearchSummary, error) {
	for n := range q.Limit {
		if !yield(catalog.Hit{Row: catalog.Row{Seq: record.Seq(n + 1), Key: strings.Join(q.Expr, "|")}, Line: n, Fields: map[string]any{"team": "a", "cost": 0.5}}) {
			break
		}
	}
	return catalog.SearchSummary{Read: 2, Words: flag(q.Scan)}, a.err
}
func (a *answers) Stats(_ context.Context, q catalog.StatsQuery) ([]index.Sum, catalog.SearchSummary, error) {
	return []index.Sum{{By: q.By, Calls: int64(len(q.Expr)), Cost: 0.25}}, catalog.SearchSummary{Read: 3}, a.err
}
func (a *answers) Export(_ context.Context, q catalog.ExportQuery, yield func(catalog.Hit, io.Reader) error) (catalog.SearchSummary, error) {
	for _, body := range []string{"{\"a\":1}", "", "two\nlines\n"} {
		if err := yield(catalog.Hit{Row: catalog.Row{Seq: q.After + 1, Size: int64(len(body))}}, strings.NewReader(body)); err != nil {
			return catalog.SearchSummary{}, err
		}
	}
	return catalog.SearchSummary{Read: 3}, a.err
}
func (a *answers) Follow(_ context.Context, _ []string, after record.Seq, yield func(catalog.Hit) bool) error {
	yield(catalog.Hit{Row: catalog.Row{Seq: after + 1}})
	return a.err
}
func (a *answers) Index(context.Context) (catalog.IndexStatus, error) {
	return catalog.IndexStatus{On: true, Position: 5}, a.err
}
func (a *answers) Rebuild(_ context.Context, progress func(done, of record.Seq)) error {
	progress(1, 2)
	return a.err
}
func (a *answers) Status(context.Context) (Status, error) { return Status{Acked: 3}, a.err }
func (a *answers) Find(context.Context, catalog.Ref) (catalog.Found, error) {
	return found, a.err
}
func (a *answers) Open(context.Context, catalog.Ref) (catalog.Found, io.ReadCloser, error) {
	return found, io.NopCloser(strings.NewReader("body")), a.err
}
func (a *answers) List(_ context.Context, o catalog.ListOptions, yield func(catalog.Row) bool) (catalog.Summary, error) {
	for n := range o.Limit {
		if !yield(catalog.Row{Size: int64(n), Key: o.Prefix + o.Bucket}) {
			break
		}
	}
	return catalog.Summary{Total: 9, Missing: "store"}, a.err
}
func (a *answers) Expire(_ context.Context, dry bool, progress func(done, of record.Seq)) (engine.Expired, error) {
	progress(3, 7)
	return engine.Expired{Records: 7, Rule: dry}, a.err
}
func (a *answers) Redrive(context.Context) (int, error)   { a.redriven++; return 5, a.err }
func (a *answers) Rotate(context.Context) (string, error) { a.rotated++; return "vkey", a.err }
func (a *answers) Close() error                           { return nil }

// What is asked over the socket is answered as if it had been asked directly, errors with their types.
func TestClient(t *testing.T) {
	s := &answers{}
	dir := t.TempDir()
	ln, err := ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: API(s)}
	go func() { _ = server.Serve(ln) }()
	defer func() { _ = server.Close() }()
	c, ok := Dial(t.Context(), dir)
	if !ok {
		t.Fatal("nobody answers")
	}
	defer func() { _ = c.Close() }()
	ctx := t.Context()
	if got, err := c.Find(ctx, catalog.Ref{Name: "x"}); err != nil || !reflect.DeepEqual(got, found) {
		t.Errorf("%+v, %v", got, err)
	}
	got, body, err := c.Open(ctx, catalog.Ref{Name: "x"})
	if err != nil || !reflect.DeepEqual(got, found) {
		t.Fatalf("%+v, %v", got, err)
	}
	if b, err := io.ReadAll(body); err != nil || string(b) != "body" {
		t.Errorf("%q, %v", b, err)
	}
	_ = body.Close()
	n := 0
	sum, err := c.List(ctx, catalog.ListOptions{Bucket: "b", Prefix: "p", Limit: 3}, func(r catalog.Row) bool { n++; return r.Key == "pb" })
	if want := (catalog.Summary{Total: 9, Missing: "store"}); err != nil || n != 3 || sum != want {
		t.Errorf("%d rows, %+v, %v", n, sum, err)
	}
	var done, of record.Seq
	if x, err := c.Expire(ctx, true, func(d, n record.Seq) { done, of = d, n }); x.Records != 7 || !x.Rule || err != nil || done != 3 || of != 7 {
		t.Errorf("expire: %+v, %v", x, err)
	}
	if n, err := c.Redrive(ctx); n != 5 || err != nil {
		t.Error(n, err)
	}
	if v, err := c.Rotate(ctx); v != "vkey" || err != nil {
		t.Error(v, err)
	}
	ambiguous := &catalog.AmbiguousError{Name: "n", Candidates: []catalog.Row{{Seq: 1, Key: "k"}, {Seq: 2, Key: "l"}}}
	for _, want := range []error{ambiguous, &catalog.AwayError{Cause: errors.New("down")}, catalog.ErrNotFound, errors.New("other")} {
		s.err = want
		_, err := c.Find(ctx, catalog.Ref{})
		_, listErr := c.List(ctx, catalog.ListOptions{}, func(catalog.Row) bool { return true })
		for _, err := range []error{err, listErr} {
			if err == nil || err.Error() != want.Error() || errors.Is(want, catalog.ErrNotFound) != errors.Is(err, catalog.ErrNotFound) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		if _, ok := errors.AsType[*catalog.AmbiguousError](err); ok != (want == error(ambiguous)) {
			t.Errorf("%T", err)
		}
	}
}

func TestAdminPermissions(t *testing.T) {
	const read, operate = "GET /api/status", "POST /api/redrive"
	tests := []struct {
		name                  string
		configured            bool
		readToken, opToken    string
		what, host, auth, org string
		want                  int
	}{
		{"made: no token", false, "r", "", read, "127.0.0.1:9001", "", "", 401},
		{"made: wrong token", false, "r", "", read, "127.0.0.1:9001", "x", "", 401},
		{"made: token", false, "r", "", read, "127.0.0.1:9001", "r", "", 200},
		{"made: localhost", false, "r", "", read, "localhost", "r", "", 200},
		{"made: v6", false, "r", "", read, "[::1]:9001", "r", "", 200},
		{"made: a name that points here", false, "r", "", read, "evil.example:9001", "r", "", 403},
		{"made: operating", false, "r", "", operate, "127.0.0.1:9001", "r", "", 403},
		{"made: metrics", false, "r", "", "GET /metrics", "127.0.0.1:9001", "", "", 200},
		{"made: metrics by a name that points here", false, "r", "", "GET /metrics", "evil.example", "", "", 403},
		{"made: health by any name", false, "r", "", "GET /healthz", "10.0.0.7:9001", "", "", 200},
		{"made: readiness", false, "r", "", "GET /readyz", "10.0.0.7:9001", "", "", 200},
		{"configured: any name", true, "r", "", read, "any.example", "r", "", 200},
		{"configured: metrics", true, "r", "o", "GET /metrics", "any.example", "", "", 401},
		{"configured: metrics with a token", true, "r", "o", "GET /metrics", "any.example", "r", "", 200},
		{"configured: the reader operates", true, "r", "o", operate, "any.example", "r", "", 401},
		{"configured: the operator operates", true, "r", "o", operate, "any.example", "o", "", 200},
		{"configured: the operator reads", true, "r", "o", read, "any.example", "o", "", 200},
		{"configured: no operator", true, "r", "", operate, "any.example", "r", "", 403},
		{"another page's post", true, "r", "o", operate, "any.example", "o", "https://evil.example", 403},
		{"no such thing", true, "r", "o", "GET /api/redrive", "any.example", "o", "", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &answers{}
			a := &Admin{
				Configured: tt.configured, ReadToken: tt.readToken, OpToken: tt.opToken,
				Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), Ready: func() (bool, string) { return true, "" },
			}
			method, path, _ := strings.Cut(tt.what, " ")
			r := httptest.NewRequest(method, path, nil)
			r.Host = tt.host
			if tt.auth != "" {
				r.Header.Set("Authorization", "bearer "+tt.auth)
			}
			if tt.org != "" {
				r.Header.Set("Origin", tt.org)
			}
			w := httptest.NewRecorder()
			a.Handler(s).ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("%d, want %d", w.Code, tt.want)
			}
			if done := s.redriven > 0; done != (tt.what == operate && tt.want == 200) {
				t.Errorf("redriven: %v", done)
			}
		})
	}
}

func TestMadeToken(t *testing.T) {
	dir := t.TempDir()
	data, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = data.Close() }()
	if err := os.WriteFile(filepath.Join(dir, TokenFile+".new"), []byte("half"), 0o644); err != nil { // what a crash left
		t.Fatal(err)
	}
	token, err := MadeToken(data, dir, slog.New(slog.DiscardHandler))
	if err != nil || len(token) < 20 {
		t.Fatalf("%q, %v", token, err)
	}
	if again, err := MadeToken(data, dir, slog.New(slog.DiscardHandler)); err != nil || again != token {
		t.Errorf("the next start: %q, %v", again, err)
	}
	info, err := os.Stat(filepath.Join(dir, TokenFile))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
