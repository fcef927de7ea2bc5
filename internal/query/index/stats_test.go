package index

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"indelible/internal/query/filter"
)

func TestStats(t *testing.T) {
	l := three()
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File)})
	reaches(t, x, 3)
	for _, filtered := range []string{"", "seq>0"} { // from the sums that are kept, and from the rows
		f, err := filter.Parse([]string{filtered}, begin)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]Sum{}
		if _, err := x.Stats(t.Context(), f, []string{"team", Day}, func(s Sum) bool { got[strings.Join(s.By, " ")] = s; return true }); err != nil {
			t.Fatal(err)
		}
		a, b := got["alpha 2026-11-01"], got["beta 2026-11-01"]
		if len(got) != 2 || a.Calls != 2 || a.Cost != 0.75 || a.TokensIn != 20 || a.TokensOut != 40 || b.Calls != 1 {
			t.Errorf("%q: %+v", filtered, got)
		}
		if _, err := x.Stats(t.Context(), f, nil, func(s Sum) bool {
			if s.Calls != 3 {
				t.Errorf("%q: %d calls in all", filtered, s.Calls)
			}
			return true
		}); err != nil {
			t.Error(err)
		}
	}
}

// Sums of some teams, models or states come from the sums that are kept, and are those of the rows.
func TestStatsOfSome(t *testing.T) {
	l := newLog()
	for i := range 60 {
		id := fmt.Sprint("id-", i)
		l.append(id, payload(id, []string{"alpha", "Beta"}[i%2], []string{"gpt-5", "GPT-6", "other"}[i%3], []string{"success", "failure"}[i/7%2], float64(i), ""))
	}
	for i := range 5 {
		l.append(fmt.Sprint("none-", i), fmt.Sprintf(`{"id":"none-%d"}`, i)) // no team, no model, no status
	}
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File)})
	reaches(t, x, 65)
	sums := func(expr ...string) map[string]Sum {
		f, err := filter.Parse(expr, begin)
		must(t, err)
		got := map[string]Sum{}
		_, err = x.Stats(t.Context(), f, []string{"model", Day, "status"}, func(s Sum) bool { got[strings.Join(s.By, " ")] = s; return true })
		must(t, err)
		return got
	}
	for _, expr := range [][]string{{"team=alpha"}, {"team!=alpha"}, {"team="}, {"team!="}, {"model~gpt"}, {"model!~gpt"}, {"status=failure", "team=Beta"}, {"status!=failure"}, {"team=nobody"}} {
		kept, rows := sums(expr...), sums(append(expr, "seq>0")...)
		if !reflect.DeepEqual(kept, rows) {
			t.Errorf("%v: %v, and from the rows %v", expr, kept, rows)
		}
		f, err := filter.Parse(expr, begin)
		must(t, err)
		if c, rest := keptClause(f); c == nil || rest != nil {
			t.Errorf("%v is read from the rows", expr)
		}
	}
}

// Sums of a stretch of time come from the sums of its whole days and from the rows of the parts of days at its ends, and are those of the rows.
func TestStatsOfTimes(t *testing.T) {
	l := newLog()
	const n = 6000 // a minute apart: more than four days
	for i := range n {
		id := fmt.Sprint("id-", i)
		l.append(id, payload(id, []string{"alpha", "beta"}[i%2], "m", []string{"success", "failure"}[i/7%2], 1, ""))
	}
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File)})
	reaches(t, x, n)
	sums := func(by []string, expr ...string) map[string]Sum {
		f, err := filter.Parse(expr, begin)
		must(t, err)
		got := map[string]Sum{}
		_, err = x.Stats(t.Context(), f, by, func(s Sum) bool {
			key := strings.Join(s.By, " ")
			s.Add(got[key])
			got[key] = s
			return true
		})
		must(t, err)
		if len(by) == 0 && got[""].Calls == 0 {
			delete(got, "")
		}
		return got
	}
	for expr, parts := range map[string]int{ // how many parts of days are read from the rows; -1: all
		"time>=2026-11-02": 0, "time<2026-11-03": 0, "time>=2026-11-02 time<2026-11-04": 0, "time>=2026-11-02T10:00:00Z": 1, "time>2026-11-02": 1, "time<=2026-11-03": 1,
		"time>=2026-11-01T10:00:00Z time<2026-11-03T00:00:30Z": 2, "team=alpha time>=2026-11-01T10:00:00Z time<2026-11-04T22:00:00Z": 2, "time>=2026-11-02T10:00:00Z time<2026-11-03T09:00:00Z": -1,
		"time>=2027-01-01": 0, "time<2025-01-01": 0, "time<1960-01-01T12:00:00Z": 1, "time=2026-11-02": -1, "time!=2026-11-02": -1, "user=x time>=2026-11-02": -1, "time>=2026-11-03 time<2026-11-02": -1,
	} {
		f, err := filter.Parse([]string{expr}, begin)
		must(t, err)
		if c, rest := keptClause(f); (c == nil) != (parts < 0) || len(rest) != max(parts, 0) {
			t.Errorf("%s: %d parts of days, sums that are kept: %v", expr, len(rest), c != nil)
		}
		for _, by := range [][]string{nil, {"team", Day}, {Day}, {"status", "team"}} {
			terms := strings.Fields(expr)
			if kept, rows := sums(by, terms...), sums(by, append(terms, "seq>0")...); !reflect.DeepEqual(kept, rows) {
				t.Errorf("%s by %v: %v, and from the rows %v", expr, by, kept, rows)
			}
		}
	}
}
