package setup

import (
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/config"
)

// Copies of records never go where the log has its packs and tiles, however that place is written.
func TestCheckTarget(t *testing.T) {
	dir := t.TempDir()
	store, link := filepath.Join(dir, "store"), filepath.Join(dir, "link")
	if err := os.MkdirAll(filepath.Join(store, "packs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(store, "packs"), link); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		dest, to string
		refused  bool
	}{
		{"s3://audit", "s3://audit/packs", true},
		{"s3://audit", "s3://audit/packs/", true},
		{"s3://audit/", "s3://audit/packs/dt=2026-11-29/deeper", true},
		{"s3://audit/llm", "s3://audit/llm/packs", true},
		{"s3://audit/llm/{bucket}", "s3://audit/llm/packs", true},
		{"s3://audit/llm/x-{bucket}", "s3://audit/llm/_indelible/log", true},
		{"s3://audit", "s3://audit/_indelible", true},
		{"s3://audit/llm", "s3://audit/packs", false},
		{"s3://audit/llm", "s3://audit/llmpacks", false},
		{"s3://audit", "s3://audit/packs2", false},
		{"s3://audit", "s3://audit/lake/packs", false},
		{"s3://audit", "s3://lake1/packs", false},
		{"s3://audit", "file:///packs", false},
		{"file://" + store, "file://" + store + "/packs", true},
		{"file://" + store, "file://" + store + "/packs/new/{bucket}", true},
		{"file://" + store, "file://" + store + "/{bucket}", false},
		{"file://" + store, "file://" + link + "/new", true},
		{"file://" + store, "file://" + dir + "/lake/../store/_indelible/x", true},
		{"file://" + store, "file://" + store + "/lake", false},
		{"file://" + store, "file://" + dir + "/packs", false},
	} {
		var conf config.Config
		conf.Destination.URL = config.StoreURL(c.dest)
		if err := CheckTarget(&conf, c.to); (err != nil) != c.refused {
			t.Errorf("%s into %s: %v", c.to, c.dest, err)
		}
	}
}
