package s3

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A rule that spares by size spares none of the log: its full tiles are as long as anything.
func TestRuleBySizeRemovesTheLog(t *testing.T) {
	for _, f := range []types.LifecycleRuleFilter{
		{ObjectSizeGreaterThan: aws.Int64(1)},
		{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("llm/"), ObjectSizeLessThan: aws.Int64(1 << 20)}},
	} {
		rule := types.LifecycleRule{Status: types.ExpirationStatusEnabled, Filter: &f, Expiration: &types.LifecycleExpiration{Days: aws.Int32(365)}}
		if v := judgeRules([]types.LifecycleRule{rule}, Retention{After: 180 * day, Base: "llm/"}); !strings.Contains(v.wrong, "the signed log itself") {
			t.Errorf("%+v", v)
		}
	}
}
