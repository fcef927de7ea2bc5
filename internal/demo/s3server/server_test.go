package s3server_test

import (
	"net/http/httptest"
	"testing"

	"indelible/internal/demo/s3server"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/s3"
	"indelible/internal/store/storetest"
)

// open is our S3 driver at a server in front of a directory.
func open(t *testing.T) *s3.Store {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "demo")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "demo")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	d, err := dir.OpenPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&s3server.Server{Buckets: map[string]store.Store{"audit": d}})
	t.Cleanup(server.Close)
	s, err := s3.Open(t.Context(), s3.Config{Bucket: "audit", Endpoint: server.URL, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The real S3 driver keeps the whole contract of a store against this server: the demo
// shows the code that runs against S3.
func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Options{}, func(t *testing.T) store.Store { return open(t) })
}

// The doctor's checks of a bucket find nothing to fail, and the checksum compared.
func TestCheck(t *testing.T) {
	found := map[string]s3.Finding{}
	open(t).Check(t.Context(), "_indelible/doctor", func(f s3.Finding) { found[f.Name] = f })
	for name, f := range found {
		if f.State == s3.Failed {
			t.Errorf("%s: %s", name, f.Found)
		}
	}
	for _, name := range []string{"write", "conditional writes", "checksum", "list"} {
		if found[name].State != s3.OK {
			t.Errorf("%s: %+v", name, found[name])
		}
	}
}
