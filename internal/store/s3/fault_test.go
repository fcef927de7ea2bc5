package s3_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"indelible/internal/store"
	"indelible/internal/store/faultproxy"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// behind is a store on a real server behind a proxy that goes wrong.
func behind(t *testing.T, cfg s3.Config) (*s3.Store, *faultproxy.Proxy, *faultproxy.Server) {
	t.Helper()
	server := testserver.Versitygw(t)
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.New(target, 1)
	front, err := faultproxy.Listen("127.0.0.1:0", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	cfg.Endpoint = "http://" + front.Addr
	return open(t, server, cfg), proxy, front
}

// silence is the attempt timeout of these tests: long enough for a busy machine, short enough to wait for.
const silence = 2 * time.Second

// Every way in which a Put goes wrong has one class, and Head tells afterwards whether the object is there.
func TestPutFaults(t *testing.T) {
	s, proxy, _ := behind(t, s3.Config{AttemptTimeout: silence})
	for _, c := range []struct {
		fault      faultproxy.Fault
		class      store.Class
		status     int
		code       string
		retryAfter time.Duration
		says       string
	}{
		{faultproxy.SlowDown, store.Throttled, 503, "SlowDown", 0, "reduce your request rate"},
		{faultproxy.SlowDownWait, store.Throttled, 503, "SlowDown", 2 * time.Second, ""},
		{faultproxy.AmzRetryAfter, store.Throttled, 503, "SlowDown", 1500 * time.Millisecond, ""},
		{faultproxy.HTML503, store.Throttled, 503, "", 0, "Service Unavailable"},
		{faultproxy.TooMany, store.Throttled, 429, "TooManyRequests", 0, ""},
		{faultproxy.RequestTimeout, store.Throttled, 400, "RequestTimeout", 0, ""},
		{faultproxy.Internal, store.Ambiguous, 500, "InternalError", 0, ""},
		{faultproxy.BadGateway, store.Ambiguous, 502, "", 0, ""},
		{faultproxy.GatewayTimeout, store.Ambiguous, 504, "", 0, ""},
		{faultproxy.Empty200, store.Ambiguous, 200, "", 0, "lacks the ETag or the checksum"},
		{faultproxy.ErrorIn200, store.Ambiguous, 200, "", 0, ""},
		{faultproxy.NoETag, store.Ambiguous, 200, "", 0, "lacks the ETag or the checksum"},
		{faultproxy.WrongChecksum, store.Ambiguous, 200, "", 0, "lacks the ETag or the checksum"},
		{faultproxy.ExpiredToken, store.Credentials, 400, "ExpiredToken", 0, ""},
		{faultproxy.Forbidden, store.Credentials, 403, "AccessDenied", 0, ""},
		{faultproxy.Conflict, store.Exists, 409, "ConditionalRequestConflict", 0, ""},
		{faultproxy.Precondition, store.Exists, 412, "PreconditionFailed", 0, ""},
		{faultproxy.NoBucket, store.Configuration, 404, "NoSuchBucket", 0, ""},
		{faultproxy.Redirect, store.Configuration, 301, "PermanentRedirect", 0, "eu-west-3"},
		{faultproxy.WrongRegion, store.Configuration, 400, "AuthorizationHeaderMalformed", 0, "eu-west-3"},
		{faultproxy.BadStorageClass, store.Configuration, 400, "InvalidArgument", 0, ""},
		{faultproxy.TooLarge, store.Poison, 400, "EntityTooLarge", 0, ""},
		{faultproxy.KeyTooLong, store.Poison, 400, "KeyTooLongError", 0, ""},
		{faultproxy.MetaTooLarge, store.Poison, 400, "MetadataTooLarge", 0, ""},
		{faultproxy.InvalidArgument, store.Poison, 400, "InvalidArgument", 0, ""},
		{faultproxy.ResetBeforeBody, store.Ambiguous, 0, "", 0, ""},
		{faultproxy.ResetMidBody, store.Ambiguous, 0, "", 0, ""},
		{faultproxy.NoAnswer, store.Ambiguous, 0, "", 0, "no answer in time"},
		{faultproxy.StoredThen500, store.Ambiguous, 500, "InternalError", 0, ""},
		{faultproxy.StoredThenReset, store.Ambiguous, 0, "", 0, ""},
		{faultproxy.StoredThenNoAnswer, store.Ambiguous, 0, "", 0, "no answer in time"},
		{faultproxy.StoredThenStall, store.Ambiguous, 200, "", 0, "no answer in time"},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			key, before := "fault/"+string(c.fault), proxy.Injected()[c.fault]
			proxy.Set(faultproxy.Rule{Fault: c.fault, Count: 1})
			_, err := s.Put(t.Context(), object(key, strings.Repeat("body ", 1000)))
			e, ok := errors.AsType[*store.Error](err)
			if !ok {
				t.Fatalf("put: %v, want %v", err, c.class)
			}
			if e.Class != c.class || e.Status != c.status || e.RetryAfter != c.retryAfter || !strings.Contains(e.Error(), c.says) {
				t.Fatalf("put: %v (status %d, retry after %v); want %v, status %d, retry after %v, %q", err, e.Status, e.RetryAfter, c.class, c.status, c.retryAfter, c.says)
			}
			if c.status != 200 && e.Code != c.code {
				t.Errorf("code %q, want %q", e.Code, c.code)
			}
			if proxy.Injected()[c.fault] != before+1 {
				t.Fatalf("the proxy injected %v", proxy.Injected())
			}
			info, err := s.Head(t.Context(), key, store.GetOptions{})
			if stored := err == nil; stored != c.fault.Stores() || !stored && store.ClassOf(err) != store.NotFound {
				t.Errorf("head: %+v, %v; the fault stores: %v", info, err, c.fault.Stores())
			}
			// What the uploader does next ends well, whatever happened before.
			_, err = s.Put(t.Context(), object(key, strings.Repeat("body ", 1000)))
			if c.fault.Stores() != (store.ClassOf(err) == store.Exists) || !c.fault.Stores() && err != nil {
				t.Errorf("put again: %v", err)
			}
		})
	}
}

