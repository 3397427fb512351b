// The signal: a plot for each quantity of each device, scrolling.

import * as activities from "./activities.js";
import { gutter, RIGHT } from "./lanes.js";

const MOST_LINES = 6; // in a plot
const AXES = /^(?:(.*?)[\s_.:-])?([xyzw]|\d{1,3})$/i;
const CAMEL = /^(.*[a-z])([XYZW]|\d{1,3})$/;

// Gathers channels that belong together: x, y and z of a quantity, in one unit.
function groupsOf(device, channels) {
  const groups = [];
  for (const [column, [name, unit]] of channels) {
    const parts = AXES.exec(name) ?? CAMEL.exec(name);
    const title = parts ? parts[1] || device : name;
    const last = groups[groups.length - 1];
    const line = { column, name: parts ? parts[2] : name };
    if (last && parts && last.title === title && last.unit === unit && last.lines.length < MOST_LINES) last.lines.push(line);
    else groups.push({ title, unit, lines: [line] });
  }
  return groups;
}

export class Plots {
  constructor(element) {
    this.element = element;
    this.devices = new Map(); // by name: its channels, which of them are shown, and what was told of them
    this.plots = [];
    this.base = 0; // ms: what times are told from, so that single precision would do
    this.built = "";
  }

  clear() {
    this.devices.clear();
    this.build();
  }

  get isEmpty() { return ![...this.devices.values()].some((each) => each.t.length); }

  take(signals, anew, holeMs) {
    if (anew) {
      for (const name of this.devices.keys()) if (!(name in signals)) this.devices.delete(name);
    }
    for (const [name, told] of Object.entries(signals)) {
      let device = this.devices.get(name);
      if (told.all || !device) {
        device = { all: told.all ?? [], shown: told.shown ?? [], t: [], y: (told.shown ?? []).map(() => []) };
        this.devices.set(name, device);
      }
      if (!this.base && told.t.length) this.base = told.t[0];
      for (let at = 0; at < told.t.length; at += 1) {
        const t = told.t[at] - this.base, before = device.t[device.t.length - 1];
        if (before !== undefined && t <= before) continue;
        if (before !== undefined && t - before > holeMs) { device.t.push(before + 1); for (const y of device.y) y.push(null); }
        device.t.push(t);
        for (let line = 0; line < device.y.length; line += 1) device.y[line].push(told.y[line][at]);
      }
      device.fresh = true;
    }
    this.build();
  }

  // Forgets what lies before a moment, once it is much.
  trim(moment) {
    for (const device of this.devices.values()) {
      const until = moment - this.base;
      if (!device.t.length || device.t[0] > until - 5000) continue;
      let count = 0;
      while (count < device.t.length && device.t[count] < until) count += 1;
      device.t.splice(0, count);
      for (const y of device.y) y.splice(0, count);
      device.fresh = true;
    }
  }

  build() {
    const about = JSON.stringify([...this.devices].map(([name, each]) => [name, each.all, each.shown]));
    const key = `${about}${activities.isDark()}${gutter()}`;
    if (key === this.built) return;
    this.built = key;
    for (const plot of this.plots) plot.chart.destroy();
    this.plots = [];
    this.element.replaceChildren();
    const groups = [...this.devices].flatMap(([name, device]) => {
      const channels = device.shown.map((column) => [device.shown.indexOf(column), device.all[column]]);
      return groupsOf(name, channels).map((group) => ({ ...group, device: name }));
    });
    const room = Math.max(innerHeight - 480, 280);
    this.height = Math.round(Math.min(Math.max(room / Math.max(groups.length, 1), 76), 240));
    for (const group of groups) this.add(group);
  }

  add(group) {
    const token = activities.tokens();
    const holder = document.createElement("div");
    holder.className = "plot";
    const caption = document.createElement("p");
    caption.className = "caption";
    const title = document.createElement("b");
    title.textContent = this.devices.size > 1 && !group.title.startsWith(group.device) ? `${group.device} ${group.title}` : group.title;
    caption.append(title);
    if (group.unit) caption.append(group.unit);
    const lines = group.lines.map((line, at) => ({ ...line, tone: token(`line-${(at % 6) + 1}`) }));
    for (const line of lines.length > 1 ? lines : []) {
      const key = document.createElement("i");
      key.style.setProperty("--tone", line.tone);
      key.textContent = line.name;
      caption.append(key);
    }
    holder.append(caption);
    this.element.append(holder);
    const plot = { device: group.device, lines, from: 0, to: 1, low: null, high: null };
    const range = (chart, least, most) => {
      if (least === null || most === null) return [plot.low ?? -1, plot.high ?? 1];
      const pad = Math.max((most - least) * 0.12, Math.abs(most) * 0.01, 1e-6);
      const low = least - pad, high = most + pad;
      // It opens at once and closes slowly, so that lines do not jump.
      plot.low = plot.low === null || low < plot.low ? low : plot.low + 0.04 * (low - plot.low);
      plot.high = plot.high === null || high > plot.high ? high : plot.high + 0.04 * (high - plot.high);
      return [plot.low, plot.high];
    };
    const font = "12px Inter, system-ui, sans-serif";
    plot.chart = new globalThis.uPlot({
      width: Math.max(this.element.clientWidth, 200),
      height: this.height,
      padding: [18, RIGHT, 4, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: () => [plot.from, plot.to] }, y: { range } },
      axes: [
        { show: false },
        { size: gutter(), gap: 8, stroke: token("quiet"), font, ticks: { show: false }, grid: { stroke: token("line"), width: 1 }, space: 34, values: (chart, splits) => splits.map(figure) },
      ],
      series: [{}, ...lines.map((line) => ({ stroke: line.tone, width: 1.4, points: { show: false } }))],
    }, [[], ...lines.map(() => [])], holder);
    this.plots.push(plot);
    const device = this.devices.get(group.device);
    device.fresh = true;
  }

  resize() {
    this.built = "";
    this.build();
  }

  draw(from, to) {
    for (const plot of this.plots) {
      const device = this.devices.get(plot.device);
      if (!device) continue;
      plot.from = from - this.base;
      plot.to = to - this.base;
      plot.chart.batch(() => {
        plot.chart.setData([device.t, ...plot.lines.map((line) => device.y[line.column])], false);
        plot.chart.setScale("x", { min: plot.from, max: plot.to });
      });
    }
  }
}

const figure = (value) => (value === null ? "" : Math.abs(value) >= 1e5 ? value.toExponential(0) : String(+value.toPrecision(4)));
