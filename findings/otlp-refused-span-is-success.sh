#!/usr/bin/env bash
# A collector answers an OTLP export over HTTP: "I did not take this span" (partial_success with rejected_spans, which the specification has an exporter
# log), "it is over there" (307, 308), or a proxy before it answers 200 with its sign-in page. opentelemetry-exporter-otlp-proto-http 1.45.2 (Python) calls all of them
# SUCCESS, follows no redirect, and writes no line at any log level. Guess before: a warning for the first, the span at the other
# address for the second, a failure for the third; and the same in each language.
# Go (otlptracehttp 1.47.0) and JavaScript (@opentelemetry/exporter-trace-otlp-proto 0.223.1) tell of the rejected span; Go follows the redirect,
# JavaScript fails at it. A sign-in page is a success to all three, to Go without a word.
# Python's exporter takes every status below 400 for an acknowledgement, and its client does not follow redirects. So a collector that has moved, and one that refuses
# spans (for a quota, for their age), lose all the spans of the Python programs, and only of those, while they report success.
#
# Seen 2026-12-01, Python 3.11, Go 1.26, Node.js 20, what export() returned, whether it logged anything, and whether the span arrived:
#   partial success  Python     success, silent, span refused
#   redirect (307)   Python     success, silent, span lost
#   moved (308)      Python     success, silent, span lost
#   sign-in page     Python     success, silent, span lost
#   partial success  JavaScript success, logged, span refused
#   redirect (307)   JavaScript failure, logged, span lost
#   moved (308)      JavaScript failure, logged, span lost
#   sign-in page     JavaScript success, logged, span lost
#   partial success  Go         failure, silent, span refused
#   redirect (307)   Go         success, silent, span arrived
#   moved (308)      Go         success, silent, span arrived
#   sign-in page     Go         success, silent, span lost
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'opentelemetry-sdk==1.45.2' 'opentelemetry-exporter-otlp-proto-http==1.45.2' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/exporter-trace-otlp-proto@0.223.1 @opentelemetry/sdk-trace-base@2.12.1 >npm.txt 2>&1 || { cat npm.txt >&2; exit 1; }
cat >server.py <<'PY'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
answers = {  # status, type, body, Location
    "partial": (200, "application/x-protobuf", b"\x0a\x10\x08\x01\x12\x0cno room left", None),  # partial_success {rejected_spans: 1, error_message}
    "redirect": (307, "text/plain", b"", "/taken"),
    "moved": (308, "text/plain", b"", "/taken"),
    "page": (200, "text/html", b"<html>Please sign in</html>", None),
    "taken": (200, "application/x-protobuf", b"", None),
}
arrived = 0

class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def answer(self, status, kind, body, location):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        global arrived
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while n := int(self.rfile.readline(), 16):
                self.rfile.read(n + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        arrived += self.path == "/taken"
        self.answer(*answers[self.path[1:]])

    def do_GET(self):  # how many arrived since it was asked last
        global arrived
        n, arrived = arrived, 0
        self.answer(200, "text/plain", str(n).encode(), None)

s = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(s.server_port, flush=True)
s.serve_forever()
PY
cat >client.py <<'PY'
import logging, sys, urllib.request
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
lines = []

class Kept(logging.Handler):
    def emit(self, r):
        if r.name.startswith("opentelemetry"):
            lines.append(r.getMessage())

logging.getLogger().addHandler(Kept())
logging.getLogger().setLevel(logging.DEBUG)
spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
provider.get_tracer("any").start_span("call").end()
for how in sys.argv[2:]:
    lines.clear()
    got = OTLPSpanExporter(endpoint=f"{sys.argv[1]}/{how}").export(spans.get_finished_spans()).name.lower()
    n = urllib.request.urlopen(sys.argv[1]).read().decode()
    print(f"{how} Python {got} {'logged' if lines else 'silent'} {n}", flush=True)
PY
cat >client.mjs <<'JS'
import { diag, DiagLogLevel } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
let lines = 0;
const line = () => lines++;
diag.setLogger({ error: line, warn: line, info: line, debug: () => {}, verbose: () => {} }, { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true });
const spans = new InMemorySpanExporter();
new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).getTracer('any').startSpan('call').end();
const [, , url, ...answers] = process.argv;
for (const how of answers) {
  lines = 0;
  const got = await new Promise((done) => new OTLPTraceExporter({ url: `${url}/${how}` }).export(spans.getFinishedSpans(), done));
  const n = await (await fetch(url)).text();
  console.log(how, 'JavaScript', got.code === 0 ? 'success' : 'failure', lines ? 'logged' : 'silent', n);
}
process.exit(0);
JS
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func main() {
	logged := "silent"
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { logged = "logged" }))
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter()
	_, span := trace.NewTracerProvider(trace.WithSyncer(spans)).Tracer("any").Start(ctx, "call")
	span.End()
	for _, how := range os.Args[2:] {
		logged = "silent"
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(os.Args[1]+"/"+how))
		if err != nil {
			panic(err)
		}
		got := "success"
		if err := exporter.ExportSpans(ctx, spans.GetSpans().Snapshots()); err != nil {
			got = "failure" // the error is the caller's to log
		}
		resp, err := http.Get(os.Args[1])
		if err != nil {
			panic(err)
		}
		n, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(err)
		}
		fmt.Println(how, "Go", got, logged, string(n))
	}
}
GO
export GOFLAGS=-mod=mod GOWORK=off
go mod init finding >/dev/null 2>&1
go get go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp@v1.47.0 go.opentelemetry.io/otel/sdk@v1.47.0 >get.txt 2>&1 || { cat get.txt >&2; exit 1; }
go build -o client . >build.txt 2>&1 || { cat build.txt >&2; exit 1; }
python3 server.py >port 2>server.txt &
server=$!
for _ in $(seq 200); do [ -s port ] && break; sleep 0.1; done
url=http://127.0.0.1:$(cat port)
{
	timeout 100 venv/bin/python client.py "$url" partial redirect moved page
	timeout 100 node client.mjs "$url" partial redirect moved page
	timeout 100 ./client "$url" partial redirect moved page
} 2>log.txt | awk '
	BEGIN { what["partial"] = "partial success"; what["redirect"] = "redirect (307)"; what["moved"] = "moved (308)"; what["page"] = "sign-in page" }
	{ printf "%-16s %-10s %s, %s, span %s\n", what[$1], $2, $3, $4, $1 == "partial" ? "refused" : $5 ? "arrived" : "lost" }' >seen.txt || { cat log.txt >&2; exit 1; }
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
