package s3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"indelible/internal/record"
	"indelible/internal/store"
)

// askChecksum asks for the checksum without the SDK's own check, which would
// take the checksum of the whole for that of a range.
func askChecksum(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Amz-Checksum-Mode", "ENABLED"))
}

// Get opens an object. Where the store knows the object's SHA-256, the body of a
// whole Get ends in an Ambiguous error instead of io.EOF when its bytes are others.
// A body that stops coming for the attempt timeout fails as Ambiguous too.
func (s *Store) Get(ctx context.Context, key string, o store.GetOptions) (body io.ReadCloser, info store.Info, err error) {
	err = onTime(func() error {
		body, info, err = s.get(ctx, key, o)
		return err
	})
	return body, info, err
}

func (s *Store) get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if err := callerGone(ctx, opGet, key); err != nil {
		return nil, store.Info{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &key, VersionId: optional(o.Version)}
	ranged := o.From > 0 || o.To > 0
	if ranged {
		in.Range = aws.String(byteRange(o.From, o.To))
	}
	x := &exchange{payload: emptyPayload}
	attempt, watch := newWatch(context.WithValue(ctx, exchangeKey{}, x), s.cfg.timeout(), 0)
	out, err := s.client.GetObject(attempt, in, askChecksum)
	if err != nil {
		err = s.failed(ctx, attempt, opGet, key, x, err)
		watch.stop()
		return nil, store.Info{}, err
	}
	if out.ETag == nil {
		_ = out.Body.Close()
		watch.stop()
		return nil, store.Info{}, &store.Error{Op: opGet, Key: key, Class: store.Ambiguous, Status: x.status, Err: errNoObject}
	}
	info := store.Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: trimETag(aws.ToString(out.ETag)),
		Digest: wholeDigest(out.ChecksumSHA256, out.ChecksumType), ModTime: aws.ToTime(out.LastModified), Version: aws.ToString(out.VersionId),
		Header: headers(out.CacheControl, out.ContentDisposition, out.ContentEncoding, out.ContentLanguage, out.ContentType, out.ExpiresString),
		Meta:   decodeMeta(out.Metadata),
	}
	r := &reader{body: out.Body, watch: watch, failed: func(err error) error {
		if gone := callerGone(ctx, opGet, key); gone != nil {
			return gone
		}
		if cause := context.Cause(attempt); cause == errSilent {
			err = cause
		}
		return &store.Error{Op: opGet, Key: key, Class: store.Ambiguous, Err: err}
	}}
	if ranged {
		if info.Size, err = rangeTotal(aws.ToString(out.ContentRange)); err != nil {
			r.Close()
			return nil, store.Info{}, &store.Error{Op: opGet, Key: key, Class: store.Ambiguous, Status: x.status, Err: err}
		}
	} else if info.Digest != (record.Digest{}) {
		r.sum, r.want = sha256.New(), info.Digest
	}
	return r, info, nil
}

// errNoObject is a 200 of somebody in between.
var errNoObject = errors.New("the answer has no ETag: something between here and the store answers in its place")

func byteRange(from, to int64) string {
	if to <= 0 {
		return fmt.Sprintf("bytes=%d-", from)
	}
	return fmt.Sprintf("bytes=%d-%d", from, to-1)
}

// rangeTotal is the whole's size in "bytes 0-9/100".
func rangeTotal(s string) (int64, error) {
	_, total, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("content-range %q does not say the size", s)
	}
	return n, nil
}

// reader is the body of a Get. It belongs to one goroutine.
type reader struct {
	body   io.ReadCloser
	watch  *watch
	failed func(error) error
	sum    hash.Hash // nil: nothing to compare
	want   record.Digest
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if n > 0 {
		r.watch.moved()
	}
	if r.sum != nil {
		r.sum.Write(p[:n])
	}
	if err == io.EOF && (r.sum == nil || record.Digest(r.sum.Sum(nil)) == r.want) {
		return n, err
	}
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		err = store.ErrOtherBytes
	}
	return n, r.failed(err)
}

func (r *reader) Close() error {
	err := r.body.Close()
	r.watch.stop()
	return err
}

// Head describes an object. A missing bucket looks like a missing key here,
// since the answer to a HEAD has no body; the next Put tells them apart.
func (s *Store) Head(ctx context.Context, key string, o store.GetOptions) (info store.Info, err error) {
	err = onTime(func() (err error) {
		info, err = s.head(ctx, key, o)
		return err
	})
	return info, err
}

func (s *Store) head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	if err := callerGone(ctx, opHead, key); err != nil {
		return store.Info{}, err
	}
	x := &exchange{payload: emptyPayload}
	attempt, watch := newWatch(context.WithValue(ctx, exchangeKey{}, x), s.cfg.timeout(), 0)
	defer watch.stop()
	out, err := s.client.HeadObject(attempt, &s3.HeadObjectInput{
		Bucket: &s.cfg.Bucket, Key: &key, VersionId: optional(o.Version), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return store.Info{}, s.failed(ctx, attempt, opHead, key, x, err)
	}
	if out.ETag == nil {
		return store.Info{}, &store.Error{Op: opHead, Key: key, Class: store.Ambiguous, Status: x.status, Err: errNoObject}
	}
	return store.Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: trimETag(aws.ToString(out.ETag)),
		Digest: wholeDigest(out.ChecksumSHA256, out.ChecksumType), ModTime: aws.ToTime(out.LastModified), Version: aws.ToString(out.VersionId),
		Header: headers(out.CacheControl, out.ContentDisposition, out.ContentEncoding, out.ContentLanguage, out.ContentType, out.ExpiresString),
		Meta:   decodeMeta(out.Metadata),
	}, nil
}

// wholeDigest is the object's SHA-256, where the checksum is not one of parts.
func wholeDigest(sum *string, of types.ChecksumType) record.Digest {
	if of == types.ChecksumTypeComposite {
		return record.Digest{}
	}
	return parseDigest(sum)
}

func headers(cacheControl, disposition, encoding, language, contentType, expires *string) map[string]string {
	h := make(map[string]string, 2)
	set := func(name string, value *string) {
		if value != nil && *value != "" {
			h[name] = decodeValue(*value)
		}
	}
	set("cache-control", cacheControl)
	set("content-disposition", disposition)
	set("content-encoding", encoding)
	set("content-language", language)
	set("content-type", contentType)
	set("expires", expires)
	return h
}

func decodeMeta(meta map[string]string) map[string]string {
	out := make(map[string]string, len(meta))
	for name, value := range meta {
		out[strings.ToLower(name)] = decodeValue(value)
	}
	return out
}
