package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"indelible/internal/fields"
	"indelible/internal/record"
	"indelible/internal/torture"
)

// words that payloads are made of: compressible as prose is, and not more.
var words = strings.Fields(`the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she
there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do any
like my now over such our man me even most made after also did many off before must well back through years where much your way down should because long each just state
those people too mister how little good world make very year still see own work men day get here old life both between being under never another know same last us while
model prompt answer token window context function argument schema error retry limit request stream cache policy refund invoice customer shipment address order status code`)

func prose(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(" \n"[r.IntN(20)/19])
	}
	return b.String()[:n]
}

// payload is a LiteLLM payload of about size bytes.
func payload(r *rand.Rand, n int, size int) []byte {
	teams := []string{"alpha", "beta", "gamma", "delta", "research: long names"}
	model := []string{"gpt-5", "gpt-5-mini", "claude-sonnet-5"}[r.IntN(3)]
	id := fmt.Sprintf("chatcmpl-%016x", r.Uint64())
	head := fmt.Sprintf(`{"id":%q,"trace_id":"%016x-%08x","litellm_call_id":"%016x%016x","call_type":"acompletion","stream":%v,"response_cost":%.7f,`+
		`"status":"success","custom_llm_provider":"openai","total_tokens":%d,"prompt_tokens":%d,"completion_tokens":%d,"startTime":%.6f,"endTime":%.6f,"completionStartTime":%.6f,`+
		`"model_map_information":{"model_map_key":%q,"model_map_value":{"max_tokens":128000,"input_cost_per_token":2.5e-06,"output_cost_per_token":1e-05,"litellm_provider":"openai","mode":"chat","supports_function_calling":true,"supports_vision":true,"supports_prompt_caching":true}},`+
		`"model":%q,"model_id":"%x","model_group":"chat","api_base":"https://api.openai.com/v1","metadata":{"user_api_key_hash":"%064x","user_api_key_alias":"key-%d","user_api_key_team_id":"t-%d","user_api_key_team_alias":%q,"user_api_key_user_id":"user-%d@example.com","user_api_key_org_id":null,"spend_logs_metadata":null,"requester_ip_address":"10.1.%d.%d",`+
		`"usage_object":{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}},"cache_hit":false,"request_tags":["prod","User-Agent: openai"],"end_user":"customer-%d","messages":[{"role":"system","content":"You are a helpful assistant of the shop. Answer politely and briefly, quote the policy."},{"role":"user","content":`,
		id, r.Uint64(), r.Uint32(), r.Uint64(), r.Uint64(), n%2 == 0, r.Float64()/100, 700, 500, 200, 1764000000+float64(n), 1764000001.25+float64(n), 1764000000.5+float64(n),
		model, model, n%7, n%40, n%40, n%5, teams[n%5], n%100, n%200, n%250, 500, 200, 100*(n%3), 64*(n%2), n%1000)
	tail := `}],"model":"` + model + `-2026-08-07","usage":{"prompt_tokens":500,"completion_tokens":200,"total_tokens":700}},"error_str":null,"error_information":{"error_code":"","error_class":"","llm_provider":"","traceback":"","error_message":""},"model_parameters":{"temperature":0.2,"max_tokens":512},"hidden_params":{"model_id":null,"cache_key":null,"api_base":null,"response_cost":null}}`
	rest := max(64, size-len(head)-len(tail)-120)
	return fmt.Appendf(nil, `%s%q}],"response":{"id":%q,"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"%s`,
		head, prose(r, rest/2), id, prose(r, rest/2), tail)
}

