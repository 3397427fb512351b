"use strict";
// Makes this phone a sensor: its motion goes to the bridge over a websocket, the recognised activity comes back.

const SEND_EVERY_MS = 100;
const LONGEST_WAIT_MS = 10000; // what is read while the bridge cannot be reached is kept for so long
const SILENT_MS = 2500;
const GRAVITY_SIGN = isApple() ? -1 : 1; // Apple's browsers point acceleration the other way than the standard says

const OFFLINE = "This phone is offline: connect it to the network of the bridge. Readings of the last 10 s are kept.";

const about = JSON.parse(document.body.dataset.about);
const show = Object.fromEntries(
  ["stream", "which", "device", "label", "probability", "state", "start", "figures", "rate", "sent", "waiting"]
    .map((id) => [id, document.getElementById(id)]),
);
let waiting = [];
let sent = 0;
let socket = null;
let running = false;
let heardAt = 0;
let startedAt = 0;
let recent = [];
let lock = null;
let retryMs = 500;

show.stream.textContent = about.stream;
for (const name of about.devices) show.device.add(new Option(name, name));
show.which.hidden = about.devices.length < 2;
const asked = new URLSearchParams(location.search).get("device");
if (about.devices.includes(asked)) show.device.value = asked;
show.start.addEventListener("click", () => (running ? stop() : start()));
document.addEventListener("visibilitychange", () => { if (running && !document.hidden) stayAwake(); });
window.addEventListener("offline", () => { if (running) say("bad", OFFLINE); });
window.addEventListener("online", () => { if (running) connect(); });
if (!window.isSecureContext) {
  say("bad", "Browsers hand out motion sensors on HTTPS only: open this page with https://, or let the bridge serve it so (server: {https: true}).");
  show.start.disabled = true;
} else if (!("DeviceMotionEvent" in window)) {
  say("bad", "This browser hands out no motion sensors: open the page on a phone, in Chrome, Firefox or Safari.");
  show.start.disabled = true;
}

async function start() {
  // Safari asks, and only when a finger is on the button; the others hand the sensors out by themselves.
  if (typeof DeviceMotionEvent.requestPermission === "function") {
    let answer = "denied";
    try { answer = await DeviceMotionEvent.requestPermission(); } catch { /* it was not a tap */ }
    if (answer !== "granted") return refused();
  }
  if (await isDenied()) return refused();
  running = true;
  heardAt = 0;
  startedAt = performance.now();
  show.start.textContent = "Stop";
  show.device.disabled = true;
  show.figures.hidden = false;
  say("", "Waiting for the sensor…");
  window.addEventListener("devicemotion", read);
  connect();
  stayAwake();
}

function stop() {
  running = false;
  window.removeEventListener("devicemotion", read);
  flush();
  if (socket) socket.close();
  if (lock) lock.release().catch(() => {});
  lock = null;
  show.start.textContent = "Start";
  show.device.disabled = false;
  show.label.textContent = "–";
  show.probability.textContent = "";
  say("", "Stopped.");
}

function refused() {
  say("bad", "Motion sensors are not allowed for this page: allow them in the browser's settings for this site (Safari: close the page and open it again), then press Start.");
}

async function isDenied() {
  if (!navigator.permissions) return false;
  for (const name of ["accelerometer", "gyroscope"]) {
    try {
      if ((await navigator.permissions.query({ name })).state === "denied") return true;
    } catch { /* this browser knows no such permission */ }
  }
  return false;
}

