package replay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Store is another store into which records are put: each under its key, with the headers and metadata that its sender gave it.
type Store struct {
	Store store.Store
	Names layout.Objects
	Log   string
}

// Put puts a record, unless the same bytes are there already. Where other bytes have its key, it gets the name that it would have
// in the layout of objects: name~<seq>. refused says why the store does not take this one; err says that nothing is known of what became of
// it, and the same call may be made again.
func (s *Store) Put(ctx context.Context, info record.Info, body []byte) (refused, err error) {
	plain := s.Names.Key(info.Bucket, info.Key)
	for _, name := range [...]string{plain, s.Names.Variant(plain, info.Seq)} {
		o := s.Names.Object(info, name, s.Log)
		o.Key, o.Body, o.Size, o.Digest = name, bytes.NewReader(body), int64(len(body)), sha256.Sum256(body)
		_, err := s.Store.Put(ctx, o)
		switch {
		case err == nil:
			return nil, nil
		case store.ClassOf(err) == store.Poison:
			return err, nil
		case store.ClassOf(err) != store.Exists:
			return nil, fmt.Errorf("put record %d: %w", info.Seq, err)
		}
		same, err := s.same(ctx, name, o)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", name, err)
		}
		if same {
			return nil, nil
		}
	}
	return fmt.Errorf("%s and its variant hold other bytes", plain), nil
}

// same says whether an object holds these bytes.
func (s *Store) same(ctx context.Context, name string, o store.Object) (bool, error) {
	info, err := s.Store.Head(ctx, name, store.GetOptions{})
	if err != nil {
		return false, err
	}
	if info.Size != o.Size {
		return false, nil
	}
	if info.Digest != (record.Digest{}) {
		return info.Digest == o.Digest, nil
	}
	body, _, err := s.Store.Get(ctx, name, store.GetOptions{})
	if err != nil {
		return false, err
	}
	defer func() { _ = body.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return false, err
	}
	return record.Digest(h.Sum(nil)) == o.Digest, nil
}
