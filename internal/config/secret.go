package config

// Secret is a text that is shown nowhere: whatever prints a Config, prints a mask in its place.
type Secret string

// mask stands for a secret.
const mask = "********"

// Reveal is the text itself, for whoever checks or signs with it.
func (s Secret) Reveal() string { return string(s) }

// String is the mask; "" where there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String, for JSON, YAML and log lines.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
