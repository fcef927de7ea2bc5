package s3

import (
	"context"
	"fmt"
	"iter"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"indelible/internal/store"
)

const opVersions = "list versions"

// Versions yields the versions of the objects below prefix that are not the
// newest, or lie behind a delete marker: by key, and for each the newest first. A bucket that
// keeps no versions has none. It makes one attempt for each page, and ends after the first error.
func (s *Store) Versions(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		in := &s3.ListObjectVersionsInput{Bucket: &s.cfg.Bucket, Prefix: optional(prefix), EncodingType: types.EncodingTypeUrl}
		for {
			var out *s3.ListObjectVersionsOutput
			err := onTime(func() (err error) {
				out, err = s.versionsPage(ctx, in, prefix)
				return err
			})
			if err != nil {
				yield(store.Info{}, err)
				return
			}
			for i := range out.Versions {
				info, err := versionInfo(&out.Versions[i], out.EncodingType)
				if err != nil {
					yield(store.Info{}, &store.Error{Op: opVersions, Key: prefix, Class: store.Ambiguous, Err: err})
					return
				}
				if !aws.ToBool(out.Versions[i].IsLatest) && !yield(info, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				return
			}
			if out.NextKeyMarker != nil {
				next, err := listedName(*out.NextKeyMarker, out.EncodingType)
				if err != nil {
					yield(store.Info{}, &store.Error{Op: opVersions, Key: prefix, Class: store.Ambiguous, Err: err})
					return
				}
				out.NextKeyMarker = &next
			}
			if aws.ToString(out.NextKeyMarker) == aws.ToString(in.KeyMarker) && aws.ToString(out.NextVersionIdMarker) == aws.ToString(in.VersionIdMarker) {
				yield(store.Info{}, &store.Error{Op: opVersions, Key: prefix, Class: store.Ambiguous, Err: fmt.Errorf("the list does not go on behind %q", aws.ToString(in.KeyMarker))})
				return
			}
			in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
		}
	}
}

func (s *Store) versionsPage(ctx context.Context, in *s3.ListObjectVersionsInput, prefix string) (*s3.ListObjectVersionsOutput, error) {
	if err := callerGone(ctx, opVersions, prefix); err != nil {
		return nil, err
	}
	x := &exchange{payload: emptyPayload}
	attempt, watch := newWatch(context.WithValue(ctx, exchangeKey{}, x), s.cfg.timeout(), 0)
	defer watch.stop()
	out, err := s.client.ListObjectVersions(attempt, in)
	if err != nil {
		return nil, s.failed(ctx, attempt, opVersions, prefix, x, err)
	}
	return out, nil
}

func versionInfo(v *types.ObjectVersion, encoding types.EncodingType) (store.Info, error) {
	key, err := listedName(aws.ToString(v.Key), encoding)
	if err != nil {
		return store.Info{}, err
	}
	return store.Info{
		Key: key, Size: aws.ToInt64(v.Size), ETag: trimETag(aws.ToString(v.ETag)), ModTime: aws.ToTime(v.LastModified), Version: aws.ToString(v.VersionId),
	}, nil
}

// listedName is a key as a list spells it.
func listedName(name string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return name, nil
	}
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return "", fmt.Errorf("a name in the list: %w", err)
	}
	return plain, nil
}