function read(event) {
  const time = Math.round((performance.timeOrigin + event.timeStamp) * 1e6);
  const now = performance.now();
  const total = event.accelerationIncludingGravity;
  const linear = event.acceleration;
  const turn = event.rotationRate;
  let any = false;
  if (total && total.x !== null) any = add("totalacceleration", time, total.x * GRAVITY_SIGN, total.y * GRAVITY_SIGN, total.z * GRAVITY_SIGN);
  if (linear && linear.x !== null) any = add("accelerometer", time, linear.x * GRAVITY_SIGN, linear.y * GRAVITY_SIGN, linear.z * GRAVITY_SIGN);
  // Whatever their names say: browsers put the rates about x, y and z here, in this order, in degrees.
  if (turn && turn.alpha !== null) any = add("gyroscope", time, turn.alpha * Math.PI / 180, turn.beta * Math.PI / 180, turn.gamma * Math.PI / 180);
  if (!any) return;
  heardAt = now;
  recent.push(now);
  while (recent.length && now - recent[0] > 3000) recent.shift();
  const oldest = (Date.now() - LONGEST_WAIT_MS) * 1e6;
  let drop = 0;
  while (drop < waiting.length && waiting[drop].time < oldest) drop += 1;
  if (drop) waiting.splice(0, drop);
}

function add(name, time, x, y, z) {
  waiting.push({ name, time, values: { x, y, z } });
  return true;
}

function connect() {
  if (!running || (socket && socket.readyState <= WebSocket.OPEN)) return;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const base = location.pathname.replace(/[^/]*$/, "");
  const own = new WebSocket(`${scheme}//${location.host}${base}live/${encodeURIComponent(show.device.value)}`);
  socket = own;
  own.onopen = () => { retryMs = 500; };
  own.onmessage = (message) => {
    const said = JSON.parse(message.data);
    if (said.refused) say("bad", `The bridge refuses what this phone sends: ${said.refused}`);
    if (said.label) {
      show.label.textContent = said.label;
      show.probability.textContent = `${Math.round(said.p * 100)} %`;
    }
  };
  own.onclose = () => {
    if (socket === own) socket = null;
    if (!running) return;
    show.label.textContent = "–";
    show.probability.textContent = "";
    say("bad", navigator.onLine
      ? "The bridge does not answer: is it still running, and is this phone in its network? Trying again; readings of the last 10 s are kept."
      : OFFLINE);
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 2, 5000);
  };
}

function flush() {
  if (!waiting.length || !socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > 262144) return;
  const batch = waiting.splice(0, 3000);
  // Times are beyond what a double holds exactly in ns: they are whole microseconds, written out.
  const payload = batch.map((each) => `{"name":"${each.name}","time":${Math.round(each.time / 1000)}000,"values":${JSON.stringify(each.values)}}`);
  socket.send(`{"payload":[${payload.join(",")}]}`);
  sent += batch.length;
}

setInterval(() => {
  if (!running) return;
  flush();
  show.sent.textContent = sent.toLocaleString("en");
  show.waiting.textContent = waiting.length.toLocaleString("en");
  const span = recent.length > 1 ? recent[recent.length - 1] - recent[0] : 0;
  show.rate.textContent = span ? Math.round((recent.length - 1) * 1000 / span) : "–";
  const open = socket && socket.readyState === WebSocket.OPEN;
  if (!navigator.onLine) {
    say("bad", OFFLINE); // a socket may look open for long after the network has gone
  } else if (open && !heardAt && performance.now() - startedAt > SILENT_MS) {
    say("bad", "No readings come from this device: it may have no motion sensor, or the browser holds it back (allow motion sensors in its settings).");
  } else if (open && heardAt && performance.now() - heardAt > SILENT_MS) {
    say("bad", "The sensor has stopped: keep this page in front, with the screen on.");
  } else if (open && heardAt && !show.state.textContent.startsWith("The bridge refuses")) {
    say("good", lock ? "Sending. The screen stays on." : "Sending. Keep the screen on and this page in front.");
  }
}, SEND_EVERY_MS);

async function stayAwake() {
  if (!("wakeLock" in navigator)) return;
  try {
    lock = await navigator.wakeLock.request("screen");
    lock.addEventListener("release", () => { lock = null; });
  } catch { lock = null; } // low battery: the line above says what to do
}

function say(kind, text) {
  if (show.state.textContent === text) return;
  show.state.dataset.kind = kind;
  show.state.textContent = text;
}

function isApple() {
  return /iPad|iPhone|iPod/.test(navigator.userAgent) || (navigator.platform === "MacIntel" && navigator.maxTouchPoints > 1);
}
