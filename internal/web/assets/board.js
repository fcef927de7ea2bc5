// The board: what the live events say, in a sentence, figures, charts and tables.

import { $, h, text, num, count, bytes, span, ago, moment, stateLabel } from "./dom.js";
import * as api from "./api.js";

const columns = ["acked", "stored", "proven", "pending"];
const keep = 900; // samples: a quarter of an hour
const silence = 15 * 60; // seconds without a record that are worth a look

export class Board {
  constructor({ open, may }) {
    this.open = open;
    this.may = may; // the permissions
    this.past = { time: [], acked: [], stored: [], proven: [], pending: [] };
    this.rows = new Map(); // elements of the newest records by seq
    this.found = false; // the table shows what was looked for
    $("redrive").addEventListener("click", () => this.redrive());
  }

  // loadCharts loads the charts, once the sentence is there: it does not wait for them.
  async loadCharts() {
    this.loading = true;
    try {
      const { Chart } = await import("./chart.js");
      this.records = new Chart($("chart-records"), $("legend"), [{ name: "acked", label: "acknowledged" }, { name: "stored", label: "stored" }, { name: "proven", label: "proven" }],
        (v, at) => `Lines over the last minutes. At ${at}: ${num(v.acked)} acknowledged, ${num(v.stored)} stored, ${num(v.proven)} proven.`);
      this.pending = new Chart($("chart-pending"), $("legend-pending"), [{ name: "pending", label: "records", area: true }],
        (v, at) => `Line over the last minutes. At ${at}: ${count(v.pending, "record")} on their way.`);
      this.draw();
    } catch {
      this.loading = false; // the daemon is away: the next event asks again
    }
  }

  history(h) {
    if (h.time?.length) this.past = { time: [...h.time], ...Object.fromEntries(columns.map((c) => [c, [...h[c]]])) };
  }

  status(e) {
    if (e.error) return this.broken(e.error);
    const s = e.status, now = Date.parse(e.time);
    this.sample(now, s);
    this.sentence(e, s);
    if (!this.last) performance.mark("health"); // how long the first answer took, for whoever measures
    this.last = e;
    if (!this.pending && !this.loading) this.loadCharts();
    this.tiles(e, s, now);
    this.doors(s.doors, now);
    this.senders(e.senders ?? [], now);
    if (!this.found) this.newest(e.recent ?? []);
    this.lost(e, s);
    this.parked(s);
    text($("logname"), s.log.name);
    text($("version"), `Indelible ${s.version}, process ${s.pid}.`);
  }

  broken(why) {
    $("health").className = "health bad";
    $("sentence").replaceChildren(h("span", { class: "lead" }, "The daemon cannot tell its state: "), why);
  }

  sample(now, s) {
    const p = this.past;
    p.time.push(now);
    for (const c of columns) p[c].push(s[c]);
    if (p.time.length > keep) for (const c of ["time", ...columns]) p[c].splice(0, p[c].length - keep);
    this.draw();
  }

  draw() {
    const p = this.past;
    if (!this.pending) return; // not loaded yet
    // A daemon that was killed counts again from what it knows to be stored: never draw it falling.
    const base = p.acked[0] - Math.max(0, p.acked[0] - Math.min(p.proven[0], p.stored[0]));
    const since = (c) => p[c].map((v) => Math.max(0, v - base));
    this.records.draw(p.time, { acked: since("acked"), stored: since("stored"), proven: since("proven") });
    this.pending.draw(p.time, { pending: p.pending });
  }

  rate(column) {
    const { time } = this.past, v = this.past[column];
    const last = time.length - 1, first = Math.max(0, last - 10);
    const took = (time[last] - time[first]) / 1000;
    return took > 0 ? Math.max(0, (v[last] - v[first]) / took) : 0;
  }

  sentence(e, s) {
    const { level, lead, rest } = e.health;
    const box = $("health");
    if (box.className !== `health ${level}`) box.className = `health ${level}`;
    const words = `${lead} ${rest}`;
    if ($("sentence").textContent !== words) $("sentence").replaceChildren(h("span", { class: "lead" }, lead), ` ${rest}`);
    const lost = s.gaps === 0 ? "none lost" : `${count(s.gaps, "gap")} in the log`;
    const way = s.pending === 0 ? "none on its way" : `${num(s.pending)} on ${s.pending === 1 ? "its" : "their"} way`;
    const signed = s.log.checkpoint_age_seconds === null ? "not signed yet since the start" : `log signed ${ago(s.log.checkpoint_age_seconds)}`;
    text($("numbers"), `${count(s.acked, "record")} acknowledged, ${lost}, ${way}, ${signed}.`);
    const todo = e.remedy.disk || e.remedy.destination;
    $("remedy").hidden = !todo;
    text($("remedy"), todo ? `What to do: ${todo}.` : "");
    document.title = level === "good" ? "Indelible" : `${lead.replace(/:$/, "")} · Indelible`;
  }

