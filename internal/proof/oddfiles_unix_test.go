//go:build unix

package proof

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// oddFile is something that is no plain file, or no attributes, which somebody put into a directory.
type oddFile struct {
	name  string
	put   func(file string) error
	fault string // that verify finds; "": none
}

func oddFiles(outside string) []oddFile {
	link := func(to string) func(string) error { return func(file string) error { return os.Symlink(to, file) } }
	text := func(s string) func(string) error {
		return func(file string) error { return os.WriteFile(file, []byte(s), 0o600) }
	}
	record := "2026-11-24/time-08-00-00-000000_id5.json"
	const log = "_indelible/test-log/"
	return []oddFile{
		{log + "history/00000000000000000001", link(outside), ""},
		{log + "history/circle", link("circle"), ""},
		{log + "history/nowhere", link("none"), ""},
		{log + "history/\x1b[2K", text("x"), ""},
		{"_indelible/junk", link(outside), ""},
		{"elsewhere", link(filepath.Dir(outside)), ""},
		{record, link(outside), "a symbolic link leads out of the store"},
		{record, link("none"), "missing"},
		{log + "checkpoint", link(outside), "a symbolic link leads out of the store"},
		{log + "tile/0/000.p/12", link(outside), "a symbolic link leads out of the store"},
		{"_indelible/.meta/" + record, link(outside), "a symbolic link leads out of the store"},
		{"_indelible/.meta/" + record, text("hello"), "cannot be read"},
		{"_indelible/.meta/" + record, text(strings.Repeat("[", 50_000)), "cannot be read"},
		{"_indelible/.meta/" + record, text(`{"header":7}`), "cannot be read"},
		{"_indelible/.meta/" + record, text(`{"meta":{"a":[1]}}`), "cannot be read"},
		{"_indelible/.meta/" + log + "history/00000000000000000012", text("hello"), ""},
	}
}

// What is no plain file, in a directory, is told as what it is, or is none of the log's, and the rest is verified, by both
// verifiers.
func TestVerifyOddFiles(t *testing.T) {
	s := newIndependent(t)
	s.fsck = ""
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("root:x:0:0\n1\n2\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, odd := range oddFiles(outside) {
		t.Run(odd.name, func(t *testing.T) {
			b := newBench(t)
			top := t.TempDir()
			st, err := dir.OpenPath(top)
			b.do(err)
			defer func() { _ = st.Close() }()
			b.logIn(st, 10)
			b.do(os.WriteFile(filepath.Join(top, "log.vkey"), []byte(b.key.Public()+"\n"), 0o600))
			file := filepath.Join(top, filepath.FromSlash(odd.name))
			if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			b.do(os.MkdirAll(filepath.Dir(file), 0o700))
			b.do(odd.put(file))
			r, err := Verify(t.Context(), st, "", b.key.Public(), VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			found := r.OK() == (odd.fault == "") && (r.OK() || strings.Contains(r.Faults[0].String(), odd.fault))
			if !found || r.Checked < 9 {
				t.Errorf("%d checked; %v", r.Checked, r.Faults)
			}
			said, python := s.verifyPy(t, top)
			if (python == nil) != r.OK() || strings.Contains(said, "Traceback") || strings.ContainsAny(said, "\x1b") || strings.Contains(said, "root:x") {
				t.Errorf("verify.py: %v\n%s", python, said)
			}
		})
	}
}

// Keys with characters that names of files do not have are found in a directory by both verifiers.
func TestVerifyOddKeys(t *testing.T) {
	s := newIndependent(t)
	b := newBench(t)
	top := t.TempDir()
	st, err := dir.OpenPath(top)
	b.do(err)
	defer func() { _ = st.Close() }()
	l, err := Open(t.Context(), st, b.key, Options{Disk: b.d})
	b.do(err)
	b.do(l.Start("p", "c", ""))
	for i, key := range []string{"a%20b", "a%2520b", "line\nbreak", "nul\x00", "a//b", "./c", "../d", "é", "%", "\xff"} {
		o := b.outcomeOf(record.Seq(i+1), record.Stored)
		header, meta := attrsOf(o.Seq)
		o.Key, o.Stored = key, key
		_, err := st.Put(t.Context(), store.Object{Key: key, Body: bytes.NewReader(body(o.Seq)), Size: o.Size, Digest: o.Digest, Header: header, Meta: meta})
		b.do(err)
		b.do(l.Add(t.Context(), o))
	}
	b.do(l.Stop(t.Context()))
	b.do(os.WriteFile(filepath.Join(top, "log.vkey"), []byte(b.key.Public()+"\n"), 0o600))
	r, err := Verify(t.Context(), st, "", b.key.Public(), VerifyOptions{})
	if said, python := s.verifyPy(t, top); err != nil || !r.OK() || python != nil {
		t.Errorf("%v, %v; verify.py: %v\n%s", err, r.Faults, python, said)
	}
}

// logIn writes a log of n records into a store, from its root on.
func (b *bench) logIn(st store.Store, n record.Seq) {
	b.t.Helper()
	l, err := Open(b.t.Context(), st, b.key, Options{Disk: b.d})
	b.do(err)
	b.do(l.Start("p", "c", ""))
	for seq := record.Seq(1); seq <= n; seq++ {
		o := b.outcomeOf(seq, record.Stored)
		header, meta := attrsOf(seq)
		o.Stored = o.Key
		_, err := st.Put(b.t.Context(), store.Object{Key: o.Key, Body: bytes.NewReader(body(seq)), Size: o.Size, Digest: o.Digest, Header: header, Meta: meta})
		b.do(err)
		b.do(l.Add(b.t.Context(), o))
	}
	b.do(l.Stop(b.t.Context()))
}

// verifyPy runs verify.py over a directory that holds log.vkey.
func (s independent) verifyPy(t *testing.T, top string) (said string, err error) {
	out, err := exec.CommandContext(t.Context(), s.python, "../../docs/verify.py", "--allow-incomplete", top, filepath.Join(top, "log.vkey")).CombinedOutput()
	return string(out), err
}
