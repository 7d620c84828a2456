/** How a stream fares: quiet while all is well, a line for each trouble while it is not. */

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get, path } from "../js/api.js";
import { bytes, count, percent, span } from "../js/format.js";
import { Icon } from "../js/ui.js";

const MOST_BEHIND_S = 5;
const MOST_DROPPED = 0.01;
const MOST_DEAF_S = 10;

/** A problem as the server says it, without its full stop. */
const plain = (text) => text.trim().replace(/\.$/, "");

/** What is wrong with a stream that is to run: [{ name, text }], the worst first. */
export function troublesOf(video) {
  if (video.kind !== "stream" || !video.wanted) return [];
  const { frames = 0, dropped = 0, behind_s = 0, deaf_s = 0, recording = "" } = video.health ?? {};
  const found = [];
  if (video.state === "reconnecting") found.push({ name: "connection", text: `The stream was lost and is tried again${video.error ? `: ${plain(video.error)}` : ""}.` });
  if (recording && recording !== "on") found.push({ name: "recording", text: `Nothing is recorded: ${plain(recording)}.` });
  if (behind_s > MOST_BEHIND_S) found.push({ name: "behind", text: `What is found comes ${span(behind_s)} late: this machine does not keep up.` });
  const share = dropped / Math.max(frames + dropped, 1);
  if (share > MOST_DROPPED) found.push({ name: "dropped", text: `${percent(share)} of the pictures were left out: this machine does not keep up.` });
  if (deaf_s > MOST_DEAF_S) found.push({ name: "deaf", text: `${span(deaf_s)} of speech could not be listened to.` });
  return found;
}

export const isRecorded = (video) => video.state === "live" && video.health?.recording === "on";

/** What is wrong, above the video. */
export function Troubles({ video }) {
  const troubles = troublesOf(video);
  return html`<div class="troubles" role="status">
    ${troubles.length > 0 && html`<div class="notice warn"><${Icon} name="alert" /><ul>${troubles.map(({ name, text }) => html`<li key=${name} dir="auto">${text}</li>`)}</ul></div>`}</div>`;
}

/** One line for a stream among others. */
export function HealthLine({ video }) {
  const [worst] = troublesOf(video);
  if (worst) return html`<p class="health-line warn small"><${Icon} name="alert" /><span class="clamp" dir="auto" title=${worst.text}>${worst.text}</span></p>`;
  return isRecorded(video) && html`<p class="health-line small muted"><i class="rec"></i>Recording</p>`;
}

/** What is kept of the stream, asked for when somebody looks. */
function Kept({ videoId }) {
  const [kept, setKept] = useState(null);
  useEffect(() => {
    const asked = new AbortController();
    get(path("/api/videos/{}/recording", videoId), { signal: asked.signal }).then(setKept, () => {});
    return () => asked.abort();
  }, [videoId]);
  if (!kept) return null;
  const length_s = kept.spans.reduce((total, [start, end]) => total + end - start, 0);
  return html`<div><dt>Kept</dt><dd class="num">${span(length_s)}, ${bytes(kept.bytes)}</dd></div>`;
}

function Facts({ video }) {
  const { frames, dropped, behind_s, deaf_s, connections, faults, recording } = video.health;
  const awaited = recording === "on" && !isRecorded(video);
  const said = awaited ? "waits for the stream" : recording || (video.recorded ? "off" : "not wished for");
  const facts = [
    ["Pictures looked at", count(frames, "picture")],
    ["Left out", dropped ? `${count(dropped, "picture")} (${percent(dropped / Math.max(frames + dropped, 1))})` : "none"],
    ["Behind the stream", `${behind_s.toFixed(1)} s`],
    ["Speech missed", deaf_s >= 0.05 ? span(deaf_s) : "none"],
    ["Connections", String(connections)],
    ["Faults", String(faults)],
    ["Recording", said],
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd class="num">${value}</dd></div>`)}
    ${video.poster && html`<${Kept} videoId=${video.video_id} />`}</dl>`;
}

/** A small sign beside the stream's name that opens to all figures. */
export function Health({ video }) {
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event) => { if (!box.current?.contains(event.target)) setOpen(false); };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  if (video.kind !== "stream" || !video.health) return null;
  const wrong = troublesOf(video).length > 0;
  const recorded = isRecorded(video);
  const [text, tone] = wrong ? ["Trouble", "warn"] : recorded ? ["Recording", ""] : ["Health", ""];
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    setOpen(false);
    box.current.querySelector("button").focus();
  };
  return html`<div class="health" ref=${box} onKeyDown=${onKeyDown}>
    <button type="button" class="badge ${tone}" aria-expanded=${String(open)} title="How the stream fares" onClick=${() => setOpen(!open)}>
      ${wrong ? html`<${Icon} name="alert" />` : recorded && html`<i class="rec"></i>`}<span class="health-text">${text}</span><${Icon} name="down" /></button>
    ${open && html`<div class="health-box card" role="group" aria-label="How the stream fares"><${Facts} video=${video} /></div>`}
  </div>`;
}
