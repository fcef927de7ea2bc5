// Package readers has the programs that people query packs with read what our
// writer wrote, with the statements that docs/format/pack.md gives.
package readers

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/engine"
	"indelible/internal/layout/pack"
	"indelible/internal/record"
	"indelible/internal/testserver"
)

// expected is what every reader must find.
type expected struct {
	Rows     int     `json:"rows"`     // all
	Bodies   int     `json:"bodies"`   // rows that hold their body
	Failures int     `json:"failures"` // status = 'failure'
	Alpha    int     `json:"alpha"`    // team alpha on 2026-11-29
	Evening  int     `json:"evening"`  // hour >= 8
	Cost     float64 `json:"cost"`     // of team alpha on that day
	Seq      int64   `json:"seq"`      // one row,
	ID       string  `json:"id"`       // its id,
	SHA256   string  `json:"sha256"`   // and its digest
	TimeNS   int64   `json:"time_ns"`
	Binary   int64   `json:"binary"` // the seq of a body that is no UTF-8
	Files    int     `json:"files"`
}

// hours are the packs of the tree, as delivery lays them out.
var hours = []string{"dt=2026-11-28/hour=23", "dt=2026-11-29/hour=0", "dt=2026-11-29/hour=7", "dt=2026-11-29/hour=8"}

const rowsPerPack = 3000

// filler makes bodies of 4 KiB that do not compress to nothing.
func filler(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "word%d ", r.IntN(3000))
	}
	return b.String()
}

// writeTree writes the packs. Teams come one after the other, so that statistics can tell row groups apart.
func writeTree(t *testing.T, dir string) expected {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	want := expected{Files: len(hours)}
	seq := int64(0)
	for i, place := range hours {
		level := pack.DefaultLevel
		if i == 1 { // as a backlog is written
			level = engine.FastLevel
		}
		var day string
		var hour int
		if _, err := fmt.Sscanf(strings.ReplaceAll(place, "/", " "), "dt=%s hour=%d", &day, &hour); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Duration(hour)*time.Hour + 123456789)
		if err := os.MkdirAll(filepath.Join(dir, place), 0o700); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, place, fmt.Sprintf("gw1-0a1b2c3d-%020d-%020d.parquet", seq+1, seq+rowsPerPack))
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w, err := pack.NewWriter(f, pack.Options{Log: "gw1-0a1b2c3d", Level: level})
		if err != nil {
			t.Fatal(err)
		}
		for i := range rowsPerPack {
			seq++
			team := []string{"alpha", "beta", "gamma"}[3*i/rowsPerPack]
			row := newRow(r, seq, at.Add(time.Duration(i)*time.Second), team)
			want.count(row, i, day, hour, team)
			if err := w.Add(row); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// newRow is a row of LiteLLM's, or one that is odd.
func newRow(r *rand.Rand, seq int64, at time.Time, team string) *pack.Row {
	status := "success"
	if seq%10 == 0 {
		status = "failure"
	}
	body := fmt.Appendf(nil, `{"id":"chatcmpl-%016x","litellm_call_id":"call-%d","trace_id":"trace-%d","call_type":"acompletion","status":%q,"model":"gpt-5","custom_llm_provider":"openai",`+
		`"startTime":%d.25,"endTime":%d.75,"prompt_tokens":100,"completion_tokens":50,"response_cost":0.25,"stream":true,"metadata":{"user_api_key_team_alias":%q},"request_tags":["prod","caf\u00e9"],"messages":[{"role":"user","content":%q}]}`,
		r.Uint64(), seq, seq/3, status, at.Unix(), at.Unix(), team, filler(r, 3500))
	// Odd rows are in the first pack only: pyarrow was seen to leave out no row group of theirs, whose filter column has nulls.
	switch seq {
	case 501:
		body = []byte("\x00\xff\xfe no UTF-8")
	case 502:
		body = nil
	case 503:
		body = []byte(`{"id":"nul\u0000inside","request_tags":[],"metadata":{"user_api_key_team_alias":"beta"}}`)
	case 505:
		body = []byte(`null`)
	}
	key := fmt.Sprintf("%s/time-%s_%d.json", at.Format(time.DateOnly), at.Format("15-04-05"), seq)
	row := &pack.Row{Info: record.Info{Seq: record.Seq(seq), Time: at, Door: "s3", Source: "AKID", Bucket: "audit", Key: key, Size: int64(len(body)), Digest: sha256.Sum256(body),
		Attrs: record.Attrs{{Name: "content-type", Value: "application/json"}}}, Key: "audit/" + key, Attrs: sha256.Sum256(nil), Body: body}
	if seq == 504 {
		row.Body, row.Object = nil, "packs/large/x"
	}
	return row
}

// count adds what a row says, as Add will have read it.
func (e *expected) count(row *pack.Row, i int, day string, hour int, team string) {
	seq := int64(row.Info.Seq)
	odd := seq > 500 && seq < 506
	e.Rows++
	if row.Body != nil {
		e.Bodies++
	}
	if odd {
		if seq == 501 {
			e.Binary = seq
		}
	} else {
		if seq%10 == 0 {
			e.Failures++
		}
		if team == "alpha" && day == "2026-11-29" {
			e.Alpha++
			e.Cost += 0.25
		}
	}
	if hour >= 8 {
		e.Evening++
	}
	if seq == 2*rowsPerPack+1234 {
		var one struct{ ID string }
		_ = json.Unmarshal(row.Body, &one)
		e.Seq, e.ID, e.SHA256, e.TimeNS = seq, one.ID, row.Info.Digest.String(), row.Info.Time.UnixNano()
	}
}

// checkOurs reads every pack whole with our own reader.
func checkOurs(t *testing.T, dir string, want *expected) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.parquet"))
	if err != nil || len(names) != want.Files {
		t.Fatal(names, err)
	}
	rows := 0
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		p, err := pack.Open(f, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		for row, err := range p.Rows(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if row.Object == "" && sha256.Sum256(row.Body) != row.Info.Digest {
				t.Fatalf("row %d has another digest", row.Info.Seq)
			}
			rows++
		}
	}
	if rows != want.Rows {
		t.Fatalf("%d rows of %d", rows, want.Rows)
	}
}

