"""Captures what real clients put on the wire, one file per request, into captures/.

Run it with a Python that has boto3, requests and httpx; openssl makes the certificate:
    python capture.py
The clients' clock stands at 2026-11-24 12:00:00 UTC. The keys are S3's documentation's.
"""
import datetime, hashlib, io, pathlib, re, socket, ssl, subprocess, tempfile, threading, urllib.parse

import boto3, botocore, httpx, requests
import botocore.auth
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 24, 12, 0, 0, tzinfo=datetime.timezone.utc)
botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW.replace(tzinfo=None) if remove_tzinfo else NOW
ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BODY = b'{"id":"resp_1","response":"hello"}'
OUT = pathlib.Path(__file__).parent / "captures"
EMPTY = b'<?xml version="1.0"?><ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>'


class Server:
    """Keeps the bytes of every request and answers 200."""

    def __init__(self, tls=None):
        self.got, self.tls = [], tls
        self.sock = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.sock.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            conn, _ = self.sock.accept()
            try:
                if self.tls:
                    conn = self.tls.wrap_socket(conn, server_side=True)
                self.one(conn)
            finally:
                conn.close()

    def one(self, conn):
        f = conn.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = f.readline()
            if not line:
                return
            head += line
        low = head.lower()
        if b"expect: 100-continue" in low:
            conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        if b"transfer-encoding: chunked" in low:
            while True:
                line = f.readline()
                body += line
                n = int(line, 16)
                body += f.read(n + 2)
                if n == 0:
                    break
        elif b"content-length:" in low:
            body = f.read(int(low.split(b"content-length:")[1].split(b"\r\n")[0]))
        self.got.append(head + body)
        conn.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(EMPTY) + EMPTY)


def tls():
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                        "-keyout", d + "/k", "-out", d + "/c"], check=True, capture_output=True)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(d + "/c", d + "/k")
        return ctx


KEYS = {
    "plain": "logs/2026-11-22/time-01-02-03-000004_resp_1.json",
    "space": "My Team/x.json",
    "ampersand": "R&D + Ops/x=y.json",
    "equals": "2026-11-22/time-01_resp_a=b+c.json",
    "hash": "team#1/x.json",
    "question": "team?1/2026/x=1+2.json",
    "unicode": "Équipe/日本/x.json",
    "colon": "a:b@c,d;e/x.json",
    "brackets": "a[b]/x.json",
    "spacebrackets": "a [b]/x.json",
    "quotes": "it's (a) \"b\"!*$/x.json",
    "pipes": "a|b\\c^d`e{f}<g>~/x.json",
    "percent": "100%25/x.json",
    "code": "a%20b/x.json",
    "doubled": "logs//a/x.json",
    "dots": "logs/../a/./x.json",
}
CREDS = Credentials(ID, SECRET)


def headers(key):
    return {
        "Content-Type": "application/json",
        "x-amz-content-sha256": hashlib.sha256(BODY).hexdigest(),
        "Content-Language": "en",
        "Content-Disposition": 'inline; filename="time-01-02-03.json"',
        "Cache-Control": "private, immutable, max-age=31536000, s-maxage=0",
    }


def old_litellm(base, key):
    """LiteLLM up to 1.82: requests prepares, the general signer signs, httpx sends."""
    url = base + "/audit/" + key
    p = requests.Request("PUT", url, data=BODY.decode(), headers=headers(key)).prepare()
    r = AWSRequest(method=p.method, url=p.url, data=p.body, headers=p.headers)
    SigV4Auth(CREDS, "s3", "us-east-1").add_auth(r)
    httpx.put(url, content=BODY, headers=dict(r.headers.items()))


def new_litellm(base, key):
    """LiteLLM from 1.83: the key is encoded, S3's signer signs, httpx sends."""
    url = base + "/audit/" + urllib.parse.quote(key, safe="/")
    r = AWSRequest(method="PUT", url=url, data=BODY.decode(), headers=headers(key))
    S3SigV4Auth(CREDS, "s3", "eu-central-1").add_auth(r)
    httpx.put(url, content=BODY, headers=dict(r.headers.items()))


def client(url, **config):
    return boto3.client("s3", endpoint_url=url, aws_access_key_id=ID, aws_secret_access_key=SECRET, region_name="us-west-2",
                        verify=False, config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, **config))


def boto(plain, secure):
    yield "put", plain, lambda c: c.put_object(Bucket="audit", Key=KEYS["ampersand"], Body=BODY, Metadata={"team": "a  b"}, ContentType="application/json")
    for name in ("space", "unicode", "quotes", "doubled", "code"):
        yield "put-" + name, plain, lambda c, k=KEYS[name]: c.put_object(Bucket="audit", Key=k, Body=BODY)
    for alg in ("CRC32", "SHA1", "SHA256"):
        yield "put-" + alg.lower(), plain, lambda c, a=alg: c.put_object(Bucket="audit", Key="x", Body=BODY, ChecksumAlgorithm=a)
        yield "trailer-" + alg.lower(), secure, lambda c, a=alg: c.put_object(Bucket="audit", Key="x", Body=io.BytesIO(BODY), ChecksumAlgorithm=a)
    yield "get", plain, lambda c: c.get_object(Bucket="audit", Key=KEYS["space"], Range="bytes=0-9")
    yield "list", plain, lambda c: c.list_objects_v2(Bucket="audit", Prefix="My Team/a+b&c=d", Delimiter="/", MaxKeys=7)
    yield "buckets", plain, lambda c: c.list_buckets()


def presigned(c):
    k = KEYS["ampersand"]
    yield "get", "GET", c.generate_presigned_url("get_object", {"Bucket": "audit", "Key": k, "ResponseContentType": "text/plain; charset=utf-8"}, 3600)
    yield "put", "PUT", c.generate_presigned_url("put_object", {"Bucket": "audit", "Key": k}, 604800)


def main():
    import warnings
    warnings.simplefilter("ignore")
    plain, secure = Server(), Server(tls())
    for old in OUT.glob("*.http"):
        old.unlink()

    def save(name, server, call):
        server.got.clear()
        try:
            call()
        except Exception as e:
            print(name, type(e).__name__, e)
        for raw in server.got[:1]:
            (OUT / (name + ".http")).write_bytes(re.sub(rb"(User-Agent: Boto3/[0-9.]+)[^\r]*", rb"\1", raw))  # unsigned, and about this machine
        if not server.got:
            print(name, "nothing sent")

    for name, key in KEYS.items():
        save("litellm182-" + name, plain, lambda: old_litellm(plain.url, key))
        save("litellm1109-" + name, plain, lambda: new_litellm(plain.url, key))
    save("litellm182-endslash", plain, lambda: old_litellm(plain.url + "/", KEYS["space"]))
    save("litellm1109-endslash", plain, lambda: new_litellm(plain.url + "/", KEYS["space"]))
    for name, server, call in boto(plain, secure):
        save("boto3-" + name, server, lambda: call(client(server.url)))
    save("boto3-unsigned-trailer", secure, lambda: client(secure.url, signature_version=botocore.UNSIGNED).put_object(Bucket="audit", Key="x", Body=io.BytesIO(BODY)))
    for name, method, url in presigned(client(plain.url, signature_version="s3v4")):
        save("presigned-" + name, plain, lambda: httpx.request(method, url, content=BODY if method == "PUT" else None))


main()
