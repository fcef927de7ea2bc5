package s3

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/smithy-go/logging"
)

// LoadConfig is what the environment and AWS's shared configuration say. It logs nothing, and no error of its credentials repeats a secret.
func LoadConfig(ctx context.Context, opts ...func(*awsconfig.LoadOptions) error) (aws.Config, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx, append(opts, awsconfig.WithLogger(logging.Nop{}))...)
	if err == nil && cfg.Credentials != nil {
		cfg.Credentials = discreet{cfg.Credentials}
	}
	return cfg, err
}

// discreet is a provider whose errors do not hold what a credential_process printed: the SDK (credentials v1) quotes all of it
// where it is not the JSON that was expected, and the secret is in it.
type discreet struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (d discreet) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := d.CredentialsProvider.Retrieve(ctx)
	if e, ok := errors.AsType[*processcreds.ProviderError](err); ok && strings.Contains(e.Error(), "process output: ") {
		err = errOutput
	}
	return c, err
}

var errOutput = errors.New("the output of credential_process is not the JSON that AWS documents for it, and is not shown, because a secret may be in it: run the command by hand, and have it print nothing else")
