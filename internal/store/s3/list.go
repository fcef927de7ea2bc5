package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"indelible/internal/store"
)

// maxPage is how many names S3 puts on one page at most.
const maxPage = 1000

// List yields the objects page by page, one request each.
func (s *Store) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		in := &s3.ListObjectsV2Input{
			Bucket:       &s.cfg.Bucket,
			Prefix:       optional(o.Prefix),
			StartAfter:   optional(o.After),
			Delimiter:    optional(o.Delimiter),
			EncodingType: types.EncodingTypeUrl, // XML cannot hold every key
		}
		if o.Limit > 0 && o.Limit < maxPage {
			in.MaxKeys = aws.Int32(int32(o.Limit))
		}
		for {
			var page []store.Info
			var next *string
			err := onTime(func() (err error) {
				page, next, err = s.listPage(ctx, in, o)
				return err
			})
			if err != nil {
				yield(store.Info{}, err)
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			in.ContinuationToken, in.StartAfter, in.MaxKeys = next, nil, nil // who wanted few has had them
		}
	}
}

func (s *Store) listPage(ctx context.Context, in *s3.ListObjectsV2Input, o store.ListOptions) (page []store.Info, next *string, err error) {
	if err := callerGone(ctx, opList, o.Prefix); err != nil {
		return nil, nil, err
	}
	x := &exchange{payload: emptyPayload}
	attempt, watch := newWatch(context.WithValue(ctx, exchangeKey{}, x), s.cfg.timeout(), 0)
	defer watch.stop()
	out, err := s.client.ListObjectsV2(attempt, in)
	if err != nil {
		return nil, nil, s.failed(ctx, attempt, opList, o.Prefix, x, err)
	}
	page, err = pageOf(out)
	if out.Name == nil && out.KeyCount == nil {
		err = errNoList
	}
	if err != nil {
		return nil, nil, &store.Error{Op: opList, Key: o.Prefix, Class: store.Ambiguous, Status: x.status, Err: err}
	}
	// A prefix that ends at After, or before it, was listed already.
	page = slices.DeleteFunc(page, func(i store.Info) bool { return o.After != "" && i.Key <= o.After })
	if aws.ToBool(out.IsTruncated) && aws.ToString(out.NextContinuationToken) != "" {
		next = out.NextContinuationToken
	}
	return page, next, nil
}

// errNoList is a 200 of somebody in between: what it lacks is not to be taken for gone.
var errNoList = errors.New("the answer is no list of a bucket: something between here and the store answers in its place")

// pageOf merges a page's objects and common prefixes, which come apart, into the order of their keys.
func pageOf(out *s3.ListObjectsV2Output) ([]store.Info, error) {
	page := make([]store.Info, 0, len(out.Contents)+len(out.CommonPrefixes))
	name := func(s *string) (string, error) {
		if out.EncodingType != types.EncodingTypeUrl {
			return aws.ToString(s), nil
		}
		plain, err := url.QueryUnescape(aws.ToString(s))
		if err != nil {
			return "", fmt.Errorf("a name in the list: %w", err)
		}
		return plain, nil
	}
	for _, c := range out.Contents {
		key, err := name(c.Key)
		if err != nil {
			return nil, err
		}
		page = append(page, store.Info{Key: key, Size: aws.ToInt64(c.Size), ETag: trimETag(aws.ToString(c.ETag)), ModTime: aws.ToTime(c.LastModified)})
	}
	for _, p := range out.CommonPrefixes {
		key, err := name(p.Prefix)
		if err != nil {
			return nil, err
		}
		page = append(page, store.Info{Key: key, Prefix: true})
	}
	slices.SortFunc(page, func(a, b store.Info) int { return cmp.Compare(a.Key, b.Key) })
	return page, nil
}
