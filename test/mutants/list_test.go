package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestListFitsTheSource has each text that is to be broken stand once in its file, and not only where
// the share of a change runs the mutant.
func TestListFitsTheSource(t *testing.T) {
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Error(err)
		}
		if n := strings.Count(string(text), m.old); n != 1 {
			t.Errorf("%s: what is to be broken stands %d times in %s, and should once: bring the list up to date", m.name, n, m.file)
		}
	}
}
