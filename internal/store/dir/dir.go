// Package dir is an object store in a directory: each object is a file with
// exactly the object's bytes under a path that is its key, so that it can be
// read with cat, and each Put is on the disk when it returns.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Own places of the store, beside the objects. No key leads there.
const (
	ownDir   = "_indelible"
	metaName = ".meta" // attributes, under the same names as the objects
	tmpName  = ".tmp"  // what is being written
	metaDir  = ownDir + "/" + metaName
	tmpDir   = ownDir + "/" + tmpName
)

// Store is a store.Store in a directory. It may be shared by processes: the
// first to link a name has it, as with S3's If-None-Match. Conditions on an
// existing object (Match, Any) hold within one process.
//
// A Put writes and syncs a temporary file, links it to its name, which fails
// if that is taken, syncs the directory, and does the same with the file of
// attributes. A crash in between leaves the object with all its bytes and
// without attributes; the next Put of the same bytes adds them.
type Store struct {
	disk  disk.FS
	root  *rootFS        // nil: the file system is nobody's path
	plain bool           // objects get no attributes
	locks [64]sync.Mutex // by key: Put, and reads that find no attributes

	start int64 // names this Store's temporary files

	named atomic.Pointer[named]

	mu     sync.Mutex
	made   map[string]bool // directories and notes known to be durable, at most maxMade
	madeIn *osdisk.FS      // the directory that they are in; nil: the file system is nobody's path
	tmp    uint64          // counts temporary files
	// doubts holds, by key, the Puts that failed when the name could exist
	// already: what they wrote counts as not stored until a Put succeeds.
	doubts map[string]doubt
}

const maxMade = 10_000

var _ store.Store = (*Store)(nil)

// Open is the store in the root of fsys. It touches nothing before the first Put.
func Open(fsys disk.FS) *Store {
	return &Store{disk: fsys, made: map[string]bool{}, doubts: map[string]doubt{}, start: time.Now().UnixNano()}
}

// Plain has Put write objects without attributes, so that nothing but objects lies below the directory: programs that read
// every file with an extension would take a file of attributes, which has the name of its object, for one of theirs. It is called before the first Put.
func (s *Store) Plain() { s.plain = true }

// Put is store.Store's.
func (s *Store) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if err := check(o.Key); err != nil {
		return store.Info{}, fail("put", o.Key, err)
	}
	if err := ctx.Err(); err != nil {
		return store.Info{}, err
	}
	begun := s.opened() // before the check, so that what it lets pass is this directory or none
	if err := s.stillIn(begun); err != nil {
		return store.Info{}, fail("put", o.Key, err)
	}
	info, err := s.put(ctx, o)
	if rerr := s.stillIn(begun); rerr != nil { // whatever came of it, in a directory that is the store no more
		err = rerr
	}
	if err != nil {
		return store.Info{}, fail("put", o.Key, err)
	}
	return info, nil
}

func (s *Store) put(ctx context.Context, o store.Object) (store.Info, error) {
	if err := s.note(o.Key); err != nil {
		return store.Info{}, err
	}
	tmp, at, err := s.write(ctx, o)
	if err != nil {
		return store.Info{}, err
	}
	info, err := s.commit(o, tmp, at)
	if err != nil {
		_ = s.disk.Remove(tmp) // what is left of it is swept at a later start
	}
	return info, err
}

// commit gives the written body and its attributes their names.
func (s *Store) commit(o store.Object, tmp string, at attributes) (store.Info, error) {
	lock := s.lock(o.Key)
	lock.Lock()
	defer lock.Unlock()
	if o.Condition.Any || o.Condition.Match != "" {
		return s.replace(o, tmp, at)
	}
	if err := s.create(o.Key, tmp, at); err != nil {
		return store.Info{}, err
	}
	return at.info(o.Key), nil
}

// create gives a new object its names: first its own, then its attributes'.
// From the moment the first can exist until both are durable, a failure leaves
// the key in doubt.
func (s *Store) create(key, tmp string, at attributes) error {
	name, err := s.place(key, tmp, s.disk.Link)
	if err != nil && name == "" {
		return err // the name was not tried yet
	}
	if errors.Is(err, fs.ErrExist) {
		whole, err := s.complete(key, at)
		if err != nil {
			return err
		}
		if err := s.disk.Remove(tmp); err != nil || whole {
			return err
		}
	} else {
		if err == nil {
			err = errors.Join(s.disk.Remove(tmp), s.disk.SyncDir(path.Dir(name)))
		}
		if err != nil {
			s.setDoubt(key, doubt{digest: at.Digest})
			return err
		}
	}
	if s.plain {
		s.settle(key)
		return nil
	}
	err = s.describe(key, at)
	if errors.Is(err, fs.ErrExist) {
		err = s.described(key, at)
	}
	if err != nil && !errors.Is(err, errExists) {
		s.setDoubt(key, doubt{digest: at.Digest})
		return err
	}
	s.settle(key)
	return err
}

