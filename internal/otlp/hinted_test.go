package otlp

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestHinted says that nothing that inText finds is passed over, in texts that are made of pieces of what it looks for, and that a longer
// name is none.
func TestHinted(t *testing.T) {
	names := []string{"authorization", "Proxy-Authorization", "api_key", "api-key", "APIKEY", "aPi_KeY", "cookie", "Set-Cookie", "access_token", "access-token", "accessToken", "client_secret", "clientSecret", "client-secret",
		"?key", "&key", "?sig", "&SIG", "?signature", "&token", "?Token"}
	for _, name := range names {
		for n := range 24 { // at each place of a word of eight bytes, and in the last one
			before := "the quick" + " brown fox jumps over the"[:n] // shorter texts hold no credential
			if !hinted(before+name) || !hinted(before+name+": x") || !hinted(before+name+`\":"x`) {
				t.Errorf("%q behind %d bytes is not found", name, n)
			}
			if hinted(before + name + "_hash of something") {
				t.Errorf("%q behind %d bytes is found", name+"_hash", n)
			}
			if hinted(before+name[2:]) && name[:2] != "Se" && name[:2] != "Pr" {
				t.Errorf("%q behind %d bytes is found", name[2:], n)
			}
		}
	}
	var pieces []string
	for _, h := range names {
		pieces = append(pieces, h, strings.ToUpper(h), h[:len(h)/2], h[len(h)/2:], h[1:])
	}
	pieces = append(pieces, "cr", "k", "z", "?", "the quick ", "\n", "é", "=", ": ", `\":\"`, "'", "Bearer ", "0123456789abcdef0", "_hash")
	rnd := rand.New(rand.NewPCG(1, 2))
	matches := 0
	for range 300_000 {
		var b strings.Builder
		for range 1 + rnd.IntN(8) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		if text := b.String(); inText.MatchString(text) {
			if matches++; !hinted(text) {
				t.Fatalf("%q is passed over", text)
			}
		}
	}
	if matches < 1000 {
		t.Errorf("only %d texts matched", matches)
	}
}

// BenchmarkHinted looks through prose, and through texts that are made of what the names have in them.
func BenchmarkHinted(b *testing.B) {
	for _, piece := range []string{"lorem ipsum dolor sit amet, consectetur ", "z", "key", "cr", "?sig_"} {
		text := strings.Repeat(piece, 1<<20/len(piece))
		b.Run(piece, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				hinted(text)
			}
		})
	}
}
