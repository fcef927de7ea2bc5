package jsonapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"indelible/internal/disk/osdisk"
	"indelible/internal/ingest"
	"indelible/internal/ingest/jsonapi"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

var _ jsonapi.Appender = (*spool.Spool)(nil)

// bench is a door before a real spool.
type bench struct {
	t     testing.TB
	door  *jsonapi.Door
	spool *spool.Spool
	url   string
}

func newBench(t testing.TB, with func(*jsonapi.Options)) *bench {
	t.Helper()
	fs, err := osdisk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(fs, spool.Options{Log: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), fs.Close()); err != nil {
			t.Error(err)
		}
	})
	o := jsonapi.Options{Spool: s, LogName: "test", Keys: jsonapi.Keys{Location: time.UTC}}
	if with != nil {
		with(&o)
	}
	d, err := jsonapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, door: d, spool: s, url: "http://" + serve(t, d)}
}

// serve runs a door's server on a loopback port until the test ends.
func serve(t testing.TB, h http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := ingest.NewServer(h, ingest.ServerOptions{})
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// reply is what a request got.
type reply struct {
	status int
	header http.Header
	text   string
	Log    string
	First  record.Seq
	Count  int
	Resent int
	Error  struct{ Code, Message string }
}

func (b *bench) post(body []byte, headers ...string) reply {
	b.t.Helper()
	return b.send(http.MethodPost, "/v1/records", body, headers...)
}

func (b *bench) send(method, path string, body []byte, headers ...string) reply {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return read(b.t, resp)
}

func read(t testing.TB, resp *http.Response) reply {
	t.Helper()
	doc, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := reply{status: resp.StatusCode, header: resp.Header, text: string(doc)}
	if err := json.Unmarshal(doc, &a); err != nil || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %q is no JSON answer: %v", resp.StatusCode, doc, err)
	}
	return a
}

// stored is "key flag body" of every record, in order.
func (b *bench) stored() (list []string) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	for seq := record.Seq(1); ; seq++ {
		e, ok, err := b.spool.Entry(ctx, seq)
		if err != nil {
			b.t.Fatal(err)
		}
		if !ok {
			return list
		}
		body, err := e.Open()
		if err != nil {
			b.t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			b.t.Fatal(err)
		}
		if e.Door != "http" || e.Source != "127.0.0.1" {
			b.t.Errorf("door %q, source %q", e.Door, e.Source)
		}
		list = append(list, strings.Trim(e.Key+" "+e.Attrs.Get(record.AttrFlag), " ")+" "+string(data))
	}
}

func deflated(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(data) // memory
	_ = w.Close()
	return b.Bytes()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data) // memory
	_ = w.Close()
	return b.Bytes()
}

func zstandard(data []byte, o ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(data, nil)
}

const at = `"time":"2026-11-24T10:11:12.345678Z"`

// Every form of a request gives the same records, byte for byte.
func TestForms(t *testing.T) {
	array := []byte("[\n{\"id\":\"a\", " + at + "} ,{\"id\":2," + at + "},null]")
	lines := []byte("{\"id\":\"a\", " + at + "}\n{\"id\":2," + at + "}\nnull\n")
	const a, two = `http/2026-11-24/10/time-10-11-12-345678_a.json {"id":"a", ` + at + `}`, `http/2026-11-24/10/time-10-11-12-345678_2.json {"id":2,` + at + `}`
	for name, send := range map[string]func(b *bench) reply{
		"array":  func(b *bench) reply { return b.post(array) },
		"ndjson": func(b *bench) reply { return b.post(lines, "Content-Type: application/json") },
		"gzip":   func(b *bench) reply { return b.post(gzipped(array), "Content-Encoding: gzip") },
		"gzip of two": func(b *bench) reply {
			return b.post(append(gzipped(lines[:20]), gzipped(lines[20:])...), "Content-Encoding: GZIP")
		},
		"deflate":           func(b *bench) reply { return b.post(deflated(lines), "Content-Encoding: deflate") },
		"zstd":              func(b *bench) reply { return b.post(zstandard(lines), "Content-Encoding: zstd") },
		"identity":          func(b *bench) reply { return b.post(lines, "Content-Encoding: identity") },
		"trailing slash":    func(b *bench) reply { return b.send("POST", "/v1/records/", array) },
		"of unknown length": func(b *bench) reply { return b.chunked(array) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.t = t
			r := send(b)
			if r.status != 200 || r.Log != "test" || r.First != 1 || r.Count != 3 || r.Resent != 0 || r.header.Get("x-indelible-receipt") != "" {
				t.Errorf("%+v", r)
			}
			got := b.stored()
			if len(got) != 3 || got[0] != a || got[1] != two || !strings.HasSuffix(got[2], ".json null null") {
				t.Errorf("stored %q", got)
			}
			if s := b.door.Stats(); s.Acked != 3 || s.Flagged != 1 || s.Resent != 0 || s.Requests != 1 || s.Last.IsZero() {
				t.Errorf("%+v", s)
			}
		})
	}
}

