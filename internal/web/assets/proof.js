// Checks a record against a signed log, in this browser: nothing here trusts the server.
// Formats: C2SP tlog-proof, tlog-checkpoint and signed-note; hashes as in RFC 6962.

export class ProofError extends Error {}

const encoder = new TextEncoder();
const decode = (b) => new TextDecoder("utf-8", { fatal: true }).decode(b);

export function hex(b) {
  return Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
}

function unbase64(s, what) {
  let raw;
  try {
    raw = atob(s);
  } catch {
    throw new ProofError(`${what} is not base64`);
  }
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

export async function sha256(...parts) {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all));
}

// parse reads a tlog-proof whose extra data is the leaf, and behind it, where the record is a
// row of a pack, the row's leaf and its path below the pack's root.
export function parse(file) {
  const magic = "c2sp.org/tlog-proof@v1\n";
  const end = file.indexOf("\n\n");
  if (!file.startsWith(magic) || end < 0) throw new ProofError("this is no tlog-proof");
  const [extra, index, ...path] = file.slice(magic.length, end).split("\n");
  if (!extra?.startsWith("extra ") || !/^index (0|[1-9][0-9]{0,14})$/.test(index ?? "")) throw new ProofError("the proof names no leaf");
  const all = unbase64(extra.slice(6), "the leaf");
  const cut = all.indexOf(10); // a leaf is one line
  const leaf = cut < 0 ? all : all.slice(0, cut);
  let row = null;
  if (cut >= 0) {
    const rest = all.slice(cut + 1);
    const end = rest.indexOf(10);
    if (end < 0) throw new ProofError("the row in the proof is cut");
    row = { leaf: rest.slice(0, end), path: decode(rest.slice(end + 1)).split("\n").filter(Boolean).map((p) => hash(p, "a hash of the row's path")) };
  }
  return {
    leaf, row,
    index: Number(index.slice(6)),
    path: path.map((p) => hash(p, "a hash of the path")),
    checkpoint: file.slice(end + 2),
  };
}

function hash(s, what) {
  const b = unbase64(s, what);
  if (b.length !== 32) throw new ProofError(`${what} is not 32 bytes long`);
  return b;
}

// parseCheckpoint reads a signed note with a log's name, size and root.
export function parseCheckpoint(note) {
  const end = note.lastIndexOf("\n\n");
  if (end < 0) throw new ProofError("the checkpoint has no signature");
  const text = note.slice(0, end + 1);
  const [log, size, root] = text.split("\n");
  if (!log || !/^(0|[1-9][0-9]{0,14})$/.test(size ?? "")) throw new ProofError("the checkpoint names no log and size");
  const signatures = note.slice(end + 2).split("\n").filter(Boolean).map((line) => {
    const m = /^\u2014 (\S+) (\S+)$/.exec(line);
    if (!m) throw new ProofError("a signature of the checkpoint cannot be read");
    return { name: m[1], sig: unbase64(m[2], "a signature") };
  });
  return { text, log, size: Number(size), root: hash(root ?? "", "the root"), signatures };
}

// parseKey reads a verifier key, "name+hash+base64", and checks that its parts agree.
export async function parseKey(vkey) {
  const m = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(vkey.trim());
  if (!m) throw new ProofError("this is no public key of a log: want the line in log.vkey");
  const raw = unbase64(m[3], "the key");
  if (raw.length !== 33 || raw[0] !== 1) throw new ProofError("the key is not an Ed25519 key");
  const id = (await sha256(encoder.encode(`${m[1]}\n`), raw)).slice(0, 4);
  if (hex(id) !== m[2]) throw new ProofError("the key's parts do not belong together: it was changed or cut");
  return { name: m[1], id, public: raw.slice(1) };
}

// climb hashes from the leaf up, and gives each step: what stood there, what it was joined
// with, on which side, and what came of it.
export async function climb(leaf, index, size, path) {
  if (index >= size) throw new ProofError(`leaf ${index} is not among the ${size} of the checkpoint`);
  let at = await sha256(Uint8Array.of(0), leaf);
  const steps = [];
  const leafHash = at;
  let fn = index;
  let sn = size - 1;
  for (const other of path) {
    if (sn === 0) throw new ProofError("the path is longer than the tree is high");
    const right = fn % 2 === 1 || fn === sn;
    const joined = right ? await sha256(Uint8Array.of(1), other, at) : await sha256(Uint8Array.of(1), at, other);
    steps.push({ from: at, other, right, to: joined });
    at = joined;
    if (right && fn % 2 === 0) {
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (sn !== 0) throw new ProofError("the path is shorter than the tree is high");
  return { leafHash, steps, root: at };
}

// canSign says whether this browser can check Ed25519 signatures.
export async function canSign() {
  if (!globalThis.crypto?.subtle) return false;
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(32).fill(9, 0, 1), "Ed25519", false, ["verify"]);
    return true;
  } catch (err) {
    return err.name !== "NotSupportedError";
  }
}

