// The dashboard: opens a session, and shows what the daemon says.

import { $, h, text, num, count, span } from "./dom.js";
import * as api from "./api.js";
import { Board, recordRow } from "./board.js";
import { Detail } from "./detail.js";

let permissions = [];
let heard = 0; // when the last event came

// A token in the fragment never reaches a server; it becomes a cookie, and leaves the address.
async function enter() {
  const token = /^#([^/].{15,})$/.exec(location.hash)?.[1];
  if (token) {
    history.replaceState(null, "", location.pathname);
    try {
      return await api.login(decodeURIComponent(token));
    } catch (err) {
      text($("login-error"), err.status === 401 ? "The token in that address is not this daemon's." : err.message);
    }
  }
  try {
    return await api.session();
  } catch {
    return null;
  }
}

function askForToken() {
  $("login").hidden = false;
  $("board").hidden = true;
  text($("link"), "not signed in");
  $("link").className = "pill off";
  $("token").focus();
}

async function start() {
  const me = await enter();
  if (!me) return askForToken();
  permissions = me.permissions;
  $("login").hidden = true;
  $("board").hidden = false;
  $("leave").hidden = false;
  api.live({
    history: (e) => board.history(e),
    status: (e) => {
      heard = Date.now();
      board.status(e);
      linked();
    },
    lost: (unwanted) => (unwanted ? askForToken() : linked()),
  });
  route();
}

// linked says whether the board is fresh.
function linked() {
  const old = (Date.now() - heard) / 1000;
  const fresh = old < 4;
  text($("link"), fresh ? "live" : heard ? `no word from the daemon for ${span(old)}` : "connecting");
  $("link").className = fresh ? "pill on" : "pill off";
}

const detail = new Detail(() => board.last?.status.log.name ?? "");
const go = (name) => { location.hash = `#/record/${encodeURIComponent(name)}`; };
const board = new Board({ open: go, may: () => permissions });

function route() {
  const name = /^#\/record\/(.+)$/.exec(location.hash)?.[1];
  if (name && !$("board").hidden) detail.open(decodeURIComponent(name));
}
detail.onclose(() => history.replaceState(null, "", location.pathname));
addEventListener("hashchange", route);

function showRows(rows, note) {
  board.found = true;
  text($("records-title"), "Found records");
  $("rows").replaceChildren(...rows.map((r) => recordRow(r, go)));
  $("find-note").replaceChildren(`${note} `, h("button", { type: "button", onclick: newest }, "Show the newest"));
}

function newest() {
  board.found = false;
  board.rows = new Map();
  text($("records-title"), "Newest records");
  $("rows").replaceChildren();
  text($("find-note"), "");
  if (board.last) board.newest(board.last.recent ?? []);
}

const listed = 100; // records that a list shows at most
let looking = null; // the search under way

// find shows what was meant: prefix* lists, an expression searches, and a word is a name first.
async function find(asked) {
  looking?.abort();
  const mine = looking = new AbortController();
  text($("find-note"), "Looking…");
  try {
    if (/[\s"]|^[a-z_]+(!=|[=~<>])/.test(asked)) return await search(asked, mine);
    if (asked.endsWith("*")) {
      const { rows, summary } = await api.list(asked.slice(0, -1), listed);
      showRows(rows, `${num(summary.total ?? rows.length)} with this prefix, the newest ${num(rows.length)} here.${missing(summary)}`);
      return;
    }
    let r;
    try {
      r = await api.record(asked);
    } catch (err) {
      if (err.status !== 404) throw err;
      return await search(asked, mine);
    }
    text($("find-note"), "");
    go(r.seq || asked);
  } catch (err) {
    if (mine.signal.aborted) return;
    if (err.body?.candidates) showRows(err.body.candidates, "It could be any of these:");
    else text($("find-note"), err.message);
  }
}

async function search(expression, mine) {
  const begun = performance.now();
  const { rows, summary } = await api.search(expression, listed, mine.signal);
  const took = `${((performance.now() - begun) / 1000).toFixed(2)} s`;
  const how = summary.indexed ? "by the index" : `without the index${summary.no_index ? ` (${summary.no_index})` : ""}, ${num(summary.read)} read`;
  const unread = summary.unread ? ` ${num(summary.unread)} could not be read.` : "";
  const found = rows.length === listed ? `The newest ${listed} that match` : rows.length ? `${count(rows.length, "record")} found` : `Nothing is called "${expression}" or matches it`;
  showRows(rows, `${found}, in ${took}, ${how}.${unread}${missing(summary)}`);
}

const missing = (summary) => (summary.missing ? ` The destination could not be asked: ${summary.missing}` : "");

$("find").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = $("query").value.trim();
  if (name) find(name);
  else {
    looking?.abort();
    newest();
  }
});
$("login-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  text($("login-error"), "");
  try {
    await api.login($("token").value.trim());
    $("token").value = "";
    start();
  } catch (err) {
    text($("login-error"), err.status === 401 ? "This is not the token of this daemon." : err.message);
  }
});
$("leave").addEventListener("click", async () => {
  await api.logout().catch(() => {});
  location.reload();
});
// "/" leads to the search: on its way up, so that it is not typed there.
const shortcut = (e) => e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && !/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "") && !$("detail").open && !$("board").hidden;
addEventListener("keydown", (e) => { if (shortcut(e)) e.preventDefault(); });
addEventListener("keyup", (e) => { if (shortcut(e)) $("query").focus(); });

const themes = ["auto", "light", "dark"];
function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  text($("theme"), `Theme: ${name}`);
  localStorage.setItem("indelible-theme", name);
}
theme(themes.includes(localStorage.getItem("indelible-theme")) ? localStorage.getItem("indelible-theme") : "auto");
$("theme").addEventListener("click", () => theme(themes[(themes.indexOf(localStorage.getItem("indelible-theme")) + 1) % themes.length]));

setInterval(linked, 1000);
start();
