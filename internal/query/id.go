package query

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// fileName is a key's last segment as LiteLLM makes it: the time of the call, and the id.
var fileName = regexp.MustCompile(`^(time-\d\d-\d\d-\d\d-\d+_)(.*?)(~\d+)?\.json$`)

// spelledInKey is an id as LiteLLM spells it in a key.
func spelledInKey(id string) string { return strings.NewReplacer("/", "_", ":", "_").Replace(id) }

const (
	keptName      = 64                               // bytes that LiteLLM keeps of a long name
	shortenedName = keptName + 1 + 2*sha256.Size + 5 // of a name that it shortened
)

// CarriesID returns a test of whether a key carries an id as LiteLLM's keys do:
// "…_<id>.json", or, where that name would be too long, its first 64 bytes, "_"
// and the SHA-256 of the whole. Variants of such keys ("…~7.json") count.
func CarriesID(id string) func(key string) bool {
	id = spelledInKey(id)
	return func(key string) bool {
		m := fileName.FindStringSubmatch(key[strings.LastIndexByte(key, '/')+1:])
		if m == nil {
			return strings.HasSuffix(key, "_"+id+".json")
		}
		if m[2] == id || m[2]+m[3] == id {
			return true
		}
		name := m[1] + id
		if len(name) <= keptName {
			return false
		}
		sum := sha256.Sum256([]byte(name))
		return m[1]+m[2] == name[:keptName]+"_"+hex.EncodeToString(sum[:])
	}
}
