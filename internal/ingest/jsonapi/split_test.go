package jsonapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"indelible/internal/torture"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"object", `{"a":1}`, `{"a":1}`},
		{"white space around", " \r\n\t{\"a\": 1} \n", `{"a": 1}`},
		{"byte order mark", "\xef\xbb\xbf{}", `{}`},
		{"on several lines", "{\n \"a\": [1,\n2]\n}\n", "{\n \"a\": [1,\n2]\n}"},
		{"array", ` [ {"a":1} , 2,"x,]" ,[3,[4]], null,true ] `, `{"a":1}|2|"x,]"|[3,[4]]|null!null|true`},
		{"array on several lines", "[\n{\"a\":1},\n{\"b\":2}\n]\n", `{"a":1}|{"b":2}`},
		{"empty array", ` [ ] `, ``},
		{"escapes", `[{"a":"\"]\\"},{"b":"\\\\\""}]`, `{"a":"\"]\\"}|{"b":"\\\\\""}`},
		{"element that does not parse", `[{"a":1},{bad},{"b":2}]`, `{"a":1}|{bad}!unparsed|{"b":2}`},
		{"no comma", `[1 2]`, `1 2!unparsed`},
		{"trailing comma", `[1,]`, `[1,]!unparsed`},
		{"two commas", `[1,,2]`, `[1,,2]!unparsed`},
		{"wrong bracket", `[1}`, `[1}!unparsed`},
		{"behind the array", `[1]x`, `[1]x!unparsed`},
		{"ndjson", "{\"a\":1}\n{\"b\":2}", `{"a":1}|{"b":2}`},
		{"ndjson with CRLF and blank lines", "{\"a\":1}\r\n\r\n \n{\"b\":2}\r\n", `{"a":1}|{"b":2}`},
		{"ndjson of arrays", "[1]\n[2,3]\n", `[1]|[2,3]`},
		{"ndjson of scalars", "1\nnull\n\"x\"", `1|null!null|"x"`},
		{"ndjson with a damaged line", "{\"a\":1}\n{\"b\":\n{\"c\":3}", `{"a":1}|{"b":!unparsed|{"c":3}`},
		{"ndjson with a damaged first line", "{\"a\":\n{\"b\":2}", `{"a":!unparsed|{"b":2}`},
		{"null", "null", `null!null`},
		{"text", "hello\nworld", "hello\nworld!unparsed"},
		{"object that is cut off", "{\n\"a\": 1,\n\"b\"", "{\n\"a\": 1,\n\"b\"!unparsed"},
		{"no UTF-8", "{\"a\":\"\xff\"}", "{\"a\":\"\xff\"}!unparsed"},
		{"control character", "{\"a\":\"\x01\"}", "{\"a\":\"\x01\"}!unparsed"},
		{"NaN", `{"a":NaN,"b":"NaN","c":[-Infinity,Infinity ,1]}`, `{"a":NaN,"b":"NaN","c":[-Infinity,Infinity ,1]}!nonstandard`},
		{"ndjson with NaN", "{\"a\":NaN}\n{\"b\":1}", `{"a":NaN}!nonstandard|{"b":1}`},
		{"array with NaN", `[{"a":NaN},NaN,2]`, `{"a":NaN}!nonstandard|NaN!nonstandard|2`},
		{"NaN within a word", `{"a":xNaN}`, `{"a":xNaN}!unparsed`},
		{"NaN as a name", `{NaN:1}`, `{NaN:1}!unparsed`},
		{"NaN in a string alone", `{"a":"NaN",}`, `{"a":"NaN",}!unparsed`},
		{"byte order marks of joined files", "\xef\xbb\xbf{\"a\":1}\n\xef\xbb\xbf{\"b\":2}", `{"a":1}|{"b":2}`},
		{"byte order mark behind a blank", " \xef\xbb\xbf[1,2]", `1|2`},
		{"values in a row", `{"a":1}{"b":"}{"} [3]`, `{"a":1}|{"b":"}{"}|[3]`},
		{"values in a row on several lines", "{\n\"a\":1\n}{\n\"b\":NaN\n}\n", "{\n\"a\":1\n}|{\n\"b\":NaN\n}!nonstandard"},
		{"ndjson with values in a row", "{\"a\":1}\n{\"b\":2}{\"c\":3}\n{\"d\":", `{"a":1}|{"b":2}|{"c":3}|{"d":!unparsed`},
		{"byte order mark between values", "{\"a\":1}\xef\xbb\xbf{\"b\":2}", `{"a":1}|{"b":2}`},
		{"a value and text", `{"a":1}x`, `{"a":1}x!unparsed`},
		{"a value and a damaged one", `{"a":1}{"b"}`, `{"a":1}{"b"}!unparsed`},
		{"text sequence", "\x1e{\"a\":1}\n\x1e{\n\"b\":2}\n\x1e3\n", "{\"a\":1}|{\n\"b\":2}|3"},
		{"text sequence that was cut", "\x1e{\"a\":\x1e{\"b\":2}\n", `{"a":!unparsed|{"b":2}`},
		{"text sequence behind a byte order mark", "\xef\xbb\xbf\x1e{}\n\x1e{}", `{}|{}`},
		{"separators between lines", "{\"a\":1}\n\x1e{\"b\":2}\n", `{"a":1}|{"b":2}`},
		{"zero byte", "\x00", "\x00!unparsed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := split([]byte(c.body), 100)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(list); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if c.want == "" && list == nil {
				t.Error("an empty array looks like an empty body")
			}
		})
	}
	if list, err := split([]byte(" \n\t"), 100); list != nil || err != nil {
		t.Errorf("blank: %v %v", list, err)
	}
}

