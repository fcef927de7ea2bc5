#!/usr/bin/env python3
"""A second, independent verifier for Indelible's logs, written from docs/format/proof.md alone.

    python3 verify.py [--checkpoint FILE] [--witness VKEY]... [--quorum N] [--max-age HOURS] [--no-attrs] [--allow-incomplete] DIRECTORY VKEY-FILE

DIRECTORY is a copy of the bucket, or of the part of it that begins at the
log's prefix (aws s3 sync s3://bucket/prefix DIRECTORY). It needs the
"cryptography" package (48 or later where VKEY-FILE holds an ML-DSA-44 key); everything else is the standard library.
It exits 0 if nothing is missing, nothing was changed, and the log is complete; else 1.
Of a pack it compares the object with its leaf. Its rows it reads where the "pyarrow" package is installed: then it hashes
each body and recomputes the root over the rows. Without it such a log is not complete.
A plain copy has no headers and metadata: --no-attrs says that they are not to be compared.
"""
import argparse, base64, bisect, datetime, hashlib, json, os, re, stat, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:
    MLDSA44PublicKey = None
try:
    import pyarrow.parquet as parquet
except ImportError:
    parquet = None

RECORD = "seq time door source bucket key sent_key? sent_key_sha256? size sha256 attrs_sha256 version_id?"
PARKED = "seq time door source bucket sent_key? sent_key_sha256? size sha256 reason"
ORDER = {  # members behind "v" and "kind"; ? may be left out
    "record": RECORD, "stored": RECORD, "deferred": PARKED, "quarantined": PARKED,
    "row": "seq time door source bucket sent_key? sent_key_sha256? size sha256 attrs_sha256",
    "removed": "first last time reason", "gap": "first last time cause",
    "pack": "first last time key size sha256 version_id? count root",
    "start": "seq time program config prefix", "config": "seq time config prefix",
    "recovered": "seq time cause", "key": "seq time size root old new old_sig new_sig",
    "continues": "seq time from_log from_seq size root cause", "repair": "seq time key? cause",
    "stop": "seq time", "tick": "seq time", "witness": "seq time size cause",
}
NUMBERS = {"seq", "first", "last", "size", "count", "from_seq"}
DIGESTS = {"sha256", "attrs_sha256", "sent_key_sha256", "root"}
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z")
MAX_KEPT = 256 << 20  # memory for checkpoints in history/: those of 20 years at one an hour are a third of it
faults, notices, incomplete = [0], [0], []

