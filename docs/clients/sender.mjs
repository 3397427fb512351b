// Sends rows of comma-separated numbers to a kinestream streamer, and prints the labels that come back.
//
//     npm ci
//     cat /dev/ttyUSB0 | node sender.mjs 192.168.1.20 5570 5572 5571 ben 50 acc_x:m/s2,acc_y:m/s2,acc_z:m/s2
//
// docs/wire.md says what the messages mean. The `zeromq` package connects, and connects again, by itself.

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Push, Subscriber } from "zeromq";

const USAGE = `usage: node sender.mjs [-p] [-w SECONDS] HOST SAMPLES CONTROL LABELS STREAM RATE NAME[:UNIT],... < rows
  HOST SAMPLES CONTROL LABELS  the streamer's address and ports, usually 127.0.0.1 5570 5572 5571
  -p  pace the rows at RATE, rows a second, instead of sending them as they come
  -w  look for a streamer so long before giving up (10)`;
const DESCRIBE_MS = 2000; // how often the description is repeated
const ASK_MS = 200; // the same until it has been answered

const BIG = { useBigInt64: true }; // keys and times have more bits than a Number

// ---- Messages of a sender ------------------------------------------------------------------------------------------

function describeMessage({ stream, key, session, rate, channels }) {
  const about = { v: 2n, kind: "describe", stream, device: "sensor", key, session, origin: 0n };
  // A BigInt is written as an int, and so a Number always as a float, even 50.
  return encode({ ...about, rate_hz: rate, timing: "grid", channels }, { ...BIG, forceIntegerToFloat: true });
}

/** Readings of equal width, of which `seq` numbers the first; the last was taken at `t`, Unix ns, a BigInt. */
function samplesMessage(key, seq, t, rows) {
  const message = Buffer.alloc(32 + 4 * rows.length * rows[0].length);
  message.write("KS\x02\x01", "latin1");
  message.writeUInt32LE(rows.length, 4);
  message.writeBigUInt64LE(key, 8);
  message.writeBigUInt64LE(BigInt(seq), 16);
  message.writeBigInt64LE(t, 24);
  rows.flat().forEach((value, i) => message.writeFloatLE(value, 32 + 4 * i));
  return message;
}

const endMessage = (key) => encode({ v: 2, kind: "end", key }, BIG);

// ---- The program ---------------------------------------------------------------------------------------------------

const say = (line) => process.stderr.write(`sender: ${printable(line)}\n`);

function fail(line) {
  say(line);
  process.exit(2);
}

/** Text from outside as it may be printed: nothing that a terminal would obey. */
const printable = (text) => text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");

const unixNs = () => BigInt(Date.now()) * 1_000_000n;

function readArguments() {
  let given;
  try {
    const options = { pace: { type: "boolean", short: "p" }, wait: { type: "string", short: "w", default: "10" } };
    given = parseArgs({ options, allowPositionals: true });
  } catch {
    given = { positionals: [] };
  }
  const giveUpMs = 1000 * Number(given.values?.wait);
  if (given.positionals.length !== 7 || !(giveUpMs > 0)) {
    console.error(USAGE);
    process.exit(2);
  }
  const [host, samples, control, labels, stream, rate, columns] = given.positionals;
  for (const port of [samples, control, labels]) {
    if (!/^\d+$/.test(port) || +port < 1 || +port > 65535) fail(`${port} is no port`);
  }
  if (!/^[\w.:@+-]{1,64}$/.test(stream)) fail(`${stream} is no name of a stream: use letters, digits and _ . : @ + -`);
  if (!(Number(rate) > 0 && Number(rate) < 1e9)) fail(`${rate} is no number of rows a second`);
  const channels = columns.split(",").map((column) => {
    const [, name, unit] = column.match(/^(.*?)(?::([^:]*))?$/);
    return { name, unit: unit ?? "" };
  });
  if (channels.some(({ name, unit }) => !name || name.length > 64 || unit.length > 64)) {
    fail("a column has a name of 1 to 64 letters, and a unit of as many at most");
  }
  const address = (port) => `tcp://${host}:${port}`;
  const addresses = { samples: address(samples), control: address(control), labels: address(labels) };
  return { addresses, stream, rate: Number(rate), channels, paced: given.values.pace, giveUpMs };
}

const NO_READING = /^([+-]?(nan|inf|infinity))?$/i;

/** Return the numbers of a row, NaN for none, or null where it is no row of so many. */
function readRow(line, width) {
  const fields = line.split(",").map((field) => field.trim());
  const row = fields.map((field) => (NO_READING.test(field) ? NaN : Number(field)));
  const readable = row.every((value, i) => !Number.isNaN(value) || NO_READING.test(fields[i]));
  return readable && row.length === width ? row : null;
}

/** Return the map of a message; an empty one where it is none, which is passed over. */
function read(frame) {
  try {
    const content = decode(frame, BIG);
    return content?.constructor === Object ? content : {};
  } catch {
    return {};
  }
}

/** Print a label: window, class, its probability, first and last sample, the probability of every class. */
function printLabel({ window, label, p, first_seq, last_seq, probs }) {
  if (typeof label !== "string" || !(probs instanceof Uint8Array)) {
    say("passed over a label that cannot be read");
    return;
  }
  const view = new DataView(probs.buffer, probs.byteOffset, probs.byteLength);
  const each = Array.from({ length: probs.byteLength / 4 }, (_, i) => +view.getFloat32(4 * i, true).toPrecision(9));
  const line = [window, printable(label), p, first_seq, last_seq, each.join(" ")].join("\t");
  process.stdout.write(`${line}\n`);
}

