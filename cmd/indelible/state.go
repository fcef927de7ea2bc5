package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"indelible/internal/setup"
)

// stateOf says whose state a file of --state is: a seq counts in one log, and what was written up to it lies in one target. A
// file of a version before has none of it, and becomes that of the first call that goes on from it.
type stateOf struct {
	Log    string `json:"log,omitempty"`
	Target string `json:"target,omitempty"`
	Format string `json:"format,omitempty"`
}

// check refuses the state in the file name where it is not that of want.
func (s stateOf) check(name string, want stateOf) error {
	for _, c := range [...]struct{ what, has, want string }{{"the log", s.Log, want.Log}, {"the target", s.Target, want.Target}, {"the format", s.Format, want.Format}} {
		if c.has != "" && c.has != c.want {
			return &usageError{problem: fmt.Sprintf("--state: %s is of %s %s, and this call is of %s: give each a state of its own, or remove %s to start over", name, c.what, c.has, c.want, name)}
		}
	}
	return nil
}

// loadState reads a file that says how far an earlier call of the same log and target has come; kept is false where there is none.
func loadState(name string, of stateOf) (at exportState, kept bool, err error) {
	at.stateOf = of
	kept, err = readState(name, &at)
	if err == nil && kept {
		err = at.check(name, of)
		at.stateOf = of
	}
	return at, kept, err
}

// readState reads a file of --state; false where there is none.
func readState(name string, at any) (kept bool, err error) {
	if name == "" {
		return false, nil
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, at); err != nil {
		return false, fmt.Errorf("%s does not say how far an earlier call has come (%w): give another --state, or take it away to start over", name, err)
	}
	return true, nil
}

// fileTarget names a file as a target.
func fileTarget(name string) string {
	if name == "" || name == "-" {
		return "stdout"
	}
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return name
}

// storeTarget names a store as a target.
func storeTarget(location string) string {
	if isStore(location) {
		return strings.TrimRight(location, "/")
	}
	return fileTarget(location)
}

// urlTarget names an endpoint as a target, without what may be a secret.
func urlTarget(kind, text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return kind
	}
	return kind + " " + strings.TrimRight((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), "/")
}

// checkFile refuses a file among the destination's own packs.
func (c *cli) checkFile(name string) error {
	if name == "" || name == "-" {
		return nil
	}
	l, err := c.load()
	if err != nil {
		return err
	}
	return setup.CheckTarget(&l.Config, filepath.Dir(name))
}
