// One record: what is known of it, its bytes as text, and its proof.

import { $, h, svg, text, num, bytes, moment, stateLabel } from "./dom.js";
import * as api from "./api.js";
import { check, parseKey, hex } from "./proof.js";

const shown = 256 << 10; // bytes of a body that are shown
const pinned = (log) => `indelible-vkey-${log}`;

export class Detail {
  constructor(log) {
    this.log = log; // gives the log's name
    this.dialog = $("detail");
    $("detail-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (e) => { if (e.target === this.dialog) this.dialog.close(); });
  }

  onclose(f) { this.dialog.addEventListener("close", f); }

  async open(name) {
    text($("detail-title"), `Record ${name}`);
    $("detail-body").replaceChildren(h("p", { class: "muted" }, "Asking for it…"));
    if (!this.dialog.open) this.dialog.showModal();
    let r;
    try {
      r = await api.record(name, /^[0-9]+$/.test(String(name)) ? "seq" : "");
    } catch (err) {
      $("detail-body").replaceChildren(h("p", { class: "bad", role: "alert" }, err.message));
      return;
    }
    this.show(r);
  }

  show(r) {
    text($("detail-title"), r.key);
    const receipt = r.seq && r.sha256 ? `${this.log()}/${r.seq}/${r.sha256}` : "";
    const facts = [["State", stateLabel(r.state)], ["Seq", num(r.seq)], ["Arrived", `${moment(r.time)} (${r.time})`], ["Size", bytes(r.size)],
      ["Door", r.source ? `${r.door}, from ${r.source}` : r.door], ["Bucket", r.bucket], ["Stored as", r.stored_key], ["Why", r.reason],
      ["SHA-256", r.sha256 && h("span", { class: "mono" }, r.sha256)], ["Receipt", receipt && h("span", { class: "mono" }, receipt)]];
    const attrs = Object.entries(r.attrs ?? {});
    const content = h("pre", { id: "content", tabindex: "0", "aria-label": "The record's bytes as text" }, "Reading…");
    const proofPart = h("div", { id: "proof" });
    $("detail-body").replaceChildren(
      r.missing ? h("p", { class: "warn" }, `This is what is on this disk; a newer one may be in the destination: ${r.missing}`) : "",
      h("div", { class: "halves" },
        h("div", {}, list(facts), attrs.length ? h("h3", {}, "Attributes") : "", attrs.length ? list(attrs) : "", h("h3", {}, "Content"), content),
        h("div", {}, h("h3", {}, "Proof, checked by this browser"), proofPart)));
    this.load(r, content, proofPart);
  }

  async load(r, content, place) {
    let body;
    try {
      body = await api.body(r.seq);
      content.textContent = readable(body);
    } catch (err) {
      content.textContent = `It cannot be read: ${err.message}`;
      place.replaceChildren(h("p", { class: "bad result" }, "There are no bytes to check."));
      return;
    }
    await this.prove(r, body, place);
  }

  async prove(r, body, place) {
    place.replaceChildren(h("p", { class: "muted" }, "Asking for the proof…"));
    let given;
    try {
      given = await api.proof(r.seq);
    } catch (err) {
      const yet = err.body?.kind === "unproven";
      place.replaceChildren(h("p", { class: yet ? "warn result" : "bad result" }, yet ? "Not proven yet: no signed checkpoint covers it. Try again in a minute." : err.message),
        h("button", { type: "button", onclick: () => this.prove(r, body, place) }, "Ask again"));
      return;
    }
    const pin = localStorage.getItem(pinned(this.log()));
    await this.draw(r, body, given, pin, place);
  }

  async draw(r, body, given, pin, place) {
    if (!globalThis.crypto?.subtle) {
      place.replaceChildren(h("p", { class: "warn result" }, "This browser checks proofs only on https or on localhost. Save the proof, and run \"indelible verify --proof FILE --record FILE --vkey log.vkey\"."), save(r, given));
      return;
    }
    const result = await check(given.proof, body, pin ?? given.vkey, r.seq);
    const shown = result.ok ? ["good", "Verified: this record is in the log, unchanged."] : result.undecided ? ["warn", "Nothing is wrong, but not everything could be checked."] : ["bad", "Refused: this does not prove the record."];
    const mark = (ok) => (ok === null ? h("span", { class: "warn" }, "?") : ok ? h("span", { class: "good" }, "✓") : h("span", { class: "bad" }, "✗"));
    const step = (ok, title, detail) => h("li", {}, mark(ok), h("span", {}, title, h("br"), h("span", { class: "muted" }, detail)));
    place.replaceChildren(
      h("p", { id: "proof-result", class: `result ${shown[0]}`, role: "status" }, shown[1]),
      h("ul", { class: "steps" }, result.steps.map((s) => step(s.ok, s.title, s.detail)),
        step(pin ? true : null, pin ? "The key is the one that you pinned" : "The key is what this daemon says it is", pin ? (pin ?? "") : "A daemon that lies could lie about its key, too: pin the line of log.vkey that you got elsewhere.")),
      this.pinForm(r, body, given, pin, place), result.up ? drawing(result) : "", save(r, given));
  }

  pinForm(r, body, given, pin, place) {
    const input = h("input", { type: "text", "aria-label": "Public key to pin", placeholder: "name+hash+key, from log.vkey", spellcheck: "false", value: pin ?? "" });
    const wrong = h("p", { class: "bad", role: "alert" });
    const set = async (e) => {
      e.preventDefault();
      const key = input.value.trim();
      try {
        if (key) await parseKey(key);
      } catch (err) {
        wrong.textContent = err.message;
        return;
      }
      if (key) localStorage.setItem(pinned(this.log()), key);
      else localStorage.removeItem(pinned(this.log()));
      await this.draw(r, body, given, key || null, place);
    };
    return h("form", { onsubmit: set }, h("div", { class: "pin" }, input, h("button", { type: "submit" }, pin ? "Change key" : "Pin key")), wrong);
  }
}

const list = (pairs) => h("dl", {}, pairs.filter(([, v]) => v).map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));

