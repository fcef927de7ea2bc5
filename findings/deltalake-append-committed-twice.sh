#!/usr/bin/env bash
# deltalake 1.6.6 (delta-rs) on S3: where the store keeps a commit file and answers 500, one write_deltalake(mode="append")
# becomes two commits. Its client (object_store) sends the PUT with If-None-Match: * again, meets its own file, and gets 412; delta-rs takes
# that for another writer's version, finds that two appends do not conflict, and commits the same files as the next version.
# Guess before: the rows are there twice. They are not: both commits add the same file, and a table's state has a path once.
# What is twice is all that goes by commits: history() counts the rows of two appends, and the change feed gives each row
# twice. A commit with an application transaction (the means against double commits) fails with
# "Concurrent transaction failed" against itself, though its rows are in the table.
# lance 14.0.2 under the same answer had one version.
#
# The server below is S3 as far as this needs it; it keeps commits 1 and 3, and answers 500 to the first PUT of each.
#
# Seen 2026-11-30, pyarrow 26.0.1:
#   one append                   returned, 2 versions more, rows [1, 2], change feed [1, 2, 2], history counts 3 rows
#   one append with transaction  CommitFailedError, 1 version more, rows [1, 2, 3]
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'deltalake==1.6.6' 'pyarrow==26.0.1' >"$work/pip.txt" 2>&1 || { cat "$work/pip.txt" >&2; exit 1; }
cat >"$work/server.py" <<'PY'
import hashlib, re, sys, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
objects, answered = {}, set()

class S3(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def do_PUT(self):
        key = urllib.parse.unquote(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("If-None-Match") == "*" and key in objects:
            return self.refuse(412, "PreconditionFailed")
        objects[key] = body
        if re.search(r"0000[13]\.json$", key) and key not in answered:  # the first try of these two
            answered.add(key)
            return self.refuse(500, "InternalError")
        self.answer(200, ETag='"%s"' % hashlib.md5(body).hexdigest())

    def do_GET(self):
        u = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(u.query))
        if "list-type" in query:
            found = [k for k in sorted(objects) if k[8:].startswith(query.get("prefix", "")) and k[8:] > query.get("start-after", "")]
            return self.answer(200, ("<ListBucketResult><IsTruncated>false</IsTruncated>" + "".join(
                f"<Contents><Key>{k[8:]}</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>\"x\"</ETag><Size>{len(objects[k])}</Size></Contents>"
                for k in found) + "</ListBucketResult>").encode())
        body = objects.get(urllib.parse.unquote(u.path))
        if body is None:
            return self.refuse(404, "NoSuchKey") if self.command == "GET" else self.answer(404)
        at = dict(ETag='"%s"' % hashlib.md5(body).hexdigest(), Last_Modified="Mon, 30 Nov 2026 00:00:00 GMT")
        if self.command == "HEAD":
            return self.answer(200, length=len(body), **at)
        part = re.match(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not part:
            return self.answer(200, body, **at)
        first, last = part.groups()
        first, last = (len(body) - int(last), len(body) - 1) if first == "" else (int(first), min(int(last or len(body)), len(body) - 1))
        self.answer(206, body[first:last + 1], Content_Range=f"bytes {first}-{last}/{len(body)}", **at)

    do_HEAD = do_GET

s = ThreadingHTTPServer(("127.0.0.1", 0), S3)
print(s.server_port, flush=True)
s.serve_forever()
PY
python3 "$work/server.py" >"$work/port" 2>"$work/server.txt" &
server=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true PORT=$(cat "$work/port")
timeout 120 "$work/venv/bin/python" - <<'PY'
import os, sys
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
table = "s3://bucket/table"
options = {"AWS_ENDPOINT_URL": "http://127.0.0.1:" + os.environ["PORT"], "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
load = lambda: DeltaTable(table, storage_options=options)
rows = lambda d: sorted(d.to_pyarrow_table()["x"].to_pylist())
write_deltalake(table, pa.table({"x": [1]}), storage_options=options, configuration={"delta.enableChangeDataFeed": "true"})
seen = []
for what, x, properties in ("one append", 2, None), ("one append with transaction", 3, CommitProperties(app_transactions=[Transaction("app", 1)])):
    before, how = load().version(), "returned"
    try:
        write_deltalake(table, pa.table({"x": [x]}), mode="append", storage_options=options, commit_properties=properties)
    except Exception as e:
        how = type(e).__name__
    d = load()
    line = [how, d.version() - before, rows(d)]
    if properties is None:
        line += [sorted(pa.table(d.load_cdf(starting_version=0))["x"].to_pylist()), sum(h["operationMetrics"]["num_added_rows"] for h in d.history())]
    print(f"{what:<28} {line[0]}, {line[1]} version{'s' * (line[1] > 1)} more, rows {line[2]}" + (f", change feed {line[3]}, history counts {line[4]} rows" if line[3:] else ""))
    seen.append(line)
sys.exit(0 if seen == [["returned", 2, [1, 2], [1, 2, 2], 3], ["CommitFailedError", 1, [1, 2, 3]]] else 1)
PY
