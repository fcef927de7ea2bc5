// Package docs follows the documentation as a stranger would: it runs the shell blocks of
// each page as they stand.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A block is a fenced piece of a page. A shell block has a comment before it that says
// what happens to it here: <!-- run --> or <!-- not run: the reason -->.
type block struct {
	page   string // from the root of the repository
	line   int
	lang   string
	run    bool
	reason string // why it is not run
	text   string
	answer string // of a JSON block that follows
}

var mark = regexp.MustCompile(`^<!-- (run|not run: (\S.{10,})) -->$`)

func pages(t *testing.T) map[string][]block {
	t.Helper()
	names := []string{"README.md"}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(name string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".md" {
			rel, err := filepath.Rel(root, name)
			names = append(names, rel)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]block{}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if found := blocks(t, name, string(b)); len(found) > 0 {
			all[name] = found
		}
	}
	return all
}

// blocks are the shell blocks of a page, each with the JSON block that follows it directly.
func blocks(t *testing.T, page, text string) (found []block) {
	t.Helper()
	var open *block
	before, answering := "", false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\n")
		switch {
		case open != nil && line == "```":
			if open.lang == "sh" {
				found = append(found, *open)
			} else if open.lang == "json" && answering && len(found) > 0 {
				found[len(found)-1].answer = open.text
			}
			answering = open.lang == "sh"
			open = nil
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			open = &block{page: page, line: n, lang: strings.TrimPrefix(line, "```")}
			if open.lang == "bash" || open.lang == "shell" || open.lang == "console" {
				t.Errorf("%s:%d: shell blocks are called sh", page, n)
			}
			if open.lang == "sh" {
				m := mark.FindStringSubmatch(before)
				if m == nil {
					t.Errorf("%s:%d: say what happens to this block: <!-- run --> or <!-- not run: the reason -->, in the line before it", page, n)
					continue
				}
				open.run, open.reason = m[1] == "run", m[2]
			}
		case strings.TrimSpace(line) != "":
			answering = false
		}
		before = line
	}
	return found
}

// TestBlocksAreMarked: no shell block stands there that nobody has decided about.
func TestBlocksAreMarked(t *testing.T) {
	run, not := 0, 0
	for _, all := range pages(t) {
		for _, b := range all {
			if b.run {
				run++
			} else {
				not++
			}
		}
	}
	t.Logf("%d blocks are run, %d are not", run, not)
	if run < 10 {
		t.Errorf("only %d blocks are run", run)
	}
}
