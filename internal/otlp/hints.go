package otlp

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// hinted says whether one of the names that inText looks for stands in s, in any case, and is not followed by what makes it a part of a
// longer name (as in user_api_key_alias), or what inForm looks for. Nothing else can hold a match of either, which take fifty times as long.
//
// It goes through s, which holds no credential where it is shorter than nine bytes, in words of eight bytes: in each of the names there is a k, a z or "cr", or it begins with ? or &.
func hinted(s string) bool {
	b := bytesOf(s)
	for i := 0; i+9 <= len(b); i += 8 {
		w, next := binary.LittleEndian.Uint64(b[i:])|lowers, binary.LittleEndian.Uint64(b[i+1:])|lowers
		found := zeros(w^ones*'k') | zeros(w^ones*'z') | zeros(w^ones*'?') | zeros(w^ones*'&') | zeros(w^ones*'c'|next^ones*'r')
		for ; found != 0; found &= found - 1 {
			if hintAt(s, i+bits.TrailingZeros64(found)/8) {
				return true
			}
		}
		if rest := len(b) - i - 8; rest > 1 && rest < 9 {
			i = len(b) - 9 - 8 // the last word begins within this one; no name is found by its last byte
		}
	}
	return false
}

const (
	ones   = 0x0101010101010101
	lowers = ones * 0x20 // makes letters lower case
)

// zeros has the highest bit of each byte of w set that is 0, and perhaps of one that stands above such a byte.
func zeros(w uint64) uint64 { return (w - ones) &^ w & (ones * 0x80) }

// hintAt says whether the byte at i is the one by which hinted finds a name.
func hintAt(s string, i int) bool {
	if !around(s, i) {
		return false
	}
	to := 0 // where the name ends
	switch before, rest := s[:i], s[i:]; s[i] | 0x20 {
	case 'k':
		switch {
		case begins(rest, "key") && (ends(before, "api") || ends(before, "api_") || ends(before, "api-") || ends(before, "?") || ends(before, "&")):
			to = i + len("key")
		case begins(rest, "ken") && (ends(before, "accessto") || ends(before, "access_to") || ends(before, "access-to") || ends(before, "?to") || ends(before, "&to")):
			to = i + len("ken")
		case begins(rest, "kie") && ends(before, "coo"):
			to = i + len("kie")
		default:
			return formAt(s, i)
		}
	case 'z':
		if begins(rest, "zation") && ends(before, "authori") {
			to = i + len("zation")
		} else {
			return formAt(s, i)
		}
	case 'c':
		if begins(rest, "cret") && (ends(before, "clientse") || ends(before, "client_se") || ends(before, "client-se")) {
			to = i + len("cret")
		}
	case '?', '&':
		for _, name := range [...]string{"signature", "sig", "x-amz-signature", "x-amz-security-token", "x-goog-signature"} {
			if begins(rest[1:], name) {
				to = i + 1 + len(name)
				break
			}
		}
	}
	if to == 0 || to == len(s) {
		return to > 0
	}
	c := s[to]
	return !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.')
}

// around says whether the bytes before and behind that one may be those of a name: of a text that is made to look like names, most are not.
func around(s string, i int) bool {
	if i+1 >= len(s) {
		return false
	}
	before := byte(0)
	if i > 0 {
		before = s[i-1] | 0x20
	}
	next := s[i+1] | 0x20
	switch s[i] | 0x20 {
	case 'k':
		if next == '-' || s[i+1] == '_' {
			return before == 's' || before == 'e'
		}
		return (next == 'e' || next == 'i') && (before == 'i' || before == 'o' || before == '_'|0x20 || before == '-' || before == '?' || before == '&')
	case 'z':
		return next == 'a' && before == 'i'
	case 'c':
		return next == 'r' && before == 'e'
	}
	return next == 's' || next == 'x'
}

// formAt says whether the k or z at i is that of what inForm looks for.
func formAt(s string, i int) bool {
	for _, begin := range forms {
		at := i - strings.LastIndexByte(begin, s[i])
		if at >= 0 && strings.HasPrefix(s[at:], begin) && (at == 0 || !isWord(s[at-1])) {
			n := at + len(begin)
			for n < len(s) && n < at+len(begin)+longForm && (isWord(s[n]) || s[n] == '-' || s[n] == '_') {
				n++
			}
			return n == at+len(begin)+longForm
		}
	}
	return false
}

// forms begin keys of providers, and longForm is how many characters follow at least.
var forms = []string{"sk-", "gsk_", "ek_", "AIza"}

const longForm = 20

func isWord(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }

// named says whether one of the names stands in a key.
func named(key string) bool {
	for i := range len(key) {
		if hintAt(key, i) {
			return true
		}
	}
	return false
}

// begins and ends compare without regard to case. The second text is lower case.
func begins(s, with string) bool {
	return len(s) >= len(with) && strings.EqualFold(s[:len(with)], with)
}

func ends(s, with string) bool {
	return len(s) >= len(with) && strings.EqualFold(s[len(s)-len(with):], with)
}
