package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Error says what is wrong with an expression, and where.
type Error struct {
	Text    string // the expression
	At, Len int    // bytes of Text that are wrong
	Problem string
}

// Error is the problem, and below it the expression with a caret under what is wrong.
func (e *Error) Error() string {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, e.Text)
	at := min(e.At, len(line))
	end := min(at+max(e.Len, 1), len(line))
	marks := max(1, utf8.RuneCountInString(line[at:end]))
	return e.Problem + "\n  " + line + "\n  " + strings.Repeat(" ", utf8.RuneCountInString(line[:at])) + strings.Repeat("^", marks)
}

// MaxLength bounds an expression.
const MaxLength = 16 << 10

// Parse reads an expression as a command line gives it. A single argument is a
// whole expression, or a phrase where it holds neither a comparison nor a quotation mark. Several
// arguments are one term each: the shell has taken their quotes away. Times that are
// durations are counted back from now. It fails with an *Error.
func Parse(args []string, now time.Time) (*Filter, error) {
	text := join(args)
	p := parser{text: text, now: now}
	if len(text) > MaxLength {
		return nil, &Error{Text: text[:40] + "…", Problem: fmt.Sprintf("the expression has %d bytes, more than %d", len(text), MaxLength)}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{Text: strings.ToValidUTF8(text, "�"), Problem: "the expression is no UTF-8"}
	}
	return p.parse()
}

// join makes one text of arguments in which each stays the term that it was.
func join(args []string) string {
	if len(args) == 1 {
		if strings.ContainsAny(args[0], `"=~<>`) {
			return args[0]
		}
	}
	terms := make([]string, len(args))
	for i, a := range args {
		name, op, rest := comparison(a)
		if op == "" {
			name, rest = "", a
		}
		terms[i] = name + string(op) + quoteValue(rest)
	}
	return strings.Join(terms, " ")
}