// described is for attributes that another process wrote meanwhile. It makes them durable, and
// fails with errExists unless they are the same: then the object is that of the other process.
func (s *Store) described(key string, at attributes) error {
	there, meta, err := s.attributesIn(key)
	if err != nil {
		return err
	}
	if err := s.disk.SyncDir(path.Dir(meta)); err != nil {
		return err
	}
	if !there.same(at) {
		return errExists
	}
	return nil
}

// errExists is the condition that did not hold.
var errExists = errors.New("the key is taken")

// complete is for a name that was taken. It fails with errExists unless the
// object is what a Put of at's bytes left that did not succeed, and makes its
// name durable; whole says that it has its attributes, durably, too.
func (s *Store) complete(key string, at attributes) (whole bool, err error) {
	there, meta, err := s.attributesIn(key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, errors.Join(errExists, err)
	}
	whole = err == nil
	name, file, err := s.find(key)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	if !whole {
		if there, err = digest(file); err != nil {
			return false, err
		}
	}
	if there.Digest != at.Digest {
		return false, errExists
	}
	// Whoever made the names may have died, or failed, before they were durable.
	if err := s.disk.SyncDir(path.Dir(name)); err != nil || !whole {
		return false, err
	}
	if err := s.disk.SyncDir(path.Dir(meta)); err != nil {
		return false, err
	}
	if !s.settle(key) || !there.same(at) {
		return false, errExists
	}
	return true, nil
}

// replace overwrites an object. Its attributes go first, so that at no moment
// the new bytes stand beside the old attributes. From the moment the new bytes can have the
// name until they and their attributes are durable, a failure leaves the key in
// doubt: the same Put may then be done again, although what it replaces is gone.
func (s *Store) replace(o store.Object, tmp string, at attributes) (store.Info, error) {
	there, err := s.replaceable(o.Key)
	if err != nil && !o.Condition.Any {
		return store.Info{}, err
	}
	if o.Condition.Match != "" && there != o.Condition.Match {
		return store.Info{}, errExists
	}
	if meta, file, err := s.findIn(metaDir, o.Key); err == nil {
		if err := errors.Join(file.Close(), s.disk.Remove(meta), s.disk.SyncDir(path.Dir(meta))); err != nil {
			return store.Info{}, err
		}
	}
	name, err := s.place(o.Key, tmp, s.disk.Rename)
	if err != nil && name == "" {
		return store.Info{}, err // the name was not tried yet
	}
	if err == nil {
		err = s.disk.SyncDir(path.Dir(name))
	}
	if err == nil {
		err = s.describe(o.Key, at)
	}
	if err != nil {
		s.setDoubt(o.Key, doubt{digest: at.Digest, replaced: there})
		return store.Info{}, err
	}
	s.settle(o.Key)
	return at.info(o.Key), nil
}

// replaceable is the ETag of the object under key that a Put may replace; "" if
// there is none. Where a replacement is in doubt, it is that of the object before.
func (s *Store) replaceable(key string) (etag string, err error) {
	if d, ok := s.doubtAbout(key); ok && d.replaced != "" {
		return d.replaced, nil
	}
	info, err := s.stated(key)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return info.ETag, err
}

// Get is store.Store's.
func (s *Store) Get(_ context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	info, err := s.head(key, o, maxHashed)
	if err != nil {
		return nil, store.Info{}, fail("get", key, err)
	}
	_, file, err := s.find(key)
	if err != nil {
		return nil, store.Info{}, fail("get", key, err)
	}
	if size, err := file.Size(); err != nil {
		_ = file.Close()
		return nil, store.Info{}, fail("get", key, err)
	} else if size != info.Size { // changed behind our back: give what is there, and do not vouch for it
		info.Size, info.Digest = size, record.Digest{}
	}
	to := o.To
	if to == 0 || to > info.Size {
		to = info.Size
	}
	if o.From < 0 || o.From > to {
		_ = file.Close()
		return nil, store.Info{}, fail("get", key, fmt.Errorf("bytes %d to %d of %d: %w", o.From, to, info.Size, fs.ErrInvalid))
	}
	return body{io.NewSectionReader(file, o.From, to-o.From), file}, info, nil
}

