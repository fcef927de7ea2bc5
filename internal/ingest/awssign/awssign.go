// Package awssign signs requests to AWS's model services (Signature Version 4) with the credentials that the environment, a
// profile or the machine gives: a client's own signature is over the host that it called, which is the proxy's.
package awssign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"indelible/internal/store/s3"
)

// Options are what a Signer is made of.
type Options struct {
	Region  string // "": what the host or the environment says
	Service string // as signatures name it; "" is bedrock
	Profile string // of the shared configuration; "" leaves it to the environment
	Host    string // that is called
}

// Signer signs requests. It is safe for concurrent use.
type Signer struct {
	region, service string
	credentials     *s3.Credentials
	signer          *s3.Signer
}

// Credentials are what a request is signed with.
type Credentials struct{ found aws.Credentials }

// New makes a signer. It reads the environment and the shared configuration, and asks for no credentials yet.
func New(ctx context.Context, o Options) (*Signer, error) {
	load := func(ctx context.Context) (aws.Config, error) {
		if o.Profile == "" {
			return s3.LoadConfig(ctx)
		}
		return s3.LoadConfig(ctx, awsconfig.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	s := &Signer{region: o.Region, service: o.Service, credentials: s3.NewCredentials(load, ""), signer: s3.NewSigner()}
	if s.service == "" {
		s.service = "bedrock"
	}
	if s.region == "" {
		s.region = regionOf(o.Host)
	}
	if s.region == "" {
		s.region = cfg.Region
	}
	if s.region == "" {
		return nil, errors.New("no region: set the upstream's region, or AWS_REGION")
	}
	return s, nil
}

// regionOf is the region in a host such as bedrock-runtime.us-east-1.amazonaws.com; "" where it has none.
func regionOf(host string) string {
	name, _, _ := strings.Cut(host, ":")
	for _, suffix := range []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws"} {
		if rest, ok := strings.CutSuffix(name, suffix); ok {
			if _, region, ok := strings.Cut(rest, "."); ok && !strings.Contains(region, ".") {
				return region
			}
		}
	}
	return ""
}

// Credentials asks for credentials, which are kept until they expire or are refused, and at most five minutes where they say nothing of an end.
func (s *Signer) Credentials(ctx context.Context) (Credentials, error) {
	c, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{c}, nil
}

// Refused notes that AWS did not accept a signature: credentials are looked for again, at most once in ten seconds.
func (s *Signer) Refused() { s.credentials.Refused() }

// Secrets are the texts that nobody else must see: AWS repeats a session token where it refuses a signature.
func (c Credentials) Secrets() (all []string) {
	for _, v := range []string{c.found.SecretAccessKey, c.found.SessionToken} {
		if v != "" {
			all = append(all, v)
		}
	}
	return all
}

// headers are those of a signature, which the client's own must not have beside ours.
var headers = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Region-Set"}

// Unsigned takes a client's signature out of a request's headers and query.
func Unsigned(h http.Header, rawQuery string) (query string) {
	for _, name := range headers {
		h.Del(name)
	}
	var rest []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		switch strings.ToLower(name) {
		case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature", "x-amz-security-token":
		default:
			rest = append(rest, pair)
		}
	}
	return strings.Join(rest, "&")
}

// ErrNotKept says that a body cannot be read twice, and thus not be hashed first.
var ErrNotKept = errors.New("sign the request: its body was not kept, so that it cannot be hashed first")

// Sign returns a copy of a request with a signature. The body is read through GetBody, and sent as it is; everything but the signature's headers
// goes out as it came.
func (s *Signer) Sign(req *http.Request, c Credentials) (*http.Request, error) {
	sum := sha256.New()
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return nil, ErrNotKept
		}
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("sign the request: %w", err)
		}
		if _, err := io.Copy(sum, body); err != nil {
			return nil, fmt.Errorf("sign the request: %w", err)
		}
		if err := body.Close(); err != nil {
			return nil, fmt.Errorf("sign the request: %w", err)
		}
	}
	signed := req.Clone(req.Context())
	if err := s.signer.SignHTTP(req.Context(), c.found, signed, hex.EncodeToString(sum.Sum(nil)), s.service, s.region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	out := req.WithContext(req.Context())
	out.Header, out.Host = signed.Header, signed.Host // without the port that is the scheme's own, as it was signed
	return out, nil
}
