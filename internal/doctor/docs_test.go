package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/config"
)

// noEnv is an empty environment.
func noEnv(string) (string, bool) { return "", false }

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every line that the doctor can write has its row.
func TestChecksAreDocumented(t *testing.T) {
	doc := readDoc(t, "operations.md")
	l, err := config.Load(config.Input{Flags: map[string]string{"data": filepath.Join(t.TempDir(), "data"), "s3": "127.0.0.1:0", "http": "127.0.0.1:0", "admin": "127.0.0.1:0"}, Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	Run(t.Context(), l, func(c Check) {
		n++
		if !strings.Contains(doc, "`"+c.Name+"`") {
			t.Errorf("the line %q is not documented", c.Name)
		}
		if c.State == Failed {
			t.Errorf("%s failed: %s", c.Name, c.Found)
		}
	})
	if n < 11 {
		t.Errorf("only %d checks", n)
	}
}
