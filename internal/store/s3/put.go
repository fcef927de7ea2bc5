package s3

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"indelible/internal/store"
)

// errUnconfirmed is a 200 that does not say what was stored.
var errUnconfirmed = errors.New("the answer lacks the ETag or the checksum of what was sent")

// Put stores one object in one attempt. A 200 without an ETag, or with another
// checksum than the one that was sent, is Ambiguous: it is what a proxy in between
// answers, or a server that keeps other bytes. A store that leaves the checksum out of
// its answer is asked whether it has the object before Put returns: see confirm.
func (s *Store) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if err := callerGone(ctx, opPut, o.Key); err != nil {
		return store.Info{}, err
	}
	if _, err := o.Body.Seek(0, io.SeekStart); err != nil {
		return store.Info{}, &store.Error{Op: opPut, Key: o.Key, Class: store.Unknown, Err: fmt.Errorf("body: %w", err)}
	}
	in, opts, err := s.putInput(o)
	if err != nil {
		return store.Info{}, &store.Error{Op: opPut, Key: o.Key, Class: store.Poison, Err: err}
	}
	x := &exchange{payload: o.Digest.String()}
	attempt, watch := newWatch(context.WithValue(ctx, exchangeKey{}, x), s.cfg.timeout(), o.Size)
	defer watch.stop()
	b := &body{r: o.Body, watch: watch, size: o.Size}
	if how := s.confirms.get(); how != "" && how != store.ByChecksum {
		b.sum = md5.New()
	}
	in.Body = b
	out, err := s.client.PutObject(attempt, in, opts...)
	bodyErr := b.detach()
	switch {
	case err == nil && aws.ToString(out.ETag) != "" && parseDigest(out.ChecksumSHA256) == o.Digest:
		s.confirms.learn(store.ByChecksum)
		return putInfo(o, out), nil
	case err == nil && aws.ToString(out.ETag) != "" && aws.ToString(out.ChecksumSHA256) == "":
		if err := s.confirm(ctx, o, trimETag(*out.ETag), b.hexSum()); err != nil {
			return store.Info{}, err
		}
		return putInfo(o, out), nil
	case err == nil:
		err = errUnconfirmed
	case bodyErr != nil && x.status == 0 && ctx.Err() == nil:
		return store.Info{}, &store.Error{Op: opPut, Key: o.Key, Class: store.Unknown, Err: fmt.Errorf("body: %w", bodyErr)}
	}
	return store.Info{}, s.failed(ctx, attempt, opPut, o.Key, x, err)
}

func (s *Store) putInput(o store.Object) (*s3.PutObjectInput, []func(*s3.Options), error) {
	if o.Key == "" || len(o.Key) > store.MaxKey {
		return nil, nil, fmt.Errorf("a key of %d bytes: want 1 to %d", len(o.Key), store.MaxKey)
	}
	in := &s3.PutObjectInput{
		Bucket:         &s.cfg.Bucket,
		Key:            &o.Key,
		ContentLength:  &o.Size,
		ChecksumSHA256: aws.String(encodeDigest(o.Digest)),
		StorageClass:   types.StorageClass(s.cfg.StorageClass),
		Metadata:       encodeMeta(o.Meta),
		Tagging:        optional(s.tagging),
	}
	if len(o.Tags) > 0 {
		in.Tagging = optional(encodeTags(s.cfg.Tags, o.Tags))
	}
	switch {
	case o.Condition.Any:
	case o.Condition.Match != "":
		in.IfMatch = aws.String(`"` + o.Condition.Match + `"`)
	default:
		in.IfNoneMatch = aws.String("*")
	}
	if s.cfg.SSE != "" {
		in.ServerSideEncryption = types.ServerSideEncryption(s.cfg.SSE)
		in.SSEKMSKeyId = optional(s.cfg.KMSKeyID)
		if s.cfg.SSE == "aws:kms" {
			in.BucketKeyEnabled = aws.Bool(true) // one call to KMS for many objects
		}
	}
	if lock := s.cfg.ObjectLock; lock.Mode != "" && !o.NoLock {
		in.ObjectLockMode = types.ObjectLockMode(lock.Mode)
		in.ObjectLockRetainUntilDate = aws.Time(time.Now().UTC().Add(lock.Retain))
	}
	opts, err := putHeaders(in, o.Header)
	return in, opts, err
}

// putHeaders sets the object's HTTP headers.
func putHeaders(in *s3.PutObjectInput, header map[string]string) (opts []func(*s3.Options), err error) {
	for name, value := range header {
		value := encodeValue(value)
		switch name {
		case "cache-control":
			in.CacheControl = &value
		case "content-disposition":
			in.ContentDisposition = &value
		case "content-encoding":
			in.ContentEncoding = &value
		case "content-language":
			in.ContentLanguage = &value
		case "content-type":
			in.ContentType = &value
		case "expires": // the SDK would take only a date, and senders send "0"
			opts = append(opts, s3.WithAPIOptions(smithyhttp.SetHeaderValue(textproto.CanonicalMIMEHeaderKey(name), value)))
		default:
			return nil, fmt.Errorf("header %q is none that an object has", name)
		}
	}
	return opts, nil
}

func putInfo(o store.Object, out *s3.PutObjectOutput) store.Info {
	return store.Info{
		Key:     o.Key,
		Size:    o.Size,
		ETag:    trimETag(aws.ToString(out.ETag)),
		Digest:  o.Digest,
		ModTime: time.Now().UTC(),
		Version: aws.ToString(out.VersionId),
		Header:  o.Header,
		Meta:    o.Meta,
	}
}
