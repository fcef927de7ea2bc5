package config

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// List is texts: in the file also a list; as one text, separated by commas.
type List []string

// MarshalText is the list as one text.
func (l List) MarshalText() ([]byte, error) { return []byte(strings.Join(l, ",")), nil }

// UnmarshalText reads texts separated by commas.
func (l *List) UnmarshalText(text []byte) error {
	list := trimmed(text)
	if slices.Contains(list, "") {
		return errors.New("want texts separated by commas, none of them empty")
	}
	*l = list
	return nil
}

// UnmarshalYAML reads a list.
func (l *List) UnmarshalYAML(n *yaml.Node) error {
	var list List
	for e := range elements(n) {
		if n.Kind != yaml.SequenceNode || e.value.Kind != yaml.ScalarNode || e.value.Value == "" {
			return &nodeError{e.key, errors.New("want a list of texts, none of them empty")}
		}
		list = append(list, e.value.Value)
	}
	*l = list
	return nil
}

// Tags are texts by name: in the file a mapping; as one text, "name=value,...".
type Tags map[string]string

var errTags = errors.New("want a mapping of names to texts")

// MarshalText is the tags as one text, by name.
func (t Tags) MarshalText() ([]byte, error) {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(t)) {
		pairs = append(pairs, name+"="+t[name])
	}
	return []byte(strings.Join(pairs, ",")), nil
}

// UnmarshalText reads "name=value,...".
func (t *Tags) UnmarshalText(text []byte) error {
	n, ok := mapping(strings.Split(string(text), ","))
	if !ok {
		return errTags
	}
	return t.UnmarshalYAML(n)
}

// UnmarshalYAML reads a mapping.
func (t *Tags) UnmarshalYAML(n *yaml.Node) error {
	tags := Tags{}
	for e := range elements(n) {
		if e.name == "" || e.value.Kind != yaml.ScalarNode {
			return &nodeError{e.key, errTags}
		}
		tags[e.name] = e.value.Value
	}
	if len(tags) > 10 {
		return errors.New("want at most 10 tags: S3 takes no more")
	}
	*t = tags
	return nil
}

// trimmed are the texts between commas, without the spaces around them.
func trimmed(text []byte) []string {
	list := strings.Split(string(text), ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// list is a list of texts, as the file would give it.
func list(texts []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, text := range texts {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: text})
	}
	return n
}

// mapping is a mapping of "name=value" each, as the file would give it; false if one has no "=".
func mapping(pairs []string) (*yaml.Node, bool) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, false
		}
		n.Content = append(n.Content, list([]string{name, value}).Content...)
	}
	return n, true
}

// element is one value of a list, or one of a mapping with its name.
type element struct {
	name  string     // "" in a list
	key   *yaml.Node // at in a list
	at    *yaml.Node // where the value stands, which may be an alias
	value *yaml.Node // what the alias leads to
}

// elements are those of a list or a mapping.
func elements(n *yaml.Node) iter.Seq[element] {
	return func(yield func(element) bool) {
		for i, c := range n.Content {
			e := element{key: c, at: c, value: resolve(c)}
			if n.Kind == yaml.MappingNode {
				if i%2 == 0 {
					continue
				}
				e.key = n.Content[i-1]
				e.name = e.key.Value
			}
			if !yield(e) {
				return
			}
		}
	}
}

// nodeError is a mistake at one place inside a list or mapping.
type nodeError struct {
	at *yaml.Node
	error
}

func (e *nodeError) Unwrap() error { return e.error }

// readFields reads a mapping into the struct that p points to, as strictly as the whole file. Where a secret is
// among its fields, the error does not repeat a name that is unknown: it may be the secret in the wrong place.
func readFields(n *yaml.Node, p any) error {
	fields := fieldsOf(p)
	var known []string
	secret := false
	for _, f := range fields {
		known, secret = append(known, f.Path), secret || f.secret
	}
	sorted := slices.Sorted(slices.Values(known))
	for e := range elements(n) {
		i := slices.Index(known, e.name)
		switch {
		case i < 0 && secret:
			return &nodeError{e.key, errors.New("a field is unknown" + nearest(e.name, sorted))}
		case i < 0:
			return &nodeError{e.key, fmt.Errorf("unknown field %q%s", e.name, nearest(e.name, sorted))}
		case e.value.Kind != yaml.ScalarNode:
			return &nodeError{e.value, fmt.Errorf("%s: want one value", e.name)}
		}
		if err := fields[i].set(e.value.Value); err != nil {
			return &nodeError{e.value, fmt.Errorf("%s: %w", e.name, err)}
		}
	}
	return nil
}

// nearest is what was probably meant by a name that is unknown, or else what is known.
func nearest(name string, known []string) string {
	if near := Suggest(name, known); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return "; known are " + strings.Join(known, ", ")
}
