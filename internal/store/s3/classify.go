package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"indelible/internal/store"
)

// fault is S3's error document.
type fault struct {
	XMLName      xml.Name `xml:"Error"`
	Code         string   `xml:"Code"`
	Message      string   `xml:"Message"`
	ArgumentName string   `xml:"ArgumentName"`
	Region       string   `xml:"Region"`
	Endpoint     string   `xml:"Endpoint"`
}

// parseFault reads an error document. Anything else (a proxy's HTML, nothing at all) is a fault without a code.
func parseFault(b []byte) fault {
	var f fault
	if xml.Unmarshal(b, &f) != nil {
		return fault{}
	}
	return f
}

// byCode holds the codes that mean the same whatever the status. Codes that are
// not here are judged by their status.
var byCode = map[string]store.Class{
	"SlowDown":                               store.Throttled,
	"ServiceUnavailable":                     store.Throttled,
	"RequestTimeout":                         store.Throttled,
	"RequestTimeoutException":                store.Throttled,
	"Throttling":                             store.Throttled,
	"ThrottlingException":                    store.Throttled,
	"ThrottledException":                     store.Throttled,
	"RequestThrottled":                       store.Throttled,
	"RequestThrottledException":              store.Throttled,
	"TooManyRequestsException":               store.Throttled,
	"TooManyRequests":                        store.Throttled,
	"RequestLimitExceeded":                   store.Throttled,
	"BandwidthLimitExceeded":                 store.Throttled,
	"LimitExceededException":                 store.Throttled,
	"PriorRequestNotComplete":                store.Throttled,
	"TransactionInProgressException":         store.Throttled,
	"ProvisionedThroughputExceededException": store.Throttled,
	"EC2ThrottledException":                  store.Throttled,
	"KMS.ThrottlingException":                store.Throttled,
	"Busy":                                   store.Throttled,

	"AccessDenied":                store.Credentials,
	"AllAccessDisabled":           store.Credentials,
	"AccountProblem":              store.Credentials,
	"ExpiredToken":                store.Credentials,
	"ExpiredTokenException":       store.Credentials,
	"TokenRefreshRequired":        store.Credentials,
	"InvalidToken":                store.Credentials,
	"InvalidAccessKeyId":          store.Credentials,
	"InvalidClientTokenId":        store.Credentials,
	"NotSignedUp":                 store.Credentials,
	"RequestExpired":              store.Credentials,
	codeSkewed:                    store.Credentials,
	"SignatureDoesNotMatch":       store.Credentials,
	"UnauthorizedAccess":          store.Credentials,
	"MissingSecurityHeader":       store.Credentials,
	"InvalidSecurity":             store.Credentials,
	"InvalidPayer":                store.Credentials,
	"CredentialsNotReady":         store.Credentials,
	"UnrecognizedClientException": store.Credentials,

	"NoSuchBucket":                       store.Configuration,
	"InvalidBucketName":                  store.Configuration,
	"InvalidBucketState":                 store.Configuration,
	"PermanentRedirect":                  store.Configuration,
	"TemporaryRedirect":                  store.Configuration,
	"AuthorizationHeaderMalformed":       store.Configuration,
	"IllegalLocationConstraintException": store.Configuration,
	"InvalidRegion":                      store.Configuration,
	"InvalidRequest":                     store.Configuration,
	"InvalidStorageClass":                store.Configuration,
	"InvalidEncryptionAlgorithmError":    store.Configuration,
	"InvalidTag":                         store.Configuration,
	"NotImplemented":                     store.Configuration,
	"QuotaExceeded":                      store.Configuration,
	"KMS.DisabledException":              store.Configuration,
	"KMS.NotFoundException":              store.Configuration,
	"KMS.KMSInvalidStateException":       store.Configuration,
	"KMS.InvalidKeyUsageException":       store.Configuration,

	"EntityTooLarge":           store.Poison,
	"KeyTooLongError":          store.Poison,
	"KeyTooLong":               store.Poison,
	"MetadataTooLarge":         store.Poison,
	"InvalidURI":               store.Poison,
	"InvalidObjectName":        store.Poison,
	"MaxMessageLengthExceeded": store.Poison,

	"InternalError":               store.Ambiguous,
	"BadDigest":                   store.Ambiguous,
	"InvalidDigest":               store.Ambiguous,
	"IncompleteBody":              store.Ambiguous,
	"XAmzContentSHA256Mismatch":   store.Ambiguous,
	"XAmzContentChecksumMismatch": store.Ambiguous,

	"PreconditionFailed":         store.Exists,
	"ConditionalRequestConflict": store.Exists,
	"OperationAborted":           store.Exists,

	"InvalidObjectState": store.Archived,

	"NoSuchKey":     store.NotFound,
	"NoSuchVersion": store.NotFound,
}

