/** The uploads that are under way, each with its pause and its way on; also the field that takes files by drag and drop. */

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { bytes, span } from "../js/format.js";
import { Icon, Progress, Tool } from "../js/ui.js";

/** The list of uploads, followed. */
export function useUploads(uploads) {
  const [all, setAll] = useState(uploads.all);
  useEffect(() => { setAll([...uploads.all]); return uploads.watch(setAll); }, [uploads]);
  return all;
}

const SAID = { waiting: "waiting", paused: "paused", lost: "choose the file again to go on", finishing: "checking", failed: "failed" };

function UploadRow({ one, uploads }) {
  const input = useRef(null);
  const left = one.rate > 0 ? (one.size - one.offset) / one.rate : NaN;
  const said = SAID[one.state] ?? (Number.isFinite(left) ? `${span(Math.max(1, left))} left` : "sending");
  const again = one.state === "lost" || (one.state === "failed" && !uploads.files.has(one.key));
  return html`<li class="upload card">
    <${Icon} name=${one.kind === "video" ? "video" : "bag"} />
    <div class="stack tight">
      <div class="row"><strong class="line" dir="auto" title=${one.name}>${one.name}</strong><span class="num small muted">${bytes(one.offset)} of ${bytes(one.size)}</span><span class="small muted push">${said}</span></div>
      <${Progress} share=${one.state === "finishing" ? NaN : one.size ? one.offset / one.size : 1} label="Upload of ${one.name}" tone=${one.state === "failed" ? "bad" : ""} />
      ${one.error && html`<p class="fault" role="alert">${one.error}</p>`}
    </div>
    <div class="row">
      ${one.state === "sending" && html`<${Tool} icon="pause" label="Pause" onClick=${() => uploads.pause(one.key)} />`}
      ${(one.state === "paused" || (one.state === "failed" && !again)) && html`<${Tool} icon="play" label="Go on" onClick=${() => uploads.resume(one.key)} />`}
      ${again && html`<input ref=${input} type="file" class="unseen" tabindex="-1" aria-label="The file ${one.name}" onChange=${(event) => { const [file] = event.target.files; if (file) uploads.resume(one.key, file); event.target.value = ""; }} />
        <button type="button" class="button small" onClick=${() => input.current.click()}>Choose file</button>`}
      <${Tool} icon="close" label="Cancel the upload" onClick=${() => uploads.cancel(one.key)} />
    </div></li>`;
}

export function UploadList({ uploads, shop, kind }) {
  const all = useUploads(uploads).filter((one) => one.shop === shop && one.kind === kind && one.state !== "done");
  if (!all.length) return null;
  return html`<ul class="stack uploads" aria-label="Uploads">${all.map((one) => html`<${UploadRow} key=${one.key} one=${one} uploads=${uploads} />`)}</ul>`;
}

/** A field that takes files: by choosing and by dropping. onFiles(files) */
export function DropField({ accept, many = false, onFiles, title, note, disabled = false }) {
  const [over, setOver] = useState(0);
  const input = useRef(null);
  const take = (files) => { if (files.length) onFiles(many ? [...files] : [files[0]]); };
  return html`<div class="drop ${over > 0 ? "is-over" : ""}"
    onDragEnter=${(event) => { event.preventDefault(); setOver((n) => n + 1); }} onDragLeave=${() => setOver((n) => n - 1)} onDragOver=${(event) => event.preventDefault()}
    onDrop=${(event) => { event.preventDefault(); event.stopPropagation(); setOver(0); if (!disabled) take(event.dataTransfer.files); }}>
    <${Icon} name="upload" />
    <div><p><button type="button" class="link" disabled=${disabled} onClick=${() => input.current.click()}>${title}</button> or drop ${many ? "them" : "it"} here</p>${note && html`<p class="small muted">${note}</p>`}</div>
    <input ref=${input} type="file" class="unseen" tabindex="-1" aria-label=${title} accept=${accept} multiple=${many} onChange=${(event) => { take(event.target.files); event.target.value = ""; }} />
  </div>`;
}

/** Takes files that are dropped anywhere on the page; returns whether some hang over it. */
export function usePageDrop(onFiles, active) {
  const [over, setOver] = useState(false);
  const latest = useRef(onFiles);
  latest.current = onFiles;
  useEffect(() => {
    if (!active) return undefined;
    let depth = 0;
    const holds = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const enter = (event) => { if (holds(event)) { depth += 1; setOver(true); } };
    const leave = () => { depth = Math.max(0, depth - 1); if (!depth) setOver(false); };
    const move = (event) => { if (holds(event)) event.preventDefault(); };
    const drop = (event) => {
      depth = 0;
      setOver(false);
      if (event.defaultPrevented || !holds(event)) return;
      event.preventDefault();
      if (!document.querySelector("dialog[open]")) latest.current([...event.dataTransfer.files]);
    };
    const all = [["dragenter", enter], ["dragleave", leave], ["dragover", move], ["drop", drop]];
    for (const [name, listener] of all) addEventListener(name, listener);
    return () => { for (const [name, listener] of all) removeEventListener(name, listener); };
  }, [active]);
  return over;
}
