package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/store"
)

// The table of what answers mean, beyond what the proxy injects.
func TestClassOf(t *testing.T) {
	for _, c := range []struct {
		op     string
		status int
		body   string
		want   store.Class
	}{
		{opPut, 503, "<html>busy</html>", store.Throttled},
		{opPut, 400, "<Error><Code>RequestThrottled</Code></Error>", store.Throttled},
		{opPut, 400, "<Error><Code>PriorRequestNotComplete</Code></Error>", store.Throttled},
		{opPut, 500, "<Error><Code>SlowDown</Code></Error>", store.Throttled},
		{opPut, 408, "", store.Throttled},
		{opPut, 403, "<html>forbidden</html>", store.Credentials},
		{opPut, 401, "", store.Credentials},
		{opPut, 400, "<Error><Code>ExpiredToken</Code></Error>", store.Credentials},
		{opPut, 404, "<Error><Code>XAdminUserNotFound</Code></Error>", store.Credentials},
		{opGet, 403, "<Error><Code>XAdminAccessDenied</Code></Error>", store.Credentials},
		{opGet, 403, "<Error><Code>InvalidObjectState</Code></Error>", store.Archived},
		{opGet, 400, "<Error><Code>InvalidArgument</Code><ArgumentName>x-amz-checksum-mode</ArgumentName></Error>", store.Configuration},
		{opGet, 503, "<Error><Code>ServiceUnavailable</Code></Error>", store.Throttled},
		{opGet, 500, "", store.Ambiguous},
		{opHead, 400, "", store.Credentials},
		{opHead, 403, "", store.Credentials},
		{opHead, 404, "", store.NotFound},
		{opGet, 404, "<Error><Code>NoSuchKey</Code></Error>", store.NotFound},
		{opGet, 404, "<Error><Code>NoSuchVersion</Code></Error>", store.NotFound},
		{opGet, 400, "<Error><Code>InvalidArgument</Code><ArgumentName>versionId</ArgumentName></Error>", store.NotFound},
		{opGet, 405, "<Error><Code>MethodNotAllowed</Code></Error>", store.NotFound},
		{opGet, 404, "<Error><Code>NoSuchBucket</Code></Error>", store.Configuration},
		{opPut, 404, "<html>no such page</html>", store.Configuration},
		{opPut, 307, "", store.Configuration},
		{opPut, 501, "<Error><Code>NotImplemented</Code></Error>", store.Configuration},
		{opPut, 400, "<Error><Code>InvalidRequest</Code><Message>Bucket is missing Object Lock Configuration</Message></Error>", store.Configuration},
		{opPut, 400, "<Error><Code>KMS.DisabledException</Code></Error>", store.Configuration},
		{opPut, 400, "<Error><Code>InvalidArgument</Code><ArgumentName>x-amz-server-side-encryption-aws-kms-key-id</ArgumentName></Error>", store.Configuration},
		{opPut, 400, "<Error><Code>InvalidArgument</Code></Error>", store.Poison},
		{opPut, 413, "<html>too large</html>", store.Poison},
		{opPut, 431, "", store.Poison},
		{opPut, 412, "", store.Exists},
		{opPut, 409, "<Error><Code>OperationAborted</Code></Error>", store.Exists},
		{opPut, 500, "", store.Ambiguous},
		{opPut, 520, "<html>", store.Ambiguous},
		{opPut, 400, "<Error><Code>BadDigest</Code></Error>", store.Ambiguous},
		{opPut, 400, "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>", store.Ambiguous},
		{opPut, 400, "", store.Ambiguous},
		{opPut, 200, "<Error><Code>InternalError</Code></Error>", store.Ambiguous},
	} {
		x := &exchange{status: c.status, answer: http.Header{}, body: []byte(c.body)}
		if e := failure(c.op, "key", x, errors.New("x")); e.Class != c.want || e.Status != c.status {
			t.Errorf("%s %d %q: %v, want %v", c.op, c.status, c.body, e, c.want)
		}
	}
}

func TestConnectClass(t *testing.T) {
	dial := func(err error) error { return fmt.Errorf("put: %w", &net.OpError{Op: "dial", Net: "tcp", Err: err}) }
	for _, c := range []struct {
		err  error
		want store.Class
	}{
		{dial(&net.DNSError{Err: "no such host", IsNotFound: true}), store.Configuration},
		{dial(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), store.Unreachable},
		{dial(syscall.ECONNREFUSED), store.Unreachable},
		{dial(syscall.ENETUNREACH), store.Unreachable},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, store.Ambiguous},
		{context.DeadlineExceeded, store.Ambiguous},
		{errors.New("unexpected EOF"), store.Ambiguous},
	} {
		if got := failure(opPut, "key", &exchange{}, c.err).Class; got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		header map[string]string
		want   time.Duration
	}{
		{nil, 0},
		{map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{map[string]string{"X-Amz-Retry-After": "250", "Retry-After": "7"}, 250 * time.Millisecond},
		{map[string]string{"Retry-After": "Fri, 02 Jan 2026 03:04:15 GMT"}, 10 * time.Second},
		{map[string]string{"Retry-After": "Fri, 02 Jan 2026 03:04:15 GMT", "Date": "Fri, 02 Jan 2026 03:04:13 GMT"}, 2 * time.Second},
		{map[string]string{"Retry-After": "Fri, 02 Jan 2026 03:04:00 GMT"}, 0},
		{map[string]string{"Retry-After": "-1"}, 0},
		{map[string]string{"Retry-After": "soon"}, 0},
		{map[string]string{"Retry-After": "86400"}, maxRetryAfter},
		{map[string]string{"Retry-After": "99999999999999"}, 0},
	} {
		h := http.Header{}
		for name, value := range c.header {
			h.Set(name, value)
		}
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%v: %v, want %v", c.header, got, c.want)
		}
	}
}

// Whatever a store answers, it has a class and no panic.
func FuzzFault(f *testing.F) {
	f.Add(503, "<Error><Code>SlowDown</Code></Error>")
	f.Add(200, "")
	f.Add(400, "<Error><Code>InvalidArgument</Code><ArgumentName>X-Amz-Tagging</ArgumentName></Error>")
	f.Fuzz(func(t *testing.T, status int, body string) {
		for _, op := range []string{opPut, opGet, opHead, opList} {
			e := failure(op, "key", &exchange{status: status, body: []byte(body)}, errors.New("x"))
			if e.Class == store.Unknown && e.Status != 0 {
				t.Errorf("%s %d %q has no class", op, status, body)
			}
		}
	})
}

// Any text survives the way through a header.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"", "plain", " a ", "Zoë", "=?UTF-8?B?YQ==?=", "a  b", strings.Repeat("é ", 100), "\t", "a=?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		enc := encodeValue(s)
		for i := range len(enc) {
			if enc[i] < 0x20 || enc[i] > 0x7e {
				t.Fatalf("%q becomes %q, which is no header value", s, enc)
			}
		}
		if got := decodeValue(enc); got != strings.ToValidUTF8(s, "\ufffd") && got != s {
			t.Errorf("%q becomes %q and then %q", s, enc, got)
		}
	})
}