// Slowness alone is no fault: an attempt lives as long as something moves.
func TestSlownessIsPatientlyAwaited(t *testing.T) {
	s, proxy, _ := behind(t, s3.Config{AttemptTimeout: silence})
	for _, rule := range []faultproxy.Rule{
		{Fault: faultproxy.SlowAnswer, Delay: silence / 8, Count: 1},
		{Fault: faultproxy.SlowBandwidth, Rate: 256 << 10, Count: 1},
	} {
		proxy.Set(rule)
		if _, err := s.Put(t.Context(), object(string(rule.Fault), strings.Repeat("x", 64<<10))); err != nil {
			t.Errorf("%s: %v", rule.Fault, err)
		}
		if n := proxy.Injected()[rule.Fault]; n != 1 {
			t.Errorf("%s was injected %d times", rule.Fault, n)
		}
	}
}

func TestRefused(t *testing.T) {
	s, _, front := behind(t, s3.Config{})
	if _, err := s.Put(t.Context(), object("before", "x")); err != nil {
		t.Fatal(err)
	}
	front.Refuse()
	for range 2 { // the first may still meet the connection that was closed under it
		_, err := s.Put(t.Context(), object("during", "x"))
		if store.ClassOf(err) == store.Unreachable {
			break
		}
		if store.ClassOf(err) != store.Ambiguous {
			t.Fatalf("put: %v, want unreachable", err)
		}
	}
	if _, err := s.Head(t.Context(), "during", store.GetOptions{}); store.ClassOf(err) != store.Unreachable || !strings.HasSuffix(err.Error(), "unreachable: dial tcp "+front.Addr+": connect: connection refused") {
		t.Errorf("head: %v, want unreachable, in few words", err)
	}
	if err := front.Accept(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), object("during", "x")); err != nil {
		t.Errorf("put after the outage: %v", err)
	}
}

// A clock that differs from the server's is corrected by the server's Date: after
// one refusal the next request is signed with the server's time, both ways.
func TestClockSkew(t *testing.T) {
	s, proxy, _ := behind(t, s3.Config{})
	proxy.Set(faultproxy.Rule{Fault: faultproxy.Skewed, Count: 1})
	_, err := s.Put(t.Context(), object("key", "x"))
	if store.ClassOf(err) != store.Credentials {
		t.Fatalf("put at a skewed server: %v, want credentials", err)
	}
	// Now we believe the proxy's 40 minutes; the server behind it does not.
	_, err = s.Put(t.Context(), object("key", "x"))
	if e, ok := errors.AsType[*store.Error](err); !ok || e.Class != store.Credentials || e.Code != "RequestTimeTooSkewed" {
		t.Fatalf("put with the corrected clock: %v, want RequestTimeTooSkewed: the correction was not used", err)
	}
	if _, err := s.Put(t.Context(), object("key", "x")); err != nil {
		t.Errorf("put with the clock corrected back: %v", err)
	}
}

