package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"90s", 90 * time.Second, true},
		{"180d", 180 * day, true},
		{"1d12h", 36 * time.Hour, true},
		{"0", 0, true},
		{"0d", 0, true},
		{"1h30m", 90 * time.Minute, true},
		{"", 0, false},
		{"20", 0, false},
		{"-5s", 0, false},
		{"-1d", 0, false},
		{"d", 0, false},
		{"1d2d", 0, false},
		{"99999999999d", 0, false},
		{"1.5d", 0, false},
	}
	for _, tt := range tests {
		got, err := ParseDuration(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
		if again, err := ParseDuration(Duration(got).String()); tt.ok && (err != nil || again != got) {
			t.Errorf("%v is written as %q and read as %v, %v", got, Duration(got).String(), again, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	tests := []struct {
		in   string
		want int64
		ok   bool
	}{
		{"64MiB", 64 << 20, true},
		{"10GB", 10e9, true},
		{"10 gb", 10e9, true},
		{"1.5GiB", 3 << 29, true},
		{"4096", 4096, true},
		{"4096B", 4096, true},
		{"0", 0, true},
		{"", 0, false},
		{"MiB", 0, false},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"10X", 0, false},
		{"1e3MB", 0, false},
		{"99999999TiB", 0, false},
		{"NaNMB", 0, false},
	}
	for _, tt := range tests {
		got, err := ParseSize(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseSize(%q) = %v, %v; want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
		if again, err := ParseSize(Size(got).String()); tt.ok && (err != nil || again != got) {
			t.Errorf("%v is written as %q and read as %v, %v", got, Size(got).String(), again, err)
		}
	}
}

func TestParseLocation(t *testing.T) {
	tests := []struct {
		in   string
		want Location
	}{
		{"s3://audit", Location{Bucket: "audit"}},
		{"s3://audit/", Location{Bucket: "audit"}},
		{"s3://audit/llm/{bucket}/x", Location{Bucket: "audit", Prefix: "llm/{bucket}/x"}},
		{"file:///var/audit", Location{Dir: "/var/audit"}},
		{"file:///var/a%20b/", Location{Dir: "/var/a b"}},
		{"file:///var/audit/x-{bucket}/y", Location{Dir: "/var/audit", Prefix: "x-{bucket}/y"}},
		{"store", Location{Dir: "store"}},
		{"{bucket}", Location{Dir: ".", Prefix: "{bucket}"}},
		{"/a/b", Location{Dir: "/a/b"}},
	}
	for _, tt := range tests {
		got, err := ParseLocation(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseLocation(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "example.com:1": false, "localhost.evil.example:1": false,
	} {
		if got := IsLoopback(addr); got != want {
			t.Errorf("IsLoopback(%q) = %v", addr, got)
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"serve", "status", "doctor", "config", "get", "ls", "redrive", "version", "completion"}
	for word, want := range map[string]string{
		"srve": "serve", "sevre": "serve", "stats": "status", "docter": "doctor", "conf": "config", "gte": "get", "sl": "ls", "xyzzy": "", "l": "ls", "": "",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}
