// One stream: signal, labels, truth and events on one axis of time, live or at a moment.

import * as activities from "./activities.js";
import { drawLanes, gutter, RIGHT } from "./lanes.js";
import { Plots } from "./plots.js";
import { Saying } from "./saying.js";
import { clock, clockAndTenths, span as spanText, write } from "./words.js";

const SPANS_MS = [2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 1.2e5, 3e5, 6e5, 1.2e6];
const BEHIND_MS = 200; // readings come in bursts: what is drawn lags a little, so that it flows
const FRAME_MS = 33;
const ASK_MS = 150;
const EVENTS = 60;

const find = (id) => document.getElementById(id);

export class Stream {
  constructor(ask, send, link) {
    this.ask = ask;
    this.link = link; // makes the address of a moment
    this.view = find("stream");
    this.scene = find("scene");
    this.plots = new Plots(find("plots"));
    this.isShown = false;
    this.probs = new Map();
    this.saying = new Saying(send, () => (this.offset === null ? null : performance.now() + this.offset));
    this.listen();
    this.forget();
  }

  forget() {
    this.labels = [];
    this.annotations = [];
    this.activities = [];
    this.marks = [];
    this.edge = 0;
    this.offset = null;
    this.strideMs = 0;
    this.begins = null;
    this.newest = [];
    this.channels = null;
    this.seen = null;
    this.drawnAt = 0;
    this.plots.clear();
    this.plots.base = 0;
  }

