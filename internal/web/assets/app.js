// The dashboard: opens a session, and shows what the daemon says.

import { $, h, text, num, span } from "./dom.js";
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

async function find(name) {
  text($("find-note"), "Looking…");
  try {
    if (name.endsWith("*")) {
      const { rows, summary } = await api.list(name.slice(0, -1), 100);
      showRows(rows, `${num(summary.total ?? rows.length)} with this prefix, the newest ${num(rows.length)} here.${summary.missing ? ` The destination could not be asked: ${summary.missing}` : ""}`);
      return;
    }
    const r = await api.record(name);
    text($("find-note"), "");
    go(r.seq || name);
  } catch (err) {
    if (err.body?.candidates) showRows(err.body.candidates, "It could be any of these:");
    else text($("find-note"), err.status === 404 ? `There is no record "${name}".` : err.message);
  }
}

$("find").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = $("query").value.trim();
  if (name) find(name);
  else newest();
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
