package upload

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"indelible/internal/disk"
	"indelible/internal/layout"
	"indelible/internal/record"
)

// Extensions in the directory of packs, beside that of the packs themselves.
const (
	sealExt  = ".seal" // what a closed pack is: see seal
	buildExt = ".tmp"  // being built
)

// seal is the file that stands beside a closed pack and says what its bytes are. It is
// durable before the pack has its name.
type seal struct {
	First  record.Seq `json:"first"`
	Last   record.Seq `json:"last"`
	Time   time.Time  `json:"time"`
	Key    string     `json:"key"`
	Size   int64      `json:"size"`
	SHA256 string     `json:"sha256"`
	Root   string     `json:"root"`
}

func sealOf(p *record.Pack) seal {
	return seal{p.First, p.Last, p.Time, p.Key, p.Size, p.Digest.String(), p.Root.String()}
}

func (s *seal) pack() (record.Pack, error) {
	p := record.Pack{First: s.First, Last: s.Last, Time: s.Time, Key: s.Key, Size: s.Size}
	sum, err1 := hex.DecodeString(s.SHA256)
	root, err2 := hex.DecodeString(s.Root)
	if err := errors.Join(err1, err2); err != nil || len(sum) != len(p.Digest) || len(root) != len(p.Root) || s.Key == "" || s.First == 0 || s.Last < s.First {
		return p, fmt.Errorf("it says nothing that can be: %w", errors.Join(err, errors.New("bad seal")))
	}
	copy(p.Digest[:], sum)
	copy(p.Root[:], root)
	return p, nil
}

// packDir is the directory in which packs are built. It holds no state but its files.
type packDir struct {
	fs  disk.FS
	log string
}

// errDamaged says that a closed pack is not what its seal says.
var errDamaged = errors.New("the pack on this disk was damaged")

// list is the closed packs above released, by their first record, after what is left of others was removed. One
// that is damaged, or without its seal, has no more than its range.
func (d packDir) list(released record.Seq) ([]*packFile, error) {
	names, err := d.fs.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var packs []*packFile
	there := map[string]bool{}
	for _, e := range names {
		there[e.Name()] = true
	}
	for _, e := range names {
		name := e.Name()
		log, first, last, isPack := layout.ParsePackFile(name)
		switch {
		case e.IsDir():
		case strings.HasSuffix(name, buildExt), strings.HasSuffix(name, sealExt) && !there[strings.TrimSuffix(name, sealExt)]:
			if err := d.fs.Remove(name); err != nil {
				return nil, err
			}
		case isPack && log == d.log && last <= released:
			if err := d.remove(name); err != nil {
				return nil, err
			}
		case isPack && log == d.log:
			packs = append(packs, &packFile{Pack: record.Pack{First: first, Last: last}, file: name})
		}
	}
	return packs, nil // the names are sorted, and so are the numbers in them
}

// load reads what a pack's seal says, and compares it with the file.
func (d packDir) load(p *packFile) error {
	raw, err := d.read(p.file + sealExt)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: its seal is gone", errDamaged)
	}
	if err != nil {
		return err
	}
	var s seal
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("%w: its seal: %w", errDamaged, err)
	}
	is, err := s.pack()
	if err != nil || is.First != p.First || is.Last != p.Last {
		return fmt.Errorf("%w: its seal: %v", errDamaged, err)
	}
	size, sum, err := d.digest(p.file)
	if err != nil {
		return err
	}
	if size != is.Size || sum != is.Digest {
		return fmt.Errorf("%w: %d bytes with SHA-256 %s, not %d with %s", errDamaged, size, sum, is.Size, is.Digest)
	}
	p.Pack = is
	return nil
}

func (d packDir) read(name string) ([]byte, error) {
	f, err := d.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

func (d packDir) digest(name string) (size int64, sum record.Digest, err error) {
	f, err := d.fs.Open(name)
	if err != nil {
		return 0, sum, err
	}
	defer f.Close()
	if size, err = f.Size(); err != nil {
		return 0, sum, err
	}
	h := sha256.New()
	if _, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.NewSectionReader(f, 0, size)}, make([]byte, 256<<10)); err != nil {
		return 0, sum, err
	}
	h.Sum(sum[:0])
	return size, sum, nil
}

