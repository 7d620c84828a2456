/** The keys of the video view, in one table: what the page does and what its help says cannot differ. */

import { html } from "../vendor/htm-preact.js";
import { Dialog } from "../js/ui.js";

export const GROUPS = [
  ["Go", [
    ["next", ["j", "ArrowRight", "ArrowDown"], "Next focus"],
    ["previous", ["k", "ArrowLeft", "ArrowUp"], "Previous focus"],
    ["doubtful", ["n"], "Next doubtful focus"],
    ["play", [" "], "Play or pause"],
    ["frameBack", [","], "One frame back"],
    ["frameOn", ["."], "One frame on"],
    ["back", ["Shift+ArrowLeft"], "Five seconds back"],
    ["on", ["Shift+ArrowRight"], "Five seconds on"],
    ["toStart", ["["], "To the start of the focus"],
    ["toEnd", ["]"], "To the end of the focus"],
    ["live", ["l"], "To the newest moment of a stream"],
    ["mute", ["m"], "Sound on or off"],
  ]],
  ["Decide", [
    ["confirm", ["c"], "Confirm"],
    ["reject", ["x"], "Reject, or restore what was rejected"],
    ["replace", ["r"], "Replace by another product"],
    ["startHere", ["i"], "Start at the playhead"],
    ["endHere", ["o"], "End at the playhead"],
    ["add", ["a"], "Add a focus that was missed"],
    ["undo", ["u"], "Undo"],
  ]],
  ["Timeline", [
    ["zoomIn", ["+", "="], "Zoom in"],
    ["zoomOut", ["-", "_"], "Zoom out"],
    ["zoomAll", ["0"], "Show all"],
    ["help", ["?"], "These keys"],
  ]],
];
const MORE = [
  ["Ctrl + wheel, pinch", "Zoom around the pointer; over the ruler the wheel alone does"],
  ["Shift + wheel, one finger", "Move along the timeline"],
  ["Drag an end", "Move it: it snaps to frames, the playhead and other ends; Alt lets go of them, Esc springs back"],
  ["← → on an end", "Move it by a frame, with Shift by a second"],
];
const NAMES = { " ": "space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
const ACTS = new Map(GROUPS.flatMap(([, rows]) => rows.flatMap(([act, keys]) => keys.map((key) => [key, act]))));

/** What a key press asks for, or undefined. */
export function actOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const shifted = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  return ACTS.get(shifted.length === 1 ? shifted.toLowerCase() : shifted);
}

const Key = ({ name }) => html`<span class="keys">${name.split("+").filter(Boolean).length > 1
  ? name.split("+").map((part) => html`<kbd>${NAMES[part] ?? part}</kbd>`) : html`<kbd>${NAMES[name] ?? name}</kbd>`}</span>`;

export const Help = ({ onClose }) => html`<${Dialog} title="Keys" reading wide onClose=${onClose} class="help">
  <div class="help-groups">${GROUPS.map(([name, rows]) => html`<section><h3>${name}</h3><dl>
    ${rows.map(([, keys, text]) => html`<div><dt>${keys.filter((key) => key !== "=" && key !== "_").map((key) => html`<${Key} name=${key} />`)}</dt><dd>${text}</dd></div>`)}</dl></section>`)}
    <section><h3>Pointer</h3><dl>${MORE.map(([keys, text]) => html`<div class="long"><dt>${keys}</dt><dd>${text}</dd></div>`)}</dl></section></div><//>`;
