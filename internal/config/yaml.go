package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// yamlFile reads one configuration file into a table of settings, strictly:
// every field must be known, every value of its type.
type yamlFile struct {
	name   string
	lookup func(string) (string, bool) // the environment, for ${NAME}
	fields []Field
	set    func(f Field, s Source)
	lines  []string // of the text, for excerpts
	hide   bool     // what is being read is a secret
	errs   []error
}

// read parses the file's text. It goes on after a mistake, so that one run
// names them all.
func (y *yamlFile) read(text []byte) {
	var doc yaml.Node
	if err := yaml.Load(text, &doc, yaml.WithUniqueKeys()); err != nil {
		if len(strings.TrimSpace(string(text))) == 0 || strings.Contains(err.Error(), "no document") {
			return
		}
		y.errs = append(y.errs, y.syntaxError(err))
		return
	}
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root.Kind == 0 || isNull(root) {
		return
	}
	y.section(root, "")
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (y *yamlFile) fail(n *yaml.Node, format string, args ...any) {
	y.errs = append(y.errs, &Error{Where: fmt.Sprintf("%s:%d", y.name, n.Line), Problem: fmt.Sprintf(format, args...), Excerpt: y.excerpt(n)})
}

// block is what may stand in front of a key or a value in an excerpt: other
// keys. Whatever else stands there may be a secret.
var block = regexp.MustCompile(`^[ -]*([A-Za-z0-9_]+: +)*$`)

// excerpt is the line of a node up to its end, and a caret below its beginning.
func (y *yamlFile) excerpt(n *yaml.Node) string {
	if y.hide || n.Kind != yaml.ScalarNode || n.Line < 1 || n.Line > len(y.lines) || len(n.Value) > 80 || strings.ContainsAny(n.Value, "\n") {
		return ""
	}
	line := strings.TrimRight(y.lines[n.Line-1], "\r")
	at := n.Column - 1
	if at < 0 || at > len(line) || !block.MatchString(line[:at]) {
		return ""
	}
	end := at + strings.Index(line[at:], n.Value) + len(n.Value)
	if end < at || !strings.Contains(line[at:], n.Value) {
		return ""
	}
	return line[:end] + "\n" + strings.Repeat(" ", at) + "^"
}

// section reads the mapping at path, "" being the whole file.
func (y *yamlFile) section(n *yaml.Node, path string) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		if path == "" {
			y.fail(n, "want fields such as \"data: DIR\"")
		} else {
			y.fail(n, "%s: want fields below it: %s", path, strings.Join(y.children(path), ", "))
		}
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		full := key.Value
		if path != "" {
			full = path + "." + key.Value
		}
		if seen[full] {
			y.fail(key, "%s is there twice", full)
			continue
		}
		seen[full] = true
		if strings.Contains(key.Value, ".") && len(y.children(strings.Split(full, ".")[0])) > 0 {
			y.fail(key, "%s: write it as nested fields: %s:", full, strings.ReplaceAll(key.Value, ".", ": "))
		} else if f, ok := y.field(full); ok {
			y.apply(f, val)
		} else if f, ok := y.field(full + ".mode"); ok && full == "index" && resolve(val).Kind == yaml.ScalarNode && !isNull(resolve(val)) {
			y.apply(f, val) // "index: off"
		} else if len(y.children(full)) > 0 {
			y.section(val, full)
		} else {
			y.unknown(key, path)
		}
	}
}

// resolve follows an alias (*name) to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func (y *yamlFile) field(path string) (Field, bool) {
	i := slices.IndexFunc(y.fields, func(f Field) bool { return f.Path == path })
	if i < 0 {
		return Field{}, false
	}
	return y.fields[i], true
}

