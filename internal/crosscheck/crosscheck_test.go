package crosscheck

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/record"
)

var begun = time.Unix(1_764_000_000, 0)

// bench adds records one after the other.
type bench struct {
	t *testing.T
	Check
	seq record.Seq
}

func (b *bench) add(door, body string) {
	b.t.Helper()
	b.seq++
	if err := b.Add(b.seq, door, []byte(body)); err != nil {
		b.t.Fatal(err)
	}
}

// wire adds the open and the close record of a call that began at second at; status 0: none is closed.
func (b *bench) wire(id string, at int, prompt string, status int, how capture.Transport, answer string, headers ...capture.Field) {
	b.t.Helper()
	request := fmt.Sprintf(`{"model":"gpt-x","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":%q}]}]}`, prompt)
	e := capture.Exchange{
		Kind: capture.Open, ID: id, Method: "POST", URL: "https://h/v1/chat/completions", Start: begun.Add(time.Duration(at) * time.Second), Derive: true,
		Request: capture.Message{Body: capture.BytesBody([]byte(request), sha256.Sum256([]byte(request)))},
	}
	b.add("proxy", string(e.Append(nil)))
	if status == 0 {
		return
	}
	e.Kind, e.Request.Absent, e.Status, e.Transport, e.End = capture.Close, true, status, how, e.Start.Add(time.Second)
	e.Response = capture.Message{Body: capture.BytesBody([]byte(answer), sha256.Sum256([]byte(answer))), Headers: headers}
	b.add("proxy", string(e.Append(nil)))
}

// litellm adds a record of LiteLLM's that spans two seconds.
func (b *bench) litellm(id, call string, at int, prompt, rest string) {
	b.t.Helper()
	start := float64(begun.Unix() + int64(at))
	b.add("s3", fmt.Sprintf(`{"id":%q,"litellm_call_id":%q,"custom_llm_provider":"openai","startTime":%f,"endTime":%f,"messages":[{"role":"user","content":%q}],%s}`, id, call, start, start+2, prompt, rest))
}