  tiles(e, s, now) {
    text($("t-acked"), num(s.acked));
    text($("t-acked-more"), `${this.rate("acked").toFixed(1)} a second now; ${num(s.resent)} sent again`);
    text($("t-pending"), num(s.pending));
    text($("t-pending-more"), s.pending ? `${bytes(s.pending_bytes)}, the oldest for ${span(s.oldest_pending_seconds)}` : "everything is stored");
    const d = s.destination;
    text($("t-dest"), d.state);
    $("t-dest").className = `figure ${d.state === "ok" ? "good" : d.state === "throttled" ? "warn" : "bad"}`;
    const trouble = d.state !== "ok" && d.last_error ? ` · ${d.last_error}` : "";
    text($("t-dest-more"), `for ${span((now - Date.parse(d.since)) / 1000)} · ${d.url}${trouble}`);
    text($("t-disk"), s.disk.state);
    $("t-disk").className = `figure ${s.disk.state === "ok" ? "good" : s.disk.state === "slow" ? "warn" : "bad"}`;
    text($("t-disk-more"), `${s.disk.reason ? `${s.disk.reason} · ` : ""}spool ${bytes(s.disk.spool_bytes)}, ${bytes(s.disk.free_bytes)} free, sync ${(s.disk.sync_seconds * 1000).toFixed(1)} ms`);
    text($("t-log"), num(s.log.size));
    text($("t-log-more"), s.log.problem ? s.log.problem : `leaves; ${num(s.proven)} records proven`);
    $("t-log-more").className = s.log.problem ? "bad" : "muted";
  }

  senders(senders, now) {
    const rows = senders.map((s) => h("tr", {}, h("td", { class: "mono" }, s.source || "unknown"), h("td", {}, s.door), h("td", { class: "num" }, num(s.records)), lastRecord(s.last, now)));
    $("senders").replaceChildren(...(rows.length ? rows : [h("tr", {}, h("td", { colspan: 4, class: "muted" }, "Nobody has sent a record since the daemon started."))]));
  }

  doors(doors, now) {
    const rows = Object.entries(doors).map(([name, d]) => {
      const why = Object.entries(d.refused_by ?? {}).map(([code, n]) => `${code} ${num(n)}`).join(", ");
      return h("tr", {}, h("td", {}, name), h("td", { class: "mono" }, d.url), h("td", { class: "num" }, num(d.acked)), h("td", { class: "num" }, num(d.resent)),
        h("td", { class: d.refused ? "num warn" : "num", title: why }, num(d.refused)), h("td", { class: "num" }, bytes(d.bytes)), lastRecord(d.last_record, now));
    });
    $("doors").replaceChildren(...(rows.length ? rows : [h("tr", {}, h("td", { colspan: 7 }, "no door is open"))]));
  }

