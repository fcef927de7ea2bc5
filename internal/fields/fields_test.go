package fields

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// show is the columns that are set, one "name=value" each.
func show(f Fields) []string {
	var list []string
	for name, v := range f.All() {
		if at, ok := v.(time.Time); ok {
			v = at.Format(time.RFC3339Nano)
		}
		list = append(list, fmt.Sprintf("%s=%v", name, v))
	}
	return list
}

func TestLiteLLM(t *testing.T) {
	for name, want := range map[string][]string{
		"litellm.json": {
			"id=chatcmpl-BqX7", "call_id=7e1c-44", "trace_id=0d2b", "provider=openai", "model=gpt-5-mini", "served_model=gpt-5-mini-2026-08-07",
			"model_group=small", "api_base=https://api.openai.com", "call_type=acompletion", "stream=true", "status=success", "finish_reason=stop",
			"start=2025-11-24T16:00:00.123456Z", "end=2025-11-24T16:00:01.5Z", "first_token=2025-11-24T16:00:00.75Z",
			"team=Team A/b", "team_id=t-1", "key_alias=ci: nightly", "key_hash=88dc28d0", "user=u@example.com", "end_user=customer-7",
			"tokens_in=10", "tokens_out=20", "tokens_cached=4", "tokens_reasoning=5", "cost=0.0001275", "tags=[prod User-Agent: curl]", "user_agent=curl/8.9"},
		"failure.json": {
			"id=7e1c-45", "call_id=7e1c-45", "trace_id=0d2c", "provider=openai", "model=gpt-5", "call_type=acompletion", "status=failure",
			"error_code=401", "error_class=AuthenticationError", "error_message=no",
			"start=2025-11-24T16:00:00Z", "end=2025-11-24T16:00:01Z", "first_token=2025-11-24T16:00:01Z", "tokens_in=0", "tokens_out=0", "cost=0"},
	} {
		body, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(body)
		one := show(Extract(body))
		if !reflect.DeepEqual(one, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, one, want)
		}
		if !bytes.Equal(body, before) {
			t.Errorf("%s was changed", name)
		}
		// The same record alone in an array or as a line.
		for _, form := range []string{"[%s]", "%s\n", "\n\n%s\r\n\n", "\ufeff%s", "\x1e%s\n", "[null,%s]"} {
			if got := show(Extract(fmt.Appendf(nil, form, body))); !reflect.DeepEqual(got, one) {
				t.Errorf("%s as %q: %q", name, form, got)
			}
		}
	}
}

// An exchange that a recorder wrote (docs/format/exchange.md) fills the same columns.
func TestExchange(t *testing.T) {
	body, err := os.ReadFile("testdata/exchange.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"id=chatcmpl-1", "call_id=75b0a2aa4c08238830e6032c830e228e", "trace_id=0af7651916cd43dd8448eb211c80319c", "provider=openai", "model=gpt-x", "served_model=gpt-x-2026",
		"api_base=https://api.openai.com", "call_type=chat", "stream=true", "status=failure", "error_class=overloaded_error", "error_message=busy",
		"finish_reason=stop", "ended_by=upstream_abort",
		"start=2026-11-30T12:36:39.113537Z", "end=2026-11-30T12:36:39.723356Z", "first_token=2026-11-30T12:36:39.119414Z",
		"key_hash=4feed14c", "end_user=u7", "tokens_in=5", "tokens_out=2", "tokens_cached=1", "tokens_reasoning=0", "user_agent=curl/7.88.1"}
	if got := show(Extract(body)); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	// Only one level is looked into, and only of an exchange.
	if got := show(Extract([]byte(`{"derived":{"model":"m"}}`))); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if got := show(Extract([]byte(`{"call_id":"c","derived":{"derived":{"model":"m"}}}`))); strings.Join(got, " ") != "id=c call_id=c" {
		t.Errorf("%q", got)
	}
}

