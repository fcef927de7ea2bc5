package s3_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"indelible/internal/store"
	"indelible/internal/store/faultproxy"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// admin is a plain client for what the driver cannot do: make buckets, set policies, delete.
func admin(server *testserver.Server) *sdk.Client {
	return sdk.New(sdk.Options{
		BaseEndpoint: &server.Endpoint, UsePathStyle: true, Region: server.Region,
		Credentials: credentials.NewStaticCredentialsProvider(server.Access, server.Secret, ""),
	})
}

func check(t *testing.T, s *s3.Store) map[string]s3.Finding {
	t.Helper()
	found := map[string]s3.Finding{}
	s.Check(t.Context(), "_indelible/probe", func(f s3.Finding) {
		if (f.Remedy == "") != (f.State == s3.OK) || f.Found == "" {
			t.Errorf("%+v: every finding says what was found, and what to do unless all is well", f)
		}
		found[f.Name] = f
	})
	return found
}

func wantStates(t *testing.T, found map[string]s3.Finding, want map[string]s3.State) {
	t.Helper()
	for name, state := range want {
		if found[name].State != state {
			t.Errorf("%s: %+v, want %q", name, found[name], state)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d findings %v, want %d", len(found), found, len(want))
	}
}

func TestCheck(t *testing.T) {
	server := testserver.Versitygw(t)
	well := map[string]s3.State{
		"credentials": s3.OK, "clock": s3.OK, "bucket": s3.OK, "versioning": s3.Warning, "object lock": s3.Warning,
		"write": s3.OK, "conditional writes": s3.OK, "conditional replace": s3.OK, "checksum": s3.OK, "missing keys": s3.OK, "list": s3.OK,
	}
	for range 2 { // the second time the probe is there
		wantStates(t, check(t, open(t, server, s3.Config{})), well)
	}
	wantStates(t, check(t, open(t, server, s3.Config{Bucket: "no-such-bucket"})), map[string]s3.State{
		"credentials": s3.OK, "clock": s3.OK, "bucket": s3.Failed})
	wantStates(t, check(t, open(t, server, s3.Config{ObjectLock: s3.ObjectLock{Mode: "GOVERNANCE", Retain: time.Hour}})), map[string]s3.State{
		"credentials": s3.OK, "clock": s3.OK, "bucket": s3.OK, "versioning": s3.Warning, "object lock": s3.Failed})
	wantStates(t, check(t, open(t, server, s3.Config{Endpoint: "http://127.0.0.1:1"})), map[string]s3.State{
		"credentials": s3.OK, "bucket": s3.Failed})
}

func TestCheckThroughFaults(t *testing.T) {
	s, proxy, _ := behind(t, s3.Config{})
	check(t, s)
	proxy.Set(faultproxy.Rule{Fault: faultproxy.Skewed, Methods: []string{"HEAD"}, Count: 1})
	if f := check(t, s)["clock"]; f.State != s3.Failed {
		t.Errorf("40 minutes of skew: %+v", f)
	}
	check(t, s) // the clock is corrected back
	proxy.Set(faultproxy.Rule{Fault: faultproxy.WrongChecksum, Methods: []string{"HEAD"}})
	if f := check(t, s)["checksum"]; f.State != s3.Failed {
		t.Errorf("a store with other bytes: %+v", f)
	}
	proxy.Set(faultproxy.Rule{Fault: faultproxy.Empty200})
	if f := check(t, s)["write"]; f.State != s3.Failed {
		t.Errorf("a store that swallows writes: %+v", f)
	}
	proxy.Set(faultproxy.Rule{Fault: faultproxy.Forbidden, Methods: []string{"HEAD"}, Skip: 2})
	if f := check(t, s)["missing keys"]; f.State != s3.Failed {
		t.Errorf("no s3:ListBucket: %+v", f)
	}
}

// A store that ignores If-None-Match is found out.
func TestCheckConditions(t *testing.T) {
	r := newRecorder(t) // takes every PUT
	s := at(t, r.URL, s3.Config{})
	if f := check(t, s)["conditional writes"]; f.State != s3.Failed {
		t.Errorf("a store that overwrites: %+v", f)
	}
}

// replacing is a store whose answer to every PUT with If-Match has this status.
func replacing(t *testing.T, server *testserver.Server, status int) *s3.Store {
	t.Helper()
	to, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.Header.Get("If-Match") == "" {
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
		w.Header().Set("x-amz-checksum-sha256", r.Header.Get("x-amz-checksum-sha256"))
		w.WriteHeader(status)
	}))
	t.Cleanup(front.Close)
	return open(t, server, s3.Config{Endpoint: front.URL})
}

