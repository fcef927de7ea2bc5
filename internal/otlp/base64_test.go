package otlp

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"testing"
)

// TestAppendBase64 compares with the standard library, at each length up to a few words.
func TestAppendBase64(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 400 {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(rnd.Uint32())
		}
		for _, room := range []int{0, 1000} {
			dst := append(make([]byte, 0, room), "before"...)
			if got, want := appendBase64(dst, src), base64.StdEncoding.AppendEncode([]byte("before"), src); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %s, want %s", n, got, want)
			}
		}
	}
}
