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
	return string(appendFileName(at.AppendFormat(append(space[:0], door...), "/2006-01-02/15/"), at, id))
}

// keySpace is room for most keys.
const keySpace = 160

func appendFileName(dst []byte, at time.Time, id string) []byte {
	begun := len(dst)
	dst = at.AppendFormat(append(dst, "time-"...), "15-04-05.000000")
	dst[len(dst)-len(".000000")] = '-'
	dst = append(dst, '_')
	if len(dst)-begun+len(id)+len(ext) > maxFileName || !clean(id) {
		return append(dst[:begun], fileName(string(dst[begun:])+id)...)
	}
	return append(append(dst, id...), ext...)
}

const ext = ".json"

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
