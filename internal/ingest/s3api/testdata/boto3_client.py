"""Does with boto3 what a sender and a reader do. Arguments: endpoint, key id, secret."""
import socket
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, key_id, secret = sys.argv[1:4]

# Not every resolver knows that names below localhost are this machine.
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *a, **k: resolve("127.0.0.1" if str(host).endswith("localhost") else host, *a, **k)


def client(**config):
    return boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key_id, aws_secret_access_key=secret,
                        region_name="eu-central-1", config=Config(retries={"total_max_attempts": 1}, **config))


def refused(call, status, code):
    try:
        call()
    except ClientError as e:
        got = (e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Code"])
        assert got == (status, code), got
        return e
    raise AssertionError("not refused")


for style in ("path", "virtual"):
    s3 = client(s3={"addressing_style": style})
    bucket = "boto-" + style
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.head_bucket(Bucket=bucket)
    s3.get_bucket_location(Bucket=bucket)
    for algorithm in (None, "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        extra = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        try:
            put = s3.put_object(Bucket=bucket, Key="a b/%s+é.json" % algorithm, Body=b"hello", ContentType="application/json",
                                Metadata={"team": "alpha"}, **extra)
        except Exception as e:  # CRC32C and CRC64NVME need an extension that may not be there
            if "crt" in str(e):
                continue
            raise
        assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"', put
    key = "a b/None+é.json"
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == b"hello" and got["Metadata"] == {"team": "alpha"} and got["ContentType"] == "application/json", got
    assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=1-3")["Body"].read() == b"ell"
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 5
    refused(lambda: s3.get_object(Bucket=bucket, Key=key, IfNoneMatch=got["ETag"]), 304, "304")
    refused(lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"x", IfNoneMatch="*"), 412, "PreconditionFailed")
    refused(lambda: s3.get_object(Bucket=bucket, Key="no"), 404, "NoSuchKey")
    e = refused(lambda: s3.delete_object(Bucket=bucket, Key=key), 405, "MethodNotAllowed")
    assert "deletes nothing" in e.response["Error"]["Message"], e
    e = refused(lambda: s3.create_multipart_upload(Bucket=bucket, Key=key), 501, "NotImplemented")
    assert "multipart_threshold" in e.response["Error"]["Message"], e
    for i in range(5):
        s3.put_object(Bucket=bucket, Key="many/%d" % i, Body=b"x" * i)
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="many/", PaginationConfig={"PageSize": 2}))
    assert len(pages) == 3 and [o["Key"] for p in pages for o in p["Contents"]] == ["many/%d" % i for i in range(5)], pages
    pages = list(s3.get_paginator("list_objects").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1}))
    assert [c["Prefix"] for p in pages for c in p.get("CommonPrefixes", [])] == ["a b/", "many/"], pages
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key, "ResponseContentType": "text/x"})
    with urllib.request.urlopen(url) as r:
        assert r.read() == b"hello" and r.headers["Content-Type"] == "text/x"
    assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=bucket, Key="stream", Body=b"s" * 300_000)
    assert len(s3.get_object(Bucket=bucket, Key="stream")["Body"].read()) == 300_000

refused(lambda: boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key_id, aws_secret_access_key="no",
                             region_name="us-east-1").list_buckets(), 403, "SignatureDoesNotMatch")
print("ok")
