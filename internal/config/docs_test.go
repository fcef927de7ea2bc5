package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs/configuration.md has every setting with all its names and its default.
func TestConfigurationIsDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(string(b), "\n")
	row := func(path string) string {
		for _, r := range rows {
			if strings.HasPrefix(r, "|") && strings.Contains(r, "`"+path+"`") {
				return r
			}
		}
		return ""
	}
	for _, f := range Fields() {
		r := row(f.Path)
		if r == "" {
			t.Errorf("%s is not documented", f.Path)
			continue
		}
		if f.Flag != "" && !strings.Contains(r, "--"+f.Flag+" ") {
			t.Errorf("%s: its flag --%s is not in %s", f.Path, f.Flag, r)
		}
		if f.Env != "" && !strings.Contains(r, "`"+f.Env+"`") {
			t.Errorf("%s: its variable %s is not in %s", f.Path, f.Env, r)
		}
		if f.Default != "" && f.Default != "0B" && !strings.Contains(r, "`"+f.Default+"`") {
			t.Errorf("%s: its default %s is not in %s", f.Path, f.Default, r)
		}
	}
}
