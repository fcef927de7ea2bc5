package main

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
)

// A stop while the destination refuses everything: delivery goes on while the
// doors are closed, and what was acked before is in the bucket when it is over.
func TestStopDelivers(t *testing.T) {
	s3 := testserver.Versitygw(t)
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.New(target, 1, faultproxy.Rule{Fault: faultproxy.SlowDown})
	server, err := faultproxy.Listen("127.0.0.1:0", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": s3.Access, "AWS_SECRET_ACCESS_KEY": s3.Secret, "AWS_REGION": s3.Region,
		"AWS_ENDPOINT_URL_S3": "http://" + server.Addr, "INDELIBLE_TO": "s3://" + s3.Bucket + "/in/{bucket}",
	} {
		t.Setenv(name, value)
	}
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data)
	body := []byte("acked before the stop")
	if err := put(t.Context(), http.DefaultClient, p.at.S3, "day/a.json", body); err != nil {
		t.Fatal(err)
	}
	go func() {
		for p.ready() { // until the stop has begun
			time.Sleep(pause)
		}
		proxy.Set() // the destination is well again
	}()
	p.stop(t)
	got, err := os.ReadFile(filepath.Join(s3.Root, s3.Bucket, "in", "audit", "day", "a.json"))
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("the bucket has %q, %v\n%s", got, err, p.stderr)
	}

	// The doctor finds that server fit to deliver to.
	var out, errs bytes.Buffer
	if status := run([]string{"doctor", "--data", data, "--s3", "127.0.0.1:0", "--proxy", "off", "--admin", "off"}, &out, &errs); status != exitOK {
		t.Errorf("doctor: status %d\n%s%s", status, &out, &errs)
	}
	for _, line := range []string{"ok       destination", "ok       writes", "ok       conditional"} {
		if !bytes.Contains(out.Bytes(), []byte(line)) {
			t.Errorf("doctor does not say %q:\n%s", line, &out)
		}
	}
}
