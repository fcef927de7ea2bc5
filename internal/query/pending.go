package query

import (
	"context"
	"iter"

	"indelible/internal/record"
)

// Pending is what is durable here and perhaps not in the store yet. *spool.Spool is one.
type Pending interface {
	// Lookup finds the newest record sent under bucket and key, among those not
	// released and those parked.
	Lookup(ctx context.Context, bucket, key string) (record.Entry, bool, error)
	// Entry finds a record by its number, among the same.
	Entry(ctx context.Context, seq record.Seq) (record.Entry, bool, error)
	// Keys yields the newest record of each key in bucket that starts with prefix
	// and is greater than after, in the byte order of keys. Memory does not grow with the backlog.
	Keys(ctx context.Context, bucket, prefix, after string) iter.Seq2[record.Info, error]
	// Released is the seq up to which records were released: what Lookup finds
	// at or below it was parked, and a newer one may be in the store.
	Released() record.Seq
	// Buckets yields the names of the buckets seen, with the time of the first record, sorted; durable over restarts and releases.
	Buckets(ctx context.Context) iter.Seq2[record.Bucket, error]
}
