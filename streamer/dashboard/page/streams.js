// All streams: rows are drawn only where they are seen, and told in detail only then.

import * as activities from "./activities.js";
import { Cells } from "./cells.js";
import { count, duration, milliseconds, write } from "./words.js";

const FIELDS = ["number", "stream", "state", "activity", "p", "since", "rate", "nominal", "missing", "latency", "devices", "severity", "problem", "annotated", "streamer"];
const BEYOND = 8; // rows that are made above and below those that are seen
const DRAW_MS = 100; // strips move by less than a pixel meanwhile
const DRAW_MANY_MS = 250;
const MOST_ROWS = 200;
const HELD_MS = 5000; // rows keep their places for so long after somebody has moved among them
const FEW = 6, SOME = 14;
const LONG = 12; // letters of an activity that fit in its column at full size
const STATES = { waiting: "waiting for its first window", live: "", silent: "silent", refused: "refused", ended: "ended" };

const find = (id) => document.getElementById(id);

export class Streams {
  constructor(ask) {
    this.ask = ask;
    this.view = find("streams");
    this.table = find("table");
    this.rows = find("rows");
    this.query = { see: "streams", search: "", show: "all", activity: 0, sort: "problems", down: false, first: 0, count: 40, hold: false };
    this.known = new Map(); // what was told of a stream, by its number
    this.cells = new Map();
    this.shown = new Map(); // the row of each stream that has one
    this.spare = [];
    this.order = [];
    this.first = 0;
    this.matching = 0;
    this.total = null;
    this.state = null;
    this.isShown = false;
    this.dirty = false;
    this.drawnAt = 0;
    this.clock = null; // Unix s of the streamer, less that of this page
    this.legend = new Map();
    this.listen();
  }

