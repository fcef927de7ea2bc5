package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
)

// Config says which bucket and how its objects are to be kept. Only Bucket is
// needed; everything else has a sensible zero.
type Config struct {
	Bucket string
	// Endpoint is the URL of a server that is not AWS; it is addressed path
	// style. "" is AWS, or what AWS_ENDPOINT_URL_S3 and the profile say.
	Endpoint string
	Region   string // "": AWS_REGION, the profile, else us-east-1
	// AssumeRole is the ARN of a role to take on with the credentials of the chain.
	AssumeRole string

	SSE          string // "", "AES256", "aws:kms" or "aws:kms:dsse"
	KMSKeyID     string // with aws:kms; "" is the account's default key
	StorageClass string // "": the bucket's default
	Tags         map[string]string
	Retention    Retention // what Check compares the bucket's lifecycle rules with
	ObjectLock   ObjectLock

	// Uploader names the log whose records are sent: every request to the bucket
	// says it in x-indelible-uploader, so that a door that would send its own records to
	// itself refuses them. "" sends no such header.
	Uploader string

	// AttemptTimeout is how long an attempt may go without a byte moving;
	// 0 is DefaultAttemptTimeout. On top of it, an attempt as a whole ends after
	// AttemptTimeout and a second for each 64 KiB of body.
	AttemptTimeout time.Duration
	// MaxConns bounds the idle connections kept; 0 is 256. It does not bound
	// the calls in flight: that is the caller's pace.
	MaxConns int
	// Transport replaces the connection pool, for tests.
	Transport http.RoundTripper
}

// ObjectLock keeps every object version from being deleted for a while.
type ObjectLock struct {
	Mode   string        // "", "GOVERNANCE" or "COMPLIANCE"
	Retain time.Duration // from the moment of the Put
}

// DefaultAttemptTimeout is how long an attempt may be silent.
const DefaultAttemptTimeout = 15 * time.Second

// slowest is the rate, in bytes a second, below which a whole attempt is given up.
const slowest = 64 << 10

// check finds what no store would accept, so that it fails at start and not at the first record.
func (c Config) check() error {
	if c.Bucket == "" {
		return errors.New("no bucket")
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("endpoint %q is no http or https URL", c.Endpoint)
		}
	}
	switch c.SSE {
	case "", "AES256", "aws:kms", "aws:kms:dsse":
	default:
		return fmt.Errorf("sse %q is none of AES256, aws:kms, aws:kms:dsse", c.SSE)
	}
	if c.KMSKeyID != "" && c.SSE != "aws:kms" && c.SSE != "aws:kms:dsse" {
		return errors.New("kms_key_id needs sse aws:kms")
	}
	switch c.ObjectLock.Mode {
	case "":
	case "GOVERNANCE", "COMPLIANCE":
		if c.ObjectLock.Retain <= 0 {
			return errors.New("object_lock needs retain, a duration above zero")
		}
	default:
		return fmt.Errorf("object_lock mode %q is neither GOVERNANCE nor COMPLIANCE", c.ObjectLock.Mode)
	}
	return nil
}

// load is the SDK's view of the environment and the profile. What they hold of
// credentials is not asked for here, but by the first call that needs it.
func (c Config) load(ctx context.Context) (aws.Config, error) {
	var opts []func(*awsconfig.LoadOptions) error
	if c.Region != "" {
		opts = append(opts, awsconfig.WithRegion(c.Region))
	}
	cfg, err := LoadConfig(ctx, opts...)
	if err != nil {
		return aws.Config{}, err
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	return cfg, nil
}

// pool is the connection pool: the SDK's own, which knows AWS_CA_BUNDLE and the
// proxy of the environment, kept to HTTP/1.1 (S3 speaks nothing else) and sized
// for many calls to one host.
func (c Config) pool(base aws.HTTPClient) http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	bc, ok := base.(*awshttp.BuildableClient)
	if !ok {
		bc = awshttp.NewBuildableClient()
	}
	t := bc.GetTransport()
	conns := c.MaxConns
	if conns <= 0 {
		conns = 256
	}
	t.DialContext = (&net.Dialer{Timeout: min(10*time.Second, c.timeout()), KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = min(10*time.Second, c.timeout())
	t.MaxIdleConns, t.MaxIdleConnsPerHost = conns, conns
	t.MaxConnsPerHost = 0
	t.IdleConnTimeout = 60 * time.Second
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.DisableCompression = true // an object is stored as it is, and read as it is
	return t
}

func (c Config) timeout() time.Duration {
	if c.AttemptTimeout > 0 {
		return c.AttemptTimeout
	}
	return DefaultAttemptTimeout
}
