package s3_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// The rule that is missing is shown; one that is too early, or removes the log, is a fault.
func TestLifecycle(t *testing.T) {
	server := testserver.Moto(t)
	retain := s3.Config{Retention: s3.Retention{After: 180 * 24 * time.Hour, Base: "llm/"}}
	finding := func() s3.Finding { return check(t, open(t, server, retain))["lifecycle"] }
	if f := finding(); f.State != s3.Warning || !strings.Contains(f.Remedy, `"Prefix":"llm/packs/"},"Expiration":{"Days":181}`) {
		t.Errorf("without a rule: %+v", f)
	}
	if f, ok := check(t, open(t, server, s3.Config{}))["lifecycle"]; ok {
		t.Errorf("without retention: %+v", f)
	}
	for _, tt := range []struct {
		what   string
		rule   types.LifecycleRule
		want   s3.State
		about  string
		tagged bool
	}{
		{"as it should be", expires(181, "llm/packs/"), s3.OK, "after 181 days", false},
		{"too early", expires(30, "llm/packs/"), s3.Failed, "after 30 days", false},
		{"too early for some hours", expires(30, "llm/packs/dt=2026"), s3.Failed, "after 30 days", false},
		{"the whole bucket", expires(365, ""), s3.Failed, "the signed log itself", false},
		{"the log", expires(365, "llm/_indelible/"), s3.Failed, "the signed log itself", false},
		{"elsewhere", expires(1, "tmp/"), s3.Warning, "no rule", false},
		{"partial tiles alone", expires(30, "llm/_indelible/"), s3.Warning, "no rule", true},
	} {
		if tt.tagged {
			tt.rule.Filter = &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("llm/_indelible/"), Tags: []types.Tag{{Key: aws.String("indelible"), Value: aws.String("partial")}}}}
		}
		_, err := admin(server).PutBucketLifecycleConfiguration(t.Context(), &sdk.PutBucketLifecycleConfigurationInput{
			Bucket: &server.Bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{tt.rule}},
		})
		if err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		if f := finding(); f.State != tt.want || !strings.Contains(f.Found, tt.about) {
			t.Errorf("%s: %+v", tt.what, f)
		}
	}
}

func expires(days int32, prefix string) types.LifecycleRule {
	return types.LifecycleRule{ID: aws.String("r"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix}, Expiration: &types.LifecycleExpiration{Days: &days}}
}
