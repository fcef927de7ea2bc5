package dir

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/store"
)

// small puts an object of a few bytes.
func small(tb testing.TB, s *Store, key string) {
	tb.Helper()
	const body = "{}"
	_, err := s.Put(tb.Context(), store.Object{Key: key, Body: strings.NewReader(body), Size: int64(len(body)), Digest: sha256.Sum256([]byte(body)), Meta: map[string]string{"indelible-seq": "1"}})
	if err != nil {
		tb.Fatal(err)
	}
}

// A list of a store whose directory was replaced while it was read says so: what it had is not what is there now.
func TestListReplaced(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "store")
	s, err := OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 3 {
		small(t, s, fmt.Sprint("day/", i))
	}
	var listed []string
	var failed error
	for info, err := range s.List(t.Context(), store.ListOptions{}) {
		if failed = err; err != nil {
			break
		}
		if listed = append(listed, info.Key); len(listed) == 1 {
			if err := errors.Join(os.Rename(path, path+".old"), os.MkdirAll(filepath.Join(path, ownDir), 0o700)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(failed, errReopened) {
		t.Errorf("listed %v, then %v: want %v", listed, failed, errReopened)
	}
}

// BenchmarkList lists 48,000 objects in one directory: the names alone, with what a list says of each, and as it
// would be with a Head of each.
func BenchmarkList(b *testing.B) {
	top := b.TempDir()
	s, err := OpenPath(top)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	small(b, s, "day/model")
	const objects = 48_000
	for _, dir := range []string{"day", filepath.Join(metaDir, "day")} {
		model, err := os.ReadFile(filepath.Join(top, dir, "model"))
		if err != nil {
			b.Fatal(err)
		}
		for i := range objects - 1 {
			if err := os.WriteFile(filepath.Join(top, dir, fmt.Sprintf("%06d.json", i)), model, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	take := func(b *testing.B, n int) {
		for _, err := range s.List(b.Context(), store.ListOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
			if n--; n == 0 {
				return
			}
		}
		b.Fatalf("%d too few", n)
	}
	b.Run("All", func(b *testing.B) {
		for b.Loop() {
			take(b, objects)
		}
	})
	b.Run("Page", func(b *testing.B) {
		for b.Loop() {
			take(b, 1001)
		}
	})
	heads := func(b *testing.B, head bool) {
		for key, err := range s.Names(b.Context(), store.ListOptions{}) {
			if err == nil && head {
				_, err = s.Head(b.Context(), key, store.GetOptions{})
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("Names", func(b *testing.B) {
		for b.Loop() {
			heads(b, false)
		}
	})
	b.Run("Heads", func(b *testing.B) {
		for b.Loop() {
			heads(b, true)
		}
	})
}