// body is a part of an open file.
type body struct {
	*io.SectionReader
	io.Closer
}

// Head is store.Store's.
func (s *Store) Head(_ context.Context, key string, o store.GetOptions) (store.Info, error) {
	info, err := s.head(key, o, math.MaxInt64)
	if err != nil {
		return store.Info{}, fail("head", key, err)
	}
	return info, nil
}

// maxHashed is how long an object without attributes may be to be hashed before it is read or listed. A longer one is no
// Put's that a crash cut, or is read for its own sake: it may have no end.
const maxHashed = 64 << 20

func (s *Store) head(key string, o store.GetOptions, hashed int64) (store.Info, error) {
	if err := check(key); err != nil {
		return store.Info{}, err
	}
	if err := s.sameRoot(); err != nil {
		return store.Info{}, err
	}
	if o.Version != "" {
		return store.Info{}, fmt.Errorf("version %q: a directory keeps none: %w", o.Version, fs.ErrNotExist)
	}
	info, err := s.stat(key)
	if !errors.Is(err, errNoAttributes) {
		return info, err
	}
	// Perhaps a Put is between the two names: it holds the lock.
	lock := s.lock(key)
	lock.Lock()
	defer lock.Unlock()
	return s.statedUpTo(key, hashed)
}

// errNoAttributes says that there is an object with no file of attributes.
var errNoAttributes = errors.New("no attributes")

// stat describes the object under key from its file of attributes.
func (s *Store) stat(key string) (store.Info, error) {
	at, err := s.attributes(key)
	if err == nil {
		return s.trusted(key, at)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return store.Info{}, err
	}
	_, file, err := s.find(key)
	if err != nil {
		return store.Info{}, err
	}
	return store.Info{}, errors.Join(errNoAttributes, file.Close())
}

// stated is stat, and hashes an object that has no attributes: a stranger put
// it there, or a Put that a crash cut. The caller holds the key's lock.
func (s *Store) stated(key string) (store.Info, error) { return s.statedUpTo(key, math.MaxInt64) }

// statedUpTo is stated, but does not hash an object of more bytes, and then knows neither ETag nor digest. One that is in doubt
// is hashed: only its digest tells whether it is there.
func (s *Store) statedUpTo(key string, limit int64) (store.Info, error) {
	info, err := s.stat(key)
	if !errors.Is(err, errNoAttributes) {
		return info, err
	}
	_, file, err := s.find(key)
	if err != nil {
		return store.Info{}, err
	}
	defer func() { _ = file.Close() }()
	if size, err := file.Size(); err != nil {
		return store.Info{}, err
	} else if _, doubted := s.doubtAbout(key); size > limit && !doubted {
		return store.Info{Key: key, Size: size}, nil
	}
	at, err := digest(file)
	if err != nil {
		return store.Info{}, err
	}
	return s.trusted(key, at)
}

func check(key string) error {
	if key == "" || len(key) > store.MaxKey {
		return &keyError{len(key)}
	}
	return nil
}

// keyError says that a key is empty or too long.
type keyError struct{ size int }

func (e *keyError) Error() string {
	return fmt.Sprintf("a key has 1 to %d bytes, not %d", store.MaxKey, e.size)
}

// fail classifies an error. A disk that is full asks for patience; one that
// denies access or is read-only wants an operator.
func fail(op, key string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	class := store.Ambiguous
	_, badKey := errors.AsType[*keyError](err)
	_, replaced := errors.AsType[*ReplacedError](err)
	switch {
	case replaced:
		class = store.Configuration
	case errors.Is(err, errReopened):
	case errors.Is(err, errExists):
		class = store.Exists
	case errors.Is(err, fs.ErrNotExist):
		class = store.NotFound
	case badKey || errors.Is(err, errUnknownHeader):
		class = store.Poison
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		class = store.Throttled
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, errors.ErrUnsupported):
		class = store.Configuration
	}
	return &store.Error{Op: op, Key: key, Class: class, Err: err}
}

func (s *Store) lock(key string) *sync.Mutex {
	h := uint32(2166136261) // FNV-1a
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return &s.locks[h%uint32(len(s.locks))]
}