// readable is a body as text: JSON with line breaks, other text as it is, else in hex.
function readable(body) {
  const part = body.subarray(0, shown);
  const more = body.length > shown ? `\n… ${bytes(body.length - shown)} more` : "";
  let all;
  try {
    all = new TextDecoder("utf-8", { fatal: body.length <= shown }).decode(part);
  } catch {
    return `${hex(part.subarray(0, 1024)).replace(/(.{2})/g, "$1 ")}${body.length > 1024 ? "…" : ""}`;
  }
  if (more) return all + more;
  try {
    return JSON.stringify(JSON.parse(all), null, 2); // for reading only: numbers may be rounded; the bytes are what is checked
  } catch {
    return all;
  }
}

function save(r, given) {
  const name = `record-${r.seq}.tlog-proof`;
  const link = h("a", { download: name, href: URL.createObjectURL(new Blob([given.proof], { type: "text/plain" })) }, "Save the proof");
  return h("p", { class: "muted" }, link, ": \"indelible verify --proof\" checks it without a network.");
}

// drawing is the way from the leaf up to the signed root: ours in the middle, what it is
// joined with beside it.
function drawing(result) {
  const { up, proof } = result;
  const rowH = 44, w = 460, boxW = 132, boxH = 24, mid = (w - boxW) / 2;
  const levels = up.steps.length + 1;
  const height = (levels + 1) * rowH + 26;
  const y = (level) => height - 46 - level * rowH;
  const label = (b) => `${hex(b.slice(0, 6))}…`;
  const parts = [];
  const box = (x, level, b, ours) => parts.push(svg("rect", { x, y: y(level), width: boxW, height: boxH, rx: 6, class: ours ? "ours" : "" }), svg("text", { x: x + boxW / 2, y: y(level) + 16, "text-anchor": "middle" }, label(b)));
  const line = (x1, l1, x2, l2, ours) => parts.push(svg("line", { x1: x1 + boxW / 2, y1: y(l1), x2: x2 + boxW / 2, y2: y(l2) + boxH, class: ours ? "ours" : "" }));
  up.steps.forEach((s, i) => {
    const x = s.right ? mid - boxW - 24 : mid + boxW + 24;
    line(x, i, mid, i + 1, false);
    line(mid, i, mid, i + 1, true);
    box(x, i, s.other, false);
  });
  box(mid, 0, up.leafHash, true);
  up.steps.forEach((s, i) => box(mid, i + 1, s.to, true));
  const good = result.steps.every((s) => s.ok !== false);
  const at = (level, words, middle) => parts.push(svg("text", { x: middle ? w / 2 : 4, y: y(level) + 16, class: "label", "text-anchor": middle ? "middle" : "start" }, words));
  at(levels, `signed by ${proof.signed.signatures.map((s) => s.name).join(", ")}`.slice(0, 60), true);
  line(mid, levels - 1, mid, levels, true);
  parts.push(svg("text", { x: w / 2, y: height - 5, class: "label", "text-anchor": "middle" }, `leaf ${proof.index} of ${proof.signed.size}: this record`));
  return svg("svg", { viewBox: `0 0 ${w} ${height}`, class: good ? "path" : "path bad", role: "img", "aria-label": `${up.steps.length} hashes lead from leaf ${proof.index} to the signed root of ${proof.signed.size} leaves` }, parts);
}
