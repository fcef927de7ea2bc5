package proof

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"indelible/internal/record"
)

func sampleLeaves() []Leaf {
	at := time.Date(2026, 11, 24, 8, 15, 30, 120_000_045, time.UTC)
	root := strings.Repeat("0a", 32)
	return []Leaf{
		{Kind: Record, Seq: 7, Time: at, Door: "s3", Source: "AKIA1", Bucket: "logs", Key: "2026-11-24/a.json", Size: 3, Digest: record.Digest{1, 2}, Attrs: record.Digest{3}},
		{Kind: Record, Seq: 8, Time: at, Door: "s3", Bucket: "logs", Key: "a_\"q\"\\ \n\x00<>&\u2028é.json", SentKey: "x\xff", Size: 0, VersionID: "v.1"},
		{Kind: Stored, Seq: 8, Time: at, Door: "lib", Key: "k", SentKeySum: strings.Repeat("ab", 32), Size: 1 << 40},
		{Kind: Deferred, Seq: 9, Time: at, Door: "s3", SentKey: "k", Reason: "500"},
		{Kind: Deferred, Seq: 10, Time: at, Reason: "input/output error", Unread: true},
		{Kind: Quarantined, Seq: 10, Time: at, Door: "s3", SentKey: "k", Reason: "EntityTooLarge"},
		{Kind: Removed, First: 1, Last: 3, Time: at, Reason: "retention"},
		{Kind: Gap, First: 11, Last: 20, Time: at, Reason: "bad checksum"},
		{Kind: Pack, First: 21, Last: 40, Time: at, Key: "packs/x.parquet", Size: 9, Count: 20, Root: root},
		{Kind: Row, Seq: 21, Time: at, Door: "s3", Source: "AKIA1", Bucket: "logs", SentKey: "a.json", Size: 3, Digest: record.Digest{1}},
		{Kind: Row, Seq: 22, Time: at, Door: "s3", SentKeySum: root},
		{Kind: Start, Time: at, Program: "indelible 1", Config: "c0", Prefix: "logs/"},
		{Kind: Stop, Seq: 40, Time: at}, {Kind: Tick, Seq: 40, Time: at},
		{Kind: Recovered, Seq: 40, Time: at, Reason: "kill"},
		{Kind: Config, Seq: 40, Time: at, Config: "c1"},
		{Kind: Continues, Time: at, FromLog: "old-log", FromSeq: 17, Size: 22, Root: root, Reason: "forked"},
		{Kind: Repair, Seq: 40, Time: at, Key: "checkpoint", Reason: "it was gone"},
		{Kind: Repair, Seq: 40, Time: at, Reason: "?"},
		{Kind: NewKey, Seq: 40, Time: at, Size: 41, Root: root, Old: "o", New: "n", OldSig: "s", NewSig: "t"},
	}
}

