package record

import (
	"strings"
	"testing"
)

// FuzzParseReceipt: what is read as a receipt is written as it was read.
func FuzzParseReceipt(f *testing.F) {
	f.Add("log/1/" + strings.Repeat("ab", 32))
	f.Add("log/18446744073709551615/" + strings.Repeat("AB", 32))
	f.Add("a/b/1/x")
	f.Add("//")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReceipt(s)
		if err != nil {
			return
		}
		again, err := ParseReceipt(r.String())
		if err != nil || again != r {
			t.Errorf("%q is read as %v, and that as %v, %v", s, r, again, err)
		}
	})
}
