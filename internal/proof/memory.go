package proof

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"

	"indelible/internal/disk"
)

// spareFile stands beside stateFile, and has room for the next state.
const (
	spareFile = stateFile + ".spare"
	minSpare  = 256 << 10
	maxSpare  = 4 << 20 // what is longer takes room of its own, for as long as it stands
)

// memory keeps the state in stateFile. The next one is written over the spare file, whose
// room was taken beforehand, and then the two exchange their names: so a disk without a
// free byte or inode takes it still, and the log goes on while what fills the disk is delivered. Where a
// file system cannot exchange names, the spare file replaces the other, and a new one is made.
type memory struct {
	disk   disk.FS
	looked bool  // at what an earlier process left
	spare  int64 // so many bytes fit into the spare file; 0: there is none to be used
	room   int64 // so many fit into stateFile
}

// errNoRoom says that a state is longer than what the full disk has room for.
var errNoRoom = errors.New("the disk is full, and the room that was reserved is less than this needs")

// exchanging is a disk that can exchange two names at once.
type exchanging interface {
	Exchange(a, b string) error
}

// save makes data durable in place of the state before, at once. Files end in what earlier states left
// behind it.
func (m *memory) save(data []byte) error {
	if err := m.disk.MkdirAll(stateDir); err != nil {
		return err
	}
	if !m.looked {
		if err := m.look(); err != nil {
			return err
		}
	}
	if m.spare == 0 || len(data) > maxSpare {
		if err := m.prepare(len(data)); err != nil {
			return noRoom(err)
		}
	}
	if err := m.write(data); err != nil {
		return err
	}
	if err := m.exchange(data); err != nil {
		m.looked = false // which of the two names is durable now, nobody knows
		return err
	}
	if m.spare < min(int64(len(data))*3/2, maxSpare) || m.spare > maxSpare {
		_ = m.prepare(min(len(data), maxSpare)) // on a full disk what is there has to do
	}
	return nil
}

// look finds out what room an earlier process left. Its names are made durable first: until they are, the
// spare file may be what a power cut brings back as the state.
func (m *memory) look() error {
	if err := m.disk.SyncDir(stateDir); err != nil {
		return err
	}
	now, err := readFile(m.disk, stateFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.looked, m.room, m.spare = true, int64(len(now)), 0
	if then, err := readFile(m.disk, spareFile); err == nil && !bytes.Equal(now, then) { // equal: two names of one file
		m.spare = int64(len(then))
	}
	return nil
}

// prepare makes a spare file with room for n bytes, and more where they are few.
func (m *memory) prepare(n int) error {
	zeros := make([]byte, max(minSpare, n, min(2*n, maxSpare)))
	temp := spareFile + ".new"
	f, err := createNew(m.disk, temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(zeros, 0)
	if i, ok := m.disk.(inheriting); ok && err == nil {
		err = i.Inherit(temp, stateFile)
	}
	if err = syncClose(f, err); err == nil {
		err = m.disk.Rename(temp, spareFile)
	}
	if err != nil {
		_ = m.disk.Remove(temp)
		return err
	}
	m.spare = int64(len(zeros))
	return nil
}

// write writes data over the spare file.
func (m *memory) write(data []byte) error {
	f, err := m.disk.OpenWrite(spareFile)
	if err == nil {
		_, err = f.WriteAt(data, 0)
		err = syncClose(f, err)
	}
	switch {
	case err == nil:
		m.spare = max(m.spare, int64(len(data)))
	case isFull(err) && int64(len(data)) > m.spare:
		return noRoom(err)
	default:
		m.spare = 0 // a file whose sync failed is not synced again
	}
	return err
}

// exchange gives data, which was written, the name of the state, durably.
func (m *memory) exchange(data []byte) error {
	done := false
	if x, ok := m.disk.(exchanging); ok && m.room > 0 {
		err := x.Exchange(spareFile, stateFile)
		if done = err == nil; !done && !m.holds(spareFile, data) {
			return err // it may have happened all the same: then the spare file is the state before
		}
	}
	if done {
		m.spare, m.room = m.room, m.spare
	} else {
		if err := m.disk.Rename(spareFile, stateFile); err != nil {
			return err
		}
		m.spare, m.room = 0, m.spare
	}
	return m.disk.SyncDir(stateDir)
}

// holds says whether a file begins with data.
func (m *memory) holds(name string, data []byte) bool {
	b, err := readFile(m.disk, name)
	return err == nil && bytes.HasPrefix(b, data)
}

func noRoom(err error) error {
	if isFull(err) {
		return errors.Join(errNoRoom, err)
	}
	return err
}

// isFull reports whether the disk has no room: no space or inode, or none of this user's quota.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
