package s3api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"

	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/testserver"
)

// A conformance case says what S3 does. The names are those of the public
// suite ceph/s3-tests where the case is one of its; the code is ours. Cases
// run against any endpoint, so that two servers can be compared.
type conformanceCase struct {
	name string
	run  func(c *s3Client)
}

// s3Client is one case's client, with a bucket of its own.
type s3Client struct {
	endpoint, access, secret string
	bucket                   string
	http                     *http.Client
	failures                 []string
}

type stopCase struct{}

func (c *s3Client) errorf(format string, args ...any) {
	c.failures = append(c.failures, fmt.Sprintf(format, args...))
}

func (c *s3Client) fatalf(format string, args ...any) {
	c.errorf(format, args...)
	panic(stopCase{})
}

// eq notes a difference.
func (c *s3Client) eq(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		c.errorf("%s: got %v, want %v", what, got, want)
	}
}

type answer struct {
	status int
	header http.Header // as the client's library spells them
	body   string
	code   string // of an error
}

// call sends one signed request. path is that of the bucket; headers are pairs.
func (c *s3Client) call(method, key string, query url.Values, body string, headers ...string) answer {
	u := c.endpoint + "/" + c.bucket
	if key != "" {
		u += "/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/")
	}
	return c.url(method, u, query, body, headers...)
}

func (c *s3Client) url(method, u string, query url.Values, body string, headers ...string) answer {
	r, err := http.NewRequest(method, u, strings.NewReader(body))
	if err != nil {
		c.fatalf("%v", err)
	}
	r.URL.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	resp, err := c.http.Do(signer.SignV4(*r, c.access, c.secret, "", "us-east-1"))
	if err != nil {
		c.fatalf("%s %s: %v", method, u, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.fatalf("%s %s: %v", method, u, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	if a.status >= 400 {
		var e struct{ Code string }
		_ = xml.Unmarshal(b, &e)
		a.code = e.Code
	}
	return a
}

func (c *s3Client) put(key, body string, headers ...string) answer {
	a := c.call("PUT", key, nil, body, headers...)
	if a.status != 200 {
		c.fatalf("put %q: %d %s", key, a.status, a.body)
	}
	return a
}

// keys puts objects whose bodies are their keys.
func (c *s3Client) keys(keys ...string) {
	for _, k := range keys {
		c.put(k, k)
	}
}

func (c *s3Client) get(key string, headers ...string) answer {
	return c.call("GET", key, nil, "", headers...)
}

// refused checks status and code of an error.
func (c *s3Client) refused(a answer, status int, code string) {
	if a.status != status || a.code != code {
		c.errorf("got %d %s, want %d %s", a.status, a.code, status, code)
	}
}

// holds checks that an object reads as body.
func (c *s3Client) holds(key, body string) {
	if a := c.get(key); a.status != 200 || a.body != body {
		c.errorf("%q is %d %q, want %q", key, a.status, a.body, body)
	}
}

// page is a list answer, its names decoded.
type page struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string
	NextMarker            string
	StartAfter            string
	ContinuationToken     *string
	NextContinuationToken string
	KeyCount              int
	MaxKeys               int
	Delimiter             *string
	IsTruncated           bool
	Contents              []struct {
		Key, ETag, LastModified, StorageClass string
		Size                                  int64
		Owner                                 *struct{ ID, DisplayName string }
	}
	CommonPrefixes []struct{ Prefix string }
}

func (p page) keys() []string {
	keys := []string{}
	for _, o := range p.Contents {
		keys = append(keys, o.Key)
	}
	return keys
}

func (p page) prefixes() []string {
	prefixes := []string{}
	for _, o := range p.CommonPrefixes {
		prefixes = append(prefixes, o.Prefix)
	}
	return prefixes
}

// raw lists with exactly the parameters given, which are pairs.
func (c *s3Client) raw(params ...string) page {
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	a := c.call("GET", "", q, "")
	if a.status != 200 {
		c.fatalf("list %q: %d %s", params, a.status, a.body)
	}
	var p page
	if err := xml.Unmarshal([]byte(a.body), &p); err != nil {
		c.fatalf("list %q: %v in %s", params, err, a.body)
	}
	return p
}

// list is raw as boto3 does it: names are URL-encoded on the way.
func (c *s3Client) list(params ...string) page {
	p := c.raw(append(slices.Clone(params), "encoding-type", "url")...)
	decode := func(s *string) {
		if s == nil {
			return
		}
		d, err := url.QueryUnescape(*s)
		if err != nil {
			c.fatalf("list %q: %v", params, err)
		}
		*s = d
	}
	for _, s := range []*string{&p.Prefix, p.Marker, &p.NextMarker, &p.StartAfter, p.Delimiter} {
		decode(s)
	}
	for i := range p.Contents {
		decode(&p.Contents[i].Key)
	}
	for i := range p.CommonPrefixes {
		decode(&p.CommonPrefixes[i].Prefix)
	}
	return p
}

// both runs a case for version 1 and version 2 of the list.
func both(name string, run func(c *s3Client, list func(params ...string) page)) []conformanceCase {
	return []conformanceCase{
		{"bucket_list_" + name, func(c *s3Client) { run(c, c.list) }},
		{"bucket_listv2_" + name, func(c *s3Client) {
			run(c, func(params ...string) page {
				p := c.list(append(slices.Clone(params), "list-type", "2")...)
				c.eq("KeyCount", p.KeyCount, len(p.Contents)+len(p.CommonPrefixes))
				return p
			})
		}},
	}
}

func (c *s3Client) shows(p page, keys, prefixes []string) {
	c.eq("keys", p.keys(), append([]string{}, keys...))
	c.eq("prefixes", p.prefixes(), append([]string{}, prefixes...))
}

// score runs every case against an endpoint and tells which failed, and how.
func score(t *testing.T, endpoint, access, secret string, makeBucket func(name string) error) (failed map[string][]string) {
	t.Helper()
	failed = map[string][]string{}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	for i, k := range conformanceCases() {
		c := &s3Client{endpoint: endpoint, access: access, secret: secret, bucket: fmt.Sprintf("case-%03d", i), http: client}
		if err := makeBucket(c.bucket); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if p := recover(); p != nil && p != any(stopCase{}) {
					panic(p)
				}
			}()
			k.run(c)
		}()
		if len(c.failures) > 0 {
			failed[k.name] = c.failures
		}
	}
	return failed
}