  // newest keeps the rows that stay, so that the one with the focus keeps it.
  newest(recent) {
    const next = new Map();
    const { pending, acked } = this.last.status;
    for (const r of recent) {
      // With nothing on its way, what is not proven yet is stored. A newer record came after the count.
      const state = r.state === "pending" && pending === 0 && r.seq <= acked ? "stored" : r.state;
      const row = this.rows.get(r.seq) ?? recordRow(r, this.open);
      const cell = row.lastChild;
      if (cell.dataset.state !== state) {
        cell.dataset.state = state;
        cell.replaceChildren(stateLabel(state));
      }
      next.set(r.seq, row);
    }
    this.rows = next;
    const body = $("rows");
    if (!recent.length) {
      body.replaceChildren(h("tr", {}, h("td", { colspan: 6, class: "muted" }, "No record has come since the daemon started. Older ones can be found by key, id or seq.")));
      return;
    }
    let at = body.firstChild;
    for (const row of next.values()) {
      if (row === at) at = at.nextSibling;
      else body.insertBefore(row, at);
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  // lost names the records that the disk lost, the newest first. The rows are made again only when they change.
  lost(e, s) {
    $("lost").hidden = s.gaps === 0;
    if (s.gaps === 0) return;
    const list = s.gap_ranges ?? [], others = s.gaps_not_listed ?? 0;
    text($("lost-note"), `What to do: ${e.remedy.gaps}.`);
    $("lost-more").hidden = others === 0;
    text($("lost-more"), others ? `${count(others, "gap")} released before this start, or older: "indelible verify" names ${others === 1 ? "it" : "them"}.` : "");
    $("lost-table").hidden = list.length === 0;
    const now = JSON.stringify(list);
    if (now === this.lostShown) return;
    this.lostShown = now;
    $("lost-rows").replaceChildren(...[...list].reverse().map((g) => h("tr", {}, h("td", {}, g.first === g.last ? num(g.first) : `${num(g.first)} to ${num(g.last)}`),
      h("td", { class: "num" }, num(g.last - g.first + 1)), h("td", { class: "why" }, g.cause))));
  }

  async parked(s) {
    const n = s.quarantined + s.deferred;
    $("parked").hidden = n === 0;
    if (n === 0 || n === this.parkedShown || this.asking) return;
    this.asking = true;
    try {
      const rows = await api.parked();
      $("parked-rows").replaceChildren(...ranges(rows).map((g) => h("tr", {}, h("td", { class: "num" }, g.first.seq === g.last.seq ? num(g.first.seq) : `${num(g.first.seq)} to ${num(g.last.seq)}`),
        h("td", { class: "num" }, num(g.n)), h("td", {}, stateLabel(g.first.state)),
        h("td", { class: "key" }, h("button", { type: "button", onclick: () => this.open(g.first.seq) }, g.first.key), g.n > 1 ? h("div", { class: "muted about" }, `and ${count(g.n - 1, "more record")}`) : null),
        h("td", { class: "why" }, g.first.reason ?? ""))));
      this.parkedShown = n;
      text($("parked-note"), `${count(s.quarantined, "record")} that the destination refuses, ${num(s.deferred)} that it took too long over. They are safe on this disk; the others do not wait for them.`);
    } catch (err) {
      text($("parked-note"), err.message);
    } finally {
      this.asking = false;
    }
    const may = this.may().includes("operate");
    $("redrive").disabled = !may;
    $("redrive").title = may ? "" : "this takes a session with admin.operator_token, or \"indelible redrive\" on this machine";
  }

  async redrive() {
    try {
      const { redriven } = await api.redrive();
      this.parkedShown = -1;
      text($("parked-note"), `${count(redriven, "record")} brought back into delivery.`);
    } catch (err) {
      text($("parked-note"), err.message);
    }
  }
}

// ranges are rows by seq, put together where one follows the other for the same reason.
function ranges(rows) {
  const out = [];
  for (const r of [...rows].sort((a, b) => a.seq - b.seq)) {
    const g = out.at(-1);
    if (g && r.seq === g.last.seq + 1 && r.state === g.first.state && r.reason === g.first.reason) {
      g.last = r;
      g.n++;
    } else out.push({ first: r, last: r, n: 1 });
  }
  return out;
}

// lastRecord is the cell that shows how long somebody has been silent.
function lastRecord(when, now) {
  if (!when) return h("td", { class: "muted" }, "none yet");
  const quiet = (now - Date.parse(when)) / 1000;
  if (quiet >= silence) return h("td", { class: "warn" }, `silent for ${span(quiet)}`);
  return h("td", {}, quiet < 5 ? "now" : `${span(quiet)} ago`);
}

// about is what a search knows of a call beside its record; nothing where it was not searched for.
function about(r) {
  const tokens = r.tokens_in !== undefined || r.tokens_out !== undefined ? `${num(r.tokens_in ?? 0)} + ${num(r.tokens_out ?? 0)} tokens` : "";
  const said = [r.line ? `call ${r.line}` : "", r.model, r.team, r.user, r.status, tokens, r.cost !== undefined ? `$${Number(r.cost).toPrecision(3)}` : ""].filter(Boolean);
  return said.length ? h("div", { class: "muted about" }, said.join(" · ")) : null;
}

export function recordRow(r, open) {
  return h("tr", {}, h("td", { class: "num" }, r.seq ? num(r.seq) : ""), h("td", {}, moment(r.time)),
    h("td", { class: "key" }, h("button", { type: "button", title: r.key, onclick: () => open(r.seq || r.key) }, r.key), about(r)),
    h("td", { class: "num" }, bytes(r.size)), h("td", {}, r.door ?? ""), h("td", { "data-state": r.state }, stateLabel(r.state)));
}
