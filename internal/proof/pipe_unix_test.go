//go:build unix

package proof

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe, or a file that has no end, in the place of an object of the log or of a record neither holds docs/verify.py up
// nor is read into its memory.
func TestIndependentVerifierAndPipes(t *testing.T) {
	s := newIndependent(t)
	s.fsck = ""
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", testBase))
	b.add(l, 1, 10)
	b.do(l.Stop(t.Context()))
	size := b.clean().Size
	for name, fault := range map[string]bool{
		strings.TrimPrefix(b.key5(), testBase):                         true,
		"_indelible/.meta/" + b.key5():                                 true,
		fmt.Sprintf("_indelible/test-log/tile/entries/000.p/%d", size): true,
		fmt.Sprintf("_indelible/test-log/tile/0/000.p/%d", size):       true,
		"_indelible/test-log/checkpoint":                               true,
		"_indelible/test-log/history/0000000000000000x":                false,
	} {
		c := &copied{top: t.TempDir()}
		c.sync(b, map[string][]byte{})
		file := filepath.Join(c.top, filepath.FromSlash(name))
		for what, put := range map[string]func() error{
			"pipe":      func() error { return syscall.Mkfifo(file, 0o600) },
			"long file": func() error { return os.WriteFile(file, nil, 0o600) },
		} {
			if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			b.do(put())
			if what == "long file" {
				b.do(os.Truncate(file, 1<<40)) // it takes no room
			}
			said, _, python := s.judge(t, c, b, nil, "--allow-incomplete")
			if (python != nil) != fault || strings.Contains(said, "Traceback") {
				t.Errorf("%s in the place of %s: %v\n%s", what, name, python, said)
			}
		}
	}
}
