package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// destinationFile says where the last serve on a data directory delivered to.
const destinationFile = "destination.json"

// remembered is what it holds. Credentials are no part of it.
type remembered struct {
	URL      string `json:"url"`
	Endpoint string `json:"endpoint,omitempty"`
	Region   string `json:"region,omitempty"`
}

// Remember keeps the destination in the data directory, for commands that are called
// without one. It need not survive a power loss: the next start writes it again.
// The default destination is written as "", because it moves with the data directory:
// a copy of that directory must not be answered for by the store of the original.
func (l *Loaded) Remember() error {
	d := l.Config.Destination
	r := remembered{string(d.URL), string(d.Endpoint), d.Region}
	if _, configured := l.Sources["destination.url"]; !configured {
		r.URL = ""
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file := filepath.Join(l.Config.Data, destinationFile)
	if err := os.WriteFile(file+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember the destination: %w", err)
	}
	return os.Rename(file+".new", file)
}

// recall takes the destination that Remember kept, and its endpoint and region where
// those are not configured. A file that cannot be read as one is as good as none.
func (l *Loaded) recall() error {
	file := filepath.Join(l.Config.Data, destinationFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read where the last serve delivered to: %w", err)
	}
	var r remembered
	if json.Unmarshal(b, &r) != nil || wrongLocation(r.URL) != "" {
		return nil
	}
	kept := map[string]string{"destination.url": r.URL, "destination.endpoint": r.Endpoint, "destination.region": r.Region}
	for _, f := range fieldsOf(&l.Config) {
		if text := kept[f.Path]; text != "" && f.text() == "" && f.set(text) == nil {
			l.Sources[f.Path] = Source{Kind: "remembered", Name: file}
		}
	}
	return nil
}