  listen() {
    find("pause").addEventListener("click", () => this.toggle());
    find("earlier").addEventListener("click", () => this.pan(-0.5));
    find("later").addEventListener("click", () => this.pan(0.5));
    find("closer").addEventListener("click", () => this.zoom(-1));
    find("farther").addEventListener("click", () => this.zoom(1));
    find("link").addEventListener("click", () => this.copy());
    find("events").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.look(Number(button.dataset.at) + this.span / 2);
    });
    find("channels").addEventListener("change", () => this.choose());
    document.addEventListener("click", (event) => { if (!find("channels").contains(event.target)) find("channels").open = false; });
    addEventListener("keydown", (event) => this.press(event));
    addEventListener("resize", () => { if (this.isShown) { this.plots.resize(); this.request(); this.drawnAt = 0; } });
    this.scene.addEventListener("pointerdown", (event) => this.grab(event));
    this.scene.addEventListener("pointermove", (event) => this.point(event));
    this.scene.addEventListener("pointerup", () => { this.grabbed = null; this.scene.classList.remove("dragging"); });
    this.scene.addEventListener("pointercancel", () => { this.grabbed = null; this.scene.classList.remove("dragging"); });
    this.scene.addEventListener("pointerleave", () => { this.hair = null; find("hair").hidden = true; this.drawnAt = 0; });
    this.scene.addEventListener("wheel", (event) => {
      if (event.ctrlKey) { event.preventDefault(); this.zoom(Math.sign(event.deltaY)); }
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); this.pan(event.deltaX / this.width); }
    }, { passive: false });
  }

  show(name, { until = 0, span = 30000 } = {}) {
    const isOther = name !== this.name;
    this.name = name;
    this.until = until;
    this.span = Math.min(Math.max(span, SPANS_MS[0]), SPANS_MS[SPANS_MS.length - 1]);
    if (isOther) this.forget();
    this.view.hidden = false;
    document.title = `${name} · kinestream`;
    write(find("stream-name"), name);
    write(find("stream-activity"), "–");
    write(find("stream-p"), "");
    write(find("stream-streamer"), "");
    write(find("stream-problem"), "");
    find("events").replaceChildren();
    find("devices").replaceChildren();
    this.say("Loading…");
    this.saying.show(name);
    this.controls();
    this.request();
    this.isShown = true;
    this.plots.resize();
    if (!this.isLooping) this.frame();
  }

  hide() {
    this.isShown = false;
    this.view.hidden = true;
  }

  restart() { if (this.isShown) this.request(); }

  recolour() { this.plots.resize(); this.probs.clear(); find("probs").replaceChildren(); this.drawnAt = 0; }

  request() {
    clearTimeout(this.asking);
    const points = Math.min(Math.max(Math.round(this.width), 200), 2400);
    this.ask({ see: "stream", stream: this.name, span_ms: Math.round(this.span), until_ms: Math.round(this.until), points, channels: this.channels });
  }

  later() {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.request(), ASK_MS);
  }

  get width() { return Math.max(this.scene.clientWidth - gutter() - RIGHT, 100); }

  take(message) {
    if (message.stream !== this.name || !this.isShown) return;
    if (message.unknown) {
      this.say("This stream is not known here: it has not been heard since the dashboard was started, or its name is another. It shows as soon as it is heard.");
      return;
    }
    const [, , state, activity, p, since, , , , , devices, severity, problem, , streamer] = message.seen;
    write(find("stream-streamer"), streamer ? `at ${streamer}` : "");
    this.seen = { state, activity, p };
    this.head(state, activity, p, since, severity, problem);
    this.showDevices(devices, message.rates ?? this.rates ?? {});
    this.rates = message.rates ?? this.rates;
    if (message.edge === undefined) return;
    if (message.edge > this.edge || this.offset === null) {
      const offset = message.edge - performance.now();
      const isNear = this.offset !== null && Math.abs(offset - this.offset) < 1500;
      this.offset = isNear ? this.offset + (offset > this.offset ? 0.2 : 0.03) * (offset - this.offset) : offset;
      this.edge = message.edge;
    }
    this.strideMs = message.stride_ms;
    this.begins = message.begins;
    if (message.anew) { this.labels = []; this.marks = []; this.annotations = []; this.activities = []; }
    this.labels.push(...message.labels);
    this.annotations.push(...message.annotations);
    this.marks.push(...message.marks);
    this.goOn(message.activities);
    this.newest = message.probs;
    this.plots.take(message.signals, message.anew, Math.max(500, (6 * this.span) / this.width));
    if (message.anew || Object.values(message.signals).some((each) => each.all)) this.listChannels();
    if (message.anew || message.marks.length) this.listEvents();
    if (!this.until) this.trim();
    this.say(this.plots.isEmpty ? this.whyNoSignal(state) : "");
    this.drawnAt = 0;
  }

  // The newest activities are told again as they go on.
  goOn(told) {
    for (const each of told) {
      const at = this.activities.findIndex(([begin, , number]) => begin === each[0] && number === each[2]);
      if (at >= 0) this.activities[at] = each;
      else this.activities.push(each);
    }
    if (this.activities.length > 600) this.activities.splice(0, 300);
  }

  whyNoSignal(state) {
    if (this.noRoom) return "Signals of other streams are being looked at already, as many as there is room for: close another page.";
    if (this.until) return "No signal is kept of this time: it is had only while somebody looks at a stream.";
    return state === "live" ? "Waiting for readings…" : "No readings come.";
  }

  trim() {
    const before = this.edge - 1.3 * this.span - 5000;
    if (this.labels.length && this.labels[0][0] < before - 10000) this.labels = this.labels.filter(([t]) => t >= before);
    this.plots.trim(before);
  }

  head(state, activity, p, since, severity, problem) {
    const name = activities.nameOf(activity);
    const isDoing = state === "live";
    write(find("stream-activity"), isDoing || state === "silent" ? name || "–" : { waiting: "Waiting", refused: "Refused", ended: "Ended" }[state]);
    write(find("stream-p"), isDoing && name ? `${p}%` : "");
    find("doing").firstElementChild.style.background = isDoing && name ? activities.colourOf(activity) : "";
    const line = find("stream-problem");
    line.dataset.severity = String(severity);
    const words = { waiting: "Accepted: its first window is not complete yet.", ended: "Its session has ended.", silent: "", refused: "", live: "" };
    write(line, problem ? problem[0].toUpperCase() + problem.slice(1) : words[state] ?? "");
  }

  showDevices(devices, rates) {
    const key = JSON.stringify([devices, Object.entries(rates).map(([name, [hz, of]]) => [name, Math.round(hz * 5), of])]);
    if (key === this.devicesKey && find("devices").children.length === devices.length) return;
    this.devicesKey = key;
    find("devices").replaceChildren(...devices.map(([name, state]) => {
      const line = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      const [hz, of] = rates[name] ?? [-1, 0];
      const delivers = hz >= 0 ? `${hz.toFixed(1)}${of ? ` of ${+of.toFixed(1)}` : ""} Hz` : "all there";
      dd.textContent = state || delivers;
      dd.className = state === "silent" || state === "frozen" ? "bad" : state ? "note" : "";
      line.append(dt, dd);
      return line;
    }));
  }

  listEvents() {
    const events = this.marks.slice(-EVENTS).reverse();
    find("events").replaceChildren(...events.map(([t, , text]) => {
      const item = document.createElement("li"), button = document.createElement("button");
      const when = document.createElement("time"), what = document.createElement("span");
      button.type = "button";
      button.dataset.at = String(t);
      when.textContent = clock(t);
      what.textContent = text;
      button.append(when, what);
      item.append(button);
      return item;
    }));
  }

  listChannels() {
    const choices = [];
    for (const [device, each] of this.plots.devices) {
      const title = document.createElement("strong");
      title.textContent = device;
      choices.push(title);
      each.all.forEach(([name, unit], column) => {
        const label = document.createElement("label"), box = document.createElement("input");
        box.type = "checkbox";
        box.checked = each.shown.includes(column);
        box.dataset.device = device;
        box.dataset.channel = name;
        label.append(box, unit ? `${name} (${unit})` : name);
        choices.push(label);
      });
    }
    const key = JSON.stringify([...this.plots.devices].map(([device, each]) => [device, each.all]));
    const holder = find("channels").querySelector(".choices");
    find("channels").hidden = choices.length === 0;
    if (key === holder.dataset.key) return;
    holder.dataset.key = key;
    holder.replaceChildren(...choices);
  }

  choose() {
    const chosen = {};
    for (const box of find("channels").querySelectorAll("input")) {
      (chosen[box.dataset.device] ??= []);
      if (box.checked) chosen[box.dataset.device].push(box.dataset.channel);
    }
    this.channels = chosen;
    this.request();
  }

  say(text) {
    const line = find("no-signal");
    write(line, text);
    line.hidden = !text;
  }

  // Time -----------------------------------------------------------------------------------------------------------

  get end() { return this.until || (this.offset === null ? Date.now() : performance.now() + this.offset - BEHIND_MS); }

  toggle() {
    if (this.until) this.look(0);
    else this.look(this.end);
  }

  look(until) {
    const isLive = !until || (this.edge && until >= this.edge + this.span);
    this.until = isLive ? 0 : Math.round(until);
    this.controls();
    this.request();
    this.drawnAt = 0;
  }

  pan(share) {
    const until = Math.min(this.end + share * this.span, this.edge || Infinity);
    this.until = Math.round(Math.max(until, (this.begins ?? 0) + 0.2 * this.span));
    this.controls();
    this.later();
    this.drawnAt = 0;
  }

  zoom(step) {
    const at = SPANS_MS.findIndex((each) => each >= this.span);
    const span = SPANS_MS[Math.min(Math.max((at < 0 ? SPANS_MS.length - 1 : at) + step, 0), SPANS_MS.length - 1)];
    if (span === this.span) return;
    if (this.until) this.until = Math.round(Math.min(this.until + (span - this.span) / 2, this.edge));
    this.span = span;
    this.controls();
    this.later();
    this.drawnAt = 0;
  }

  controls() {
    const isPaused = this.until > 0;
    const button = find("pause");
    button.setAttribute("aria-pressed", String(isPaused));
    write(button.querySelector("span"), isPaused ? "Live" : "Pause");
    button.querySelector("path").setAttribute("d", isPaused ? "M6 4.5v11l9-5.5z" : "M6 4v12M14 4v12");
    find("later").disabled = !isPaused;
    find("closer").disabled = this.span <= SPANS_MS[0];
    find("farther").disabled = this.span >= SPANS_MS[SPANS_MS.length - 1];
    write(find("span"), spanText(this.span));
  }

  press(event) {
    if (!this.isShown || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const onButton = event.target.matches("button, summary, a");
    const acts = {
      " ": onButton ? null : () => this.toggle(), ArrowLeft: () => this.pan(-0.1), ArrowRight: () => this.pan(0.1), End: () => this.look(0),
      "+": () => this.zoom(-1), "=": () => this.zoom(-1), "-": () => this.zoom(1),
    };
    const act = acts[event.key];
    if (act) { event.preventDefault(); act(); }
  }

  grab(event) {
    if (event.button !== 0) return;
    this.grabbed = { x: event.clientX, until: this.end, moved: false };
  }

  point(event) {
    if (this.grabbed && event.buttons) {
      const by = event.clientX - this.grabbed.x;
      if (this.grabbed.moved || Math.abs(by) > 4) {
        if (!this.grabbed.moved) { this.scene.setPointerCapture(event.pointerId); this.scene.classList.add("dragging"); }
        this.grabbed.moved = true;
        this.until = Math.round(Math.min(this.grabbed.until - (by / this.width) * this.span, this.edge || Infinity));
        this.controls();
        this.later();
        this.drawnAt = 0;
        return;
      }
    }
    const x = event.clientX - this.scene.getBoundingClientRect().left;
    this.hair = x >= gutter() && x <= gutter() + this.width ? x : null;
    find("hair").hidden = this.hair === null;
    this.drawnAt = 0;
  }

  async copy() {
    const address = this.link(this.name, Math.round(this.end), this.span);
    const button = find("link");
    try {
      await navigator.clipboard.writeText(address);
      write(button, "Copied");
    } catch {
      history.replaceState(null, "", address);
      write(button, "In the address bar");
    }
    setTimeout(() => write(button, "Copy link"), 2500);
  }

  // Drawing --------------------------------------------------------------------------------------------------------

  frame() {
    this.isLooping = this.isShown;
    if (!this.isShown) return;
    const now = performance.now();
    const isMoving = !this.until;
    const every = matchMedia("(prefers-reduced-motion: reduce)").matches ? 500 : FRAME_MS;
    if (!document.hidden && (this.drawnAt === 0 || (isMoving && now - this.drawnAt >= every))) { this.drawnAt = now; this.draw(); }
    requestAnimationFrame(() => this.frame());
  }

  draw() {
    const to = this.end, from = to - this.span;
    this.plots.draw(from, to);
    drawLanes(find("lanes"), this, from, to);
    let at = null;
    if (this.hair !== null && this.hair !== undefined) {
      at = from + ((this.hair - gutter()) / this.width) * this.span;
      this.showHair(at);
    }
    this.showProbs(at ?? (this.until ? to : null));
  }

  labelAt(moment) { // the first window that ended there or later, if it is the one that tells of this moment
    const label = this.labels.find(([t]) => t >= moment);
    return label && label[0] - (this.strideMs || 500) * 1.5 <= moment ? label : null;
  }

  showHair(moment) {
    const hair = find("hair"), label = this.labelAt(moment);
    hair.style.left = `${this.hair}px`;
    hair.classList.toggle("left", this.hair > this.width * 0.7);
    const words = label ? ` · ${activities.nameOf(label[1])} ${Math.max(...label[2], 0)}%` : "";
    write(hair.firstElementChild, `${clockAndTenths(moment)}${words}`);
  }

  showProbs(moment) {
    const label = moment === null ? null : this.labelAt(moment) ?? (this.until && moment >= this.until ? this.labels[this.labels.length - 1] : null);
    const probs = moment === null ? this.newest : label?.[2] ?? [];
    const numbers = activities.bundle();
    if (numbers.length !== this.probs.size || this.colours !== activities.version()) this.makeProbs(numbers);
    write(find("probs-title"), moment === null ? "Probabilities now" : `Probabilities at ${clockAndTenths(moment)}`);
    const most = Math.max(...probs, 0);
    numbers.forEach((number, place) => {
      const line = this.probs.get(number), p = probs[place] ?? 0;
      write(line.dd, probs.length ? `${p}%` : "–");
      line.bar.style.transform = `scaleX(${p / 100})`;
      line.element.classList.toggle("top", p === most && p > 0);
    });
  }

  makeProbs(numbers) {
    this.saying.build();
    this.colours = activities.version();
    this.probs.clear();
    const lines = numbers.map((number) => {
      const element = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
      const holder = document.createElement("dd"), bar = document.createElement("span");
      holder.className = "bar";
      holder.setAttribute("aria-hidden", "true");
      bar.style.background = activities.colourOf(number);
      holder.append(bar);
      dt.textContent = activities.nameOf(number);
      element.append(dt, dd, holder);
      this.probs.set(number, { element, dd, bar });
      return element;
    });
    find("probs").replaceChildren(...lines);
  }
}

