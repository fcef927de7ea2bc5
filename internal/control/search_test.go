package control

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"indelible/internal/catalog"
	"indelible/internal/record"
)

// What the service answers comes through the socket as it is, also where it ends with an error.
func TestSearchThroughTheSocket(t *testing.T) {
	for _, want := range []error{nil, errors.New("not now")} {
		dir := t.TempDir()
		ln, err := ListenSocket(dir)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: API(&answers{err: want})}
		go func() { _ = server.Serve(ln) }()
		t.Cleanup(func() { _ = server.Close() })
		c, ok := Dial(t.Context(), dir)
		if !ok {
			t.Fatal("nobody answers")
		}
		check := func(what string, err error, got, wanted any) {
			t.Helper()
			if (err == nil) != (want == nil) || err != nil && err.Error() != want.Error() {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			if fmt.Sprint(got) != fmt.Sprint(wanted) && (want == nil || what != "stats" && what != "index") {
				t.Errorf("%s: %v, want %v", what, got, wanted)
			}
		}
		var hits []string
		sum, err := c.Search(t.Context(), catalog.Query{Expr: []string{"team=a b", "é&x=1"}, Limit: 2, Scan: true}, func(h catalog.Hit) bool {
			hits = append(hits, fmt.Sprintf("%d %d %s %v", h.Seq, h.Line, h.Key, h.Fields))
			return true
		})
		check("search", err, hits, []string{"1 0 team=a b|é&x=1 map[cost:0.5 team:a]", "2 1 team=a b|é&x=1 map[cost:0.5 team:a]"})
		check("summary", err, sum, catalog.SearchSummary{Read: 2, Words: "1"})
		sums, _, err := c.Stats(t.Context(), catalog.StatsQuery{Expr: []string{"x"}, By: []string{"team", "day"}})
		check("stats", err, fmt.Sprintf("%+v", sums), "[{By:[team day] Calls:1 TokensIn:0 TokensOut:0 Cost:0.25}]")
		st, err := c.Index(t.Context())
		check("index", err, st.Position, 5)
		var bodies []string
		_, err = c.Export(t.Context(), catalog.ExportQuery{After: 6}, func(h catalog.Hit, r io.Reader) error {
			if len(bodies) == 2 {
				r = io.LimitReader(r, 3) // who does not read it all does not lose his place
			}
			b, err := io.ReadAll(r)
			bodies = append(bodies, fmt.Sprint(h.Seq, string(b)))
			return err
		})
		check("export", err, bodies, []string{`7{"a":1}`, "7", "7two"})
		var seqs []record.Seq
		err = c.Follow(t.Context(), nil, 8, func(h catalog.Hit) bool { seqs = append(seqs, h.Seq); return true })
		check("follow", err, seqs, "[9]")
		told := ""
		err = c.Rebuild(t.Context(), func(done, of record.Seq) { told += fmt.Sprint(done, of) })
		check("rebuild", err, told, "1 2")
	}
}

// A connection that breaks in the middle of a record is an error, and never a short record.
func TestExportThatIsCut(t *testing.T) {
	dir := t.TempDir()
	ln, err := ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"hit":{"seq":1,"size":10}}`+"\n"+"short")
	})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	c, ok := Dial(t.Context(), dir)
	if !ok {
		t.Fatal("nobody answers")
	}
	_, err = c.Export(t.Context(), catalog.ExportQuery{}, func(_ catalog.Hit, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err == nil {
			t.Errorf("%q looks whole", b)
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("%v", err)
	}
}
