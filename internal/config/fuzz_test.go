package config

import (
	"errors"
	"testing"
)

// Whatever stands in the file, it is read, or every mistake in it is told as
// one of the call.
func FuzzYAML(f *testing.F) {
	f.Add("data: x\ndoors: {s3: {listen: 127.0.0.1:1, keys: [a:b]}}\n")
	f.Add("a: &x [*x]\n")
	f.Add("doors: &d {s3: *d}\n")
	f.Add("destination: {tags: {a: ${HOME}}}\n<<: {data: x}\n")
	f.Add("? [a]\n: b\n")
	f.Add("doors:\n  s3:\n    keys:\n      - {id: a}\n      - [b]\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := &Loaded{Config: Default(), Sources: map[string]Source{}}
		errs := readYAML("F", []byte(text), environment(nil), fieldsOf(&l.Config), l.Sources)
		for _, err := range errs {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("%T: %v", err, err)
			}
		}
		if len(errs) == 0 {
			_ = l.Settings()
		}
	})
}
