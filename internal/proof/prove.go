package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// ErrUnproven is wrapped when a record is not (or not yet) covered by the checkpoint in the bucket.
var ErrUnproven = errors.New("the record is not covered by the checkpoint in the bucket")

// proofMagic is the first line of a C2SP tlog-proof.
const proofMagic = "c2sp.org/tlog-proof@v1\n"

// maxProof bounds what ParseProof reads: two of the longest leaves in base64, two paths and a checkpoint.
const maxProof = 256 << 10

// OfflineProof is the evidence that one leaf is in the log: it needs no network.
type OfflineProof struct {
	Raw        []byte // the leaf, as it stands in the log
	Row        *RowProof
	Index      uint64
	Path       tlog.RecordProof
	Checkpoint []byte
}

// RowProof is the evidence that a record is among the rows of the pack whose leaf is
// OfflineProof.Raw; nil where the leaf is the record's own.
type RowProof struct {
	Raw  []byte           // the row's leaf
	Path tlog.RecordProof // in the tree of the pack's rows, where its place is its seq less that of the first
}

// Find is the leaf that gives a record its place, that of its pack where it is a row, after it
// was compared with the tree.
func Find(ctx context.Context, st store.Store, base, vkey string, seq record.Seq) (Leaf, error) {
	key, err := parsePublic(vkey)
	if err != nil {
		return Leaf{}, fmt.Errorf("find record %d: invalid public key: %w", seq, err)
	}
	_, leaf, err := prove(ctx, newReader(patientStore{st}, base, key.Name()), key, seq)
	if err != nil {
		return Leaf{}, fmt.Errorf("find record %d: %w", seq, err)
	}
	return leaf, nil
}