func TestOtherShapes(t *testing.T) {
	for body, want := range map[string]string{
		// LiteLLM's older payload: times in text, a usage object.
		`{"id":"a","startTime":"2026-11-24 08:00:00.123","cost":"0.5","usage":{"prompt_tokens":"3","completion_tokens":4.0},"model":"m"}`: "id=a model=m start=2026-11-24T08:00:00.123Z tokens_in=3 tokens_out=4 cost=0.5",
		// Answers as providers give them.
		`{"id":"c","created":1764000000,"model":"m","choices":[{"finish_reason":"length"}],"usage":{"prompt_tokens":1}}`:                  "id=c model=m finish_reason=length start=2025-11-24T16:00:00Z tokens_in=1",
		`{"id":"msg","model":"claude","stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":8,"cache_read_input_tokens":2}}`: "id=msg model=claude finish_reason=end_turn tokens_in=7 tokens_out=8 tokens_cached=2",
		`{"error":{"type":"overloaded_error","message":"busy","code":529}}`:                                                               "error_code=529 error_class=overloaded_error error_message=busy",
		`{"error":"plain"}`: "error_message=plain",
		`{"id":7,"timestamp":1764000000123,"team":"x","tags":"one"}`:                   "id=7 start=2025-11-24T16:00:00.123Z team=x tags=[one]",
		`{"start":1764000000123456,"end":1764000000123456000}`:                         "start=2025-11-24T16:00:00.123456Z end=2025-11-24T16:00:00.123456Z",
		`{"id":"nan","response_cost":NaN,"x":[-Infinity,Infinity,"NaN"],"model":"m"}`:  "id=nan model=m",
		`{"id":"first","id":"second"}`:                                                 "id=first",
		`{"id":"\ud800x","model":"a\u0000b"}`:                                          "id=\ufffdx model=a\x00b",
		"{\"id\":\"\xff\xfe\",\"model\":\"ok\"}":                                       "id=\ufffd model=ok",
		`{"id":{"a":1},"model":["x"],"stream":"yes","prompt_tokens":-1,"cost":1e999}`:  "",
		`{"startTime":12,"endTime":"soon","completionStartTime":1e300,"metadata":[1]}`: "",
		// No record, or several.
		``: "", `hello`: "", `7`: "", `"id"`: "", `null`: "", `[]`: "", `{"id":"cut`: "", `{"id":"a"}{"id":"b"}`: "",
		`[{"id":"a"},{"id":"b"}]`: "", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n": "",
		strings.Repeat("[", 1<<20): "", strings.Repeat(`{"id":`, 1<<18): "",
		`{"id":"deep","x":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`:         "",
		`{"id":"flat","x":[` + strings.Repeat("[],", 2*maxDepth) + `1,"` + strings.Repeat("[", 5) + `"]}`: "id=flat",
	} {
		if got := strings.Join(show(Extract([]byte(body))), " "); got != want {
			t.Errorf("%.100q: got %q, want %q", body, got, want)
		}
	}
}

