package proof

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/record"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
	"indelible/internal/testserver"
)

// formLeaf is a leaf in its one form, for forms to be made of.
const formLeaf = `{"v":1,"kind":"tick","seq":3,"time":"2026-11-24T08:00:00.000000000Z"}`

// form replaces something in formLeaf.
func withForm(old, now string) string { return strings.Replace(formLeaf, old, now, 1) }

// leafForms are leaves that are not in the canonical form, or cannot be, by name.
func leafForms() map[string]string {
	const rec = `{"v":1,"kind":"deferred","seq":4,"time":"2026-11-24T08:00:00.000000000Z","door":"s3","source":"","bucket":"b","sent_key":"k","size":1,"sha256":"` +
		"0000000000000000000000000000000000000000000000000000000000000000" + `","reason":"500"}`
	of := func(old, now string) string { return strings.Replace(rec, old, now, 1) }
	return map[string]string{
		"nested deeply":                      strings.Repeat("[", 60_000),
		"nested deeply in a member":          of(`"k"`, strings.Repeat(`{"a":`, 10_000)),
		"no object":                          `7`,
		"nothing":                            ``,
		"spaces":                             withForm(`,"seq"`, `, "seq"`),
		"newline at the end":                 formLeaf + "\n",
		"two leaves":                         formLeaf + formLeaf,
		"trailing zero byte":                 formLeaf + "\x00",
		"byte order mark":                    "\ufeff" + formLeaf,
		"UTF-16":                             "{\x00\"\x00v\x00\"\x00:\x001\x00}\x00",
		"member twice, same":                 withForm(`"seq":3`, `"seq":3,"seq":3`),
		"member twice, other":                withForm(`"seq":3`, `"seq":9,"seq":3`),
		"kind twice":                         withForm(`"kind":"tick"`, `"kind":"tick","kind":"stop"`),
		"member that nobody knows":           withForm(`"seq":3`, `"seq":3,"x":1`),
		"member of another kind":             withForm(`"seq":3`, `"first":3,"seq":3`),
		"members in another order":           `{"v":1,"kind":"tick","time":"2026-11-24T08:00:00.000000000Z","seq":3}`,
		"name in capitals":                   withForm(`"seq"`, `"SEQ"`),
		"name escaped":                       withForm(`"seq"`, `"\u0073eq"`),
		"exponent":                           withForm(`:3`, `:3e0`),
		"large exponent":                     withForm(`:3`, `:3e400`),
		"fraction":                           withForm(`:3`, `:3.0`),
		"negative":                           withForm(`:3`, `:-3`),
		"minus zero":                         withForm(`:3`, `:-0`),
		"plus":                               withForm(`:3`, `:+3`),
		"leading zero":                       withForm(`:3`, `:03`),
		"hex number":                         withForm(`:3`, `:0x3`),
		"number in quotation marks":          withForm(`:3`, `:"3"`),
		"greatest of all numbers":            withForm(`:3`, `:18446744073709551615`),
		"number above 64 bits":               withForm(`:3`, `:18446744073709551619`),
		"number of 5,000 digits":             withForm(`:3`, `:`+strings.Repeat("9", 5000)),
		"NaN":                                withForm(`:3`, `:NaN`),
		"true for a number":                  withForm(`:3`, `:true`),
		"null":                               withForm(`:3`, `:null`),
		"version as a fraction":              withForm(`"v":1`, `"v":1.0`),
		"version true":                       withForm(`"v":1`, `"v":true`),
		"version 2":                          withForm(`"v":1`, `"v":2`),
		"kind that nobody knows":             withForm(`tick`, `tock`),
		"kind in capitals":                   withForm(`tick`, `Tick`),
		"kind as a list":                     withForm(`"tick"`, `["tick"]`),
		"seq as base64":                      withForm(`"seq":3`, `"seq_base64":"/w=="`),
		"time as base64":                     withForm(`"time":"2026-11-24T08:00:00.000000000Z"`, `"time_base64":"/w=="`),
		"time with Arabic digits":            withForm(`2026`, `٢٠٢٦`),
		"time with fullwidth digits":         withForm(`2026`, `２０２６`),
		"time with a zone":                   withForm(`Z"`, `+00:00"`),
		"time in lower case":                 withForm(`T08`, `t08`),
		"time with three digits":             withForm(`.000000000Z`, `.000Z`),
		"30 February":                        withForm(`11-24`, `02-30`),
		"hour 24":                            withForm(`T08`, `T24`),
		"leap second":                        withForm(`:00.0`, `:60.0`),
		"year 0":                             withForm(`2026`, `0000`),
		"time 0":                             withForm(`2026-11-24`, `2026-00-00`),
		"size -1":                            of(`"size":1`, `"size":-1`),
		"size above 63 bits":                 of(`"size":1`, `"size":9223372036854775808`),
		"text as base64":                     of(`"bucket":"b"`, `"bucket_base64":"Yg=="`),
		"base64 and plain":                   of(`"bucket":"b"`, `"bucket":"b","bucket_base64":"/w=="`),
		"base64 with bits that say nothing":  of(`"bucket":"b"`, `"bucket_base64":"/x=="`),
		"base64 without its end":             of(`"bucket":"b"`, `"bucket_base64":"/w"`),
		"base64 with a newline":              of(`"bucket":"b"`, `"bucket_base64":"/w\u000a=="`),
		"base64 for the web":                 of(`"bucket":"b"`, `"bucket_base64":"_w=="`),
		"base64 of nothing":                  of(`"bucket":"b"`, `"bucket_base64":""`),
		"sha256 as base64":                   of(`"sha256":"`+strings.Repeat("0", 64)+`"`, `"sha256_base64":"/w=="`),
		"sha256 in capitals":                 of(`:"0000`, `:"ABCD`),
		"sha256 too short":                   of(`:"0000`, `:"`),
		"escaped slash":                      of(`"k"`, `"\/"`),
		"escaped letter":                     of(`"k"`, `"\u006b"`),
		"newline as \\n":                     of(`"k"`, `"\n"`),
		"control character as it stands":     of(`"k"`, "\"\x01\""),
		"escape in capitals":                 of(`"k"`, `"\u001F"`),
		"lone surrogate":                     of(`"k"`, `"\ud800"`),
		"surrogates":                         of(`"k"`, `"\ud83d\ude00"`),
		"surrogate as three bytes":           of(`"k"`, "\"\xed\xa0\x80\""),
		"bytes that are no UTF-8":            of(`"k"`, "\"\xff\""),
		"overlong UTF-8":                     of(`"k"`, "\"\xc0\xaf\""),
		"optional member without a value":    of(`"sent_key":"k"`, `"sent_key":""`),
		"two keys":                           of(`"sent_key":"k"`, `"sent_key":"k","sent_key_sha256":"`+strings.Repeat("0", 64)+`"`),
		"sum of a key that is none":          of(`"sent_key":"k"`, `"sent_key_sha256":"00"`),
		"record 0":                           of(`"seq":4`, `"seq":0`),
		"no reason":                          of(`,"reason":"500"`, ``),
		"gap backwards":                      `{"v":1,"kind":"gap","first":4,"last":3,"time":"2026-11-24T08:00:00.000000000Z","cause":"x"}`,
		"gap from 0":                         `{"v":1,"kind":"gap","first":0,"last":3,"time":"2026-11-24T08:00:00.000000000Z","cause":"x"}`,
		"pack with a count of another range": `{"v":1,"kind":"pack","first":4,"last":5,"time":"2026-11-24T08:00:00.000000000Z","key":"k","size":1,"sha256":"` + strings.Repeat("0", 64) + `","count":1,"root":"` + strings.Repeat("0", 64) + `"}`,
	}
}

