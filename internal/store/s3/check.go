package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"indelible/internal/record"
	"indelible/internal/store"
)

// State grades a Finding.
type State string

// The states of a Finding.
const (
	OK      State = "ok"
	Warning State = "warning" // it works, and less is promised than could be
	Failed  State = "failed"  // records will not arrive, or not safely
)

// Finding is one thing that Check looked at.
type Finding struct {
	Name   string // credentials, bucket, clock, write, conditional writes, conditional replace, checksum, missing keys, list, versioning, object lock, lifecycle
	State  State
	Found  string
	Remedy string // "" when all is well
}

// probeBody is what the probe object holds, always.
const probeBody = "indelible doctor: this object shows that records can be stored here.\n"

// Check tries what delivery needs, in the order in which it needs it, and
// reports each finding as it comes; it ends after the first one without which the rest
// makes no sense. It writes one object under probe, always with the same bytes,
// so that there is never more than one, and leaves it.
func (s *Store) Check(ctx context.Context, probe string, report func(Finding)) {
	c := checker{Store: s, report: report}
	_ = c.credentials(ctx) && c.bucket(ctx) && c.write(ctx, probe) && c.missing(ctx, probe) && c.list(ctx, probe)
}

type checker struct {
	*Store
	report func(Finding)
}

func (c checker) ok(name, found string, args ...any) bool {
	c.report(Finding{Name: name, State: OK, Found: fmt.Sprintf(found, args...)})
	return true
}

func (c checker) warn(name, remedy, found string, args ...any) bool {
	c.report(Finding{name, Warning, fmt.Sprintf(found, args...), remedy})
	return true
}

func (c checker) fail(name, remedy, found string, args ...any) bool {
	c.report(Finding{name, Failed, fmt.Sprintf(found, args...), remedy})
	return false
}

// wrong reports err with the remedy of its class.
func (c checker) wrong(name string, err error) bool {
	remedy := "look at the store: it answers, and not as S3 does"
	switch store.ClassOf(err) {
	case store.Throttled:
		remedy = "try again later: the store asks for less"
	case store.Credentials:
		remedy = "give this identity s3:PutObject, s3:GetObject and s3:ListBucket on the bucket, and look at the clock"
	case store.Configuration:
		remedy = "correct the bucket in --to, --region or --endpoint"
	case store.Unreachable:
		remedy = "look at --endpoint, the name server, the proxy and the firewall"
	}
	if cert, ok := errors.AsType[*certificateError](err); ok {
		return c.fail(name, cert.remedy, "%v", cert.err)
	}
	return c.fail(name, remedy, "%v", err)
}

func (c checker) credentials(ctx context.Context) bool {
	const name, remedy = "credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, or a role of the instance or the pod"
	ctx, watch := newWatch(ctx, c.cfg.timeout(), 0)
	defer watch.stop()
	creds, err := c.creds.Retrieve(ctx)
	if cert := aboutCertificate(err, time.Now()); cert != nil {
		return c.fail(name, cert.remedy, "%v", err)
	}
	if err != nil {
		return c.fail(name, remedy, "%v", err)
	}
	found := fmt.Sprintf("%s from %s", creds.AccessKeyID, creds.Source)
	if c.client.Options().BaseEndpoint == nil { // only AWS knows who somebody is
		sdk := c.sdk
		sdk.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
		who, err := sts.NewFromConfig(sdk).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return c.warn(name, "allow sts:GetCallerIdentity, to see here who it is", "%s; who that is: %v", found, err)
		}
		found += ", which is " + aws.ToString(who.Arn)
	}
	return c.ok(name, "%s", found)
}

// ask runs one call of the SDK as one attempt.
func (c checker) ask(ctx context.Context, op string, call func(context.Context) error) (*exchange, error) {
	x := &exchange{payload: emptyPayload}
	attempt, watch := newWatch(context.WithValue(ctx, exchangeKey{}, x), c.cfg.timeout(), 0)
	defer watch.stop()
	if err := call(attempt); err != nil {
		return x, c.Store.failed(ctx, attempt, op, c.cfg.Bucket, x, err)
	}
	return x, nil
}

// skewWarning is how far this clock may be from the store's unremarked.
const skewWarning = time.Minute

