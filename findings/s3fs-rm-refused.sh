#!/usr/bin/env bash
# s3fs 2026.9.0: rm() of more than one object returns normally where S3 refuses to delete them. DeleteObjects answers 200 with an
# <Error> for each key that it did not delete (a policy that denies s3:DeleteObject, for one); s3fs reads the <Deleted> elements alone.
# Guess before: PermissionError, as it raises for other refusals. (Known as fsspec/s3fs#838 since 2023; a fix, #1047, is merged, and not in
# this release, the newest.) pyarrow 26.0.1 and obstore 0.12.1 raise for the same answer; boto3's delete_objects returns it as Errors.
# Whoever erases a person's records by rm(prefix, recursive=True) is told that they are gone.
#
# Seen 2026-11-30:
#   s3fs     returned []
#   pyarrow  raised OSError
#   obstore  raised GenericError
#   objects left: 2 of 2
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 's3fs==2026.9.0' 'pyarrow==26.0.1' 'obstore==0.12.1' >"$work/pip.txt" 2>&1 || { cat "$work/pip.txt" >&2; exit 1; }
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true
timeout 120 "$work/venv/bin/python" - <<'PY'
import os, re, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import obstore, pyarrow.fs, s3fs
from obstore.store import S3Store
objects = {"old/call-1.json", "old/call-2.json"}

class S3(BaseHTTPRequestHandler):  # lists what there is, and refuses each key of a DeleteObjects
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = 404, b""
        if self.command == "POST":
            status, answer = 200, b"<DeleteResult>%s</DeleteResult>" % b"".join(
                b"<Error><Key>%s</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" % k for k in re.findall(rb"<Key>(.*?)</Key>", body))
        elif self.command == "GET":
            status, answer = 200, ("<ListBucketResult><Name>bucket</Name><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>" + "".join(
                f"<Contents><Key>{k}</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>\"x\"</ETag><Size>4</Size></Contents>" for k in sorted(objects)) + "</ListBucketResult>").encode()
        elif self.command == "DELETE":
            objects.discard(self.path.partition("/bucket/")[2])
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Content-Type", "application/xml")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = do_HEAD = do

server = ThreadingHTTPServer(("127.0.0.1", 0), S3)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
store = S3Store("bucket", endpoint=url, client_options={"allow_http": True}, region="us-east-1", virtual_hosted_style_request=False)
seen = []
for name, delete in (
    ("s3fs", lambda: s3fs.S3FileSystem(endpoint_url=url).rm("bucket/old", recursive=True)),
    ("pyarrow", lambda: pyarrow.fs.S3FileSystem(endpoint_override=url, region="us-east-1").delete_dir_contents("bucket/old")),
    ("obstore", lambda: obstore.delete(store, sorted(objects))),
):
    try:
        seen.append(f"returned {delete()}")
    except Exception as e:
        seen.append(f"raised {type(e).__name__}")
    print(f"{name:<8} {seen[-1]}", flush=True)
print(f"objects left: {len(objects)} of 2", flush=True)
os._exit(0 if seen == ["returned []", "raised OSError", "raised GenericError"] and len(objects) == 2 else 1)
PY
