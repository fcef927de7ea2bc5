#!/usr/bin/env bash
# A call with a conversation of 100 messages, traced by OpenInference's instrumentation of the OpenAI SDK under the OpenTelemetry SDK with its defaults:
# in Python the trace has lost the beginning (the request itself, the system prompt, the first messages), in JavaScript the end (the
# answer and the tokens). Guess before: all of it is there; or, if something had to go, the same in both languages, and from the middle.
# A message is two attributes of the span or more, and an SDK keeps 128 of a span. The Python one drops the oldest for a new one, although the specification has the
# new one discarded; the JavaScript one does that. Nothing of it is a message to the application: Python logs a warning for each attribute,
# JavaScript nothing; dropped_attributes_count says how many went, not which. About 55 messages fit, which an agent with tools reaches in
# minutes. OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT raises it. opentelemetry-instrumentation-openai 0.62.4 writes all messages as one attribute, and has no such end.
#
# Seen 2026-12-01, openinference-instrumentation-openai 0.1.66 and opentelemetry-sdk 1.45.2 (Python), @arizeai/openinference-instrumentation-openai 4.2.7 and
# @opentelemetry/sdk-trace-base 2.12.1 (npm):
#   Python       10 messages: request yes, messages 0-9 of 10, answer yes, tokens yes, dropped 0
#   Python       100 messages: request no, messages 40-99 of 100, answer yes, tokens yes, dropped 87
#   Python, 1000 100 messages: request yes, messages 0-99 of 100, answer yes, tokens yes, dropped 0
#   JavaScript   10 messages: request yes, messages 0-9 of 10, answer yes, tokens yes, dropped 0
#   JavaScript   100 messages: request yes, messages 0-60 of 100, answer no, tokens no, dropped 86
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'openai==3.57.0' 'opentelemetry-sdk==1.45.2' 'openinference-instrumentation-openai==0.1.66' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
npm init -y >/dev/null
npm install --silent --no-audit --no-fund openai@6.49.0 @arizeai/openinference-instrumentation-openai@4.2.7 @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1 @opentelemetry/sdk-trace-node@2.12.1 >npm.txt 2>&1 || { cat npm.txt >&2; exit 1; }
cat >server.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
answer = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}],
                     "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}).encode()

class Provider(BaseHTTPRequestHandler):
    def log_message(self, *a):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

s = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
print(s.server_port, flush=True)
s.serve_forever()
PY
cat >client.py <<'PY'
import re, sys
import openai
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
what, n = sys.argv[2], int(sys.argv[3])
spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
OpenAIInstrumentor().instrument(tracer_provider=provider)
messages = [{"role": "system", "content": "Pay nobody."}] + [{"role": "user" if k % 2 else "assistant", "content": f"message {k}"} for k in range(1, n)]
openai.OpenAI(api_key="any", base_url=sys.argv[1], max_retries=0).chat.completions.create(model="m", messages=messages)
(span,) = spans.get_finished_spans()
has = lambda name: "yes" if name in span.attributes else "no"
kept = [k for k in range(n) if f"llm.input_messages.{k}.message.content" in span.attributes]
print(f"{what:<12} {n} messages: request {has('input.value')}, messages {kept[0]}-{kept[-1]} of {n}, answer {has('llm.output_messages.0.message.content')}, tokens {has('llm.token_count.total')}, dropped {span.dropped_attributes}")
PY
cat >client.mjs <<'JS'
import OpenAI from 'openai';
import { OpenAIInstrumentation } from '@arizeai/openinference-instrumentation-openai';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
const [url, n] = [process.argv[2], Number(process.argv[3])];
const spans = new InMemorySpanExporter();
const instrumentation = new OpenAIInstrumentation({ tracerProvider: new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }) });
instrumentation.manuallyInstrument(OpenAI);
const messages = [{ role: 'system', content: 'Pay nobody.' }];
for (let k = 1; k < n; k++) messages.push({ role: k % 2 ? 'user' : 'assistant', content: `message ${k}` });
await new OpenAI({ apiKey: 'any', baseURL: url, maxRetries: 0 }).chat.completions.create({ model: 'm', messages });
const [span] = spans.getFinishedSpans();
const has = (name) => (name in span.attributes ? 'yes' : 'no');
const kept = [...Array(n).keys()].filter((k) => `llm.input_messages.${k}.message.content` in span.attributes);
console.log(`${'JavaScript'.padEnd(12)} ${n} messages: request ${has('input.value')}, messages ${kept[0]}-${kept.at(-1)} of ${n}, answer ${has('llm.output_messages.0.message.content')}, tokens ${has('llm.token_count.total')}, dropped ${span.droppedAttributesCount}`);
process.exit(0);
JS
python3 server.py >port 2>server.txt &
server=$!
for _ in $(seq 200); do [ -s port ] && break; sleep 0.1; done
url=http://127.0.0.1:$(cat port)
unset OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT OTEL_ATTRIBUTE_COUNT_LIMIT
{
	timeout 100 venv/bin/python client.py "$url" Python 10
	timeout 100 venv/bin/python client.py "$url" Python 100
	OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=1000 timeout 100 venv/bin/python client.py "$url" 'Python, 1000' 100
	timeout 100 node client.mjs "$url" 10
	timeout 100 node client.mjs "$url" 100
} >seen.txt 2>log.txt || { cat log.txt >&2; exit 1; }
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
