package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// stateFile is the writer's own memory, below the data directory.
const (
	stateDir  = "proof"
	stateFile = stateDir + "/state"
	stateV1   = "indelible proof state v1\n"
)

// state is what the writer knows without the bucket: the last checkpoint that it
// published, all that is needed to grow from there, and the leaves behind it
// that are decided. A leaf is in the state, durably, before anything that
// depends on it leaves this machine; so after a crash the same leaves stand at the same indices.
type state struct {
	checkpoint []byte // the published checkpoint; empty before the first
	cp         Checkpoint
	edge       *edge      // of the published tree
	tail       [][]byte   // leaves of its last, partial bundle
	next       record.Seq // behind the published tree; 0: any
	last       Kind       // of the published tree's last leaf that tellsLife; "" if it has none
	rebuilt    bool       // made from the bucket, and nothing published since
	pending    [][]byte   // leaves behind the published tree
}

// tellsLife says that a leaf of this kind shows whether a process writes the
// log: Stop that none does, the others that one does. A change of key may come from a
// command beside no process; Recovered, Continues and Repair speak of the past.
func (k Kind) tellsLife() bool {
	return k != NewKey && k != Recovered && k != Continues && k != Repair
}

type stateHeader struct {
	Log        string        `json:"log"`
	Checkpoint string        `json:"checkpoint"`
	Size       uint64        `json:"size"`
	Next       record.Seq    `json:"next"`
	Last       Kind          `json:"last"`
	Rebuilt    bool          `json:"rebuilt,omitempty"`
	Edge       [][]tlog.Hash `json:"edge"`
	Tail       int           `json:"tail"`
	Pending    int           `json:"pending"`
	Bytes      [2]int        `json:"bytes"` // of tail and pending
}

