package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Upstream is a server that the proxy calls.
type Upstream struct {
	Name     string
	URL      HTTPURL `yaml:"url"`
	Provider string  `yaml:"provider"`         // as records name it; "" leaves it to the bytes
	KeyFile  string  `yaml:"key_file"`         // holds the credential that is sent in place of the client's
	Header   string  `yaml:"key_header"`       // where that goes; "" is Authorization, as Bearer
	Sign     string  `yaml:"sign" oneof:"aws"` // "aws" signs each request with AWS credentials of the process
	Region   string  `yaml:"region"`           // of such a signature; "" is the host's, or the environment's
	Service  string  `yaml:"service"`          // likewise; "" is bedrock
	Profile  string  `yaml:"profile"`          // of AWS's shared configuration
}

// BuiltinUpstreams are there without being configured.
func BuiltinUpstreams() []Upstream {
	return []Upstream{
		{Name: "openai", URL: "https://api.openai.com", Provider: "openai"},
		{Name: "anthropic", URL: "https://api.anthropic.com", Provider: "anthropic"},
		{Name: "gemini", URL: "https://generativelanguage.googleapis.com", Provider: "gemini"},
		{Name: "mistral", URL: "https://api.mistral.ai", Provider: "mistral"},
		{Name: "cohere", URL: "https://api.cohere.com", Provider: "cohere"},
		{Name: "ollama", URL: "http://127.0.0.1:11434", Provider: "ollama"},
		{Name: "litellm", URL: "http://127.0.0.1:4000"},
	}
}

// Upstreams are those of the proxy that are configured, by name: in the file a mapping of names to URLs or to
// the fields of an Upstream; as one text, "name=url,...".
type Upstreams []Upstream

var errUpstreams = errors.New("want a mapping of names to URLs")

// All are the configured upstreams, and the built-in ones that none of them replaces.
func (us Upstreams) All() []Upstream {
	all := slices.Clone(us)
	for _, b := range BuiltinUpstreams() {
		if !slices.ContainsFunc(us, func(u Upstream) bool { return u.Name == b.Name }) {
			all = append(all, b)
		}
	}
	return all
}

// MarshalText is the upstreams as one text, without what stands beside their URLs.
func (us Upstreams) MarshalText() ([]byte, error) {
	var pairs []string
	for _, u := range us {
		pairs = append(pairs, u.Name+"="+string(u.URL))
	}
	return []byte(strings.Join(pairs, ",")), nil
}

// UnmarshalText reads "name=url,...".
func (us *Upstreams) UnmarshalText(text []byte) error {
	n, ok := mapping(trimmed(text))
	if !ok {
		return errUpstreams
	}
	return us.UnmarshalYAML(n)
}

// UnmarshalYAML reads a mapping.
func (us *Upstreams) UnmarshalYAML(n *yaml.Node) error {
	var list Upstreams
	for e := range elements(n) {
		if n.Kind != yaml.MappingNode {
			return errUpstreams
		}
		if wrong := wrongUpstreamName(e.name); wrong != "" {
			return &nodeError{e.key, fmt.Errorf("upstream %q: %s", e.name, wrong)}
		}
		u := Upstream{Name: e.name}
		fields := e.value
		if e.value.Kind == yaml.ScalarNode {
			fields = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "url"}, e.value}}
		}
		if err := readFields(fields, &u); err != nil {
			return fmt.Errorf("upstream %s: %w", e.name, err)
		}
		if i := slices.IndexFunc(BuiltinUpstreams(), func(b Upstream) bool { return b.Name == u.Name }); i >= 0 {
			b := BuiltinUpstreams()[i]
			u.URL, u.Provider = cmp.Or(u.URL, b.URL), cmp.Or(u.Provider, b.Provider)
		}
		if wrong := u.wrong(); wrong != "" {
			return &nodeError{e.key, fmt.Errorf("upstream %s: %s", e.name, wrong)}
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Upstream) int { return strings.Compare(a.Name, b.Name) })
	*us = list
	return nil
}

// wrong says what the fields of an upstream must hold together.
func (u *Upstream) wrong() string {
	switch {
	case u.URL == "":
		return "want its url, such as https://host"
	case u.Sign != "" && u.KeyFile != "":
		return "key_file and sign both say with which credential it is called: remove one of them"
	case u.Sign == "" && u.Region+u.Service+u.Profile != "":
		return "region, service and profile are those of a signature: set sign: aws, too"
	}
	return ""
}

func wrongUpstreamName(s string) string {
	if s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return "want a name of up to 64 letters, digits, '_' and '-'"
	}
	return ""
}
