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
type chain struct {
	load func(context.Context) (aws.Config, error)
	role string // taken on with what was found; "" takes on none
}

func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	cfg, err := c.load(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err}
	}
	provider := cfg.Credentials
	if c.role != "" {
		provider = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.role, func(o *stscreds.AssumeRoleOptions) {
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

// Credentials are those that AWS's configuration leads to. They are kept until they expire or are refused; such as say nothing of an end, as
// those of a file, for five minutes. They are safe for concurrent use.
type Credentials struct {
	*aws.CredentialsCache
	refresh seldom
}

// NewCredentials takes them from the configuration that load gives, which is asked each time they are looked for. With role, the ARN of
// one, they are those of that role. It looks for nothing yet.
func NewCredentials(load func(context.Context) (aws.Config, error), role string) *Credentials {
	return &Credentials{refresh: seldom{every: refreshEvery}, CredentialsCache: aws.NewCredentialsCache(chain{load, role}, func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow = time.Minute
	})}
}

// Refused notes that AWS, or the store, did not accept the credentials: the next call looks for others, at most once in ten seconds
// however many calls fail.
func (c *Credentials) Refused() {
	if c.refresh.due() {
		c.Invalidate()
	}
}
