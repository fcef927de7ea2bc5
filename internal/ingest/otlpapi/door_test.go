package otlpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"indelible/internal/disk/osdisk"
	"indelible/internal/ingest"
	"indelible/internal/ingest/otlpapi"
	"indelible/internal/record"
	"indelible/internal/spool"
)

var _ otlpapi.Appender = (*spool.Spool)(nil)

// bench is a door before a real spool.
type bench struct {
	t     testing.TB
	door  *otlpapi.Door
	spool *spool.Spool
	url   string
}

func newBench(t testing.TB, with func(*otlpapi.Options)) *bench {
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
	o := otlpapi.Options{Spool: s, Bodies: ingest.NewBodies(64<<20, 256<<20)}
	if with != nil {
		with(&o)
	}
	d, err := otlpapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, door: d, spool: s, url: "http://" + serve(t, d)}
}

// serve runs a door's server on a loopback port until the test ends.
func serve(t testing.TB, d *otlpapi.Door) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := ingest.NewServer(d, ingest.ServerOptions{Refuse: d.Refuse})
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
	body   []byte
}

func (b *bench) post(path string, body io.Reader, headers ...string) reply {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, got}
}

// kept is a record in the spool.
type kept struct {
	key, flag string
	body      []byte
	json      struct {
		Kind    string
		CallID  string `json:"call_id"`
		ID      string
		Derived map[string]any
	}
}