func (c checker) bucket(ctx context.Context) bool {
	x, err := c.ask(ctx, opHead, func(ctx context.Context) error {
		_, err := c.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.cfg.Bucket})
		return err
	})
	c.clock(x)
	if x.status == http.StatusNotFound {
		return c.fail("bucket", "make the bucket, or correct its name in --to", "there is no bucket %s", c.cfg.Bucket)
	}
	if err != nil {
		return c.wrong("bucket", err)
	}
	return c.ok("bucket", "%s answers", c.cfg.Bucket) && c.versioning(ctx) && c.locking(ctx) && c.lifecycle(ctx)
}

func (c checker) clock(x *exchange) {
	date, err := http.ParseTime(x.answer.Get("Date"))
	if err != nil {
		return
	}
	const remedy = "set this machine's clock (NTP)"
	switch skew := time.Since(date).Round(time.Second); {
	case skew.Abs() > skewFailed:
		c.fail("clock", remedy, "this clock is %v ahead of the store's; requests are signed with the store's time, and records carry this one", skew)
	case skew.Abs() > skewWarning:
		c.warn("clock", remedy, "this clock is %v ahead of the store's", skew)
	default:
		c.ok("clock", "as the store's")
	}
}

func (c checker) versioning(ctx context.Context) bool {
	var status types.BucketVersioningStatus
	_, err := c.ask(ctx, opGet, func(ctx context.Context) error {
		out, err := c.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.cfg.Bucket})
		if err == nil {
			status = out.Status
		}
		return err
	})
	switch {
	case err != nil:
		return c.warn("versioning", "allow s3:GetBucketVersioning, to see it here", "not known: %v", err)
	case status != types.BucketVersioningStatusEnabled:
		return c.warn("versioning", "switch versioning on: an object that somebody overwrites or deletes can then be brought back", "off")
	}
	return c.ok("versioning", "on")
}

func (c checker) locking(ctx context.Context) bool {
	enabled := false
	x, err := c.ask(ctx, opGet, func(ctx context.Context) error {
		out, err := c.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &c.cfg.Bucket})
		if err == nil {
			enabled = out.ObjectLockConfiguration != nil && out.ObjectLockConfiguration.ObjectLockEnabled == types.ObjectLockEnabledEnabled
		}
		return err
	})
	wanted := c.cfg.ObjectLock.Mode != ""
	none := x.status == http.StatusNotFound || err == nil && !enabled
	switch {
	case none && wanted:
		return c.fail("object lock", "create a new bucket with Object Lock, or take destination.object_lock away", "the bucket has no Object Lock, and every locked object will be refused")
	case none:
		return c.warn("object lock", "use a bucket with Object Lock and destination.object_lock where nobody may delete records", "off")
	case err != nil:
		return c.warn("object lock", "allow s3:GetBucketObjectLockConfiguration, to see it here", "not known: %v", err)
	case !wanted:
		return c.warn("object lock", "set destination.object_lock, unless the bucket's own default retention is what you want", "on, and no retention is asked for")
	}
	return c.ok("object lock", "on; %s for %v", c.cfg.ObjectLock.Mode, c.cfg.ObjectLock.Retain)
}

// write puts the probe twice: a store that takes it the second time does not know conditions.
func (c checker) write(ctx context.Context, probe string) bool {
	put := func() error {
		_, err := c.Put(ctx, store.Object{
			Key: probe, Body: bytes.NewReader([]byte(probeBody)), Size: int64(len(probeBody)), Digest: sha256.Sum256([]byte(probeBody)),
			Header: map[string]string{"content-type": "text/plain"}, NoLock: true,
		})
		return err
	}
	if err := put(); errors.Is(err, errUnconfirmed) || errors.Is(err, store.ErrOtherBytes) {
		return c.fail("write", "look at the store, and at every proxy in between: it does not keep what is sent", "%v", err)
	} else if err != nil && store.ClassOf(err) != store.Exists {
		return c.wrong("write", err)
	}
	c.ok("write", "%s is there", probe)
	switch err := put(); {
	case err == nil:
		return c.fail("conditional writes", "use a store that enforces If-None-Match: here a retry, or another writer, overwrites records", "the store overwrote an object that it should have kept")
	case store.ClassOf(err) != store.Exists:
		return c.wrong("conditional writes", err)
	}
	c.ok("conditional writes", "enforced")
	return c.replace(ctx, probe) && c.checksum(ctx, probe)
}

