"""Unpacks the image of one architecture out of an OCI image layout: unpack.py TAR ARCH DIR."""

import hashlib
import io
import json
import sys
import tarfile

name, arch, out = sys.argv[1:]
layout = tarfile.open(name)


def blob(descriptor):
    algorithm, digest = descriptor["digest"].split(":")
    body = layout.extractfile(f"blobs/{algorithm}/{digest}").read()
    assert hashlib.new(algorithm, body).hexdigest() == digest, f"{descriptor['digest']} has other bytes"
    assert len(body) == descriptor["size"], f"{descriptor['digest']}: size"
    return body


def described(descriptor):
    return json.loads(blob(descriptor))


(top,) = json.load(layout.extractfile("index.json"))["manifests"]
manifests = described(top)["manifests"]
assert {m["platform"]["architecture"] for m in manifests} >= {arch}, "not for this architecture"
(mine,) = [m for m in manifests if m["platform"]["architecture"] == arch]
manifest = described(mine)
config = described(manifest["config"])
assert config["architecture"] == arch
for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
    body = blob(layer)
    with tarfile.open(fileobj=io.BytesIO(body)) as t:
        t.extractall(f"{out}/root", numeric_owner=True)
for part, text in {
    "user": config["config"]["User"],
    "command": " ".join(config["config"]["Entrypoint"] + config["config"]["Cmd"]),
    "env": " ".join(config["config"]["Env"]),
}.items():
    with open(f"{out}/{part}", "w") as f:
        f.write(text)