func show(list []element) string {
	var s []string
	for _, e := range list {
		one := string(e.raw)
		if e.flag != "" {
			one += "!" + e.flag
		}
		s = append(s, one)
	}
	return strings.Join(s, "|")
}

func TestSplitCutOff(t *testing.T) {
	for body, want := range map[string]cutOffError{
		`[`:                      {1, 1, 1},
		`  [{"a":1},{"b":`:       {16, 2, 11},
		`[1,2,"x]`:               {8, 3, 5},
		"[{\"a\":1},\n{\"b\":2}": {17, 2, 9},
		`[1,"\`:                  {5, 2, 3},
	} {
		list, err := split([]byte(body), 100)
		cut, ok := errors.AsType[*cutOffError](err)
		if !ok || *cut != want || list != nil {
			t.Errorf("%q: %v %+v, want %+v", body, list, cut, want)
		}
	}
}

func TestSplitStopsAtTheLimit(t *testing.T) {
	for _, body := range []string{"[" + strings.Repeat("1,", 1000) + "1]", strings.Repeat("1\n", 1000), strings.Repeat("{}", 1000), strings.Repeat("\x1e{}", 1000)} {
		if list, err := split([]byte(body), 10); len(list) < 11 || err != nil {
			t.Errorf("%d elements, %v", len(list), err)
		}
	}
}

// Deep nesting is looked at without a stack that grows with it.
func TestSplitDeep(t *testing.T) {
	n := torture.RaceShare(20 << 20)
	deep := bytes.Repeat([]byte{'['}, n)
	if _, err := split(deep, 100); err == nil {
		t.Error("an array without an end was taken")
	}
	for name, body := range map[string][]byte{
		"objects":  bytes.Repeat([]byte(`{"a":`), n/5),
		"in a row": append([]byte("{\"a\":1}\n"), deep...),
		"balanced": slices.Concat(deep, bytes.Repeat([]byte{']'}, n)),
	} {
		list, err := split(body, 100)
		if err != nil || len(list) == 0 || list[len(list)-1].flag != flagUnparsed {
			t.Errorf("%s: %d elements, %v", name, len(list), err)
		}
	}
	at := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	for _, n := range []int{1, maxDepth - 1, maxDepth, maxDepth + 1} {
		if got, want := valid(at(n)), json.Valid(at(n)); got != want {
			t.Errorf("depth %d: valid %v, encoding/json says %v", n, got, want)
		}
	}
}

// FuzzSplit: elements are slices of the input in its order, what lies between them is no
// content, and where encoding/json reads the body it reads the same.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `[1]`, "1\n2", `[{"a":"]"},null]`, "{\"a\":1}\n{\"b\":[2]}\n", `["\"",{"x":[{}]}]`, "{\n}\n", `[1}`, `[[[[`, "\xef\xbb\xbf[1]", `[1,,2]`, "x\n{}", "[1]\n[2]",
		`{"a":NaN}{"b":-Infinity}`, "\x1e{}\n\x1e[1]\n", `{}{}[]`, "{}\xef\xbb\xbf{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := split(body, len(body)+1)
		if err != nil {
			if json.Valid(body) {
				t.Fatalf("refused JSON: %v", err)
			}
			return
		}
		rest := body
		for _, e := range list {
			if len(e.raw) == 0 || cap(e.raw) > cap(rest) {
				t.Fatal("an element is not a slice of the body, or empty")
			}
			at := cap(rest) - cap(e.raw)
			if &rest[at] != &e.raw[0] {
				t.Fatal("an element is not a slice of the body")
			}
			if strings.Trim(string(rest[:at]), " \t\r\n,[\xef\xbb\xbf\x1e") != "" {
				t.Fatalf("%q lies between elements", rest[:at])
			}
			if e.strict != nil && (!json.Valid(e.strict) || len(e.strict) != len(e.raw)) {
				t.Fatalf("%q stands for %q", e.strict, e.raw)
			}
			if (e.flag == "") != (json.Valid(e.raw) && string(e.raw) != "null" && utf8.Valid(e.raw)) {
				t.Fatalf("%q is flagged %q", e.raw, e.flag)
			}
			rest = rest[at+len(e.raw):]
		}
		if strings.Trim(string(rest), " \t\r\n[]\xef\xbb\xbf\x1e") != "" {
			t.Fatalf("%q lies behind the last element", rest)
		}
		agree(t, trim(body), list)
	})
}

// agree compares with what encoding/json reads.
func agree(t *testing.T, body []byte, list []element) {
	t.Helper()
	var want []json.RawMessage
	if json.Unmarshal(body, &want) == nil && want != nil {
		compare(t, list, want)
		return
	}
	want = nil
	lines := 0
	for line := range bytes.Lines(body) {
		if line = trim(line); len(line) > 0 {
			lines++
			if !json.Valid(line) {
				return
			}
			want = append(want, line)
		}
	}
	if lines > 0 {
		compare(t, list, want)
	}
}

func compare(t *testing.T, list []element, want []json.RawMessage) {
	t.Helper()
	same := slices.EqualFunc(list, want, func(e element, w json.RawMessage) bool { return bytes.Equal(e.raw, w) })
	if !same {
		t.Fatalf("%s, encoding/json has %s", show(list), fmt.Sprintf("%s", want))
	}
}

// What strict parsers refuse has an id and a time like every record.
func TestNonStandardHasItsKey(t *testing.T) {
	d, err := New(Options{Spool: nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"id":"a","time":"2026-11-24T10:11:12Z","score":NaN}` + `{"id":"b","time":"2026-11-24T10:11:13Z"}`
	list, err := split([]byte(body), 100)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	names := naming{door: d, now: time.Now(), body: []byte(body)}
	for i, want := range []string{"http/2026-11-24/10/time-10-11-12-000000_a.json", "http/2026-11-24/10/time-10-11-13-000000_b.json"} {
		if got := names.key(i, list[i]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

type nothing struct{ Appender }
