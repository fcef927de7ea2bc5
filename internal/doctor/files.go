package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFiles bounds how many files of a data directory are looked at.
const maxFiles = 20_000

// checkFiles looks whether the service can open every file of its data directory. A command that was run
// as another user, or a restore, may have left some that it cannot. Whoever the service
// is, the directory is its own.
func checkFiles(dataDir string) Check {
	const name = "files"
	owner, err := os.Stat(dataDir)
	if err != nil || !owner.IsDir() {
		return good(name, "no data directory yet")
	}
	seen, bad, first := 0, 0, ""
	err = filepath.WalkDir(dataDir, func(path string, d fs.DirEntry, err error) error {
		if seen++; seen > maxFiles {
			return fs.SkipAll
		}
		wrong := ""
		if err != nil {
			wrong = err.Error()
		} else if info, err := d.Info(); err == nil { // else it was removed meanwhile
			wrong = closedTo(owner, info)
		}
		if wrong != "" {
			if bad++; first == "" {
				first = fmt.Sprintf("%s: %s", path, wrong)
			}
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return failed(name, "give the user of serve its data directory", "%v", err)
	case bad > 0:
		return failed(name, fmt.Sprintf("chown -R --reference=%s %[1]s; chmod -R u+rwX %[1]s", quote(dataDir)), "%d files are closed to the user of serve; nothing is damaged by that: %s", bad, first)
	}
	return good(name, "the user of serve may open all %d", seen)
}
