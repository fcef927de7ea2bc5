package filter

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"indelible/internal/fields"
	"indelible/internal/record"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	for text, want := range map[string][]Term{
		`team=alpha`:                    {{Field: FieldOf("team"), Op: Equal, Text: "alpha"}},
		`TEAM!="a b"`:                   {{Field: FieldOf("team"), Op: NotEqual, Text: "a b"}},
		`model~gpt cost>0.1`:            {{Field: FieldOf("model"), Op: Contains, Text: "gpt"}, {Field: FieldOf("cost"), Op: More, Num: 0.1}},
		`"refund policy" x*`:            {{Words: []string{"refund", "policy"}}, {Words: []string{"x"}, Prefix: true}},
		`since=24h`:                     {{Field: FieldOf("time"), Op: MoreEqual, Time: now.Add(-24 * time.Hour)}},
		`until=2026-11-01`:              {{Field: FieldOf("time"), Op: Less, Time: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}},
		`since=1.5d`:                    {{Field: FieldOf("time"), Op: MoreEqual, Time: now.Add(-36 * time.Hour)}},
		`start<2026-11-01T08:30:00Z`:    {{Field: FieldOf("start"), Op: Less, Time: time.Date(2026, 11, 1, 8, 30, 0, 0, time.UTC)}},
		`size>=64KiB`:                   {{Field: FieldOf("size"), Op: MoreEqual, Num: 65536}},
		`stream=true`:                   {{Field: FieldOf("stream"), Op: Equal, Bool: true}},
		`tags!~eu`:                      {{Field: FieldOf("tags"), Op: Lacks, Text: "eu"}},
		`error_code=`:                   {{Field: FieldOf("error_code"), Op: Equal}},
		`id="a\"b\\c"`:                  {{Field: FieldOf("id"), Op: Equal, Text: `a"b\c`}},
		`"team=alpha"`:                  {{Words: []string{"team", "alpha"}}},
		"  ":                            nil,
		`https://example.com/x Ünïcode`: {{Words: []string{"https", "example", "com", "x"}}, {Words: []string{"ünïcode"}}},
	} {
		f, err := Parse([]string{text, ""}[:1], now)
		if strings.HasPrefix(text, "https") || text == "  " {
			f, err = Parse(append(strings.Fields(text), ""), now) // without a comparison one argument is a phrase
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !equal(f.Terms, want) {
			t.Errorf("%s: %+v, want %+v", text, f.Terms, want)
		}
	}
}

func equal(a, b []Term) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if strings.Join(x.Words, " ") != strings.Join(y.Words, " ") {
			return false
		}
		if x.Field != y.Field || x.Op != y.Op || x.Field != nil && x.Text != y.Text || x.Num != y.Num || !x.Time.Equal(y.Time) || x.Bool != y.Bool || x.Prefix != y.Prefix {
			return false
		}
	}
	return true
}

// The shell takes quotes away: each of several arguments is one term, whatever is in it.
func TestArguments(t *testing.T) {
	for _, c := range []struct{ args, same []string }{
		{[]string{"team=alpha", "refund policy"}, []string{`team=alpha "refund policy"`}},
		{[]string{"team=my team", "x"}, []string{`team="my team" x`}},
		{[]string{"refund policy"}, []string{`"refund policy"`}},
		{[]string{`id=a"b c`, "x"}, []string{`id="a\"b c" x`}},
		{[]string{`"refund policy"`, "x"}, []string{`"refund policy" x`}},
	} {
		f, err := Parse(c.args, now)
		g, gerr := Parse(c.same, now)
		if err != nil || gerr != nil || !equal(f.Terms, g.Terms) {
			t.Errorf("%q is %+v (%v), want %+v (%v)", c.args, f, err, g, gerr)
		}
	}
}

