package daemon

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/config"
)

// A start that fails lets go of what it had taken.
func TestFailedStartLetsGo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Input{Flags: map[string]string{"data": filepath.Join(dir, "data"), "to": filepath.Join(file, "x"), "s3": "127.0.0.1:0", "admin": "off"}, Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a lock that was kept would be told the second time
		err := Serve(context.Background(), l, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "open the destination") {
			t.Fatalf("serve: %v", err)
		}
	}
}