class Sender {
  admitted = false; // the stream is accepted
  heard = false; // that was published, and reached us: so its labels do
  ending = false; // the end was sent
  ended = false; // and confirmed
  unread = 0; // rows before the first that could be read

  constructor(given) {
    Object.assign(this, given);
    this.key = randomBytes(8).readBigUInt64LE();
    this.session = unixNs();
    this.description = describeMessage(this);
    // What waits in a socket is lost when the program ends: nothing does once the end has been confirmed.
    this.samples = new Push({ linger: 0 }); // where the streamer is too slow or away, `send` waits
    this.control = new Dealer({ linger: 0 });
    this.labels = new Subscriber({ linger: 0 });
    this.labels.subscribe(`label/${this.stream}/`, `event/${this.stream}/`); // labels first
    for (const name of ["labels", "control", "samples"]) this[name].connect(this.addresses[name]);
    this.posted = Promise.resolve();
    this.asked = null;
    this.samples.events.on("disconnect", () => {
      if (this.ending) fail("the connection broke before the last labels came");
      say("lost the streamer: connecting again");
      this.attached = this.attach();
    });
  }

  /** Send to the samples endpoint; a socket takes one message after the other. */
  post(message) {
    this.posted = this.posted.then(() => this.samples.send(message));
    return this.posted;
  }

  describe() {
    this.post(this.description);
    this.asked ??= this.control.send(this.description).finally(() => (this.asked = null));
  }

  async takeAnswers() {
    for await (const frames of this.control) {
      const { kind, key, reason } = read(frames.at(-1));
      if (`${key}` !== `${this.key}`) continue; // a small number is none of BigInt's
      if (kind === "refused") fail(`the streamer refuses stream ${this.stream}: ${reason}`);
      if (kind === "accepted") this.admitted = true;
    }
  }

  async takeLabels() {
    for await (const frames of this.labels) {
      const content = read(frames.at(-1));
      if (content.kind === "label") printLabel(content);
      else if (content.event === "accepted") this.heard = true;
      else if (this.ending && content.event === "end" && `${content.session}` === `${this.session}`) this.ended = true;
      else if (content.kind === "event" && this.admitted) {
        // Before, it is a refusal of ours, which is answered as well, or another sender's.
        say(`event ${content.event}${content.reason ? `: ${content.reason}` : ""}`);
      }
    }
  }

  /** Describe the stream until both answers are there: that it is taken, and that its labels reach us. */
  async attach() {
    const until = performance.now() + this.giveUpMs;
    this.admitted = this.heard = false;
    while (!(this.admitted && this.heard)) {
      if (performance.now() > until) {
        const where = Object.values(this.addresses).join(", ");
        const advice = "start one with 'kinestream serve BUNDLE'";
        fail(`no streamer answered at ${where} within ${this.giveUpMs / 1000} s: ${advice}`);
      }
      this.describe();
      await sleep(ASK_MS);
    }
  }

  /** Send every row of standard input. One that cannot be read counts as lost, once the first has been read. */
  async sendRows() {
    let seq = 0;
    const began = performance.now();
    for await (const line of createInterface({ input: process.stdin })) {
      if (!line.trim()) continue;
      const row = readRow(line, this.channels.length);
      if (row === null && seq === 0) {
        this.reportUnread(line); // a serial line's first row is rarely whole
        continue;
      }
      if (this.paced) await sleep(Math.max(began + (1000 * seq) / this.rate - performance.now(), 0));
      await this.attached;
      if (row) await this.post(samplesMessage(this.key, seq, unixNs(), [row]));
      else say(`reading ${seq} cannot be read as ${this.channels.length} numbers: it counts as lost`);
      seq += 1;
    }
    if (seq === 0 && this.unread) {
      const advice = `write ${this.channels.length} numbers with commas between them`;
      fail(`none of ${this.unread} rows could be read: ${advice}`);
    }
  }

  /** Say of the first row, if it cannot be read, what is wrong with it; a header with the columns' names is not. */
  reportUnread(line) {
    this.unread += 1;
    const fields = line.split(",").length;
    if (this.unread > 1 || fields === this.channels.length) return;
    const found = `${fields} field${fields === 1 ? "" : "s"}`;
    say(`row 1 is left out: it has ${found}, not ${this.channels.length} numbers with commas between them`);
  }

  async end() {
    this.ending = true;
    this.post(endMessage(this.key));
    const until = performance.now() + this.giveUpMs;
    while (!this.ended) {
      if (performance.now() > until) fail(`the end was not confirmed within ${this.giveUpMs / 1000} s`);
      await sleep(20);
    }
  }

  async run() {
    this.takeAnswers();
    this.takeLabels();
    this.attached = this.attach();
    await this.attached;
    const describing = setInterval(() => this.describe(), DESCRIBE_MS);
    await this.sendRows();
    await this.end();
    clearInterval(describing);
    for (const socket of [this.samples, this.control, this.labels]) socket.close();
  }
}

process.stdout.on("error", () => fail("nobody reads the labels any more"));
await new Sender(readArguments()).run();
