#!/usr/bin/env bash
# obstore 0.12.1: its fsspec adapter (obstore.fsspec) gives up two promises that obstore itself keeps.
#   - An exception inside "with": obstore.open_writer leaves nothing in the bucket (a multipart upload that had begun is aborted);
#     the adapter's fs.open(path, "wb") closes the file, and the half that was written is published under the final name.
#   - mode="create": obstore.put sends If-None-Match: * and raises AlreadyExistsError; the adapter's pipe_file takes mode="create",
#     which is a parameter of fsspec's method, sends no condition, and replaces the object. (s3fs 2026.9.0 does send it, and
#     raises OSError "PreconditionFailed", not the FileExistsError of fsspec's own pipe_file.)
# Guess before: the adapter is the same writer under another name, and what it does not support it refuses, as it does with mode "xb".
#
# Seen 2026-11-30, fsspec 2026.9.0:
#   with, obstore.open_writer       nothing published
#   with, adapter's open            published b'half'
#   create over it, obstore.put     AlreadyExistsError, the object is b'old'
#   create over it, adapter's pipe  returned, the object is b'new'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'obstore==0.12.1' 'fsspec==2026.9.0' >"$work/pip.txt" 2>&1 || { cat "$work/pip.txt" >&2; exit 1; }
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true
timeout 120 "$work/venv/bin/python" - <<'PY'
import os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import obstore
from obstore.fsspec import FsspecStore
from obstore.store import S3Store
objects = {}

class S3(BaseHTTPRequestHandler):  # one PUT for an object, with or without the condition that it is not there
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        taken = self.headers.get("If-None-Match") == "*" and self.path in objects
        if not taken:
            objects[self.path] = body
        self.send_response(412 if taken else 200)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

server = ThreadingHTTPServer(("127.0.0.1", 0), S3)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings = dict(endpoint=f"http://127.0.0.1:{server.server_port}", client_options={"allow_http": True}, region="us-east-1", virtual_hosted_style_request=False)
store, adapter = S3Store("bucket", **settings), FsspecStore("s3", **settings)
seen = []

def half(file):
    try:
        with file as f:
            f.write(b"half")
            raise InterruptedError
    except InterruptedError:
        pass
    got = objects.pop("/bucket/key", None)
    return "nothing published" if got is None else f"published {got}"

def create(put):
    objects["/bucket/key"] = b"old"
    try:
        put()
        how = "returned"
    except Exception as e:
        how = type(e).__name__
    return f"{how}, the object is {objects.pop('/bucket/key')}"

for what, got in (
    ("with, obstore.open_writer", half(obstore.open_writer(store, "key"))),
    ("with, adapter's open", half(adapter.open("bucket/key", "wb"))),
    ("create over it, obstore.put", create(lambda: obstore.put(store, "key", b"new", mode="create"))),
    ("create over it, adapter's pipe", create(lambda: adapter.pipe_file("bucket/key", b"new", mode="create"))),
):
    print(f"{what:<31} {got}", flush=True)
    seen.append(got)
os._exit(0 if seen == ["nothing published", "published b'half'", "AlreadyExistsError, the object is b'old'", "returned, the object is b'new'"] else 1)
PY