// Who reads does not notice a clock that differs: what the SDK learns from the
// refusal is used at once.
func TestClockSkewOfReads(t *testing.T) {
	for name, read := range map[string]func(*s3.Store) error{
		"get": func(s *s3.Store) error {
			body, _, err := s.Get(t.Context(), "key", store.GetOptions{})
			if err == nil {
				err = body.Close()
			}
			return err
		},
		"list": func(s *s3.Store) error {
			for _, err := range s.List(t.Context(), store.ListOptions{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		s, proxy, _ := behind(t, s3.Config{})
		if _, err := s.Put(t.Context(), object("key", "x")); err != nil {
			t.Fatal(err)
		}
		proxy.Set(faultproxy.Rule{Fault: faultproxy.Skewed, Methods: []string{"GET", "HEAD"}, Count: 2})
		if err := read(s); store.ClassOf(err) != store.Credentials {
			t.Errorf("%s: refused for the time twice: %v, want credentials", name, err)
		}
		proxy.Set(faultproxy.Rule{Fault: faultproxy.Skewed, Count: 1})
		if _, err := s.Put(t.Context(), object("other", "x")); store.ClassOf(err) != store.Credentials {
			t.Fatal(err)
		}
		// Now we believe the proxy's 40 minutes; the server behind it does not.
		if err := read(s); err != nil {
			t.Errorf("%s: with a clock that is 40 minutes off: %v", name, err)
		}
	}
}

func TestGetFaults(t *testing.T) {
	s, proxy, _ := behind(t, s3.Config{AttemptTimeout: silence})
	body := strings.Repeat("body ", 1<<14)
	if _, err := s.Put(t.Context(), object("key", body)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fault faultproxy.Fault
		class store.Class
		late  bool // the error comes while reading
	}{
		{faultproxy.SlowDown, store.Throttled, false},
		{faultproxy.NoAnswer, store.Ambiguous, false},
		{faultproxy.NoBucket, store.Configuration, false},
		{faultproxy.StoredThenStall, store.Ambiguous, true},
		{faultproxy.CutAnswer, store.Ambiguous, true},
		{faultproxy.WrongChecksum, store.Ambiguous, true},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			proxy.Set(faultproxy.Rule{Fault: c.fault, Methods: []string{"GET"}, Count: 1})
			r, _, err := s.Get(t.Context(), "key", store.GetOptions{})
			if late := err == nil; late != c.late {
				t.Fatalf("get: %v", err)
			}
			if c.late {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if store.ClassOf(err) != c.class {
				t.Errorf("get: %v, want %v", err, c.class)
			}
		})
	}
}

// A HEAD that is refused for the clock says no more than 403, and when that was: it is
// made again with the store's time. One that is refused for itself is not called the clock's.
func TestClockSkewOfHead(t *testing.T) {
	asked, forbidden := 0, false
	store1h := func() time.Time { return time.Now().UTC().Add(time.Hour) }
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", store1h().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if asked++; err == nil && store1h().Sub(signed).Abs() < 15*time.Minute && !forbidden {
			w.Header().Set("ETag", `"e"`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer front.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	s, err := s3.Open(t.Context(), s3.Config{Bucket: "b", Region: "r", Endpoint: front.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(t.Context(), "key", store.GetOptions{}); err != nil || asked != 2 {
		t.Errorf("head with a clock that is an hour off: %v after %d requests", err, asked)
	}
	asked, forbidden = 0, true
	_, err = s.Head(t.Context(), "key", store.GetOptions{})
	if e, ok := errors.AsType[*store.Error](err); !ok || e.Class != store.Credentials || e.Code != "" || asked != 1 {
		t.Errorf("forbidden, with a clock that is an hour off: %v after %d requests", err, asked)
	}
}

// Somebody between here and the store who answers 200 to everything, with a page or with nothing, has told
// nothing of any object: what was asked for is neither there nor gone.
func TestSomebodyElseAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><body>Please sign in</body></html>")
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
	} {
		fake := httptest.NewServer(answer)
		s := open(t, &testserver.Server{Endpoint: fake.URL, Region: "us-east-1", Bucket: "audit", Access: "a", Secret: "b"}, s3.Config{})
		_, _, err := s.Get(t.Context(), "k", store.GetOptions{})
		if store.ClassOf(err) != store.Ambiguous {
			t.Errorf("%s, get: %v", name, err)
		}
		if _, err := s.Head(t.Context(), "k", store.GetOptions{}); store.ClassOf(err) != store.Ambiguous {
			t.Errorf("%s, head: %v", name, err)
		}
		err = nil
		for _, lerr := range s.List(t.Context(), store.ListOptions{Prefix: "p/"}) {
			err = lerr
		}
		if store.ClassOf(err) != store.Ambiguous {
			t.Errorf("%s, list: %v", name, err)
		}
		fake.Close()
	}
}
