// What the daemon is asked, all of it below /api/ of this origin.

export class Failure extends Error {
  constructor(status, body) {
    super(body.error ?? `the daemon answers with status ${status}`);
    this.status = status;
    this.body = body;
  }
}

async function failure(resp) {
  const said = await resp.text();
  try {
    return new Failure(resp.status, JSON.parse(said));
  } catch {
    return new Failure(resp.status, { error: said.trim() || undefined });
  }
}

async function ask(path, options) {
  const resp = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  if (!resp.ok) throw await failure(resp);
  return resp;
}

const json = async (path, options) => (await ask(path, options)).json();
const query = (fields) => new URLSearchParams(fields).toString();

// login turns a token into a cookie that this script cannot read.
export const login = (token) => json("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
export const session = () => json("/api/session");
export const logout = () => ask("/api/session", { method: "DELETE" });
export const record = (name, kind = "") => json(`/api/record?${query({ name, kind })}`);
export const parked = () => json("/api/parked");
export const proof = (seq) => json(`/api/proof?${query({ seq })}`);
export const redrive = () => json("/api/redrive", { method: "POST" });

// body is a record's bytes, all of them.
export async function body(seq) {
  const resp = await ask(`/api/body?${query({ name: seq, kind: "seq" })}`);
  return new Uint8Array(await resp.arrayBuffer());
}

// lines is an answer of one JSON value a line: the values under a name, and the summary at its end.
async function lines(path, name, options) {
  const resp = await ask(path, options);
  const rows = [];
  let summary = null;
  for (const line of (await resp.text()).split("\n")) {
    if (!line) continue;
    const at = JSON.parse(line);
    if (at[name]) rows.push(at[name]);
    else if (at.error) throw new Failure(500, at.error);
    else summary = at.summary ?? {};
  }
  if (!summary) throw new Failure(500, { error: "the answer was cut off: ask again" });
  return { rows, summary };
}

// list is records by the beginning of their keys: the newest ones, and what could not be asked.
export const list = (prefix, limit) => lines(`/api/records?${query({ prefix, limit })}`, "row");

// search is the newest records that match an expression, which is written as for
// "indelible search": team=alpha cost>1 "refund policy".
export const search = (expr, limit, signal) => lines(`/api/search?${query({ expr, limit })}`, "hit", { signal });

// live calls back with every event until the connection ends for good. lost is called with
// true where the daemon does not want us any more.
export function live({ history, status, lost }) {
  const source = new EventSource("/api/live");
  source.addEventListener("history", (e) => history(JSON.parse(e.data)));
  source.addEventListener("status", (e) => status(JSON.parse(e.data)));
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) return lost(false);
    try {
      await session();
      lost(false);
    } catch (err) {
      lost(err.status === 401);
      if (err.status === 401) return;
    }
    setTimeout(() => live({ history, status, lost }), 1000);
  });
}
