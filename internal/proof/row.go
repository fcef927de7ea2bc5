package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
)

// RowTree is the tree over the rows of one pack, in the order of their seq. The zero
// value is an empty one. Its memory grows with the logarithm of the rows.
type RowTree struct {
	tree compactRange
	room []byte
}

// Add takes the next row.
func (t *RowTree) Add(info *record.Info) {
	leaf := rowLeaf(info)
	t.room = leaf.append(append(t.room[:0], 0)) // what leafHash hashes
	t.tree.add(sha256.Sum256(t.room))
}

// Root is the root over the rows so far, as a pack's leaf states it.
func (t *RowTree) Root() record.Digest {
	if t.tree.size == 0 {
		return sha256.Sum256(nil)
	}
	return record.Digest(t.tree.root())
}

// rowLeaf is the leaf of a row in its pack's tree.
func rowLeaf(info *record.Info) Leaf {
	leaf := Leaf{
		Kind: Row, Seq: info.Seq, Time: info.Time, Door: cut(info.Door, maxName), Source: cut(info.Source, maxName), Bucket: cut(info.Bucket, maxName),
		Size: info.Size, Digest: info.Digest, Attrs: RowAttrs(info.Attrs),
	}
	if len(info.Key) > maxQuoted {
		sum := sha256.Sum256([]byte(info.Key))
		leaf.SentKeySum = hex.EncodeToString(sum[:])
	} else {
		leaf.SentKey = info.Key
	}
	return leaf
}

// RowAttrs is the digest of what the sender said of a record: the headers that
// are kept, and the user metadata. It is the attrs_sha256 of the record's row.
func RowAttrs(attrs record.Attrs) record.Digest {
	if !slices.ContainsFunc(attrs, func(a record.Attr) bool { return strings.HasPrefix(a.Name, "x-amz-meta-") || layout.KeptHeader(a.Name) }) {
		return store.NoAttrs()
	}
	header, meta := map[string]string{}, map[string]string{}
	for _, a := range attrs {
		name, isMeta := strings.CutPrefix(a.Name, "x-amz-meta-")
		switch {
		case isMeta && !strings.HasPrefix(name, layout.MetaOwn):
			join(meta, name, a.Value)
		case !isMeta && layout.KeptHeader(a.Name):
			join(header, a.Name, a.Value)
		}
	}
	return store.AttrsDigest(header, meta)
}

// join adds a value; several of one name are one list, as HTTP has it.
func join(m map[string]string, name, value string) {
	if old, ok := m[name]; ok {
		value = old + "," + value
	}
	m[name] = value
}

// provePath is the inclusion path of row n among these hashes.
func provePath(n int64, hashes []tlog.Hash) (tlog.RecordProof, error) {
	stored := make([]tlog.Hash, 0, 2*len(hashes))
	at := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = stored[x]
		}
		return out, nil
	})
	for i, h := range hashes {
		more, err := tlog.StoredHashesForRecordHash(int64(i), h, at)
		if err != nil {
			return nil, err
		}
		stored = append(stored, more...)
	}
	return tlog.ProveRecord(int64(len(hashes)), n, at)
}
