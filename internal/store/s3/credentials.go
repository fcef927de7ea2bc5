package s3

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// credentialsError marks an error as one of finding credentials, not of the call that needed them.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "find credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// chain finds credentials where the SDK looks for them: environment, profile,
// SSO, web identity, process, container, instance. It looks again each time it is
// asked, so that a rotated credentials file is seen without a restart.
type chain struct{ cfg Config }

func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	cfg, err := c.cfg.load(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err}
	}
	provider := cfg.Credentials
	if c.cfg.AssumeRole != "" {
		provider = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.cfg.AssumeRole, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "indelible"
		})
	}
	creds, err := provider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err}
	}
	if !creds.CanExpire { // from a file or the environment: look again, before the store refuses them
		creds.CanExpire, creds.Expires = true, time.Now().Add(rereadEvery)
	}
	return creds, nil
}

// rereadEvery is how long credentials that say nothing of an end are used without looking again.
const rereadEvery = 5 * time.Minute

// HandleFailToRefresh keeps credentials in use whose source cannot be read at the
// moment: a file may be half written while it is rotated.
func (chain) HandleFailToRefresh(_ context.Context, last aws.Credentials, err error) (aws.Credentials, error) {
	if !last.HasKeys() {
		return aws.Credentials{}, err
	}
	last.Expires = time.Now().Add(rereadEvery)
	return last, nil
}

// refreshEvery bounds how often a refusal makes us look for other credentials.
const refreshEvery = 10 * time.Second

// credentials is the chain with its last find cached until it expires or is refused.
type credentials struct {
	*aws.CredentialsCache
	refresh seldom
}

func newCredentials(cfg Config) *credentials {
	return &credentials{refresh: seldom{every: refreshEvery}, CredentialsCache: aws.NewCredentialsCache(chain{cfg}, func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow = time.Minute
	})}
}

// refused notes that the store did not accept the cached credentials: the next
// call looks for others, at most once in refreshEvery however many calls fail.
func (c *credentials) refused() {
	if c.refresh.due() {
		c.Invalidate()
	}
}
