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
	"path"
	"sync"
	"syscall"
	"time"

	"indelible/internal/disk"
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
	locks [64]sync.Mutex // by key: Put, and reads that find no attributes

	start int64 // names this Store's temporary files

	mu   sync.Mutex
	made map[string]bool // directories known to be durable, at most maxMade
	tmp  uint64          // counts temporary files
}

const maxMade = 10_000

var _ store.Store = (*Store)(nil)

// Open is the store in the root of fsys. It touches nothing before the first Put.
func Open(fsys disk.FS) *Store {
	return &Store{disk: fsys, made: map[string]bool{}, start: time.Now().UnixNano()}
}

// Put is store.Store's.
func (s *Store) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if err := check(o.Key); err != nil {
		return store.Info{}, fail("put", o.Key, err)
	}
	if err := ctx.Err(); err != nil {
		return store.Info{}, err
	}
	tmp, at, err := s.write(ctx, o)
	if err != nil {
		return store.Info{}, fail("put", o.Key, err)
	}
	info, err := s.commit(o, tmp, at)
	if err != nil {
		_ = s.disk.Remove(tmp) // what is left of it is swept at a later start
		return store.Info{}, fail("put", o.Key, err)
	}
	return info, nil
}

// commit gives the written body and its attributes their names.
func (s *Store) commit(o store.Object, tmp string, at attributes) (store.Info, error) {
	lock := s.lock(o.Key)
	lock.Lock()
	defer lock.Unlock()
	if o.Condition.Any || o.Condition.Match != "" {
		return s.replace(o, tmp, at)
	}
	name, err := s.place(o.Key, tmp, s.disk.Link)
	switch {
	case errors.Is(err, fs.ErrExist):
		if err := s.complete(o.Key, at); err != nil {
			return store.Info{}, err
		}
		err = s.disk.Remove(tmp)
	case err == nil:
		err = errors.Join(s.disk.Remove(tmp), s.disk.SyncDir(path.Dir(name)))
	}
	if err != nil {
		return store.Info{}, err
	}
	if err := s.describe(o.Key, at); err != nil && !errors.Is(err, fs.ErrExist) {
		return store.Info{}, err
	}
	return at.info(o.Key), nil
}

// errExists is the condition that did not hold.
var errExists = errors.New("the key is taken")

// complete checks that the object under key is a Put of at's bytes that a crash cut before
// its attributes were written; any other object makes it fail with errExists.
func (s *Store) complete(key string, at attributes) error {
	if _, err := s.attributes(key); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errExists, err)
	}
	name, file, err := s.find(key)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	there, err := digest(file)
	if err != nil {
		return err
	}
	if there.Digest != at.Digest {
		return errExists
	}
	return s.disk.SyncDir(path.Dir(name))
}

// replace overwrites an object. Its attributes go first, so that at no moment
// the new bytes stand beside the old attributes.
func (s *Store) replace(o store.Object, tmp string, at attributes) (store.Info, error) {
	if o.Condition.Match != "" {
		info, err := s.stated(o.Key)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return store.Info{}, err
		}
		if info.ETag != o.Condition.Match {
			return store.Info{}, errExists
		}
	}
	if meta, file, err := s.findIn(metaDir, o.Key); err == nil {
		if err := errors.Join(file.Close(), s.disk.Remove(meta), s.disk.SyncDir(path.Dir(meta))); err != nil {
			return store.Info{}, err
		}
	}
	name, err := s.place(o.Key, tmp, s.disk.Rename)
	if err != nil {
		return store.Info{}, err
	}
	if err := s.disk.SyncDir(path.Dir(name)); err != nil {
		return store.Info{}, err
	}
	if err := s.describe(o.Key, at); err != nil {
		return store.Info{}, err
	}
	return at.info(o.Key), nil
}

// Get is store.Store's.
func (s *Store) Get(_ context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	info, err := s.head(key, o)
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
	info, err := s.head(key, o)
	if err != nil {
		return store.Info{}, fail("head", key, err)
	}
	return info, nil
}

func (s *Store) head(key string, o store.GetOptions) (store.Info, error) {
	if err := check(key); err != nil {
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
	return s.stated(key)
}

// errNoAttributes says that there is an object with no file of attributes.
var errNoAttributes = errors.New("no attributes")

// stat describes the object under key from its file of attributes.
func (s *Store) stat(key string) (store.Info, error) {
	at, err := s.attributes(key)
	if err == nil {
		return at.info(key), nil
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
func (s *Store) stated(key string) (store.Info, error) {
	info, err := s.stat(key)
	if !errors.Is(err, errNoAttributes) {
		return info, err
	}
	_, file, err := s.find(key)
	if err != nil {
		return store.Info{}, err
	}
	defer func() { _ = file.Close() }()
	at, err := digest(file)
	if err != nil {
		return store.Info{}, err
	}
	return at.info(key), nil
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
	switch {
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
