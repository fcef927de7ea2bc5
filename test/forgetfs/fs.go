package main

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// forgetful is a file system in memory that forgets, when its power is cut, what was not synced.
type forgetful struct {
	fuse.RawFileSystem
	syncTakes time.Duration // at most
	lie       bool          // syncs do nothing
	slow      atomic.Int64  // how long a sync takes at least, in nanoseconds

	mu     sync.Mutex
	t      *tree
	handle uint64
	lists  map[uint64][]fuse.DirEntry // of open directories
	off    chan struct{}              // nil: there is power; closed: whoever waited is dead
	bad    syscall.Errno              // of reads of the spool; 0: they work
	takes  time.Duration              // of a read of the spool
	full   syscall.Errno              // of what needs room; 0: there is some
}

func newForgetful(syncTakes time.Duration, lie bool) *forgetful {
	return &forgetful{RawFileSystem: fuse.NewDefaultRawFileSystem(), syncTakes: syncTakes, lie: lie, t: newTree(), lists: map[uint64][]fuse.DirEntry{}}
}

// cut takes the power away: nothing that is asked for is answered any more, until dead.
func (f *forgetful) cut(seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = make(chan struct{})
	f.t = f.t.survive(rand.New(rand.NewPCG(seed, 7)))
}

// dead says that the processes are: their calls may be answered, and fail.
func (f *forgetful) dead() { close(f.off) }

// setReads has what reads the spool fail, or take a time.
func (f *forgetful) setReads(err syscall.Errno, takes time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad, f.takes = err, takes
}

// setFull has what needs room fail.
func (f *forgetful) setFull(err syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = err
}

// reading runs do with a node that is read, unless reads fail.
func (f *forgetful) reading(cancel <-chan struct{}, id uint64, do func(n *node) syscall.Errno) fuse.Status {
	var takes time.Duration
	status := f.with(id, func(n *node) syscall.Errno {
		if !n.spool {
			return 0
		}
		takes = f.takes
		return f.bad
	})
	if !status.Ok() {
		return status
	}
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-cancel: // the process is gone
			return fuse.EINTR
		}
	}
	return f.with(id, do)
}

// on gives the power back.
func (f *forgetful) on() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = nil
	clear(f.lists)
}

// locked runs do under the lock, unless the power is off.
func (f *forgetful) locked(do func() syscall.Errno) fuse.Status {
	f.mu.Lock()
	off := f.off
	if off == nil {
		defer f.mu.Unlock()
		return fuse.Status(do())
	}
	f.mu.Unlock()
	<-off
	return fuse.EIO
}

// with runs do with the node, under the lock.
func (f *forgetful) with(id uint64, do func(n *node) syscall.Errno) fuse.Status {
	return f.locked(func() syscall.Errno {
		n := f.find(id)
		if n == nil {
			return syscall.ESTALE
		}
		return do(n)
	})
}

func (f *forgetful) find(id uint64) *node {
	if id == fuse.FUSE_ROOT_ID {
		return f.t.root // another one after each cut
	}
	return f.t.nodes[id]
}

func attr(n *node, a *fuse.Attr) {
	a.Ino, a.Mode, a.Nlink = n.id, n.kind|n.mode, n.links
	if n.isDir() {
		a.Nlink = 2
	} else {
		a.Size, a.Blocks = uint64(n.file.now.size), uint64(len(n.file.now.pages))*pageSize/512
	}
	a.Blksize = pageSize
	a.Owner = *fuse.CurrentOwner()
	a.SetTimes(&n.modified, &n.modified, &n.modified)
}

// answer is an entry that the kernel must not keep.
func answer(n *node, out *fuse.EntryOut) {
	out.NodeId = n.id
	attr(n, &out.Attr)
}

func (f *forgetful) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return f.with(h.NodeId, func(dir *node) syscall.Errno {
		n := dir.entries[name]
		if n == nil {
			return syscall.ENOENT
		}
		answer(n, out)
		return 0
	})
}

func (f *forgetful) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.with(in.NodeId, func(n *node) syscall.Errno {
		attr(n, &out.Attr)
		return 0
	})
}

