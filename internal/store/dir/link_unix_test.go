//go:build unix

package dir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/storetest"
)

// A symbolic link that somebody put into the directory is no object, says what it is where it leads nowhere, and does not keep
// the others from being listed. Names tells of it.
func TestLink(t *testing.T) {
	top := t.TempDir()
	s, err := OpenPath(top)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"a/body", "a/other"} {
		storetest.MustPut(t, s, storetest.Object(key, ""))
	}
	outside := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(top, "a/body")); err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"a/body": outside, "a/out": "../../x", "a/circle": "circle", "a/dir": filepath.Dir(outside), "a/nowhere": "none", "_indelible/junk": outside}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
		body, _, err := s.Get(t.Context(), name, store.GetOptions{})
		if err == nil {
			_ = body.Close()
		}
		if gone := name == "a/nowhere"; gone && store.ClassOf(err) != store.NotFound || !gone && !errors.Is(err, store.ErrNoObject) {
			t.Errorf("get %s: %v", name, err)
		}
	}
	for _, o := range []store.ListOptions{{}, {Prefix: "_indelible/", Delimiter: "/"}} {
		var listed []string
		for info, err := range s.List(t.Context(), o) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, info.Key)
		}
		if o.Prefix == "" && !slices.Equal(listed, []string{"a/other"}) || o.Prefix != "" && len(listed) > 0 {
			t.Errorf("listed %q", listed)
		}
	}
	var named []string
	for name, err := range s.Names(t.Context(), store.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		named = append(named, name)
	}
	if len(named) != len(links)+1 {
		t.Errorf("named %q", named)
	}
}

// A file without end, in the place of an object without attributes or of its attributes, is neither hashed nor read to its end.
func TestEndlessFile(t *testing.T) {
	top := t.TempDir()
	s, err := OpenPath(top)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.MustPut(t, s, storetest.Object("a", ""))
	const size = 1 << 42
	for _, name := range []string{"endless", "_indelible/.meta/a"} {
		file := filepath.Join(top, name)
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, size)); err != nil {
			t.Skip(err) // a file system that has no such files
		}
	}
	body, info, err := s.Get(t.Context(), "endless", store.GetOptions{})
	if err != nil || info.Size != size || info.ETag != "" {
		t.Fatalf("%+v, %v", info, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	for info, err := range s.List(t.Context(), store.ListOptions{Prefix: "endless"}) {
		if err != nil || info.Size != size {
			t.Errorf("%+v, %v", info, err)
		}
	}
	if _, _, err := s.Get(t.Context(), "a", store.GetOptions{}); err == nil || !strings.Contains(err.Error(), "not written by this store") {
		t.Errorf("attributes without end: %v", err)
	}
}