// stored is every record, in order.
func (b *bench) stored() (list []kept) {
	b.t.Helper()
	for seq := record.Seq(1); ; seq++ {
		e, ok, err := b.spool.Entry(b.t.Context(), seq)
		if err != nil {
			b.t.Fatal(err)
		}
		if !ok {
			return list
		}
		src, err := e.Open()
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := io.ReadAll(src)
		if err := errors.Join(err, src.Close()); err != nil {
			b.t.Fatal(err)
		}
		k := kept{key: e.Key, flag: e.Attrs.Get(record.AttrFlag), body: body}
		_ = json.Unmarshal(body, &k.json) // raw ones are none
		list = append(list, k)
	}
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

const startTime = 1764000000123456789

// call is the span of a call.
func call(n uint16, more ...*common.KeyValue) *trace.Span {
	return &trace.Span{
		TraceId: bytes.Repeat([]byte{0xab}, 16), SpanId: []byte{1, 1, 1, 1, 1, 1, byte(n >> 8), byte(n)}, Name: "chat m",
		StartTimeUnixNano: startTime + uint64(n)*1000, EndTimeUnixNano: startTime + 1e9,
		Attributes: append([]*common.KeyValue{text("gen_ai.operation.name", "chat"), text("gen_ai.request.model", "m")}, more...),
	}
}

// export is a request with spans of one scope.
func export(t testing.TB, scope string, spans ...*trace.Span) []byte {
	t.Helper()
	b, err := proto.Marshal(&trace.TracesData{ResourceSpans: []*trace.ResourceSpans{{
		ScopeSpans: []*trace.ScopeSpans{{Scope: &common.InstrumentationScope{Name: scope}, Spans: spans}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func deflated(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data) // into memory
	_ = z.Close()
	return b.Bytes()
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // a bytes.Buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(b, nil)
}

// Every encoding gives the same records, under keys that are the same when the request comes again: then it is known.
func TestTakes(t *testing.T) {
	b := newBench(t, nil)
	data := export(t, "s", call(1), call(2), &trace.Span{SpanId: []byte{9}, Name: "GET /"})
	asJSON := `{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"` + strings.Repeat("cd", 16) + `","spanId":"0102030405060708","name":"chat","startTimeUnixNano":"1764000000123456789","attributes":[{"key":"gen_ai.request.model","value":{"stringValue":"m"}}]}]}]}]}`
	for i, c := range []struct {
		body    []byte
		headers []string
		answer  string
	}{
		{data, nil, ""}, {gzipped(data), []string{"Content-Encoding: gzip"}, ""}, {zstandard(t, data), []string{"Content-Encoding: zstd"}, ""}, {deflated(data), []string{"Content-Encoding: deflate"}, ""},
		{data, []string{"Content-Type: application/octet-stream"}, ""},
		{[]byte(asJSON), []string{"Content-Type: application/json"}, "{}"}, {[]byte(asJSON), []string{"Content-Type: text/plain"}, ""},
		{nil, nil, ""},
	} {
		got := b.post("/v1/traces", bytes.NewReader(c.body), c.headers...)
		if got.status != 200 || string(got.body) != c.answer {
			t.Errorf("%d: %d %q", i, got.status, got.body)
		}
		if kind := got.header.Get("Content-Type"); kind != "application/x-protobuf" && c.answer == "" || c.answer != "" && kind != "application/json" {
			t.Errorf("%d: answered as %s", i, kind)
		}
	}
	list := b.stored()
	if len(list) != 3 {
		t.Fatalf("%d records", len(list))
	}
	if want := "otlp/2025-11-24/16/time-16-00-00-123457_" + strings.Repeat("ab", 16) + "-0101010101010001.json"; list[0].key != want {
		t.Errorf("key %s, want %s", list[0].key, want)
	}
	if s := b.door.Stats(); s.Acked != 12 || s.Resent != 9 || s.Dropped != 5 {
		t.Errorf("%+v", s)
	}
}

// What cannot be taken apart is kept as it came and flagged, and the answer is a success: exporters drop what is refused.
func TestKeepsRaw(t *testing.T) {
	b := newBench(t, func(o *otlpapi.Options) { o.Bodies = ingest.NewBodies(1<<20, 4<<20) })
	good := export(t, "s", call(1))
	bomb := gzipped(make([]byte, 64<<20))
	long := bytes.Repeat([]byte("long "), 1<<20)
	for i, c := range []struct {
		path    string
		body    []byte
		headers []string
	}{
		{"/v1/traces", good[:len(good)-3], nil}, {"/v1/traces", []byte("no protobuf"), nil}, {"/v1/logs", []byte(`{"resourceLogs":[{]`), []string{"Content-Type: application/json"}},
		{"/v1/traces", []byte("no gzip"), []string{"Content-Encoding: gzip"}}, {"/v1/traces", gzipped(good)[:20], []string{"Content-Encoding: gzip"}},
		{"/v1/traces", []byte("br"), []string{"Content-Encoding: br"}}, {"/v1/traces", bomb, []string{"Content-Encoding: gzip"}}, {"/v1/traces", zstandard(t, make([]byte, 64<<20)), []string{"Content-Encoding: zstd"}},
		{"/v1/traces", long, nil},
	} {
		got := b.post(c.path, bytes.NewReader(c.body), c.headers...)
		list := b.stored()
		if got.status != 200 || len(list) != i+1 {
			t.Fatalf("%d: %d %q, %d records", i, got.status, got.body, len(list))
		}
		if last := list[i]; last.flag != "unparsed" || !bytes.Equal(last.body, c.body) {
			t.Errorf("%d: kept %q, flagged %q", i, last.body[:min(len(last.body), 100)], last.flag)
		}
	}
	if s := b.door.Stats(); s.Flagged != 9 || s.Acked != 9 || len(s.Refused) != 0 {
		t.Errorf("%+v", s)
	}
}

// What is kept of a request that cannot be taken apart, or that is too long to be, shows no credential: malformed, malformed within a
// compression, and over what is looked at, with and without a length.
func TestKeepsRawMasked(t *testing.T) {
	b := newBench(t, func(o *otlpapi.Options) { o.Bodies = ingest.NewBodies(1<<20, 4<<20) })
	const key = "sk-0123456789abcdefghij-MARKED"
	good := export(t, "s", call(1, text("x-api-key", "MARKED1"), text("gen_ai.input.messages", "use "+key), text("url.full", "https://h/?key="+key)))
	broken := append(bytes.Clone(good), 0xff)
	long := export(t, "s", call(1, text("pad", strings.Repeat("pad ", 1<<19)), text("x-api-key", "MARKED1"), text("note", "Authorization: Bearer "+key)))
	for name, c := range map[string]struct {
		body, want []byte // without what is masked
		headers    []string
		chunks     bool
	}{
		"malformed": {body: broken}, "in JSON": {body: []byte(`{"resourceSpans":[{"a":{"key":"authorization","value":{"stringValue":"Basic MARKED"}}`), headers: []string{"Content-Type: application/json"}},
		"in gzip": {body: gzipped(append(bytes.Clone(broken), 1)), want: append(bytes.Clone(broken), 1), headers: []string{"Content-Encoding: gzip"}}, "in zstd": {body: zstandard(t, append(bytes.Clone(broken), 2)), want: append(bytes.Clone(broken), 2), headers: []string{"Content-Encoding: zstd"}},
		"long": {body: long}, "long, in chunks": {body: append(bytes.Clone(long), 3), chunks: true},
	} {
		before := len(b.stored())
		body := io.Reader(bytes.NewReader(c.body))
		if c.chunks {
			body = io.MultiReader(body)
		}
		got := b.post("/v1/traces", body, c.headers...)
		list := b.stored()
		if got.status != 200 || len(list) != before+1 {
			t.Fatalf("%s: %d, %d records", name, got.status, len(list)-before)
		}
		last := list[before]
		want := c.want
		if want == nil {
			want = c.body
		}
		if last.flag != "unparsed" || bytes.Contains(last.body, []byte("MARKED")) || len(last.body) != len(want) || !bytes.Contains(last.body, []byte("*****")) {
			t.Errorf("%s: %d bytes of %d, flagged %q, %.300q", name, len(last.body), len(want), last.flag, last.body)
		}
	}
}

// One call is one record: two instrumentations, the event of a span and Logfire's second span are linked to it, also across
// requests, and the same when they come again.
func TestLinks(t *testing.T) {
	b := newBench(t, nil)
	id := text("gen_ai.response.id", "r-1")
	inner, outer := call(1, id), call(2, id)
	begun := call(3, text("logfire.span_type", "span"), text("gen_ai.input.messages", "[]"))
	ended := call(4, text("logfire.span_type", "log"), text("gen_ai.input.messages", "[]"), text("gen_ai.output.messages", "[]"), text("gen_ai.response.id", "r-2"))
	ended.TraceId = bytes.Repeat([]byte{0xcd}, 16)
	for range 2 {
		for _, data := range [][]byte{export(t, "a", inner), export(t, "b", outer), export(t, "logfire.openai", begun), export(t, "logfire.openai", ended)} {
			if got := b.post("/v1/traces", bytes.NewReader(data)); got.status != 200 {
				t.Fatalf("%d %q", got.status, got.body)
			}
		}
	}
	list := b.stored()
	if len(list) != 4 {
		t.Fatalf("%d records", len(list))
	}
	for i, want := range []string{"call 0001", "part 0001", "part 0003", "call 0003"} {
		if got := list[i].json.Kind + " " + list[i].json.CallID[len(list[i].json.CallID)-4:]; got != want {
			t.Errorf("%d is %s, want %s", i, got, want)
		}
	}
}

// counting is a spool that says when it has returned.
type counting struct {
	*spool.Spool
	mu    sync.Mutex
	gate  chan struct{}
	err   error
	calls int
}

func (c *counting) AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error) {
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", record.ErrPushback, ctx.Err())
		}
	}
	c.mu.Lock()
	c.calls++
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return c.Spool.AppendAll(ctx, rs)
}

// Nothing is answered before it is durable.
func TestAnswersAfterAppend(t *testing.T) {
	c := &counting{gate: make(chan struct{})}
	b := newBench(t, func(o *otlpapi.Options) { c.Spool, o.Spool = o.Spool.(*spool.Spool), c })
	answered := make(chan reply, 1)
	go func() { answered <- b.post("/v1/traces", bytes.NewReader(export(t, "s", call(1)))) }()
	select {
	case got := <-answered:
		t.Fatalf("answered %d before the spool had it", got.status)
	case <-time.After(50 * time.Millisecond):
	}
	c.gate <- struct{}{}
	if got := <-answered; got.status != 200 || len(b.stored()) != 1 {
		t.Errorf("%d, %d records", got.status, len(b.stored()))
	}
}

// Without room, and after whatever else failed, the sender is told to come again at once: exporters drop a batch after
// 500, and after a Retry-After that is longer than what is left of their time. Never is a part of a batch taken.
func TestTellsToComeAgain(t *testing.T) {
	for name, fails := range map[string]error{"busy": fmt.Errorf("append: %w", record.ErrPushback), "closed": record.ErrClosed, "internal": errors.New("input/output error")} {
		c := &counting{err: fails}
		b := newBench(t, func(o *otlpapi.Options) { c.Spool, o.Spool = o.Spool.(*spool.Spool), c })
		for _, kind := range []string{"application/x-protobuf", "application/json"} {
			body := export(t, "s", call(1))
			if kind == "application/json" {
				body = []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"gen_ai.request.model","value":{"stringValue":"m"}}]}]}]}]}`)
			}
			got := b.post("/v1/traces", bytes.NewReader(body), "Content-Type: "+kind)
			if got.status != 503 || got.header.Get("Retry-After") != "1" || got.header.Get("Content-Type") != kind || len(got.body) == 0 {
				t.Errorf("%s: %d %v %q", name, got.status, got.header, got.body)
			}
		}
		if s := b.door.Stats(); s.Acked != 0 || s.Refused[map[string]string{"busy": "busy", "closed": "busy", "internal": "internal"}[name]] != 2 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// A request that is held for room is answered in time for the exporter to try again.
func TestHolds(t *testing.T) {
	c := &counting{gate: make(chan struct{})}
	b := newBench(t, func(o *otlpapi.Options) {
		c.Spool, o.Spool = o.Spool.(*spool.Spool), c
		o.MaxHold = 50 * time.Millisecond
	})
	if got := b.post("/v1/traces", bytes.NewReader(export(t, "s", call(1)))); got.status != 503 || got.header.Get("Retry-After") != "1" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

// Tokens are those of the JSON door; other paths and methods are refused, never redirected.
func TestRefuses(t *testing.T) {
	b := newBench(t, func(o *otlpapi.Options) { o.Tokens = []ingest.Token{{Secret: "t1"}} })
	data := export(t, "s", call(1))
	if got := b.post("/v1/traces", bytes.NewReader(data)); got.status != 401 {
		t.Errorf("%d", got.status)
	}
	if got := b.post("/v1/traces/", bytes.NewReader(data), "Authorization: Bearer t1"); got.status != 200 {
		t.Errorf("%d", got.status)
	}
	for _, path := range []string{"//v1/traces", "/v1/metrics", "/v1/traces/../traces"} {
		if got := b.post(path, bytes.NewReader(data), "Authorization: Bearer t1"); got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}
