/** The video with what was detected drawn over it, and what steers both. */
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { path, query } from "../js/api.js";
import { clock } from "../js/format.js";
import { HoleNote } from "../js/hole-note.js";
import { isOn, Recording, recordingOf } from "../js/recording.js";
import { Tool, useSettled } from "../js/ui.js";
import { CLASSES } from "./colours.js";
import { draw, thingUnder, visible } from "./drawing.js";
import { thingsAt, trailOf } from "./trace.js";

const TRAIL_S = 4;
const AROUND_S = 6;

/** The frame at the clock's time as a picture of the server, for what the browser cannot play. */
function StillFrame({ video, media }) {
  const [time, setTime] = useState(media.time);
  useEffect(() => media.watch(setTime), [media]);
  const settled = useSettled(Math.round(time * 10) / 10, 120);
  return html`<img class="still" alt="" src=${query(path("/api/videos/{}/frame", video.video_id), { t: settled, side: 960 })} />`;
}

/** What is to be drawn at a time, out of the minutes that are loaded. */
function sceneAt(minutes, time_s, { options, near, box }) {
  const { moments } = minutes.between(time_s - AROUND_S, time_s + AROUND_S);
  const things = visible(thingsAt(moments, time_s), options);
  const ids = options.trails ? things.filter((thing) => thing.followed && thing.tracklet_id !== null).map((thing) => thing.tracklet_id) : [];
  const trails = ids.map((id) => [id, trailOf(moments, id, time_s, TRAIL_S)]);
  return { things, trails, near, box, names: options.names };
}

function Overlay({ media, minutes, size, view, onHover, onChoose }) {
  const canvas = useRef(null);
  const scene = useRef(null);
  const paint = () => {
    scene.current = sceneAt(minutes, media.time, view);
    draw(canvas.current, size, scene.current);
  };
  const latest = useRef(paint);
  latest.current = paint;
  useEffect(paint);
  useEffect(() => media.watch(() => latest.current()), [media]);
  useEffect(() => {
    const observer = new ResizeObserver(() => latest.current());
    observer.observe(canvas.current);
    return () => observer.disconnect();
  }, []);
  const under = (event) => {
    const { left, top, width, height } = canvas.current.getBoundingClientRect();
    return thingUnder(scene.current.things, ((event.clientX - left) / width) * size.width, ((event.clientY - top) / height) * size.height);
  };
  return html`<canvas ref=${canvas} aria-hidden="true" onPointerMove=${(event) => onHover(under(event)?.tracklet_id ?? null)}
    onPointerLeave=${() => onHover(null)} onClick=${(event) => onChoose(under(event)?.tracklet_id ?? null)}></canvas>`;
}

/** The video (or its single frames) with the canvas over it. view: see `sceneAt`; onRecording: told what is kept of a stream. */
export function Stage({ video, media, minutes, size, view, hole, onRecording, onHover, onChoose }) {
  const element = useRef(null);
  const [broken, setBroken] = useState(false);
  const recorded = recordingOf(video);
  const source = recorded || (video.kind === "recording" ? video.media : null);
  useEffect(() => {
    if (!source || broken) return undefined;
    const hear = () => {
      onRecording(recording.state);
      if (recording.state.failed === "unplayable") setBroken(true);
      media.tell();
    };
    const recording = recorded ? new Recording(element.current, source, { on: isOn(video), onChange: hear }) : null;
    const release = media.attach(element.current, recording);
    if (!recording) element.current.src = source;
    return () => { release(); recording?.close(); };
  }, [source, broken]);
  return html`<div class="picture" style=${{ aspectRatio: `${size.width} / ${size.height}`, "--ratio": size.width / size.height }}>
    ${source && !broken
      ? html`<video ref=${element} playsinline muted preload="auto" poster=${video.poster} tabindex="-1" aria-label=${video.title}
          onError=${() => { setBroken(true); media.tell(); }}></video>`
      : source && html`<${StillFrame} video=${video} media=${media} />`}
    <${Overlay} media=${media} minutes=${minutes} size=${size} view=${view} onHover=${onHover} onChoose=${onChoose} />
    <${HoleNote} hole=${hole} />
  </div>`;
}

const RATES = [0.25, 0.5, 1, 2];

/** Play, step, and a bar for the whole video. */
export function Transport({ media, duration_s, acts }) {
  const [, redraw] = useState(0);
  const time = useRef(null);
  const bar = useRef(null);
  useEffect(() => {
    let kept = "";
    const show = (now) => {
      time.current.textContent = clock(now, 2);
      bar.current.value = now;
      bar.current.setAttribute("aria-valuetext", clock(now, 1));
      const state = `${media.paused} ${media.playable} ${media.element?.playbackRate}`;
      if (state !== kept) { kept = state; redraw((count) => count + 1); }
    };
    show(media.time);
    return media.watch(show);
  }, [media]);
  const rate = media.element?.playbackRate ?? 1;
  const faster = () => { media.element.playbackRate = RATES[(RATES.indexOf(rate) + 1) % RATES.length]; };
  return html`<div class="transport">
    <input class="whole" type="range" min="0" max=${duration_s} step="any" aria-label="Time" ref=${bar} onInput=${(event) => media.seek(Number(event.target.value))} />
    <div class="row" role="group" aria-label="Playback">
      <${Tool} icon=${media.paused ? "play" : "pause"} label=${media.paused ? "Play" : "Pause"} keys="space" onClick=${acts.play} disabled=${!media.playable} />
      <${Tool} icon="back" label="Moment before" keys="←" onClick=${acts.momentBack} />
      <${Tool} icon="next" label="Next moment" keys="→" onClick=${acts.momentOn} />
      <button type="button" class="button small" onClick=${acts.frameBack} disabled=${!media.playable} title="One frame back (,)">−1 frame</button>
      <button type="button" class="button small" onClick=${acts.frameOn} disabled=${!media.playable} title="One frame on (.)">+1 frame</button>
      ${media.playable && html`<button type="button" class="button small num" onClick=${faster} title="Speed">${rate}×</button>`}
      <span class="num muted small push"><span ref=${time}></span> / ${clock(duration_s)}</span>
    </div>
  </div>`;
}

/** What is drawn, and what is left out. counts: class -> how many tracklets or detections there are in view. */
export function Filters({ options, counts, onOptions }) {
  const toggle = (name) => onOptions({ ...options, [name]: !options[name] });
  const leave = (coarseClass) => {
    const without = new Set(options.without);
    if (!without.delete(coarseClass)) without.add(coarseClass);
    onOptions({ ...options, without });
  };
  return html`<div class="filters row" role="group" aria-label="What is drawn">
    ${[["all", "All detections"], ["trails", "Trails"], ["names", "Names"]].map(([name, text]) => html`
      <button type="button" class="toggle" aria-pressed=${String(options[name])} onClick=${() => toggle(name)}>${text}</button>`)}
    <span class="rule" aria-hidden="true"></span>
    ${CLASSES.filter((name) => counts.get(name) || options.without.has(name)).map((name) => html`
      <button type="button" class="toggle" key=${name} aria-pressed=${String(!options.without.has(name))} onClick=${() => leave(name)}>
        ${name} <span class="muted">${counts.get(name) ?? 0}</span></button>`)}
  </div>`;
}
