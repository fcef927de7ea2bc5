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
	return []Leaf{
		{Kind: Record, Seq: 7, Time: at, Door: "s3", Source: "AKIA1", Bucket: "logs", Key: "2026-11-24/a.json", Size: 3, Digest: record.Digest{1, 2}},
		{Kind: Record, Seq: 8, Time: at, Door: "s3", Bucket: "logs", Key: "a_\"q\"\\ \n\x00<>&\u2028é.json", SentKey: "x\xff", Size: 0, VersionID: "v.1"},
		{Kind: Stored, Seq: 8, Time: at, Door: "lib", Key: "k", SentKeySum: strings.Repeat("ab", 32), Size: 1 << 40},
		{Kind: Deferred, Seq: 9, Time: at, Door: "s3", SentKey: "k", Reason: "500"},
		{Kind: Quarantined, Seq: 10, Time: at, Door: "s3", SentKey: "k", Reason: "EntityTooLarge"},
		{Kind: Removed, Seq: 1, Time: at, Key: "k", Reason: "retention"},
		{Kind: Gap, First: 11, Last: 20, Time: at, Reason: "bad checksum"},
		{Kind: Pack, First: 21, Last: 40, Time: at, Key: "packs/x.parquet", Size: 9, Count: 20, Root: strings.Repeat("00", 32)},
		{Kind: Start, Time: at, Program: "indelible 1", Config: "c0", Prefix: "logs/"},
		{Kind: Stop, Seq: 40, Time: at}, {Kind: Tick, Seq: 40, Time: at},
		{Kind: Recovered, Seq: 40, Time: at, Reason: "kill"},
		{Kind: Config, Seq: 40, Time: at, Config: "c1"},
		{Kind: NewKey, Seq: 40, Time: at, Old: "o", New: "n", OldSig: "s", NewSig: "t"},
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
	want := `{"v":1,"kind":"record","seq":7,"time":"2026-11-24T08:15:30.120000045Z","door":"s3","source":"AKIA1","bucket":"logs","key":"2026-11-24/a.json","size":3,"sha256":"0102` + strings.Repeat("0", 60) + `"}`
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
