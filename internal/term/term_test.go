package term

import (
	"bytes"
	"io"
	"testing"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-24/é 世界.json":       "2026-11-24/é 世界.json",
		"a\x1b[2Kb":                  `a\x1b[2Kb`,
		"a\n2  forged":               `a\n2  forged`,
		"a\rb\tc\x7f\x9b":            `a\rb\tc\x7f\x9b`,
		"a\u009bb":                   `a\u009bb`,
		"abc\u202efdp.exe":           `abc\u202efdp.exe`,
		"zero\u200bwidth\u2028line":  `zero\u200bwidth\u2028line`,
		"\xff\xfe":                   `\xff\xfe`,
		"back\\slash and 'quote' \"": "back\\slash and 'quote' \"",
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
	if got := QuoteLines("a\n\tb\x1b"); got != "a\n\tb\\x1b" {
		t.Errorf("%q", got)
	}
}

// Characters that are cut between two writes come out whole.
func TestSafeWriter(t *testing.T) {
	const text = "é世\x1b界\n"
	var b bytes.Buffer
	w := &safeWriter{w: &b}
	for i := range len(text) {
		if n, err := io.WriteString(w, text[i:i+1]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := b.String(); got != "é世\\x1b界\n" {
		t.Errorf("%q", got)
	}
	if Safe(&b) != io.Writer(&b) {
		t.Error("what is no terminal gets other bytes")
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	table := NewTable([]string{"SEQ", "SIZE", "KEY"}, 1, 2)
	table.Row("1", "12 B", "a")
	table.Row("1000", "9 B", "世界")
	if err := table.Flush(&b); err != nil {
		t.Fatal(err)
	}
	want := " SEQ  SIZE  KEY\n   1  12 B  a\n1000   9 B  世界\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	table.Row("2", "3", "4")
	if err := table.Flush(&b); err != nil || b.String() != "2  3  4\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	if err := table.Flush(&b); err != nil || b.String() != "2  3  4\n" {
		t.Errorf("an empty table: %q, %v", b.String(), err)
	}
}