  listen() {
    const asked = (changes) => { Object.assign(this.query, changes); this.request(true); };
    find("search").addEventListener("input", (event) => { asked({ search: event.target.value.trim(), first: 0 }); scrollTo(0, 0); });
    find("sort").addEventListener("change", (event) => {
      const sort = event.target.value;
      asked({ sort, down: ["missing", "latency"].includes(sort) });
    });
    for (const button of find("shows").children) {
      button.addEventListener("click", () => {
        for (const each of find("shows").children) each.setAttribute("aria-pressed", String(each === button));
        asked({ show: button.dataset.show, first: 0 });
      });
    }
    find("legend").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const number = Number(button.dataset.number);
      asked({ activity: this.query.activity === number ? 0 : number, first: 0 });
      this.mark();
    });
    const hold = (is) => {
      clearTimeout(this.holding);
      if (is) this.holding = setTimeout(() => hold(false), HELD_MS);
      if (this.query.hold === is) return;
      this.query.hold = is;
      if (this.isShown) this.request(true); // else it would undo what another view has asked for
    };
    this.rows.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") hold(true); });
    this.rows.addEventListener("pointerleave", () => hold(false));
    this.rows.addEventListener("focusin", () => hold(true));
    this.rows.addEventListener("keydown", (event) => this.move(event));
    addEventListener("scroll", () => { if (this.isShown) { this.place(); this.request(false); } }, { passive: true });
    addEventListener("resize", () => { if (this.isShown) { this.place(); this.request(false); this.dirty = true; } });
    addEventListener("keydown", (event) => {
      if (!this.isShown || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/" && !event.target.matches("input, select")) { event.preventDefault(); find("search").focus(); }
      if (event.key === "Escape" && event.target === find("search")) { find("search").value = ""; asked({ search: "", first: 0 }); }
    });
  }

  show() {
    this.isShown = true;
    this.view.hidden = false;
    document.title = "Streams · kinestream";
    this.place();
    this.request(true);
    if (!this.isLooping) this.frame();
  }

  hide() {
    this.isShown = false;
    clearTimeout(this.holding);
    this.query.hold = false;
    this.view.hidden = true;
  }

  // Forgets what was told, as when the dashboard has been started again: its numbers may be others.
  restart() {
    this.known.clear();
    this.cells.clear();
    this.order = [];
    for (const row of this.shown.values()) row.remove();
    this.shown.clear();
    if (this.isShown) this.request(true);
  }

  takeState(state) {
    this.state = state;
    this.sayNothing();
  }

  take(message) {
    const now = performance.now();
    for (const fields of message.rows) {
      const seen = Object.fromEntries(FIELDS.map((name, at) => [name, fields[at]]));
      this.known.set(seen.number, seen);
    }
    for (const [number, told] of Object.entries(message.strips)) {
      let cells = this.cells.get(Number(number));
      if (!cells) this.cells.set(Number(number), cells = new Cells());
      cells.take(told);
    }
    if (message.now) {
      const offset = (message.now - now) / 1000;
      this.clock = this.clock === null || Math.abs(offset - this.clock) > 2 ? offset : this.clock + 0.1 * (offset - this.clock);
    }
    this.order = message.order;
    this.first = message.first;
    this.matching = message.matching;
    this.total = message.total;
    for (const number of this.known.keys()) {
      if (!this.order.includes(number)) { this.known.delete(number); this.cells.delete(number); }
    }
    this.count(message);
    this.place();
    this.sayNothing();
    this.dirty = true;
  }

  // Which rows are seen, and room for the others.
  place() {
    const style = getComputedStyle(this.table);
    const height = parseFloat(style.getPropertyValue("--row"));
    const density = this.matching <= FEW ? "few" : this.matching <= SOME ? "some" : "many";
    if (this.table.dataset.density !== density) { this.table.dataset.density = density; return this.place(); }
    this.height = height;
    this.rows.style.height = `${this.matching * height}px`;
    const top = this.rows.getBoundingClientRect().top;
    this.query.first = Math.max(0, Math.min(Math.floor(-top / height) - BEYOND, Math.max(this.matching - 1, 0)));
    this.query.count = Math.min(Math.ceil(innerHeight / height) + 2 * BEYOND, MOST_ROWS);
  }

  request(always) {
    const { first, count } = this.query;
    const far = Math.abs(first - (this.asked ?? -1e9)) > BEYOND / 2 || count !== this.askedCount;
    if (!always && !far) return;
    this.asked = first;
    this.askedCount = count;
    this.ask(this.query);
  }

  count(message) {
    for (const button of find("shows").children) {
      const n = button.dataset.show === "all" ? message.total : message.states[button.dataset.show] ?? 0;
      write(button.querySelector("b"), count(n));
      button.classList.toggle("some", n > 0);
    }
    this.table.setAttribute("aria-rowcount", String(message.matching + 1));
    const doing = new Map(message.activities);
    const numbers = [...new Set([...activities.bundle(), ...doing.keys()])].filter((number) => number > activities.SKIPPED);
    const isNew = numbers.length !== this.legend.size || numbers.some((number) => !this.legend.has(number)) || this.coloured !== activities.version();
    if (isNew) this.makeLegend(numbers);
    let sum = 0;
    for (const number of numbers) {
      const n = doing.get(number) ?? 0;
      sum += n;
      const { share, button } = this.legend.get(number);
      share.style.flexGrow = String(n);
      share.hidden = n === 0;
      write(button.querySelector("b"), count(n));
    }
    const words = numbers.filter((number) => doing.get(number)).map((number) => `${activities.nameOf(number)} ${doing.get(number)}`);
    find("share").setAttribute("aria-label", sum ? `What the streams do now: ${words.join(", ")}` : "No stream does anything now");
  }

  makeLegend(numbers) {
    this.coloured = activities.version();
    this.legend.clear();
    const shares = [], buttons = [];
    for (const number of numbers) {
      const share = document.createElement("span");
      share.style.background = activities.colourOf(number);
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.number = String(number);
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = activities.colourOf(number);
      button.append(swatch, activities.nameOf(number), document.createElement("b"));
      shares.push(share);
      buttons.push(button);
      this.legend.set(number, { share, button });
    }
    find("share").replaceChildren(...shares);
    find("legend").replaceChildren(...buttons);
    this.mark();
  }

  mark() {
    for (const [number, { button }] of this.legend) button.setAttribute("aria-pressed", String(number === this.query.activity));
  }

  recolour() {
    this.coloured = -1;
    for (const row of this.shown.values()) row.colour = null;
    this.dirty = true;
  }

  // Where there is no row: why, and what to do.
  sayNothing() {
    const line = find("nothing");
    const isEmpty = this.matching === 0;
    this.table.hidden = isEmpty;
    line.hidden = !isEmpty;
    if (!isEmpty) return;
    const { search, show, activity } = this.query;
    if (this.total === null || !this.state) write(line, "Loading…");
    else if (this.total > 0 && search) write(line, `No stream's name contains “${search}”.`);
    else if (this.total > 0 && show === "problems") write(line, "No stream has a problem.");
    else if (this.total > 0 && (activity || show !== "all")) write(line, "No stream matches: choose All, and no activity, to see every one.");
    else if (!this.state.connected && this.state.directory) write(line, "Streams will show here as soon as there is a streamer that the fleet's directory tells of.");
    else if (!this.state.connected) write(line, "Streams will show here as soon as there is a streamer.");
    else write(line, "Connected, and waiting for the first stream. Send one with SampleSender or kinestream bridge, or play recordings with kinestream replay.");
  }

  frame() {
    this.isLooping = this.isShown;
    if (!this.isShown) return;
    const now = performance.now();
    if (this.dirty) { this.dirty = false; this.update(); }
    const every = this.shown.size > SOME ? DRAW_MANY_MS : DRAW_MS;
    if (now - this.drawnAt >= every && !document.hidden) { this.drawnAt = now; this.draw(now); }
    requestAnimationFrame(() => this.frame());
  }

  update() {
    const wanted = new Set(this.order.filter((number) => this.known.has(number)));
    for (const [number, row] of this.shown) {
      if (wanted.has(number)) continue;
      this.shown.delete(number);
      if (row.element.contains(document.activeElement)) find("content").focus({ preventScroll: true });
      row.element.hidden = true;
      this.spare.push(row);
    }
    const focused = this.rows.contains(document.activeElement) ? document.activeElement : null;
    let before = null;
    this.order.forEach((number, at) => {
      const seen = this.known.get(number);
      if (!seen) return;
      let row = this.shown.get(number);
      if (!row) {
        row = this.spare.pop() ?? new Row();
        row.element.hidden = false;
        this.shown.set(number, row);
      }
      const next = before ? before.nextSibling : this.rows.firstChild;
      if (next !== row.element) this.rows.insertBefore(row.element, next); // read in the order in which they are seen
      before = row.element;
      row.write(seen, this.first + at, this.height);
    });
    if (focused && document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
  }

  draw(now) {
    if (this.clock === null) return;
    const second = this.clock + now / 1000;
    const narrow = innerWidth <= 980;
    const seconds = narrow ? 90 : 180;
    write(find("ago"), narrow ? "90 s ago" : "3 min ago");
    const quiet = activities.tokens()("faint");
    for (const [number, row] of this.shown) {
      const cells = this.cells.get(number), seen = this.known.get(number);
      if (cells && seen) cells.draw(row.canvas, second, seconds, seen.state === "live", quiet);
    }
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches("a")) return;
    event.preventDefault();
    const row = event.target.closest(".row");
    const links = [...this.rows.querySelectorAll(".row:not([hidden]) a")];
    const next = links[links.indexOf(row.querySelector("a")) + step];
    if (next) { next.focus({ preventScroll: true }); next.closest(".row").scrollIntoView({ block: "nearest" }); }
  }
}

