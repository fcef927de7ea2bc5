package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCompare counts a bucket that has one record of each fate.
func TestCompare(t *testing.T) {
	s := newSent()
	for _, id := range []string{"kept", "twice", "lost", "damaged"} {
		s.try(id)
		s.ack(id)
		s.ack(id) // a second answer is no second record
	}
	for _, id := range []string{"unacked", "unacked-kept"} {
		s.try(id)
	}
	dir := t.TempDir()
	for name, object := range map[string]string{
		"a/kept.json":            body("kept"),
		"a/twice.json":           body("twice"),
		"b/twice.json":           body("twice"),
		"damaged.json":           strings.Replace(body("damaged"), "user", "usre", 1),
		"unacked.json":           body("unacked-kept"),
		"never-sent.json":        body("never-sent"),
		".sgwtmp/lost.json":      body("lost"),
		"_indelible/x/tile/0/00": body("lost"),
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(object), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newCensus(dir, whole)
	for range 2 { // what was read once is not counted again
		if err := c.update(); err != nil {
			t.Fatal(err)
		}
	}
	want := counts{Sent: 6, Acked: 4, Lost: 2, Twice: 1, Damaged: 1, Unsent: 1}
	if got := compare(s, c); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}

// TestReaders finds the records again in what each peer makes of them, several in one object included.
func TestReaders(t *testing.T) {
	quoted := func(text string) string {
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	one, two := body("one"), body("two")
	for name, c := range map[string]struct {
		read   func([]byte) ([]string, error)
		object string
		want   []string
	}{
		"whole":   {whole, one, []string{one}},
		"LiteLLM": {ofLiteLLM, `{"id":"x","messages":[{"role":"user","content":` + quoted(one) + `}]}`, []string{one}},
		"OTLP logs": {otlp, `{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"timeUnixNano":"1","body":{"stringValue":` + quoted(one) +
			`}},{"body":{"stringValue":` + quoted(two) + `}}]}]}]}`, []string{one, two}},
	} {
		got, err := c.read([]byte(c.object))
		if err != nil || strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: %d records, %v", name, len(got), err)
		}
	}
	for _, read := range []func([]byte) ([]string, error){ofLiteLLM, otlp} {
		if _, err := read([]byte(`{"resourceLogs":[`)); err == nil {
			t.Error("half an object is taken for a whole one")
		}
	}
	if id, ok := idOf(one); !ok || id != "one" || one != body("one") || one == strings.ReplaceAll(two, "two", "one") {
		t.Errorf("a body says %q, and is not its own", id)
	}
}

// TestField holds the hand-made protobuf against bytes that were made by hand from the specification.
func TestField(t *testing.T) {
	if got, want := string(field(5, []byte(strings.Repeat("x", 300)))), "\x2a\xac\x02"+strings.Repeat("x", 300); got != want {
		t.Errorf("%x, not %x", got, want)
	}
	if got, want := string(otlpLogs("a", 1)), "\x0a\x12\x12\x10\x12\x0e\x09\x01\x00\x00\x00\x00\x00\x00\x00\x2a\x03\x0a\x01a"; got != want {
		t.Errorf("%x, not %x", got, want)
	}
}

func TestWrong(t *testing.T) {
	fine := outcome{Peer: "Indelible", counts: counts{Sent: 2, Acked: 2}}
	if err := (figures{Accidents: []outcome{fine, {Peer: "another", counts: counts{Lost: 1}}}}).wrong(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*outcome){
		"lost":    func(o *outcome) { o.Lost = 1 },
		"twice":   func(o *outcome) { o.Twice = 1 },
		"failed":  func(o *outcome) { o.Failed = "x" },
		"nothing": func(o *outcome) { o.Acked = 0 },
	} {
		o := fine
		spoil(&o)
		if (figures{Accidents: []outcome{o}}).wrong() == nil {
			t.Errorf("%s goes unnoticed", name)
		}
	}
}

func TestQuantile(t *testing.T) {
	l := &load{}
	for n := range 100 {
		l.took = append(l.took, time.Duration(100-n)*time.Millisecond)
	}
	if p50, p99 := l.quantile(0.5), l.quantile(0.99); p50 != 51*time.Millisecond || p99 != 100*time.Millisecond {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
}