func whole(id, model, reason string, in, out int) string {
	return fmt.Sprintf(`{"id":%q,"object":"chat.completion","model":%q,"choices":[{"message":{"content":"x"},"finish_reason":%q}],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, id, model, reason, in, out)
}

func says(status, model, reason string, in, out int) string {
	return fmt.Sprintf(`"status":%q,"model":"alias","prompt_tokens":%d,"completion_tokens":%d,"response":{"model":%q,"choices":[{"finish_reason":%q}]}`, status, in, out, model, reason)
}

// show is what was found, in a form to compare.
func show(r Result) string {
	var b strings.Builder
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "missing %s %d %s\n", m.CallID, m.HTTP, m.Ended)
	}
	for _, d := range r.Differ {
		fmt.Fprintf(&b, "%s %s", d.CallID, d.ID)
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "; %s", f)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%d of %d, %d lost, %d disagree, %d names, %d unseen, %d others", r.Matched, r.Wire, r.Lost, r.Disagree, r.Models, r.Unseen, r.Others)
	return b.String()
}

// What the wire saw against what LiteLLM says, case by case; a call is found by LiteLLM's call id, the provider's id, or what was asked.
func TestCheck(t *testing.T) {
	stream := "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"
	for name, c := range map[string]struct {
		do   func(b *bench)
		want string
		ok   bool
	}{
		"agreed": {func(b *bench) {
			b.wire("w", 0, "q", 200, capture.Complete, whole("c1", "m", "stop", 3, 2))
			b.litellm("c1", "l", 0, "q", says("success", "m", "stop", 3, 2))
		}, "1 of 1, 0 lost, 0 disagree, 0 names, 0 unseen, 0 others", true},
		"an alias": {func(b *bench) {
			b.wire("w", 0, "q", 200, capture.Complete, whole("c1", "m-2026", "stop", 3, 2))
			b.litellm("c1", "l", 0, "q", says("success", "alias", "stop", 3, 2))
		}, "w c1; served_model: wire m-2026, LiteLLM alias\n1 of 1, 0 lost, 0 disagree, 1 names, 0 unseen, 0 others", true},
		"the client left": {func(b *bench) {
			b.wire("w", 0, "q", 200, capture.ClientAbort, stream)
			b.litellm("c1", "l", 0, "q", says("success", "m", "stop", 3, 2))
		}, "w c1; status: wire failure (client_abort), LiteLLM success; finish_reason: wire none, LiteLLM stop; tokens_in: wire none, LiteLLM 3; tokens_out: wire none, LiteLLM 2\n1 of 1, 0 lost, 1 disagree, 0 names, 0 unseen, 0 others", false},
		"the upstream cut it": {func(b *bench) {
			b.wire("w", 0, "q", 200, capture.UpstreamAbort, stream)
			b.litellm("l", "l", 0, "q", `"status":"failure","response":{}`)
		}, "w l; text: wire 1 bytes, LiteLLM none\n1 of 1, 0 lost, 1 disagree, 0 names, 0 unseen, 0 others", false},
		"no record at all": {func(b *bench) {
			b.wire("w", 0, "q", 200, capture.Complete, stream)
			b.wire("x", 0, "refused", 429, capture.Complete, `{"error":{"message":"no"}}`)
			b.wire("y", 0, "unknown", 0, "", "")
			b.litellm("c9", "l", 0, "from the cache", says("success", "m", "stop", 3, 2))
			b.add("http", `{"other":1}`)
			models := capture.Exchange{Kind: capture.Whole, ID: "m", Method: "GET", URL: "https://h/v1/models", Start: begun, Status: 200, Transport: capture.Complete, Derive: true}
			b.add("proxy", string(models.Append(nil)))
		}, "missing w 200 complete\nmissing x 429 complete\nmissing y 0 outcome unknown\n0 of 3, 3 lost, 0 disagree, 0 names, 1 unseen, 2 others", false},
		"a failure is found by what was asked, the attempts before it too": {func(b *bench) {
			for i, id := range []string{"v", "w"} {
				b.wire(id, i, "q", 503, capture.Complete, `{"error":{"message":"no"}}`)
			}
			b.wire("z", 100, "q", 503, capture.Complete, `{}`)
			b.litellm("l", "l", 0, "q", `"status":"failure"`)
		}, "missing z 503 complete\n2 of 3, 1 lost, 0 disagree, 0 names, 0 unseen, 0 others", false},
		"one record is not that of two calls": {func(b *bench) {
			b.wire("v", 0, "q", 200, capture.Complete, whole("c1", "m", "stop", 3, 2))
			b.wire("w", 0, "q", 429, capture.Complete, `{}`)
			b.litellm("c1", "l", 0, "q", says("success", "m", "stop", 3, 2))
		}, "missing w 429 complete\n1 of 2, 1 lost, 0 disagree, 0 names, 0 unseen, 0 others", false},
		"before LiteLLM, its call id tells": {func(b *bench) {
			b.wire("w", 0, "q", 200, capture.Complete, whole("other", "m", "stop", 3, 2), capture.Field{Name: "x-litellm-call-id", Value: "l1"})
			b.wire("x", 0, "q", 200, capture.Complete, whole("c2", "m", "stop", 3, 2), capture.Field{Name: "x-litellm-call-id", Value: "l2"})
			b.litellm("c1", "l1", 0, "q", says("success", "m", "length", 3, 2))
		}, "missing x 200 complete\nw c1; finish_reason: wire stop, LiteLLM length\n1 of 2, 1 lost, 1 disagree, 0 names, 0 unseen, 0 others", false},
		"other words for the same end": {func(b *bench) {
			b.wire("w", 0, "q", 200, capture.Complete, `{"id":"msg","type":"message","model":"c","content":[],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}`)
			b.litellm("msg", "l", 0, "q", says("success", "c", "stop", 3, 2))
		}, "1 of 1, 0 lost, 0 disagree, 0 names, 0 unseen, 0 others", true},
	} {
		b := &bench{t: t}
		c.do(b)
		r := b.Result()
		if got := show(r); got != c.want || r.OK() != c.ok {
			t.Errorf("%s: ok %v\n got %s\nwant %s", name, r.OK(), got, c.want)
		}
	}
}

// The text asked last is the same in the forms of all providers.
func TestLastText(t *testing.T) {
	for _, body := range []string{
		`{"messages":[{"content":"first"},{"content":"é"}]}`,
		`{"system":"s","messages":[{"role":"user","content":[{"type":"image"},{"type":"text","text":"é"}]}]}`,
		`{"contents":[{"parts":[{"text":"first"},{"text":"\u00e9"}]}]}`,
		`{"input":"é","messages":null}`, `{"input":[{"role":"user","content":[{"type":"input_text","text":"é"}]}]}`, `{"prompt":"é"}`,
	} {
		if got := lastText([]byte(body)); got != "é" {
			t.Errorf("%s: %q", body, got)
		}
	}
	for _, body := range []string{`{}`, `[]`, `{"messages":[{"content":null}]}`, `{"messages":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "x"} {
		if got := lastText([]byte(body)); got != "" {
			t.Errorf("%s: %q", body, got)
		}
	}
}
