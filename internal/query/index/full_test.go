package index

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// SQLite finds no room in the middle of its work: what is in the index stays whole and is answered, the trouble is told once, and with room the index goes on.
func TestFullWhileWriting(t *testing.T) {
	l := newLog()
	more := func(n int) {
		for range n {
			id := fmt.Sprint("id-", len(l.bodies))
			l.append(id, payload(id, "alpha", "m", "success", 1, ""))
		}
	}
	more(50)
	var out lockedBuffer
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	reaches(t, x, 50)
	limit := func(text string) {
		t.Helper()
		must(t, x.with(func(d *db) error { return d.exec(t.Context(), "PRAGMA max_page_count = "+text) }))
	}
	limit("1") // that is: as many as there are
	more(2000)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "stands still"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is said of the full disk")
		}
	}
	if got := search(t, x, "team=alpha"); len(got) < 50 {
		t.Errorf("of 50 calls %d are left", len(got))
	}
	limit("1000000")
	reaches(t, x, 2050)
	if got := search(t, x, "team=alpha"); len(got) != 2050 {
		t.Errorf("%d of 2050 are found", len(got))
	}
	must(t, x.with(func(d *db) error { return d.examine(t.Context()) }))
	if n := strings.Count(out.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, out.String())
	}
}
