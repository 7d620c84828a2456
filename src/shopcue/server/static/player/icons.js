/** The player's few signs, drawn on a grid of 24; their words stand beside them, so they are hidden from readers. */
import { html } from "../vendor/htm-preact.js";

const STROKES = {
  play: "M8 5.5v13l10.5-6.5z", pause: "M8.5 5.5v13M15.5 5.5v13", replay: "M5 12a7 7 0 1 0 2.2-5.1M5 4v4h4",
  sound: "M4 9.5v5h3.5l4.5 4v-13l-4.5 4zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11",
  silent: "M4 9.5v5h3.5l4.5 4v-13l-4.5 4zM16 9.5l5 5M21 9.5l-5 5",
  share: "M12 15V4M8 7.5 12 3.5l4 4M6 12.5v6.5a1 1 0 0 0 1 1h10a1 1 0 0 0 1-1v-6.5",
  bag: "M5.5 8.5h13l1 11.5h-15zM9 8.5V7a3 3 0 0 1 6 0v1.5", close: "M6 6l12 12M18 6 6 18",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5", small: "M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5",
  out: "M9.5 5H5v14h14v-4.5M13.5 4.5h6v6M19 5l-8.5 8.5", gone: "M4 6h10v12H4zM14 10.5l6-3v9l-6-3M3 3l18 18",
};
const FILLED = new Set(["play"]);

/** A sign by its name. */
export function Icon({ name }) {
  return html`<svg class=${`icon${FILLED.has(name) ? " filled" : ""}`} viewBox="0 0 24 24" aria-hidden="true"><path d=${STROKES[name]} /></svg>`;
}
