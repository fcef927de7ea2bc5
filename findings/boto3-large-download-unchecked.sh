#!/usr/bin/env bash
# boto3 1.44.8 checks by default what it downloads against the checksum that S3 keeps (response_checksum_validation "when_supported"):
# get_object raises FlexibleChecksumError where a bit has changed. download_file does so up to 8 MiB, and above it returns the wrong bytes.
# Guess before: what get_object checks, the transfer manager checks, part by part or for the whole file at its end.
# From multipart_threshold on, download_file asks for ranges. S3 answers a range without the checksum of the whole object, no part is
# checked, and the checksum that a HEAD or the first answer could give is not asked for. There is no warning; s3transfer 0.19.3 has no option for it
# (boto/s3transfer#418 proposes the check; aws-cli 2 has it since aws/aws-cli#10180).
# pyarrow 26.0.1 sends x-amz-checksum-mode too, always in ranges of 256 KiB, and so checks nothing at any size; obstore 0.12.1 does not ask.
# Whoever moves an archive by download_file has its small objects checked and its large ones not. A size of
# multipart_threshold above the largest object has one GET, and a check.
#
# The server below is S3 as far as this needs it: it keeps full-object CRC-32s, gives them to a GET or HEAD of a whole object that asks, and has a bit of each object changed.
#
# Seen 2026-12-01, an object of 1 MiB and one of 9 MiB:
#   boto3 get_object                   FlexibleChecksumError, FlexibleChecksumError
#   boto3 download_file                FlexibleChecksumError, wrong bytes
#   boto3 download_file, one GET       FlexibleChecksumError, FlexibleChecksumError
#   pyarrow open_input_stream          wrong bytes, wrong bytes
#   obstore get                        wrong bytes, wrong bytes
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet 'boto3==1.44.8' 's3transfer==0.19.3' 'pyarrow==26.0.1' 'obstore==0.12.1' >pip.txt 2>&1 || { cat pip.txt >&2; exit 1; }
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=us-east-1
timeout 300 venv/bin/python - >seen.txt <<'PY'
import base64, os, re, threading, zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import boto3, obstore, pyarrow.fs
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from obstore.store import S3Store
objects = {"small": os.urandom(1 << 20), "large": os.urandom(9 << 20)}

class S3(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do_GET(self):
        stored = objects[self.path.split("?")[0].rpartition("/")[2]]
        body = bytearray(stored)
        body[1000] ^= 1
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        self.send_response(206 if part else 200)
        if part:
            first, last = int(part[1]), min(int(part[2] or len(body)), len(body) - 1)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
            body = body[first:last + 1]
        elif self.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            self.send_header("x-amz-checksum-crc32", base64.b64encode(zlib.crc32(stored).to_bytes(4, "big")).decode())
            self.send_header("x-amz-checksum-type", "FULL_OBJECT")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"any"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

server = ThreadingHTTPServer(("127.0.0.1", 0), S3)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
s3 = boto3.client("s3", endpoint_url=url, config=Config(retries={"max_attempts": 0}))
arrow = pyarrow.fs.S3FileSystem(endpoint_override=url, region="us-east-1")
store = S3Store("bucket", endpoint=url, client_options={"allow_http": True}, region="us-east-1", virtual_hosted_style_request=False)

def download(key, **how):
    s3.download_file("bucket", key, "file", **how)
    with open("file", "rb") as f:
        return f.read()

for what, get in (
    ("boto3 get_object", lambda key: s3.get_object(Bucket="bucket", Key=key)["Body"].read()),
    ("boto3 download_file", download),
    ("boto3 download_file, one GET", lambda key: download(key, Config=TransferConfig(multipart_threshold=1 << 30))),
    ("pyarrow open_input_stream", lambda key: arrow.open_input_stream("bucket/" + key).read()),
    ("obstore get", lambda key: obstore.get(store, key).bytes().to_bytes()),
):
    row = []
    for key, stored in objects.items():
        try:
            row.append("right bytes" if get(key) == stored else "wrong bytes")
        except Exception as e:
            row.append(type(e).__name__)
    print(f"{what:<34} {', '.join(row)}", flush=True)
os._exit(0)
PY
cat seen.txt
sed -n '/^# Seen/,/^set/s/^#   //p' "$self" | diff - seen.txt