func (f *forgetful) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.with(in.NodeId, func(n *node) syscall.Errno {
		if mode, ok := in.GetMode(); ok {
			n.mode = mode & 0o7777
		}
		if size, ok := in.GetSize(); ok {
			if n.isDir() {
				return syscall.EISDIR
			}
			n.file.truncate(int64(size))
			n.modified = time.Now()
		}
		if at, ok := in.GetMTime(); ok {
			n.modified = at
		}
		attr(n, &out.Attr)
		return 0
	})
}

func (f *forgetful) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.with(in.NodeId, func(dir *node) syscall.Errno {
		if dir.entries[name] != nil {
			return syscall.EEXIST
		}
		if f.full != 0 {
			return f.full
		}
		n := f.t.newNode(in.Mode, true)
		n.spool = dir.spool || name == "spool"
		f.t.set(entry{dir, name, n})
		answer(n, out)
		return 0
	})
}

// Mknod makes the one special file that a daemon makes: the name of its socket.
func (f *forgetful) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.with(in.NodeId, func(dir *node) syscall.Errno {
		if dir.entries[name] != nil {
			return syscall.EEXIST
		}
		n := f.t.newNode(in.Mode, false)
		n.kind = in.Mode & syscall.S_IFMT
		f.t.set(entry{dir, name, n})
		answer(n, out)
		return 0
	})
}

func (f *forgetful) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return f.with(h.NodeId, func(dir *node) syscall.Errno {
		n := dir.entries[name]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.isDir():
			return syscall.EISDIR
		}
		n.links--
		f.t.set(entry{dir, name, nil})
		return 0
	})
}

func (f *forgetful) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return f.with(h.NodeId, func(dir *node) syscall.Errno {
		n := dir.entries[name]
		switch {
		case n == nil:
			return syscall.ENOENT
		case !n.isDir():
			return syscall.ENOTDIR
		case len(n.entries) > 0:
			return syscall.ENOTEMPTY
		}
		f.t.set(entry{dir, name, nil})
		return 0
	})
}

func (f *forgetful) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	return f.with(in.NodeId, func(dir *node) syscall.Errno {
		n, into := dir.entries[from], f.find(in.Newdir)
		switch {
		case n == nil || into == nil:
			return syscall.ENOENT
		case in.Flags == 2: // RENAME_EXCHANGE
			over := into.entries[to]
			if over == nil {
				return syscall.ENOENT
			}
			f.t.set(entry{dir, from, over}, entry{into, to, n})
			return 0
		case in.Flags&^1 != 0: // RENAME_NOREPLACE is 1
			return syscall.EINVAL
		case in.Flags&1 != 0 && into.entries[to] != nil:
			return syscall.EEXIST
		case into.entries[to] == n:
			return 0
		}
		if over := into.entries[to]; over != nil {
			if over.isDir() {
				if !n.isDir() {
					return syscall.EISDIR
				}
				if len(over.entries) > 0 {
					return syscall.ENOTEMPTY
				}
			}
			over.links--
		}
		f.t.set(entry{dir, from, nil}, entry{into, to, n})
		return 0
	})
}

func (f *forgetful) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.with(in.NodeId, func(dir *node) syscall.Errno {
		n := f.find(in.Oldnodeid)
		switch {
		case n == nil:
			return syscall.ENOENT
		case dir.entries[name] != nil:
			return syscall.EEXIST
		}
		n.links++
		f.t.set(entry{dir, name, n})
		answer(n, out)
		return 0
	})
}

func (f *forgetful) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return f.with(in.NodeId, func(dir *node) syscall.Errno {
		n := dir.entries[name]
		switch {
		case n == nil && f.full != 0:
			return f.full
		case n == nil:
			n = f.t.newNode(in.Mode, false)
			n.spool = dir.spool
			f.t.set(entry{dir, name, n})
		case in.Flags&syscall.O_EXCL != 0:
			return syscall.EEXIST
		case n.isDir():
			return syscall.EISDIR
		}
		if in.Flags&syscall.O_TRUNC != 0 {
			n.file.truncate(0)
		}
		answer(n, &out.EntryOut)
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
		return 0
	})
}