// replace tries to replace the probe as one that it is not: a log's checkpoint is replaced only if it is still the one that
// its writer knows, which is what keeps two writers apart. Nothing is written where the store enforces that.
func (c checker) replace(ctx context.Context, probe string) bool {
	const name, remedy = "conditional replace", "use a store that enforces If-Match: here two writers of one log, or a data directory put back from a backup, may overwrite each other's checkpoint; run one writer only"
	_, err := c.Put(ctx, store.Object{
		Key: probe, Body: bytes.NewReader([]byte(probeBody)), Size: int64(len(probeBody)), Digest: sha256.Sum256([]byte(probeBody)),
		Header: map[string]string{"content-type": "text/plain"}, NoLock: true, Condition: store.Condition{Match: "00000000000000000000000000000000"},
	})
	e, ok := errors.AsType[*store.Error](err)
	switch {
	case err == nil:
		return c.warn(name, remedy, "the store replaced an object that is not the one that was named (If-Match)")
	case ok && e.Class == store.Exists:
		return c.ok(name, "enforced (If-Match)")
	case ok && e.Status == http.StatusNotImplemented:
		return c.warn(name, remedy, "the store knows no If-Match: %v", err)
	}
	return c.wrong(name, err)
}

// checksum looks at what the store does with the SHA-256 that is sent with an object:
// compare it, keep it, repeat it.
func (c checker) checksum(ctx context.Context, probe string) bool {
	want := sha256.Sum256([]byte(probeBody))
	info, err := c.Head(ctx, probe, store.GetOptions{})
	switch {
	case err != nil:
		return c.wrong("checksum", err)
	case info.Digest != want && info.Digest != record.Digest{}:
		return c.fail("checksum", "look at the proxy in between; or delete the probe, if somebody else wrote it", "the store tells another SHA-256 of %s", probe)
	}
	wrong := sha256.Sum256([]byte("other bytes"))
	_, err = c.Put(ctx, store.Object{
		Key: probe + ".wrong", Body: bytes.NewReader([]byte(probeBody)), Size: int64(len(probeBody)), Digest: wrong,
		Header: map[string]string{"content-type": "text/plain"}, NoLock: true,
	})
	if e, ok := errors.AsType[*store.Error](err); !ok || e.Status/100 == 2 || e.Class == store.Exists {
		return c.warn("checksum", "use a store that compares SHA-256 checksums: here nothing but reading back finds bytes that changed on the way, and one object in 64 is", "the store took bytes that are not those of the checksum that was sent")
	}
	how := c.confirms.get()
	switch {
	case how == store.ByChecksum || how == "" && info.Digest == want:
		return c.ok("checksum", "SHA-256, compared and kept by the store")
	case how == "":
		how = store.ByReading
	}
	return c.warn("checksum", "nothing to do: delivery does it itself; one object in 64 is read back", "compared by the store, but its answer to a PUT does not repeat it: an object counts as stored %s", confirmedBy[how])
}

var confirmedBy = map[store.Confirmation]string{
	store.ByETag:    "once its ETag is the MD5 of what was sent",
	store.ByHead:    "once a HEAD tells its SHA-256",
	store.ByReading: "once it was read back, each of them",
}

// missing looks at a key that is not there: without s3:ListBucket AWS answers 403, which nobody can tell from a refusal.
func (c checker) missing(ctx context.Context, probe string) bool {
	switch _, err := c.Head(ctx, probe+".missing", store.GetOptions{}); store.ClassOf(err) {
	case store.NotFound:
		return c.ok("missing keys", "are told from refusals")
	case store.Credentials:
		return c.fail("missing keys", "allow s3:ListBucket on the bucket: without it a key that is not there looks like a refusal", "%v", err)
	default:
		return c.wrong("missing keys", err)
	}
}

func (c checker) list(ctx context.Context, probe string) bool {
	for info, err := range c.List(ctx, store.ListOptions{Prefix: probe, Limit: 1}) {
		if err != nil {
			return c.wrong("list", err)
		}
		if info.Key == probe {
			return c.ok("list", "shows what was just written")
		}
	}
	return c.fail("list", "use a store with consistent lists", "the list does not show %s", probe)
}