// byStatus judges an answer whose code says nothing.
func byStatus(op string, status int) store.Class {
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusRequestTimeout:
		return store.Throttled
	case http.StatusUnauthorized, http.StatusForbidden:
		return store.Credentials
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return store.Poison
	case http.StatusPreconditionFailed, http.StatusConflict:
		return store.Exists
	case http.StatusNotImplemented, http.StatusInsufficientStorage, http.StatusProxyAuthRequired:
		return store.Configuration
	case http.StatusNotFound:
		// S3's own 404 has a code, except where an answer has no body.
		if op == opHead {
			return store.NotFound
		}
		return store.Configuration
	case http.StatusMethodNotAllowed:
		if op == opHead || op == opGet {
			return store.NotFound // a delete marker, named by its version
		}
		return store.Configuration
	case http.StatusBadRequest:
		// A HEAD has no body that would say why; an expired token and the wrong
		// region both look so.
		if op == opHead {
			return store.Credentials
		}
		return store.Ambiguous
	}
	if status/100 == 3 {
		return store.Configuration
	}
	return store.Ambiguous
}

// configArguments are the headers that come from the configuration: an
// InvalidArgument that names one of them would meet every record.
var configArguments = []string{"x-amz-server-side-encryption", "x-amz-storage-class", "x-amz-object-lock", "x-amz-tagging", "x-amz-checksum", "authorization"}

// classOf is the class of an answer that is an error.
func classOf(op string, status int, f fault) store.Class {
	if f.Code == "InvalidArgument" {
		for _, name := range configArguments {
			if strings.HasPrefix(strings.ToLower(f.ArgumentName), name) {
				return store.Configuration
			}
		}
		if op != opPut {
			return store.NotFound // a version id or key that nothing can be stored under
		}
		return store.Poison
	}
	if strings.HasPrefix(f.Code, "XAdmin") || strings.HasPrefix(f.Code, "XMinioAdmin") {
		return store.Credentials // versitygw and MinIO about their users: XAdminUserNotFound comes with 404
	}
	if class, ok := byCode[f.Code]; ok {
		return class
	}
	if status/100 == 2 {
		return store.Ambiguous // an error in the body of a 200
	}
	return byStatus(op, status)
}

// connectClass is the class of an error without any answer. A name that does
// not exist, or a server that speaks no TLS or shows the wrong certificate, is
// the configuration's fault (nothing gets better by itself); a name server that
// does not answer, or a connection that is refused, is Unreachable. Everything
// later may have stored the object.
func connectClass(err error) store.Class {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return store.Configuration
		}
		return store.Unreachable
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return store.Configuration
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return store.Configuration
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return store.Configuration
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return store.Unreachable
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") { // net/http has no type for it
		return store.Configuration
	}
	return store.Ambiguous
}

// failure is the *store.Error of one attempt.
func failure(op, key string, x *exchange, err error) *store.Error {
	e := &store.Error{Op: op, Key: key, Err: err}
	if x.status == 0 {
		var local bool
		if e.Err, local = localLimit(err); local {
			e.Class = store.Local
			return e
		}
	}
	if _, ok := errors.AsType[*credentialsError](err); ok {
		e.Class = store.Credentials
		if c := aboutCertificate(err, time.Now()); c != nil {
			e.Err = c
		}
		return e
	}
	if x.status == 0 {
		if send, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
			e.Err = send.Err // without the SDK's words around it
		}
		if c := aboutCertificate(e.Err, time.Now()); c != nil {
			e.Err = c
		}
		e.Class = connectClass(err)
		return e
	}
	f := parseFault(x.body)
	e.Status, e.Code = x.status, f.Code
	if x.status == http.StatusForbidden && len(x.body) == 0 && x.skewed() {
		e.Code = codeSkewed // most probably: it is the answer to a HEAD, which has no more than a status
	}
	e.Class = classOf(op, x.status, f)
	e.RetryAfter = retryAfter(x.answer, time.Now())
	switch {
	case x.status/100 == 2:
	case f.Message != "":
		e.Err = errors.New(f.Message)
	default:
		e.Err = errors.New(http.StatusText(x.status))
	}
	region := x.answer.Get("X-Amz-Bucket-Region")
	if region == "" {
		region = f.Region
	}
	if e.Class == store.Configuration && region != "" {
		e.Err = fmt.Errorf("%w (the bucket is in region %s)", e.Err, region)
	}
	return e
}

// maxRetryAfter bounds what a store may ask for: a proxy's "come back tomorrow" must not hold an audit log.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads x-amz-retry-after (milliseconds) or Retry-After (seconds, or a date).
func retryAfter(h http.Header, now time.Time) time.Duration {
	var d time.Duration
	if ms, err := strconv.ParseInt(h.Get("X-Amz-Retry-After"), 10, 32); err == nil {
		d = time.Duration(ms) * time.Millisecond
	} else if s, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32); err == nil {
		d = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // both are the server's clock
		}
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// callerGone says that the caller's own context ended, which is no fault of the store.
func callerGone(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	return nil
}
