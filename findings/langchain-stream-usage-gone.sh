#!/usr/bin/env bash
# langchain-openai 1.7.4: a streamed call has its token usage as long as the client goes to OpenAI by default. With a base_url, with OPENAI_BASE_URL, and with an
# http_client of one's own it has none: stream_options.include_usage is not sent any more, so the provider does not count for the stream either.
# Guess before: an address says where a request goes, not what is in it; the more so where the address is OpenAI's own, written out.
# There is no warning: usage_metadata is None, get_usage_metadata_callback adds up nothing, and whoever puts a gateway or a recording proxy between
# to know what the calls cost has calls without tokens. stream_usage=True brings it back. (LangChain leaves it off on purpose, because some other providers refuse
# the field; LangSmith's own gateway is exempt.) @langchain/openai 1.5.8 (npm) sends it whatever the address.
#
# Seen 2026-12-01, openai 3.57.0, Python 3.11, Node.js 20, "sent" is stream_options.include_usage in the request:
#   py, nothing set                    sent,     12 tokens
#   py, base_url of a gateway          not sent, None
#   py, OPENAI_BASE_URL of a gateway   not sent, None
#   py, base_url of OpenAI itself      not sent, None
#   py, http_client                    not sent, None
#   py, base_url and stream_usage      sent,     12 tokens
#   py, base_url, callback adds up     not sent, nothing
#   js, baseURL of a gateway           sent,     12 tokens
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'openai==3.57.0' 'langchain-openai==1.7.4' 'langchain-core==1.8.3' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @langchain/core@1.4.0 @langchain/openai@1.5.8 >npm.txt 2>&1 || { cat npm.txt >&2; exit 1; }
cat >server.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class OpenAI(BaseHTTPRequestHandler):  # counts where it is asked to, as OpenAI does
    def log_message(self, *a):
        pass

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chunk = lambda **more: {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **more}
        chunks = [chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": "yes"}, "finish_reason": None}]), chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])]
        asked = (call.get("stream_options") or {}).get("include_usage", False)
        if asked:
            chunks.append(chunk(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}))
        with open("asked", "w") as f:
            f.write("sent,    " if asked else "not sent,")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(("".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n").encode())

s = ThreadingHTTPServer(("127.0.0.1", 0), OpenAI)
print(s.server_port, flush=True)
s.serve_forever()
PY
cat >clients.py <<'PY'
import os, sys
import openai
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI
gateway = sys.argv[1] + "/v1"
http = openai.DefaultHttpxClient
send = http.__mro__[1].send  # httpx2's: whatever the address, the request goes to the server here

def here(self, request, **how):
    port = gateway.split(":")[2].split("/")[0]
    request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=int(port))
    return send(self, request, **how)

http.__mro__[1].send = here

def used(**how):
    full = None
    for c in ChatOpenAI(model="m", api_key="any", max_retries=0, **how).stream("hi"):
        full = c if full is None else full + c
    return full.usage_metadata and f"{full.usage_metadata['total_tokens']} tokens"

def from_environment():
    os.environ["OPENAI_BASE_URL"] = gateway
    try:
        return used()
    finally:
        del os.environ["OPENAI_BASE_URL"]

def added_up():
    with get_usage_metadata_callback() as counted:
        used(base_url=gateway)
    return counted.usage_metadata or "nothing"

for what, run in (
    ("nothing set", used), ("base_url of a gateway", lambda: used(base_url=gateway)), ("OPENAI_BASE_URL of a gateway", from_environment),
    ("base_url of OpenAI itself", lambda: used(base_url="https://api.openai.com/v1")), ("http_client", lambda: used(http_client=http())),
    ("base_url and stream_usage", lambda: used(base_url=gateway, stream_usage=True)), ("base_url, callback adds up", added_up),
):
    got = run()
    with open("asked") as f:
        print(f"py, {what:<30} {f.read()} {got}", flush=True)
PY
cat >client.mjs <<'JS'
import fs from 'node:fs';
import { ChatOpenAI } from '@langchain/openai';
let full;
for await (const c of await new ChatOpenAI({ model: 'm', apiKey: 'any', maxRetries: 0, configuration: { baseURL: process.argv[2] + '/v1' } }).stream('hi')) full = full ? full.concat(c) : c;
console.log('js, ' + 'baseURL of a gateway'.padEnd(30), fs.readFileSync('asked', 'utf8'), full.usage_metadata ? `${full.usage_metadata.total_tokens} tokens` : 'None');
process.exit(0);
JS
python3 server.py >port 2>server.txt &
server=$!
for _ in $(seq 200); do [ -s port ] && break; sleep 0.1; done
url=http://127.0.0.1:$(cat port)
unset OPENAI_BASE_URL OPENAI_API_BASE
export LANGCHAIN_TRACING_V2=false
timeout 300 venv/bin/python -W ignore clients.py "$url" >seen.txt 2>py.txt || { cat py.txt >&2; exit 1; }
timeout 100 node client.mjs "$url" >>seen.txt 2>js.txt || { cat js.txt >&2; exit 1; }
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
