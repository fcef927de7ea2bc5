package term

import "testing"

func TestWrap(t *testing.T) {
	tests := []struct {
		width, used int
		line, want  string
	}{
		{0, 4, "no terminal: the line stays as it is", "no terminal: the line stays as it is"},
		{40, 4, "short", "short"},
		{40, 4, "a line that is longer than the terminal is wide", "a line that is longer than the\n    terminal is wide"},
		{40, 4, `a command stays whole: "indelible verify --vkey file" and goes on`, "a command stays whole:\n    \"indelible verify --vkey file\" and\n    goes on"},
		{40, 4, "a \x1b[31mcoloured line is as long\x1b[0m as it shows", "a \x1b[31mcoloured line is as long\x1b[0m as it\n    shows"},
		{40, 0, "/a/path/that/is/longer/than/the/terminal/is/wide", "/a/path/that/is/longer/than/the/terminal/is/wide"},
		{20, 4, "too narrow a terminal breaks lines by itself", "too narrow a terminal breaks lines by itself"},
	}
	for _, tt := range tests {
		if got := (Style{width: tt.width}).Wrap(tt.used, tt.line); got != tt.want {
			t.Errorf("%q in %d:\n%q, want\n%q", tt.line, tt.width, got, tt.want)
		}
	}
}

func TestCut(t *testing.T) {
	for line, want := range map[string]string{
		"short": "short", "longer than it may": "longer th…",
	} {
		if got := (Style{width: 11}).Cut(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
		if got := (Style{}).Cut(line); got != line {
			t.Errorf("%q without a terminal: %q", line, got)
		}
	}
}
