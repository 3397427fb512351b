// How the streamer fares: figures of now, and the last half hour.

import * as activities from "./activities.js";
import { bytes, count, duration, milliseconds, short, write } from "./words.js";

const KEPT = 1800;
const GUTTER = 60;
const LATENCY = [
  ["source_published_p99", "whole, p99", "ink"], ["source_published_p50", "whole, p50", "line-5"], ["received_ready_p99", "wait for a batch, p99", "line-1"],
  ["ready_inferred_p99", "inference, p99", "line-2"], ["inferred_published_p99", "publishing, p99", "line-3"],
];
const CHARTS = [
  { title: "Latency, from a window's last sample to its label", lines: LATENCY, text: milliseconds, log: true },
  { title: "Labels a second", lines: [["labels", "labels", "line-1"]], text: short },
  { title: "Samples and readings a second", lines: [["samples", "in", "line-1"]], text: short },
  { title: "Windows in a batch", lines: [["batch", "windows a batch", "line-1"]], text: short },
  { title: "What waits", lines: [["windows_waiting", "windows", "line-1"]], text: short },
  { title: "Lost, late or refused a second", lines: [["lost", "of all kinds", "line-2"]], text: short },
  { title: "Processors in use", least: 0.1, lines: [["cpu", "of the streamer", "line-1"]], text: (value) => (value === null || value === undefined ? "–" : value.toFixed(2)) },
  { title: "Memory", lines: [["memory_bytes", "of the streamer", "line-1"]], text: bytes },
];

const find = (id) => document.getElementById(id);

export class HealthView {
  constructor(ask) {
    this.ask = ask;
    this.view = find("health");
    this.columns = {};
    this.charts = [];
    this.chosen = ""; // of a fleet's streamers; the first one, where none was chosen
    this.streamers = [];
    this.isShown = false;
    find("streamers").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.chosen = button.dataset.name;
      this.request();
    });
    addEventListener("resize", () => { if (this.isShown) { this.build(); this.draw(); } });
  }

  show() {
    this.isShown = true;
    this.view.hidden = false;
    document.title = "Health · kinestream";
    this.build();
    this.draw();
    this.request();
  }

  request() { this.ask({ see: "health", streamer: this.chosen }); }

  hide() {
    this.isShown = false;
    this.view.hidden = true;
  }

  restart() { if (this.isShown) this.request(); }

  recolour() { if (this.isShown) { this.build(); this.draw(); } }

  take(message) {
    for (const [name, values] of Object.entries(message.columns)) {
      const known = message.anew ? [] : this.columns[name] ?? [];
      this.columns[name] = [...known, ...values].slice(-KEPT);
    }
    this.streamer = message.streamer;
    this.losses = message.losses;
    this.streamers = message.streamers;
    this.shown = message.shown;
    if (this.isShown) this.draw();
  }

  build() {
    for (const { chart } of this.charts) chart.destroy();
    const token = activities.tokens();
    const font = "12px Inter, system-ui, sans-serif";
    const cards = [];
    this.charts = CHARTS.map((about) => {
      const card = document.createElement("section"), title = document.createElement("h2"), keys = document.createElement("p");
      card.className = "card";
      keys.className = "keys";
      title.textContent = about.title;
      const figures = about.lines.map(([, name, tone]) => {
        const key = document.createElement("span"), figure = document.createElement("b");
        key.style.setProperty("--tone", token(tone));
        key.append(name, figure);
        keys.append(key);
        return figure;
      });
      const holder = document.createElement("div");
      holder.setAttribute("role", "img");
      holder.setAttribute("aria-label", `${about.title}, over the last half hour`);
      card.append(title, keys, holder);
      cards.push(card);
      return { about, card, holder, figures };
    });
    find("charts").replaceChildren(...cards);
    for (const each of this.charts) {
      const axis = { stroke: token("quiet"), font, grid: { stroke: token("line"), width: 1 }, ticks: { show: false } };
      each.chart = new globalThis.uPlot({
        width: Math.max(each.holder.clientWidth, 200),
        height: 160,
        padding: [10, 24, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: true },
          y: each.about.log ? { distr: 3, range: (chart, least, most) => logRange(least, most) } : { range: (chart, least, most) => [0, Math.max(most * 1.15, each.about.least ?? 1)] },
        },
        axes: [
          { ...axis, grid: { show: false }, size: 30, space: 72, values: (chart, splits) => times(splits) },
          { ...axis, size: GUTTER, gap: 6, space: 34, ...(each.about.log ? { splits: (chart, at, least, most) => powers(least, most) } : {}), values: (chart, splits) => splits.map((v) => (v === null ? "" : tick(v, each.about))) },
        ],
        series: [{}, ...each.about.lines.map(([, , tone], at) => ({ stroke: token(tone), width: at === 0 ? 1.8 : 1.3, points: { show: false }, spanGaps: false }))],
      }, [[], ...each.about.lines.map(() => [])], each.holder);
    }
  }

  draw() {
    const t = (this.columns.t ?? []).map((ms) => ms / 1000);
    for (const { about, chart, figures } of this.charts) {
      const lines = about.lines.map(([name]) => (this.columns[name] ?? []).map((v) => (about.log && v !== null && v <= 0 ? null : v)));
      chart.setData([t, ...lines]);
      about.lines.forEach((line, at) => write(figures[at], about.text(lines[at][lines[at].length - 1])));
    }
    this.writeStreamers();
    this.writeVitals();
    this.writeLosses();
    this.writeAbout();
  }

  newest(name) {
    const known = this.columns[name] ?? [];
    return known.length ? known[known.length - 1] : null;
  }

  // A fleet's streamers, each a button that shows it.
  writeStreamers() {
    const list = find("streamers");
    list.hidden = this.streamers.length === 0;
    this.view.classList.toggle("off", this.streamers.some((each) => each.name === this.shown && !each.connected)); // figures of before
    if (list.children.length !== this.streamers.length) {
      list.replaceChildren(...this.streamers.map(() => {
        const button = document.createElement("button");
        button.type = "button";
        button.append(document.createElement("span"), document.createElement("small"));
        return button;
      }));
    }
    this.streamers.forEach((each, at) => {
      const button = list.children[at];
      button.dataset.name = each.name;
      button.setAttribute("aria-pressed", String(each.name === this.shown));
      button.classList.toggle("off", !each.connected);
      button.title = each.trouble;
      write(button.firstElementChild, each.name);
      write(button.lastElementChild, fares(each));
    });
  }

  writeVitals() {
    const known = this.streamer;
    pairs(find("vitals"), [
      ["running for", known ? duration(known.uptime_s) : "–"],
      ["streams", known ? count(known.streams) : "–"],
      ["labels a second", short(this.newest("labels"))],
      ["latency p99", milliseconds(this.newest("source_published_p99"))],
      ["processors", this.newest("cpu") === null ? "–" : this.newest("cpu").toFixed(2)],
      ["memory", bytes(this.newest("memory_bytes"))],
    ]);
  }

  writeLosses() {
    const lost = Object.entries(this.losses ?? {});
    pairs(find("losses"), lost.length ? lost.map(([name, n]) => [inWords(name), count(n)]) : [["nothing so far", ""]]);
  }

  writeAbout() {
    const known = this.streamer;
    if (!known) return pairs(find("about"), [["no status has come yet", ""]]);
    const connections = Object.entries(known.connections).map(([what, n]) => `${what} ${count(n)}`).join(", ");
    pairs(find("about"), [
      ["bundle", known.bundle], ["engine", known.engine], ["version", known.version], ["labels so far", count(known.labels)], ["connections", connections],
      ["events", Object.entries(known.events).map(([what, n]) => `${what} ${count(n)}`).join(", ") || "none"],
    ]);
  }
}

