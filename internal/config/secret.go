package config

import (
	"log/slog"
	"unique"
)

// Secret is a text that is shown nowhere: whatever prints it, or a value that it is a part of, prints a
// mask in its place. Two are equal if their texts are. The text stands behind a pointer, because
// fmt reaches fields that are not exported without asking them how they want to be shown.
type Secret struct{ text unique.Handle[string] }

// mask stands for a secret.
const mask = "********"

// NewSecret is a text as a secret; "" is none.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal is the text itself, for whoever checks or signs with it.
func (s Secret) Reveal() string {
	if !s.IsSet() {
		return ""
	}
	return s.text.Value()
}

// IsSet says whether there is a secret.
func (s Secret) IsSet() bool { return s != Secret{} }

// String is the mask; "" where there is no secret.
func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return mask
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue is String, for log lines.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes any text but the empty one.
func (s *Secret) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errEmpty
	}
	*s = NewSecret(string(text))
	return nil
}
