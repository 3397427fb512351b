// The activities that have been seen: name and colour by number, as the dashboard numbers them.

export const NOTHING = 0;
export const SKIPPED = 1;

let known = { first: 2, names: [], colours: [], bundle: [] };
let revision = 0;

export function adopt(message) {
  known = message;
  revision += 1;
}

export const version = () => revision;
export const bundle = () => known.bundle;
export const isDark = () => document.documentElement.dataset.theme === "dark";
export const nameOf = (number) => known.names[number - known.first] ?? "";
export const numbers = () => known.names.map((_, place) => place + known.first);

export function colourOf(number) {
  const pair = known.colours[number - known.first];
  return pair ? pair[isDark() ? 1 : 0] : "";
}

// What text in this colour's box reads best in, by WCAG's relative luminance.
export function inkOn(colour) {
  const linear = [1, 3, 5].map((at) => {
    const c = parseInt(colour.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18 ? "#111418" : "#ffffff";
}

export function tokens() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

// Fills a canvas's backing store to its size on the screen; returns its context, in CSS pixels, and that size.
export function prepared(canvas) {
  const scale = Math.min(devicePixelRatio || 1, 3);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const w = Math.max(Math.round(width * scale), 1), h = Math.max(Math.round(height * scale), 1);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
