package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/term"
)

// refFlags say which record is meant: the argument, and what kind of name it is.
type refFlags struct {
	bucket       string
	seq, key, id string
}

// refValue is a flag that says what kind of name the argument is, or that has the name as
// its own value: "--seq 17", "17 --seq" and "--seq=17" are the same.
type refValue struct{ into *string }

// given is the value of a flag that came without one: then the argument is the name.
const given = "true"

func (v refValue) String() string     { return "" }
func (v refValue) Set(s string) error { *v.into = s; return nil }

// Type is what pflag shows no value for.
func (v refValue) Type() string { return "bool" }

func (r *refFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.bucket, "bucket", "", "the `BUCKET` that the sender used (default: any)")
	f.Var(refValue{&r.seq}, "seq", "the name is a seq, the number in the record's receipt")
	f.Var(refValue{&r.key}, "key", "the name is a key")
	f.Var(refValue{&r.id}, "id", "the name is an id, of a record, a call or a trace")
	for _, name := range []string{"seq", "key", "id"} {
		f.Lookup(name).NoOptDefVal = given
	}
	cmd.MarkFlagsMutuallyExclusive("seq", "key", "id")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if _, err := r.ref(args); err != nil {
			return fmt.Errorf("%s %w", cmd.CommandPath(), err)
		}
		return nil
	}
}

// ref is the record that the call names.
func (r *refFlags) ref(args []string) (catalog.Ref, error) {
	ref := catalog.Ref{Bucket: r.bucket}
	for kind, value := range map[catalog.Kind]string{catalog.Seq: r.seq, catalog.Key: r.key, catalog.ID: r.id} {
		if value == "" {
			continue
		}
		ref.Kind = kind
		if value != given {
			args = append([]string{value}, args...)
		}
	}
	if len(args) != 1 {
		return ref, fmt.Errorf("takes one KEY, ID, SEQ or receipt, but got %d", len(args))
	}
	ref.Name = args[0]
	if _, err := strconv.ParseUint(ref.Name, 10, 64); err != nil && ref.Kind == catalog.Seq {
		return ref, fmt.Errorf("--seq takes a number, but got %s", quoted(ref.Name))
	}
	return ref, nil
}

// explain is an error of a look-up, with what to do.
func explain(name string, err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return fmt.Errorf("%w: %s (\"indelible ls\" lists what there is)", err, quoted(name))
	}
	if _, ok := errors.AsType[*catalog.AwayError](err); ok {
		return fmt.Errorf("%s: %w", quoted(name), err)
	}
	return err
}

// quoted is a name from the call in quotes.
func quoted(name string) string { return `"` + strings.ReplaceAll(term.Quote(name), `"`, `\"`) + `"` }

// tellOthers says on stderr what else the name could have meant, and what could not be asked.
func (c *cli) tellOthers(f catalog.Found) {
	if n := len(f.Others); n > 0 {
		fmt.Fprintf(c.stderr, "%d records of the same bytes carry this name; this is the newest, seq %d. The others:\n", n+1, f.Seq)
		for _, o := range f.Others {
			fmt.Fprintf(c.stderr, "  --seq %d   bucket %s, key %s\n", o.Seq, quoted(o.Bucket), quoted(o.Key))
		}
	}
	if f.Read > slowRead {
		fmt.Fprintf(c.stderr, "%d records were read one by one to find it: the index does not know them yet (\"indelible rebuild\" makes it).\n", f.Read)
	}
	if f.Missing != "" {
		fmt.Fprintf(c.stderr, "This is what is on this disk; a newer record may be in the destination, which could not be asked: %s\n", term.Plain(term.Quote(f.Missing)))
	}
}
