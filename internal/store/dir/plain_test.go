package dir_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// A plain store has the objects and nothing beside them; the same bytes again are there already, others are refused.
func TestPlain(t *testing.T) {
	root := t.TempDir()
	s, err := dir.OpenPath(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Plain()
	put := func(text string) error {
		_, err := s.Put(t.Context(), store.Object{Key: "a/b.parquet", Body: bytes.NewReader([]byte(text)), Size: int64(len(text)), Digest: sha256.Sum256([]byte(text)), Header: map[string]string{"content-type": "text/plain"}})
		return err
	}
	for range 2 {
		if err := put("one"); err != nil {
			t.Fatal(err)
		}
	}
	if err := put("other"); store.ClassOf(err) != store.Exists {
		t.Errorf("other bytes: %v", err)
	}
	body, info, err := s.Get(t.Context(), "a/b.parquet", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err != nil || string(got) != "one" || info.Size != 3 {
		t.Errorf("%q, %+v, %v", got, info, err)
	}
	_ = body.Close()
	if names, err := filepath.Glob(filepath.Join(root, "_indelible", ".meta", "*")); err != nil || len(names) > 0 {
		t.Errorf("attributes: %v, %v", names, err)
	}
	if left, err := os.ReadDir(filepath.Join(root, "_indelible", ".tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
