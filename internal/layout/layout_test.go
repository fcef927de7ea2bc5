package layout

import (
	"crypto/sha256"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"indelible/internal/record"
	"indelible/internal/store"
)

func parse(t testing.TB, prefix string) Objects {
	t.Helper()
	o, err := Parse(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestKeys(t *testing.T) {
	long := strings.Repeat("k", 2000) + ".json"
	for _, c := range []struct{ prefix, bucket, key, want string }{
		{"", "b", "2026-11-22/time-01-02-03-000004_id.json", "2026-11-22/time-01-02-03-000004_id.json"},
		{"/audit/", "b", "k", "audit/k"},
		{"audit/{bucket}", "b", "k", "audit/b/k"},
		{"audit/{bucket}", "", "k", "audit/_/k"},
		{"", "b", "_indelible/log/checkpoint", "_sent/_indelible/log/checkpoint"},
		{"a/{bucket}", "packs", "k", "a/_sent/packs/k"},
		{"a", "b", "packs/x%.parquet", "a/_sent/packs/x%25.parquet"},
		{"", "b", "_sent/x", "_sent/_sent/x"},
		{"", "b", "a/../b", "_sent/a/%2E%2E/b"},
		{"", "b", "a\x00b\xff", "_sent/a%00b%FF"},
		{"", "b", "My Team/R&D + Ops/x=y#1?.json", "My Team/R&D + Ops/x=y#1?.json"},
		{"", "b", "/lead", "/lead"},
		{"", "b", long, long[:1024-1-64-5] + "_" + hexSum(long) + ".json"},
	} {
		if got := parse(t, c.prefix).Key(c.bucket, c.key); got != c.want {
			t.Errorf("prefix %q: Key(%q, %q) = %q, want %q", c.prefix, c.bucket, c.key, got, c.want)
		}
	}
}

func hexSum(s string) string { return record.Digest(sha256.Sum256([]byte(s))).String() }

func TestParseRefuses(t *testing.T) {
	for _, prefix := range []string{"{team}", "a/{bucket", "a/../b", "a}", strings.Repeat("x", 600), "a\nb"} {
		if _, err := Parse(prefix); err == nil {
			t.Errorf("Parse(%q) took it", prefix)
		}
	}
}

func TestBase(t *testing.T) {
	for prefix, want := range map[string]string{"": "", "a": "a/", "a/{bucket}": "a/", "{bucket}": "", "a/b-{bucket}/c": "a/"} {
		if got := parse(t, prefix).Base(); got != want {
			t.Errorf("Base of %q = %q, want %q", prefix, got, want)
		}
	}
}

func TestVariants(t *testing.T) {
	o := parse(t, "")
	full := strings.Repeat("d/", 508) + "name.json"
	for stored, want := range map[string]string{"a/b.json": "a/b~17.json", "a/b": "a/b~17", "a.d/.hidden": "a.d/.hidden~17", "a/b.verylongextension": "a/b.verylongextension~17"} {
		if got := o.Variant(stored, 17); got != want {
			t.Errorf("Variant(%q) = %q, want %q", stored, got, want)
		}
	}
	for _, stored := range []string{"a/b.json", full[:1024], "x"} {
		name := o.Variant(stored, 1<<63)
		if len(name) > store.MaxKey || !strings.HasPrefix(name, o.VariantPrefix(stored)) {
			t.Errorf("variant of %d bytes: %d bytes, %q", len(stored), len(name), name)
		}
		if seq, ok := o.IsVariant(stored, name); !ok || seq != 1<<63 {
			t.Errorf("IsVariant(%q, %q) = %d, %v", stored, name, seq, ok)
		}
	}
	for _, name := range []string{"a/b~.json", "a/b~0.json", "a/b~017.json", "a/b~x.json", "a/b.json", "a/b~17.jsonl"} {
		if _, ok := o.IsVariant("a/b.json", name); ok {
			t.Errorf("%q passed as a variant", name)
		}
	}
	if stored, seq, ok := o.VariantOf("a/b~17.json"); !ok || stored != "a/b.json" || seq != 17 {
		t.Errorf("VariantOf: %q, %d, %v", stored, seq, ok)
	}
}

// Different keys of a bucket never share a stored key, a stored key is one
// that every store takes, and the name leads back.
func FuzzKey(f *testing.F) {
	for _, key := range []string{"a", "_sent/a", "packs/%", "a/./b", "\xff", "_sent/%2E", strings.Repeat("é", 700)} {
		f.Add(key, "other/"+key)
	}
	o := parse(f, "base/{bucket}")
	f.Fuzz(func(t *testing.T, a, b string) {
		ka, kb := o.Key("bucket", a), o.Key("bucket", b)
		if (ka == kb) != (a == b) {
			t.Errorf("%q and %q are stored under %q and %q", a, b, ka, kb)
		}
		if len(ka) > store.MaxKey || !utf8.ValidString(ka) || strings.Contains(ka, "/../") {
			t.Errorf("%q is stored under %q", a, ka)
		}
		if sent, ok := o.Sent("bucket", ka); len(ka) < store.MaxKey-64 && (!ok || sent != a) {
			t.Errorf("%q is stored under %q, which leads back to %q, %v", a, ka, sent, ok)
		}
	})
}

func example() record.Info {
	return record.Info{
		Seq: 7, Time: time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC), Door: "s3", Source: "AKID", Bucket: "audit", Key: "a/b.json",
		Size: 3, Digest: record.Digest{1, 2, 3},
		Attrs: record.Attrs{
			{Name: record.AttrChecksum, Value: "crc32 AAAAAA=="}, {Name: record.AttrMD5, Value: "00ff"},
			{Name: "content-disposition", Value: "inline; filename=\"é.json\""}, {Name: "content-type", Value: "application/json"},
			{Name: "x-amz-meta-odd", Value: " =?indelible? tränen\n"}, {Name: "x-amz-meta-plain", Value: "v"},
		},
	}
}

func TestObjectAndBack(t *testing.T) {
	o := parse(t, "p")
	for _, stored := range []string{"p/a/b.json", "p/a/b~7.json"} {
		info := example()
		obj := o.Object(info, stored, "log-1")
		for name, value := range obj.Meta {
			if unfit(value) {
				t.Errorf("metadata %s cannot be sent: %q", name, value)
			}
		}
		got, ok := o.Info(store.Info{Key: stored, Size: info.Size, Header: obj.Header, Meta: obj.Meta})
		if !ok || !reflect.DeepEqual(got, info) {
			t.Errorf("stored as %s: got %v\n%+v\nwant\n%+v", stored, ok, got, info)
		}
	}
}

func TestForeignObject(t *testing.T) {
	got, ok := parse(t, "").Info(store.Info{Key: "k", Size: 1, Meta: map[string]string{"a": "b"}})
	if ok || got.Key != "k" || got.Attrs.Get("x-amz-meta-a") != "b" {
		t.Errorf("%v %+v", ok, got)
	}
}

func TestMetadataFitsAndCannotBeForged(t *testing.T) {
	info := example()
	info.Attrs = record.Attrs{{Name: "x-amz-meta-big", Value: strings.Repeat("x", 1900)}, {Name: "x-amz-meta-indelible-seq", Value: "1"}}
	meta := parse(t, "").Object(info, "a/b.json", "log-1").Meta
	total := 0
	for name, value := range meta {
		total += len(name) + len(value)
	}
	if total > MaxMeta || meta[MetaSeq] != "7" || meta[MetaBucket] != "audit" {
		t.Errorf("%d bytes: %v", total, slices.Sorted(maps.Keys(meta)))
	}
}

func TestDefaultKeys(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4567, time.UTC)
	if got := DefaultKey(at, "resp/a:b"); got != "2026-11-22/time-01-02-03-000004_resp_a_b.json" {
		t.Error(got)
	}
	if got := DoorKey("http", at, "x"); got != "http/2026-11-22/01/time-01-02-03-000004_x.json" {
		t.Error(got)
	}
	long := DefaultKey(at, strings.Repeat("é", 300))
	if name := long[len("2026-11-22/"):]; len(name) > 255 || !utf8.ValidString(name) || DefaultKey(at, strings.Repeat("é", 301)) == long {
		t.Errorf("%d bytes: %s", len(name), name)
	}
}