async function signed(checkpoint, key) {
  const pub = await crypto.subtle.importKey("raw", key.public, "Ed25519", false, ["verify"]);
  for (const s of checkpoint.signatures) {
    if (s.name !== key.name || s.sig.length !== 68 || !same(s.sig.slice(0, 4), key.id)) continue;
    if (await crypto.subtle.verify("Ed25519", pub, s.sig.slice(4), encoder.encode(checkpoint.text))) return true;
  }
  return false;
}

// inPack says whether the row is in the pack of the leaf.
async function inPack(row, pack, about) {
  if (pack.kind !== "pack" || about.kind !== "row" || about.seq < pack.first || about.seq > pack.last) throw new ProofError("the row is not one of this pack");
  return hex((await climb(row.leaf, about.seq - pack.first, pack.count, row.path)).root) === pack.root;
}

// check looks at everything and gives one result for each step, and the climb to be drawn. A
// step that cannot be looked at has ok null and says why.
export async function check(file, body, vkey, seq) {
  const steps = [];
  const say = (ok, title, detail) => steps.push({ ok, title, detail });
  const attempt = async (title, f) => {
    try {
      return await f();
    } catch (err) {
      say(false, title, err instanceof ProofError ? err.message : String(err));
      return undefined;
    }
  };
  const p = await attempt("The proof can be read", async () => {
    const parsed = parse(file);
    return { ...parsed, signed: parseCheckpoint(parsed.checkpoint), entry: JSON.parse(decode(parsed.leaf)), about: JSON.parse(decode(parsed.row?.leaf ?? parsed.leaf)) };
  });
  if (!p) return { ok: false, steps };
  if (p.about.seq !== seq || !["record", "row", "stored", "deferred", "quarantined"].includes(p.about.kind)) {
    say(false, `The proof is about another record than ${seq}`, `its leaf is of kind ${p.about.kind}, with the number ${p.about.seq}`);
  }

  const digest = await sha256(body);
  const bytesMatch = p.about.sha256 === hex(digest) && p.about.size === body.length;
  say(bytesMatch, bytesMatch ? "These bytes are what was logged" : "These bytes are not what was logged",
    bytesMatch ? `SHA-256 ${hex(digest)}` : `the log says ${p.about.size} bytes with SHA-256 ${p.about.sha256}; here are ${body.length} with ${hex(digest)}`);

  if (p.row) {
    await attempt("The row is not in its pack", async () => {
      const good = await inPack(p.row, p.entry, p.about);
      say(good, good ? `Row ${p.about.seq - p.entry.first} is in its pack of ${p.entry.count}` : "The row is not in its pack", `${p.row.path.length} hashes lead to the pack's root`);
    });
  }
  const up = await attempt("The leaf is not in the signed tree", () => climb(p.leaf, p.index, p.signed.size, p.path));
  if (up) {
    const inTree = same(up.root, p.signed.root);
    say(inTree, inTree ? `Leaf ${p.index} is in the tree of ${p.signed.size}` : "The leaf is not in the signed tree",
      inTree ? `${up.steps.length} hashes lead to the root` : `the path leads to ${hex(up.root)}, and the checkpoint says ${hex(p.signed.root)}`);
  }
  if (await canSign()) {
    await attempt("The checkpoint is not signed by this key", async () => {
      const key = await parseKey(vkey);
      const good = p.signed.log === key.name && await signed(p.signed, key);
      say(good, good ? `The checkpoint is signed by ${key.name}` : "The checkpoint is not signed by this key", good ? "Ed25519" : `the key is that of ${key.name}, the checkpoint that of ${p.signed.log}`);
    });
  } else {
    say(null, "The signature could not be checked here", "this browser has no Ed25519: take a newer one, or save the proof and run \"indelible verify --proof FILE --record FILE --vkey log.vkey\"");
  }
  return { ok: steps.every((s) => s.ok === true), undecided: steps.every((s) => s.ok !== false), steps, up, proof: p };
}
