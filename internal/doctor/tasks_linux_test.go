package doctor

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestTasks(t *testing.T) {
	root := t.TempDir()
	write := func(dir, limit, current, events string) {
		dir = filepath.Join(root, dir)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"pids.max": limit, "pids.current": current, "pids.events": events} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("a", "max", "9", "max 0")
	write("a/b", "1000", "9", "max 0")
	write("few", "100", "90", "max 0")
	write("few/inner", "5000", "2", "max 0")
	write("met", "1000", "5", "max 3")
	write("pids/old", "40", "20", "max 0")
	write("free", "max", "9", "max 0")
	for groups, want := range map[string]struct {
		limit, left, met uint64
		scarce           bool
	}{
		"0::/a/b\n":                    {1000, 991, 0, false},
		"0::/few/inner\n":              {100, 10, 0, true}, // of the group above
		"0::/met\n":                    {1000, 995, 3, true},
		"8:pids:/old\n4:memory:/few\n": {40, 20, 0, true},
		"0::/free\n":                   {math.MaxUint64, math.MaxUint64 - 9, 0, false},
	} {
		got, ok := tasksIn(root, groups)
		if !ok || got.Limit != want.limit || got.Limit-got.Used != want.left || got.Met != want.met || got.Scarce() != "" != want.scarce {
			t.Errorf("%q: %+v, %q", groups, got, got.Scarce())
		}
	}
	if got, ok := tasksIn(root, "0::/none\n1:name=systemd:/\n"); ok {
		t.Errorf("no limit: %+v", got)
	}
}
