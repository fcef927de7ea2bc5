package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Setting is one effective setting, as `config print` shows it.
type Setting struct {
	Path   string `json:"-"`
	Value  string `json:"value"` // secrets masked
	Source Source `json:"source"`
}

// Settings are all effective settings in the order of the documentation,
// secrets masked.
func (l *Loaded) Settings() []Setting {
	var out []Setting
	for _, f := range fieldsOf(&l.Config) {
		s := Setting{Path: f.Path, Value: f.text(), Source: l.Sources[f.Path]}
		if s.Source.Kind == "" {
			s.Source.Kind = "default"
		}
		out = append(out, s)
	}
	return out
}

// Print writes the effective configuration as YAML, each value with its source
// as a comment, secrets masked. Settings that are empty by default are
// comments. set leaves the defaults out.
func (l *Loaded) Print(w io.Writer, set bool) error {
	var b strings.Builder
	var open []string // the sections that the last line stood in
	for _, s := range l.Settings() {
		if set && s.Source.Kind == "default" {
			continue
		}
		parts := strings.Split(s.Path, ".")
		last := len(parts) - 1
		same := 0
		for same < last && same < len(open) && open[same] == parts[same] {
			same++
		}
		for i := same; i < last; i++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), parts[i])
		}
		open = parts[:last]
		line := strings.Repeat("  ", last)
		if s.Value == "" {
			line += "# " + parts[last] + ":"
		} else {
			line += parts[last] + ": " + YAMLText(s.Value)
		}
		fmt.Fprintf(&b, "%-48s # %s\n", line, s.Source)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// YAMLText is a text as a YAML scalar, quoted where it has to be.
func YAMLText(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == ""
	if plain && !strings.HasPrefix(s, "-") {
		return s
	}
	return strconv.Quote(s)
}