func conformanceCases() []conformanceCase {
	return slices.Concat(listCases(), rangeCases(), conditionCases(), metadataCases(), nameCases())
}

// TestConformance runs the cases against the door: with every record still in
// the spool, and with every record in the store.
func TestConformance(t *testing.T) {
	for name, door := range map[string]func(testing.TB, *sigv4.Verifier) *s3api.Door{"pending": newRealDoor, "stored": newStoredDoor} {
		t.Run(name, func(t *testing.T) {
			failed := scoreDoor(t, door)
			for name, why := range failed {
				t.Errorf("%s: %s", name, strings.Join(why, "; "))
			}
			t.Logf("this door: %d of %d", len(conformanceCases())-len(failed), len(conformanceCases()))
		})
	}
}

func scoreDoor(t *testing.T, door func(testing.TB, *sigv4.Verifier) *s3api.Door) (failed map[string][]string) {
	t.Helper()
	endpoint := "http://" + serve(t, door(t, &sigv4.Verifier{Keys: map[string]string{keyID: keySecret}}))
	return score(t, endpoint, keyID, keySecret, func(string) error { return nil })
}

// TestAheadOfPeer is the yardstick: the same cases against a server that is meant to be S3.
func TestAheadOfPeer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	s := testserver.Versitygw(t)
	c := &s3Client{endpoint: s.Endpoint, access: s.Access, secret: s.Secret, http: &http.Client{}}
	theirs := score(t, s.Endpoint, s.Access, s.Secret, func(name string) error {
		c.bucket = name
		if a := c.call("PUT", "", nil, ""); a.status != 200 {
			return fmt.Errorf("create bucket: %d %s", a.status, a.body)
		}
		return nil
	})
	ours := scoreDoor(t, newRealDoor)
	names := make([]string, 0, len(theirs))
	for name := range theirs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("versitygw: %s: %.300s", name, strings.Join(theirs[name], "; "))
	}
	all := len(conformanceCases())
	t.Logf("of %d cases this door passes %d, versitygw %d", all, all-len(ours), all-len(theirs))
	if len(ours) >= len(theirs) {
		t.Errorf("this door fails %d of %d cases, versitygw %d", len(ours), all, len(theirs))
	}
}