func (b *bench) chunked(body []byte) reply {
	b.t.Helper()
	resp, err := http.Post(b.url+"/v1/records", "application/json", io.MultiReader(bytes.NewReader(body[:10]), bytes.NewReader(body[10:])))
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return read(b.t, resp)
}

func TestSingleReceipt(t *testing.T) {
	b := newBench(t, nil)
	body := []byte(`{"id":"a",` + at + `}`)
	r := b.post(body)
	receipt, err := record.ParseReceipt(r.header.Get("x-indelible-receipt"))
	if err != nil || receipt.Seq != 1 || receipt.Log != "test" || r.text != `{"log":"test","first":1,"count":1}`+"\n" {
		t.Errorf("%v %v %s", receipt, err, r.text)
	}
	if r := b.post([]byte(" [ ] ")); r.status != 200 || r.Count != 0 || r.Log != "test" {
		t.Errorf("empty array: %+v", r)
	}
}

// The same request again, and the same bytes for the same id, are the records that are known.
func TestResent(t *testing.T) {
	for name, body := range map[string]string{
		"id and time":        `{"id":"a",` + at + `}`,
		"id and no time":     `{"id":"a"}`,
		"neither":            `{"event":"login"}`,
		"two that are alike": `[{"event":"login"},{"event":"login"},null,null]`,
		"unparsed":           "not JSON",
	} {
		b := newBench(t, nil)
		first := b.post([]byte(body))
		again := b.post([]byte(body))
		if first.status != 200 || first.Resent != 0 || again.First != first.First || again.Count != first.Count || again.Resent != first.Count || len(b.stored()) != first.Count {
			t.Errorf("%s: %+v, then %+v; %q", name, first, again, b.stored())
		}
	}
	b := newBench(t, nil)
	one, two := []byte(`{"event":"login"}`), []byte(`{"id":"x"}`)
	k1 := b.post(one, "Idempotency-Key: 1")
	k2 := b.post(one, "Idempotency-Key: 2")
	again := b.post(one, "Idempotency-Key: 1")
	if k1.First != 1 || k2.First != 2 || again.First != 1 || again.Resent != 1 {
		t.Errorf("%+v %+v %+v", k1, k2, again)
	}
	if b.post(two, "Idempotency-Key: 3").First != 3 || b.post(two, "Idempotency-Key: 4").First != 3 || b.post([]byte(`[{"id":"y"},{"id":"x"}]`)).Resent != 1 {
		t.Errorf("the same bytes for the same id: %q", b.stored())
	}
}