// quoteValue puts a value into quotes if it is not one as it stands.
func quoteValue(v string) string {
	quoted := len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"'
	if v == "" || quoted || strings.IndexFunc(v, unicode.IsSpace) < 0 && v[0] != '"' {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// comparison cuts a term into field, operator and value; op is "" if it is none.
func comparison(term string) (name string, op Op, value string) {
	n := 0
	for n < len(term) && (term[n] == '_' || 'a' <= term[n]|0x20 && term[n]|0x20 <= 'z' || n > 0 && '0' <= term[n] && term[n] <= '9') {
		n++
	}
	if n == 0 {
		return "", "", ""
	}
	for _, op := range [...]Op{NotEqual, Lacks, LessEqual, MoreEqual, Equal, Contains, Less, More} {
		if rest, ok := strings.CutPrefix(term[n:], string(op)); ok {
			return term[:n], op, rest
		}
	}
	return "", "", ""
}

type parser struct {
	text string
	at   int
	now  time.Time
}

func (p *parser) parse() (*Filter, error) {
	f := &Filter{}
	for {
		for p.at < len(p.text) {
			r, n := utf8.DecodeRuneInString(p.text[p.at:])
			if !unicode.IsSpace(r) {
				break
			}
			p.at += n
		}
		if p.at == len(p.text) {
			return f, nil
		}
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		f.Terms = append(f.Terms, t)
	}
}

func (p *parser) wrong(at, n int, format string, args ...any) *Error {
	return &Error{Text: p.text, At: at, Len: n, Problem: fmt.Sprintf(format, args...)}
}

// term reads one term, which begins at p.at.
func (p *parser) term() (Term, error) {
	start := p.at
	name, op, _ := comparison(p.text[start:])
	if op == "" {
		value, quoted, err := p.value()
		if err != nil {
			return Term{}, err
		}
		return p.words(start, value, quoted)
	}
	field := FieldOf(strings.ToLower(name))
	if field == nil {
		what := fmt.Sprintf("there is no field %q", name)
		if near := nearest(strings.ToLower(name)); near != "" {
			what += fmt.Sprintf(": did you mean %q?", near)
		}
		return Term{}, p.wrong(start, len(name), "%s (a text with %q in it is looked for in quotes)", what, op)
	}
	p.at += len(name) + len(op)
	at := p.at
	value, quoted, err := p.value()
	if err != nil {
		return Term{}, err
	}
	t := Term{Field: field, Op: op}
	if problem := t.set(value, quoted, p.now); problem != "" {
		if value == "" {
			at = start
		}
		return Term{}, p.wrong(at, p.at-at, "%s: %s", field.Name, problem)
	}
	return t, nil
}

// value reads a bare value, up to the next space, or one in quotes.
func (p *parser) value() (value string, quoted bool, err error) {
	start := p.at
	if !strings.HasPrefix(p.text[p.at:], `"`) {
		n := strings.IndexFunc(p.text[p.at:], unicode.IsSpace)
		if n < 0 {
			n = len(p.text) - p.at
		}
		p.at += n
		return p.text[start:p.at], false, nil
	}
	var b strings.Builder
	for i := start + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '\\' && i+1 < len(p.text):
			i++
			b.WriteByte(p.text[i])
		case c == '"':
			p.at = i + 1
			if r, _ := utf8.DecodeRuneInString(p.text[p.at:]); p.at < len(p.text) && !unicode.IsSpace(r) && r != '*' {
				return "", true, p.wrong(p.at, 1, "want a space behind the closing quotation mark")
			}
			return b.String(), true, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", true, p.wrong(start, 1, "this quotation mark is never closed")
}

// words makes a term of a text to be looked for.
func (p *parser) words(start int, value string, quoted bool) (Term, error) {
	t := Term{}
	if quoted && strings.HasPrefix(p.text[p.at:], "*") {
		p.at, t.Prefix = p.at+1, true
	} else if rest, ok := strings.CutSuffix(value, "*"); ok && !quoted {
		value, t.Prefix = rest, true
	}
	t.Words, t.Text = Words(value), value
	if len(t.Words) == 0 {
		return Term{}, p.wrong(start, p.at-start, "want a word: a letter or a digit")
	}
	return t, nil
}

// set takes a comparison's value; it returns what is wrong with it.
func (t *Term) set(value string, quoted bool, now time.Time) (problem string) {
	name := t.Field.Name
	switch t.Field.Kind {
	case Text, List:
		switch t.Op {
		case Equal, NotEqual, Contains, Lacks:
		default:
			return fmt.Sprintf("is a text: compare it with =, !=, ~ (contains) or !~, not with %s", t.Op)
		}
		if value == "" && (t.Op == Contains || t.Op == Lacks) {
			return "contains what? (" + name + "= asks for records without it)"
		}
		t.Text = value
		return ""
	case Bool:
		if t.Op != Equal && t.Op != NotEqual {
			return fmt.Sprintf("is true or false: compare it with = or !=, not with %s", t.Op)
		}
		b, err := strconv.ParseBool(value)
		if err != nil {
			return "want true or false"
		}
		t.Bool = b
		return ""
	}
	if t.Op == Contains || t.Op == Lacks {
		return fmt.Sprintf("compare it with =, !=, <, <=, > or >=, not with %s", t.Op)
	}
	if t.Field.Kind == Number {
		n, ok := parseNumber(value, name == "size")
		if !ok {
			return "want a number"
		}
		t.Num = n
		return ""
	}
	at, ok := ParseTime(value, now)
	if !ok {
		return "want a time: a duration back from now (24h, 7d), a day (2026-11-01) or RFC 3339 (2026-11-01T08:30:00Z)"
	}
	t.Time = at
	return t.bound()
}

// bound makes a term about arrival of since and until.
func (t *Term) bound() (problem string) {
	name := t.Field.Name
	if name != "since" && name != "until" {
		return ""
	}
	if t.Op != Equal {
		return fmt.Sprintf("want %s=, or time%s", name, t.Op)
	}
	t.Field, t.Op = FieldOf("time"), MoreEqual
	if name == "until" {
		t.Op = Less
	}
	return ""
}

func parseNumber(s string, size bool) (float64, bool) {
	if size {
		if n, ok := parseSize(s); ok {
			return n, true
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && n == n && n-n == 0 && !strings.ContainsAny(s, "xXpP_")
}

func parseSize(s string) (float64, bool) {
	for _, u := range [...]struct {
		unit string
		n    float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if digits, ok := strings.CutSuffix(s, u.unit); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
			return n * u.n, err == nil && n >= 0 && n < 1e12
		}
	}
	return 0, false
}

// ParseTime reads a time of an expression: a duration back from now, with days as "d", a day (UTC), or RFC 3339.
func ParseTime(s string, now time.Time) (time.Time, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 36500 {
			return now.Add(-time.Duration(n * float64(24*time.Hour))), true
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), inRange(t)
		}
	}
	return time.Time{}, false
}

// inRange says whether a time's nanoseconds fit into 64 bits.
func inRange(t time.Time) bool { return t.Year() >= 1678 && t.Year() < 2262 }

// nearest is the field whose name is the most like a mistyped one; "" if none is.
func nearest(name string) string {
	best, least := "", 1+len(name)/3
	for _, f := range table {
		if strings.HasPrefix(f.Name, name) && len(name) > 2 {
			return f.Name
		}
		if d := distance(name, f.Name); d <= least {
			if d < least || best == "" {
				best, least = f.Name, d
			}
		}
	}
	return best
}

// distance is how many insertions, deletions and changes lead from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
