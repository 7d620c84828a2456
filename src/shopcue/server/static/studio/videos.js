/** The area of recordings: all videos of the shop with their state, and ways to bring a new one in. */

import { html, useCallback, useEffect, useState } from "../vendor/htm-preact.js";
import { get, path, post, query } from "../js/api.js";
import { ago, clock, count, dateTime, host } from "../js/format.js";
import { Dialog, Empty, Failure, Field, Icon, Picture, Progress, Segmented, Skeleton, useLoad } from "../js/ui.js";
import { active, Again, JobLine } from "./jobs.js";
import { addressOf } from "./router.js";
import { DropField, UploadList, usePageDrop } from "./upload-list.js";
import { StateBadge } from "./video-head.js";

const PAGE = 30;
const VIDEO_TYPES = "video/*,.mkv,.ts,.flv,.mov,.webm";

function Reviewed({ counts }) {
  if (!counts?.total) return html`<span class="small muted">No product found</span>`;
  const { total, reviewed, doubtful } = counts;
  return html`<div class="stack tight"><div class="row small"><span class="num">${count(total, "focus", "focuses")}</span>${doubtful > 0 && html`<span class="badge warn">${doubtful} doubtful</span>`}
    <span class="muted num push">${reviewed} reviewed</span></div><${Progress} share=${reviewed / total} label="Reviewed" tone="good" /></div>`;
}

/** A video as a card; the title is the link, the picture goes there too. */
export function VideoCard({ video, shop, writable, onJob, children }) {
  const address = addressOf({ shop, video_id: video.video_id });
  const elsewhere = host(video.playback_url) !== "" && host(video.playback_url) !== host(location.href);
  return html`<li class="video-card card">
    <a class="poster" href=${address} tabindex="-1" aria-hidden="true" data-load=${elsewhere ? "1" : undefined}><${Picture} src=${video.poster} icon="video" />
      ${video.duration_s && html`<span class="length num">${clock(video.duration_s)}</span>`}</a>
    <div class="stack tight">
      <h3><a class="plain clamp" dir="auto" href=${address} data-load=${elsewhere ? "1" : undefined}>${video.title || "Untitled"}</a></h3>
      <div class="row small"><${StateBadge} video=${video} />${video.published && html`<span class="badge accent"><${Icon} name="eye" />Published</span>`}<time class="muted" datetime=${video.created_at} title=${dateTime(video.created_at)}>${ago(video.created_at)}</time></div>
      ${active(video.job) ? html`<${JobLine} job=${video.job} writable=${writable} onJob=${onJob} />`
        : video.state === "failed" ? html`<p class="fault clamp" dir="auto" title=${video.error}>${video.error || video.job?.error}</p>${video.job && writable && html`<${Again} job=${video.job} onJob=${onJob} />`}`
        : video.job?.state === "cancelled" && video.state !== "ready" ? html`<${JobLine} job=${video.job} writable=${writable} onJob=${onJob} />`
        : video.state === "ready" || video.kind === "stream" ? html`<${Reviewed} counts=${video.focuses} />` : null}
      ${children}
    </div></li>`;
}

/** Videos of a kind, page by page, kept up to date by the events of the shop. */
export function useVideos({ shop, kind, state, bus }) {
  const [extra, setExtra] = useState([]);
  const first = useLoad(async (signal) => {
    setExtra([]);
    return get(query(path("/api/shops/{}/videos", shop), { kind, state, limit: PAGE }), { signal });
  }, [shop, kind, state]);
  const [more, setMore] = useState(null);
  useEffect(() => { setMore(first.data?.next ?? null); }, [first.data?.next]);
  const change = useCallback((edit) => { first.setData((data) => data && { ...data, videos: edit(data.videos) }); setExtra(edit); }, []);
  useEffect(() => bus.hear((event) => {
    if (event.type === "reset") first.reload();
    if (event.type === "video.update" || event.type === "stream.update") {
      const known = (first.data?.videos ?? []).concat(extra).some((one) => one.video_id === event.video_id);
      if (known && !event.data?.deleted) change((list) => list.map((one) => (one.video_id === event.video_id ? { ...one, ...event.data, job: event.data.job ?? one.job, focuses: event.data.focuses ?? one.focuses } : one)));
      if (!known || event.data?.deleted || event.data?.state === "ready") first.reload();
    }
    if (event.type === "job.update" && event.data?.video_id) {
      change((list) => list.map((one) => (one.video_id === event.data.video_id ? { ...one, job: { ...one.job, ...event.data } } : one)));
      if (!active(event.data)) first.reload();
    }
    if (event.type === "focuses.put" || event.type === "focus.review") bus.later(`videos ${kind}`, first.reload);
  }), [bus, first.data, extra]);
  const loadMore = async () => {
    const answer = await get(query(path("/api/shops/{}/videos", shop), { kind, state, limit: PAGE, before: more }));
    setExtra((list) => [...list, ...answer.videos]);
    setMore(answer.next);
  };
  return { ...first, videos: [...(first.data?.videos ?? []), ...extra], more, loadMore, change };
}

