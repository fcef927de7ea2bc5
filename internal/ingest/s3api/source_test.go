package s3api

import (
	"net/http"
	"testing"

	"indelible/internal/ingest"
	"indelible/internal/ingest/sigv4"
)

// A record names its sender by the credential's name, as far as a signature proves it.
func TestSource(t *testing.T) {
	d := &Door{senders: map[string]ingest.Sender{"a": {Name: "eu", Team: "search"}, "b": {}}}
	for _, c := range []struct {
		auth sigv4.Auth
		want string
	}{
		{sigv4.Auth{Signed: true, KeyID: "a"}, "search/eu"},
		{sigv4.Auth{Signed: true, KeyID: "b"}, "b"},
		{sigv4.Auth{Signed: true, KeyID: "c"}, "c"},
		{sigv4.Auth{KeyID: "a"}, "192.0.2.1"},
	} {
		q := &request{Request: &http.Request{RemoteAddr: "192.0.2.1:5"}, auth: &c.auth}
		if got := d.source(q); got != c.want {
			t.Errorf("%+v: %q, want %q", c.auth, got, c.want)
		}
	}
}
