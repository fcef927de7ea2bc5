package query

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// fileName is a key's last segment as LiteLLM makes it: the time of the call, and the id.
var fileName = regexp.MustCompile(`^(time-\d\d-\d\d-\d\d-\d+_)(.*?)(~\d+)?\.json$`)

// CarriesID returns a test of whether a key carries an id as LiteLLM's keys do:
// "…_<id>.json", or, where that name would be too long, its first 64 bytes, "_"
// and the SHA-256 of the whole. Variants of such keys ("…~7.json") count.
func CarriesID(id string) func(key string) bool {
	id = strings.NewReplacer("/", "_", ":", "_").Replace(id)
	return func(key string) bool {
		m := fileName.FindStringSubmatch(key[strings.LastIndexByte(key, '/')+1:])
		if m == nil {
			return strings.HasSuffix(key, "_"+id+".json")
		}
		if m[2] == id || m[2]+m[3] == id {
			return true
		}
		const kept = 64 // bytes that LiteLLM keeps of a long name
		name := m[1] + id
		if len(name) <= kept {
			return false
		}
		sum := sha256.Sum256([]byte(name))
		return m[1]+m[2] == name[:kept]+"_"+hex.EncodeToString(sum[:])
	}
}
