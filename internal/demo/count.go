package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Count is what one way of sending has come to, as counted in its bucket.
type Count struct {
	Name     string `json:"name"`
	Sent     int    `json:"sent"`
	Answered int    `json:"answered"` // records whose sender was told that they are safe
	Missing  int    `json:"missing"`  // records that were sent, and are not in the bucket with their bytes
	Twice    int    `json:"twice"`    // objects beyond one for each record
	Again    int    `json:"sent_again"`
	Attempts int    `json:"most_attempts"` // of one record
}

// countLost compares a bucket with what was sent.
func countLost(ctx context.Context, s *sender, sent map[string]record.Digest, bucket store.Store) (Count, error) {
	t := Count{Name: s.name, Sent: len(sent), Answered: s.count(), Again: s.again, Attempts: s.most}
	found := 0
	for info, err := range bucket.List(ctx, store.ListOptions{}) {
		if err != nil {
			return t, err
		}
		if strings.HasPrefix(info.Key, "_indelible/") { // the log over the records
			continue
		}
		want, ok := sent[info.Key]
		if !ok {
			t.Twice++
			continue
		}
		got, err := digestOf(ctx, bucket, info.Key)
		if err != nil {
			return t, err
		}
		if got == want {
			found++
		}
	}
	t.Missing = len(sent) - found
	return t, nil
}

func digestOf(ctx context.Context, bucket store.Store, key string) (d record.Digest, err error) {
	body, _, err := bucket.Get(ctx, key, store.GetOptions{})
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return d, err
	}
	return record.Digest(h.Sum(nil)), nil
}

// forge flips one bit of a stored record where that changes its meaning and leaves it
// well-formed: in the number of its tokens. It returns what stood there and what stands there now.
func forge(file string) (was, is string, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	const name = `"total_tokens":`
	at := bytes.Index(b, []byte(name))
	if at < 0 {
		return "", "", fmt.Errorf("%s has no %s", file, name)
	}
	digits := at + len(name)
	end := digits + bytes.IndexAny(b[digits:], ",}")
	if _, _, err := flip(file, int64(digits)); err != nil {
		return "", "", err
	}
	was = string(b[at:end])
	b[digits] ^= 1
	return was, string(b[at:end]), nil
}
