package s3api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"indelible/internal/ingest/sigv4"
	"indelible/internal/testserver"
)

// clientPins names what the Python clients are made of, each with its version.
const clientPins = "testdata/requirements-clients.txt"

const keyID, keySecret = "AKIDCLIENTS", "secret/of+clients"

// serveReal runs a door over real parts, as "localhost:port" so that virtual-hosted names resolve.
func serveReal(t testing.TB) (addr string) {
	t.Helper()
	addr = serve(t, newRealDoor(t, &sigv4.Verifier{Keys: map[string]string{keyID: keySecret}}))
	return strings.Replace(addr, "127.0.0.1", "localhost", 1)
}

// tool runs a program of a peer to its end and returns what it says.
func tool(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestBoto3(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Python")
	}
	python := testserver.Python(t, clientPins)
	script, err := filepath.Abs("testdata/boto3_client.py")
	if err != nil {
		t.Fatal(err)
	}
	out, err := tool(t, nil, python, script, "http://"+serveReal(t), keyID, keySecret)
	if err != nil || !strings.HasSuffix(out, "ok\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAWSCommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Python")
	}
	python := testserver.Python(t, clientPins)
	endpoint := "http://" + serveReal(t)
	dir := t.TempDir()
	env := []string{"AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + keySecret, "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CONFIG_FILE=" + filepath.Join(dir, "none"), "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true"}
	aws := func(args ...string) (string, error) {
		t.Helper()
		return tool(t, env, python, append([]string{filepath.Join(filepath.Dir(python), "aws"), "--endpoint-url", endpoint}, args...)...)
	}
	file, back := filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json")
	if err := os.WriteFile(file, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 9<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ want, args string }{
		{"make_bucket: audit", "s3 mb s3://audit"},
		{"upload: ", "s3 cp " + file + " s3://audit/day/a.json"},
		{"day/", "s3 ls s3://audit"},
		{"7 a.json", "s3 ls s3://audit/day/"},
		{"audit", "s3 ls"},
		{"download: ", "s3 cp s3://audit/day/a.json " + back},
		{`"ContentLength": 7`, "s3api head-object --bucket audit --key day/a.json"},
		{`"KeyCount": 1`, "s3api list-objects-v2 --bucket audit --prefix day/ --query {KeyCount:length(Contents)}"},
		{"upload: ", "s3 sync " + dir + " s3://audit/sync --exclude big"},
	} {
		if out, err := aws(strings.Fields(step.args)...); err != nil || !strings.Contains(out, step.want) {
			t.Errorf("aws %s: %v\n%s", step.args, err, out)
		}
	}
	if b, err := os.ReadFile(back); err != nil || string(b) != `{"a":1}` {
		t.Errorf("came back as %q: %v", b, err)
	}
	for _, step := range []struct{ want, args string }{
		{"multipart_threshold", "s3 cp " + big + " s3://audit/big"},
		{"deletes nothing", "s3 rm s3://audit/day/a.json"},
		{"PreconditionFailed", "s3api put-object --bucket audit --key day/a.json --body " + file + " --if-none-match *"},
	} {
		if out, err := aws(strings.Fields(step.args)...); err == nil || !strings.Contains(out, step.want) {
			t.Errorf("aws %s: %v\n%s", step.args, err, out)
		}
	}
}