// encode is the state as it stands in a file. What follows it there does not count.
func (s *state) encode() ([]byte, error) {
	tail, pending := encodeBundle(s.tail), encodeBundle(s.pending)
	header, err := json.Marshal(stateHeader{
		Log: s.cp.Log, Checkpoint: string(s.checkpoint), Size: s.edge.size, Next: s.next, Last: s.last, Rebuilt: s.rebuilt,
		Edge: s.edge.levels, Tail: len(s.tail), Pending: len(s.pending), Bytes: [2]int{len(tail), len(pending)},
	})
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(stateV1)+len(header)+1+len(tail)+len(pending)+sha256.Size)
	b = append(b, stateV1...)
	b = append(b, header...)
	b = append(b, '\n')
	b = append(b, tail...)
	b = append(b, pending...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// save makes the state durable, replacing the one before at once.
func (s *state) save(m *memory) error {
	b, err := s.encode()
	if err == nil {
		err = m.save(b)
	}
	if err != nil {
		return fmt.Errorf("save proof state: %w", err)
	}
	return nil
}

// loadState reads what save wrote; nil if there is none.
func loadState(d disk.FS, log string) (*state, error) {
	s, err := readState(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if _, damaged := errors.AsType[*StateError](err); damaged {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("load proof state: %w", denied(stateFile, err))
	}
	if s.cp.Log != log {
		return nil, errOwner(s.cp.Log, log)
	}
	return s, nil
}

// stateReads is how often a state is read before it is called damaged.
const stateReads = 3

// readState reads the state as it stands. Where a process saves meanwhile, the file that was opened may be the
// spare one by now and be written over: what cannot be decoded is read again.
func readState(d disk.FS) (*state, error) {
	for n := 1; ; n++ {
		b, err := readFile(d, stateFile)
		if err != nil {
			return nil, err
		}
		s, err := decodeState(b)
		if err == nil {
			return s, nil
		}
		if n == stateReads {
			return nil, &StateError{Err: err}
		}
	}
}

func errOwner(owner, log string) error {
	return fmt.Errorf("load proof state: %s belongs to log %s, but this data directory to %s: put the file back that belongs here, or %s", stateFile, owner, log, rescueAdvice)
}

// CheckState says whether the log's memory and its keys belong together, without asking the
// bucket: the memory is of that log, and the key to which a change was begun is there. A memory that
// is not there, or cannot be read, is no error here: Open tells.
func CheckState(d disk.FS, k Keys) error {
	s, err := readState(d)
	if err != nil {
		return nil
	}
	if s.cp.Log != k.Key.Name() {
		return errOwner(s.cp.Log, k.Key.Name())
	}
	for _, raw := range s.pending {
		if leaf, err := ParseLeaf(raw); err == nil && leaf.Kind == NewKey && leaf.New != k.Key.Public() && (k.Next.zero() || leaf.New != k.Next.Public()) {
			return errNoSecret(leaf.New)
		}
	}
	return nil
}

func errNoSecret(vkey string) error {
	return fmt.Errorf("a change to the key %s was begun, and its secret is not in %s: put that file back from a copy, or %s", vkey, NextFile, rescueAdvice)
}

func decodeState(b []byte) (*state, error) {
	rest, ok := bytes.CutPrefix(b, []byte(stateV1))
	line, rest, found := bytes.Cut(rest, []byte("\n"))
	if !ok || !found {
		return nil, errors.New("unknown format")
	}
	var h stateHeader
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, errors.New("checksum") // nothing is believed, but how long it is
	}
	room := len(rest) - sha256.Size
	if h.Bytes[0] < 0 || h.Bytes[1] < 0 || h.Bytes[0] > room || h.Bytes[1] > room-h.Bytes[0] {
		return nil, errors.New("wrong length")
	}
	rest = rest[:h.Bytes[0]+h.Bytes[1]]
	n := len(stateV1) + len(line) + 1 + len(rest)
	if sha256.Sum256(b[:n]) != [sha256.Size]byte(b[n:n+sha256.Size]) {
		return nil, errors.New("checksum")
	}
	s := &state{checkpoint: []byte(h.Checkpoint), next: h.Next, last: h.Last, rebuilt: h.Rebuilt, edge: &edge{size: h.Size, levels: h.Edge}}
	var err error
	if s.tail, err = decodeBundle(rest[:h.Bytes[0]], h.Tail); err != nil {
		return nil, err
	}
	if s.pending, err = decodeBundle(rest[h.Bytes[0]:], h.Pending); err != nil {
		return nil, err
	}
	s.cp = Checkpoint{Log: h.Log, Size: h.Size, Root: s.edge.root()}
	return s, nil
}

// StateError says that the writer's own memory is damaged. Nothing else is
// lost by it: the log can be rebuilt from the bucket.
type StateError struct{ Err error }

func (e *StateError) Error() string {
	return fmt.Sprintf("%s in the data directory is damaged (%v): move that file away, and the next start rebuilds it from the bucket; that the bucket was not put back to an older state only a checkpoint kept elsewhere shows then (indelible verify --checkpoint)", stateFile, e.Err)
}

// Unwrap is the cause.
func (e *StateError) Unwrap() error { return e.Err }

// denied adds to an error of a file that this process may not open what helps.
func denied(file string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w: this user may not open %s, which is not damaged: give the file to the user that the service runs as (chown)", err, file)
}

// LastPublished is the checkpoint that a data directory remembers as the last
// one it put into the bucket, and the last seq that it proves; nil if there is
// none. A bucket with an older one was rolled back.
func LastPublished(d disk.FS) (checkpoint []byte, proven record.Seq, err error) {
	s, err := readState(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if _, damaged := errors.AsType[*StateError](err); damaged {
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read proof state: %w", denied(stateFile, err))
	}
	if len(s.checkpoint) == 0 {
		return nil, 0, nil
	}
	return s.checkpoint, max(s.next, 1) - 1, nil
}

// Begun says whether a data directory has begun a log of which it has published no checkpoint yet.
func Begun(d disk.FS) bool {
	s, err := readState(d)
	return err == nil && len(s.checkpoint) == 0 && len(s.pending) > 0
}

// inheriting is a disk on which a file can be given the mode and owner of the
// one that it is about to replace.
type inheriting interface {
	Inherit(made, replaced string) error
}

// writeFile replaces a small file durably: its old content or the new one, never less.
func writeFile(d disk.FS, name string, data []byte) error {
	temp := name + ".new"
	f, err := createNew(d, temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if i, ok := d.(inheriting); ok && err == nil {
		err = i.Inherit(temp, name)
	}
	if err := syncClose(f, err); err != nil {
		return err
	}
	if err := d.Rename(temp, name); err != nil {
		return err
	}
	return d.SyncDir(path.Dir(name))
}

// createNew makes a file in place of one that a killed process left.
func createNew(d disk.FS, name string) (disk.File, error) {
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return d.Create(name)
}

// syncClose syncs and closes a file whose writing came to err.
func syncClose(f disk.File, err error) error {
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func readFile(d disk.FS, name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && (err != io.EOF || n < len(b)) {
		return nil, err
	}
	return b, nil
}