def say(what, text):
    """One line, with nothing in it that moves a terminal's cursor: names are what anybody may have put into the bucket."""
    print(what, "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text[:2000]))

def fault(text):
    faults[0] += 1
    say("FAULT:", text)

def notice(text):
    notices[0] += 1
    say("notice:", text)

def plain(path, flags):
    """For open: nothing but a file, so that a pipe or a device that somebody put there holds nobody up, and a link leads nowhere else."""
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file: " + path)
    return fd

def sha(data):
    return hashlib.sha256(data).digest()

def names(key, folded):
    """The names of a key's components in a file:// store: what a name cannot hold is escaped, what is too long goes on in the next."""
    for component in key.encode("utf-8", "surrogateescape").split(b"/"):
        out = b"%" if component == b"" else b""
        for c in component.decode("utf-8", "surrogateescape"):
            raw = [c.encode("utf-8", "surrogateescape")]
            if component in (b".", b"..") or c < " " or c in "%\x7f" or "\ud800" <= c <= "\udfff" or folded and ("A" <= c <= "Z" or c > "\x7f"):
                raw = [(b"%%%02x" if folded else b"%%%02X") % b for b in raw[0]]
            for part in raw:  # a name is cut between two escapes, also where they are of one character
                if len(out) + len(part) > 240:
                    yield out + b"%+"
                    out = b""
                out += part
        yield out

def find(top, key, folded):
    """Where the object of a key lies in a file:// store: a directory and an object of one name have suffixes."""
    *directories, last = names(key, folded)
    path = os.fsencode(top)
    for name in directories:
        path = os.path.join(path, name)
        path += b"" if os.path.isdir(path) else b"%d"
    path = os.path.join(path, last)
    return os.fsdecode(path if os.path.isfile(path) or not os.path.exists(path + b"%f") else path + b"%f")

def node(left, right):
    return sha(b"\x01" + left + right)

def root(hashes):
    """The RFC 6962 root over leaf or subtree hashes; the last one may be of a smaller subtree."""
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

def members(leaf):
    unread = leaf["kind"] == "deferred" and "sha256" not in leaf
    return ("seq time reason" if unread else ORDER[leaf["kind"]]).split()

def canonical(leaf):
    """The one way to write a leaf."""
    out = '{"v":1,"kind":"%s"' % leaf["kind"]
    for member in members(leaf):
        name = member.rstrip("?")
        name = name + "_base64" if name + "_base64" in leaf else name
        if name not in leaf and member.endswith("?"):
            continue
        value = leaf[name]
        if (name in NUMBERS) != (type(value) is int) or name == "time" and not TIME.fullmatch(value) or value == "" and member.endswith("?"):
            raise ValueError("%s is %.80r" % (name, value))
        if name in NUMBERS and not 0 <= value < ((1 << 63) if name in ("size", "count") else (1 << 64) - 1):
            raise ValueError("%s is not a number that a leaf has" % name)
        if name.endswith("_base64"):
            if member.rstrip("?") in NUMBERS | DIGESTS | {"time"}:
                raise ValueError("%s is no text" % name)
            if is_text(value):
                raise ValueError("%s is not the one form" % name)
        if name in DIGESTS and not re.fullmatch("[0-9a-f]{64}", value):
            raise ValueError("%s is no SHA-256" % name)
        out += ',"%s":' % name + (str(value) if name in NUMBERS else '"%s"' % escape(value))
    return (out + "}").encode()

def is_text(encoded):
    """Whether it is the base64 of UTF-8, which a leaf gives as it stands, or no base64 at all."""
    value = base64.b64decode(encoded, validate=True)
    try:
        value.decode()
        return True
    except UnicodeDecodeError:
        return base64.b64encode(value).decode() != encoded

def text(leaf, name):
    if name + "_base64" in leaf:
        return base64.b64decode(leaf[name + "_base64"]).decode("utf-8", "surrogateescape")
    return leaf[name]

def parse(raw):
    leaf = json.loads(raw)
    if leaf["v"] != 1 or canonical(leaf) != raw:
        raise ValueError("not in canonical form")
    when(leaf)
    kind = leaf["kind"]
    if kind in ("gap", "removed", "pack") and not 1 <= leaf["first"] <= leaf["last"]:
        raise ValueError("bad range")
    if kind == "pack" and leaf["count"] != leaf["last"] - leaf["first"] + 1:
        raise ValueError("a pack of %d rows" % leaf["count"])
    if kind in ("record", "stored", "deferred", "quarantined") and leaf["seq"] < 1:
        raise ValueError("record 0")
    if "sent_key_sha256" in leaf and ("sent_key" in leaf or "sent_key_base64" in leaf):
        raise ValueError("two keys")
    return leaf

ROW_COLUMNS = "seq time_ns door source bucket key sent_key size sha256 attrs_sha256 extra body".split()

def row_leaf(row, extra):
    """The leaf of a row. Text that is no UTF-8 stands in extra, in base64."""
    second, nano = divmod(row["time_ns"], 10 ** 9)
    leaf = {"kind": "row", "seq": row["seq"], "size": row["size"], "sha256": row["sha256"], "attrs_sha256": row["attrs_sha256"],
            "time": datetime.datetime.fromtimestamp(second, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + ".%09dZ" % nano}
    sent = "key" if row["sent_key"] is None else "sent_key"
    for name, column, limit in (("door", "door", 256), ("source", "source", 256), ("bucket", "bucket", 256), ("sent_key", sent, 1024)):
        value = base64.b64decode(extra[column + "_base64"]) if column + "_base64" in extra else row[column].encode()
        if name == "sent_key" and len(value) > limit:
            leaf["sent_key_sha256"] = sha(value).hex()
            continue
        if len(value) > limit:
            while limit and value[limit] & 0xC0 == 0x80:
                limit -= 1
            value = value[:limit]
        try:
            leaf[name] = value.decode()
        except UnicodeDecodeError:
            leaf[name + "_base64"] = base64.b64encode(value).decode()
    return leaf

def when(leaf):
    return datetime.datetime.strptime(leaf["time"][:26] + "Z", "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)

class PublicKey:
    """One verifier key: of a log, Ed25519 (type 1) or ML-DSA-44 (type 6), or of a witness (types 4 and 6)."""
    def __init__(self, vkey, kinds=(1, 6)):
        self.vkey = vkey
        self.name, key_id, key = vkey.split("+", 2)
        raw = base64.b64decode(key, validate=True)
        self.id, self.kind, self.form = bytes.fromhex(key_id), raw[0] if raw else 0, "%s+%s+%s" % (self.name, key_id.lower(), base64.b64encode(raw).decode())
        if self.kind not in kinds or sha(self.name.encode() + b"\n" + raw)[:4] != self.id:
            raise ValueError("not a key of type %s: %s" % (kinds, vkey[:200]))
        if self.kind == 6 and MLDSA44PublicKey is None:
            raise SystemExit("this key is an ML-DSA-44 one: install cryptography 48 or later")
        self.public = (MLDSA44PublicKey if self.kind == 6 else Ed25519PublicKey).from_public_bytes(raw[1:])

    def signed(self, signature, message):
        try:
            self.public.verify(signature, message)
            return True
        except InvalidSignature:
            return False

    def signed_checkpoint(self, signature, c):
        if self.kind == 1:
            return self.signed(signature, c.text.encode())
        if self.kind == 4:
            return len(signature) == 72 and signature[0] < 128 and self.signed(signature[8:], b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + c.text.encode())
        if len(signature) != 8 + 2420 or signature[0] > 127:
            return False
        name, log = self.name.encode(), c.log.encode()
        message = b"subtree/v1\n\0" + bytes([len(name)]) + name + signature[:8] + bytes([len(log)]) + log
        return self.signed(signature[8:], message + bytes(8) + c.size.to_bytes(8, "big") + c.root)

def parse_vkey(text):
    """The verifier keys of a log, one of a type; where there are two, both must have signed."""
    keys = [PublicKey(vkey) for vkey in text.split()]
    if not keys or len({k.name for k in keys}) != 1 or len({k.kind for k in keys}) != len(keys):
        raise ValueError("want one Ed25519 key, one ML-DSA-44 key, or both, of one log")
    return keys

class Checkpoint:
    """One that was found; nothing that it says is believed before its signature was checked."""
    def __init__(self, raw, path, log, source):
        if len(raw) > 256 << 10:
            raise ValueError("more bytes than a checkpoint has")
        body, divider, signatures = raw.decode().rpartition("\n\n")
        if not divider or any(c < " " and c != "\n" for c in raw.decode()):
            raise ValueError("no checkpoint")
        log_name, size, digest = (body + "\n").split("\n\n")[0].split("\n")[:3]
        if log_name != log:
            raise ValueError("the checkpoint of another log: " + log_name[:80])
        self.path, self.log, self.source, self.text, self.tried, self.broken = path, log, source, body + "\n", False, False
        self.size, self.root, self.lines = int(size[:20]), base64.b64decode(digest, validate=True), {}
        if str(self.size) != size or not 0 <= self.size < 1 << 63 or base64.b64encode(self.root).decode() != digest or len(self.root) != 32:
            raise ValueError("bad size or root")
        lines = signatures.split("\n")
        if lines.pop() or not 0 < len(lines) <= 100:
            raise ValueError("no lines of signatures")
        for line in lines:
            name, _, signature = line.removeprefix("\u2014 ").partition(" ")
            raw_signature = base64.b64decode(signature, validate=True)
            if not line.startswith("\u2014 ") or not name or "+" in name or any(c.isspace() for c in name) or len(raw_signature) < 5:
                raise ValueError("bad line of a signature")
            self.lines.setdefault((name, raw_signature[:4]), raw_signature[4:])  # of a key's lines the first counts

    def line_by(self, k):
        """Whether a key has signed."""
        return (k.name, k.id) in self.lines and k.signed_checkpoint(self.lines[k.name, k.id], self)

    def signed_by(self, keys):
        """The keys are those of Verifier.keys: each with the sizes that it may sign."""
        return any(all(self.line_by(k) for k in both) for both, low, high in keys if low <= self.size <= high)

class Verifier:
    def __init__(self, top, vkey, options):
        self.top, self.vkey, self.log, self.options = top, " ".join(vkey.split()), parse_vkey(vkey)[0].name, options
        self.dir = os.path.join(top, "_indelible", self.log)
        if not os.path.isdir(self.dir):  # a file:// store can have other names for capital letters
            self.dir = os.path.join(top, "_indelible", os.fsdecode(next(names(self.log, True))))
        self.changes, self.prefix, self.next, self.hashes, self.found = [], "", None, [], []
        self.levels, self.roots = [self.hashes], {}  # the tree's own tiles: those of the leaves and above
        self.open, self.late, self.gaps, self.removed, self.merged = {}, {}, [], [], []
        self.stopped, self.latest, self.bare, self.shown, self.origin = False, None, [], 0, 0
        self.unread = 0

    def load(self, name, limit):
        with open(os.path.join(self.dir, name), "rb", opener=plain) as f:
            return f.read(limit + 1)

    def tile(self, level, n, width):
        """The tile of this width; a full one holds the same hashes."""
        try:
            data = self.load(tile_path(level, n, width), 256 * 32)
        except FileNotFoundError:
            if width == 256:
                raise
            data = self.load(tile_path(level, n, 256), 256 * 32)
            if len(data) != 256 * 32:
                raise ValueError("%s has %d bytes" % (tile_path(level, n, 256), len(data)))
            data = data[:width * 32]
        if len(data) != width * 32:
            raise ValueError("%s has %d bytes" % (tile_path(level, n, width), len(data)))
        return [data[i:i + 32] for i in range(0, len(data), 32)]

    def edge_root(self, size):
        """The root of a tree of this size from nothing but its right edge in the bucket."""
        return self.root_of(size, lambda level, n: self.tile(level, n // 256, n % 256))

    def root_at(self, size):
        """The root of the first leaves that were read."""
        if size not in self.roots:
            for level, below in enumerate(self.levels):  # which grows meanwhile
                if len(below) >= 256 and level + 1 == len(self.levels):
                    self.levels.append([])
                if len(below) >= 256:
                    above = self.levels[level + 1]
                    above += [root(below[i:i + 256]) for i in range(256 * len(above), len(below) - 255, 256)]
            self.roots[size] = self.root_of(size, lambda level, n: self.levels[level][n // 256 * 256:n])
        return self.roots[size]

    def root_of(self, size, last_tile):
        part, level = [], 0
        while size >> 8 * level:
            n = size >> 8 * level
            hashes = last_tile(level, n) if n % 256 else []
            part = [root(hashes + part)] if hashes + part else []
            level += 1
        return part[0] if part else sha(b"")

    def bundle(self, n, width):
        """The leaves of a bundle of this width; a full one begins with the same."""
        try:
            data, exact = self.load(tile_path("entries", n, width), 256 * (2 + 65535)), True
        except FileNotFoundError:
            if width == 256:
                raise
            data, exact = self.load(tile_path("entries", n, 256), 256 * (2 + 65535)), False
        leaves, at = [], 0
        while at < len(data) and len(leaves) <= 256:  # one more than belongs there is enough to refuse it
            end = at + 2 + int.from_bytes(data[at:at + 2], "big")
            if len(data) < max(end, at + 2):
                raise ValueError("it ends in the middle of a leaf")
            leaves.append(data[at + 2:end])
            at = end
        if len(leaves) != (width if exact else 256):
            raise ValueError("%d leaves, not %d" % (len(leaves), width))
        return leaves[:width]

    def walk(self, size):
        """Takes the leaves up to this size; False if some are not there."""
        for n in range(len(self.hashes) // 256, (size + 255) // 256):
            try:
                leaves = self.bundle(n, min(256, size - n * 256))
            except (OSError, ValueError) as e:
                fault("bundle %d is missing or damaged, and nothing behind it was checked: %s" % (n, e))
                return False
            for index, raw in enumerate(leaves, n * 256):
                if index < len(self.hashes):
                    if self.hashes[index] != sha(b"\x00" + raw):
                        fault("leaf %d is another one than in the smaller tree" % index)
                    continue
                try:
                    self.leaf(index, parse(raw))
                except Exception as e:  # RecursionError, too: anybody may have nested it as deeply as he likes
                    fault("leaf %d is no leaf: %s: %s" % (index, type(e).__name__, e))
                self.hashes.append(sha(b"\x00" + raw))
        return True

    def tiles(self):
        self.root_at(len(self.hashes))  # makes the levels
        for level, hashes in enumerate(self.levels):
            for n in range(0, (len(hashes) + 255) // 256):
                part = hashes[n * 256:n * 256 + 256]
                try:
                    if self.tile(level, n, len(part)) != part:
                        fault("tile %d/%d is not the one over its leaves" % (level, n))
                except (OSError, ValueError) as e:
                    fault("tile %d/%d is missing or damaged: %s" % (level, n, e))

    def leaf(self, index, leaf):
        kind = leaf["kind"]
        if kind in ("record", "deferred", "quarantined", "gap", "pack"):
            first = leaf.get("first", leaf.get("seq"))
            if self.next is not None and first != self.next:
                fault("leaf %d: record %d where %d should come" % (index, first, self.next))
            self.next = max(self.next or 0, leaf.get("last", leaf.get("seq")) + 1)
            if self.stopped:
                notice("leaf %d adds to the log after its writer had stopped" % index)
        elif kind not in ("stored", "removed", "row") and self.next and leaf["seq"] != self.next - 1:
            fault("leaf %d says the log had come to record %d" % (index, leaf["seq"]))
        self.latest = max(filter(None, (self.latest, when(leaf))))
        if kind == "gap":
            self.gaps.append((leaf["first"], leaf["last"], text(leaf, "cause")))
        if kind in ("deferred", "quarantined"):
            self.open[leaf["seq"]] = leaf
        if kind == "stored":
            self.stored_late(leaf)
        if kind == "removed":
            self.removed.append((leaf["first"], leaf["last"]))
            if leaf["last"] >= max(self.next or 0, self.origin):
                fault("leaf %d: records were removed before the log came to them" % index)
        if kind == "continues" and index == 0:
            self.origin = leaf["from_seq"]
            notice("this log continues the log %s from record %d: verify that one too" % (leaf["from_log"], leaf["from_seq"]))
        elif kind in ("row", "continues"):
            fault("leaf %d: a leaf of kind %s has no place here" % (index, kind))
        if kind == "witness":
            notice("leaf %d says of the checkpoint of size %d: %s" % (index, leaf["size"], text(leaf, "cause")))
        if kind in ("start", "config"):
            self.prefix = text(leaf, "prefix")
        if kind == "key":
            self.change(index, leaf)
        self.stopped = kind == "stop" or self.stopped and kind not in ("start", "recovered")
        if kind in ("record", "stored", "pack"):
            self.found.append((leaf, self.prefix))

    def stored_late(self, leaf):
        """A record that was parked, or lost, and is stored now; its leaf may come twice."""
        seq, before = leaf["seq"], self.open.pop(leaf["seq"], None) or self.late.get(leaf["seq"])
        gap = self.gaps[bisect.bisect(self.gaps, (seq, 1 << 64)) - 1:][:1]  # the last that begins at or before it, if any
        if before is None and seq >= self.origin and not any(first <= seq <= last for first, last, _ in gap):
            fault("record %d: a second leaf says that it was stored" % seq)
        elif before is not None and before.get("sha256", leaf["sha256"]) != leaf["sha256"]:
            fault("record %d was stored with other bytes" % seq)
        self.late[seq] = leaf

    def lost(self):
        """What gap leaves say is lost and no stored leaf says came back."""
        back = sorted(self.late)
        for first, last, cause in self.gaps:
            came = back[bisect.bisect_left(back, first):bisect.bisect_right(back, last)]
            if n := last - first + 1 - len(came):
                fault("%d of the records %d to %d are lost, as the log says: %s" % (n, first, last, cause))

    def change(self, index, leaf):
        statement = "indelible key rotation v2\n%s\n%s\n%s\n%d\n%s\n" % (self.log, leaf["old"], leaf["new"], leaf["size"], leaf["root"])
        for which in ("old", "new"):
            keys, sigs = parse_vkey(leaf[which]), leaf[which + "_sig"].split(" ")
            if " ".join(k.form for k in keys) != leaf[which]:
                return fault("leaf %d: the %s key is not in its one form" % (index, which))
            decoded = [base64.b64decode(s, validate=True) for s in sigs]
            if keys[0].name != self.log or len(keys) != len(sigs) or not all(
                    base64.b64encode(d).decode() == s and k.signed(d, statement.encode()) for k, s, d in zip(keys, sigs, decoded)):
                return fault("leaf %d: the %s key has not signed its change" % (index, which))
        if leaf["size"] != index or self.root_at(index).hex() != leaf["root"]:
            return fault("leaf %d: the change of key was signed for another tree" % index)
        self.changes.append((leaf["old"], leaf["new"], index))

    def keys(self):
        """Each key with the sizes that it may sign, from the one trusted forward and backward."""
        chain = [[self.vkey, 0, 1 << 63]]
        for old, new, index in self.changes:
            if set(chain[-1][0].split()) <= set(old.split()):
                chain[-1][2] = index
                chain.append([new, index + 1, 1 << 63])
        for old, new, index in reversed(self.changes):
            if set(chain[0][0].split()) <= set(new.split()):
                chain[0][1] = index + 1
                chain.insert(0, [old, 0, index])
        return [(parse_vkey(k), low, high) for k, low, high in chain]

    def checkpoints(self):
        found, kept, left, history = [], 0, 0, os.path.join(self.dir, "history")
        paths = [(os.path.join(history, n), "history") for n in sorted(os.listdir(history))] if os.path.isdir(history) else []
        paths += [(os.path.join(self.dir, "checkpoint"), "current")]
        paths += [(p, "kept") for p in self.options.checkpoint]
        for path, source in paths:
            if source == "history" and kept > MAX_KEPT:  # anybody who can write to the bucket can put these there
                left += 1
                continue
            try:
                with open(path, "rb", opener=None if source == "kept" else plain) as f:
                    raw = f.read((256 << 10) + 1)
                found.append(Checkpoint(raw, path, self.log, source))
                kept += 3 * len(raw) + 2000
            except (OSError, ValueError) as e:
                (notice if source == "history" else fault)("%s: %s" % (path, e))
        if left:
            incomplete.append("%d objects in history/ were not looked at: there are more than a log has, so most are not this log's: move them away" % left)
        return found

    def target(self, found):
        """The greatest checkpoint that is signed and whose right edge is here, if any is left to walk to."""
        keys, broken = self.keys(), None
        for c in sorted(found, key=lambda c: -c.size):
            if c.source == "kept" or c.tried or c.size < len(self.hashes) or not c.signed_by(keys):
                continue
            try:
                c.broken = c.broken or self.edge_root(c.size) != c.root
            except (OSError, ValueError):
                c.broken = True
            if not c.broken:
                c.tried = True
                return c
            broken = c if broken is None or c.source == "current" else broken
        if broken is not None:
            broken.tried = True
            fault("%s: its tree is not the one in the bucket" % broken.path)
        return broken

    def judge(self, found):
        keys, newest, good = self.keys(), 0, 0
        for c in found:
            if c.source == "current" and c.signed_by(keys):
                newest = c.size
        for c in found:
            if not c.signed_by(keys):
                (notice if c.source == "history" else fault)("%s is not signed by the log, for its size" % c.path)
                continue
            good += c.source != "kept"
            if c.size > newest:
                fault("%s has size %d, more than the checkpoint: that was put back to an older state" % (c.path, c.size))
            elif c.size > len(self.hashes) or self.root_at(c.size) != c.root:
                fault("%s: the tree is not the one that was signed" % c.path)
            elif c.source == "current":
                self.cosigned(c)
        if not good:
            fault("no checkpoint here is signed by the key of log " + self.log)
        return good

    def cosigned(self, c):
        """Whether enough of the witnesses have cosigned the checkpoint."""
        keys = {vkey.split("+", 2)[-1]: PublicKey(vkey, (4, 6)) for vkey in self.options.witness}.values()  # each key counts once
        have = sum(c.line_by(k) for k in keys)
        if have < (len(keys) if self.options.quorum is None else self.options.quorum):
            fault("%s is cosigned by %d of %d witnesses" % (c.path, have, len(keys)))

    def tops(self):
        """Directories that may be a file:// store, and not a copy of a bucket."""
        tops = [self.top]
        if self.prefix and os.path.abspath(self.top).endswith("/" + self.prefix.rstrip("/")):
            tops.append(os.path.abspath(self.top)[:-len(self.prefix.rstrip("/"))])
        for top in tops:
            if os.path.isdir(os.path.join(top, "_indelible", ".meta")):
                yield top, os.path.exists(os.path.join(top, "_indelible", ".folded"))

    def place(self, key, prefix):
        """Where the object of a key lies. In a copy of a bucket, as tools make it, under its key."""
        for top, folded in self.tops():
            path = find(top, key.removeprefix(prefix) if top == self.top else key, folded)
            if folded or os.path.exists(path):
                return path
        return os.path.join(self.top, key.removeprefix(prefix))

    def attrs(self, key):
        """The digest of the attributes that a directory store shows for a key; None if it shows none. ValueError: they cannot be read."""
        for top, folded in self.tops():
            try:
                meta = os.path.join(top, "_indelible", ".meta")
                path = find(meta, key, folded)
                with open(path if folded or os.path.exists(path) else os.path.join(meta, key), "rb", opener=plain) as f:
                    shown = f.read((4 << 20) + 1)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as e:
                raise ValueError(str(e))
            if len(shown) > 4 << 20:
                raise ValueError("more bytes than attributes have")
            shown = json.loads(shown)
            pairs = [(n.lower(), v) for n, v in (shown.get("header") or {}).items()]
            pairs = [(n, v) for n, v in pairs if n != "content-type" or v not in ("binary/octet-stream", "application/octet-stream")]
            pairs += [("x-amz-meta-" + n.lower(), v) for n, v in (shown.get("meta") or {}).items()]
            form = b"".join(b"%d:%s" % (len(s), s) for n, v in sorted((n.encode(), v.encode()) for n, v in pairs if v) for s in (n, v))
            return hashlib.sha256(form).hexdigest()
        return None

    def objects(self):
        for leaf, prefix in self.found:
            key = text(leaf, "key")
            path = self.place(key, prefix)
            who = "record %d, %s: " % (leaf.get("seq", leaf.get("first")), key)
            try:
                with open(path, "rb", opener=plain) as f:
                    changed = os.fstat(f.fileno()).st_size != leaf["size"] or hashlib.file_digest(f, "sha256").hexdigest() != leaf["sha256"]
                    if changed:
                        fault(who + "changed")
            except FileNotFoundError:
                if not self.was_removed(leaf):
                    fault(who + "missing")
                continue
            except (OSError, ValueError) as e:  # ValueError: a name that no file can have
                fault(who + "cannot be read: %s" % e)
                continue
            if leaf["kind"] == "pack" and not changed:  # what a changed one says is nobody's word
                self.rows(leaf, prefix, path, who)
            if "attrs_sha256" not in leaf or self.options.no_attrs:
                continue
            try:
                shown = self.attrs(key)
            except Exception as e:  # nested deeply, not JSON, or of another form
                fault(who + "its headers and metadata cannot be read: %s: %s" % (type(e).__name__, e))
                continue
            self.shown += shown is not None
            if shown is None and leaf["attrs_sha256"] != hashlib.sha256(b"").hexdigest():
                if not self.was_removed(leaf):  # what is removed loses these first
                    self.bare.append(who + "its headers and metadata are gone")
            elif shown is not None and shown != leaf["attrs_sha256"]:
                fault(who + "its headers or metadata were changed")
        if self.bare and self.shown:
            for what in self.bare:
                fault(what)
        elif self.bare:
            incomplete.append("headers and metadata of %d objects could not be compared: there are none here" % len(self.bare))

    def was_removed(self, leaf):
        """Whether removed leaves speak of all records of a leaf's object."""
        if not self.merged:
            for low, high in sorted(self.removed):
                if self.merged and low <= self.merged[-1][1] + 1:
                    low, high = self.merged[-1][0], max(high, self.merged.pop()[1])
                self.merged.append((low, high))
        at, last = leaf.get("seq", leaf.get("first")), leaf.get("last", leaf.get("seq"))
        return any(low <= at and last <= high for low, high in self.merged[bisect.bisect(self.merged, (at, 1 << 64)) - 1:][:1])

    def rows(self, leaf, prefix, path, who):
        """The rows of a pack: each body against its digest, and the root over all of them."""
        if parquet is None:
            self.unread += 1
            return
        hashes, next_seq = [], leaf["first"]
        try:
            for batch in parquet.ParquetFile(path).iter_batches(64, columns=ROW_COLUMNS):
                for row in batch.to_pylist():
                    body, extra = row["body"], json.loads(row["extra"] or "{}")
                    gone = False
                    if "object" in extra:
                        try:
                            with open(self.place(extra["object"], prefix), "rb", opener=plain) as f:
                                body = f.read(row["size"] + 1)
                        except FileNotFoundError:
                            if not self.was_removed({"seq": next_seq}):
                                raise
                            gone = True
                    body = body or b""
                    if row["seq"] != next_seq or not gone and (len(body) != row["size"] or sha(body).hex() != row["sha256"]):
                        fault(who + "row %d, where %d should be, is not the record that it names" % (row["seq"], next_seq))
                    hashes.append(sha(b"\x00" + canonical(row_leaf(row, extra))))
                    next_seq += 1
        except Exception as e:  # whatever the library says of a file that was changed
            fault(who + "the rows from record %d on cannot be read: %s" % (next_seq, e))
            return
        if next_seq != leaf["last"] + 1 or root(hashes).hex() != leaf["root"]:
            fault(who + "its rows are not those that were logged")

    def complete(self):
        if self.unread:
            incomplete.append("the rows of %d packs were not read: install pyarrow" % self.unread)
        if self.open:
            incomplete.append("%d records are not in the bucket, as the log says (deferred or quarantined)" % len(self.open))
        age = datetime.datetime.now(datetime.timezone.utc) - (self.latest or datetime.datetime.fromtimestamp(0, datetime.timezone.utc))
        limit = self.options.max_age
        if limit is not None and age > datetime.timedelta(hours=limit) or limit is None and not self.stopped and age > datetime.timedelta(minutes=25):
            incomplete.append("the log's last word is from %s" % self.latest)

    def run(self):
        found = self.checkpoints()
        while (c := self.target(found)) and self.walk(c.size):
            pass
        good = self.judge(found)
        self.tiles()
        self.objects()
        self.lost()
        self.complete()
        print("%d leaves, %d checkpoints, %d faults, %d notices" % (len(self.hashes), good, faults[0], notices[0]))
        for why in incomplete:
            say("INCOMPLETE:", why)

def main():
    p = argparse.ArgumentParser(description="verify a log of Indelible in a copy of its bucket")
    p.add_argument("directory")
    p.add_argument("vkey")
    p.add_argument("--checkpoint", action="append", default=[], help="a checkpoint that you kept: the log must have grown from it")
    p.add_argument("--witness", action="append", default=[], help="verifier key of a witness that must have cosigned the checkpoint")
    p.add_argument("--quorum", type=int, help="how many of the witnesses must have cosigned it (default: all)")
    p.add_argument("--max-age", type=float, help="how many hours old the log's newest leaf may be")
    p.add_argument("--no-attrs", action="store_true", help="do not compare headers and metadata: a plain copy has none")
    p.add_argument("--allow-incomplete", action="store_true", help="exit 0 when nothing is wrong with what is there")
    options = p.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    with open(options.vkey, encoding="ascii") as f:
        Verifier(options.directory, f.read(), options).run()
    sys.exit(1 if faults[0] or incomplete and not options.allow_incomplete else 0)

if __name__ == "__main__":
    main()
