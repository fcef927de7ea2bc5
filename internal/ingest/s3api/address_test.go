package s3api

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"indelible/internal/ingest"
)

func TestAddress(t *testing.T) {
	where := addressing{domains: []string{"localhost", "example.com", "s3.example.com"}, bucket: "default"}
	tests := []struct{ target, host, bucket, key string }{
		{"/", "h", "", ""},
		{"/audit", "h", "audit", ""},
		{"/audit/", "h", "audit", ""},
		{"/audit/a/b", "h:9000", "audit", "a/b"},
		{"//audit/a", "h", "audit", "a"},
		{"/audit//a", "h", "audit", "/a"},
		{"/audit/a/../b/./c", "h", "audit", "a/../b/./c"},
		{"/audit/a%2Fb+c%20d%00%FF", "h", "audit", "a/b+c d\x00\xff"},
		{"/audit/a%3Fb?list-type=2", "h", "audit", "a?b"},
		{"/2026-11-22/time.json", "h", "default", "2026-11-22/time.json"},
		{"//2026-11-22/time.json", "h", "default", "2026-11-22/time.json"},
		{"/2026-11-22x/time.json", "h", "2026-11-22x", "time.json"},
		{"/a", "audit.localhost:9000", "audit", "a"},
		{"/a/b", "audit.localhost", "audit", "a/b"},
		{"/2026-11-22/t.json", "audit.localhost", "audit", "2026-11-22/t.json"},
		{"//a", "audit.localhost", "audit", "/a"},
		{"/audit/a", "localhost:9000", "audit", "a"},
		{"/a", "my.audit.S3.Example.com", "my.audit", "a"},
		{"/audit/a", "s3.example.com", "audit", "a"},
		{"/audit/a", "127.0.0.1:9000", "audit", "a"},
		{"/audit/a", "[::1]:9000", "audit", "a"},
		{"http://other.localhost/a", "audit.localhost", "other", "a"},
		{"/team?x/2026-11-22/t.json", "h", "team", ""},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", tt.target, nil)
		if !strings.HasPrefix(tt.target, "http") {
			r.Host = tt.host
		}
		a, ok := where.of(r)
		if !ok || a.bucket != tt.bucket || a.key != tt.key {
			t.Errorf("%s at %s: %q %q %v, want %q %q", tt.target, tt.host, a.bucket, a.key, ok, tt.bucket, tt.key)
		}
	}
}

func TestBasePath(t *testing.T) {
	where := addressing{basePath: "/s3", bucket: "default"}
	for target, want := range map[string][2]string{
		"/s3/audit/k":         {"audit", "k"},
		"/s3":                 {"", ""},
		"/s3/2026-11-22/k":    {"default", "2026-11-22/k"},
		"/s3x/k":              {"s3x", "k"},
		"/audit/s3/k":         {"audit", "s3/k"},
		"/s3//audit/k":        {"audit", "k"},
		"/s3/audit/a%2Fb%20c": {"audit", "a/b c"},
	} {
		if a, ok := where.of(httptest.NewRequest("GET", target, nil)); !ok || a.bucket != want[0] || a.key != want[1] {
			t.Errorf("%s: %q %q, want %q", target, a.bucket, a.key, want)
		}
	}
}

func TestValidBucket(t *testing.T) {
	for name, want := range map[string]bool{
		"abc": true, "a-b": true, "a.b": true, "0ab": true, strings.Repeat("a", 63): true,
		"ab": false, strings.Repeat("a", 64): false, "Abc": false, "a_b": false, "-ab": false, "ab-": false, "ab.": false,
		"a..b": false, "a.-b": false, "a-.b": false, "192.168.5.123": false, "": false,
	} {
		if validBucket(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestParseRange(t *testing.T) {
	tests := []struct {
		header   string
		size     int64
		ok       bool
		from, to int64 // to 0: cannot be satisfied
	}{
		{"bytes=0-0", 10, true, 0, 1},
		{"bytes=4-7", 10, true, 4, 8},
		{"bytes=4-", 10, true, 4, 10},
		{"bytes=4-100", 10, true, 4, 10},
		{"bytes=-3", 10, true, 7, 10},
		{"bytes=-100", 10, true, 0, 10},
		{"bytes=-0", 10, true, 0, 0},
		{"bytes=10-", 10, true, 0, 0},
		{"bytes=40-50", 10, true, 0, 0},
		{"bytes=0-", 0, true, 0, 0},
		{"bytes=-1", 0, true, 0, 0},
		{"bytes=99999999999999999999-", 10, true, 0, 0},
		{"bytes=0-99999999999999999999", 10, true, 0, 10},
		{"bytes=7-4", 10, false, 0, 0},
		{"bytes=0-1,3-4", 10, false, 0, 0},
		{"bytes=", 10, false, 0, 0},
		{"bytes=-", 10, false, 0, 0},
		{"bytes=a-b", 10, false, 0, 0},
		{"bytes=+1-2", 10, false, 0, 0},
		{"items=0-1", 10, false, 0, 0},
	}
	for _, tt := range tests {
		part, ok := parseRange(tt.header, tt.size)
		switch {
		case ok != tt.ok, ok && (part == nil) != (tt.to == 0):
			t.Errorf("%s of %d: %v %v", tt.header, tt.size, part, ok)
		case part != nil && (part.from != tt.from || part.to != tt.to):
			t.Errorf("%s of %d: %d-%d", tt.header, tt.size, part.from, part.to)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-1", int64(10))
	f.Add("bytes=-5", int64(3))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		size &= 1<<40 - 1
		part, ok := parseRange(header, size)
		if part != nil && (!ok || part.from < 0 || part.from >= part.to || part.to > size) {
			t.Errorf("%q of %d: %+v", header, size, part)
		}
	})
}

func FuzzAddress(f *testing.F) {
	f.Add("/audit/k%20?a=b", "audit.localhost:1")
	f.Add("//2026-11-22/k", "[::1]:9")
	where := addressing{basePath: "/s3", domains: []string{"localhost"}, bucket: "default"}
	f.Fuzz(func(t *testing.T, target, host string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI, r.Host = target, host
		if a, ok := where.of(r); ok && a.bucket == "" && a.key != "" && a.key[0] != '/' {
			t.Errorf("%q at %q: a key without a bucket: %q", target, host, a.key)
		}
	})
}

// A body of unknown length is ended when it grows over the limit.
func TestBoundedBody(t *testing.T) {
	for left, want := range map[int64]bool{4: false, 5: true, 6: true} {
		_, err := io.ReadAll(&bounded{src: strings.NewReader("hello"), left: left})
		if e, _ := errors.AsType[*ingest.Refusal](err); (err == nil) != want || err != nil && e.Code != "EntityTooLarge" {
			t.Errorf("5 bytes where %d are allowed: %v", left, err)
		}
	}
}