func (f *forgetful) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return f.reading(cancel, in.NodeId, func(n *node) syscall.Errno {
		if n.isDir() {
			return syscall.EISDIR
		}
		if in.Flags&syscall.O_TRUNC != 0 {
			n.file.truncate(0)
		}
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
		return 0
	})
}

func (f *forgetful) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	read := 0
	status := f.reading(cancel, in.NodeId, func(n *node) syscall.Errno {
		read = n.file.readAt(buf, int64(in.Offset))
		return 0
	})
	return fuse.ReadResultData(buf[:read]), status
}

func (f *forgetful) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	status := f.with(in.NodeId, func(n *node) syscall.Errno {
		// What has room is what lies before the end: fallocate moves it.
		if f.full != 0 && int64(in.Offset)+int64(len(data)) > n.file.now.size {
			if data = data[:max(0, n.file.now.size-int64(in.Offset))]; len(data) == 0 {
				return f.full
			}
		}
		n.file.writeAt(data, int64(in.Offset))
		n.modified = time.Now()
		return 0
	})
	return uint32(len(data)), status
}

func (f *forgetful) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return f.with(in.NodeId, func(n *node) syscall.Errno {
		if in.Mode != 0 {
			return syscall.EOPNOTSUPP
		}
		if end := int64(in.Offset + in.Length); end > n.file.now.size {
			if f.full != 0 {
				return f.full
			}
			n.file.truncate(end)
		}
		return 0
	})
}

func (f *forgetful) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	var p pending
	if status := f.with(in.NodeId, func(n *node) syscall.Errno { p = n.file.begin(); return 0 }); !status.Ok() || f.lie {
		return status
	}
	if !f.spin(cancel) {
		return fuse.EINTR
	}
	return f.with(in.NodeId, func(n *node) syscall.Errno { n.file.end(p); return 0 })
}

func (f *forgetful) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	upTo := uint64(0)
	if status := f.with(in.NodeId, func(*node) syscall.Errno { upTo = f.t.number; return 0 }); !status.Ok() || f.lie {
		return status
	}
	if !f.spin(cancel) {
		return fuse.EINTR
	}
	return f.with(in.NodeId, func(n *node) syscall.Errno { f.t.syncDir(n, upTo); return 0 })
}

// spin lets the disk turn: more is under way when the power goes. It ends early, and says so, where
// the process that waits for it is killed.
func (f *forgetful) spin(cancel <-chan struct{}) bool {
	takes := time.Duration(f.slow.Load())
	if f.syncTakes > 0 {
		takes += rand.N(f.syncTakes)
	}
	select {
	case <-time.After(takes):
		return true
	case <-cancel:
		return false
	}
}

func (f *forgetful) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return f.reading(cancel, in.NodeId, func(n *node) syscall.Errno {
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		f.handle++
		list := []fuse.DirEntry{{Name: ".", Mode: syscall.S_IFDIR, Ino: n.id}, {Name: "..", Mode: syscall.S_IFDIR, Ino: n.id}}
		for name, c := range n.entries {
			list = append(list, fuse.DirEntry{Name: name, Mode: c.kind, Ino: c.id})
		}
		f.lists[f.handle], out.Fh = list, f.handle
		return 0
	})
}

func (f *forgetful) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.locked(func() syscall.Errno {
		list := f.lists[in.Fh]
		for i := int(in.Offset); i < len(list); i++ {
			if list[i].Off = uint64(i + 1); !out.AddDirEntry(list[i]) {
				break
			}
		}
		return 0
	})
}

func (f *forgetful) ReleaseDir(in *fuse.ReleaseIn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.lists, in.Fh)
}

func (f *forgetful) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (f *forgetful) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	blocks := uint64(64 << 30 / pageSize)
	out.Bsize, out.Frsize, out.NameLen = pageSize, pageSize, 255
	out.Blocks, out.Bfree, out.Bavail, out.Files, out.Ffree = blocks, blocks, blocks, 1<<20, 1<<20
	return f.locked(func() syscall.Errno {
		if f.full != 0 {
			out.Bfree, out.Bavail = 0, 0
		}
		return 0
	})
}
