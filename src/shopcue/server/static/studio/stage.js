/** The video itself with its transport: a file, a stream by its recording or HLS, or single frames where nothing plays. */

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { path, query } from "../js/api.js";
import { clock } from "../js/format.js";
import { HoleNote } from "../js/hole-note.js";
import { isOn, Recording, recordingOf } from "../js/recording.js";
import { Icon, Tool, useSettled } from "../js/ui.js";
import { learnFrames } from "./media.js";

const POSTER_MS = 10000;
const LIVE_DELAY_S = 4; // nearer to the edge a player has nothing left to load

const isHls = (url) => /\.m3u8($|\?)/i.test(url);

/** Play `url` in the element: plainly, or where it is HLS through hls.js, which says where the live edge is. */
async function load(element, url, fail) {
  const plain = () => { element.src = url; return () => { element.removeAttribute("src"); element.load(); }; };
  if (!isHls(url)) return plain();
  const { default: Hls } = await import("../vendor/hls.light.js");
  if (!Hls.isSupported()) {
    if (element.canPlayType("application/vnd.apple.mpegurl")) return plain();
    fail();
    return () => {};
  }
  const hls = new Hls({ enableWorker: false });
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) { hls.destroy(); fail(); } });
  hls.loadSource(url);
  hls.attachMedia(element);
  return () => hls.destroy();
}

/** The frame at the clock's time as a picture of the server, for what the browser cannot play. */
function StillFrame({ video, media }) {
  const [time, setTime] = useState(media.time);
  useEffect(() => media.watch(setTime), [media]);
  const settled = useSettled(Math.round(time * 10) / 10, 120);
  const [broken, setBroken] = useState(null);
  return html`<img class="still" alt="" hidden=${broken === settled} onError=${() => setBroken(settled)} src=${query(path("/api/videos/{}/frame", video.video_id), { t: settled, side: 720 })} />`;
}

/** Why there is no picture of a stream. */
function unseen({ state, playback_url, health, wanted }) {
  if (state === "reconnecting") return "Waiting for the stream to come back.";
  if (state !== "live") return wanted ? "Waiting for the stream." : "The stream is not on.";
  if (playback_url) return "Shopcue is watching, but the address for viewers cannot be played here.";
  if (health?.recording === "on") return "Shopcue is watching. The first pictures come in a few seconds.";
  return "Shopcue is watching. With an address for viewers the stream would be seen here.";
}

/** The last picture of a stream that has no playback; fetched anew while it is live. */
function Poster({ video }) {
  const [at, setAt] = useState(0);
  const live = video.state === "live";
  useEffect(() => {
    if (!live) return undefined;
    const timer = setInterval(() => setAt(Date.now()), POSTER_MS);
    return () => clearInterval(timer);
  }, [live]);
  if (!video.poster) return html`<p class="stage-none"><${Icon} name="live" />${unseen(video)}</p>`;
  return html`<img class="still" alt="" src=${at ? `${video.poster}?at=${at}` : video.poster} />`;
}

/** Where the evidence of the chosen focus lies in the frame, while that frame is on the screen. */
function EvidenceBox({ focus, video, media }) {
  const [near, setNear] = useState(false);
  const evidence = focus?.evidence;
  useEffect(() => {
    const look = (time) => setNear(Boolean(evidence) && Math.abs(time - evidence.frame_s) < 0.26);
    look(media.time);
    return media.watch(look);
  }, [media, evidence]);
  if (!near || !evidence?.box || !video.width) return null;
  const [x0, y0, x1, y1] = evidence.box;
  return html`<svg class="stage-box" viewBox="0 0 ${video.width} ${video.height}" aria-hidden="true">
    <rect class="halo" x=${x0} y=${y0} width=${x1 - x0} height=${y1 - y0} /><rect x=${x0} y=${y0} width=${x1 - x0} height=${y1 - y0} /></svg>`;
}

/** Goes to the newest moment of a stream that is on, and says whether that is what one sees. */
function LiveButton({ media, duration }) {
  const there = media.recording?.atEdge ?? false;
  const go = () => {
    if (media.recording) { media.recording.goLive(); return; }
    media.seek(duration - LIVE_DELAY_S);
    media.element.play().catch(() => {});
  };
  return html`<button type="button" class="button small go-live ${there ? "is-there" : ""}" aria-pressed=${String(there)} title=${there ? "This is the newest moment" : "To the newest moment (l)"} onClick=${go}><${Icon} name="live" />Live</button>`;
}