// remove lets go of a pack that is not needed any more: the seal last, so that no pack is without one.
func (d packDir) remove(name string) error {
	if err := d.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.fs.Remove(name + sealExt); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// building is a pack that is being built.
type building struct {
	dir   packDir
	pack  packFile
	name  string // of the file until it is closed
	file  disk.File
	out   *bufio.Writer
	at    *hashedFile
	w     PackWriter
	tree  rowTree
	begun time.Time
	ends  record.Seq // it is closed behind this record and not before; 0: as Packing has it
}

// rowTree is proof.RowTree.
type rowTree interface {
	Add(info *record.Info)
	Root() record.Digest
}

// hashedFile writes a file from its start and hashes what it writes. It remembers an error of the disk.
type hashedFile struct {
	file disk.File
	at   int64
	sum  hash.Hash
	err  error
}

func newHashedFile(f disk.File) *hashedFile { return &hashedFile{file: f, sum: sha256.New()} }

func (h *hashedFile) Write(p []byte) (int, error) {
	n, err := h.file.WriteAt(p, h.at)
	h.at += int64(n)
	h.sum.Write(p[:n])
	if err != nil {
		h.err = err
	}
	return n, err
}

// begin begins a pack with this record.
func (d packDir) begin(format PackFormat, tree rowTree, first record.Info, log string) (*building, error) {
	b := &building{dir: d, tree: tree, begun: time.Now(), name: fmt.Sprintf("%s-%020d%s", d.log, first.Seq, buildExt)}
	b.pack.First, b.pack.Last, b.pack.Time = first.Seq, first.Seq-1, first.Time
	var err error
	if b.file, err = d.fs.Create(b.name); errors.Is(err, fs.ErrExist) {
		if err = d.fs.Remove(b.name); err == nil {
			b.file, err = d.fs.Create(b.name)
		}
	}
	if err != nil {
		return nil, err
	}
	b.at = newHashedFile(b.file)
	b.out = bufio.NewWriterSize(b.at, 256<<10)
	if b.w, err = format.New(b.out, log); err != nil {
		b.abandon()
		return nil, err
	}
	return b, nil
}

// add appends the row of the next record.
func (b *building) add(row record.Row, body []byte) error {
	if err := b.w.Add(row, body); err != nil {
		return err
	}
	b.tree.Add(&row.Info)
	b.pack.Last = row.Seq
	b.pack.sizes = append(b.pack.sizes, row.Size)
	return nil
}

// abandon lets go of what was built.
func (b *building) abandon() {
	if b.file != nil {
		b.file.Close()
	}
	_ = b.dir.fs.Remove(b.name) // the next start removes it
}

// close makes the pack's bytes durable and gives it its name: with that its range is decided. What fails
// before leaves nothing that counts, and the caller abandons it. The name is not durable yet.
func (b *building) close(key string) (*packFile, error) {
	err := b.w.Close()
	if err == nil {
		err = b.out.Flush()
	}
	if err == nil {
		err = b.file.Sync()
	}
	if err != nil {
		return nil, err
	}
	p := &b.pack
	p.Key, p.Size, p.Root = key, b.at.at, b.tree.Root()
	b.at.sum.Sum(p.Digest[:0])
	p.file = layout.PackFile(b.dir.log, p.First, p.Last)
	err, b.file = b.file.Close(), nil
	if err != nil {
		return nil, err
	}
	if err := b.dir.writeSeal(p); err != nil {
		return nil, err
	}
	if err := b.dir.fs.Rename(b.name, p.file); err != nil && !b.dir.has(p.file) {
		return nil, err
	}
	return p, nil
}

func (d packDir) has(name string) bool {
	f, err := d.fs.Open(name)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	f.Close()
	return true
}

func (d packDir) writeSeal(p *packFile) error {
	raw, err := json.Marshal(sealOf(&p.Pack))
	if err != nil {
		return err
	}
	temp := p.file + sealExt + buildExt
	f, err := d.fs.Create(temp)
	if errors.Is(err, fs.ErrExist) {
		if err = d.fs.Remove(temp); err == nil {
			f, err = d.fs.Create(temp)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(raw, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.fs.Rename(temp, p.file+sealExt); err != nil {
		return err
	}
	return d.fs.SyncDir(".")
}

// open is the pack's bytes for an attempt, after they were compared with its digest.
func (d packDir) open(p *packFile) (io.ReadSeekCloser, error) {
	f, err := d.fs.Open(p.file)
	if err != nil {
		return nil, err
	}
	return &openPack{io.NewSectionReader(f, 0, p.Size), f}, nil
}

type openPack struct {
	*io.SectionReader
	file io.Closer
}

func (o *openPack) Close() error { return o.file.Close() }

// firstAndLast are what the name of a pack in the store says; false if it is none of this log.
func (d packDir) firstAndLast(key string) (first, last record.Seq, ok bool) {
	log, first, last, ok := layout.ParsePackFile(path.Base(key))
	return first, last, ok && log == d.log
}
