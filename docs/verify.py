#!/usr/bin/env python3
"""A second, independent verifier for Indelible's logs, written from docs/format/proof.md alone.

    python3 verify.py DIRECTORY VKEY-FILE

DIRECTORY is a copy of the bucket, or of the part of it that begins at the
log's prefix (aws s3 sync s3://bucket/prefix DIRECTORY). It needs the
"cryptography" package for Ed25519; everything else is the standard library.
It exits 0 if nothing is missing and nothing was changed, else 1.
"""
import base64, hashlib, json, os, re, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ORDER = {  # members behind "v" and "kind"; ? may be left out
    "record": "seq time door source bucket key sent_key? sent_key_sha256? size sha256 attrs_sha256 version_id?",
    "deferred": "seq time door source bucket sent_key? sent_key_sha256? size sha256 reason",
    "removed": "first last time reason",
    "gap": "first last time cause",
    "pack": "first last time key size sha256 version_id? count root",
    "start": "seq time program config prefix",
    "config": "seq time config prefix",
    "recovered": "seq time cause", "key": "seq time size root old new old_sig new_sig",
    "continues": "seq time from_log from_seq size root cause", "repair": "seq time key? cause",
    "stop": "seq time", "tick": "seq time",
}
faults = []
ORDER["stored"], ORDER["quarantined"] = ORDER["record"], ORDER["deferred"]

def fault(text):
    faults.append(text)
    print("FAULT:", text)

def sha(data):
    return hashlib.sha256(data).digest()

def node(left, right):
    return sha(b"\x01" + left + right)

