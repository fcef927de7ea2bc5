package s3

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Retention is when a lifecycle rule of the bucket is to remove records.
type Retention struct {
	After time.Duration // zero: never
	Base  string        // what stands before packs/ and _indelible/ in the bucket
}

// day is what lifecycle rules count in.
const day = 24 * time.Hour

// lifecycle compares the bucket's rules with the retention that is configured: it shows the one that is missing, and
// finds those that would remove records too early, or the log.
func (c checker) lifecycle(ctx context.Context) bool {
	const name = "lifecycle"
	if c.cfg.Retention.After <= 0 {
		return true
	}
	var rules []types.LifecycleRule
	x, err := c.ask(ctx, opGet, func(ctx context.Context) error {
		out, err := c.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &c.cfg.Bucket})
		if err == nil {
			rules = out.Rules
		}
		return err
	})
	if err != nil && x.status != http.StatusNotFound {
		return c.warn(name, "allow s3:GetLifecycleConfiguration, to see it here", "not known: %v", err)
	}
	v := judgeRules(rules, c.cfg.Retention)
	switch {
	case v.wrong != "":
		c.fail(name, v.remedy, "%s", v.wrong)
		return true // records are stored all the same
	case v.missing:
		return c.warn(name, "add this rule: "+ruleFor(c.cfg.Retention), "no rule removes packs after %s", inDays(c.cfg.Retention.After))
	}
	return c.ok(name, "%s", v.found)
}

// rulesFinding is what judgeRules found.
type rulesFinding struct {
	wrong, remedy string
	missing       bool
	found         string
}

// judgeRules says what a bucket's rules mean for records and the log.
func judgeRules(rules []types.LifecycleRule, want Retention) rulesFinding {
	v := rulesFinding{missing: true}
	for i := range rules {
		r := &rules[i]
		if r.Status != types.ExpirationStatusEnabled || r.Expiration == nil {
			continue
		}
		id, prefix, all := aws.ToString(r.ID), rulePrefix(r), ruleTakesAll(r)
		expires := r.Expiration.Days != nil || r.Expiration.Date != nil
		if !expires {
			continue
		}
		proof, packs := want.Base+"_indelible/", want.Base+"packs/"
		switch {
		case !ruleByTag(r) && overlap(prefix, proof):
			v.wrong = fmt.Sprintf("the rule %q removes objects below %s: that is the signed log itself", id, proof)
			v.remedy = "give the rule a prefix that leaves " + proof + " out, such as " + packs
			return v
		case !overlap(prefix, packs):
		case r.Expiration.Days == nil:
			v.wrong, v.remedy = fmt.Sprintf("the rule %q removes packs on a date, however young they are", id), "give it days in place of the date"
			return v
		case time.Duration(*r.Expiration.Days)*day < want.After:
			v.wrong = fmt.Sprintf("the rule %q removes packs after %d days, and destination.retain is %s", id, *r.Expiration.Days, inDays(want.After))
			v.remedy = "raise its days, or lower destination.retain"
			return v
		case all && strings.HasPrefix(packs, prefix):
			v.missing, v.found = false, fmt.Sprintf("the rule %q removes packs after %d days", id, *r.Expiration.Days)
		}
	}
	return v
}

// overlap says whether keys can begin with both.
func overlap(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// rulePrefix is what the keys begin with that a rule is about.
func rulePrefix(r *types.LifecycleRule) string {
	switch f := r.Filter; {
	case f == nil:
		//lint:ignore SA1019 buckets still have rules of the older form
		return aws.ToString(r.Prefix)
	case f.And != nil:
		return aws.ToString(f.And.Prefix)
	default:
		return aws.ToString(f.Prefix)
	}
}

// ruleTakesAll says whether a rule is about every object below its prefix, whatever its tags and size.
func ruleTakesAll(r *types.LifecycleRule) bool {
	f := r.Filter
	if f == nil {
		return true
	}
	if f.And != nil {
		return len(f.And.Tags) == 0 && f.And.ObjectSizeGreaterThan == nil && f.And.ObjectSizeLessThan == nil
	}
	return f.Tag == nil && f.ObjectSizeGreaterThan == nil && f.ObjectSizeLessThan == nil
}

// ruleByTag says whether a rule is about tagged objects alone: of the log, only what passes has a tag.
func ruleByTag(r *types.LifecycleRule) bool {
	f := r.Filter
	return f != nil && (f.Tag != nil || f.And != nil && len(f.And.Tags) > 0)
}

// ruleFor is the rule that removes packs, in the form of aws s3api put-bucket-lifecycle-configuration. It is a day
// late, so that the leaf that says so comes first.
func ruleFor(r Retention) string {
	days := int((r.After+day-1)/day) + 1
	return fmt.Sprintf(`{"ID":"indelible-retain","Status":"Enabled","Filter":{"Prefix":%q},"Expiration":{"Days":%d}}`, r.Base+"packs/", days)
}

func inDays(d time.Duration) string {
	if d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
