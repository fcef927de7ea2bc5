// Charts as SVG by hand: lines over time, with a crosshair that a pointer or the arrow
// keys move.

import { svg, h, num, clock } from "./dom.js";

const W = 640, H = 210, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 20;

// ticks are at most n round numbers from 0 up to the first that is not below max.
function ticks(max, n = 4) {
  const rough = Math.max(1, max / n);
  const mag = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * mag).find((s) => s >= rough);
  const out = [];
  for (let v = 0; ; v += step) {
    out.push(v);
    if (v >= max) return out;
  }
}

const short = (v) => (v >= 1e6 ? `${+(v / 1e6).toFixed(1)}M` : v >= 1e4 ? `${+(v / 1e3).toFixed(1)}k` : num(v));

export class Chart {
  // series: [{name, label, area}]; values are given to draw by name.
  constructor(place, legend, series, describe) {
    this.series = series;
    this.describe = describe;
    this.legend = {};
    this.cursor = null; // index of the sample that is looked at
    for (const s of series) {
      const value = h("span");
      legend.append(h("span", {}, svg("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" }, svg("line", { x1: 1, x2: 21, y1: 5, y2: 5, class: `line ${s.name}` })), `${s.label} `, value));
      this.legend[s.name] = value;
    }
    this.root = svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", tabindex: "0" });
    this.root.addEventListener("pointermove", (e) => this.look(this.at(e)));
    this.root.addEventListener("pointerleave", () => this.look(null));
    this.root.addEventListener("blur", () => this.look(null));
    this.root.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (!step || !this.time?.length) return;
      e.preventDefault();
      this.look(Math.min(this.time.length - 1, Math.max(0, (this.cursor ?? this.time.length - 1) + step * Math.max(1, Math.round(this.time.length / 60)))));
    });
    place.append(this.root);
    new ResizeObserver(() => this.paint()).observe(place);
  }

  at(event) {
    const box = this.root.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.width;
    const t = this.time[0] + ((x - LEFT) / (this.width - LEFT - RIGHT)) * (this.time[this.time.length - 1] - this.time[0]);
    let best = 0;
    this.time.forEach((v, i) => { if (Math.abs(v - t) < Math.abs(this.time[best] - t)) best = i; });
    return best;
  }

  look(i) {
    this.cursor = i;
    this.paint();
  }

  draw(time, values) {
    this.time = time;
    this.values = values;
    this.paint();
  }

  paint() {
    const { time, values } = this;
    if (!time || time.length < 2) return;
    const box = this.root.getBoundingClientRect();
    this.width = Math.max(240, Math.round(box.width) || W);
    const width = this.width;
    this.root.setAttribute("viewBox", `0 0 ${width} ${H}`);
    const t0 = time[0], t1 = Math.max(time[time.length - 1], t0 + 1);
    const max = Math.max(1, ...this.series.map((s) => values[s.name].reduce((a, b) => Math.max(a, b), 0)));
    const marks = ticks(max);
    const top = marks[marks.length - 1];
    const x = (t) => LEFT + ((t - t0) / (t1 - t0)) * (width - LEFT - RIGHT);
    const y = (v) => H - BOTTOM - (v / top) * (H - TOP - BOTTOM);
    const parts = marks.flatMap((v) => [
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(v), y2: y(v), class: "axis" }),
      svg("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end", class: "tick" }, short(v)),
    ]);
    const count = width < 420 ? 3 : 5;
    for (let i = 0; i < count; i++) {
      const t = t0 + ((t1 - t0) * i) / (count - 1);
      parts.push(svg("text", { x: x(t), y: H - 5, "text-anchor": i === 0 ? "start" : i === count - 1 ? "end" : "middle", class: "tick" }, clock(t)));
    }
    for (const s of this.series) {
      const points = time.map((t, i) => `${x(t).toFixed(1)},${y(values[s.name][i]).toFixed(1)}`).join(" ");
      if (s.area) parts.push(svg("polygon", { points: `${x(t0)},${y(0)} ${points} ${x(t1)},${y(0)}`, class: "area" }));
      parts.push(svg("polyline", { points, class: `line ${s.name}` }));
    }
    const i = this.cursor === null ? time.length - 1 : Math.min(this.cursor, time.length - 1);
    if (this.cursor !== null) parts.push(svg("line", { x1: x(time[i]), x2: x(time[i]), y1: TOP, y2: H - BOTTOM, class: "cursor" }));
    this.root.replaceChildren(...parts);
    for (const s of this.series) this.legend[s.name].textContent = num(values[s.name][i]);
    this.root.setAttribute("aria-label", this.describe(Object.fromEntries(this.series.map((s) => [s.name, values[s.name][i]])), clock(time[i])));
  }
}
