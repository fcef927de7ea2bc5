package ingest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Without credentials, only names that no stranger can point at this machine are answered.
func TestGuardHost(t *testing.T) {
	g := &Guard{Open: true, Hosts: []string{"S3.Example.com.", "10.1.2.3"}}
	local := context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 9000})
	for host, ok := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:9000": true, "127.8.9.1:1": true, "[::1]:9000": true, "[::1]": true, "::1": true,
		"localhost": true, "LocalHost:9000": true, "localhost.": true, "audit.localhost:9000": true,
		"s3.example.com": true, "audit.s3.example.com:9000": true, "10.1.2.3:9000": true, "192.0.2.7:9000": true,
		"evil.example": false, "evil.example:9000": false, "localhost.evil.example": false, "notlocalhost": false,
		"xs3.example.com": false, "example.com": false, "10.1.2.4": false, "192.0.2.8:9000": false,
		"127.0.0.1.evil.example": false, "[::ffff:10.0.0.1]:9000": false, "0.0.0.0:9000": false, ":9000": false,
	} {
		r := httptest.NewRequest("GET", "/", nil).WithContext(local)
		r.Host = host
		if e := g.Check(r); (e == nil) != ok {
			t.Errorf("host %q: %v", host, e)
		}
		if e := new(Guard).Check(r); e != nil {
			t.Errorf("host %q, with credentials: %v", host, e)
		}
	}
}

// A page of another origin makes no record, with or without credentials.
func TestGuardOrigin(t *testing.T) {
	for _, tt := range []struct {
		method, header, value string
		ok                    bool
	}{
		{"POST", "", "", true},
		{"POST", "Sec-Fetch-Site", "cross-site", false},
		{"PUT", "Sec-Fetch-Site", "same-site", false},
		{"PUT", "Sec-Fetch-Site", "same-origin", true},
		{"POST", "Origin", "https://evil.example", false},
		{"POST", "Origin", "null", false},
		{"POST", "Origin", "http://localhost:4318", true},
		{"GET", "Sec-Fetch-Site", "cross-site", true}, // a page cannot read the answer
	} {
		for _, g := range []*Guard{{}, {Open: true}} {
			r := httptest.NewRequest(tt.method, "/v1/records", nil)
			r.Host = "localhost:4318"
			if tt.header != "" {
				r.Header.Set(tt.header, tt.value)
			}
			if e := g.Check(r); (e == nil) != tt.ok {
				t.Errorf("%s %s: %s (open %v): %v", tt.method, tt.header, tt.value, g.Open, e)
			}
		}
	}
}

// The guard serves handlers that are no door, too.
func TestGuardHandler(t *testing.T) {
	h := (&Guard{Open: true}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{"localhost": http.StatusNoContent, "evil.example": http.StatusForbidden} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Host = host
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
}
