package driver

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Name makes the key of a record from what its body follows from.
func Name(dir string, n uint64, size int) string {
	return fmt.Sprintf("%s/k-%d-%d.json", dir, n, size)
}

// Body is the body of a key that Name made: bytes that do not compress, in JSON
// where the key ends in .json and there is room for it. Another version has other bytes.
func Body(key string, version int) []byte {
	parts := strings.Split(strings.TrimSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json"), "-")
	if len(parts) != 3 {
		return nil
	}
	n, _ := strconv.ParseUint(parts[1], 10, 64)
	size, _ := strconv.Atoi(parts[2])
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], n)
	binary.LittleEndian.PutUint64(seed[8:], uint64(version))
	copy(seed[16:], key)
	raw := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(raw) // never fails
	return raw
}

// JSON is a record for the JSON door, whose id tells what it is to be.
func JSON(key string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"pad":%q}`, key, hex.EncodeToString(Body(key, 0)))
}

// idOf is the id of a body that JSON made, "" if it did not.
func idOf(body []byte) string {
	rest, ok := bytes.CutPrefix(body, []byte(`{"id":"`))
	if !ok {
		return ""
	}
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}

// Size draws the size of a record as LLM traffic has it: mostly some KiB, one in
// forty longer than what a segment holds inline.
func Size(rng *rand.Rand) int {
	if rng.IntN(40) == 0 {
		return 260<<10 + rng.IntN(200<<10)
	}
	return rng.IntN(8 << 10)
}

// variant is the key without the ~seq that a record gets whose key was taken.
func variant(key string) string {
	base, ext := strings.TrimSuffix(key, ".json"), ".json"
	if i := strings.LastIndexByte(base, '~'); i > 0 {
		return base[:i] + ext
	}
	return key
}

func digest(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }
