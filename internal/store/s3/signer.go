package s3

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signer is the SDK's signer, replaced when the secret of an access key changes: the SDK's (v1.48.0)
// keeps the key that it derived for a day under the access key's id alone, and goes on signing with the
// old secret after a mistyped one was corrected. It is safe for concurrent use.
type Signer struct {
	options []func(*v4.SignerOptions)
	last    atomic.Pointer[secretSigner] // nil: never used
}

type secretSigner struct {
	id, secret string
	*v4.Signer
}

// NewSigner makes a signer with options of the SDK's.
func NewSigner(options ...func(*v4.SignerOptions)) *Signer { return &Signer{options: options} }

// SignHTTP is s3.HTTPSignerV4's.
func (s *Signer) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, payloadHash, service, region string, at time.Time, optFns ...func(*v4.SignerOptions)) error {
	last := s.last.Load()
	if last == nil || last.id != c.AccessKeyID || last.secret != c.SecretAccessKey {
		last = &secretSigner{c.AccessKeyID, c.SecretAccessKey, v4.NewSigner(s.options...)}
		s.last.Store(last)
	}
	return last.Signer.SignHTTP(ctx, c, r, payloadHash, service, region, at, optFns...)
}
