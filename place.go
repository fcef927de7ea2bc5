package indelible

import (
	"path"
	"path/filepath"
	"strings"

	"indelible/internal/engine"
)

// located is a Store that knows what the command line calls it.
type located interface {
	Location() (url, endpoint, region string)
}

// place names the store, and the command line that rescues the directory.
func (o *Options) place() (identity, rescue string) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		dir = o.Dir
	}
	words := []string{"indelible", "rescue", "--data", dir}
	url, endpoint, region := "", "", ""
	switch s := o.Store.(type) {
	case nil:
		url = "file://" + filepath.ToSlash(filepath.Join(dir, "store"))
	case located:
		url, endpoint, region = s.Location()
	}
	if url != "" {
		// The prefix is part of what the command line calls the destination.
		if prefix := strings.Trim(o.Prefix, "/"); prefix != "" {
			url += "/" + path.Clean(prefix)
		}
		words = append(words, "--to", url)
	}
	if endpoint != "" {
		words = append(words, "--endpoint", endpoint)
	}
	if region != "" {
		words = append(words, "--region", region)
	}
	for i, w := range words {
		words[i] = engine.ShellQuote(w)
	}
	return strings.TrimSpace(url + " " + endpoint), strings.Join(words, " ")
}
