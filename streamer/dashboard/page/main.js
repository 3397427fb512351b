// What is shown: the view that the address names, the connection, and what is in the way.

import { adopt } from "./activities.js";
import { HealthView } from "./health.js";
import { Live } from "./live.js";
import { Stream } from "./stream.js";
import { Streams } from "./streams.js";
import { duration, write } from "./words.js";

const LATE_S = 2.5; // past that it is told that what is shown is late
const find = (id) => document.getElementById(id);
const ask = (content) => live.ask(content);
const streams = new Streams(ask);
const stream = new Stream(ask, (content) => live.send(content), addressOf);
const health = new HealthView(ask);
const views = { streams, stream, health };
let shown = null;
let state = null;
let reason = "";
let isOpen = null; // not known yet
let openedBefore = false;

const live = new Live(hear, changed);

function hear(message) {
  switch (message.t) {
    case "state":
      state = message;
      stream.noRoom = message.no_room;
      streams.takeState(message);
      showRecording(message.recording, message.recording?.said);
      tell();
      break;
    case "classes":
      adopt(message);
      streams.recolour();
      if (shown === "stream") stream.drawnAt = 0;
      break;
    case "streams": if (shown === "streams") streams.take(message); break;
    case "stream": if (shown === "stream") stream.take(message); break;
    case "done":
      if (message.do === "annotate") stream.saying.done(message.wrong);
      else if (message.wrong) showRecording(state?.recording, message.wrong);
      break;
    case "health": health.take(message); break;
  }
}

function changed(open, why) {
  const isNew = isOpen !== open;
  isOpen = open;
  reason = why;
  if (open && isNew) {
    if (openedBefore) for (const view of Object.values(views)) view.restart(); // it may be another dashboard by now
    openedBefore = true;
  }
  tell();
}

// By how much what is shown may be late: as the dashboard says, and as it has said nothing.
function lateS() {
  return Math.max(state.behind_s, live.silentS());
}

// Says whether what is shown is live, and if not, what to do.
function tell() {
  const dot = find("connection");
  const notice = find("notice");
  let kind = "", title = "", text = "", word = "Live";
  if (isOpen === null) word = "Connecting";
  else if (!isOpen) {
    [kind, word, title] = ["bad", "Disconnected", "The dashboard does not answer."];
    text = reason || "What you see is what was known last. Is kinestream dashboard still running, and does its machine have a processor left for it (--priority low)? This page connects again by itself.";
  } else if (state && !state.connected) {
    const fleet = state.directory;
    [kind, word, title] = ["bad", "No streamer", "No streamer answers."];
    if (!fleet) text = `Nobody has published at ${state.labels} for ${duration(state.since_s)}. Start one with “kinestream serve BUNDLE”, or name its address with --labels. This page goes on by itself.`;
    else if (fleet.answers) text = `The directory at ${fleet.address} tells of none that can be reached. “kinestream fleet status” says how they are. This page goes on by itself.`;
    else {
      [word, title] = ["No directory", "No directory of a fleet answers."];
      text = `Nobody has answered at ${fleet.address} for ${duration(fleet.since_s)}. Start the fleet with “kinestream fleet up FLEET.yaml”, or name its directory's address with --fleet. This page goes on by itself.`;
    }
  } else if (state && lateS() >= LATE_S) {
    [kind, word, title] = ["note", "Late", `What you see is up to ${duration(lateS())} late.`];
    text = "The dashboard does not keep up: other programs have its processors, or there are too many streams for it. “kinestream dashboard --priority low” has a share of its own, and labels may wait for it.";
  } else if (state?.directory && !state.directory.answers) {
    [kind, title] = ["note", "The fleet's directory does not answer."];
    text = `It was heard of last ${duration(state.directory.since_s)} ago, at ${state.directory.address}. Streams go on where they were; who joins or leaves is not seen until it is back.`;
  } else if (state?.absent.length) {
    [kind, title] = ["note", `${state.absent.join(", ")} ${state.absent.length > 1 ? "are" : "is"} disconnected.`];
    text = "Streams are shown again when it is back, or when they have gone to another streamer. “kinestream fleet status” says how it is.";
  } else if (!state) word = "Connecting";
  write(find("connection-text"), word);
  dot.dataset.state = kind === "bad" ? "lost" : word === "Live" ? "live" : "";
  document.body.classList.toggle("lost", kind === "bad");
  notice.dataset.kind = kind;
  write(find("notice-title"), title);
  write(find("notice-text"), text);
  notice.hidden = !title;
}

// Where recordings can be begun: whether one is, for how long, and what went wrong with the last.
function showRecording(recording, wrong) {
  const button = find("record");
  button.hidden = !recording;
  if (!recording) return;
  const isOn = recording.for_s !== null;
  button.setAttribute("aria-pressed", String(isOn));
  button.title = wrong || `Recordings go to ${recording.to}`;
  write(find("record-text"), isOn ? duration(recording.for_s) : wrong ? "Failed" : "Record");
}

function addressOf(name, until, span) {
  const address = new URL(location.href);
  address.hash = `#/stream/${encodeURIComponent(name)}?until=${until}&span=${span}`;
  return address.href;
}

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const asked = new URLSearchParams(query ?? "");
  let [view, name] = path.split("/");
  try { name = decodeURIComponent(name ?? ""); } catch { name = ""; }
  if (!(view in views) || (view === "stream" && !name)) view = "streams";
  if (shown && shown !== view) views[shown].hide();
  const isOther = shown !== null && shown !== view;
  shown = view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view || (view === "stream" && link.dataset.view === "streams")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "stream") {
    const whole = (key) => { const n = Number(asked.get(key)); return Number.isSafeInteger(n) && n > 0 ? n : undefined; };
    stream.show(name, { until: whole("until"), span: whole("span") });
  } else views[view].show();
  if (isOther) { scrollTo(0, 0); find("content").focus({ preventScroll: true }); }
}

function nameTheme() {
  const said = { auto: "as the system has them", light: "light", dark: "dark" }[globalThis.kinestreamTheme.chosen];
  find("theme").setAttribute("aria-label", `Colours: ${said}`);
  find("theme").title = `Colours: ${said}`;
}

find("record").addEventListener("click", () => live.send({ do: find("record").getAttribute("aria-pressed") === "true" ? "stop" : "record" }));
find("theme").addEventListener("click", () => globalThis.kinestreamTheme.next());
addEventListener("theme", () => {
  nameTheme();
  for (const view of Object.values(views)) view.recolour();
});
addEventListener("hashchange", route);
nameTheme();
route();
