/** The video view, the heart of the studio: the video, its timeline, the queue and the inspector. */

import { html, useCallback, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { get, patch, path, post } from "../js/api.js";
import { follow } from "../js/events.js";
import { holesOf } from "../js/recorded.js";
import { isOn } from "../js/recording.js";
import { Empty, Failure, Icon, Skeleton, typing, useLoad, useMedia } from "../js/ui.js";
import { Health, Troubles } from "./health.js";
import { Inspector, pictureOf } from "./inspector.js";
import { JobLine } from "./jobs.js";
import { actOf, Help } from "./keys.js";
import { Media } from "./media.js";
import { Palette } from "./palette.js";
import { Queue, queueOf } from "./queue.js";
import { doubtfulFirst, Review } from "./review.js";
import { addressOf } from "./router.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { useLiveClock } from "./live-clock.js";
import { VideoHead } from "./video-head.js";

const ADDED_S = 5;
const RECORDING_MS = 4000; // so often a stream is asked whether its first segment is there
const JUMP_S = 5;

/** The review of a video, loaded and kept up to date by its events. */
function useReview(videoId, toasts, { onVideo, onJob, onEvent }) {
  const review = useMemo(() => new Review(videoId, toasts), [videoId, toasts]);
  const [focuses, setFocuses] = useState([]);
  const [error, setError] = useState(null);
  const [online, setOnline] = useState(true);
  const latest = useRef(null);
  latest.current = { onVideo, onJob, onEvent };
  useEffect(() => {
    const load = () => review.load().then(() => setError(null), setError);
    const unwatch = review.watch(setFocuses);
    const stop = follow(path("/api/videos/{}/events", videoId), {
      rest: true,
      onState: (state) => setOnline(state === "open"),
      onEvent: (event) => {
        latest.current.onEvent(event);
        if (event.type === "reset") { load(); latest.current.onVideo(null); }
        else if (review.receive(event)) return;
        else if (event.type === "video.update" || event.type === "stream.update") latest.current.onVideo(event.data);
        else if (event.type === "job.update") latest.current.onJob(event.data);
      },
    });
    load();
    return () => { unwatch(); stop(); };
  }, [review, videoId]);
  return { review, focuses, error, online };
}

/** Words like the times that a person means: an end before the start is moved with it. */
function movedTimes(focus, change) {
  const start_s = Math.max(0, change.start_s ?? focus.start_s);
  const end_s = change.end_s ?? focus.end_s;
  return { start_s: Math.round(1000 * start_s) / 1000, end_s: Math.round(1000 * Math.max(end_s, start_s + 0.1)) / 1000 };
}

/** What the keys and the buttons do; one object, so that both do the same. */
function useActs({ review, media, focus, queue, focuses, duration, video, choose, open, toasts, control, writable }) {
  const latest = useRef(null);
  latest.current = { focus, queue, focuses, duration, video };
  return useMemo(() => {
    const now = () => latest.current;
    const seek = (time) => media.seek(Math.min(Math.max(time, 0), now().duration));
    const step = (direction) => {
      const { queue: shown, focus: current, focuses: all } = now();
      const list = shown.length ? shown : all;
      const at = list.findIndex((one) => one.focus_id === current?.focus_id);
      if (at >= 0) { if (list[at + direction]) choose(list[at + direction].focus_id); return; }
      const time = current?.start_s ?? media.time;
      const other = direction > 0 ? list.find((one) => one.start_s > time) : list.findLast((one) => one.start_s < time);
      if (other ?? list[0]) choose((other ?? list[0]).focus_id);
    };
    const doubtful = () => {
      const left = doubtfulFirst(now().focuses).filter((one) => one.focus_id !== now().focus?.focus_id && one.end_s !== null);
      if (left.length) choose(left[0].focus_id); else toasts.show("Every focus is reviewed");
    };
    const decide = (action, values) => {
      const { focus: current } = now();
      if (!writable || !current) return;
      const stays = action === "move" || action === "replace" || action === "restore";
      const { queue: shown } = now();
      const at = shown.findIndex((one) => one.focus_id === current.focus_id);
      const following = at >= 0 ? shown[at + 1] : null;
      review.act(current.focus_id, action, values);
      if (!stays && following) choose(following.focus_id);
    };
    const move = (change) => {
      const { focus: current } = now();
      if (!current || current.end_s === null) return;
      if (change.start_s >= current.end_s) { toasts.show("The start must lie before the end", { tone: "bad" }); return; }
      if (change.end_s <= current.start_s) { toasts.show("The end must lie after the start", { tone: "bad" }); return; }
      decide("move", movedTimes(current, change));
    };
    const acts = {
      seek, move,
      next: () => step(1), previous: () => step(-1), doubtful,
      play: () => media.toggle(),
      frameBack: () => media.step(-1), frameOn: () => media.step(1),
      back: () => seek(media.time - JUMP_S), on: () => seek(media.time + JUMP_S),
      toStart: () => now().focus && seek(now().focus.start_s + 0.01),
      toEnd: () => now().focus?.end_s && seek(now().focus.end_s - media.frames.frame_s / 2),
      live: () => now().video && isOn(now().video) && media.recording?.goLive(),
      mute: () => { if (media.element) media.element.muted = !media.element.muted; },
      confirm: () => now().focus?.status !== "rejected" && decide("confirm"),
      reject: () => decide(now().focus?.status === "rejected" ? "restore" : "reject"),
      restore: () => decide("restore"),
      replace: (product) => decide("replace", product),
      pick: () => writable && now().focus && open("replace"),
      startHere: async () => move({ start_s: (await media.frame())[0] }),
      endHere: async () => move({ end_s: (await media.frame())[1] }),
      add: () => writable && open("add"),
      undo: () => writable && review.undo(review.done.length ? undefined : now().focus?.focus_id),
      undoThis: () => review.undo(now().focus?.focus_id),
      zoomIn: () => control.current?.zoomIn(), zoomOut: () => control.current?.zoomOut(), zoomAll: () => control.current?.zoomAll(),
      help: () => open("help"),
      addHere: async (product) => {
        const [start_s] = await media.frame();
        const end_s = Math.min(Math.round(1000 * (start_s + ADDED_S)) / 1000, now().duration);
        const added = await review.add(product, Math.min(start_s, Math.max(0, end_s - 0.1)), end_s);
        if (added) choose(added.focus_id);
      },
    };
    return acts;
  }, [review, media, choose, open, toasts, control, writable]);
}

function useKeys(acts, active) {
  useEffect(() => {
    if (!active) return undefined;
    const press = (event) => {
      if (typing(event) || event.defaultPrevented) return;
      const onControl = event.target.closest?.("button, a, select, [role=slider], summary, input");
      if ((event.key === " " || event.key === "Enter") && onControl && !onControl.closest(".tl-bar, .queue-row, .transport")) return;
      const act = actOf(event);
      if (!act) return;
      event.preventDefault();
      acts[act === "replace" ? "pick" : act]();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [acts, active]);
}

/** What stands over the video while there is nothing to review yet. */
function Waiting({ video, job, writable, onRetry }) {
  if (video.state === "failed") {
    return html`<div class="stage-over"><${Icon} name="alert" /><h2>${video.kind === "stream" ? "The stream failed" : "Matching failed"}</h2>
      <p dir="auto">${video.error || job?.error || "No reason was given."}</p>${writable && video.kind === "recording" && html`<button type="button" class="button primary" onClick=${onRetry}><${Icon} name="retry" />Match again</button>`}</div>`;
  }
  if (job && (job.state === "queued" || job.state === "running")) return html`<div class="stage-job card"><${JobLine} job=${job} writable=${writable} /></div>`;
  return null;
}

/** What is known of a stream's recording: { recorded, onRecording, holes }; holes: the stretches that are missing. */
function useRecorded(video, duration, reload) {
  const [recorded, onRecording] = useState(null);
  const isRecorded = video?.health?.recording === "on";
  const awaited = isRecorded && !video.poster;
  useEffect(() => {
    if (!awaited) return undefined;
    const timer = setInterval(reload, RECORDING_MS);
    return () => clearInterval(timer);
  }, [awaited, reload]);
  // What is being recorded now is in the segment that comes next.
  const end_s = isRecorded && video.state === "live" ? recorded?.end_s : duration;
  const holes = useMemo(() => (recorded?.spans.length ? holesOf(recorded.spans, 0, end_s) : []), [recorded?.spans, end_s]);
  return { recorded, onRecording, holes };
}

export function VideoView({ shop, videoId, toasts, can, onKind }) {
  const phone = useMedia("(max-width: 60rem)");
  const media = useMemo(() => new Media(), [videoId]);
  const control = useRef(null);
  const [chosenId, setChosenId] = useState(null);
  const [dialog, setDialog] = useState(null);
  const [sorting, setSorting] = useState({ order: "doubt", filter: "open" });
  const [tab, setTab] = useState("queue");
  const writable = can.write;
  const { data: video, error, reload, setData } = useLoad((signal) => get(path("/api/videos/{}", videoId), { signal }), [videoId]);
  const { data: words } = useLoad(async (signal) => (video?.state ? get(path("/api/videos/{}/words", videoId), { signal }) : null), [videoId, video?.state]);
  const clock = useLiveClock(video, media);
  const { review, focuses, error: focusError, online } = useReview(videoId, toasts, {
    onVideo: (data) => (data ? setData((old) => old && { ...old, ...data, job: data.job ?? old.job, focuses: data.focuses ?? old.focuses }) : reload()),
    onJob: (job) => { setData((old) => old && (!old.job || old.job.job_id === job.job_id || job.state === "queued") ? { ...old, job: { ...old.job, ...job } } : old); if (job.state === "done") reload(); },
    onEvent: clock.hear,
  });
  const queue = useMemo(() => queueOf(focuses, sorting), [focuses, sorting]);
  const onLanes = useMemo(() => (sorting.filter === "rejected" ? focuses : focuses.filter((focus) => focus.status !== "rejected" || focus.focus_id === chosenId)), [focuses, sorting.filter, chosenId]);
  const duration = useMemo(() => Math.max(video?.duration_s ?? 0, clock.time, ...focuses.slice(-50).map((focus) => focus.end_s ?? focus.start_s), 0.1), [video?.duration_s, clock.time, focuses]);
  const focus = focuses.find((one) => one.focus_id === chosenId) ?? null;
  const { recorded, onRecording, holes } = useRecorded(video, duration, reload);

  const choose = useCallback((id, { seek = true } = {}) => {
    const next = review.get(id);
    if (!next) return;
    setChosenId(id);
    control.current?.reveal(next);
    if (seek) media.seek(next.start_s + 0.01);
    setTab("details");
  }, [review, media]);
  const acts = useActs({ review, media, focus, queue, focuses, duration, video, choose, open: setDialog, toasts, control, writable });
  useKeys(acts, !dialog);

  // The address may name a moment or a focus; else the first of the queue is chosen.
  const arrived = useRef(false);
  useEffect(() => {
    if (arrived.current || !review.loaded || !video) return;
    arrived.current = true;
    const asked = new URLSearchParams(location.search);
    const time = asked.has("t") ? Number(asked.get("t")) : NaN;
    const all = review.list; // what is drawn may be of before the answer
    const wanted = review.get(asked.get("focus"))
      ?? (Number.isFinite(time) ? all.find((one) => one.start_s <= time + 0.05 && time < (one.end_s ?? Infinity)) : null)
      ?? (video.kind === "recording" ? queueOf(all, sorting)[0] ?? all[0] : null);
    if (wanted) { choose(wanted.focus_id); setTab("queue"); }
    if (Number.isFinite(time)) media.seek(time);
  }, [focuses, video]);

  useEffect(() => { if (video) onKind(video.kind); }, [video?.kind]);
  useEffect(() => { if (video) document.title = `${video.title} – Shopcue Studio`; }, [video?.title]);
  const change = async (values) => { try { setData({ ...video, ...(await patch(path("/api/videos/{}", videoId), values)) }); } catch (failure) { toasts.fail(failure); } };
  const matchAgain = async (replace = false) => {
    try { const { job } = await post(path("/api/videos/{}/match", videoId), { replace }); setData((old) => ({ ...old, job, state: "matching", error: "" })); } catch (failure) { toasts.fail(failure); }
  };
  const run = async (verb) => { try { setData({ ...video, ...(await post(path(`/api/videos/{}/${verb}`, videoId))) }); } catch (failure) { toasts.fail(failure); } };

  if ([404, 422].includes(error?.status) && !video) return html`<main class="page" id="main"><${Empty} icon="video" level=${1} title="There is no such video"><p>It was deleted, or your token is not for its shop.</p><div class="row"><a class="button" href=${addressOf({ shop })}>All videos</a></div><//></main>`;
  if (error && !video) return html`<main class="page" id="main"><${Failure} error=${error} retry=${reload} /></main>`;
  if (!video) return html`<main class="page" id="main" aria-busy="true"><${Skeleton} lines=${1} height="2rem" /><${Skeleton} height="55vh" /></main>`;
  if (video.shop !== shop) return html`<main class="page" id="main"><${Empty} icon="video" title="This video belongs to another shop"><div class="row"><a class="button" href=${`/studio/${video.shop}/videos/${videoId}`}>Open it there</a></div><//></main>`;

  const list = html`<${Queue} focuses=${focuses} queue=${queue} chosenId=${chosenId} sorting=${sorting} onSort=${setSorting} settled=${review.loaded && video.state !== "matching" && video.state !== "new"}
    stream=${video.kind !== "stream" ? "" : isOn(video) ? "on" : "off"}
    onChoose=${(id) => { choose(id); }} />`;
  const inspector = html`<${Inspector} focus=${focus} any=${focuses.length > 0} video=${video} shop=${shop} words=${words} writable=${writable} acts=${{ ...acts, undo: acts.undoThis }} />`;
  const lanes = new Set(onLanes.map((one) => one.product_id)).size;
  return html`<main class="view" id="main" style=${{ "--lanes": Math.max(2, lanes) }}>
    <${VideoHead} video=${video} shop=${shop} can=${can} online=${online} reviewed=${focuses.some((one) => one.status !== "found" && one.status !== "open")} toasts=${toasts}
      onChange=${change} onMatch=${matchAgain} onRun=${run} onHelp=${() => setDialog("help")}><${Health} video=${video} /><//>
    <${Troubles} video=${video} />
    ${focusError && html`<${Failure} error=${focusError} retry=${() => review.load()} />`}
    <div class="view-top">
      ${!phone && list}
      <${Stage} key=${videoId} video=${video} media=${media} focus=${focus} duration=${duration} hole=${recorded?.hole} onRecording=${onRecording} onStep=${(direction) => (direction > 0 ? acts.next() : acts.previous())}>
        <${Waiting} video=${video} job=${video.job} writable=${writable} onRetry=${() => matchAgain()} /><//>
      ${!phone && inspector}
    </div>
    <${Timeline} focuses=${onLanes} holes=${holes} duration=${duration} liveTime=${clock.time} chosenId=${chosenId} media=${media} writable=${writable} control=${control}
      onChoose=${choose} onMove=${(id, times) => { if (review.get(id)) review.act(id, "move", times); }}
      head=${html`<h2>Timeline</h2>${writable && html`<button type="button" class="button small" onClick=${acts.add}><${Icon} name="add" />Add a focus</button>`}`} />
    ${phone && html`<div class="phone-tabs segmented" role="group" aria-label="Show">
      <button type="button" aria-pressed=${String(tab === "queue")} onClick=${() => setTab("queue")}>Review</button>
      <button type="button" aria-pressed=${String(tab === "details")} onClick=${() => setTab("details")}>Details</button></div>
      ${tab === "queue" ? list : inspector}`}
    ${dialog === "help" && html`<${Help} onClose=${() => setDialog(null)} />`}
    ${(dialog === "replace" || dialog === "add") && html`<${Palette} title=${dialog === "add" ? "Add a focus at the playhead" : `Replace “${focus?.title}”`} shop=${shop} video=${video} media=${media} frame_s=${media.time}
      byFrameFirst=${dialog === "add"} likely=${dialog === "add" ? [] : (focus?.alternatives ?? []).map((one) => ({ ...one, picture: pictureOf(shop, one.product_id) }))}
      onClose=${() => setDialog(null)} onPick=${(product) => { setDialog(null); if (dialog === "add") acts.addHere(product); else acts.replace({ product_id: product.product_id, title: product.title, picture: product.picture ?? pictureOf(shop, product.product_id) }); }} />`}
  </main>`;
}
