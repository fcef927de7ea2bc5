//go:build unix

package process

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// staged are the accidents, and the tests of other packages, that stage a row of docs/recovery.md, by
// the begin of the row.
var staged = map[string][]string{
	"the process was killed":                   {"killed on overlay"},
	"an old copy of the data directory":        {"old copy started"},
	"the same, while the destination was away": {"old copy started, destination away"},
	"two processes wrote one log":              {"hard-linked copy started"},
	"a hard-linked copy":                       {"hard-linked copy started"},
	"the bucket was put back":                  {"the store shows an old list and an old checkpoint"},
	"the checkpoint was removed":               {"checkpoint removed from the bucket", "older checkpoint put back"},
	"objects were removed":                     {"objects removed from the bucket", "the store loses objects that it had confirmed"},
	"a `file://` destination was renamed":      {"store directory replaced under the daemon"},
	"`lock` was removed":                       {"a second owner, the lock's file removed"},
	"segments, the spool or the whole":         {"active segment removed", "spool emptied", "data directory removed"},
	"`proof/state` is damaged":                 {"proof/state damaged", "zero length after a crash: proof/state"},
	"`proof/state` is that of another log":     {"internal/engine TestMemoryOfAnotherLog"},
	"`log.key.next` is lost":                   {"internal/engine TestSecretOfTheNextKeyGone"},
	"`log.key` is lost":                        {"log.key lost"},
	"`log.name` is lost":                       {"log.name lost", "zero length after a crash: log.name"},
	"`log.name` and other files":               {"files of two logs mixed"},
	"any other file":                           {"zero length after a crash: spool/state", "zero length after a crash: index.db"},
	"a command was run as root":                {"keys rotated as root", "data directory closed to the service", "internal/doctor TestFilesClosedToTheService"},
	"a mistyped `--to`":                        {"mistyped destination"},
	"a proxy or a sign-in page":                {"a proxy answers 200 to everything", "a proxy redirects everything to a page"},
	"credentials were rotated":                 {"credentials corrected in the shared file"},
	"the store's certificate expired":          {"the store's certificate expires"},
	"the authority that signed":                {"internal/store/s3 TestCertificates"},
	"the disk is full":                         {"full ext4", "full xfs", "full btrfs", "full tmpfs", "no inode left"},
	"the file system turned read-only":         {"file system turned read-only", "a file may not grow (EFBIG)"},
	"no file descriptor":                       {"too few descriptors"},
	"no thread or process":                     {"pids.max is met"},
	"`rescue` was cut short":                   {"internal/engine TestRescueIsCutShort"},
	"the destination is away during `rescue`":  {"internal/engine TestRescueWithTheStoreAway"},
}

// Every row of the table in docs/recovery.md is staged by a test that is there.
func TestRecoveryIsStaged(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	b, err := os.ReadFile(filepath.Join(root, "docs", "recovery.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(b)) {
		row, ok := strings.CutPrefix(line, "| ")
		if !ok || strings.HasPrefix(row, "accident |") {
			continue
		}
		rows++
		begin := ""
		for name := range staged {
			if strings.HasPrefix(row, name) {
				begin = name
			}
		}
		if begin == "" {
			t.Errorf("no test stages %q", row)
		}
	}
	if rows != len(staged) {
		t.Errorf("%d rows, and %d that are staged", rows, len(staged))
	}
	for row, names := range staged {
		for _, name := range names {
			if pkg, test, ok := strings.Cut(name, " Test"); ok && strings.HasPrefix(pkg, "internal/") {
				if !hasTest(t, filepath.Join(root, pkg), "Test"+test) {
					t.Errorf("%s: %s is gone", row, name)
				}
			} else if !slices.ContainsFunc(accidents, func(a accident) bool { return a.name == name }) {
				t.Errorf("%s: there is no accident %q", row, name)
			}
		}
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "func "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
