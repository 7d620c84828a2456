/** The line above a video: its name and state, what can be done with it, and where its focuses can be taken. */

import { html, useState } from "../vendor/htm-preact.js";
import { path, remove } from "../js/api.js";
import { count } from "../js/format.js";
import { Confirm, Icon, Menu, Switch } from "../js/ui.js";
import { EmbedDialog } from "./embed.js";
import { addressOf, go } from "./router.js";

export const STATES = {
  new: ["Waiting", ""], matching: ["Matching", "accent"], ready: ["Ready", "good"], failed: ["Failed", "bad"],
  stopped: ["Stopped", ""], starting: ["Starting", "accent"], live: ["Live", "live"], reconnecting: ["Reconnecting", "warn"],
};
const EXPORTS = [
  ["focuses.json", "JSON, with the evidence"], ["focuses.csv", "CSV, for a spreadsheet"], ["focuses.vtt", "WebVTT cues"],
  ["chapters.txt", "Chapters"], ["report.html", "Report page"],
];

export const StateBadge = ({ video }) => {
  const state = video.wanted && video.state === "stopped" ? "starting" : video.state;
  const [text, tone] = STATES[state] ?? [state, ""];
  return html`<span class="badge ${tone}">${video.state === "live" && html`<${Icon} name="live" />`}${text}</span>`;
};

function Title({ video, writable, onChange }) {
  const [text, setText] = useState(null);
  const done = () => { if (text !== null && text.trim() && text.trim() !== video.title) onChange({ title: text.trim() }); setText(null); };
  if (text === null) {
    return html`<h1 class="line" dir="auto" title=${video.title}>${video.title || "Untitled"}</h1>
      ${writable && html`<button type="button" class="tool small" aria-label="Rename" title="Rename" onClick=${() => setText(video.title)}><${Icon} name="edit" /></button>`}`;
  }
  return html`<input class="input title-input" aria-label="Title" maxlength="300" autofocus ref=${(input) => input && document.activeElement !== input && input.focus()} value=${text}
    onInput=${(event) => setText(event.target.value)} onBlur=${done}
    onKeyDown=${(event) => { if (event.key === "Enter") done(); if (event.key === "Escape") { event.stopPropagation(); setText(null); } }} />`;
}

export function VideoHead({ video, shop, can, online, reviewed, toasts, onChange, onMatch, onRun, onHelp, children }) {
  const [asking, setAsking] = useState("");
  const stream = video.kind === "stream";
  const running = stream && video.wanted;
  const { video_id: id } = video;
  return html`<header class="view-head">
    <a class="tool" href=${addressOf({ shop, area: stream ? "streams" : "videos" })} aria-label=${stream ? "All streams" : "All videos"} title=${stream ? "All streams" : "All videos"}><${Icon} name="back" /></a>
    <div class="view-title"><${Title} video=${video} writable=${can.write} onChange=${onChange} /></div>
    <${StateBadge} video=${video} />${children}
    ${!online && html`<span class="badge warn" role="status"><${Icon} name="alert" />Offline, reconnecting</span>`}
    <div class="row push view-acts">
      ${stream && can.write && html`<button type="button" class="button" onClick=${() => onRun(running ? "stop" : "start")}><${Icon} name=${running ? "stop" : "play"} />${running ? "Stop" : "Start"}</button>`}
      <${Switch} label="Published" checked=${video.published} disabled=${!can.write} onChange=${(published) => onChange({ published })} />
      <${Menu} label="Export" button=${html`<${Icon} name="download" /><span class="wide-only">Export</span>`}>
        ${EXPORTS.map(([name, text]) => html`<a role="menuitem" href=${path(`/api/videos/{}/exports/${name}`, id)} download=${`${name}`}><${Icon} name="download" /><span>${text}<br /><span class="muted small">${name}</span></span></a>`)}
        <hr /><a role="menuitem" href=${path("/api/shops/{}/corrections.jsonl", shop)} download="corrections.jsonl"><${Icon} name="edit" /><span>Corrections of the shop<br /><span class="muted small">corrections.jsonl</span></span></a>
        <a role="menuitem" href=${path("/api/shops/{}/corrections.zip", shop)} download="corrections.zip"><${Icon} name="image" /><span>Corrections with their pictures<br /><span class="muted small">corrections.zip</span></span></a>
      <//>
      <a class="button" href=${path("/play/{}", id)} target="_blank" rel="noopener" aria-disabled=${video.published ? undefined : "true"} title=${video.published ? "Open the shoppers' page" : "Publish the video to see the shoppers' page"}
        onClick=${(event) => { if (!video.published) { event.preventDefault(); toasts.show("Publish the video first: the shoppers' page shows published videos alone"); } }}><${Icon} name="eye" /><span class="wide-only">Player</span></a>
      <${Menu} label="More" class="tool" button=${html`<${Icon} name="more" />`}>
        <button type="button" role="menuitem" onClick=${() => setAsking("embed")}><${Icon} name="code" />Embed in a page</button>
        <a role="menuitem" href=${path("/lab/{}", id)} target="_blank" rel="noopener"><${Icon} name="lab" />Open in the Lab</a>
        <button type="button" role="menuitem" onClick=${onHelp}><${Icon} name="help" />Keys</button>
        ${can.write && html`<hr />${!stream && html`<button type="button" role="menuitem" onClick=${() => (reviewed ? setAsking("match") : onMatch(false))}><${Icon} name="retry" />Match again</button>`}
        <button type="button" role="menuitem" onClick=${() => setAsking("delete")}><${Icon} name="trash" />Delete</button>`}
      <//>
    </div>
    ${asking === "embed" && html`<${EmbedDialog} video=${video} onClose=${() => setAsking("")} />`}
    ${asking === "match" && html`<${Confirm} title="Match again?" action="Match again" onClose=${() => setAsking("")} onConfirm=${() => onMatch(true)}><p>${count(video.focuses?.reviewed ?? 0, "reviewed focus", "reviewed focuses")} of this video will be replaced by what the new run finds.</p><//>`}
    ${asking === "delete" && html`<${Confirm} title="Delete this ${stream ? "stream" : "video"}?" action="Delete" onClose=${() => setAsking("")}
      onConfirm=${async () => { await remove(path("/api/videos/{}", id)); go(addressOf({ shop, area: stream ? "streams" : "videos" })); toasts.show("Deleted"); }}><p>“${video.title}”, its focuses and their review will be gone for good.</p><//>`}
  </header>`;
}