def root(hashes):
    """The RFC 6962 root over leaf or subtree hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha(b"")
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node(root(hashes[:k]), root(hashes[k:]))

def tile_path(level, n, width):
    digits = "%03d" % (n % 1000)
    while n >= 1000:
        n //= 1000
        digits = "x%03d/%s" % (n % 1000, digits)
    return "tile/%s/%s" % (level, digits) + ("" if width == 256 else ".p/%d" % width)

def escape(s):
    return re.sub(r'["\\\x00-\x1f]', lambda m: "\\" + m[0] if m[0] in '"\\' else "\\u%04x" % ord(m[0]), s)

def canonical(leaf):
    """The one way to write a leaf."""
    out = '{"v":1,"kind":"%s"' % leaf["kind"]
    unread = leaf["kind"] == "deferred" and "sha256" not in leaf
    for member in ("seq time reason" if unread else ORDER[leaf["kind"]]).split():
        name = member.rstrip("?")
        name = name + "_base64" if name + "_base64" in leaf else name
        if name not in leaf and member.endswith("?"):
            continue
        value = leaf[name]
        out += ',"%s":' % name + (str(value) if isinstance(value, int) else '"%s"' % escape(value))
    return (out + "}").encode()

def parse_vkey(vkey):
    name, key_id, key = vkey.strip().split("+", 2)
    raw = base64.b64decode(key)
    if raw[0] != 1 or sha(name.encode() + b"\n" + raw)[:4].hex() != key_id:
        raise ValueError("not an Ed25519 key of a log: " + vkey)
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(raw[1:])

def signed(public, signature, text):
    try:
        public.verify(signature, text.encode())
        return True
    except InvalidSignature:
        return False

def read_head(path, log):
    text, _, signatures = open(path, encoding="utf-8").read().partition("\n\n")
    name, size, digest = text.split("\n")[:3]
    if name != log:
        raise ValueError("head of another log: " + name)
    lines = [line.split(" ")[1:] for line in signatures.splitlines() if line.startswith("\u2014 ")]
    return int(size), base64.b64decode(digest), text + "\n", [(n, base64.b64decode(s)) for n, s in lines]

class Verifier:
    def __init__(self, top, vkey):
        self.top, self.vkey, self.log = top, vkey.strip(), parse_vkey(vkey)[0]
        self.dir = os.path.join(top, "_indelible", self.log)
        self.changes, self.prefix, self.next, self.open, self.removed = [], "", None, {}, []

    def load(self, name):
        with open(os.path.join(self.dir, name), "rb") as f:
            return f.read()

    def leaves(self, size):
        for n in range(0, (size + 255) // 256):
            width = min(256, size - n * 256)
            data, count = self.load(tile_path("entries", n, width)), 0
            while data:
                length = int.from_bytes(data[:2], "big")
                count += 1
                yield data[2:2 + length]
                data = data[2 + length:]
            if count != width:
                fault("bundle %d has %d leaves, not %d" % (n, count, width))

    def tiles(self, hashes):
        level = 0
        while hashes:
            for n in range(0, (len(hashes) + 255) // 256):
                part = hashes[n * 256:n * 256 + 256]
                if self.load(tile_path(level, n, len(part))) != b"".join(part):
                    fault("tile %d/%d is not the one over its leaves" % (level, n))
            hashes = [root(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
            level += 1

    def leaf(self, index, raw):
        leaf = json.loads(raw)
        kind = leaf["kind"]
        if leaf["v"] != 1 or canonical(leaf) != raw:
            fault("leaf %d is not in canonical form" % index)
        if kind in ("record", "deferred", "quarantined", "gap", "pack"):
            first = leaf.get("first", leaf.get("seq"))
            if self.next is not None and first != self.next:
                fault("leaf %d: record %d where %d should come" % (index, first, self.next))
            self.next = leaf.get("last", leaf.get("seq")) + 1
        elif kind not in ("stored", "removed") and leaf["seq"] != (self.next or 1) - 1:
            fault("leaf %d says the log had come to record %d" % (index, leaf["seq"]))
        if kind == "gap":
            fault("records %d to %d are lost: %s" % (leaf["first"], leaf["last"], leaf["cause"]))
        if kind in ("deferred", "quarantined"):
            self.open[leaf["seq"]] = leaf
        if kind == "stored" and self.open.pop(leaf["seq"], leaf).get("sha256", leaf["sha256"]) != leaf["sha256"]:
            fault("record %d was stored with other bytes" % leaf["seq"])
        if kind == "removed":
            self.removed.append((leaf["first"], leaf["last"]))
        if kind in ("start", "config"):
            self.prefix = leaf["prefix"]
        if kind == "key":
            text = "indelible key rotation v2\n%s\n%s\n%s\n%d\n%s\n" % (self.log, leaf["old"], leaf["new"], leaf["size"], leaf["root"])
            for which in ("old", "new"):
                if not signed(parse_vkey(leaf[which])[2], base64.b64decode(leaf[which + "_sig"]), text):
                    fault("leaf %d: the %s key has not signed its change" % (index, which))
            self.changes.append((leaf["old"], leaf["new"], index, leaf["size"], leaf["root"]))
        return (leaf, self.prefix) if kind in ("record", "stored", "pack") else None

    def objects(self, found):
        for leaf, prefix in found:
            key = leaf["key"] if "key" in leaf else base64.b64decode(leaf["key_base64"]).decode("utf-8", "surrogateescape")
            path = os.path.join(self.top, key.removeprefix(prefix))
            who = "record %d, %s: " % (leaf.get("seq", leaf.get("first")), key)
            try:
                with open(path, "rb") as f:
                    if hashlib.file_digest(f, "sha256").hexdigest() != leaf["sha256"] or f.tell() != leaf["size"]:
                        fault(who + "changed")
            except FileNotFoundError:
                if not any(low <= leaf.get("seq", 0) <= high for low, high in self.removed):
                    fault(who + "missing")

    def keys(self):
        """Each key with the sizes that it may sign, from the one trusted forward and backward."""
        chain = [[self.vkey, 0, 1 << 63]]
        for old, new, index, _, _ in self.changes:
            if old == chain[-1][0]:
                chain[-1][2] = index
                chain.append([new, index + 1, 1 << 63])
        for old, new, index, _, _ in reversed(self.changes):
            if new == chain[0][0]:
                chain[0][1] = index + 1
                chain.insert(0, [old, 0, index])
        return [(parse_vkey(k), low, high) for k, low, high in chain]

    def run(self):
        size, _, _, _ = read_head(os.path.join(self.dir, "checkpoint"), self.log)
        hashes, found = [], []
        for index, raw in enumerate(self.leaves(size)):
            hashes.append(sha(b"\x00" + raw))
            found.append(self.leaf(index, raw))
        self.tiles(hashes)
        for _, _, index, before, digest in self.changes:
            if before != index or root(hashes[:index]).hex() != digest:
                fault("leaf %d: the change of key was signed for another tree" % index)
        history = os.path.join(self.dir, "history")
        names = [os.path.join(history, n) for n in sorted(os.listdir(history))] if os.path.isdir(history) else []
        for name in names + [os.path.join(self.dir, "checkpoint")]:
            head, digest, text, signatures = read_head(name, self.log)
            if head > size:
                fault("%s has size %d, more than the checkpoint" % (name, head))
            elif root(hashes[:head]) != digest:
                fault("%s: the tree is not the one that was signed" % name)
            if not any(n == self.log and s[:4] == key_id and signed(public, s[4:], text)
                       for (_, key_id, public), low, high in self.keys() if low <= head <= high for n, s in signatures):
                fault("%s is not signed by the log" % name)
        self.objects([f for f in found if f])
        print("%d leaves, %d heads, %d faults, %d records set aside" % (size, len(names) + 1, len(faults), len(self.open)))

Verifier(sys.argv[1], open(sys.argv[2], encoding="ascii").read()).run()
sys.exit(1 if faults else 0)
