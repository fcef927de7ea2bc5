package index

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"path"
	"slices"
	"strings"

	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/query/filter"
)

// inKey is how LiteLLM spells an id in a key.
var inKey = strings.NewReplacer("/", "_", ":", "_")

const (
	// boundedPrefix is how much of a long file name LiteLLM keeps; "_" and the SHA-256 of the whole follow.
	boundedPrefix = 64
	// timePart is the length of "time-HH-MM-SS-ffffff_", which stands before the id.
	timePart = len("time-00-00-00-000000_")
	// boundedMark stands before the beginning of an id of which a key holds no more.
	boundedMark = "\x00"
)

// hash is what a name is looked up by.
func hash(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// hashesOf are the hashes of a row's names.
func hashesOf(row *filter.Row) []int64 {
	var list [12]int64
	out := list[:0]
	put := func(name string) {
		if name != "" {
			if h := hash(name); !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	if row.Line <= 1 {
		put(row.Key)
		for _, id := range idsInKey(row.Key) {
			put(id)
		}
	}
	f := &row.Fields
	for _, id := range []*string{f.ID, f.CallID, f.TraceID} {
		put(or(id))
	}
	return out
}

// idsInKey are the ids by which a key can be found: see proof.KeyIDs. Of an id that
// LiteLLM shortened it is its beginning, marked.
func idsInKey(key string) []string {
	ids := proof.KeyIDs(&proof.Leaf{Key: key})[1:]
	bare := strings.TrimSuffix(path.Base(key), path.Ext(key))
	if len(bare) > boundedPrefix && strings.HasPrefix(bare, "time-") {
		ids = append(ids, boundedMark+bare[timePart:boundedPrefix])
	}
	return ids
}

// Named yields the calls that carry a name, newest first: a key, or an id that the key or the body holds.
func (d *db) named(ctx context.Context, name string, yield func(filter.Row) bool) error {
	look := []string{name}
	if spelled := inKey.Replace(name); spelled != name {
		look = append(look, spelled)
	}
	if spelled := inKey.Replace(name); len(spelled) > boundedPrefix-timePart {
		look = append(look, boundedMark+spelled[:boundedPrefix-timePart])
	}
	args := make([]any, len(look))
	for i, l := range look {
		args[i] = hash(l)
	}
	carries := Carries(name)
	match := func(row filter.Row) bool {
		return !carries(&row) || yield(row) // another name can have the same hash
	}
	return d.rows(ctx, "WHERE r IN ("+rowsNamed(len(args))+") ORDER BY r DESC", args, match)
}

// rowsNamed selects the rows that have one of n hashes, which stand in its marks: it looks into each part.
func rowsNamed(n int) string {
	marks := strings.TrimSuffix(strings.Repeat("?, ", n), ", ")
	return "WITH RECURSIVE parts (part) AS (SELECT min(part) FROM names UNION ALL SELECT part + 1 FROM parts WHERE part < (SELECT max(part) FROM names)) " +
		"SELECT names.r FROM parts CROSS JOIN names ON names.part = parts.part WHERE names.h IN (" + marks + ")"
}

// Carries returns a test of whether a row carries a name: as its key, in it, or as an id.
func Carries(name string) func(*filter.Row) bool {
	asID := CarriesID(name)
	return func(row *filter.Row) bool {
		return name != "" && (name == row.Key || asID(row) || slices.Contains(idsInKey(row.Key), name))
	}
}

// CarriesID returns a test of whether a row carries an id: in its body, or in its key as LiteLLM's keys hold ids.
func CarriesID(id string) func(*filter.Row) bool {
	inKeys := query.CarriesID(id)
	return func(row *filter.Row) bool {
		f := &row.Fields
		return id != "" && (id == or(f.ID) || id == or(f.CallID) || id == or(f.TraceID) || inKeys(row.Key))
	}
}