// litellm is row n of a log, with a body of about size bytes.
func litellm(r *rand.Rand, n int, size int) *Row {
	body := payload(r, n, size)
	at := time.Unix(1764000000+int64(n)/20, int64(r.IntN(1e9))).UTC()
	key := fmt.Sprintf("2026-11-24/time-%02d-%02d-%02d-%06d_chatcmpl-%016x.json", n/3600%24, n/60%60, n%60, r.IntN(1e6), r.Uint64())
	return &Row{
		Info: record.Info{Seq: record.Seq(n), Time: at, Door: "s3", Source: "AKIDEXAMPLE", Bucket: "audit", Key: key, Size: int64(len(body)), Digest: sha256.Sum256(body),
			Attrs: record.Attrs{{Name: "content-type", Value: "application/json"}, {Name: "content-disposition", Value: "inline; filename=\"x.json\""}, {Name: record.AttrMD5, Value: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())}}},
		Key: "audit/" + key, Attrs: sha256.Sum256([]byte("attrs")), Body: body,
	}
}

func write(t testing.TB, rows []*Row) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, Options{Log: "gw1-0a1b2c3d"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Summary{rows[0].Info.Seq, rows[len(rows)-1].Info.Seq, int64(len(rows))}); sum != want {
		t.Fatalf("summary %+v, want %+v", sum, want)
	}
	return b.Bytes()
}

// countReader counts what is read.
type countReader struct {
	r     io.ReaderAt
	reads int
	bytes int
}

func (c *countReader) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += len(p)
	return c.r.ReadAt(p, off)
}

