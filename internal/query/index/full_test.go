package index

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/query/filter"
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

// The spool is about to run out of room: the index gives it what it has, says so once, and is made again when there is room for both.
func TestGivesWay(t *testing.T) {
	l := three()
	const reserve = 1 << 10
	var free atomic.Int64
	free.Store(1 << 40)
	var out lockedBuffer
	path := filepath.Join(t.TempDir(), File)
	x, stop := running(t, l, Options{Path: path, Reserve: reserve, Free: func() (int64, error) { return free.Load(), nil }, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	reaches(t, x, 3)
	until := func(what string, holds func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s:\n%s", what, out.String())
			}
		}
	}
	size := x.Size()
	must(t, os.WriteFile(path+".damaged", make([]byte, 1<<10), 0o600))
	free.Store(2*reserve - 1) // it stands still
	l.append("k4", payload("id-4", "alpha", "m", "success", 1, ""))
	until("it does not stand still", func() bool { return strings.Contains(out.String(), "stands still") })
	if got := search(t, x, "team=alpha"); len(got) == 0 {
		t.Error("what stands still answers nothing")
	}
	free.Store(reserve)
	gone := func(name string) bool { _, err := os.Stat(name); return errors.Is(err, fs.ErrNotExist) }
	until("it does not give way", func() bool { return gone(path) && gone(path+"-wal") && gone(path+".damaged") })
	free.Store(reserve + size) // what it gave: no reason to take it again
	time.Sleep(50 * time.Millisecond)
	if err := x.Search(t.Context(), &filter.Filter{}, 0, nil); !errors.Is(err, ErrNotReady) {
		t.Errorf("asked meanwhile: %v", err)
	}
	stop()
	if n := strings.Count(out.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings:\n%s", n, out.String())
	}
	must(t, os.WriteFile(path+".damaged", make([]byte, reserve), 0o600)) // a small index, and a large one that was damaged
	free.Store(reserve)
	_, stop = running(t, l, Options{Path: path, Reserve: reserve, Free: func() (int64, error) { return free.Load(), nil }})
	until("it keeps what was damaged", func() bool { return gone(path + ".damaged") })
	stop()
	if !gone(path) {
		t.Error("it took the room again that it had given")
	}
	free.Store(1 << 40)
	x, _ = running(t, l, Options{Path: path, Reserve: reserve, Free: func() (int64, error) { return free.Load(), nil }})
	reaches(t, x, 4)
}
