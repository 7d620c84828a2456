/** The keys of the lab, in one table: what the page does and what its help says cannot differ. */
import { html } from "../vendor/htm-preact.js";
import { Dialog } from "../js/ui.js";

const KEYS = [
  ["play", [" "], "Play or pause"],
  ["momentBack", ["ArrowLeft"], "The moment before: the one that was looked at"],
  ["momentOn", ["ArrowRight"], "The next moment"],
  ["frameBack", [","], "One frame of the video back"],
  ["frameOn", ["."], "One frame of the video on"],
  ["back", ["Shift+ArrowLeft", "j"], "Five seconds back"],
  ["on", ["Shift+ArrowRight", "l"], "Five seconds on"],
  ["pickBack", ["["], "The pick before (of the chosen tracklet)"],
  ["pickOn", ["]"], "The next pick"],
  ["all", ["a"], "All detections, or only what is followed"],
  ["trails", ["t"], "Trails"],
  ["names", ["n"], "Names"],
  ["zoomIn", ["+", "="], "A shorter timeline"],
  ["zoomOut", ["-", "_"], "A longer timeline"],
  ["release", ["Escape"], "Choose nothing"],
  ["help", ["?"], "These keys"],
];
const ACTS = new Map(KEYS.flatMap(([act, keys]) => keys.map((key) => [key, act])));
const NAMES = { " ": "space", ArrowLeft: "←", ArrowRight: "→", "Shift+ArrowLeft": "⇧ ←", "Shift+ArrowRight": "⇧ →", Escape: "esc" };

/** What a key press asks for, or undefined. */
export function actOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return ACTS.get(event.shiftKey && key.startsWith("Arrow") ? `Shift+${key}` : key);
}

const shown = (keys) => keys.filter((key) => key !== "=" && key !== "_"); // the same keys without the shift

export const Help = ({ onClose }) => html`<${Dialog} title="Keys" reading onClose=${onClose}>
  <dl class="keys">${KEYS.map(([, keys, meaning]) => html`<div key=${meaning}>
    <dt>${shown(keys).map((key) => html`<kbd key=${key}>${NAMES[key] ?? key}</kbd> `)}</dt><dd>${meaning}</dd></div>`)}</dl><//>`;
