package readers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"indelible/internal/testserver"
)

// TestExported has readers read what "export --format parquet" writes: a folder of parts, and one file. The records were objects in a
// directory, which "pack" took.
func TestExported(t *testing.T) {
	if os.Getenv("INDELIBLE_READERS") == "" {
		t.Skip("needs 2 GB of Python packages: set INDELIBLE_READERS=1, or run test/steps readers")
	}
	python := testserver.Python(t, "requirements.txt")
	dir := t.TempDir()
	binary := filepath.Join(dir, "indelible")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "indelible/cmd/indelible").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := rand.New(rand.NewPCG(3, 4))
	want := struct {
		Rows  int     `json:"rows"`
		Alpha int     `json:"alpha"`
		Cost  float64 `json:"cost"`
		ID    string  `json:"id"`
	}{}
	if err := os.Mkdir(filepath.Join(dir, "objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		team := []string{"alpha", "beta"}[n%2]
		row := newRow(r, int64(n+1), time.Unix(1764000000+int64(n), 0).UTC(), team)
		want.Rows++
		if team == "alpha" {
			want.Alpha++
			want.Cost += 0.25
		}
		if n == 77 {
			var one struct{ ID string }
			_ = json.Unmarshal(row.Body, &one)
			want.ID = one.ID
		}
		if err := os.WriteFile(filepath.Join(dir, "objects", fmt.Sprintf("k%03d.json", n)), row.Body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"pack", "file://" + dir + "/objects"},
		{"export", "--format", "parquet", "-o", "file://" + dir + "/lake"},
		{"export", "--format", "parquet", "-o", dir + "/one.parquet"},
	} {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = append(os.Environ(), "INDELIBLE_DATA="+filepath.Join(dir, "data"), "INDELIBLE_TO=file://"+filepath.Join(dir, "store"))
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	facts, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, reader := range []string{"duckdb", "pyarrow", "polars", "datafusion", "chdb"} {
		t.Run(reader, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), python, "exported.py", reader, filepath.Join(dir, "lake"), filepath.Join(dir, "one.parquet"), string(facts))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
