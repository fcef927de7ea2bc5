package indelible_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every link from one page of the documentation to another leads to a file and a heading
// that are there.
func TestLinks(t *testing.T) {
	pages := []string{"README.md"}
	err := filepath.WalkDir("docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".md" {
			pages = append(pages, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	n := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			n++
			file, heading, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			if err := leadsTo(target, heading); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d links were found", n)
	}
}

// leadsTo says whether there is such a file, with such a heading if one is named.
func leadsTo(file, heading string) error {
	b, err := os.ReadFile(file)
	if heading == "" {
		if _, serr := os.Stat(file); serr == nil { // a directory
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	drop := regexp.MustCompile("[^a-z0-9 _-]")
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			anchor := strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#"))), ""), " ", "-")
			if anchor == heading {
				return nil
			}
		}
	}
	return errors.New("there is no such heading")
}
