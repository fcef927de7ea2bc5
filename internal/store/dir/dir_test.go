package dir_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
)

func open(t *testing.T, root string) *dir.Store {
	t.Helper()
	fsys, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	return dir.Open(fsys)
}

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Options{}, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

func TestTheFileIsTheRecord(t *testing.T) {
	root := t.TempDir()
	key := "My Team/2026-11-22/time-01-02-03-000004_resp_a=b+c.json"
	storetest.MustPut(t, open(t, root), storetest.Object(key, "{}"))
	if b, err := os.ReadFile(filepath.Join(root, key)); err != nil || string(b) != "{}" {
		t.Errorf("%q, %v", b, err)
	}
}

// What a crash between the two names leaves is completed by the next Put of the same bytes, and by no other.
func TestObjectWithoutAttributes(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	if err := os.WriteFile(filepath.Join(root, "key"), []byte("body"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Head(t.Context(), "key", store.GetOptions{}); err != nil || info.Size != 4 || info.ETag != "841a2d689ad86bd1611447453c22c6fc" {
		t.Errorf("%+v, %v", info, err)
	}
	_, err := s.Put(t.Context(), storetest.Object("key", "other"))
	if store.ClassOf(err) != store.Exists {
		t.Errorf("other bytes: %v", err)
	}
	same := storetest.Object("key", "body")
	same.Meta = map[string]string{"indelible-seq": "1"}
	storetest.MustPut(t, s, same)
	if info, err := s.Head(t.Context(), "key", store.GetOptions{}); err != nil || info.Meta["indelible-seq"] != "1" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestNeverOutsideItsRoot(t *testing.T) {
	outer := t.TempDir()
	s := open(t, filepath.Join(outer, "root"))
	for _, key := range []string{"../escape", "a/../../escape", "/etc/escape", "..", strings.Repeat("../", 300)} {
		if _, err := s.Put(t.Context(), storetest.Object(key, "x")); err != nil {
			t.Errorf("put %q: %v", key, err)
		}
	}
	list, err := os.ReadDir(outer)
	if err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestSweep(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	storetest.MustPut(t, s, storetest.Object("key", "x"))
	left := filepath.Join(root, "_indelible", ".tmp", "left")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now  time.Time
		kept bool
	}{{time.Now(), true}, {time.Now().Add(48 * time.Hour), false}} {
		if err := s.Sweep(c.now); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(left); (err == nil) != c.kept {
			t.Errorf("at %v: %v", c.now, err)
		}
	}
}

func TestClasses(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root may write everywhere: only the missing directory is tried")
	}
	root := t.TempDir()
	s := open(t, root)
	if err := os.Chmod(root, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(root, 0o700) })
	_, err := s.Put(t.Context(), storetest.Object("key", "x"))
	if os.Getuid() != 0 && store.ClassOf(err) != store.Configuration {
		t.Errorf("read-only directory: %v", err)
	}
	if _, err := s.Head(t.Context(), "", store.GetOptions{}); store.ClassOf(err) != store.Poison {
		t.Errorf("empty key: %v", err)
	}
	if e, ok := errors.AsType[*store.Error](err); ok && e.Op != "put" {
		t.Errorf("op %q", e.Op)
	}
}

func TestRemovedUnderItsHands(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	s := open(t, root)
	storetest.MustPut(t, s, storetest.Object("a/b", "x"))
	for _, gone := range []string{"a", "_indelible"} {
		if err := os.RemoveAll(filepath.Join(root, gone)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Put(t.Context(), storetest.Object("a/c", "x"))
	for range 3 {
		if err == nil {
			return
		}
		if class := store.ClassOf(err); class != store.Ambiguous && class != store.Exists {
			t.Fatalf("put: %v", err)
		}
		_, err = s.Put(t.Context(), storetest.Object("a/c", "x"))
	}
	t.Errorf("put never recovers: %v", err)
}

// A file that somebody changed is given as it is: who compares it with a digest sees the change.
func TestChangedFileIsGivenAsItIs(t *testing.T) {
	for _, changed := range []string{"", "{}more", "[]"} {
		root := t.TempDir()
		s := open(t, root)
		storetest.MustPut(t, s, storetest.Object("k.json", "{}"))
		if err := os.WriteFile(filepath.Join(root, "k.json"), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		body, info, err := s.Get(t.Context(), "k.json", store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil || string(got) != changed || info.Size != int64(len(changed)) {
			t.Errorf("%q, size %d, %v; want %q", got, info.Size, err, changed)
		}
	}
}
