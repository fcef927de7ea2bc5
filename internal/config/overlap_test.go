package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Records never come to lie among the files of the data directory.
func TestDestinationApartFromData(t *testing.T) {
	work := t.TempDir()
	for _, dir := range []string{"data/spool", "link"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link/data": "data", "link/spool": "data/spool", "link/up": ".", "link/away": "link"} {
		if err := os.Symlink(filepath.Join(work, to), filepath.Join(work, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(work)
	for _, tt := range []struct{ data, to, want string }{
		{"data", "data", "is the data directory itself"},
		{"data", "./x/../data/", "is the data directory itself"},
		{"data", "file://" + filepath.ToSlash(work) + "/data", "is the data directory itself"},
		{"data", "data/{bucket}", "is the data directory itself"},
		{"data", "link/data", "is the data directory itself"},
		{"link/data", "data", "is the data directory itself"},
		{"data", ".", "holds the data directory"},
		{"data", "link/up", "holds the data directory"},
		{"data", "{bucket}", "holds the data directory"},
		{"data", "/", "holds the data directory"},
		{"new/data", "new", "holds the data directory"},
		{"data", "data/spool", "lies in the data directory"},
		{"data", "data/records", "lies in the data directory"},
		{"data", "data/store2", "lies in the data directory"},
		{"data", "link/spool", "lies in the data directory"},
		{"data", "link/data/spool/new", "lies in the data directory"},
		{"data", "", ""},
		{"data", "data/store", ""},
		{"data", "link/data/store", ""},
		{"data", "data/store/{bucket}", ""},
		{"data", "data2", ""},
		{"data", "store", ""},
		{"data", "..store", ""},
		{"data", "link/away/data2", ""},
		{"data", "s3://data", ""},
	} {
		_, err := Load(Input{Flags: map[string]string{"data": tt.data, "to": tt.to}, Env: environment(nil)})
		if tt.to == "" {
			_, err = Load(Input{Flags: map[string]string{"data": tt.data}, Env: environment(nil)})
		}
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("--data %s --to %s: %v", tt.data, tt.to, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), "--to: the destination ") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "choose a directory beside it, or "+filepath.Join(work, tt.data, "store"))):
			t.Errorf("--data %s --to %s: %v, want one that %s", tt.data, tt.to, err, tt.want)
		}
	}
}
