package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// syntaxError is the parser's complaint about a file that is no YAML, at the place where it is wrong.
// What stands in the file is no part of it but for our own fields' names: it may be a secret.
func (y *yamlFile) syntaxError(err error) *Error {
	wrong, _ := errors.AsType[*yaml.LoadError](err)
	if several, ok := errors.AsType[*yaml.LoadErrors](err); ok && len(several.Errors) > 0 {
		wrong = several.Errors[0]
	}
	if wrong == nil {
		return &Error{Where: y.name, Problem: "it cannot be read as YAML: check indentation, quotes and brackets"}
	}
	mark := wrong.Mark
	switch {
	case mark.Line > y.lastLine() && wrong.ContextMark.Line > 0:
		mark = wrong.ContextMark // the end of the file: what is not closed began there
	case mark.Line == 0:
		mark = yaml.Mark{Line: y.badLine()}
	}
	where := y.name
	if mark.Line > 0 {
		where = fmt.Sprintf("%s:%d", y.name, mark.Line)
	}
	problem := cure(wrong.Message, y.at(mark) == '\t')
	if from := wrong.ContextMark.Line; from > 0 && from < mark.Line {
		problem += fmt.Sprintf(" (%s that begins in line %d)", wrong.ContextMsg, from)
	}
	return &Error{Where: where, Problem: problem, Excerpt: y.fieldExcerpt(mark.Line, mark.Column)}
}

// cure says what to do about a message of the parser.
func cure(message string, tab bool) string {
	for _, c := range []struct{ message, say string }{
		{"mapping values are not allowed", "a \":\" cannot stand here: indent the line as its neighbours, or put the value in quotes"},
		{"cannot start any token", "a value cannot begin with this character: put it in quotes"},
		{"did not find expected ','", "a bracket is not closed: add the \"]\" or \"}\", or a comma between two values"},
		{"did not find expected key", "a field is wanted here: indent the line as its neighbours"},
		{"did not find expected '-'", "an item of the list is wanted here: indent the line as its neighbours"},
		{"unexpected end of stream", "a quote is not closed: add it"},
		{"unknown anchor", "a value that begins with * names an anchor, and there is none of this name: put it in quotes"},
		{"expected single document", "a second document begins here: one file is one configuration; take out the line \"---\" and what follows it"},
		{"control characters", "there is a control character: take it out"},
		{"UTF", "the text is not UTF-8: save the file as UTF-8"},
	} {
		if tab && c.message == "cannot start any token" {
			return "a tab cannot indent a line in YAML: use spaces"
		}
		if strings.Contains(message, c.message) {
			return c.say
		}
	}
	return "this cannot be read as YAML: check indentation, quotes and brackets"
}

// lastLine is the number of the last line that is not empty.
func (y *yamlFile) lastLine() int {
	for i := range slices.Backward(y.lines) {
		if strings.TrimSpace(y.lines[i]) != "" {
			return i + 1
		}
	}
	return 0
}

// badLine is the line that the parser refuses without saying which: with a byte that is no text, or
// that begins another document; 0 if there is none.
func (y *yamlFile) badLine() int {
	isControl := func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' || r == 0x7f }
	begun := false
	for i, line := range y.lines {
		if !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) || begun && strings.HasPrefix(line, "---") {
			return i + 1
		}
		begun = begun || strings.HasPrefix(line, "---") || strings.Trim(line, " \t\r") != "" && !strings.HasPrefix(strings.TrimSpace(line), "#") && !strings.HasPrefix(line, "%")
	}
	return 0
}

// at is the character at a place; 0 if there is none.
func (y *yamlFile) at(m yaml.Mark) rune {
	if m.Line < 1 || m.Line > len(y.lines) {
		return 0
	}
	line := []rune(y.lines[m.Line-1])
	if m.Column < 1 || m.Column > len(line) {
		return 0
	}
	return line[m.Column-1]
}

// leadingField is a field's name at the beginning of a line, and what is in front of it.
var leadingField = regexp.MustCompile(`^[ \t-]*([A-Za-z0-9_]+):`)

// fieldExcerpt is the line up to the name of its field, if that is one of ours, and a caret below
// the place. Behind the name stands "...": a value is never shown, nothing says yet whether it is secret.
func (y *yamlFile) fieldExcerpt(number, column int) string {
	if number < 1 || number > len(y.lines) || column < 1 {
		return ""
	}
	found := leadingField.FindStringSubmatch(y.lines[number-1])
	if found == nil || !slices.ContainsFunc(y.fields, func(f Field) bool { return slices.Contains(strings.Split(f.Path, "."), found[1]) }) {
		return ""
	}
	shown, at := found[0], column-1
	if at >= len(shown) {
		shown, at = shown+" ...", len(shown)+1
	}
	return shown + "\n" + strings.Repeat(" ", at) + "^"
}
