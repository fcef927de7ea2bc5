#!/usr/bin/env bash
# One valid event stream, six SDKs, five answers: openai 3.57.0, anthropic 2.14.0 and google-genai 3.6.1 (Python), openai 6.49.0,
# @anthropic-ai/sdk 1.14.0 and @google/genai 2.32.0 (npm). Each gets its provider's stream of the texts "a" and "b",
# varied as https://html.spec.whatwg.org/multipage/server-sent-events.html allows: a parser by that text sees "a" and "b" in each.
# Guess before: an SDK in one language reads what the same provider's SDK in the other reads; a byte order mark
# may be an exception; a comment, which that text itself recommends every 15 seconds against proxies that time out, is none.
#   - google-genai (Python) fails at a comment, at "data:" without a space, at "retry:" and "id:".
#   - @google/genai (npm) gives nothing at all, and no error, where "id:" stands before "data:".
#   - openai (Python) loses the first event after a byte order mark, without an error, and fails at a "retry:" alone; its
#     npm sister reads both.
# So a gateway that keeps connections alive with comments, or numbers events, breaks Google's clients alone, and no test
# with the other two shows it; and a recorder that reads the stream by the standard may hold more text than the application saw.
#
# Seen 2026-11-30, Python 3.11, Node.js 20:
#   stream                  openai py                anthropic py             google py                openai js                anthropic js             google js
#   as its provider sends   a b                      ab                       a b                      a b                      ab                       a b
#   comment before an event a b                      ab                       UnknownApiResponseError  a b                      ab                       a b
#   data: without a space   a b                      ab                       UnknownApiResponseError  a b                      ab                       a b
#   retry: alone, first     JSONDecodeError          ab                       UnknownApiResponseError  a b                      ab                       a b
#   id: before each data:   a b                      ab                       UnknownApiResponseError  a b                      ab                       nothing, no error
#   byte order mark         b                        AssertionError           UnknownApiResponseError  a b                      ab                       a b
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'openai==3.57.0' 'anthropic==2.14.0' 'google-genai==3.6.1' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
npm init -y >/dev/null
npm install --silent --no-audit --no-fund openai@6.49.0 @anthropic-ai/sdk@1.14.0 @google/genai@2.32.0 >npm.txt 2>&1 || { cat npm.txt >&2; exit 1; }
cat >server.py <<'PY'
import json, re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
chunk = lambda text: {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
delta = lambda text: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
streams = {
    "openai": "".join(f"data: {d}\n\n" for d in [json.dumps(chunk("a")), json.dumps(chunk("b")), "[DONE]"]),
    "anthropic": "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, delta("a"), delta("b"), {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}}, {"type": "message_stop"}]),
    "google": "".join("data: %s\n\n" % json.dumps({"candidates": [{"content": {"role": "model", "parts": [{"text": t}]}}]}) for t in "ab"),
}
vary = {
    "plain": lambda s: s,
    "comment": lambda s: ": still here\n\n" + s,
    "nospace": lambda s: re.sub("^data: ", "data:", s, flags=re.M),
    "retry": lambda s: "retry: 3000\n\n" + s,
    "id": lambda s: re.sub("^data:", "id: 1\ndata:", s, flags=re.M),
    "bom": lambda s: "\ufeff" + s,
}

class Provider(BaseHTTPRequestHandler):
    def log_message(self, *a):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, provider, how, *_ = self.path.split("/")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(vary[how](streams[provider]).encode())

s = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
print(s.server_port, flush=True)
s.serve_forever()
PY
cat >clients.mjs <<'JS'
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
const read = {
  async openai(url, out) {
    const client = new OpenAI({ apiKey: 'any', baseURL: url, maxRetries: 0 });
    for await (const c of await client.chat.completions.create({ model: 'm', stream: true, messages: [] })) out.push(c.choices[0].delta.content);
  },
  async anthropic(url, out) {
    const client = new Anthropic({ apiKey: 'any', baseURL: url, maxRetries: 0 });
    out.push((await client.messages.stream({ model: 'm', max_tokens: 9, messages: [] }).finalMessage()).content[0].text);
  },
  async google(url, out) {
    const client = new GoogleGenAI({ apiKey: 'any', httpOptions: { baseUrl: url } });
    for await (const c of await client.models.generateContentStream({ model: 'm', contents: 'hi' })) out.push(c.text);
  },
};
for (const how of process.argv[3].split(',')) {
  const row = [];
  for (const [provider, run] of Object.entries(read)) {
    const out = [];
    try {
      await run(`${process.argv[2]}/${provider}/${how}`, out);
      row.push(out.join(' ') || 'nothing, no error');
    } catch (e) {
      row.push(e.constructor.name);
    }
  }
  console.log(row.join('\t'));
}
process.exit(0);
JS
cat >clients.py <<'PY'
import sys
import anthropic, openai
from google import genai
from google.genai import types

def from_openai(url, out):
    for c in openai.OpenAI(api_key="any", base_url=url, max_retries=0).chat.completions.create(model="m", stream=True, messages=[]):
        out.append(c.choices[0].delta.content)

def from_anthropic(url, out):
    with anthropic.Anthropic(api_key="any", base_url=url, max_retries=0).messages.stream(model="m", max_tokens=9, messages=[]) as s:
        out.append(s.get_final_message().content[0].text)

def from_google(url, out):
    client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=url))
    for c in client.models.generate_content_stream(model="m", contents="hi"):
        out.append(c.text)

for how in sys.argv[2].split(","):
    row = []
    for provider, run in ("openai", from_openai), ("anthropic", from_anthropic), ("google", from_google):
        out = []
        try:
            run(f"{sys.argv[1]}/{provider}/{how}", out)
            row.append(" ".join(out) or "nothing, no error")
        except Exception as e:
            row.append(type(e).__name__)
    print("\t".join(row))
PY
python3 server.py >port 2>server.txt &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
url=http://127.0.0.1:$(cat port) how=plain,comment,nospace,retry,id,bom
timeout 120 venv/bin/python clients.py "$url" "$how" >py.txt
timeout 120 node clients.mjs "$url" "$how" >js.txt 2>node.txt || { cat node.txt >&2; exit 1; }
printf '%s\n' 'as its provider sends' 'comment before an event' 'data: without a space' 'retry: alone, first' 'id: before each data:' 'byte order mark' >what.txt
{
	printf 'stream\topenai py\tanthropic py\tgoogle py\topenai js\tanthropic js\tgoogle js\n'
	paste what.txt py.txt js.txt
} | awk -F '\t' '{ for (i = 1; i < NF; i++) printf i == 1 ? "%-24s" : "%-25s", $i; print $NF }' | tee seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
