package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"indelible/internal/proof"
)

// removeCheckpoint deletes the checkpoint of a log behind everybody's back.
func removeCheckpoint(t *testing.T, b *bucket, log string) {
	t.Helper()
	for _, name := range []string{"_indelible/" + log + "/checkpoint", "_indelible/meta/_indelible/" + log + "/checkpoint"} {
		if err := os.Remove(filepath.Join(b.root, filepath.FromSlash(name))); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// A fork is told also where the checkpoint is gone: from the tiles that are there.
func TestForkWithoutACheckpoint(t *testing.T) {
	for name, change := range map[string]func(data, backup string) error{
		"an old copy":    func(data, backup string) error { return os.CopyFS(data, os.DirFS(backup)) },
		"no memory left": func(data, _ string) error { return os.Remove(filepath.Join(data, "proof", "state")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that no wait takes time
				b, data, backup := newBucket(t), filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
				o := options(b, data)
				e := openEngine(t, o)
				end := start(t, e)
				add(t, e, "k", 0, 5)
				end()
				copyDir(t, data, backup)
				e = openEngine(t, o)
				end = start(t, e)
				add(t, e, "k", 5, 300)
				log := e.Name()
				end()
				removeCheckpoint(t, b, log)
				if name == "an old copy" {
					if err := os.RemoveAll(data); err != nil {
						t.Fatal(err)
					}
				}
				if err := change(data, backup); err != nil {
					t.Fatal(err)
				}
				e = openEngine(t, o)
				if err := e.Match(t.Context()); !errors.As(err, new(*ForkedError)) || !errors.Is(err, proof.ErrForked) {
					t.Fatalf("match: %v", err)
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				if rescued, err := Rescue(t.Context(), o, nil); err != nil || len(rescued) != 1 || !rescued[0].Done {
					t.Errorf("%+v, %v", rescued, err)
				}
			})
		})
	}
}