func open(t testing.TB, b []byte) (*Reader, *countReader) {
	t.Helper()
	c := &countReader{r: bytes.NewReader(b)}
	r, err := Open(c, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

// equal compares a row that was read with the one that was added.
func equal(t testing.TB, got Row, want *Row) {
	t.Helper()
	w := *want
	if len(got.Body) == 0 && len(w.Body) == 0 {
		got.Body, w.Body = nil, nil
	}
	if w.Records < 2 {
		w.Records = 0
	}
	if !reflect.DeepEqual(got, w) {
		t.Fatalf("row %d:\n got %+v\nwant %+v", want.Info.Seq, got, w)
	}
}

// odd are records that hold what columns of text cannot.
func odd() []*Row {
	bodies := []string{``, `null`, `not json`, `[{"id":"a"},{"id":"b"}]`, "{\"id\":\"x\\u0000y\",\"model\":\"\xff\"}", `{"request_tags":[],"stream":false,"prompt_tokens":0}`,
		`{"id":"` + strings.Repeat("i", 4000) + `","error_str":"` + strings.Repeat("é", 5000) + `"}`, "\x00\xff\xfe", `{"tags":["a","","b"]}`, strings.Repeat("z", 3<<20)}
	var rows []*Row
	for i, body := range bodies {
		rows = append(rows, &Row{Info: record.Info{Seq: record.Seq(i + 3), Time: time.Unix(1764000000, int64(i)).UTC(), Door: "http", Key: fmt.Sprintf("k%d", i), Size: int64(len(body)), Digest: sha256.Sum256([]byte(body))},
			Key: fmt.Sprintf("k%d", i), Body: []byte(body)})
	}
	rows[1].Info.Key = "k1\xff\xfe"
	rows[2].Info.Bucket, rows[2].Info.Source, rows[2].Key = "b\xff", "s\xff", "k\xff"
	rows[3].Info.Attrs = record.Attrs{{Name: "x-amz-meta-a", Value: "1"}, {Name: "content-type", Value: "text/\xe4"}, {Name: "x-amz-meta-a", Value: "2"}}
	rows[4].Info.Attrs = record.Attrs{{Name: "z", Value: "<\"\\\u2028é\n>"}, {Name: "a", Value: ""}}
	rows[5].Info.Time = time.Unix(0, 1).UTC()
	big := strings.Repeat("b", 100)
	rows = append(rows, &Row{Info: record.Info{Seq: 99, Time: time.Unix(1764000000, 5).UTC(), Door: "s3", Key: big, Size: 1 << 30}, Key: big, Object: "large/x", ObjectVersion: "v1"})
	return rows
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var many []*Row
	for n := range 1500 {
		many = append(many, litellm(r, n+1, 200+r.IntN(12000)))
	}
	for name, rows := range map[string][]*Row{"odd": odd(), "one": many[:1], "many": many} {
		b := write(t, rows)
		p, _ := open(t, b)
		if p.Log() != "gw1-0a1b2c3d" || p.Summary() != (Summary{rows[0].Info.Seq, rows[len(rows)-1].Info.Seq, int64(len(rows))}) {
			t.Errorf("%s: log %q, %+v", name, p.Log(), p.Summary())
		}
		i := 0
		for got, err := range p.Rows(t.Context()) {
			if err != nil {
				t.Fatal(name, err)
			}
			equal(t, got, rows[i])
			i++
		}
		if i != len(rows) {
			t.Fatalf("%s: %d rows of %d", name, i, len(rows))
		}
		i = 0
		for got, err := range p.Heads(t.Context()) {
			if err != nil {
				t.Fatal(name, err)
			}
			want := *rows[i]
			want.Body = nil
			equal(t, got, &want)
			i++
		}
		for _, bodies := range []bool{true, false} {
			for _, rowsOf := range []iter.Seq2[Row, error]{p.Brief(t.Context(), bodies), p.Proven(t.Context(), bodies)} {
				i = 0
				for got, err := range rowsOf {
					if err != nil {
						t.Fatal(name, err)
					}
					want := *rows[i]
					if want.Fields = (fields.Fields{}); !bodies {
						want.Body = nil
					}
					equal(t, got, &want)
					i++
				}
				if i != len(rows) {
					t.Fatalf("%s: %d rows of %d without their fields", name, i, len(rows))
				}
			}
		}
		for _, i := range []int{0, len(rows) / 2, len(rows) - 1} {
			got, err := p.Seq(rows[i].Info.Seq)
			if err != nil {
				t.Fatal(name, err)
			}
			equal(t, got, rows[i])
		}
	}
}

// One row takes at most three reads and a mebibyte, however it is asked for.
func TestReads(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var rows []*Row
	for n := range torture.RaceShare(5000) {
		rows = append(rows, litellm(r, n+1, 4096))
	}
	b := write(t, rows)
	first := open2(t, b).footer.groups[0].chunks[columnSeq+6].bloom.at
	t.Logf("end of %d bytes; %d rows, %d groups, %.1f MB, %.3f of the bodies", int64(len(b))-first, len(rows), len(open2(t, b).footer.groups), float64(len(b))/1e6, float64(len(b))/float64(len(rows)*4096))
	for _, i := range []int{0, 1, len(rows) * 5 / 9, len(rows) - 1} {
		want := rows[i]
		for how, ask := range map[string]func(*Reader) (Row, error){
			"seq": func(p *Reader) (Row, error) { return p.Seq(want.Info.Seq) },
			"id":  func(p *Reader) (Row, error) { return only(p.Find(t.Context(), ColumnID, *want.Fields.ID)) },
			"key": func(p *Reader) (Row, error) { return only(p.Find(t.Context(), ColumnKey, want.Key)) },
		} {
			p, c := open(t, b)
			got, err := ask(p)
			if err != nil {
				t.Fatal(how, err)
			}
			equal(t, got, want)
			if c.reads > 3 || c.bytes > 1<<20 {
				t.Errorf("row %d by %s took %d reads, %d bytes", i, how, c.reads, c.bytes)
			}
		}
	}
	p, c := open(t, b)
	if _, err := only(p.Find(t.Context(), ColumnTraceID, "absent")); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
	if c.reads > 2 {
		t.Errorf("an absent id took %d reads", c.reads)
	}
}

func open2(t testing.TB, b []byte) *Reader { p, _ := open(t, b); return p }

func only(rows func(func(Row, error) bool)) (one Row, err error) {
	n := 0
	for row, err := range rows {
		if err != nil {
			return Row{}, err
		}
		one = row
		n++
	}
	if n != 1 {
		return Row{}, fmt.Errorf("%d rows: %w", n, ErrNotFound)
	}
	return one, nil
}
