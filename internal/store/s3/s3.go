// Package s3 keeps objects in an S3 bucket through the AWS SDK: one attempt per
// call, If-None-Match by default, the record's SHA-256 sent as checksum and
// confirmed before a Put counts, and every failure classified. It never retries and never
// decides: a Put that is Ambiguous may have stored the object, and the caller
// finds out by Head. Nothing but this package knows the SDK.
package s3

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Names of the operations in errors.
const (
	opPut  = "put"
	opGet  = "get"
	opHead = "head"
	opList = "list"
)

// Store is a bucket. It is safe for concurrent use.
type Store struct {
	cfg       Config
	sdk       aws.Config
	client    *s3.Client
	creds     *Credentials
	transport http.RoundTripper
	tagging   string // cfg.Tags, encoded
	renewal   seldom
	confirms  confirmation
}

var _ store.Store = (*Store)(nil)

// Open prepares a store. It makes no connection and asks for no credentials:
// whatever is wrong with the destination is an error of the calls, so that a
// daemon starts, and acks, while it is down. Only a Config that no store could
// accept is an error here.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open s3 store: %w", err)
	}
	sdk, err := cfg.load(ctx)
	if err != nil {
		// A broken profile: the calls say so, as a fault of the credentials, until it is mended.
		sdk = aws.Config{Region: cfg.Region}
		if sdk.Region == "" {
			sdk.Region = "us-east-1"
		}
	}
	s := &Store{cfg: cfg, creds: NewCredentials(cfg.load, cfg.AssumeRole), renewal: seldom{every: renewEvery}, tagging: encodeTags(cfg.Tags, nil)}
	s.transport = cfg.pool(sdk.HTTPClient)
	sdk.Credentials = s.creds
	sdk.HTTPClient = wire{s.transport, cfg.Uploader}
	s.sdk = sdk
	s.client = s3.NewFromConfig(sdk, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		o.UsePathStyle = o.BaseEndpoint != nil
		o.Retryer = aws.NopRetryer{}
		o.RetryMaxAttempts = 1
		o.Logger = logging.Nop{}
		o.HTTPSignerV4 = NewSigner(func(o *v4.SignerOptions) {
			o.DisableURIPathEscaping = true // as S3 has it: the path is escaped once
		})
		// We send and check SHA-256 ourselves: no CRC of the SDK's, no second pass over the body.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		o.DisableS3ExpressSessionAuth = aws.Bool(false)
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(payloadMiddleware{}, middleware.Before)
		})
	})
	return s, nil
}

// renewEvery bounds how often the pool is emptied.
const renewEvery = time.Second

// failed turns what an attempt ended with into the caller's error, and does what
// the next attempt needs: other credentials after a refusal, another connection
// (and with it perhaps another host of the store) after a throttle.
func (s *Store) failed(ctx, attempt context.Context, op, key string, x *exchange, err error) error {
	if gone := callerGone(ctx, op, key); gone != nil {
		return gone
	}
	if cause := context.Cause(attempt); cause == errSilent {
		err = cause
	}
	e := failure(op, key, x, err)
	switch {
	case e.Class == store.Credentials && e.Status != 0:
		s.creds.Refused()
	case e.Class == store.Throttled:
		s.renew()
	}
	return e
}

// renew closes the idle connections, at most once in renewEvery.
func (s *Store) renew() {
	if !s.renewal.due() {
		return
	}
	if t, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// encodeTags is the x-amz-tagging value of both maps; own beats configured.
func encodeTags(configured, own map[string]string) string {
	v := url.Values{}
	for name, value := range configured {
		v.Set(name, value)
	}
	for name, value := range own {
		v.Set(name, value)
	}
	return v.Encode()
}

func encodeDigest(d record.Digest) string { return base64.StdEncoding.EncodeToString(d[:]) }

// parseDigest reads a checksum header. The checksum of a multipart object ("...-3") is none of the whole.
func parseDigest(s *string) record.Digest {
	var d record.Digest
	if s == nil {
		return d
	}
	b, err := base64.StdEncoding.DecodeString(*s)
	if err != nil || len(b) != len(d) {
		return d
	}
	return record.Digest(slices.Clone(b))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
