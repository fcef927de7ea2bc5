package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// call makes an exchange of a request and an answer.
func call(url, request, response string, headers ...Field) *Exchange {
	return &Exchange{
		Kind: Whole, ID: "x", Method: "POST", URL: url, Status: 200, Transport: Complete, Derive: true,
		Start: time.Unix(1764000000, 0), End: time.Unix(1764000002, 0),
		Request:  Message{Body: BytesBody([]byte(request), sha256.Sum256([]byte(request)))},
		Response: Message{Body: BytesBody([]byte(response), sha256.Sum256([]byte(response))), Headers: headers},
	}
}

// message is a message of an Amazon event stream.
func message(name, kind, payload string) string {
	var h bytes.Buffer
	for _, pair := range [][2]string{{name, kind}, {":content-type", "application/json"}} {
		h.WriteByte(byte(len(pair[0])))
		h.WriteString(pair[0])
		h.WriteByte(7)
		_ = binary.Write(&h, binary.BigEndian, uint16(len(pair[1])))
		h.WriteString(pair[1])
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.BigEndian, uint32(16+h.Len()+len(payload)))
	_ = binary.Write(&b, binary.BigEndian, uint32(h.Len()))
	_ = binary.Write(&b, binary.BigEndian, crc32.ChecksumIEEE(b.Bytes()))
	b.Write(h.Bytes())
	b.WriteString(payload)
	_ = binary.Write(&b, binary.BigEndian, crc32.ChecksumIEEE(b.Bytes()))
	return b.String()
}

