package s3

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A secret that was corrected under the same access key's id signs from then on.
func TestCorrectedSecretSigns(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	sign := func(s *Signer, id, secret string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://store/bucket/a%2Bkey", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", at); err != nil {
			t.Fatal(err)
		}
		return r.Header.Get("Authorization")
	}
	s := NewSigner()
	wrong := sign(s, "ID", "mistyped")
	right := sign(s, "ID", "right")
	if right == wrong || right != sign(NewSigner(), "ID", "right") {
		t.Error("the old secret signs still")
	}
	if sign(s, "OTHER", "right") != sign(NewSigner(), "OTHER", "right") {
		t.Error("another id with the same secret")
	}
}
