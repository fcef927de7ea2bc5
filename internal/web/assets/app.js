// The dashboard: opens a session, and shows what the daemon says.

import { $, h, text, num, count, span } from "./dom.js";
import * as api from "./api.js";
import { enter, entered, show } from "./enter.js";
import { Board, recordRow } from "./board.js";

let permissions = [];
let heard = 0; // when the last event came

function askForToken() {
  $("login").hidden = false;
  $("board").hidden = true;
  text($("link"), "not signed in");
  $("link").className = "pill off";
  $("token").focus();
}

async function start(entering) {
  const { me, wrong } = await entering;
  if (wrong) text($("login-error"), wrong);
  if (!me) return askForToken();
  permissions = me.permissions;
  $("login").hidden = true;
  $("board").hidden = false;
  $("leave").hidden = false;
  show({
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

// detail loads what shows a record, when the first one is looked at.
let loading = null;
function detail() {
  loading ??= import("./detail.js").then(({ Detail }) => {
    const d = new Detail(() => board.last?.status.log.name ?? "");
    d.onclose(() => history.replaceState(null, "", location.pathname));
    return d;
  });
  loading.catch(() => { loading = null; }); // the daemon is away: the next try asks again
  return loading;
}
const go = (name) => { location.hash = `#/record/${encodeURIComponent(name)}`; };
const board = new Board({ open: go, may: () => permissions });

async function route() {
  const name = /^#\/record\/(.+)$/.exec(location.hash)?.[1];
  if (!name || $("board").hidden) return;
  try {
    (await detail()).open(decodeURIComponent(name));
  } catch {
    text($("find-note"), "The daemon does not answer: the record cannot be shown.");
    history.replaceState(null, "", location.pathname); // so that the next click on it asks again
  }
}
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
  const behind = summary.behind > 1000 ? `, and ${num(summary.read)} of the ${num(summary.behind)} records that it does not have yet` : "";
  const how = summary.indexed ? `by the index${behind}` : `without the index${summary.no_index ? ` (${summary.no_index})` : ""}, ${num(summary.read)} read`;
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
    start(enter());
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

start(entered);

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