function NewVideo({ shop, uploads, files, toasts, onClose, onMade }) {
  const [chosen, setChosen] = useState(files);
  const [values, setValues] = useState({ url: "", title: "", speech: "auto", method: "auto" });
  const [beside, setBeside] = useState({});
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const set = (name) => (event) => setValues({ ...values, [name]: event.target.value });
  const byUrl = !chosen.length && values.url.trim();
  const submit = async () => {
    setBusy(true);
    try {
      const then = { make: "video", speech: values.speech, method: values.method };
      for (const [kind, file] of Object.entries(beside)) if (file) then[`${kind}_upload_id`] = await uploads.small(shop, file, kind);
      if (values.title.trim() && chosen.length < 2) then.title = values.title.trim();
      for (const file of chosen) uploads.add(shop, file, "video", then);
      const { make, ...rest } = then;
      if (byUrl) onMade(await post(path("/api/shops/{}/videos", shop), { url: values.url.trim(), ...rest }));
      onClose();
    } catch (failure) { setError(failure); setBusy(false); }
  };
  const one = chosen.length < 2;
  return html`<${Dialog} title="New video" onClose=${onClose} onSubmit=${submit} footer=${html`<button type="button" class="button" onClick=${onClose}>Cancel</button>
    <button type="submit" class="button primary" disabled=${busy || (!chosen.length && !byUrl)}>${chosen.length ? `Upload ${count(chosen.length, "video")}` : "Add video"}</button>`}>
    ${chosen.length ? html`<ul class="stack tight">${chosen.map((file) => html`<li class="row chosen"><${Icon} name="video" /><span class="line" dir="auto">${file.name}</span><button type="button" class="tool small push" aria-label="Leave ${file.name} out" onClick=${() => setChosen(chosen.filter((each) => each !== file))}><${Icon} name="close" /></button></li>`)}</ul>`
      : html`<${DropField} accept=${VIDEO_TYPES} many title="Choose videos" note="MP4, MOV, MKV, WebM or TS, of any length" onFiles=${setChosen} />
        <${Field} label="Or the address of a video" fault=${error?.fields?.url}>${(field) => html`<input class="input" type="url" placeholder="https://" value=${values.url} onInput=${set("url")} ...${field} />`}<//>`}
    ${one && html`<${Field} label="Title" note="Left empty, it is the name of the file." fault=${error?.fields?.title}>${(field) => html`<input class="input" maxlength="300" value=${values.title} onInput=${set("title")} ...${field} />`}<//>`}
    <details class="more"><summary>What goes with it</summary><div class="stack">
      <${Field} label="Speech">${(field) => html`<select class="input" value=${values.speech} disabled=${Boolean(beside.speech)} onChange=${set("speech")} ...${field}><option value="auto">Recognise what is said</option><option value="none">Do not listen</option></select>`}<//>
      ${one && html`<${Field} label="Subtitles instead (WebVTT or SRT)">${(field) => html`<input class="input" type="file" accept=".vtt,.srt" onChange=${(event) => setBeside({ ...beside, speech: event.target.files[0] })} ...${field} />`}<//>
      <${Field} label="Viewers' comments (JSON lines)">${(field) => html`<input class="input" type="file" accept=".jsonl,.ndjson" onChange=${(event) => setBeside({ ...beside, comments: event.target.files[0] })} ...${field} />`}<//>`}
      <${Field} label="Method">${(field) => html`<select class="input" value=${values.method} onChange=${set("method")} ...${field}><option value="auto">Choose for me</option><option value="one-stage">One stage: whole clips</option><option value="two-stage">Two stages: tracked things</option></select>`}<//></div></details>
    ${error && html`<${Failure} error=${error} />`}<//>`;
}

const STATES = [["", "All"], ["matching", "Matching"], ["ready", "Ready"], ["failed", "Failed"]];

export function Videos({ shop, bus, uploads, toasts, can }) {
  const [state, setState] = useState("");
  const [dialog, setDialog] = useState(null);
  const { videos, error, data, reload, more, loadMore, change } = useVideos({ shop, kind: "recording", state, bus });
  const over = usePageDrop((files) => setDialog({ files }), can.write);
  useEffect(() => {
    const heard = (one) => { if (one.shop === shop && one.kind === "video") reload(); };
    uploads.finished.add(heard);
    return () => uploads.finished.delete(heard);
  }, [uploads, shop, reload]);
  const onJob = (job) => change((list) => list.map((one) => (one.video_id === job.video_id ? { ...one, job } : one)));
  return html`<main class="page ${over ? "is-over" : ""}" id="main">
    <div class="page-head"><h1>Videos</h1><${Segmented} label="State" options=${STATES} value=${state} onChange=${setState} />
      ${can.write && html`<button type="button" class="button primary push" onClick=${() => setDialog({ files: [] })}><${Icon} name="upload" />New video</button>`}</div>
    <${UploadList} uploads=${uploads} shop=${shop} kind="video" />
    ${error && html`<${Failure} error=${error} retry=${reload} />`}
    ${!data && !error && html`<div class="video-cards" aria-busy="true">${Array.from({ length: 6 }, () => html`<div class="skeleton card-skeleton"></div>`)}</div>`}
    ${data && !videos.length && html`<${Empty} icon="video" title=${state ? "None of that kind" : "No videos yet"}>
      ${!state && html`<p>Bring in a recording of a show: Shopcue finds which products of the shop are on screen, and when.</p>
      ${can.write && html`<div class="row"><button type="button" class="button primary" onClick=${() => setDialog({ files: [] })}><${Icon} name="upload" />New video</button></div>`}`}<//>`}
    <ul class="video-cards">${videos.map((video) => html`<${VideoCard} key=${video.video_id} video=${video} shop=${shop} writable=${can.write} onJob=${onJob} />`)}</ul>
    ${more && html`<div class="row more-row"><button type="button" class="button" onClick=${() => loadMore().catch((failure) => toasts.fail(failure))}>Show more</button></div>`}
    ${over && html`<div class="drop-veil" aria-hidden="true"><${Icon} name="upload" />Drop videos to upload them</div>`}
    ${dialog && html`<${NewVideo} shop=${shop} uploads=${uploads} files=${dialog.files} toasts=${toasts} onClose=${() => setDialog(null)} onMade=${reload} />`}
  </main>`;
}
