//go:build unix

package otlp

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

// BenchmarkRecords makes the records of requests of 512 spans, as three conventions have them, without a door or a spool.
func BenchmarkRecords(b *testing.B) {
	prompt, answer := strings.Repeat("lorem ipsum ", 50), strings.Repeat("dolor sit ", 25)
	for _, c := range []struct {
		name, scope string
		attrs       map[string]any
	}{
		{"gen_ai", "opentelemetry.instrumentation.genai.openai", map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.response.model": "m-1", "gen_ai.response.id": "chatcmpl-0123456789",
			"gen_ai.response.finish_reasons": []any{"stop"}, "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2,
			"gen_ai.input.messages": fmt.Sprintf(`[{"role":"user","parts":[{"type":"text","content":%q}]}]`, prompt), "gen_ai.output.messages": fmt.Sprintf(`[{"role":"assistant","parts":[{"type":"text","content":%q}]}]`, answer),
		}},
		{"openinference", "openinference.instrumentation.openai", map[string]any{
			"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "m-1", "llm.invocation_parameters": `{"model":"m","stream":true}`, "llm.token_count.prompt": 3, "llm.token_count.completion": 2,
			"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": prompt, "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": answer,
			"input.value": `{"messages":[{"role":"user","content":"` + prompt + `"}]}`, "output.value": `{"id":"chatcmpl-0123456789","choices":[{"message":{"content":"` + answer + `"}}]}`, "output.mime_type": "application/json",
		}},
		{"litellm", "litellm", map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "m", "gen_ai.response.id": "chatcmpl-0123456789", "hidden_params": `{"api_base":"https://api.openai.com/v1/","response_cost":0.001}`,
			"metadata.usage_object": "{'prompt_tokens': 3, 'prompt_tokens_details': {'cached_tokens': 1}}", "metadata.user_api_key_hash": "abc", "gen_ai.usage.input_tokens": 3, "llm.is_streaming": "False",
			"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": prompt, "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": answer,
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			spans := make([]*trace.Span, 512)
			for i := range spans {
				spans[i] = span(1, "chat m", c.attrs)
				spans[i].SpanId = binary.BigEndian.AppendUint64(nil, uint64(i+1))
			}
			data := request(b, c.scope, spans...)
			bodies := make([]byte, 0, 8*len(data))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			begun := cpuTime()
			for b.Loop() {
				items, err := Split(Traces, Protobuf, data)
				if err != nil {
					b.Fatal(err)
				}
				bodies = bodies[:0]
				var r Record
				for i := range items {
					r.Read(&items[i])
					bodies = r.AppendBody(bodies)
				}
			}
			b.ReportMetric(float64((cpuTime()-begun).Nanoseconds())/float64(b.N*len(spans)), "cpu-ns/span")
			b.ReportMetric(float64(len(bodies))/float64(len(spans)), "body-B/span")
		})
	}
}

// cpuTime is what this process has used of the processors: on a busy machine it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for RUSAGE_SELF
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