function Transport({ media, duration, live, onStep, playable }) {
  const [, draw] = useState(0);
  const time = useRef(null);
  useEffect(() => {
    let kept = "";
    return media.watch((now) => {
      if (time.current) time.current.textContent = clock(now, 2);
      const state = [media.paused, media.element?.muted, media.element?.playbackRate, media.playable, media.recording?.atEdge].join();
      if (state !== kept) { kept = state; draw((n) => n + 1); }
    });
  }, [media]);
  useEffect(() => { time.current.textContent = clock(media.time, 2); });
  const { element } = media;
  return html`<div class="transport" role="group" aria-label="Playback">
    <${Tool} icon="start" label="Previous focus" keys="k" class="flip" onClick=${() => onStep(-1)} />
    <${Tool} icon="back" label="One frame back" keys="," onClick=${() => media.step(-1)} />
    <${Tool} icon=${media.paused ? "play" : "pause"} class="big" label=${media.paused ? "Play" : "Pause"} keys="space" disabled=${!playable} onClick=${() => media.toggle()} />
    <${Tool} icon="next" label="One frame on" keys="." onClick=${() => media.step(1)} />
    <${Tool} icon="end" label="Next focus" keys="j" class="flip" onClick=${() => onStep(1)} />
    <span class="num stage-time"><span ref=${time}></span> <span class="muted">/ ${clock(duration)}</span></span>
    ${live && playable && html`<${LiveButton} media=${media} duration=${duration} />`}
    <label class="rate push"><span class="unseen">Speed</span>
      <select class="input" disabled=${!playable} value=${String(element?.playbackRate ?? 1)} onChange=${(event) => { if (element) element.playbackRate = Number(event.target.value); }}>
        ${[0.25, 0.5, 1, 1.5, 2, 4].map((rate) => html`<option value=${String(rate)}>${rate}×</option>`)}
      </select></label>
    <${Tool} icon=${element?.muted ? "mute" : "sound"} label=${element?.muted ? "Sound on" : "Sound off"} keys="m" disabled=${!playable} aria-pressed=${String(Boolean(element?.muted))}
      onClick=${() => { if (element) element.muted = !element.muted; }} />
  </div>`;
}

/** Play what there is of a video in `ref`: { playable, broken }; what its recording holds is told to onRecording. */
function usePlaying({ ref, video, media, onRecording }) {
  const [broken, setBroken] = useState(false);
  const recorded = recordingOf(video);
  const url = recorded || video.playback_url || (video.kind === "recording" ? video.media : "");
  const on = isOn(video);
  useEffect(() => {
    setBroken(false);
    if (!url) return undefined;
    const element = ref.current;
    const fail = () => { media.playable = false; setBroken(true); media.tell(); };
    const hear = () => {
      onRecording(recording.state);
      if (recording.state.failed === "unplayable") fail();
      media.tell();
    };
    const recording = recorded ? new Recording(element, url, { on, onChange: hear }) : null;
    const release = media.attach(element, recording);
    element.addEventListener("error", fail);
    let unload = () => recording?.close();
    let gone = false;
    if (recorded || !isHls(url)) media.frames.known = learnFrames(url, media.frames);
    // A stream that is on plays at once, unless somebody wants to see another moment; it is not started again later.
    if (on && !media.still) element.play().catch(() => {});
    if (!recorded) load(element, url, fail).then((done) => { if (gone) done(); else unload = done; }, fail);
    return () => { gone = true; element.removeEventListener("error", fail); release(); unload(); };
  }, [url, media]);
  useEffect(() => { if (media.recording) media.recording.on = on; }, [on, url]);
  return { playable: Boolean(url) && !broken, recorded, url };
}

/** video: as the API has it; media: the clock; focus: the chosen one; onStep(direction): to the focus before or after. */
export function Stage({ video, media, focus, duration, onStep, hole, onRecording, children }) {
  const ref = useRef(null);
  const { playable, recorded, url } = usePlaying({ ref, video, media, onRecording });
  const stream = video.kind === "stream";
  const framed = !playable && (recorded || !stream);
  return html`<div class="stage">
    <div class="screen" style=${{ "--ratio": video.width && video.height ? video.width / video.height : 16 / 9 }}>
      ${url && html`<video ref=${ref} hidden=${!playable} playsinline preload="auto" muted=${stream}
        poster=${video.poster} tabindex="-1" onClick=${() => media.toggle()} aria-label=${video.title}></video>`}
      ${framed && html`<${StillFrame} video=${video} media=${media} />`}
      ${!playable && !framed && html`<${Poster} video=${video} />`}
      ${framed && html`<p class="stage-note"><${Icon} name="alert" /> This browser cannot play ${stream ? "the recording" : "the file"}. Its frames are shown instead.</p>`}
      <${HoleNote} hole=${hole} />
      <${EvidenceBox} focus=${focus} video=${video} media=${media} />
      ${children}
    </div>
    <${Transport} media=${media} duration=${duration} live=${isOn(video)} onStep=${onStep} playable=${playable} />
  </div>`;
}
