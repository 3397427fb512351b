// The last minutes of a stream in cells of a second, and how they are drawn.

import { colourOf, NOTHING, prepared, SKIPPED } from "./activities.js";

const KEPT = 300;

export class Cells {
  constructor() {
    this.end = 0; // the second after the newest
    this.cells = new Uint8Array(KEPT);
  }

  // Takes cells from the second `first` on; the newest one known may be told again.
  take([first, cells]) {
    const end = first + cells.length;
    if (end - this.end > KEPT || first > this.end) this.cells.fill(NOTHING);
    for (let at = 0; at < cells.length; at += 1) this.cells[(first + at) % KEPT] = cells[at];
    this.end = Math.max(this.end, end);
  }

  // Draws the `seconds` before `now`, a Unix second with its fraction; the newest cell goes on to now where it is live.
  draw(canvas, now, seconds, isLive, quiet) {
    const { context, width, height } = prepared(canvas);
    const perSecond = width / seconds;
    const begin = Math.max(Math.floor(now - seconds), this.end - KEPT);
    let second = begin;
    while (second < this.end) {
      const value = this.cells[second % KEPT];
      let next = second + 1;
      while (next < this.end && this.cells[next % KEPT] === value) next += 1;
      if (value !== NOTHING) {
        const until = next === this.end && isLive ? Math.max(next, now) : next;
        const x = width - (now - second) * perSecond;
        const w = (until - second) * perSecond;
        if (value === SKIPPED) {
          context.fillStyle = quiet;
          for (let line = x; line < x + w; line += 4) context.fillRect(line, 0, 1.2, height);
        } else {
          context.fillStyle = colourOf(value);
          context.fillRect(x, 0, w + 0.35, height);
        }
      }
      second = next;
    }
  }
}