// children are the names that may stand directly below path.
func (y *yamlFile) children(path string) []string {
	prefix := path + "."
	if path == "" {
		prefix = ""
	}
	var names []string
	for _, f := range y.fields {
		if rest, ok := strings.CutPrefix(f.Path, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// unknown names a field that is none, and what was probably meant.
func (y *yamlFile) unknown(key *yaml.Node, path string) {
	below := ""
	if path != "" {
		below = " below " + path
	}
	if path == "spool" && key.Value == "url" {
		y.fail(key, "spool.url: %s; take the line out", SpoolPlace)
		return
	}
	known := y.children(path)
	if near := Suggest(key.Value, known); near != "" {
		y.fail(key, "unknown field %q%s (did you mean %q?)", key.Value, below, near)
		return
	}
	for _, f := range y.fields {
		if f.Path == key.Value || strings.HasSuffix(f.Path, "."+key.Value) || strings.Contains("."+f.Path, "."+key.Value+".") {
			y.fail(key, "unknown field %q%s (did you mean %s?)", key.Value, below, f.Path)
			return
		}
	}
	y.fail(key, "unknown field %q%s; known are %s", key.Value, below, strings.Join(known, ", "))
}

// apply sets one field from its node.
func (y *yamlFile) apply(f Field, n *yaml.Node) {
	y.hide = f.secret
	defer func() { y.hide = false }()
	at := n
	n = resolve(n)
	if isNull(n) {
		y.fail(at, "%s: has no value; give one or take the line out", f.Path)
		return
	}
	var err error
	if n.Kind == yaml.ScalarNode {
		text, ok := y.expand(n, f.Path)
		if !ok {
			return
		}
		err = f.value.set(text)
	} else if c, ok := f.value.(compound); ok {
		var items []item
		if items, ok = y.items(n, f.Path); !ok {
			return
		}
		err = c.setItems(items)
	} else {
		y.fail(at, "%s: want one value, not a list or fields", f.Path)
		return
	}
	if err != nil {
		y.fail(at, "%s: %v%s", f.Path, err, got(f, n.Value))
		return
	}
	y.set(f, Source{Kind: "yaml", Name: fmt.Sprintf("%s:%d", y.name, at.Line)})
}

// items flattens a list or mapping of at most two levels.
func (y *yamlFile) items(n *yaml.Node, path string) ([]item, bool) {
	var items []item
	whole := true
	var walk func(n *yaml.Node, at []string, index int)
	walk = func(n *yaml.Node, at []string, index int) {
		n = resolve(n)
		switch {
		case n.Kind == yaml.ScalarNode:
			text, ok := y.expand(n, path)
			whole = whole && ok
			items = append(items, item{path: slices.Clone(at), index: index, text: text})
		case len(at) >= 2:
			y.fail(n, "%s: holds too many levels", path)
			whole = false
		case n.Kind == yaml.SequenceNode:
			for i, c := range n.Content {
				walk(c, append(at, ""), i)
			}
		case n.Kind == yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], append(at, n.Content[i].Value), index)
			}
		}
	}
	walk(n, nil, 0)
	return items, whole
}

// dollar finds $${ (a plain "${"), ${NAME}, and a "${" that is neither.
var dollar = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// expand is a scalar's text with ${NAME} replaced from the environment.
func (y *yamlFile) expand(n *yaml.Node, path string) (string, bool) {
	ok := true
	text := dollar.ReplaceAllStringFunc(n.Value, func(m string) string {
		switch m {
		case "$${":
			return "${"
		case "${":
			y.fail(n, "%s: want ${NAME}, a letter or _ first and then letters, digits and _ (for a plain ${ write $${)", path)
			ok = false
			return m
		}
		name := m[2 : len(m)-1]
		v, set := y.lookup(name)
		if !set {
			y.fail(n, "%s: the environment variable %s is not set", path, name)
			ok = false
		}
		return v
	})
	return text, ok
}

// got is what was found, for an error, unless it is a secret.
func got(f Field, text string) string {
	if f.secret || text == "" || len(text) > 80 {
		return ""
	}
	return fmt.Sprintf(", not %q", text)
}