func chunk(inner string) string {
	return message(":event-type", "chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(inner))+`"}`)
}

const claudeStream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"claude-x-2026\",\"content\":[],\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":3,\"cache_creation_input_tokens\":2,\"output_tokens\":1}}}\n\n" +
	"event: ping\ndata: {\"type\":\"ping\"}\n\n" +
	"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hé\"}}\n\n" +
	"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"get\",\"input\":{}}}\n\n" +
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}}\n\n" +
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}}\n\n" +
	"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":20}}\n\n" +
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

// What the APIs say, in the forms of the wire, becomes the same columns.
func TestDerive(t *testing.T) {
	for name, c := range map[string]struct {
		e    *Exchange
		want string
	}{
		"openai chat": {call("https://api.openai.com/v1/chat/completions", `{"model":"gpt-x","user":"u7"}`,
			`{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-x-2026","choices":[{"index":0,"message":{"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","function":{"name":"g","arguments":"{\"b\":2}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}`),
			`{"provider":"openai","call_type":"chat","api_base":"https://api.openai.com","model":"gpt-x","served_model":"gpt-x-2026","stream":false,"id":"chatcmpl-1","end_user":"u7","status":"success","ended_by":"complete","finish_reason":"tool_calls","finish_reasons":["tool_calls"],"usage":[{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}],"tokens_in":9,"tokens_out":5,"tokens_cached":4,"tokens_reasoning":3,"tool_calls":[{"id":"c1","name":"f","arguments":"{}"},{"id":"c2","name":"g","arguments":"{\"b\":2}"}]}`},
		"openai stream, usage without choices, CRLF": {call("https://h/v1/chat/completions", `{"model":"m","stream":true}`,
			"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata:{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":null,\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\ndata: [DONE]\r\n\r\n"),
			`{"provider":"openai","call_type":"chat","api_base":"https://h","model":"m","served_model":"m1","stream":true,"id":"c","status":"success","ended_by":"complete","finish_reason":"stop","finish_reasons":["stop"],"usage":[{"prompt_tokens":1,"completion_tokens":2}],"tokens_in":1,"tokens_out":2,"tokens_cached":0,"tokens_reasoning":0,"text":"ab","events":4}`},
		"responses stream": {call("https://h/v1/responses", `{"model":"m","stream":true,"previous_response_id":"resp_0"}`,
			"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"model\":\"m-2026\",\"status\":\"in_progress\",\"error\":null}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\nevent: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"function_call\",\"id\":\"fc\",\"call_id\":\"call_1\",\"name\":\"f\",\"arguments\":\"\"}}\n\nevent: response.function_call_arguments.delta\ndata: {\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"fc\",\"delta\":\"{}\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"model\":\"m-2026\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":1}}}}\n\n"),
			`{"provider":"openai","call_type":"responses","api_base":"https://h","model":"m","served_model":"m-2026","stream":true,"id":"resp_1","previous_response_id":"resp_0","status":"success","ended_by":"complete","finish_reason":"completed","finish_reasons":["completed"],"usage":[{"input_tokens":7,"input_tokens_details":{"cached_tokens":2},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":1}}],"tokens_in":7,"tokens_out":4,"tokens_cached":2,"tokens_reasoning":1,"text":"hi","tool_calls":[{"id":"call_1","name":"f","arguments":"{}"}],"events":5}`},
		"embeddings": {call("https://h/v1/embeddings", `{"model":"e"}`, `{"object":"list","data":[{"embedding":[0.1]}],"model":"e-1","usage":{"prompt_tokens":3,"total_tokens":3}}`),
			`{"provider":"unknown","call_type":"embeddings","api_base":"https://h","model":"e","served_model":"e-1","stream":false,"status":"success","ended_by":"complete","usage":[{"prompt_tokens":3,"total_tokens":3}],"tokens_in":3,"tokens_out":0,"tokens_cached":0,"tokens_reasoning":0}`},
		"anthropic stream": {call("https://h/v1/messages", `{"model":"claude-x","metadata":{"user_id":"u"}}`, claudeStream),
			`{"provider":"anthropic","call_type":"messages","api_base":"https://h","model":"claude-x","served_model":"claude-x-2026","stream":true,"id":"msg_1","end_user":"u","status":"success","ended_by":"complete","finish_reason":"tool_use","finish_reasons":["tool_use"],"usage":[{"input_tokens":10,"cache_read_input_tokens":3,"cache_creation_input_tokens":2,"output_tokens":1},{"output_tokens":20}],"tokens_in":15,"tokens_out":20,"tokens_cached":3,"tokens_cache_write":2,"tokens_reasoning":0,"text":"Hé","tool_calls":[{"id":"toolu_1","name":"get","arguments":"{\"a\":1}"}],"events":9}`},
		"anthropic whole": {call("https://h/v1/messages", `{}`, `{"id":"msg_2","type":"message","model":"c","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"t","name":"n","input":{"q":"y"}}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}`),
			`{"provider":"anthropic","call_type":"messages","api_base":"https://h","served_model":"c","stream":false,"id":"msg_2","status":"success","ended_by":"complete","finish_reason":"end_turn","finish_reasons":["end_turn"],"usage":[{"input_tokens":1,"output_tokens":2}],"tokens_in":1,"tokens_out":2,"tokens_cached":0,"tokens_reasoning":0,"text":"x","tool_calls":[{"id":"t","name":"n","arguments":"{\"q\":\"y\"}"}]}`},
		"anthropic error in a good stream": {call("https://h/v1/messages", `{"model":"c"}`, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\",\"content\":[]}}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n"),
			`{"provider":"anthropic","call_type":"messages","api_base":"https://h","model":"c","served_model":"c","stream":true,"id":"m","status":"failure","ended_by":"complete","error_in_stream":true,"error_class":"overloaded_error","error_message":"busy","events":2}`},
		"gemini sse": {call("https://h/v1/models/gemini-x:streamGenerateContent?alt=sse", `{"contents":[]}`,
			"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"why\",\"thought\":true}]}}],\"usageMetadata\":{\"promptTokenCount\":5,\"totalTokenCount\":5},\"modelVersion\":\"gemini-x-1\",\"responseId\":\"r\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"z\":1}}}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":2,\"thoughtsTokenCount\":3,\"cachedContentTokenCount\":1,\"totalTokenCount\":10}}\r\n\r\n"),
			`{"provider":"gemini","call_type":"generate_content","api_base":"https://h","model":"gemini-x","served_model":"gemini-x-1","stream":true,"id":"r","status":"success","ended_by":"complete","finish_reason":"STOP","finish_reasons":["STOP"],"usage":[{"promptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":3,"cachedContentTokenCount":1,"totalTokenCount":10}],"tokens_in":5,"tokens_out":5,"tokens_cached":1,"tokens_reasoning":3,"text":"a","tool_calls":[{"name":"f","arguments":"{\"z\":1}"}],"events":2}`},
		"gemini array without alt=sse": {call("https://h/v1beta/models/g:streamGenerateContent", `{}`, "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x,]\"}]}}]}\n,\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"y\"}]},\"finishReason\":\"MAX_TOKENS\"}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":4,\"thoughtsTokenCount\":3,\"totalTokenCount\":5}}\n]\n"),
			`{"provider":"gemini","call_type":"generate_content","api_base":"https://h","model":"g","stream":true,"status":"success","ended_by":"complete","finish_reason":"MAX_TOKENS","finish_reasons":["MAX_TOKENS"],"usage":[{"promptTokenCount":1,"candidatesTokenCount":4,"thoughtsTokenCount":3,"totalTokenCount":5}],"tokens_in":1,"tokens_out":4,"tokens_cached":0,"tokens_reasoning":3,"text":"x,]y","events":2}`},
		"bedrock converse stream": {call("https://h/model/us.anthropic.c%3A0/converse-stream", `{"messages":[]}`,
			message(":event-type", "messageStart", `{"role":"assistant"}`)+message(":event-type", "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"yo"}}`)+message(":event-type", "messageStop", `{"stopReason":"end_turn"}`)+message(":event-type", "metadata", `{"usage":{"inputTokens":3,"outputTokens":4,"cacheReadInputTokens":5,"cacheWriteInputTokens":6}}`)),
			`{"provider":"bedrock","call_type":"converse","api_base":"https://h","model":"us.anthropic.c:0","stream":true,"status":"success","ended_by":"complete","finish_reason":"end_turn","finish_reasons":["end_turn"],"usage":[{"inputTokens":3,"outputTokens":4,"cacheReadInputTokens":5,"cacheWriteInputTokens":6}],"tokens_in":14,"tokens_out":4,"tokens_cached":5,"tokens_cache_write":6,"tokens_reasoning":0,"text":"yo","events":4}`},
		"bedrock exception within 200": {call("https://h/model/m/converse-stream", `{}`, message(":exception-type", "throttlingException", `{"message":"slow down"}`)),
			`{"provider":"bedrock","call_type":"converse","api_base":"https://h","model":"m","stream":true,"status":"failure","ended_by":"complete","error_in_stream":true,"error_class":"throttlingException","error_message":"slow down","events":1}`},
		"bedrock invoke stream": {call("https://h/model/m/invoke-with-response-stream", `{}`,
			chunk(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"in"}}`)+chunk(`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":8,"outputTokenCount":9}}`)),
			`{"provider":"bedrock","call_type":"invoke","api_base":"https://h","model":"m","stream":true,"status":"success","ended_by":"complete","usage":[{"inputTokenCount":8,"outputTokenCount":9}],"tokens_in":8,"tokens_out":9,"tokens_cached":0,"tokens_reasoning":0,"text":"in","events":2}`},
		"azure": {call("https://x.openai.azure.com/openai/deployments/dep/chat/completions?api-version=1", `{"model":"ignored"}`, `{"object":"chat.completion","model":"gpt","choices":[]}`),
			`{"provider":"azure","call_type":"chat","api_base":"https://x.openai.azure.com","model":"dep","served_model":"gpt","stream":false,"status":"success","ended_by":"complete"}`},
		"cohere stream": {call("https://h/v2/chat", `{"model":"command"}`, "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"i\"}\n\nevent: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"c\"}}}}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":1},\"tokens\":{\"input_tokens\":70,\"output_tokens\":2}}}}\n\n"),
			`{"provider":"cohere","call_type":"chat","api_base":"https://h","model":"command","stream":true,"id":"i","status":"success","ended_by":"complete","finish_reason":"COMPLETE","finish_reasons":["COMPLETE"],"usage":[{"billed_units":{"input_tokens":1},"tokens":{"input_tokens":70,"output_tokens":2}}],"tokens_in":70,"tokens_out":2,"tokens_cached":0,"tokens_reasoning":0,"text":"c","events":3}`},
		"ollama": {call("http://h/api/chat", `{"model":"l"}`, "{\"model\":\"l:1\",\"message\":{\"content\":\"o\"},\"done\":false}\n{\"model\":\"l:1\",\"message\":{\"content\":\"l\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":6}\n"),
			`{"provider":"ollama","call_type":"chat","api_base":"http://h","model":"l","served_model":"l:1","stream":true,"status":"success","ended_by":"complete","finish_reason":"stop","finish_reasons":["stop"],"usage":[{"eval_count":6,"prompt_eval_count":4}],"tokens_in":4,"tokens_out":6,"tokens_cached":0,"tokens_reasoning":0,"text":"ol","events":2}`},
		"cut in an event": {call("https://h/v1/chat/completions", `{"model":"m"}`, "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"obj"),
			`{"provider":"openai","call_type":"chat","api_base":"https://h","model":"m","stream":true,"status":"success","ended_by":"complete","text":"a","events":1,"unparsed":["response: its end is missing"]}`},
		"not JSON": {call("https://h/x", `hello`, `<html>`),
			`{"provider":"unknown","api_base":"https://h","stream":false,"status":"success","ended_by":"complete","unparsed":["request: no JSON","response: neither JSON nor a stream that is known"]}`},
	} {
		d := c.e.derive()
		if d.Extractor != Extractor {
			t.Errorf("%s: extractor %d", name, d.Extractor)
		}
		got := strings.Replace(string(derivedJSON(t, d)), `"extractor":1,`, "", 1)
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// derivedJSON is what encode writes; it says what encoding/json would say.
func derivedJSON(t *testing.T, d *Derived) []byte {
	t.Helper()
	s := &output{b: []byte("{")}
	d.encode(s)
	s.close('}')
	var got, want Derived
	b, err := json.Marshal(d)
	if err := errors.Join(err, json.Unmarshal(b, &want), json.Unmarshal(s.b, &got)); err != nil {
		t.Fatalf("%v: %s", err, s.b)
	}
	got.clean()
	want.clean()
	if !reflect.DeepEqual(got, want) || !utf8.Valid(s.b) || bytes.ContainsAny(s.b, "\r\n") {
		t.Fatalf("\n got %s\nwant %s", s.b, b)
	}
	return s.b
}

// clean makes alike what stands for bytes that are no UTF-8: one mark for each, or one for all in a row.
func (d *Derived) clean() {
	scrub := func(p *string) {
		for strings.Contains(*p, "\uFFFD\uFFFD") {
			*p = strings.ReplaceAll(*p, "\uFFFD\uFFFD", "\uFFFD")
		}
	}
	d.eachText(scrub)
	for i := range d.Usage {
		u := string(d.Usage[i])
		scrub(&u)
		d.Usage[i] = json.RawMessage(u)
	}
}

// Errors are read in the providers' forms, and a status over 399 is a failure whatever the body is.
func TestDeriveErrors(t *testing.T) {
	for body, want := range map[string][3]string{
		`{"error":{"message":"no","type":"invalid_request_error","code":"model_not_found"}}`: {"invalid_request_error", "model_not_found", "no"},
		`[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]`:               {"INVALID_ARGUMENT", "400", "bad"},
		`{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}`:              {"rate_limit_error", "429", "slow"},
		`{"error":"plain"}`:                   {"", "429", "plain"},
		`{"message":"too many requests"}`:     {"", "429", "too many requests"},
		`{"detail":[{"loc":["x"]}]}`:          {"", "429", `[{"loc":["x"]}]`},
		`upstream connect error`:              {"", "429", ""},
		`{"choices":[{"finish_reason":"x"}]}`: {"", "429", ""},
	} {
		e := call("https://h/v1/chat/completions", "{}", body)
		e.Status = 429
		d := e.derive()
		if got := [3]string{d.ErrorClass, d.ErrorCode, d.ErrorMessage}; got != want || d.Status != "failure" || d.InStream {
			t.Errorf("%s: %q %s, want %q", body, got, d.Status, want)
		}
	}
}

// Codings are undone, within bounds.
func TestDeriveContentCodings(t *testing.T) {
	body := `{"object":"chat.completion","model":"zipped","choices":[]}`
	var gz, zs bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write([]byte(body))
	_ = w.Close()
	z, _ := zstd.NewWriter(&zs)
	_, _ = z.Write([]byte(body))
	_ = z.Close()
	for coding, b := range map[string]string{"gzip": gz.String(), "zstd": zs.String(), "": body} {
		d := call("https://h/", "{}", b, Field{"content-encoding", coding}).derive()
		if d.ServedModel != "zipped" || d.Unparsed != nil {
			t.Errorf("%q: %q %q", coding, d.ServedModel, d.Unparsed)
		}
	}
	var bomb bytes.Buffer
	w = gzip.NewWriter(&bomb)
	for range 64 {
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	for coding, b := range map[string]string{"gzip": bomb.String(), "br": "\x0b\x02\x80", "x": "y"} {
		d := call("https://h/", "{}", b, Field{"content-encoding", coding}).derive()
		if len(d.Unparsed) != 1 || !strings.HasPrefix(d.Unparsed[0], "response: ") {
			t.Errorf("%q: %q", coding, d.Unparsed)
		}
	}
}

// The first token is when its chunk came, not when the first byte did.
func TestFirstToken(t *testing.T) {
	e := call("https://h/v1/messages", "{}", claudeStream)
	begin := int64(strings.Index(claudeStream, "text_delta"))
	e.Arrivals = []Arrival{{begin - 100, e.Start.Add(time.Second)}, {begin + 200, e.Start.Add(2 * time.Second)}, {int64(len(claudeStream)), e.Start.Add(3 * time.Second)}}
	if d := e.derive(); d.FirstToken != stamp(e.Start.Add(2*time.Second)) {
		t.Error(d.FirstToken)
	}
}

func FuzzDerive(f *testing.F) {
	f.Add("https://h/v1/messages", []byte(`{"model":"m"}`), []byte(claudeStream), "")
	f.Add("https://h/model/m/converse-stream", []byte(`{}`), []byte(message(":event-type", "metadata", `{"usage":{}}`)+chunk(`{}`)), "")
	f.Add("https://h/v1beta/models/g:streamGenerateContent", []byte(``), []byte(`[{"candidates":[{}]},`), "gzip")
	f.Add("", []byte("["), []byte("data: {}\r\rdata"), "deflate")
	f.Fuzz(func(t *testing.T, url string, request, response []byte, coding string) {
		e := call(url, string(request), string(response), Field{"content-encoding", coding})
		d := e.derive()
		if len(d.Unparsed) == 1 && strings.HasPrefix(d.Unparsed[0], "derive:") {
			t.Fatal(d.Unparsed)
		}
		derivedJSON(t, d)
		var b bytes.Buffer
		if err := e.Encode(&b); err != nil {
			t.Fatal(err)
		}
		back, _, err := Parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Request.Body.Bytes, request) || !bytes.Equal(back.Response.Body.Bytes, response) {
			t.Fatal("a body came back changed")
		}
	})
}