func TestLeafRoundTrip(t *testing.T) {
	for _, l := range sampleLeaves() {
		b := l.Encode()
		got, err := ParseLeaf(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if got != l {
			t.Errorf("%s\n got %+v\nwant %+v", b, got, l)
		}
		if !json.Valid(b) || bytes.ContainsAny(b, "\n") {
			t.Errorf("%q is not JSON on one line", b)
		}
	}
}

func TestLeafForm(t *testing.T) {
	l := sampleLeaves()[0]
	want := `{"v":1,"kind":"record","seq":7,"time":"2026-11-24T08:15:30.120000045Z","door":"s3","source":"AKIA1","bucket":"logs","key":"2026-11-24/a.json","size":3,"sha256":"0102` + strings.Repeat("0", 60) + `","attrs_sha256":"03` + strings.Repeat("0", 62) + `"}`
	if got := string(l.Encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	l = sampleLeaves()[1]
	for _, part := range []string{`"key":"a_\"q\"\\ \u000a\u0000<>&` + "\u2028é" + `.json"`, `"sent_key_base64":"eP8="`, `"version_id":"v.1"}`} {
		if got := string(l.Encode()); !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
}

func TestParseLeafRefuses(t *testing.T) {
	good := string((&Leaf{Kind: Tick, Seq: 1, Time: time.Unix(0, 0)}).Encode())
	for name, bad := range map[string]string{
		"empty":          "",
		"space":          strings.Replace(good, `,"seq"`, `, "seq"`, 1),
		"other version":  strings.Replace(good, `"v":1`, `"v":2`, 1),
		"unknown kind":   strings.Replace(good, "tick", "tock", 1),
		"member missing": strings.Replace(good, `"seq":1,`, "", 1),
		"member more":    strings.Replace(good, "}", `,"x":1}`, 1),
		"leading zero":   strings.Replace(good, `"seq":1`, `"seq":01`, 1),
		"escape":         strings.Replace(good, "tick", `tic\u006b`, 1),
		"short time":     strings.Replace(good, ".000000000Z", "Z", 1),
		"offset":         strings.Replace(good, "Z", "+00:00", 1),
		"newline behind": good + "\n",
		"no end":         good[:len(good)-1],
		"number too big": strings.Replace(good, `"seq":1`, `"seq":99999999999999999999`, 1),
	} {
		if l, err := ParseLeaf([]byte(bad)); err == nil {
			t.Errorf("%s: %s was read as %+v", name, bad, l)
		}
	}
}

// What has the form of a leaf and cannot be true is no leaf.
func TestParseLeafRefusesNonsense(t *testing.T) {
	at, root := time.Unix(0, 0), strings.Repeat("0a", 32)
	pack := Leaf{Kind: Pack, First: 1, Last: 1000, Time: at, Key: "p", Count: 1000, Root: root}
	key := Leaf{Kind: NewKey, Seq: 1, Time: at, Size: 1, Root: root}
	row := Leaf{Kind: Row, Seq: 1, Time: at, SentKey: "k"}
	for _, good := range []Leaf{pack, key, row} {
		if _, err := ParseLeaf(good.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	for name, l := range map[string]Leaf{
		"pack with other count":   {Kind: Pack, First: 1, Last: 1000, Time: at, Key: "p", Count: 1, Root: root},
		"pack with upper-case":    {Kind: Pack, First: 1, Last: 1, Time: at, Key: "p", Count: 1, Root: strings.ToUpper(root)},
		"pack with short root":    {Kind: Pack, First: 1, Last: 1, Time: at, Key: "p", Count: 1, Root: root[2:]},
		"pack from 0":             {Kind: Pack, First: 0, Last: 1, Time: at, Key: "p", Count: 2, Root: root},
		"pack of everything":      {Kind: Pack, First: 1, Last: 1<<64 - 1, Time: at, Key: "p", Count: -1, Root: root},
		"pack backwards":          {Kind: Pack, First: 2, Last: 1, Time: at, Key: "p", Count: 0, Root: root},
		"gap backwards":           {Kind: Gap, First: 2, Last: 1, Time: at},
		"removed backwards":       {Kind: Removed, First: 2, Last: 1, Time: at},
		"record 0":                {Kind: Record, Time: at, Key: "k"},
		"row without a key":       {Kind: Row, Seq: 1, Time: at},
		"row with two keys":       {Kind: Row, Seq: 1, Time: at, SentKey: "k", SentKeySum: root},
		"sent key of no digest":   {Kind: Record, Seq: 1, Time: at, Key: "k", SentKeySum: "x"},
		"key without a root":      {Kind: NewKey, Seq: 1, Time: at, Size: 1},
		"continues without roots": {Kind: Continues, Time: at, FromLog: "l"},
	} {
		if _, err := ParseLeaf(l.Encode()); err == nil {
			t.Errorf("%s: %s was read", name, l.Encode())
		}
	}
}

// A leaf parser keeps strings from leaf to leaf; what it reads is the leaf all the same.
func TestLeafParserReused(t *testing.T) {
	var p leafParser
	for range 2 {
		for _, want := range sampleLeaves() {
			var got Leaf
			if err := p.parse(want.Encode(), &got); err != nil || got != want {
				t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
			}
		}
	}
}

func FuzzParseLeaf(f *testing.F) {
	for _, l := range sampleLeaves() {
		f.Add(l.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLeaf(b)
		if err != nil {
			return
		}
		if again := l.Encode(); !bytes.Equal(again, b) || !json.Valid(b) {
			t.Fatalf("%q was accepted; its form is %q", b, again)
		}
	})
}

// The leaf of the longest record there can be fits into a bundle.
func TestLeafOfLongestRecord(t *testing.T) {
	evil := strings.Repeat("\x01", record.MaxKey)
	o := record.Outcome{State: record.Stored, Stored: evil[:1024], Version: evil[:1024], Info: record.Info{Seq: 1, Door: evil, Source: evil, Bucket: evil, Key: evil[:1023]}}
	for _, key := range []string{evil[:1023], evil} {
		o.Key = key
		leaf, err := leafOf(&o)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(leaf.Encode()); n > MaxLeaf/2 {
			t.Errorf("leaf of %d bytes", n)
		}
	}
}

// Times are spelled as the standard library spells them, also those that no writer makes.
func TestAppendTime(t *testing.T) {
	for _, when := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(1795000000, 123456789), time.Unix(-1, 1), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 2, 3, 4, 5, 6, 7, time.UTC), time.Date(2026, 11, 30, 23, 30, 0, 5, time.FixedZone("x", -3600)),
	} {
		if got, want := string(appendTime([]byte("at "), when)), "at "+when.UTC().Format(timeLayout); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