// formTamperings are logs, signed by their writer, with a leaf of another form: whoever holds the key can write them.
func formTamperings() (list []tampering) {
	for name, raw := range leafForms() {
		list = append(list, tampering{name: "form: " + name, make: func(b *bench) {
			l := b.open()
			b.do(l.Start("p", "c", ""))
			b.add(l, 1, 3)
			l.state.pending = append(l.state.pending, []byte(raw))
			b.do(l.Stop(b.t.Context()))
		}, want: "parse leaf"})
	}
	return list
}

// checkpointForms change the checkpoint of a log that is signed.
func checkpointForms() map[string]func(raw string) string {
	line := func(raw string) string { return raw[strings.Index(raw, "—"):] }
	bad := func(raw string) string { // the log's line, with a signature of nothing
		l := line(raw)
		name, b64, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(l, "— "), "\n"), " ")
		sig, _ := base64.StdEncoding.DecodeString(b64)
		sig[20] ^= 1
		return "— " + name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
	}
	before := func(raw, what string) string { return strings.Replace(raw, "—", what+"—", 1) }
	return map[string]func(raw string) string{
		"bad line of the log's key first":       func(raw string) string { return before(raw, bad(raw)) },
		"line that is no signature":             func(raw string) string { return raw + "hello\n" },
		"empty line behind":                     func(raw string) string { return raw + "\n" },
		"no newline at the end":                 func(raw string) string { return strings.TrimSuffix(raw, "\n") },
		"line with a hyphen":                    func(raw string) string { return strings.Replace(raw, "—", "-", 1) },
		"line without base64":                   func(raw string) string { return raw + "— x ????\n" },
		"line of four bytes":                    func(raw string) string { return raw + "— x AAAAAA==\n" },
		"line with a plus in its name":          func(raw string) string { return raw + "— a+b AAAAAAA=\n" },
		"line with a no-break space":            func(raw string) string { return raw + "— a\u00a0b AAAAAAA=\n" },
		"line with two spaces":                  func(raw string) string { return raw + "— a  AAAAAAA=\n" },
		"101 lines":                             func(raw string) string { return raw + strings.Repeat("— x AAAAAAA=\n", 100) },
		"control character":                     func(raw string) string { return raw + "— \x1b[2K AAAAAAA=\n" },
		"carriage returns":                      func(raw string) string { return strings.ReplaceAll(raw, "\n", "\r\n") },
		"bytes that are no UTF-8":               func(raw string) string { return raw + "— \xff AAAAAAA=\n" },
		"size with a leading zero":              func(raw string) string { return strings.Replace(raw, "log\n", "log\n0", 1) },
		"size with a sign":                      func(raw string) string { return strings.Replace(raw, "log\n", "log\n+", 1) },
		"size in Arabic digits":                 func(raw string) string { return strings.Replace(raw, "log\n", "log\n٣", 1) },
		"extension line that nobody signed":     func(raw string) string { return strings.Replace(raw, "\n\n", "\nx\n\n", 1) },
		"empty line within the text":            func(raw string) string { return strings.Replace(raw, "\n\n", "\n\nx\n\n", 1) },
		"other log's name with the same key id": func(raw string) string { return strings.Replace(raw, "— test-log", "— test-lag", 1) },
	}
}

