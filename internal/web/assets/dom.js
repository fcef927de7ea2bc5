// Elements and texts. Everything that is shown goes through text nodes: no HTML is ever
// made from what a record, a sender or an error says.

const svgNS = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

function build(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === false || value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : String(c))));
  return node;
}

export const h = (tag, props, ...children) => build(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => build(document.createElementNS(svgNS, tag), props, children);

// text changes an element's text only where it differs, so that selections and screen
// readers are left alone.
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

const integer = new Intl.NumberFormat("en");
export const num = (n) => integer.format(n);
export const count = (n, what) => `${num(n)} ${what}${n === 1 ? "" : "s"}`;

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = -1;
  do { n /= 1024; i++; } while (n >= 1023.95 && i < units.length - 1);
  return `${n.toFixed(1)} ${units[i]}`;
}

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export const ago = (seconds) => (seconds < 1 ? "just now" : `${span(seconds)} ago`);

const two = (n) => String(n).padStart(2, "0");
export function clock(when) {
  const d = new Date(when);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
export function moment(when) {
  const d = new Date(when);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return new Date().toDateString() === d.toDateString() ? clock(when) : `${day} ${clock(when)}`;
}

const words = { pending: "on its way", stored: "stored", proven: "proven", deferred: "deferred", quarantined: "quarantined" };
export const stateLabel = (state) => h("span", { class: `state ${state}` }, words[state] ?? state);