// A record without a time is known to the next process, while the spool has it.
func TestRemember(t *testing.T) {
	b := newBench(t, nil)
	bodies := []string{`{"id":"a/b:c"}`, `{"event":"login"}`, `{"id":7,"x":null}`}
	for _, body := range bodies {
		b.post([]byte(body))
	}
	before := b.stored()
	next, err := jsonapi.New(jsonapi.Options{Spool: b.spool, Keys: jsonapi.Keys{Location: time.UTC}})
	if err != nil {
		t.Fatal(err)
	}
	err = next.Remember(time.Now(), func(prefix string) iter.Seq2[record.Info, error] {
		return b.spool.Keys(t.Context(), "", prefix, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + serve(t, next)
	for i, body := range bodies {
		if r := b.post([]byte(body)); r.Resent != 1 || r.First != record.Seq(i+1) {
			t.Errorf("%s: %+v", body, r)
		}
	}
	if after := b.stored(); len(after) != len(before) {
		t.Errorf("%q", after)
	}
}

// What cannot be taken is refused with an answer that says what to do, and nothing of it is kept.
func TestRefusals(t *testing.T) {
	b := newBench(t, func(o *jsonapi.Options) {
		o.Tokens = []ingest.Token{{Secret: "other"}, {Secret: "hush"}}
		o.MaxRequest, o.MaxRecords = 64<<10, 100
	})
	zipped := gzipped(bytes.Repeat([]byte(`{"id":"a"}`+"\n"), 50))
	frames := zstandard(bytes.Repeat([]byte(`{"id":"a"}`+"\n"), 50))
	wide := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	auth := "Authorization: Bearer hush"
	for _, c := range []struct {
		name    string
		r       reply
		status  int
		code    string
		message string
	}{
		{"no token", b.post([]byte(`{}`)), 401, "unauthorized", "INDELIBLE_HTTP_TOKENS"},
		{"wrong token", b.post([]byte(`{}`), "Authorization: Bearer hus"), 401, "unauthorized", "Authorization: Bearer"},
		{"token of another scheme", b.post([]byte(`{}`), "Authorization: Basic hush"), 401, "unauthorized", ""},
		{"path", b.send("POST", "/", []byte(`{}`), auth), 404, "not_found", "/v1/records"},
		{"method", b.send("GET", "/v1/records", nil, auth), 405, "method_not_allowed", "POST"},
		{"empty", b.post(nil, auth), 400, "empty", "NDJSON"},
		{"blank", b.post([]byte(" \n "), auth), 400, "empty", ""},
		{"empty gzip", b.post(gzipped(nil), auth, "Content-Encoding: gzip"), 400, "empty", ""},
		{"cut-off array", b.post([]byte(`[{"id":"a"},{"id":`), auth), 400, "cut_off", "ends at byte 18, within element 2, which begins at byte 12"},
		{"too large", b.post(make([]byte, 64<<10+1), auth), 413, "too_large", "64 KiB (65536 bytes"},
		{"too large, length unknown", b.chunkedAuth(make([]byte, 300<<10)), 413, "too_large", "doors.http.max_request"},
		{"too large when decoded", b.post(gzipped(make([]byte, 50<<20)), auth, "Content-Encoding: gzip"), 413, "too_large", "after decoding"},
		{"too large zstd", b.post(zstandard(make([]byte, 50<<20)), auth, "Content-Encoding: zstd"), 413, "too_large", ""},
		{"too many", b.post(bytes.Repeat([]byte("1\n"), 101), auth), 413, "too_many", "100 records"},
		{"truncated gzip", b.post(zipped[:len(zipped)-9], auth, "Content-Encoding: gzip"), 400, "bad_encoding", "no whole gzip stream"},
		{"gzip without its end", b.post(zipped[:len(zipped)-1], auth, "Content-Encoding: gzip"), 400, "bad_encoding", ""},
		{"half a gzip head", b.post(zipped[:5], auth, "Content-Encoding: gzip"), 400, "bad_encoding", ""},
		{"no gzip", b.post([]byte(`{"id":"a"}`), auth, "Content-Encoding: gzip"), 400, "bad_encoding", ""},
		{"behind the gzip", b.post(append(gzipped([]byte("1")), "{}"...), auth, "Content-Encoding: gzip"), 400, "bad_encoding", ""},
		{"truncated deflate", b.post(deflated([]byte(`{"id":"a"}`))[:12], auth, "Content-Encoding: deflate"), 400, "bad_encoding", "no whole deflate stream"},
		{"truncated zstd", b.post(frames[:len(frames)-3], auth, "Content-Encoding: zstd"), 400, "bad_encoding", "no whole zstd stream"},
		{"wide window", b.post(zstdStream(wide), auth, "Content-Encoding: zstd"), 400, "bad_encoding", "8 MiB"},
		{"encoding", b.post([]byte(`{}`), auth, "Content-Encoding: br"), 415, "unsupported_encoding", "gzip, deflate or zstd"},
		{"two encodings", b.post([]byte(`{}`), auth, "Content-Encoding: gzip, zstd"), 415, "unsupported_encoding", ""},
	} {
		if c.r.status != c.status || c.r.Error.Code != c.code || !strings.Contains(c.r.Error.Message, c.message) {
			t.Errorf("%s: %d %s; want %d %s %q", c.name, c.r.status, c.r.text, c.status, c.code, c.message)
		}
	}
	if got := b.stored(); len(got) != 0 {
		t.Errorf("kept %q", got)
	}
	if s := b.door.Stats(); s.Refused["unauthorized"] != 3 || s.Refused["too_large"] != 4 || s.Acked != 0 {
		t.Errorf("%+v", s)
	}
	if r := b.post([]byte(`{"id":"a"}`), "Authorization: bearer  hush "); r.status != 200 {
		t.Errorf("the right token: %+v", r)
	}
}

func (b *bench) chunkedAuth(body []byte) reply {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), "POST", b.url+"/v1/records", io.MultiReader(bytes.NewReader(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer other")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return read(b.t, resp)
}

// zstdStream has a window of 32 MiB.
func zstdStream(data []byte) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(32<<20), zstd.WithSingleSegment(false))
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(data) // memory
	_ = w.Close()
	return b.Bytes()
}

// A body that is shorter than announced is never acked, also where its
// compressed stream is whole.
func TestShortBody(t *testing.T) {
	b := newBench(t, nil)
	record := []byte(`{"id":"a",` + at + `}`)
	for name, c := range map[string]struct {
		encoding string
		body     []byte
	}{"identity": {"identity", record}, "gzip": {"gzip", gzipped(record)}, "zstd": {"zstd", zstandard(record)}} {
		for _, framing := range []string{"Content-Length: %d\r\n\r\n%s", "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n"} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			n := len(c.body)
			if strings.HasPrefix(framing, "Content") {
				n += 10
			}
			if _, err := fmt.Fprintf(conn, "POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Encoding: %s\r\n"+framing, c.encoding, n, c.body); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if a := read(t, resp); a.status != 400 || a.Error.Code != "incomplete" {
				t.Errorf("%s: %d %s", name, a.status, a.text)
			}
			_ = conn.Close()
		}
	}
	if got := b.stored(); len(got) != 0 {
		t.Errorf("acked or kept: %q", got)
	}
}

// A sender that stops sending is answered and let go.
func TestSlowSender(t *testing.T) {
	b := newBench(t, func(o *jsonapi.Options) { o.Pace = ingest.Pace{Pause: 50 * time.Millisecond, Rate: 1 << 10} })
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(t, resp); a.status != 408 || a.Error.Code != "too_slow" {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// full is a spool that has no room until it is told.
type full struct {
	jsonapi.Appender
	mu  sync.Mutex
	has bool
}

func (f *full) AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error) {
	f.mu.Lock()
	has := f.has
	f.mu.Unlock()
	if !has {
		<-ctx.Done()
		return nil, fmt.Errorf("append: %w: %w", record.ErrPushback, ctx.Err())
	}
	return f.Appender.AppendAll(ctx, rs)
}

// A spool without room holds the request, then the sender keeps it.
func TestBusy(t *testing.T) {
	f := &full{}
	b := newBench(t, func(o *jsonapi.Options) {
		f.Appender, o.Spool = o.Spool, f
		o.MaxHold = 30 * time.Millisecond
	})
	r := b.post([]byte(`{"id":"a"}`))
	if r.status != 503 || r.header.Get("Retry-After") == "" || r.Error.Code != "busy" {
		t.Errorf("%d %v %s", r.status, r.header, r.text)
	}
	f.mu.Lock()
	f.has = true
	f.mu.Unlock()
	if r := b.post([]byte(`{"id":"a"}`)); r.status != 200 || r.Count != 1 {
		t.Errorf("%+v", r)
	}
}

// The memory for bodies is shared: who finds none is held, then refused; it comes back.
func TestMemoryIsBounded(t *testing.T) {
	b := newBench(t, func(o *jsonapi.Options) {
		o.MaxHold, o.MaxRequest, o.MaxMemory = 50*time.Millisecond, 8<<20, 16<<20
	})
	// Two bodies that stop before their end leave too little for a third.
	var held []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
		if _, err := fmt.Fprintf(conn, "POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 8<<20-1, strings.Repeat(" ", 7<<20)); err != nil {
			t.Fatal(err)
		}
	}
	for status := 0; status != 503; { // until both have come so far
		r := b.post(bytes.Repeat([]byte(" "), 8<<20))
		if status = r.status; status != 503 && status != 400 {
			t.Fatalf("%d %s", r.status, r.text)
		}
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	for status := 0; status != 400; { // blank: there is memory to see that
		status = b.post(bytes.Repeat([]byte(" "), 8<<20)).status
	}
}

// A request of many records is whole or not at all acked, in order.
func TestLargeBatch(t *testing.T) {
	b := newBench(t, nil)
	var lines bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&lines, "{\"id\":\"r%d\",%s}\n", i, at)
	}
	r := b.post(lines.Bytes())
	if r.status != 200 || r.First != 1 || r.Count != 10_000 {
		t.Fatalf("%+v", r)
	}
	for i, line := range b.stored() {
		if !strings.Contains(line, fmt.Sprintf(`{"id":"r%d",`, i)) {
			t.Fatalf("record %d is %s", i+1, line)
		}
	}
}

// A line of 100 MB is refused by the default limit, which is named; deep nesting is kept raw.
func TestHostile(t *testing.T) {
	b := newBench(t, nil)
	line := bytes.Repeat([]byte("x"), 100<<20)
	if r := b.post(line); r.status != 413 || !strings.Contains(r.text, "64 MiB") {
		t.Errorf("%d %s", r.status, r.text)
	}
	deep := bytes.Repeat([]byte(`{"a":`), torture.RaceShare(10<<20))
	if r := b.post(deep); r.status != 200 || r.Count != 1 {
		t.Errorf("%d %s", r.status, r.text)
	}
	e, _, err := b.spool.Entry(t.Context(), 1)
	if err != nil || e.Attrs.Get(record.AttrFlag) != "unparsed" || e.Size != int64(len(deep)) {
		t.Errorf("%v %+v", err, e.Info)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]jsonapi.Options{
		"no spool":      {},
		"large request": {Spool: &full{}, MaxRequest: record.MaxBody + 1},
		"little memory": {Spool: &full{}, MaxRequest: 1 << 20, MaxMemory: 1 << 20},
	} {
		if _, err := jsonapi.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
