/** That a stretch of a stream was not recorded, said for a while to those who wanted to see it. */

import { html } from "../vendor/htm-preact.js";
import { useFleeting } from "./fleeting.js";
import { clock } from "./format.js";
import { Icon } from "./ui.js";

const NOTE_MS = 7000;

/** hole: [start_s, end_s] that the last seek skipped, or null. */
export function HoleNote({ hole }) {
  const told = useFleeting(hole, NOTE_MS);
  return html`<div role="status">${told && html`<p class="stage-note"><${Icon} name="alert" /><span>${clock(told[0])} to ${clock(told[1])} was not recorded. This is the next picture.</span></p>`}</div>`;
}