// How a streamer fares, in a line.
function fares(each) {
  if (!each.connected) return `${each.state === "away" ? "away" : "disconnected"} for ${duration(each.since_s)}`;
  const told = [each.state === "draining" && "draining", each.streams !== null && `${count(each.streams)} streams`, each.p99_ms !== null && each.p99_ms !== undefined && `p99 ${milliseconds(each.p99_ms)}`];
  return told.filter(Boolean).join(" · ") || "connected";
}

function pairs(list, told) {
  if (list.children.length !== told.length) {
    list.replaceChildren(...told.map(() => {
      const line = document.createElement("div");
      line.append(document.createElement("dt"), document.createElement("dd"));
      return line;
    }));
  }
  told.forEach(([name, value], at) => {
    write(list.children[at].firstElementChild, name);
    write(list.children[at].lastElementChild, value);
  });
}

// A counter's name as words: windows_skipped_overload is "windows skipped: overload".
function inWords(name) {
  const [things, what, ...why] = name.split("_");
  return `${things} ${what ?? ""}${why.length ? `: ${why.join(" ")}` : ""}`;
}

// Minutes where there are many, seconds where there are few.
function times(splits) {
  const told = splits.filter((s) => s !== null);
  const isShort = told.length > 1 && told[1] - told[0] < 60;
  return splits.map((s) => (s === null ? "" : new Date(s * 1000).toTimeString().slice(0, isShort ? 8 : 5)));
}

function powers(least, most) {
  const found = [];
  for (let power = Math.ceil(Math.log10(least) - 1e-9); power <= Math.log10(most) + 1e-9; power += 1) found.push(10 ** power);
  return found;
}

function logRange(least, most) {
  if (least === null || most === null || most <= 0) return [0.01, 10];
  return [10 ** Math.floor(Math.log10(Math.max(least, 1e-3))), 10 ** Math.ceil(Math.log10(most * 1.05))];
}

function tick(value, about) {
  if (about.log) return `${+value.toPrecision(1)} ms`;
  return about.text === milliseconds ? milliseconds(value) : about.text === bytes ? bytes(value) : short(value);
}
