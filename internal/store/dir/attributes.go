package dir

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
	"indelible/internal/store"
)

// attributes are what a file of attributes holds, as JSON.
type attributes struct {
	Version int               `json:"v"`
	Size    int64             `json:"size"`
	SHA256  string            `json:"sha256"`
	MD5     string            `json:"md5"`
	Time    time.Time         `json:"time"`
	Header  map[string]string `json:"header,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`

	Digest record.Digest `json:"-"` // SHA256, decoded
}

// AttributesVersion is the version of the files of attributes, which lie beside the objects.
const AttributesVersion = 1

func (a attributes) info(key string) store.Info {
	return store.Info{Key: key, Size: a.Size, ETag: a.MD5, Digest: a.Digest, ModTime: a.Time, Header: a.Header, Meta: a.Meta}
}

// same says whether two objects show the same headers and metadata.
func (a attributes) same(b attributes) bool {
	return store.AttrsDigest(a.Header, a.Meta) == store.AttrsDigest(b.Header, b.Meta)
}

// objectHeaders are the headers that an object can have.
var objectHeaders = [...]string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}

var errUnknownHeader = errors.New("no header of an object")

// errMismatch says that the body is not what its digest and size announced.
var errMismatch = errors.New("the body does not match its size and SHA-256; nothing was stored")

// write puts the body into a temporary file and on the disk, and checks it
// against the object's digest on the way.
func (s *Store) write(ctx context.Context, o store.Object) (string, attributes, error) {
	for name := range o.Header {
		if !slices.Contains(objectHeaders[:], name) {
			return "", attributes{}, fmt.Errorf("%q: %w", name, errUnknownHeader)
		}
	}
	if err := s.mkdir(tmpDir); err != nil {
		return "", attributes{}, err
	}
	tmp := s.tmpFile()
	file, err := s.disk.Create(tmp)
	if errors.Is(err, fs.ErrNotExist) {
		s.forget()
		err = errRemoved
	}
	if err != nil {
		return "", attributes{}, err
	}
	at, err := copyBody(ctx, file, o)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		_ = s.disk.Remove(tmp)
		return "", attributes{}, err
	}
	at.Time, at.Header, at.Meta, at.Tags = time.Now().UTC(), maps.Clone(o.Header), maps.Clone(o.Meta), maps.Clone(o.Tags)
	return tmp, at, nil
}

func copyBody(ctx context.Context, file disk.File, o store.Object) (attributes, error) {
	sha, sum := sha256.New(), md5.New()
	buf := make([]byte, min(max(o.Size, 1), 256<<10))
	var size int64
	for {
		n, err := o.Body.Read(buf)
		if n > 0 {
			sha.Write(buf[:n])
			sum.Write(buf[:n])
			if _, err := file.WriteAt(buf[:n], size); err != nil {
				return attributes{}, err
			}
			size += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return attributes{}, err
		}
	}
	at := hashed(size, sha.Sum(nil), sum.Sum(nil))
	if size != o.Size || at.Digest != o.Digest {
		return attributes{}, errMismatch
	}
	return at, nil
}

func hashed(size int64, sha, sum []byte) attributes {
	at := attributes{Version: AttributesVersion, Size: size, SHA256: hex.EncodeToString(sha), MD5: hex.EncodeToString(sum)}
	copy(at.Digest[:], sha)
	return at
}

// digest reads an object that tells nothing of itself. Such an object has no time.
func digest(file disk.File) (attributes, error) {
	size, err := file.Size()
	if err != nil {
		return attributes{}, err
	}
	sha, sum := sha256.New(), md5.New()
	if _, err := io.Copy(io.MultiWriter(sha, sum), io.NewSectionReader(file, 0, size)); err != nil {
		return attributes{}, err
	}
	return hashed(size, sha.Sum(nil), sum.Sum(nil)), nil
}

// describe writes the attributes of the object under key; fs.ErrExist if it has some.
func (s *Store) describe(key string, at attributes) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	tmp := s.tmpFile()
	file, err := s.disk.Create(tmp)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(text, 0)
	if err == nil {
		err = file.Sync()
	}
	name := ""
	if err = errors.Join(err, file.Close()); err == nil {
		name, err = s.placeIn(metaDir, key, tmp, s.disk.Link)
	}
	if err = errors.Join(err, s.disk.Remove(tmp)); err != nil {
		return err
	}
	return s.disk.SyncDir(path.Dir(name))
}

// attributes reads them; fs.ErrNotExist if there are none.
func (s *Store) attributes(key string) (attributes, error) {
	at, _, err := s.attributesIn(key)
	return at, err
}

// attributesIn is attributes, with the name of their file.
func (s *Store) attributesIn(key string) (attributes, string, error) {
	name, file, err := s.findIn(metaDir, key)
	if err != nil {
		return attributes{}, "", err
	}
	at, err := readAttributes(file)
	return at, name, errors.Join(err, file.Close())
}

// maxAttributesRead is how long a file of attributes may be: more than headers of any length that a server takes give.
const maxAttributesRead = 4 << 20

func readAttributes(file disk.File) (attributes, error) {
	size, err := file.Size()
	if err != nil {
		return attributes{}, err
	}
	if size > maxAttributesRead {
		return attributes{}, fmt.Errorf("attributes: %d bytes: not written by this store", size)
	}
	var at attributes
	if err := json.NewDecoder(io.NewSectionReader(file, 0, size)).Decode(&at); err != nil {
		return attributes{}, fmt.Errorf("attributes: %w", err)
	}
	sha, err := hex.DecodeString(at.SHA256)
	if err != nil || len(sha) != len(at.Digest) || at.Version != AttributesVersion {
		return attributes{}, fmt.Errorf("attributes: version %d with SHA-256 %q: not written by this store", at.Version, at.SHA256)
	}
	copy(at.Digest[:], sha)
	return at, nil
}

func (s *Store) tmpFile() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tmp++
	return tmpDir + "/" + strconv.FormatInt(s.start, 36) + "-" + strconv.FormatUint(s.tmp, 36)
}
