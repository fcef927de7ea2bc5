package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"indelible/internal/record"
	"indelible/internal/store"
)

// readBackEvery is how many objects a store may confirm without its answer to the
// PUT repeating the checksum, until one is read back. Such a store may not have
// compared the checksum either, and then nothing but reading finds bytes that changed on the way.
const readBackEvery = 64

// confirmation is what was learned of how the store confirms. It is safe for concurrent use.
type confirmation struct {
	how   atomic.Pointer[store.Confirmation] // nil: nothing was confirmed yet
	count atomic.Uint64                      // objects confirmed otherwise than by ByChecksum
}

func (c *confirmation) get() store.Confirmation {
	if how := c.how.Load(); how != nil {
		return *how
	}
	return ""
}

func (c *confirmation) learn(how store.Confirmation) {
	if c.get() != how {
		c.how.Store(&how)
	}
}

// Confirmation is how the store confirmed the last Put; "" before the first.
func (s *Store) Confirmation() store.Confirmation { return s.confirms.get() }

// confirm resolves a 200 with an ETag and without the checksum, which is how many
// stores answer a PUT. The ETag that is the MD5 of what was sent confirms it; so does
// the SHA-256 in the answer to a HEAD; where the store tells neither, the object is read.
func (s *Store) confirm(ctx context.Context, o store.Object, etag, sum string) error {
	isMD5 := sum != "" && strings.EqualFold(etag, sum)
	how := store.ByETag
	if !isMD5 {
		// An ETag that was the MD5 so far and is not now is a hint at other bytes: the
		// checksum that HEAD tells may be the one that was sent, and never compared.
		doubtful := s.confirms.get() == store.ByETag && len(etag) == len(sum)
		var err error
		if how, err = s.confirmByHead(ctx, o, etag); err != nil {
			return err
		}
		if doubtful {
			how = store.ByReading
		}
	}
	if s.confirms.count.Add(1)%readBackEvery == 1 || how == store.ByReading {
		if err := s.readBack(ctx, o); err != nil {
			return err
		}
	}
	s.confirms.learn(how)
	return nil
}

// confirmByHead asks for the object. ByReading: what it says of itself does not confirm it.
func (s *Store) confirmByHead(ctx context.Context, o store.Object, etag string) (store.Confirmation, error) {
	info, err := s.Head(ctx, o.Key, store.GetOptions{})
	switch {
	case store.ClassOf(err) == store.NotFound:
		return "", ambiguousPut(o.Key, errors.New("the store answered 200 and does not have the object"))
	case err != nil:
		return "", err
	case info.ETag != etag || info.Size != o.Size:
		return "", ambiguousPut(o.Key, errors.New("the answers to PUT and HEAD do not agree"))
	case info.Digest == o.Digest:
		return store.ByHead, nil
	case info.Digest != record.Digest{}:
		return "", ambiguousPut(o.Key, errUnconfirmed)
	}
	return store.ByReading, nil
}

// readBack reads what was just stored and compares it with what was sent.
func (s *Store) readBack(ctx context.Context, o store.Object) error {
	body, _, err := s.Get(ctx, o.Key, store.GetOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	h := sha256.New()
	if _, err = io.Copy(h, body); err != nil {
		return err
	}
	if record.Digest(h.Sum(nil)) != o.Digest {
		return ambiguousPut(o.Key, fmt.Errorf("read back: %w", store.ErrOtherBytes))
	}
	return nil
}

func ambiguousPut(key string, err error) error {
	return &store.Error{Op: opPut, Key: key, Class: store.Ambiguous, Status: 200, Err: err}
}

// hexSum is the MD5 of what was read of the body, or "" where nobody counted.
func (b *body) hexSum() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sum == nil || b.summed != b.size {
		return ""
	}
	return hex.EncodeToString(b.sum.Sum(nil))
}