func TestMinioGo(t *testing.T) {
	c, err := minio.New(serveReal(t), &minio.Options{Creds: credentials.NewStaticV4(keyID, keySecret, ""), MaxRetries: 1, TrailingHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := c.MakeBucket(ctx, "audit", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	if ok, err := c.BucketExists(ctx, "audit"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	body := bytes.Repeat([]byte("0123456789"), 50_000)
	up, err := c.PutObject(ctx, "audit", "a b/é+.json", bytes.NewReader(body), int64(len(body)),
		minio.PutObjectOptions{ContentType: "application/json", UserMetadata: map[string]string{"Team": "alpha"}})
	if err != nil || up.Size != int64(len(body)) {
		t.Fatal(up, err)
	}
	for name, o := range map[string]minio.PutObjectOptions{
		"sha256 trailer": {Checksum: minio.ChecksumSHA256},
		"crc64":          {Checksum: minio.ChecksumCRC64NVME},
		"md5":            {SendContentMd5: true},
	} {
		if _, err := c.PutObject(ctx, "audit", "sums/"+name, bytes.NewReader(body), int64(len(body)), o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := minio.GetObjectOptions{}
	if err := o.SetRange(10, 19); err != nil {
		t.Fatal(err)
	}
	part, err := c.GetObject(ctx, "audit", "a b/é+.json", o)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(part); err != nil || string(b) != "0123456789" {
		t.Errorf("range %q: %v", b, err)
	}
	info, err := c.StatObject(ctx, "audit", "a b/é+.json", minio.StatObjectOptions{})
	if err != nil || info.Size != int64(len(body)) || info.UserMetadata["Team"] != "alpha" || info.ContentType != "application/json" {
		t.Errorf("%+v %v", info, err)
	}
	n := 0
	for obj := range c.ListObjects(ctx, "audit", minio.ListObjectsOptions{Recursive: true, MaxKeys: 2}) {
		if obj.Err != nil {
			t.Fatal(obj.Err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d listed", n)
	}
	once := minio.PutObjectOptions{}
	once.SetMatchETagExcept("*")
	if _, err := c.PutObject(ctx, "audit", "a b/é+.json", strings.NewReader("x"), 1, once); minio.ToErrorResponse(err).StatusCode != http.StatusPreconditionFailed {
		t.Errorf("conditional put: %v", err)
	}
	if err := c.RemoveObject(ctx, "audit", "a b/é+.json", minio.RemoveObjectOptions{}); minio.ToErrorResponse(err).Code != "MethodNotAllowed" {
		t.Errorf("remove: %v", err)
	}
}

func TestRclone(t *testing.T) {
	testserver.NeedsPeers(t)
	name, err := exec.LookPath("rclone")
	if err != nil {
		testserver.Missing(t, "rclone", err)
	}
	remote := fmt.Sprintf(":s3,provider=Other,access_key_id=%s,secret_access_key=%q,endpoint=%q,force_path_style=true:", keyID, keySecret, "http://"+serveReal(t))
	dir := t.TempDir()
	src, back := filepath.Join(dir, "src"), filepath.Join(dir, "back")
	if err := os.MkdirAll(filepath.Join(src, "day"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(src, "day", fmt.Sprint("a ", i)), bytes.Repeat([]byte{'x'}, i*1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"RCLONE_CONFIG=" + filepath.Join(dir, "none"), "RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=1", "AWS_CA_BUNDLE="}
	for _, step := range []struct{ want, args []string }{
		{nil, []string{"mkdir", remote + "audit"}},
		{nil, []string{"copy", src, remote + "audit/x"}},
		{[]string{"4000 day/a 4"}, []string{"ls", remote + "audit/x"}},
		{[]string{"audit"}, []string{"lsd", remote}},
		{[]string{"5 matching files"}, []string{"check", src, remote + "audit/x"}},
		{nil, []string{"copy", remote + "audit/x", back}},
		{[]string{"xxxxxxxxxx"}, []string{"cat", "--offset", "10", "--count", "10", remote + "audit/x/day/a 1"}},
	} {
		out, err := tool(t, env, name, step.args...)
		if err != nil {
			t.Fatalf("rclone %s: %v\n%s", step.args[0], err, out)
		}
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("rclone %s says %q, want %q", step.args[0], out, want)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(back, "day", "a 4")); err != nil || len(b) != 4000 {
		t.Errorf("%d bytes came back: %v", len(b), err)
	}
	if out, err := tool(t, env, name, "deletefile", remote+"audit/x/day/a 1"); err == nil {
		t.Errorf("deleted: %s", out)
	}
}