function made(tag, name, role) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (role) element.setAttribute("role", role);
  return element;
}

class Row {
  constructor() {
    this.element = made("div", "row", "row");
    this.name = made("div", "name", "cell");
    this.link = made("a");
    this.more = made("span", "more");
    this.name.append(this.link, this.more);
    this.does = made("div", "does", "cell");
    this.swatch = made("span", "swatch");
    this.activity = made("span", "activity");
    this.p = made("span", "p");
    this.does.append(this.swatch, this.activity, this.p);
    this.strip = made("div", "strip", "cell");
    this.canvas = made("canvas");
    this.canvas.setAttribute("role", "img");
    this.strip.append(this.canvas);
    this.rate = made("div", "number", "cell");
    this.rateOf = document.createElement("small");
    this.rateText = document.createTextNode("");
    this.rate.append(this.rateText, " ", this.rateOf);
    this.missing = made("div", "number", "cell");
    this.latency = made("div", "number", "cell");
    this.element.append(this.name, this.does, this.strip, this.rate, this.missing, this.latency);
    this.colour = null;
  }

  remove() { this.element.remove(); }

  write(seen, index, height) {
    this.element.style.transform = `translateY(${index * height}px)`;
    this.element.setAttribute("aria-rowindex", String(index + 2));
    this.element.dataset.severity = String(seen.severity);
    this.element.classList.toggle("bare", seen.activity === activities.NOTHING);
    this.element.classList.toggle("gone", seen.state !== "live" && seen.state !== "waiting");
    const href = `#/stream/${encodeURIComponent(seen.stream)}`;
    if (this.link.getAttribute("href") !== href) this.link.setAttribute("href", href);
    write(this.link, seen.stream);
    const devices = seen.devices.map(([name, state]) => (state ? `${name}: ${state}` : name)).join(" · ");
    const said = seen.annotated ? `${devices} · said to be ${activities.nameOf(seen.annotated)}` : devices;
    write(this.more, seen.problem || STATES[seen.state] || said);
    this.more.title = [seen.problem || devices, seen.streamer && `at ${seen.streamer}`].filter(Boolean).join(" · ");
    const name = activities.nameOf(seen.activity);
    write(this.activity, name || "–");
    this.activity.classList.toggle("long", name.length > LONG);
    this.activity.title = name;
    write(this.p, name ? `${seen.p}%` : "");
    const isDoing = seen.state === "live";
    const colour = isDoing && name ? activities.colourOf(seen.activity) : "";
    if (this.colour !== colour) { this.colour = colour; this.swatch.style.background = colour; }
    this.canvas.setAttribute("aria-label", name ? `${name} for ${duration(Date.now() / 1000 - seen.since)}` : "no label yet");
    this.rateText.data = seen.rate ? seen.rate.toFixed(1) : "–";
    write(this.rateOf, seen.nominal && seen.rate ? `of ${seen.nominal.toFixed(1)}` : "");
    this.rate.classList.toggle("off", isDoing && seen.nominal > 0 && seen.rate < 0.8 * seen.nominal);
    write(this.missing, name ? `${seen.missing}%` : "–");
    this.missing.classList.toggle("off", seen.missing > 20);
    write(this.latency, name ? milliseconds(seen.latency) : "–");
    this.latency.classList.toggle("off", seen.latency > 2000);
  }
}