func checkpointTamperings() (list []tampering) {
	for name, change := range checkpointForms() {
		list = append(list, tampering{name: "checkpoint form: " + name, tamper: func(b *bench) {
			for _, k := range append(b.history(), b.path("checkpoint")) { // with the good one in history/ it would be a rollback
				b.st.put(k, []byte(change(string(b.st.data(k)))))
			}
		}, want: "no checkpoint here that is signed"})
	}
	return list
}

// driver asks verify.py whether it takes each of the leaves, in base64, that stand in a JSON list on stdin.
const driver = `
import base64, json, runpy, sys
parse = runpy.run_path(sys.argv[1])["parse"]
def takes(raw):
    try:
        parse(raw)
        return True
    except Exception as e:
        return False
print(json.dumps([takes(base64.b64decode(l)) for l in json.load(sys.stdin)]))
`

// Both verifiers take the same leaves, of all kinds, changed at random; and none that is not canonical.
func TestLeafFormsAgree(t *testing.T) {
	s := newIndependent(t)
	leaves := [][]byte{[]byte(formLeaf)}
	for _, raw := range leafForms() {
		if _, err := ParseLeaf([]byte(raw)); err == nil {
			t.Errorf("taken: %.200s", raw)
		}
		leaves = append(leaves, []byte(raw))
	}
	b := newBench(t)
	quantumSafe(b)
	for _, l := range b.leaves() {
		leaves = append(leaves, l.Encode())
	}
	at := time.Date(2026, 11, 24, 8, 0, 0, 1, time.UTC)
	root := strings.Repeat("ab", 32)
	for _, l := range []Leaf{
		{Kind: Record, Seq: 1, Source: "a\"\\\n\x7f\u2028é", Key: "not utf-8 \xff", SentKey: "k", VersionID: "v"},
		{Kind: Stored, Seq: 1<<64 - 2, Size: 1<<63 - 1, Key: "k", SentKeySum: root},
		{Kind: Deferred, Seq: 1, Reason: "x", Unread: true}, {Kind: Quarantined, Seq: 1, SentKey: "k", Reason: "\x00\x1f"},
		{Kind: Removed, First: 1, Last: 2, Reason: "r"}, {Kind: Gap, First: 1, Last: 1<<64 - 2, Reason: "r"},
		{Kind: Pack, First: 1, Last: 2, Count: 2, Key: "k", Root: root}, {Kind: Row, Seq: 1, SentKey: "k"},
		{Kind: Config, Config: "c", Prefix: "p"}, {Kind: Recovered, Reason: "r"}, {Kind: Continues, FromLog: "l", FromSeq: 2, Root: root, Reason: "r"},
		{Kind: Repair, Key: "checkpoint", Reason: "r"}, {Kind: Repair, Reason: "r"}, {Kind: Cosigning, Size: 3, Reason: "r"}, {Kind: Stop},
	} {
		l.Time = at
		leaves = append(leaves, l.Encode())
	}
	good := leaves[1+len(leafForms()):]
	for _, raw := range good {
		if _, err := ParseLeaf(raw); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 13))
	pieces := []string{`"`, `\`, `,`, `0`, `1`, `-`, `.`, `e1`, ` `, "\n", "\x00", "\xff", "é", `\u0000`, `\n`, `_base64`, `/w==`, `null`, `[`, `}`, `,"seq":1`, `٣`, "\ud7ff", `\ud800`}
	for range 20_000 {
		raw := bytes.Clone(good[rng.IntN(len(good))])
		from := rng.IntN(len(raw))
		to := min(len(raw), from+rng.IntN(4))
		other := good[rng.IntN(len(good))]
		what := []byte(pieces[rng.IntN(len(pieces))])
		switch rng.IntN(4) {
		case 0:
			what = other[rng.IntN(len(other)):]
		case 1:
			what = nil
		}
		leaves = append(leaves, append(append(bytes.Clone(raw[:from]), what...), raw[to:]...))
	}
	in, err := json.Marshal(leaves)
	b.do(err)
	cmd := exec.CommandContext(t.Context(), s.python, "-c", driver, filepath.FromSlash("../../docs/verify.py"))
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	b.do(err)
	var takes []bool
	b.do(json.Unmarshal(out, &takes))
	taken := 0
	for i, raw := range leaves {
		_, err := ParseLeaf(raw)
		if (err == nil) != takes[i] {
			t.Errorf("verify: %v; verify.py takes it: %v: %.300q", err, takes[i], raw)
		}
		if err == nil {
			taken++
		}
	}
	t.Logf("%d of %d leaves were taken", taken, len(leaves))
}

// locate asks verify.py where the objects of the keys lie that stand in a JSON list on stdin.
const locate = `
import json, os, runpy, sys
find = runpy.run_path(sys.argv[1])["find"]
print(json.dumps([os.path.isfile(find(sys.argv[2], key, sys.argv[3] == "folded")) for key in json.load(sys.stdin)]))
`

// verify.py finds the objects of a directory under the names that the store gave them, wherever a long component was cut.
func TestNamesAgree(t *testing.T) {
	python := testserver.Python(t, "testdata/requirements-verify.txt") // skips where test/all has not made it
	for _, how := range []string{"plain", "folded"} {
		root := t.TempDir()
		if how == "folded" {
			for _, err := range []error{os.Mkdir(filepath.Join(root, "_indelible"), 0o700), os.WriteFile(filepath.Join(root, "_indelible", ".folded"), nil, 0o600)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		s, err := dir.OpenPath(root)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		keys := []string{"Team/é.json", "a//b", "./%/x\n"}
		for n := 229; n <= 241; n++ {
			keys = append(keys, strings.Repeat("x", n)+"é😀A%\x01tail/end")
		}
		for _, key := range keys {
			storetest.MustPut(t, s, storetest.Object(key, "x"))
		}
		in, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), python, "-c", locate, filepath.FromSlash("../../docs/verify.py"), root, how)
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.Output()
		var found []bool
		if err == nil {
			err = json.Unmarshal(out, &found)
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range keys {
			if !found[i] {
				t.Errorf("%s: verify.py does not find %q", how, key)
			}
		}
	}
}

// The greatest number that a record can have does not make the order begin anew, and is not given twice.
func TestLastNumber(t *testing.T) {
	for _, seq := range []record.Seq{4, 1<<64 - 2} {
		b := newBench(t)
		said(Leaf{Kind: Gap, First: 4, Last: 1<<64 - 2, Reason: "x"}, Leaf{Kind: Deferred, Seq: seq, SentKey: "k", Reason: "500"})(b)
		r := b.verify(VerifyOptions{})
		if !strings.Contains(fmt.Sprint(r.Faults), "out of order") {
			t.Errorf("%d: %v", seq, r.Faults)
		}
	}
	b := newBench(t)
	said(Leaf{Kind: Gap, First: 4, Last: 1<<64 - 1, Reason: "x"})(b)
	if r := b.verify(VerifyOptions{}); !strings.Contains(fmt.Sprint(r.Faults), "none can follow") {
		t.Errorf("the greatest of all numbers: %v", r.Faults)
	}
}
