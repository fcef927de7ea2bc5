package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Bounds of a file name, as LiteLLM has them.
const (
	maxFileName = 255 // bytes, ".json" included
	headBytes   = 64  // what is kept of a longer one, before "_" and its SHA-256
)

// DefaultKey is the key that LiteLLM gives a record: its day, the time and the
// id, "2006-01-02/time-15-04-05-000000_<id>.json". Slashes and colons in the id
// become "_"; a file name over 255 bytes is cut and carries its SHA-256.
func DefaultKey(at time.Time, id string) string {
	var space [keySpace]byte
	return string(appendFileName(at.AppendFormat(space[:0], "2006-01-02/"), at, id))
}

// DoorKey is the key of a record that came without one through a door:
// "<door>/2006-01-02/15/time-15-04-05-000000_<id>.json".
func DoorKey(door string, at time.Time, id string) string {
	var space [keySpace]byte
	hour, _, _ := at.Clock()
	b := appendDate(append(append(space[:0], door...), '/'), at)
	b = append(appendDigits(append(b, '/'), hour, 2), '/')
	return string(appendFileName(b, at, id))
}

// keySpace is room for most keys.
const keySpace = 160

func appendFileName(dst []byte, at time.Time, id string) []byte {
	begun := len(dst)
	hour, minute, second := at.Clock() // time.Format takes three times as long
	dst = append(appendDigits(append(dst, "time-"...), hour, 2), '-')
	dst = append(appendDigits(dst, minute, 2), '-')
	dst = append(appendDigits(dst, second, 2), '-')
	dst = append(appendDigits(dst, at.Nanosecond()/1000, 6), '_')
	if len(dst)-begun+len(id)+len(ext) > maxFileName || !clean(id) {
		return append(dst[:begun], fileName(string(dst[begun:])+id)...)
	}
	return append(append(dst, id...), ext...)
}

const ext = ".json"

// appendDate appends a day as 2006-01-02.
func appendDate(dst []byte, at time.Time) []byte {
	year, month, day := at.Date()
	if year < 0 || year > 9999 {
		return at.AppendFormat(dst, time.DateOnly)
	}
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, int(month), 2), '-')
	return appendDigits(dst, day, 2)
}

// appendDigits appends a number with so many digits.
func appendDigits(dst []byte, n, digits int) []byte {
	at := len(dst)
	dst = append(dst, "000000"[:digits]...)
	for i := at + digits - 1; i >= at; i-- {
		dst[i], n = byte('0'+n%10), n/10
	}
	return dst
}

// clean reports whether an id is in a file name what it is.
func clean(id string) bool {
	for i := range len(id) {
		if c := id[i]; c < 0x20 || c >= 0x7f || c == '/' || c == ':' {
			return false
		}
	}
	return true
}

// fileName is what becomes of a name with an id that is not clean, or too long.
func fileName(full string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '/' || r == ':' || r < 0x20 || r == 0x7f {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(full, "_"))
	if len(clean)+len(ext) <= maxFileName {
		return clean + ext
	}
	sum := sha256.Sum256([]byte(full))
	return cutRune(clean[:headBytes]) + "_" + hex.EncodeToString(sum[:]) + ext
}
