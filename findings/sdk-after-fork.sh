#!/usr/bin/env bash
# A client that is made before a fork (gunicorn --preload, multiprocessing on Linux before Python 3.14, Celery's prefork pool), and a
# record that is logged after it, in the child: langfuse 5.0.4 and posthog 7.91.1 send it, langsmith 0.15.1 does not, and says nothing
# in any log. (Tried apart from this script: a flush() in langsmith's child had not returned after ten seconds. opik 2.2.122, not run here
# for its size, loses the record as well, and says so: its flush() returns False.)
# Guess before: all of them handle a fork, since they are made for web servers.
#
# The child logs a record, lives on for ten seconds, longer than each of the three waits before it sends, and ends by os._exit, as
# children of multiprocessing do. Then the parent logs another one, which shows that the client still works there.
#
# Seen 2026-11-30, Python 3.11:
#   langfuse   parent yes, child yes, parent again yes
#   posthog    parent yes, child yes, parent again yes
#   langsmith  parent yes, child no, parent again yes
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'langfuse==5.0.4' 'posthog==7.91.1' 'langsmith==0.15.1' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
cat >server.py <<'PY'
import gzip, json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import zstandard  # langsmith requires it
seen = {name: False for name in ("record-parent", "record-child", "record-again")}

class Sink(BaseHTTPRequestHandler):  # takes everything, and knows which records came
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do(self):
        body = b""
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            while n := int(self.rfile.readline(), 16):
                body += self.rfile.read(n)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        coding = self.headers.get("Content-Encoding")
        if coding == "gzip":
            body = gzip.decompress(body)
        elif coding == "zstd":
            body = zstandard.ZstdDecompressor().stream_reader(body).read()
        answer = {}
        if self.path == "/seen":
            answer = dict(seen)
            seen.update(dict.fromkeys(seen, False))
        elif self.path == "/info":  # what a LangSmith server says of itself
            answer = {"version": "0.13.0", "instance_flags": {"zstd_compression_enabled": True}, "batch_ingest_config": {"use_multipart_endpoint": True, "size_limit": 100, "size_limit_bytes": 20971520, "scale_up_nthreads_limit": 16, "scale_up_qsize_trigger": 1000, "scale_down_nempty_trigger": 4}}
        for name in seen:
            if name.encode() in body:
                seen[name] = True
        answer = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = do

s = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(s.server_port, flush=True)
s.serve_forever()
PY
venv/bin/python server.py >port 2>server.txt &
server=$!
for _ in $(seq 200); do [ -s port ] && break; sleep 0.1; done
export URL=http://127.0.0.1:$(cat port) LANGSMITH_TRACING=true
for sdk in langfuse posthog langsmith; do
	timeout 120 venv/bin/python - "$sdk" <<'PY'
import json, os, sys, time, urllib.request
sdk, url = sys.argv[1], os.environ["URL"]
if sdk == "langfuse":
    from langfuse import Langfuse
    client = Langfuse(public_key="pk-lf-any", secret_key="sk-lf-any", base_url=url)

    def log(text):
        with client.start_as_current_observation(name="call", as_type="generation", input=text):
            pass
elif sdk == "posthog":
    from posthog import Posthog
    client = Posthog("phc_any", host=url)

    def log(text):
        client.capture(distinct_id="user", event="$ai_generation", properties={"$ai_input": text})
else:
    from langsmith import Client, traceable
    client = Client(api_url=url, api_key="any")

    @traceable(client=client)
    def log(text):
        return text
log("record-parent")
client.flush()
child = os.fork()
if child == 0:
    log("record-child")
    time.sleep(10)
    os._exit(0)
os.waitpid(child, 0)
log("record-again")
client.flush()
time.sleep(5)
seen = json.load(urllib.request.urlopen(url + "/seen"))
yes = lambda name: "yes" if seen[name] else "no"
print(f"{sdk:<10} parent {yes('record-parent')}, child {yes('record-child')}, parent again {yes('record-again')}", flush=True)
os._exit(0)
PY
done >seen.txt 2>log.txt || { cat log.txt >&2; exit 1; }
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
