package awssign

import (
	"net/http"
	"testing"
)

// TestHostIsAsSigned: AWS's signature is over a host without the port that is the scheme's own, and the request must go out with that one.
func TestHostIsAsSigned(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s, err := New(t.Context(), Options{Region: "eu-central-1"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{"https://bedrock.example:443/x": "bedrock.example", "https://bedrock.example/x": "bedrock.example", "https://bedrock.example:8443/x": "bedrock.example:8443"} {
		req, err := http.NewRequest(http.MethodPost, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "" // as the proxy leaves it to the URL
		out, err := s.Sign(req, c)
		if err != nil {
			t.Fatal(err)
		}
		sent := out.Host
		if sent == "" {
			sent = out.URL.Host
		}
		if sent != want {
			t.Errorf("%s: sent to host %q", url, sent)
		}
	}
}
