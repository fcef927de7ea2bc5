#!/usr/bin/env bash
# A model calls pay(to="ACME", amount=1000), and its answer ends at max_tokens in the middle of the number: the provider sends
# {"to": "ACME", "amount": 10 and stop_reason max_tokens (finish_reason length). anthropic 2.14.0 (Python), langchain-openai 1.7.4,
# langchain-anthropic 1.7.10, @langchain/openai 1.5.8 and @langchain/anthropic 1.5.11 give the application a complete call with amount 10.
# Guess before: the text as it came, an error, or for LangChain an entry in invalid_tool_calls, which is there for arguments that do not parse.
# The number ends where the text does, and a lenient JSON parser closes the object behind it, so the call passes its schema.
# LangChain keeps invalid_tool_calls empty. @anthropic-ai/sdk 1.14.0 leaves the last field out, so that a call whose field is optional passes as well.
# openai 3.57.0 raises, and the AI SDK (ai 6.0.326) marks the call as invalid.
# An agent that does not look at the reason of the stop pays 10, and what logs the parsed call has no trace of the cut. (Anthropic holds a value back
# until it is whole, unless the tool asks for eager_input_streaming, as here; anthropics/anthropic-sdk-python#794. OpenAI sends what there is.)
#
# Seen 2026-12-01, Python 3.11, Node.js 20, the tool's input as the application gets it:
#   anthropic py             {"to": "ACME", "amount": 10}
#   openai py                LengthFinishReasonError
#   langchain-openai py      {"to": "ACME", "amount": 10}, invalid calls: 0
#   langchain-anthropic py   {"to": "ACME", "amount": 10}, invalid calls: 0
#   anthropic js             {"to":"ACME"}
#   langchain-openai js      {"to":"ACME","amount":10}, invalid calls: 0
#   langchain-anthropic js   {"to":"ACME","amount":10}, invalid calls: 0
#   ai sdk, anthropic js     marked as invalid
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'openai==3.57.0' 'anthropic==2.14.0' 'langchain-openai==1.7.4' 'langchain-anthropic==1.7.10' 'langchain-core==1.8.3' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @anthropic-ai/sdk@1.14.0 @langchain/core@1.4.0 @langchain/openai@1.5.8 @langchain/anthropic@1.5.11 ai@6.0.326 @ai-sdk/anthropic@3.0.140 >npm.txt 2>&1 || { cat npm.txt >&2; exit 1; }
cat >server.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
cut = '{"to": "ACME", "amount": 10'  # and 00} would have followed
anthropic = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "pay", "input": {}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": cut}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"}]
chunk = lambda delta, why: json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": why}]})
openai = [
    chunk({"role": "assistant", "tool_calls": [{"index": 0, "id": "t", "type": "function", "function": {"name": "pay", "arguments": cut}}]}, None),
    chunk({}, "length"), "[DONE]"]

class Provider(BaseHTTPRequestHandler):
    def log_message(self, *a):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if self.path.startswith("/anthropic"):
            body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in anthropic)
        else:
            body = "".join(f"data: {d}\n\n" for d in openai)
        self.wfile.write(body.encode())

s = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
print(s.server_port, flush=True)
s.serve_forever()
PY
cat >clients.py <<'PY'
import json, sys
import anthropic, openai
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
url = sys.argv[1]
tool = {"name": "pay", "description": "pays", "eager_input_streaming": True, "input_schema": {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "integer"}}, "required": ["to", "amount"]}}
own = {"api_key": "any", "max_retries": 0}

def from_anthropic():
    with anthropic.Anthropic(base_url=url + "/anthropic", **own).messages.stream(model="m", max_tokens=9, messages=[], tools=[tool]) as s:
        return json.dumps(s.get_final_message().content[0].input)

def from_openai():
    with openai.OpenAI(base_url=url + "/openai", **own).chat.completions.stream(model="m", messages=[]) as s:
        return json.dumps(s.get_final_completion().choices[0].message.tool_calls[0].function.arguments)

def from_langchain(model):
    full = None
    for c in model.bind_tools([tool]).stream("pay"):
        full = c if full is None else full + c
    return json.dumps(full.tool_calls[0]["args"]) + f", invalid calls: {len(full.invalid_tool_calls)}"

for what, run in (
    ("anthropic py", from_anthropic), ("openai py", from_openai),
    ("langchain-openai py", lambda: from_langchain(ChatOpenAI(model="m", base_url=url + "/openai", **own))),
    ("langchain-anthropic py", lambda: from_langchain(ChatAnthropic(model="m", base_url=url + "/anthropic", max_tokens=9, **own))),
):
    try:
        got = run()
    except Exception as e:
        got = type(e).__name__
    print(f"{what:<24} {got}")
PY
cat >clients.mjs <<'JS'
import Anthropic from '@anthropic-ai/sdk';
import { ChatAnthropic } from '@langchain/anthropic';
import { ChatOpenAI } from '@langchain/openai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { jsonSchema, streamText, tool } from 'ai';
const url = process.argv[2], anthropic = url + '/anthropic';
globalThis.AI_SDK_LOG_WARNINGS = false;
const input = { type: 'object', properties: { to: { type: 'string' }, amount: { type: 'number' } }, required: ['to', 'amount'] };
const langchain = async (model) => {
  let full;
  for await (const c of await model.bindTools([{ name: 'pay', description: 'pays', schema: input }]).stream('pay')) full = full ? full.concat(c) : c;
  return `${JSON.stringify(full.tool_calls[0].args)}, invalid calls: ${full.invalid_tool_calls.length}`;
};
for (const [what, run] of Object.entries({
  'anthropic js': async () => {
    const s = new Anthropic({ apiKey: 'any', baseURL: anthropic, maxRetries: 0 }).messages.stream({ model: 'm', max_tokens: 9, messages: [], tools: [{ name: 'pay', input_schema: input, eager_input_streaming: true }] });
    return JSON.stringify((await s.finalMessage()).content[0].input);
  },
  'langchain-openai js': () => langchain(new ChatOpenAI({ model: 'm', apiKey: 'any', maxRetries: 0, configuration: { baseURL: url + '/openai' } })),
  'langchain-anthropic js': () => langchain(new ChatAnthropic({ model: 'm', apiKey: 'any', maxRetries: 0, anthropicApiUrl: anthropic })),
  'ai sdk, anthropic js': async () => {
    const s = streamText({ model: createAnthropic({ apiKey: 'any', baseURL: anthropic })('m'), prompt: 'pay', maxRetries: 0, tools: { pay: tool({ inputSchema: jsonSchema(input) }) } });
    const [call] = await s.toolCalls;
    return call.invalid ? 'marked as invalid' : JSON.stringify(call.input);
  },
})) {
  let got;
  try {
    got = await run();
  } catch (e) {
    got = e.constructor.name;
  }
  console.log(what.padEnd(24), got);
}
process.exit(0);
JS
python3 server.py >port 2>server.txt &
server=$!
for _ in $(seq 200); do [ -s port ] && break; sleep 0.1; done
url=http://127.0.0.1:$(cat port)
export LANGCHAIN_TRACING_V2=false
timeout 300 venv/bin/python -W ignore clients.py "$url" >seen.txt 2>py.txt || { cat py.txt >&2; exit 1; }
timeout 300 node clients.mjs "$url" >>seen.txt 2>js.txt || { cat js.txt >&2; exit 1; }
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
