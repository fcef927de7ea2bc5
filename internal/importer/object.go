package importer

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
)

// class is what an object is to a run.
type class int

const (
	fresh    class = iota // it becomes a record
	known                 // it is one by an earlier run
	own                   // one of our logs wrote it
	reserved              // its key lies where a log has its own objects
	gone                  // it was removed while the list was read
)

// item is one object on its way through a run.
type item struct {
	key   string
	size  int64
	info  store.Info
	class class
	body  []byte // of a short one
	err   error  // why it is not taken
	line  line   // what the manifest says of it
	had   *line  // what it said of it before; nil: nothing
	// These are no objects:
	end     error  // the list ended with this error
	carried []line // what an earlier run noted, and is not listed any more
}

// longer bodies are streamed, one at a time.
const shortBody = 1 << 20

// objectsAhead is how many objects are read before they are needed.
const objectsAhead = 16

// ahead lists the objects behind what the manifest has, and reads short ones before they are needed.
func (r *run) ahead(ctx context.Context) <-chan chan *item {
	queue := make(chan chan *item, objectsAhead)
	r.reading.Go(func() {
		defer close(queue)
		put := func(do func() *item) bool {
			one := make(chan *item, 1)
			select {
			case queue <- one:
			case <-ctx.Done():
				return false
			}
			r.reading.Go(func() { one <- do() })
			return true
		}
		carry := func(lines []line) bool { return put(func() *item { return &item{carried: lines} }) }
		after := r.manifest.cursor
		err := retry(ctx, func() error {
			for info, err := range r.Store.List(ctx, store.ListOptions{Prefix: r.Prefix, After: after}) {
				if err != nil {
					return err
				}
				after = info.Key
				before, err := r.manifest.before(info.Key, carry)
				if err != nil {
					return err
				}
				if !put(func() *item { return r.look(ctx, info, before) }) {
					return ctx.Err()
				}
			}
			_, err := r.manifest.before("", carry)
			return err
		})
		if err != nil && ctx.Err() == nil {
			put(func() *item {
				return &item{end: fmt.Errorf("list %s: %w; the same call goes on from there", r.Source, err)}
			})
		}
	})
	return queue
}

// look finds out what an object is, and reads it if it is short.
func (r *run) look(ctx context.Context, listed store.Info, before *line) *item {
	it := &item{key: listed.Key, size: listed.Size, info: listed}
	bucket, key, ok := r.Key(listed.Key)
	if reservedKey(listed.Key) || !ok {
		it.class = reserved
		return it
	}
	if !utf8.ValidString(listed.Key) {
		it.err = errors.New("its key is no UTF-8")
		return it
	}
	if before != nil && before.ETag != "" && before.ETag == listed.ETag && before.Size == listed.Size {
		it.class, it.line = known, *before
		return it
	}
	if d, ok := r.manifest.doubted[recordKey{bucket, key}]; ok && before == nil {
		d.Key = listed.Key
		before = &d
	}
	it.had = before
	err := retry(ctx, func() error { return r.read(ctx, it, before != nil) })
	switch {
	case store.ClassOf(err) == store.NotFound:
		it.class = gone
		return it
	case store.ClassOf(err) == store.Archived:
		it.err = fmt.Errorf("its bytes are archived: restore it, and run this again (%w)", err)
		return it
	case transient(err):
		it.end = fmt.Errorf("read %s: %w; the same call goes on from there", listed.Key, err)
		return it
	case err != nil:
		it.err = err
		return it
	}
	for name := range it.info.Meta {
		if strings.HasPrefix(name, layout.MetaOwn) {
			it.class, it.body = own, nil
			return it
		}
	}
	if it.size > record.MaxBody {
		it.err = fmt.Errorf("it has %d bytes, and a record has at most %d", it.size, int64(record.MaxBody))
		return it
	}
	sum := it.line.SHA256
	it.line = line{Key: it.key, Size: it.info.Size, ETag: it.info.ETag, Version: it.info.Version, Modified: it.info.ModTime.UTC(), SHA256: sum}
	if before != nil && before.SHA256 == sum {
		it.class, it.line.Seq = known, before.Seq
	}
	return it
}

// read gets an object: its description, the bytes of a short one, and the digest of one that may be known.
func (r *run) read(ctx context.Context, it *item, digest bool) error {
	if r.Dry && !digest || it.size > shortBody && !digest {
		info, err := r.Store.Head(ctx, it.key, store.GetOptions{})
		it.info, it.size = info, info.Size
		return err
	}
	body, info, err := r.Store.Get(ctx, it.key, store.GetOptions{})
	if err != nil {
		return err
	}
	it.info, it.size = info, info.Size
	sum := sha256.New()
	var n int64
	if info.Size > shortBody {
		n, err = io.Copy(sum, body)
	} else {
		var b bytes.Buffer
		n, err = io.Copy(io.MultiWriter(&b, sum), io.LimitReader(body, shortBody+1))
		it.body = b.Bytes()
		if it.body == nil {
			it.body = []byte{}
		}
	}
	if err := errors.Join(err, body.Close()); err != nil {
		return &store.Error{Op: "get", Key: it.key, Class: store.Ambiguous, Err: err}
	}
	if n != info.Size {
		return &store.Error{Op: "get", Key: it.key, Class: store.Ambiguous, Err: fmt.Errorf("%d bytes came, not %d", n, info.Size)}
	}
	it.line.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if info.Digest != (record.Digest{}) && it.line.SHA256 != info.Digest.String() {
		return fmt.Errorf("its bytes have SHA-256 %s, and the store says %s: the object is damaged", it.line.SHA256, info.Digest)
	}
	return nil
}

// record is what an object becomes. Its body is there if the object is short.
func (it *item) record(r *run) record.Record {
	info, _ := r.Objects.Info(it.info)
	bucket, key, _ := r.Key(it.key)
	attrs := record.Attrs{}
	for _, a := range info.Attrs {
		if strings.HasPrefix(a.Name, "x-amz-meta-") || layout.KeptHeader(a.Name) {
			attrs = append(attrs, a)
		}
	}
	attrs = append(attrs, record.Attr{Name: record.AttrModified, Value: it.info.ModTime.UTC().Format(time.RFC3339Nano)})
	sum := md5.New()
	one := record.Record{Door: Door, Source: r.Source, Bucket: bucket, Key: key, Attrs: attrs, Size: it.info.Size}
	want := it.info.Digest
	one.Seal = func(got record.Digest, _ int64) (record.Attrs, error) {
		if want != (record.Digest{}) && got != want {
			return nil, fmt.Errorf("the object's bytes have SHA-256 %s, and the store says %s: it is damaged", got, want)
		}
		if it.body == nil {
			return nil, nil
		}
		sum.Write(it.body)
		return record.Attrs{{Name: record.AttrMD5, Value: hex.EncodeToString(sum.Sum(nil))}}, nil
	}
	if it.body != nil {
		one.Body = bytes.NewReader(it.body)
	}
	return one
}