// Prove makes the offline proof of a record. Where the record was parked
// and stored later, the leaf is the one that gave it its place: it holds the digest too. Where it is a row of
// a pack, the pack is read with packs.
func Prove(ctx context.Context, st store.Store, base, vkey string, packs Packs, seq record.Seq) (*OfflineProof, error) {
	key, err := parsePublic(vkey)
	if err != nil {
		return nil, fmt.Errorf("prove record %d: invalid public key: %w", seq, err)
	}
	r := newReader(patientStore{st}, base, key.Name())
	p, leaf, err := prove(ctx, r, key, seq)
	if err == nil && leaf.Kind == Pack {
		if p.Row, err = proveRow(ctx, r, packs, &leaf, seq); err != nil {
			err = whyGone(ctx, st, base, vkey, seq, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("prove record %d: %w", seq, err)
	}
	return p, nil
}

func prove(ctx context.Context, r reader, key publicKey, seq record.Seq) (*OfflineProof, Leaf, error) {
	checkpoint, _, err := r.get(ctx, "checkpoint")
	if err != nil {
		return nil, Leaf{}, err
	}
	cp, err := openCheckpoint(checkpoint, key.Name(), key)
	if err != nil {
		return nil, Leaf{}, err
	}
	f := finder{reader: r, size: cp.Size}
	at, ok, err := f.find(ctx, seq)
	if err != nil {
		return nil, Leaf{}, err
	}
	if !ok {
		return nil, Leaf{}, ErrUnproven
	}
	tiles := tileReader{ctx: ctx, reader: r, size: cp.Size}
	path, err := tlog.ProveRecord(int64(cp.Size), int64(at.index), tlog.TileHashReader(tlog.Tree{N: int64(cp.Size), Hash: cp.Root}, &tiles))
	if err != nil {
		return nil, Leaf{}, fmt.Errorf("the tree in the bucket is damaged (%w): run verify", err)
	}
	if err := tlog.CheckRecord(path, int64(cp.Size), cp.Root, int64(at.index), tlog.RecordHash(at.raw)); err != nil {
		return nil, Leaf{}, fmt.Errorf("leaf %d in the bucket is not the one in the tree: run verify", at.index)
	}
	return &OfflineProof{Raw: at.raw, Index: at.index, Path: path, Checkpoint: checkpoint}, at.leaf, nil
}

// tileReader hands tiles to x/mod for one call. It holds that call's context.
type tileReader struct {
	reader
	ctx  context.Context
	size uint64
}

// Height is tlog.TileReader's: 2^8 hashes in a tile.
func (t *tileReader) Height() int { return 8 }

// ReadTiles is tlog.TileReader's.
func (t *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, want := range tiles {
		hashes, err := t.tile(t.ctx, want.L, uint64(want.N), t.size)
		if err != nil {
			return nil, err
		}
		data[i] = encodeTile(hashes[:min(want.W, len(hashes))])
	}
	return data, nil
}

// SaveTiles is tlog.TileReader's; nothing is kept.
func (t *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// Encode is the proof as a file: a C2SP tlog-proof with the leaf, and what there is of the row, as its extra data.
func (p *OfflineProof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofMagic)
	b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.extra()) + "\n")
	b.WriteString("index " + strconv.FormatUint(p.Index, 10) + "\n")
	for _, h := range p.Path {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads what Encode wrote.
func ParseProof(file []byte) (*OfflineProof, error) {
	p, err := parseProof(string(file))
	if err != nil {
		return nil, fmt.Errorf("parse proof: %w", err)
	}
	return p, nil
}

func parseProof(s string) (*OfflineProof, error) {
	if len(s) > maxProof {
		return nil, fmt.Errorf("%d bytes are more than a proof has", len(s))
	}
	s, ok := strings.CutPrefix(s, proofMagic)
	if !ok {
		return nil, errors.New("the first line is not c2sp.org/tlog-proof@v1")
	}
	before, checkpoint, ok := strings.Cut(s, "\n\n")
	if !ok {
		return nil, errors.New("there is no checkpoint in it")
	}
	lines := strings.Split(before, "\n")
	if len(lines) < 2 {
		return nil, errors.New("want a line with extra and a line with index")
	}
	p := &OfflineProof{Checkpoint: []byte(checkpoint), Path: tlog.RecordProof{}}
	extra, ok := strings.CutPrefix(lines[0], "extra ")
	raw, err := base64.StdEncoding.Strict().DecodeString(extra)
	if !ok || err != nil {
		return nil, errors.New("the line with extra holds no leaf")
	}
	if err := p.setExtra(raw); err != nil {
		return nil, err
	}
	index, ok := strings.CutPrefix(lines[1], "index ")
	if p.Index, err = strconv.ParseUint(index, 10, 63); !ok || err != nil || strconv.FormatUint(p.Index, 10) != index {
		return nil, errors.New("the line with index holds no number")
	}
	for _, line := range lines[2:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize {
			return nil, fmt.Errorf("invalid hash %q", line)
		}
		p.Path = append(p.Path, tlog.Hash(h))
	}
	return p, nil
}

// ErrOther is wrapped when the leaf under a seq is about another record than the one that was meant.
var ErrOther = errors.New("the log has another record under this number")

// Of says whether the proof is about the record with this key, as its sender
// used it, and this SHA-256 in hex; "" is not compared. It fails with ErrOther where
// the number was given twice, as after a data directory was put back to an older state.
func (p *OfflineProof) Of(key, digest string) error {
	l, err := p.leaf()
	if err != nil {
		return err
	}
	if digest != "" && l.Digest != (record.Digest{}) && l.Digest.String() != digest {
		return fmt.Errorf("record %d has the key %q and SHA-256 %s in the log, not %s: %w", l.Seq, sentKey(&l), l.Digest, digest, ErrOther)
	}
	sum := sha256.Sum256([]byte(key))
	switch {
	case key == "" || l.Kind == Gap || l.Kind == Pack || l.Unread:
	case l.SentKeySum != "" && l.SentKeySum != hex.EncodeToString(sum[:]), l.SentKeySum == "" && !strings.HasSuffix(sentKey(&l), key):
		return fmt.Errorf("record %d has the key %q in the log, not %q: %w", l.Seq, sentKey(&l), key, ErrOther)
	}
	return nil
}

// Check verifies the proof with nothing but the log's public key, and returns
// the leaf, or the row of the leaf's pack, and the checkpoint that it stands below. body is the record's bytes, or
// nil when only the leaf is asked about.
func (p *OfflineProof) Check(vkey string, body io.Reader) (Leaf, Checkpoint, error) {
	leaf, cp, err := p.check(vkey, body)
	if err != nil {
		return Leaf{}, Checkpoint{}, fmt.Errorf("check proof: %w", err)
	}
	return leaf, cp, nil
}

func (p *OfflineProof) check(vkey string, body io.Reader) (Leaf, Checkpoint, error) {
	key, err := parsePublic(vkey)
	if err != nil {
		return Leaf{}, Checkpoint{}, fmt.Errorf("invalid public key: %w", err)
	}
	cp, err := openCheckpoint(p.Checkpoint, key.Name(), key)
	if err != nil {
		return Leaf{}, Checkpoint{}, err
	}
	if p.Index >= cp.Size {
		return Leaf{}, Checkpoint{}, fmt.Errorf("leaf %d is not among the %d of the checkpoint", p.Index, cp.Size)
	}
	if err := tlog.CheckRecord(p.Path, int64(cp.Size), cp.Root, int64(p.Index), tlog.RecordHash(p.Raw)); err != nil {
		return Leaf{}, Checkpoint{}, errors.New("the leaf is not in the signed tree")
	}
	leaf, err := p.leaf()
	if err != nil || body == nil {
		return leaf, cp, err
	}
	size, sum, err := digestOf(io.LimitReader(body, leaf.Size+1))
	if err != nil {
		return Leaf{}, Checkpoint{}, fmt.Errorf("read record: %w", err)
	}
	if leaf.Kind == Gap || !leaf.Kind.counts() && leaf.Kind != Stored && leaf.Kind != Row {
		return Leaf{}, Checkpoint{}, fmt.Errorf("the leaf is of kind %s and speaks of no bytes", leaf.Kind)
	}
	if size != leaf.Size || sum != leaf.Digest {
		return Leaf{}, Checkpoint{}, fmt.Errorf("the record is not the one that was logged: the log says %d bytes with SHA-256 %s", leaf.Size, leaf.Digest)
	}
	return leaf, cp, nil
}

func digestOf(r io.Reader) (int64, record.Digest, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return n, record.Digest(h.Sum(nil)), err
}
