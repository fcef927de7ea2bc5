#!/usr/bin/env bash
# moto 5.2.5 (the S3 of many test suites) keeps the x-amz-checksum-sha256 of a PUT only where the
# request has x-amz-sdk-checksum-algorithm as well. S3 takes the checksum header alone, stores it, repeats it
# in its answer and shows it in a HEAD. Guess before: moto does so, too, or at least shows it in the HEAD.
# A client that sends the checksum alone, and takes the repeated one for the store's
# confirmation, gets a 200 that confirms nothing.
#
# Seen 2026-11-30, boto3 1.44.8:
#   checksum alone          PUT 200 checksum no,  HEAD 200 checksum no
#   checksum and algorithm  PUT 200 checksum yes, HEAD 200 checksum yes
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'moto[server]==5.2.5' 'boto3==1.44.8' >"$work/pip.txt" 2>&1 || { cat "$work/pip.txt" >&2; exit 1; }
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$work/venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$work/server.txt" 2>&1 &
server=$!
PORT=$port "$work/venv/bin/python" - <<'PY'
import base64, hashlib, os, sys, time
import boto3
from botocore.config import Config
s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:" + os.environ["PORT"], region_name="us-east-1",
                  aws_access_key_id="id", aws_secret_access_key="secret", config=Config(retries={"max_attempts": 0}))
for _ in range(100):
    try:
        s3.create_bucket(Bucket="bucket")
        break
    except Exception:
        time.sleep(0.1)
body = b'{"id": "call-1"}'
want = base64.b64encode(hashlib.sha256(body).digest()).decode()
yes = lambda b: "yes" if b else "no"
name, seen = "x-amz-checksum-sha256", []
for what, more in ("checksum alone", {}), ("checksum and algorithm", {"ChecksumAlgorithm": "SHA256"}):
    put = s3.put_object(Bucket="bucket", Key="call-1.json", Body=body, ChecksumSHA256=want, **more)["ResponseMetadata"]
    head = s3.head_object(Bucket="bucket", Key="call-1.json", ChecksumMode="ENABLED")["ResponseMetadata"]
    here = [a["HTTPHeaders"].get(name) == want for a in (put, head)]
    print(f"{what:<23} PUT {put['HTTPStatusCode']} checksum {yes(here[0])}, HEAD {head['HTTPStatusCode']} checksum {yes(here[1])}")
    seen += here
sys.exit(0 if seen == [False, False, True, True] else 1)
PY
