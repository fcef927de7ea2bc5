package query

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"indelible/internal/record"
	"indelible/internal/store"
)

// opener opens an object's body. The store is asked at the first Read.
func (r *Reader) opener(obj store.Info, want record.Digest) func() (io.ReadSeekCloser, error) {
	return func() (io.ReadSeekCloser, error) {
		return newBody(r.store, obj, want), nil
	}
}

func newBody(s store.Store, obj store.Info, want record.Digest) *body {
	return &body{store: s, obj: obj, want: want, sum: sha256.New()}
}

// body reads an object and, where it is read from its start to its end,
// checks it against its digest. It is for one goroutine.
type body struct {
	store store.Store
	obj   store.Info
	want  record.Digest // zero: unknown

	at   int64         // where the next Read is
	open io.ReadCloser // nil, or the object from at on
	sum  hash.Hash     // of the bytes before at, nil once the reader has jumped
}

func (b *body) Read(p []byte) (int, error) {
	if b.at >= b.obj.Size {
		return 0, b.end()
	}
	if b.open == nil {
		// The reader's lifetime is bounded by Close, not by the call that opened it.
		open, info, err := b.store.Get(context.Background(), b.obj.Key, store.GetOptions{Version: b.obj.Version, From: b.at})
		if err != nil {
			return 0, err
		}
		b.open = open
		if info.Size != b.obj.Size {
			return 0, fmt.Errorf("read %s: %w", b.obj.Key, errChanged)
		}
	}
	n, err := b.open.Read(p)
	b.at += int64(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	if err == io.EOF {
		if b.at < b.obj.Size {
			return n, io.ErrUnexpectedEOF
		}
		err = b.end()
	}
	return n, err
}

// end is io.EOF, or what is wrong with the body.
func (b *body) end() error {
	if b.sum != nil && b.at == b.obj.Size && b.want != (record.Digest{}) && record.Digest(b.sum.Sum(nil)) != b.want {
		return fmt.Errorf("read %s: SHA-256 is not %s: %w", b.obj.Key, b.want, errChanged)
	}
	return io.EOF
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.obj.Size
	}
	if offset < 0 {
		return b.at, fmt.Errorf("seek %s: before its start", b.obj.Key)
	}
	if offset == b.at {
		return b.at, nil
	}
	err := b.Close()
	b.at, b.sum = offset, nil
	if offset == 0 {
		b.sum = sha256.New()
	}
	return b.at, err
}

func (b *body) Close() error {
	if b.open == nil {
		return nil
	}
	err := b.open.Close()
	b.open = nil
	return err
}