func TestReaders(t *testing.T) {
	if os.Getenv("INDELIBLE_READERS") == "" {
		t.Skip("needs 2 GB of Python packages: set INDELIBLE_READERS=1, or run test/steps readers")
	}
	python := testserver.Python(t, "requirements.txt")
	dir := filepath.Join(t.TempDir(), "packs")
	want := writeTree(t, dir)
	checkOurs(t, dir, &want)
	facts, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, reader := range []string{"duckdb", "pyarrow", "polars", "datafusion", "chdb", "pyiceberg", "deltalake", "pyspark"} {
		t.Run(reader, func(t *testing.T) {
			if reader == "pyspark" {
				needJava(t)
			}
			cmd := exec.CommandContext(t.Context(), python, "read.py", reader, dir, string(facts))
			cmd.Env = append(os.Environ(), "POLARS_VERBOSE=1", "HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "== ") {
					t.Log(strings.TrimSpace(line))
				}
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func needJava(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("Spark needs a Java runtime (Debian: default-jre-headless)")
	}
}

// TestSparkExample runs the example that verifies at scale: it finds nothing wrong, and what is wrong.
func TestSparkExample(t *testing.T) {
	if os.Getenv("INDELIBLE_READERS") == "" {
		t.Skip("needs Spark: set INDELIBLE_READERS=1, or run test/steps readers")
	}
	needJava(t)
	python := testserver.Python(t, "requirements.txt")
	dir := filepath.Join(t.TempDir(), "packs")
	want := writeTree(t, dir)
	run := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), python, "../../examples/spark/audit.py", dir, want.ID)
		cmd.Env = append(os.Environ(), "SPARK_LOCAL_IP=127.0.0.1", "HOME="+t.TempDir())
		out, err := cmd.Output()
		return string(out), err
	}
	out, err := run()
	sound := fmt.Sprintf(`{"digests": %d, "changed": 0}`, want.Bodies)
	one := fmt.Sprintf(`{"record": {"seq": %d,`, want.Seq)
	if err != nil || !strings.Contains(out, sound) || !strings.Contains(out, one) {
		t.Errorf("%v: no %s or no %s in\n%s", err, sound, one, out)
	}
	// A pack with a body that is not the record's, as one who can write to the bucket could make it.
	forged := newRow(rand.New(rand.NewPCG(9, 9)), 20001, time.Unix(1764000000, 0).UTC(), "alpha")
	forged.Info.Digest[0] ^= 1
	writePack(t, filepath.Join(dir, "dt=2026-11-29", "hour=9", "forged.parquet"), forged)
	if out, err = run(); err == nil || !strings.Contains(out, `{"changed": {"log": "gw1-0a1b2c3d", "seq": 20001,`) {
		t.Errorf("a forged body was not found: %v\n%s", err, out)
	}
}

func writePack(t *testing.T, name string, row *pack.Row) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := pack.NewWriter(f, pack.Options{Log: "gw1-0a1b2c3d"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(row); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
