// Package s3store is the store of a log in S3, for programs that use package
// indelible: it brings the AWS SDK, which that package does not.
package s3store

import (
	"context"

	"indelible"
	"indelible/internal/store/s3"
)

// Config names the bucket, and how its objects are kept. Only Bucket is
// required; credentials come from the AWS SDK's chain.
type Config = s3.Config

// ObjectLock keeps every object version from being deleted for a while.
type ObjectLock = s3.ObjectLock

// Open prepares the store. It makes no connection: whatever is wrong with the
// destination shows when records are delivered, and none is lost by it.
func Open(ctx context.Context, cfg Config) (indelible.Store, error) {
	s, err := s3.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return bucket{s, cfg}, nil
}

// bucket is a store that says where it is, for errors that name it.
type bucket struct {
	*s3.Store
	cfg Config
}

// Location is what the command line calls the store: --to, --endpoint and --region.
func (b bucket) Location() (url, endpoint, region string) {
	return "s3://" + b.cfg.Bucket, b.cfg.Endpoint, b.cfg.Region
}
