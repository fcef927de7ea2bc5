package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Error is a mistake in a flag, a variable or the file: the call was
// wrong, and the text says where and what is allowed.
type Error struct {
	Where   string // "--to", "INDELIBLE_TO" or "indelible.yaml:12"; "" speaks of several
	Problem string
	// Excerpt is the place in the file: the line, and below it a caret. "" where there is no
	// place, or what stands there may be a secret.
	Excerpt string
}

func (e *Error) Error() string {
	if e.Where == "" {
		return e.Problem
	}
	return e.Where + ": " + e.Problem
}

// Source is where a setting's value came from.
type Source struct {
	Kind string // default, yaml, env or flag
	Name string // file:line, the variable or the flag
}

// MarshalText is String, for JSON.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Source) String() string {
	if s.Name == "" {
		return s.Kind
	}
	return s.Kind + " " + s.Name
}

// Input is what Load reads besides the file.
type Input struct {
	File  string            // --config; "" looks at INDELIBLE_CONFIG and then for indelible.yaml
	Flags map[string]string // the flags that were given, by name without dashes
	// Remember takes the destination of the last serve on the data directory where none is configured.
	Remember bool
	// Location is what a command reads in place of the destination: the settings of S3 are its own, too.
	Location string
	// Env looks up the environment; nil is the process's own.
	Env func(name string) (string, bool)
}

// Loaded is a configuration and where each of its settings came from.
type Loaded struct {
	Config  Config
	File    string            // the file read; "" if there was none
	Sources map[string]Source // by Field.Path; a path that is missing has its default

	location string // Input's
}

// SpoolPlace answers whoever names another place for the spool, by a flag, a field or a variable.
const SpoolPlace = "not built yet: the spool lives in the data directory (--data)"

// defaultFile is read where --config and INDELIBLE_CONFIG are not given.
const defaultFile = "indelible.yaml"

// Load reads the effective configuration: flags over environment over file
// over defaults. Its error joins a *Error for each mistake.
func Load(in Input) (*Loaded, error) {
	l := &Loaded{Config: Default(), Sources: map[string]Source{}, location: in.Location}
	env := in.Env
	if env == nil {
		env = os.LookupEnv
	}
	fields := fieldsOf(&l.Config)
	errs := l.readFile(in, env, fields)
	for _, f := range fields {
		if text, ok := env(f.Env); ok && f.Env != "" && text != "" {
			errs = append(errs, l.setText(f, text, Source{Kind: "env", Name: f.Env}))
		}
		if text, ok := in.Flags[f.Flag]; ok && f.Flag != "" {
			errs = append(errs, l.setText(f, text, Source{Kind: "flag", Name: "--" + f.Flag}))
		}
	}
	if text, ok := env("INDELIBLE_SPOOL"); ok && text != "" {
		errs = append(errs, &Error{Where: "INDELIBLE_SPOOL", Problem: SpoolPlace + "; unset it"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := l.complete(in.Remember); err != nil {
		return nil, err
	}
	return l, l.validate()
}

func (l *Loaded) readFile(in Input, env func(string) (string, bool), fields []Field) []error {
	name, asked := in.File, in.File != ""
	if !asked {
		if name, asked = env("INDELIBLE_CONFIG"); name == "" {
			name, asked = defaultFile, false
		}
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil
	}
	if err != nil {
		return []error{&Error{Where: "--config", Problem: err.Error()}}
	}
	l.File = name
	return readYAML(name, text, env, fields, l.Sources)
}

func (l *Loaded) setText(f Field, text string, s Source) error {
	if err := f.set(text); err != nil {
		return &Error{Where: s.Name, Problem: err.Error() + f.quote(text)}
	}
	l.Sources[f.Path] = s
	return nil
}

// complete makes paths absolute and fills in what follows from others.
func (l *Loaded) complete(remember bool) error {
	c := &l.Config
	abs, err := filepath.Abs(c.Data)
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	c.Data = abs
	if c.Destination.URL == "" && remember {
		if err := l.recall(); err != nil {
			return err
		}
	}
	if c.Destination.URL == "" {
		c.Destination.URL = StoreURL(fileURL(filepath.Join(abs, "store")))
		return nil
	}
	if loc, err := ParseLocation(string(c.Destination.URL)); err == nil && loc.Dir != "" {
		dir, err := filepath.Abs(loc.Dir)
		if err != nil {
			return fmt.Errorf("find the destination: %w", err)
		}
		c.Destination.URL = StoreURL(fileURL(dir))
		if loc.Prefix != "" {
			c.Destination.URL += StoreURL("/" + urlEscape(loc.Prefix))
		}
	}
	return nil
}
