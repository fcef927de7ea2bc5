package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// openS3 is a store in a bucket of a real server, made with Object Lock where lock says so.
func openS3(t *testing.T, lock bool) (*s3.Store, *sdk.Client, string) {
	t.Helper()
	server := testserver.Versitygw(t)
	client := sdk.New(sdk.Options{
		BaseEndpoint: &server.Endpoint, Region: server.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.Access, server.Secret, ""),
	})
	cfg := s3.Config{Bucket: server.Bucket, Endpoint: server.Endpoint, Region: server.Region}
	if lock {
		cfg.Bucket, cfg.ObjectLock = "locked", s3.ObjectLock{Mode: "COMPLIANCE", Retain: time.Hour}
		if _, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &cfg.Bucket, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", server.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.Secret)
	s, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, client, cfg.Bucket
}

// deliver stores records and has the log cover them.
func deliver(t *testing.T, s store.Store, l *Log, first, last record.Seq) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		data := body(seq)
		o := record.Outcome{State: record.Stored, Stored: fmt.Sprintf("2026-11-24/r%03d.json", seq)}
		o.Seq, o.Time, o.Door, o.Key, o.Size, o.Digest = seq, time.Now(), "s3", o.Stored, int64(len(data)), sha256.Sum256(data)
		info, err := s.Put(t.Context(), store.Object{Key: o.Stored, Body: bytes.NewReader(data), Size: o.Size, Digest: o.Digest})
		if err != nil {
			t.Fatal(err)
		}
		o.Version = info.Version
		if err := l.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A log in a real S3 server: conditional writes keep a second writer out.
func TestS3(t *testing.T) {
	s, _, _ := openS3(t, false)
	key, _ := GenerateKey("test-log")
	d := tempDisk(t)
	l, err := Open(t.Context(), s, key, Options{Disk: d})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start("p", "c", ""); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, l, 1, 20)
	deliver(t, s, l, 21, 40)
	other, err := Open(t.Context(), s, key, Options{Disk: tempDisk(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Tick(); err != nil {
		t.Fatal(err)
	}
	if err := other.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "another process writes this log") {
		t.Errorf("the first writer goes on: %v", err)
	}
	verifyS3(t, s, key, 40)
}

func verifyS3(t *testing.T, s store.Store, key Key, records int64) Report {
	t.Helper()
	r, err := Verify(t.Context(), s, "", key.Public(), VerifyOptions{})
	if err != nil || !r.OK() || r.Checked != records {
		t.Fatalf("%v, %d checked, %v", err, r.Checked, r.Faults)
	}
	return r
}

// In a bucket with Object Lock nobody can delete what the log names, and
// verify reads the versions that were written, whatever lies on top.
func TestObjectLock(t *testing.T) {
	s, client, bucket := openS3(t, true)
	key, _ := GenerateKey("test-log")
	data := tempDisk(t)
	l, err := Open(t.Context(), s, key, Options{Disk: data})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start("p", "c", ""); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, l, 1, 10)
	body, _, err := s.Get(t.Context(), Dir("", "test-log")+"checkpoint", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	older, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, l, 11, 300)
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	remove := func(name, version string) error {
		in := &sdk.DeleteObjectInput{Bucket: &bucket, Key: &name}
		if version != "" {
			in.VersionId = &version
		}
		_, err := client.DeleteObject(context.WithoutCancel(t.Context()), in)
		return err
	}
	dir := Dir("", "test-log")
	for name, locked := range map[string]bool{
		"2026-11-24/r001.json": true, dir + "tile/0/000": true, dir + "tile/entries/000": true, dir + "tile/1/000.p/1": true,
		dir + historyName(302): true, dir + "tile/0/001.p/46": true, dir + "tile/0/001.p/45": false, dir + "tile/entries/001.p/45": false,
	} {
		info, err := s.Head(t.Context(), name, store.GetOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		if err := remove(name, info.Version); (err != nil) != locked {
			t.Errorf("%s: delete: %v, want locked %v", name, err, locked)
		}
	}
	verifyS3(t, s, key, 300)

	// The checkpoint is not locked, and the log puts it there again.
	published, err := s.Head(t.Context(), dir+"checkpoint", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := remove(dir+"checkpoint", published.Version); err != nil {
		t.Errorf("the checkpoint is locked: %v", err)
	}
	if l, err = Open(t.Context(), s, key, Options{Disk: data}); err == nil {
		err = l.Stop(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	verifyS3(t, s, key, 300)

	top := []byte("another record")
	if _, err := s.Put(t.Context(), store.Object{Key: "2026-11-24/r002.json", Body: bytes.NewReader(top), Size: int64(len(top)), Digest: sha256.Sum256(top), Condition: store.Condition{Any: true}}); err != nil {
		t.Fatal(err)
	}
	if err := remove("2026-11-24/r003.json", ""); err != nil {
		t.Fatal(err)
	}
	r := verifyS3(t, s, key, 300)
	var about []string
	for _, n := range r.Notices {
		if n.Seq == 2 || n.Seq == 3 {
			about = append(about, n.What)
		}
	}
	if len(about) != 2 || !strings.Contains(about[0], "another lies on top") || !strings.Contains(about[1], "delete marker") {
		t.Errorf("notices %q", about)
	}

	// An older checkpoint on top, and the history hidden: the versions below still tell.
	if _, err := s.Put(t.Context(), store.Object{Key: dir + "checkpoint", Body: bytes.NewReader(older), Size: int64(len(older)), Digest: sha256.Sum256(older), Condition: store.Condition{Any: true}}); err != nil {
		t.Fatal(err)
	}
	if err := remove(dir+historyName(302), ""); err != nil {
		t.Fatal(err)
	}
	r, err = Verify(t.Context(), s, "", key.Public(), VerifyOptions{})
	if err != nil || r.OK() || !slices.ContainsFunc(r.Faults, func(f Fault) bool {
		return strings.Contains(f.What, "replaced by an older one") && strings.Contains(f.Object, "version")
	}) {
		t.Errorf("a rollback in a bucket with versions: %v, %v", err, r.Faults)
	}
}
