package s3api_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
)

// A record whose host named a bucket that the door does not know is no bucket:
// it must not be answered 200 and thrown away.
func TestRecordIsNoBucket(t *testing.T) {
	m := &memory{}
	d := newDoor(t, m)
	for _, body := range []string{
		`{"id":"call-1"}`, "hello", "<Delete/>", `<?xml version="1.0"?><VersioningConfiguration/>`,
		`<CreateBucketConfiguration/>` + strings.Repeat(" ", 64<<10) + "x",
	} {
		w := do(d, "PUT", "/call-1.json", body, "Host", "audit.s3.corp.example")
		if w.Code != 400 || code(w) != "UnexpectedContent" {
			t.Errorf("%.30q: %d %s", body, w.Code, w.Body)
		}
		if s := w.Body.String(); !strings.Contains(s, "doors.s3.domains") || !strings.Contains(s, "audit.s3.corp.example") {
			t.Errorf("%.30q: the refusal does not say what to do: %s", body, s)
		}
	}
	for _, body := range []string{"", " \n", "<CreateBucketConfiguration/>",
		`<?xml version="1.0" encoding="UTF-8"?><CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>`} {
		if w := do(d, "PUT", "/audit", body); w.Code != 200 {
			t.Errorf("%.30q: %d %s", body, w.Code, w.Body)
		}
	}
	if w := do(d, "PUT", "/audit", "4\r\nabcd\r\n", "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"); w.Code == 200 {
		t.Errorf("a chunked body that is no configuration: %d", w.Code)
	}
}

// A PUT that does not say how long its body is has no body to HTTP: it is refused.
func TestPutWithoutLength(t *testing.T) {
	m := &memory{}
	addr := serve(t, newDoor(t, m))
	for target, want := range map[string]string{
		"/audit/k": "HTTP/1.1 411 Length Required", "/audit": "HTTP/1.1 411 Length Required",
	} {
		w := dial(t, addr)
		w.send("PUT %s HTTP/1.1\nHost: x\n\nhello", target)
		if status, _ := w.head(); status != want {
			t.Errorf("PUT %s: %s", target, status)
		}
		w = dial(t, addr)
		w.send("PUT %s HTTP/1.1\nHost: x\nContent-Length: 0\n\n", target)
		if status, _ := w.head(); status != "HTTP/1.1 200 OK" {
			t.Errorf("PUT %s of nothing: %s", target, status)
		}
	}
	if len(m.entries) != 1 {
		t.Errorf("%d records", len(m.entries))
	}
}

// What this log's own uploader delivers is no new record, whatever name it reached the door by.
func TestOwnUploaderIsRefused(t *testing.T) {
	m := &memory{}
	d := newDoor(t, m, func(o *s3api.Options) { o.LogName = "web1-5f3a09c2" })
	for _, method := range []string{"PUT", "HEAD", "GET"} {
		w := do(d, method, "/audit/k", "", "X-Indelible-Uploader", "web1-5f3a09c2")
		if w.Code != http.StatusNotImplemented || method != "HEAD" && !strings.Contains(w.Body.String(), "destination.endpoint") {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	if w := do(d, "PUT", "/audit/k", "hello", "X-Indelible-Uploader", "web2-00000000"); w.Code != 200 {
		t.Errorf("of another log: %d %s", w.Code, w.Body)
	}
	if len(m.entries) != 1 {
		t.Errorf("%d records", len(m.entries))
	}
}

// Refused signatures are told once a minute for each sender, with its address and key id.
func TestRefusedSignaturesAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDoor(t, &memory{}, func(o *s3api.Options) {
			o.Verifier = &sigv4.Verifier{Keys: map[string]string{"known": "secret"}}
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		try := func() {
			now := time.Now().UTC()
			w := do(d, "PUT", "/audit/k", "hello", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD", "X-Amz-Date", now.Format("20060102T150405Z"), "Authorization",
				fmt.Sprintf("AWS4-HMAC-SHA256 Credential=AKIAOTHER/%s/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=%064d", now.Format("20060102"), 0))
			if w.Code != 403 || code(w) != "InvalidAccessKeyId" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		for range 100 {
			try()
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines for 100 refusals", n)
		}
		for _, want := range []string{"key_id=AKIAOTHER", "from=192.0.2.1", "level=WARN", "InvalidAccessKeyId"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s is missing: %s", want, &log)
			}
		}
		log.Reset()
		time.Sleep(time.Minute)
		try()
		if !strings.Contains(log.String(), "more_in_the_minute_before=99") {
			t.Errorf("a minute later: %s", &log)
		}
	})
}

// A credential that begins with a quotation mark is most likely a mistake.
func TestQuotedKeysAreWarnedAbout(t *testing.T) {
	for id, warned := range map[string]bool{`"AKIA`: true, "AKIA": false} {
		var log bytes.Buffer
		newDoor(t, &memory{}, func(o *s3api.Options) {
			o.Verifier = &sigv4.Verifier{Keys: map[string]string{id: "hush"}}
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		if got := strings.Contains(log.String(), "quotation mark"); got != warned || strings.Contains(log.String(), "hush") {
			t.Errorf("%s: %s", id, &log)
		}
	}
}
