package proof

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
)

// proveRow proves that a record is among the rows of the pack that a leaf names.
func proveRow(ctx context.Context, r reader, packs Packs, l *Leaf, seq record.Seq) (*RowProof, error) {
	if packs == nil {
		return nil, fmt.Errorf("it is a row of the pack %s, which cannot be read here", l.Key)
	}
	file, done, err := r.openPack(ctx, l)
	if err != nil {
		return nil, err
	}
	defer done()
	var hashes []tlog.Hash
	p := &RowProof{}
	for row, err := range packs.Rows(ctx, file, l.Size, false) {
		if err != nil {
			return nil, fmt.Errorf("read the pack %s: %w", l.Key, err)
		}
		leaf := rowLeaf(&row.Info)
		raw := leaf.Encode()
		if row.Seq == seq {
			p.Raw = raw
		}
		hashes = append(hashes, leafHash(raw))
	}
	n := int64(seq - l.First)
	if int64(len(hashes)) != l.Count || p.Raw == nil || hashes[n] != leafHash(p.Raw) {
		return nil, fmt.Errorf("the rows of the pack %s are not %s: run verify", l.Key, SeqRange{l.First, l.Last})
	}
	if p.Path, err = provePath(n, hashes); err != nil {
		return nil, err
	}
	if _, err := p.check(l); err != nil {
		return nil, fmt.Errorf("the pack %s: %w: run verify", l.Key, err)
	}
	return p, nil
}

// check is the row's leaf, if the pack of that leaf has it.
func (p *RowProof) check(l *Leaf) (Leaf, error) {
	if l.Kind != Pack {
		return Leaf{}, fmt.Errorf("a row of a leaf of kind %s, which has none", l.Kind)
	}
	row, err := ParseLeaf(p.Raw)
	if err != nil {
		return Leaf{}, err
	}
	root, err := hex.DecodeString(l.Root)
	switch {
	case err != nil || len(root) != tlog.HashSize:
		return Leaf{}, errors.New("the pack's leaf has no root")
	case row.Kind != Row || row.Seq < l.First || row.Seq > l.Last:
		return Leaf{}, fmt.Errorf("the row is no row of %s", SeqRange{l.First, l.Last})
	case tlog.CheckRecord(p.Path, l.Count, tlog.Hash(root), int64(row.Seq-l.First), tlog.RecordHash(p.Raw)) != nil:
		return Leaf{}, errors.New("the row is not in the pack that was logged")
	}
	return row, nil
}

// leaf is what the proof is about: the leaf, or the row of its pack.
func (p *OfflineProof) leaf() (Leaf, error) {
	leaf, err := ParseLeaf(p.Raw)
	if err != nil || p.Row == nil {
		return leaf, err
	}
	return p.Row.check(&leaf)
}

// extra is the leaf and, behind it on lines of their own, the leaf of the row and its path.
func (p *OfflineProof) extra() []byte {
	if p.Row == nil {
		return p.Raw
	}
	var b bytes.Buffer
	b.Write(p.Raw)
	b.WriteByte('\n')
	b.Write(p.Row.Raw)
	b.WriteByte('\n')
	for _, h := range p.Row.Path {
		b.WriteString(h.String() + "\n")
	}
	return b.Bytes()
}

// setExtra reads what extra wrote.
func (p *OfflineProof) setExtra(extra []byte) error {
	var rest []byte
	var isRow bool
	if p.Raw, rest, isRow = bytes.Cut(extra, []byte{'\n'}); len(p.Raw) > MaxLeaf {
		return errors.New("the line with extra holds no leaf")
	}
	if !isRow {
		return nil
	}
	lines := strings.Split(string(rest), "\n")
	last := len(lines) - 1
	if last == 0 || lines[last] != "" || len(lines[0]) > MaxLeaf || len(lines) > 2+64 {
		return errors.New("the line with extra holds no row of a pack")
	}
	p.Row = &RowProof{Raw: []byte(lines[0]), Path: tlog.RecordProof{}}
	for _, line := range lines[1:last] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize {
			return fmt.Errorf("invalid hash %q of a row", line)
		}
		p.Row.Path = append(p.Row.Path, tlog.Hash(h))
	}
	return nil
}
