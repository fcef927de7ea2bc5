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
	return at.Format("2006-01-02/") + fileName(at, id)
}

// DoorKey is the key of a record that came without one through a door:
// "<door>/2006-01-02/15/time-15-04-05-000000_<id>.json".
func DoorKey(door string, at time.Time, id string) string {
	return door + at.Format("/2006-01-02/15/") + fileName(at, id)
}

func fileName(at time.Time, id string) string {
	full := "time-" + strings.ReplaceAll(at.Format("15-04-05.000000"), ".", "-") + "_" + id
	clean := strings.Map(func(r rune) rune {
		if r == '/' || r == ':' || r < 0x20 || r == 0x7f {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(full, "_"))
	const ext = ".json"
	if len(clean)+len(ext) <= maxFileName {
		return clean + ext
	}
	sum := sha256.Sum256([]byte(full))
	return cutRune(clean[:headBytes]) + "_" + hex.EncodeToString(sum[:]) + ext
}
