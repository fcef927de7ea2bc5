package dir

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"sync"

	"indelible/internal/store"
)

// Names yields the keys that List would, without reading anything of the objects, and those of symbolic links.
func (s *Store) Names(ctx context.Context, o store.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		o.Delimiter = ""
		for key, err := range s.keys(ctx, ".", "", true, o) {
			if err != nil {
				yield("", fail("list", o.Prefix, err))
				return
			}
			if !yield(key, nil) {
				return
			}
		}
	}
}

// dirOpener is a file system that can keep a directory open.
type dirOpener interface {
	OpenDir(name string) (read func(name string, buf []byte, limit int64) ([]byte, error), close func() error, err error)
}

// Bulk is for reading very many objects. read appends the bytes of one to buf, up to
// limit of them, and describes it as Get does. It keeps directories open until done is called, so what is moved
// meanwhile may be read where it was. Any error means: ask Get; and so does less than was expected, as a
// file system may give a file in pieces.
func (s *Store) Bulk() (read func(ctx context.Context, key string, buf []byte, limit int64) ([]byte, store.Info, error), done func() error) {
	b := bulk{store: s, open: map[string]*openDir{}}
	b.opener, _ = s.disk.(dirOpener)
	return b.read, b.close
}

// bulk is the directories that are open. It is safe for concurrent use.
type bulk struct {
	store  *Store
	opener dirOpener

	mu   sync.RWMutex
	open map[string]*openDir
}

type openDir struct {
	read  func(name string, buf []byte, limit int64) ([]byte, error)
	close func() error
}

// maxOpen is how many directories are kept open.
const maxOpen = 256

// errAskGet says that the quick way does not lead there.
var errAskGet = errors.New("ask Get")

func (b *bulk) read(ctx context.Context, key string, buf []byte, limit int64) ([]byte, store.Info, error) {
	if err := ctx.Err(); err != nil {
		return buf, store.Info{}, err
	}
	at := len(buf)
	buf, attrs, err := b.attributes(key, buf)
	if err != nil {
		return buf[:at], store.Info{}, err
	}
	dir, name, err := b.store.split(key)
	if err != nil {
		return buf[:at], store.Info{}, err
	}
	buf, err = b.file(path.Join(".", dir), name, buf[:at], limit)
	return buf, attrs.info(key), err
}

// attributes reads the attributes of an object by way of buf, from its end on.
func (b *bulk) attributes(key string, buf []byte) ([]byte, attributes, error) {
	if b.opener == nil || check(key) != nil {
		return buf, attributes{}, errAskGet
	}
	at := len(buf)
	dir, name, err := b.store.split(key)
	if err != nil {
		return buf, attributes{}, err
	}
	buf, err = b.file(metaDir+"/"+dir, name, buf, maxAttributes)
	if err != nil {
		return buf, attributes{}, err
	}
	attrs, ok := decodeAttributes(buf[at:])
	if !ok {
		return buf, attributes{}, errAskGet
	}
	return buf, attrs, nil
}

// split is the directory and the name of the file in which the object under key lies, nearly always.
func (s *Store) split(key string) (dir, name string, err error) {
	list, err := s.names(key)
	if err != nil {
		return "", "", err
	}
	return path.Join(list[:len(list)-1]...), list[len(list)-1], nil
}

// maxAttributes is how long a file of attributes may be to be read this way.
const maxAttributes = 64 << 10

// file appends a file, up to limit bytes of it.
func (b *bulk) file(dir, name string, buf []byte, limit int64) ([]byte, error) {
	d, err := b.dir(path.Clean(dir))
	if err != nil {
		return buf, err
	}
	return d.read(name, buf, limit)
}

func (b *bulk) dir(name string) (*openDir, error) {
	b.mu.RLock()
	d := b.open[name]
	b.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.open[name]; d != nil {
		return d, nil
	}
	if len(b.open) >= maxOpen { // whoever uses one of them now asks Get
		for name, d := range b.open {
			_ = d.close()
			delete(b.open, name)
		}
	}
	read, closeDir, err := b.opener.OpenDir(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errAskGet
		}
		return nil, err
	}
	d = &openDir{read, closeDir}
	b.open[name] = d
	return d, nil
}

func (b *bulk) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	for _, d := range b.open {
		err = errors.Join(err, d.close())
	}
	clear(b.open)
	return err
}