func TestEach(t *testing.T) {
	for body, want := range map[string]string{
		"{\"id\":\"a\"}\n\nnull\nbroken\n{\"id\":\"b\",\"x\":NaN}\r\n[{\"id\":\"c\"},7,{\"id\":\"d\"}]\n{\"id\":\"e\"}": "a b c d e",
		`[{"id":"a"},null,{"id":"b"}]`: "a b",
		`{"id":"a"}`:                   "a",
	} {
		var got []string
		for f := range Each([]byte(body)) {
			got = append(got, *f.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q", body, got)
		}
		for range Each([]byte(body)) {
			break // may stop at any time
		}
	}
}

func TestBounds(t *testing.T) {
	long := strings.Repeat("é", MaxText)
	f := Extract([]byte(`{"id":"` + long + `","model":"x` + long + `","tags":[` + strings.Repeat(`"t",`, 1000) + `"t"]}`))
	if f.ID != nil {
		t.Errorf("an id of %d bytes was kept in %d", len(long), len(*f.ID))
	}
	if f.Model == nil || *f.Model != ("x" + long)[:MaxText-1] {
		t.Error("a long model is not cut before a character")
	}
	if len(f.Tags) != MaxTags {
		t.Errorf("%d tags", len(f.Tags))
	}
	f = Extract([]byte(`{"model":"` + strings.Repeat("\xff ", MaxText) + `"}`))
	if f.Model == nil || len(*f.Model) > MaxText || !utf8.ValidString(*f.Model) {
		t.Error("a long broken text is not bounded, or not mended")
	}
	if f := Extract([]byte(`{"id":"a","x":"` + strings.Repeat("x", MaxBody) + `"}`)); f.ID != nil {
		t.Error("a body over the bound was read")
	}
}

// The result must not keep the body alive, nor change with it.
func TestShareNothing(t *testing.T) {
	body := []byte(`{"id":"abc","model":"plain","request_tags":["tag"]}`)
	f := Extract(body)
	clear(body)
	if *f.ID != "abc" || *f.Model != "plain" || f.Tags[0] != "tag" {
		t.Errorf("the fields changed with the body: %q", show(f))
	}
}

func FuzzExtract(f *testing.F) {
	for _, name := range []string{"litellm.json", "failure.json"} {
		body, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`[{"id":"\ud800\udc00","x":NaN,"stream":false}]`))
	f.Add([]byte("{\"id\":\"a\"}\n\x1e{\"id\":\"\xff\"}"))
	f.Add([]byte(`{"error":{"message":[]},"choices":[{"finish_reason":1}],"usage":{"prompt_tokens_details":{"cached_tokens":1e400}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		n := 0
		for one := range Each(body) {
			n++
			check(t, one)
		}
		one := Extract(body)
		if empty := reflect.ValueOf(one).IsZero(); n != 1 && !empty {
			t.Errorf("%d records, and fields %q", n, show(one))
		}
		if !bytes.Equal(body, before) {
			t.Error("the body was changed")
		}
		var plain struct {
			ID any `json:"id"`
		}
		if json.Unmarshal(body, &plain) != nil {
			return
		}
		if s, ok := plain.ID.(string); ok && s != "" && len(s) <= MaxText && strings.Count(string(body), `id`) == 1 {
			if one.ID == nil || *one.ID != s {
				t.Errorf("id %q, encoding/json reads %q", show(one), s)
			}
		}
	})
}

func check(t *testing.T, f Fields) {
	t.Helper()
	for name, v := range f.All() {
		switch v := v.(type) {
		case string:
			if v == "" || len(v) > MaxText || !utf8.ValidString(v) {
				t.Errorf("%s: %q", name, v)
			}
		case []string:
			for _, s := range v {
				if s == "" || len(s) > MaxText || !utf8.ValidString(s) {
					t.Errorf("%s: %q", name, v)
				}
			}
		case int64:
			if v < 0 {
				t.Errorf("%s: %d", name, v)
			}
		case float64:
			if v-v != 0 {
				t.Errorf("%s: %v", name, v)
			}
		case time.Time:
			if v.Year() < 2000 || v.Year() > 2100 || v.Nanosecond()%1000 != 0 {
				t.Errorf("%s: %v", name, v)
			}
		}
	}
}

// litellm4k is a payload of about 4 KiB.
func litellm4k(b *testing.B) []byte {
	body, err := os.ReadFile("testdata/litellm.json")
	if err != nil {
		b.Fatal(err)
	}
	fill := strings.Repeat("some words of a prompt ", 200)[:4096-len(body)]
	return bytes.Replace(body, []byte("not this"), []byte(fill), 1)
}

func BenchmarkExtract(b *testing.B) {
	body := litellm4k(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if f := Extract(body); f.ID == nil {
			b.Fatal("no id")
		}
	}
}

// A record of the OTLP door (docs/format/otlp.md): a call has its usage, a part of it has none.
func TestSpan(t *testing.T) {
	call := `{"v":1,"kind":"call","call_id":"t-s","id":"chatcmpl-1","trace_id":"t","signal":"traces","start":"2026-11-30T12:36:39.113537Z","end":"2026-11-30T12:36:40Z","otlp_base64":"Cg==",` +
		`"derived":{"extractor":1,"provider":"openai","call_type":"chat","model":"m","served_model":"m-1","stream":true,"parent_id":"p","user":"u","team_alias":"alpha","team_id":"t1","key_alias":"k","key_hash":"h","status":"success","finish_reason":"stop","tokens_in":3,"tokens_out":2,"cost":0.25,"tags":["a"]}}`
	want := "id=chatcmpl-1 call_id=t-s trace_id=t parent_id=p provider=openai model=m served_model=m-1 call_type=chat stream=true status=success finish_reason=stop " +
		"start=2026-11-30T12:36:39.113537Z end=2026-11-30T12:36:40Z team=alpha team_id=t1 key_alias=k key_hash=h user=u tokens_in=3 tokens_out=2 cost=0.25 tags=[a]"
	if got := strings.Join(show(Extract([]byte(call))), " "); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}
