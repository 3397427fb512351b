// Labels, truth and events below the signal, on the same axis of time.

import * as activities from "./activities.js";
import { clock } from "./words.js";

export const RIGHT = 16;
export const gutter = () => (innerWidth <= 640 ? 58 : 76);
const STEPS_MS = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 1.2e5, 3e5, 6e5, 1.2e6];
const LANES = [["labels", 10, 30], ["activities", 46, 30], ["truth", 82, 30], ["events", 118, 20]];
const AXIS = 144;
const FONT = '12.5px Inter, system-ui, sans-serif';

export function drawLanes(canvas, view, from, to) {
  const { context, width } = activities.prepared(canvas);
  const token = activities.tokens();
  const left = gutter(), right = width - RIGHT;
  const x = (t) => left + ((t - from) / (to - from)) * (right - left);
  const ink = token("ink"), quiet = token("quiet"), line = token("line"), fill = token("fill");
  context.font = FONT;
  context.textBaseline = "middle";
  context.fillStyle = quiet;
  context.textAlign = "right";
  for (const [name, top, height] of LANES) context.fillText(left < 70 && name === "activities" ? "smooth" : name, left - 8, top + height / 2);
  drawAxis(context, x, from, to, left, right, { quiet, line });
  context.save();
  context.beginPath();
  context.rect(left, 0, right - left, AXIS);
  context.clip();
  for (const [name, top, height] of LANES.slice(0, 3)) {
    context.fillStyle = fill;
    context.beginPath();
    context.roundRect(left, top, right - left, height, 5);
    context.fill();
    const runs = name === "labels" ? runsOf(view.labels, view.strideMs, from, to) : name === "truth" ? view.annotations : view.activities;
    for (const run of runs) drawRun(context, run, x, top, height, left, right);
    if (name === "truth" && view.annotations.length === 0) {
      context.fillStyle = quiet;
      context.textAlign = "left";
      context.fillText("nobody has said what it was", left + 10, top + height / 2);
    }
  }
  const [, top, height] = LANES[3];
  for (const [t, kind] of view.marks) {
    if (t < from - 1000 || t > to + 1000) continue;
    const at = x(t);
    context.strokeStyle = ink;
    context.globalAlpha = 0.45;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(at, 0);
    context.lineTo(at, top);
    context.stroke();
    context.globalAlpha = 1;
    context.setLineDash([]);
    context.fillStyle = ["end", "reset", "model", "seam"].includes(kind) ? token("accent") : token("note");
    context.beginPath();
    context.moveTo(at, top + 2);
    context.lineTo(at + 6, top + height / 2);
    context.lineTo(at, top + height - 2);
    context.lineTo(at - 6, top + height / 2);
    context.fill();
  }
  context.restore();
}

// Labels of one activity after another, without a hole, are one run; each label is told of the stride before it.
function runsOf(labels, strideMs, from, to) {
  const stride = strideMs || 500;
  const runs = [];
  for (const [t, number, probs] of labels) {
    if (t < from - stride || t - stride > to) continue;
    const last = runs[runs.length - 1];
    const unsure = Math.max(...probs, 0) < 50;
    if (last && last.number === number && last.unsure === unsure && t - last.end < 1.7 * stride) last.end = t;
    else runs.push({ begin: last && t - stride < last.end ? last.end : t - stride, end: t, number, unsure });
  }
  return runs.map((run) => [run.begin, run.end, run.number, run.unsure]);
}

function drawRun(context, [begin, end, number, unsure], x, top, height, left, right) {
  const x0 = Math.max(x(begin), left - 8), x1 = Math.min(x(end), right + 8);
  if (x1 <= x0) return;
  const colour = activities.colourOf(number);
  context.fillStyle = colour || "#888888";
  context.globalAlpha = unsure ? 0.55 : 1;
  context.fillRect(x0, top, x1 - x0 + 0.3, height);
  context.globalAlpha = 1;
  const name = activities.nameOf(number);
  const begins = Math.max(x0, left) + 8, room = Math.min(x1, right) - begins - 6;
  if (room > 24 && context.measureText(name).width <= room) {
    context.fillStyle = activities.inkOn(colour || "#888888");
    context.textAlign = "left";
    context.fillText(name, begins, top + height / 2 + 0.5);
  }
}

function drawAxis(context, x, from, to, left, right, { quiet, line }) {
  const most = Math.max(Math.floor((right - left) / 92), 2);
  const step = STEPS_MS.find((each) => (to - from) / each <= most) ?? 1.8e6;
  context.strokeStyle = line;
  context.beginPath();
  context.moveTo(left, AXIS + 0.5);
  context.lineTo(right, AXIS + 0.5);
  context.stroke();
  context.fillStyle = quiet;
  context.textAlign = "center";
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
    const at = x(t);
    context.fillRect(at, AXIS, 1, 4);
    if (at < left + 26 || at > right - 26) continue;
    context.fillText(step < 1000 ? `${clock(t)}.${Math.round((t % 1000) / 100)}` : clock(t), at, AXIS + 15);
  }
}
