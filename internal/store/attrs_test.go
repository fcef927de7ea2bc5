package store

import (
	"crypto/sha256"
	"testing"
)

func TestAttrsDigest(t *testing.T) {
	form := func(header, meta map[string]string) string { return string(appendAttrs(nil, header, meta)) }
	for _, c := range []struct {
		name         string
		header, meta map[string]string
		want         string
	}{
		{"none", nil, nil, ""},
		{"one header", map[string]string{"content-type": "application/json"}, nil, "12:content-type16:application/json"},
		{"order and case", map[string]string{"expires": "0", "Cache-Control": "no-cache"}, map[string]string{"User": "é", "a": "b"},
			"13:cache-control8:no-cache7:expires1:0" + "12:x-amz-meta-a1:b" + "15:x-amz-meta-user2:é"},
		{"what stores add", map[string]string{"content-type": "binary/octet-stream", "content-encoding": ""}, map[string]string{"a": ""}, ""},
		{"what other stores add", map[string]string{"content-type": "application/octet-stream"}, nil, ""},
	} {
		if got := form(c.header, c.meta); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if got := AttrsDigest(c.header, c.meta); got != sha256.Sum256([]byte(c.want)) {
			t.Errorf("%s: another digest than that of its form", c.name)
		}
	}
	// Lengths keep what is one attribute apart from what is two.
	if form(map[string]string{"expires": "1"}, map[string]string{"a": "b"}) == form(map[string]string{"expires": "112:x-amz-meta-a1:b"}, nil) {
		t.Error("two sets of attributes have one form")
	}
}