// A store that replaces what it should not is told of, and so is one that does not know the condition.
func TestCheckReplace(t *testing.T) {
	real := testserver.Versitygw(t)
	for _, c := range []struct {
		name   string
		status int // of the answer to a PUT with If-Match; 0: the real server's
		want   s3.State
	}{{"enforced", 0, s3.OK}, {"overwrites", 200, s3.Warning}, {"unknown", 501, s3.Warning}} {
		s := open(t, real, s3.Config{})
		if c.status != 0 {
			s = replacing(t, real, c.status)
		}
		if f := check(t, s)["conditional replace"]; f.State != c.want {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

// Locked objects stay, in a versioned bucket, whoever asks; unlocked ones are the operator's.
func TestObjectLock(t *testing.T) {
	server := testserver.Versitygw(t)
	client := admin(server)
	bucket := "locked"
	if _, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &bucket, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	s := open(t, server, s3.Config{Bucket: bucket, ObjectLock: s3.ObjectLock{Mode: "COMPLIANCE", Retain: time.Hour}})
	found := check(t, s)
	if found["object lock"].State != s3.OK || found["versioning"].State != s3.OK || found["list"].State != s3.OK {
		t.Errorf("check: %+v", found)
	}
	locked, err := s.Put(t.Context(), object("locked", "x"))
	if err != nil {
		t.Fatal(err)
	}
	free := object("free", "x")
	free.NoLock = true
	unlocked, err := s.Put(t.Context(), free)
	if err != nil {
		t.Fatal(err)
	}
	remove := func(info store.Info) error {
		_, err := client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &bucket, Key: &info.Key, VersionId: &info.Version, BypassGovernanceRetention: aws.Bool(true)})
		return err
	}
	if locked.Version == "" || remove(locked) == nil {
		t.Errorf("version %q of a locked object could be deleted", locked.Version)
	}
	if err := remove(unlocked); err != nil {
		t.Errorf("an unlocked object cannot be deleted: %v", err)
	}
	// A new version on top does not hide the old one from who knows its version.
	next := object("locked", "y")
	next.Condition.Any = true
	if _, err := s.Put(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Head(t.Context(), "locked", store.GetOptions{Version: locked.Version}); err != nil || info.Digest != locked.Digest {
		t.Errorf("head of the first version: %+v, %v", info, err)
	}
	if _, err := s.Head(t.Context(), "locked", store.GetOptions{Version: "01JZZZZZZZZZZZZZZZZZZZZZZZ"}); store.ClassOf(err) != store.NotFound {
		t.Errorf("head of a version that is not there: %v, want not found", err)
	}
}

// A bucket without Object Lock refuses locked objects: that is the configuration's fault, not the record's.
func TestLockWithoutLock(t *testing.T) {
	s := open(t, testserver.Versitygw(t), s3.Config{ObjectLock: s3.ObjectLock{Mode: "COMPLIANCE", Retain: time.Hour}})
	if _, err := s.Put(t.Context(), object("key", "x")); store.ClassOf(err) != store.Configuration {
		t.Errorf("put: %v, want configuration", err)
	}
}
