package indelible_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// floors is the layering of the packages: one imports only packages on lower
// floors. Each has an entry of its own.
var floors = map[string]int{
	"internal/record":  0,
	"internal/term":    0,
	"internal/fields":  0,
	"internal/version": 0,
	"internal/logging": 1,

	"internal/disk":             1,
	"internal/store":            1,
	"internal/disk/disktest":    2,
	"internal/disk/osdisk":      2,
	"internal/disk/faultdisk":   2,
	"internal/disk/crashdisk":   2,
	"internal/store/storetest":  2,
	"internal/store/dir":        3,
	"internal/store/s3":         2,
	"internal/store/faultproxy": 2,

	"internal/testserver": 0, // real peers, for tests only
	"internal/torture":    0, // what the torture scenarios share; for tests only

	"internal/layout":      3,
	"internal/layout/pack": 3,

	"internal/demo/s3server": 3,
	"internal/capture":       3,
	"internal/otlp":          3,
	"internal/recorder":      4,
	"internal/crosscheck":    4,

	"internal/spool":  4,
	"internal/proof":  4,
	"internal/signer": 5,

	"internal/upload":       5,
	"internal/query":        5,
	"internal/query/filter": 3,
	"internal/replay":       4,
	"internal/export":       4,
	"internal/importer":     5,
	"internal/query/index":  6,
	"internal/config":       5,

	"internal/engine": 6,

	"internal/ingest":         6,
	"internal/ingest/sigv4":   6,
	"internal/ingest/s3api":   7,
	"internal/ingest/jsonapi": 7,
	"internal/ingest/otlpapi": 7,
	"internal/ingest/awssign": 6,
	"internal/ingest/proxy":   7,
	"internal/web":            7,

	"integrations/litellm": 7,

	"":                 8,
	"s3store":          9,
	"internal/catalog": 9,
	"internal/control": 10,
	"internal/setup":   7,
	"internal/doctor":  11,
	"internal/metrics": 11,
	"internal/recent":  11,
	"internal/local":   12,
	"internal/daemon":  13,
	"internal/demo":    13,
	"cmd/indelible":    14,

	"internal/torture/driver": 15, // the real binary under torture; for tests only
}

// walls are the imports that few packages may have, each with the reason.
var walls = []struct {
	prefix string
	only   []string
	why    string
}{
	{"github.com/aws/", []string{"internal/store/s3", "internal/ingest/awssign"}, "the library and the spool must not carry an SDK"},
	{"github.com/cockroachdb/", []string{"internal/disk/crashdisk"}, "the crash disk is for tests"},
	{"github.com/prometheus/", []string{"internal/metrics"}, "core packages emit snapshots; one package knows Prometheus"},
	{"go.yaml.in/", []string{"internal/config", "integrations/litellm"}, "only configurations are YAML: ours and LiteLLM's"},
	{"github.com/jedib0t/", []string{"internal/term"}, "one package draws tables and colours"},
	{"modernc.org/", []string{"internal/query/index"}, "SQLite is the index's, and the index is nobody's truth"},
	{"golang.org/x/term", []string{"internal/term"}, "one package knows terminals"},
	{"github.com/tidwall/", []string{"internal/fields", "internal/query/filter", "internal/ingest/jsonapi", "internal/capture", "internal/otlp"}, "one package reads bodies; the JSON door splits them, words are looked for in their texts, and an exchange and a span hold a provider's"},
	{"google.golang.org/protobuf", []string{"internal/otlp", "internal/ingest/otlpapi"}, "OTLP is the only protobuf, and is read by hand: the bytes are kept"},
	{"github.com/parquet-go/", []string{"internal/layout/pack"}, "packs are the only Parquet, and what comes from outside is checked there"},
	{"filippo.io/mldsa", []string{"internal/proof"}, "signatures are the log's"},
	{"github.com/spf13/", []string{"cmd/indelible"}, "one package is the command line"},
}

// standardOnly are the packages that import nothing but the standard library and the floors below.
var standardOnly = []string{"internal/record", "internal/disk", "internal/disk/osdisk", "internal/store", "internal/store/dir", "internal/spool", "internal/layout"}

const maxLines = 600

func TestFloors(t *testing.T) {
	for dir, files := range goFiles(t) {
		if strings.HasPrefix(dir, "test/") {
			continue // modules and programs of the tests
		}
		floor, ok := floors[dir]
		if !ok {
			t.Errorf("%s stands on no floor: give it one in floors_test.go", dir)
			continue
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range f.Imports {
				checkImport(t, dir, floor, file, strings.Trim(imp.Path.Value, `"`))
			}
		}
	}
}

func checkImport(t *testing.T, dir string, floor int, file, imp string) {
	t.Helper()
	if imp == "indelible" || strings.HasPrefix(imp, "indelible/") {
		target := strings.TrimPrefix(strings.TrimPrefix(imp, "indelible"), "/")
		if other, ok := floors[target]; !ok || other >= floor {
			t.Errorf("%s (floor %d) imports %s (floor %d): imports go downward only", file, floor, imp, other)
		}
		return
	}
	for _, w := range walls {
		if strings.HasPrefix(imp, w.prefix) && !slices.Contains(w.only, dir) {
			t.Errorf("%s imports %s: only %v may, because %s", file, imp, w.only, w.why)
		}
	}
	if slices.Contains(standardOnly, dir) && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
		t.Errorf("%s imports %s: %s keeps to the standard library", file, imp, dir)
	}
}

func TestPackageComments(t *testing.T) {
	for dir, files := range goFiles(t) {
		found := false
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			found = found || f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != ""
		}
		if !found {
			t.Errorf("%q has no package comment: say its duty", dir)
		}
	}
}

func TestFileSizes(t *testing.T) {
	for _, files := range goFiles(t) {
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n > maxLines {
				t.Errorf("%s has %d lines, more than %d: it holds more than one thing", file, n, maxLines)
			}
		}
	}
}

// goFiles is every directory of this module with its non-test Go files.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	dirs := map[string][]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return fs.SkipDir
			}
			if _, err := os.Stat(path.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			dir := strings.TrimSuffix(strings.TrimPrefix(path.Dir(name), "."), "/")
			dirs[dir] = append(dirs[dir], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}
