package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// yamlFile reads one configuration file into a table of settings, strictly:
// every field must be known, every value of its type.
type yamlFile struct {
	name    string
	lookup  func(string) (string, bool) // the environment, for ${NAME}
	fields  []Field
	sources map[string]Source     // by Field.Path, of what was read
	lines   []string              // of the text, for excerpts
	written map[*yaml.Node]string // values as they are written, before variables are replaced; "" for secrets
	hide    bool                  // what is being read may be a secret
	errs    []error
}

// readYAML reads the text of a file into fields, and notes in sources where each stands. It goes on after
// a mistake, so that one run names them all. Its errors are *Error.
func readYAML(name string, text []byte, lookup func(string) (string, bool), fields []Field, sources map[string]Source) []error {
	y := &yamlFile{name: name, lookup: lookup, fields: fields, sources: sources, lines: strings.Split(string(text), "\n"), written: map[*yaml.Node]string{}}
	var doc yaml.Node
	err := yaml.Load(text, &doc, yaml.WithUniqueKeys())
	switch {
	case err != nil && (len(strings.TrimSpace(string(text))) == 0 || strings.Contains(err.Error(), "no document")):
	case err != nil:
		return []error{y.syntaxError(err)}
	case doc.Kind == yaml.DocumentNode && len(doc.Content) > 0:
		y.section(doc.Content[0], "")
	case doc.Kind != 0:
		y.section(&doc, "")
	}
	return y.errs
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (y *yamlFile) fail(n *yaml.Node, format string, args ...any) {
	y.errs = append(y.errs, &Error{Where: y.where(n), Problem: fmt.Sprintf(format, args...), Excerpt: y.excerpt(n)})
}

func (y *yamlFile) where(n *yaml.Node) string { return fmt.Sprintf("%s:%d", y.name, n.Line) }

// block is what may stand in front of a key or a value in an excerpt: other
// keys. Whatever else stands there may be a secret.
var block = regexp.MustCompile(`^[ -]*([A-Za-z0-9_]+: +)*$`)

// excerpt is the line of a node up to its end, and a caret below its beginning.
func (y *yamlFile) excerpt(n *yaml.Node) string {
	text, isValue := y.written[n]
	if !isValue {
		text = n.Value
	}
	if y.hide || isValue && mayHoldSecret(text) || n.Kind != yaml.ScalarNode || n.Line < 1 || n.Line > len(y.lines) || len(text) > 80 || strings.Contains(text, "\n") {
		return ""
	}
	line := strings.TrimRight(y.lines[n.Line-1], "\r")
	at := n.Column - 1
	if at < 0 || at > len(line) || !block.MatchString(line[:at]) {
		return ""
	}
	begin := strings.Index(line[at:], text)
	if begin < 0 {
		return ""
	}
	return line[:at+begin+len(text)] + "\n" + strings.Repeat(" ", at) + "^"
}

// section reads the mapping at path, "" being the whole file.
func (y *yamlFile) section(n *yaml.Node, path string) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		want := "want fields such as \"data: DIR\""
		if path != "" {
			want = path + ": want fields below it: " + strings.Join(y.children(path), ", ")
		}
		// What stands here may be the secret of a field below.
		y.errs = append(y.errs, &Error{Where: y.where(n), Problem: want, Excerpt: y.fieldExcerpt(n.Line, n.Column)})
		return
	}
	seen := map[string]bool{}
	for e := range elements(n) {
		full := e.name
		if path != "" {
			full = path + "." + e.name
		}
		if seen[full] {
			y.fail(e.key, "%s is there twice", full)
			continue
		}
		seen[full] = true
		if full == "index" && e.value.Kind == yaml.ScalarNode && !isNull(e.value) {
			full = "index.mode" // "index: off"
		}
		if strings.Contains(e.name, ".") && len(y.children(strings.Split(full, ".")[0])) > 0 {
			y.fail(e.key, "%s: write it as nested fields: %s:", full, strings.ReplaceAll(e.name, ".", ": "))
		} else if f, ok := y.field(full); ok {
			y.apply(f, e.at)
		} else if len(y.children(full)) > 0 {
			y.section(e.value, full)
		} else {
			y.unknown(e.key, path)
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
	if Suggest(key.Value, known) == "" {
		for _, f := range y.fields {
			if strings.Contains("."+f.Path+".", "."+key.Value+".") {
				y.fail(key, "unknown field %q%s (did you mean %s?)", key.Value, below, f.Path)
				return
			}
		}
	}
	y.fail(key, "unknown field %q%s%s", key.Value, below, nearest(key.Value, known))
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
	if n.Kind != yaml.ScalarNode && !f.isCompound() {
		y.fail(at, "%s: want one value, not a list or fields", f.Path)
		return
	}
	if !y.expand(n, f) {
		return
	}
	if err := f.setNode(n); err != nil {
		if inner, ok := errors.AsType[*nodeError](err); ok && inner.at.Line > 0 {
			n, at = inner.at, inner.at
		}
		y.fail(at, "%s: %v%s", f.Path, err, f.quote(y.written[n]))
		return
	}
	y.sources[f.Path] = Source{Kind: "yaml", Name: y.where(at)}
}

// dollar finds $${ (a plain "${"), ${NAME}, and a "${" that is neither.
var dollar = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// expand replaces ${NAME} from the environment in the values of a setting's node, each once: an alias
// leads to a node again. It returns false where it told a mistake.
func (y *yamlFile) expand(n *yaml.Node, f Field) bool {
	n = resolve(n)
	if _, done := y.written[n]; done {
		return true
	}
	y.written[n] = n.Value
	if f.secret {
		y.written[n] = "" // nobody is told it, also where an alias leads here
	}
	ok := true
	names := map[string]bool{}
	for e := range elements(n) {
		if n.Kind == yaml.MappingNode && names[e.name] {
			name := strconv.Quote(e.name)
			if f.secret {
				name = "a name"
			}
			y.fail(e.key, "%s: %s is there twice", f.Path, name)
			ok = false
		}
		names[e.name] = true
		ok = y.expand(e.value, f) && ok
	}
	if n.Kind != yaml.ScalarNode {
		return ok
	}
	n.Value = dollar.ReplaceAllStringFunc(n.Value, func(m string) string {
		switch m {
		case "$${":
			return "${"
		case "${":
			y.fail(n, "%s: want ${NAME}, a letter or _ first and then letters, digits and _ (for a plain ${ write $${)", f.Path)
			ok = false
			return m
		}
		name := m[2 : len(m)-1]
		v, set := y.lookup(name)
		if !set {
			y.fail(n, "%s: the environment variable %s is not set", f.Path, name)
			ok = false
		}
		return v
	})
	return ok
}