func TestErrorsPointAtTheToken(t *testing.T) {
	for text, want := range map[string]string{
		`team=alpha modle~gpt`: `there is no field "modle": did you mean "model"? (a text with "~" in it is looked for in quotes)
  team=alpha modle~gpt
             ^^^^^`,
		`x=1`: `there is no field "x" (a text with "=" in it is looked for in quotes)
  x=1
  ^`,
		`cost>much`: `cost: want a number
  cost>much
       ^^^^`,
		`team>alpha`: `team: is a text: compare it with =, !=, ~ (contains) or !~, not with >
  team>alpha
       ^^^^^`,
		`é=1 since=yesterday`: `since: want a time: a duration back from now (24h, 7d), a day (2026-11-01) or RFC 3339 (2026-11-01T08:30:00Z)
  é=1 since=yesterday
            ^^^^^^^^^`,
		`team="alpha`: `this quotation mark is never closed
  team="alpha
       ^`,
		`cost>`: `cost: want a number
  cost>
  ^^^^^`,
		`team="a"b`: `want a space behind the closing quotation mark
  team="a"b
          ^`,
		`stream=maybe`: `stream: want true or false
  stream=maybe
         ^^^^^`,
		`cost~1`: `cost: compare it with =, !=, <, <=, > or >=, not with ~
  cost~1
       ^`,
		`team=a "--"`: `want a word: a letter or a digit
  team=a "--"
         ^^^^`,
		`since>1h`: `since: want since=, or time>
  since>1h
        ^^`,
		`cost>NaN`: `cost: want a number
  cost>NaN
       ^^^`,
	} {
		_, err := Parse([]string{text}, now)
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n%v\nwant\n%s", text, err, want)
		}
	}
	if _, err := Parse([]string{strings.Repeat("x ", MaxLength)}, now); err == nil {
		t.Error("an expression without an end is read")
	}
	if _, err := Parse([]string{"\xff="}, now); err == nil {
		t.Error("what is no UTF-8 is read")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`team=alpha model~gpt "refund policy"`, `cost>0.1 start>=2026-11-01`, `id="a\"b`, `x* y=`, "since=1e3d", `"`, `=`, "team=\x00", "é\u2028=1"} {
		f.Add(s, "second arg")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, args := range [][]string{{a}, {a, b}} {
			got, err := Parse(args, now)
			if err != nil {
				e, ok := errors.AsType[*Error](err)
				if !ok || !utf8.ValidString(e.Error()) || e.At < 0 || e.At > len(e.Text) || strings.Count(e.Error(), "\n") != 2 {
					t.Fatalf("%q: %q", args, err)
				}
				continue
			}
			for _, term := range got.Terms {
				if (term.Field == nil) != (len(term.Words) > 0) {
					t.Fatalf("%q: %+v", args, term)
				}
			}
			got.Match(&Row{}, func() []string { return Words(b) })
		}
	})
}

func TestBodyText(t *testing.T) {
	for body, want := range map[string]string{
		`{"messages":[{"role":"user","content":"the refund\npolicy"}],"n":1}`: "user\nthe refund\npolicy\n",
		"{\"a\":\"x\"}\n{\"a\":\"y\"}\n":                                      "x\ny\n",
		"{\n  \"a\": \"x\"\n}":                                                "x\n",
		"plain \xff text":                                                     "plain   text\n",
		`"\u00e9t\u00e9"`:                                                     "été\n",
		"":                                                                    "",
	} {
		if got := BodyText([]byte(body), 1000); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	if got := BodyText([]byte(`["`+strings.Repeat("é", 1000)+`"]`), 101); len(got) > 110 || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
}

// MayHold is true wherever words match, whatever way the letters stand in the body; and false for most others.
func TestMayHold(t *testing.T) {
	id := "chatcmpl-1"
	row := Row{Info: record.Info{Key: "a/key.json"}, Fields: fields.Fields{ID: &id, Team: new("Alpha Zoë")}}
	bodies := []string{
		`{"x":"The Refund-policy of March"}`, `{"x":"the re\u0066und"}`, `{"x":"a\nrefund\tnow"}`, "{\"x\":\"\u212aelvin \u0130n\"}", "no JSON, and REFUND", `{"x":["Refund",{"y":"policy"}]}`,
		`{"refund":"name of a member"}`, `{"x":"\/refund\/"}`, "{\n \"x\": \"laid out, refund\"\n}", "", "{\"x\":\"zo\u00eb\"}", `{"x":"ZO\u00cb"}`,
	}
	left := 0
	for _, expr := range []string{"refund", `"refund policy"`, "refu*", "kelvin", "in", "zoë", "alpha", "chatcmpl-1 refund", "a/key.json", `"alpha zoë"`, "nothing", "policy refund", "march*"} {
		f, err := Parse([]string{expr}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range bodies {
			text := FieldText(&row)
			matches := f.Match(&row, func() []string { return Words(text + BodyText([]byte(body), 1<<20)) })
			may := f.MayHold(&row, text, []byte(body))
			if matches && !may {
				t.Errorf("%q matches %q, and is said not to", expr, body)
			}
			if !may {
				left++
			}
		}
	}
	if left < 50 {
		t.Errorf("only %d were told from the bytes", left)
	}
}
