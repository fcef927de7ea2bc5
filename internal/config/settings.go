package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Field is one setting and all its names, bound to its place in a Config.
type Field struct {
	Path    string // its place in the YAML file
	Flag    string // without dashes; "" if it has none
	Arg     string // what stands for the flag's value in its help
	Env     string // "" if it has none
	Usage   string
	Default string // as text; "" where there is none
	Common  bool   // a flag of every command, not of serve alone

	at     reflect.Value
	tag    reflect.StructTag
	secret bool // its type holds a Secret
}

// Fields are all settings, in the order of the documentation.
func Fields() []Field {
	c := Default()
	fields := fieldsOf(&c)
	for i := range fields {
		fields[i].Default = fields[i].text()
	}
	return fields
}

// Default is the configuration of a bare `indelible serve`. It panics where a default is
// none that its setting takes.
func Default() Config {
	var c Config
	for _, f := range fieldsOf(&c) {
		if text, ok := f.tag.Lookup("default"); ok {
			if err := f.set(text); err != nil {
				panic(fmt.Sprintf("the default of %s: %v", f.Path, err))
			}
		}
	}
	return c
}

// fieldsOf are the settings of the struct that p points to. Fields without a yaml tag are none.
func fieldsOf(p any) []Field {
	var fields []Field
	var walk func(v reflect.Value, section string)
	walk = func(v reflect.Value, section string) {
		for sf, at := range v.Fields() {
			name := sf.Tag.Get("yaml")
			if sf.Anonymous {
				walk(at, section)
			} else if _, isText := at.Addr().Interface().(encoding.TextUnmarshaler); at.Kind() == reflect.Struct && !isText {
				walk(at, section+name+".")
			} else if name != "" {
				flag, arg, _ := strings.Cut(sf.Tag.Get("flag"), " ")
				fields = append(fields, Field{
					Path: section + name, Flag: flag, Arg: arg, Env: sf.Tag.Get("env"), Usage: sf.Tag.Get("usage"), Common: sf.Tag.Get("common") != "",
					at: at, tag: sf.Tag, secret: holdsSecret(sf.Type),
				})
			}
		}
	}
	walk(reflect.ValueOf(p).Elem(), "")
	return fields
}

// holdsSecret says whether a value of a type may have a Secret in it.
func holdsSecret(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		return holdsSecret(t.Elem())
	case reflect.Struct:
		for sf := range t.Fields() {
			if holdsSecret(sf.Type) {
				return true
			}
		}
	}
	return t == reflect.TypeFor[Secret]()
}

// Values are the texts that may be set, where there are only a few.
func (f Field) Values() []string {
	if f.at.Type() == reflect.TypeFor[Address]() {
		return []string{"127.0.0.1:", Off}
	}
	return strings.Fields(f.tag.Get("oneof"))
}

// text is the setting's value, masked where it is a secret; "" if it has none.
func (f Field) text() string {
	if f.at.IsZero() && f.tag.Get("min") != "" {
		return "" // it cannot be set to zero
	}
	if v, ok := f.at.Interface().(encoding.TextMarshaler); ok {
		text, err := v.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	return fmt.Sprint(f.at.Interface())
}

// set reads a text into the setting. An error says what is allowed, and never repeats the
// text: it may be a secret.
func (f Field) set(text string) error {
	if known := strings.Fields(f.tag.Get("oneof")); len(known) > 0 && !slices.Contains(known, text) {
		hint := ""
		if near := Suggest(text, known); near != "" {
			hint = fmt.Sprintf(" (did you mean %s?)", near)
		}
		return errors.New("want " + strings.Join(known, ", ") + hint)
	}
	v := reflect.New(f.at.Type())
	switch p := v.Interface().(type) {
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return err
		}
	case *string:
		if text == "" && f.tag.Get("empty") == "" {
			return errEmpty
		}
		*p = text
	case *bool:
		if text != "true" && text != "false" {
			return errors.New("want true or false")
		}
		*p = text == "true"
	case *int:
		least, _ := strconv.Atoi(f.tag.Get("min")) // none is 0
		n, err := strconv.Atoi(text)
		if err != nil || n < least {
			return fmt.Errorf("want a whole number, %d or more", least)
		}
		*p = n
	default:
		return fmt.Errorf("a %s cannot be read from a text", f.at.Type())
	}
	if text, ok := f.tag.Lookup("min"); ok {
		least := Field{at: reflect.New(f.at.Type()).Elem()}
		if err := least.set(text); err != nil || v.Elem().Int() < least.at.Int() {
			return fmt.Errorf("want at least %s", least.text())
		}
	}
	f.at.Set(v.Elem())
	return nil
}

// compound is a setting that the file may also give as a list or a mapping, variables in it replaced.
// Its elements are those of the function elements.
type compound interface {
	UnmarshalYAML(*yaml.Node) error
}

// isCompound says whether the setting is one.
func (f Field) isCompound() bool {
	_, ok := f.at.Addr().Interface().(compound)
	return ok
}

// setNode reads what the file gives into the setting: one text, or the list or mapping of a compound.
func (f Field) setNode(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return f.set(n.Value)
	}
	v := reflect.New(f.at.Type())
	if err := v.Interface().(compound).UnmarshalYAML(n); err != nil {
		return err
	}
	f.at.Set(v.Elem())
	return nil
}

// quote is a text that was refused, for the end of an error; "" where it may be a secret: the text of
// a secret setting, and one with what comes with a password or a token in a URL.
func (f Field) quote(text string) string {
	if f.secret || text == "" || len(text) > 80 || mayHoldSecret(text) {
		return ""
	}
	return fmt.Sprintf(", not %q", text)
}

// mayHoldSecret says whether a text that is none of a secret setting may have one in it: user:password@host, ?token=text.
func mayHoldSecret(text string) bool { return strings.ContainsAny(text, "@?") }

var errEmpty = errors.New("want a text that is not empty")
