/** The lab of one video: what holds its parts together. */
import { html, useEffect, useMemo, useReducer, useState } from "../vendor/htm-preact.js";
import { get, path } from "../js/api.js";
import { clock } from "../js/format.js";
import { Failure, Mark, Tool, typing, useLoad, useTheme } from "../js/ui.js";
import { Media } from "../studio/media.js";
import { visible } from "./drawing.js";
import { actOf, Help } from "./keys.js";
import { Candidates, Things, Words } from "./moment.js";
import { Pick, picksToShow } from "./picks.js";
import { Filters, Stage, Transport } from "./stage.js";
import { FrameSteps } from "./steps.js";
import { pageAt, SPANS_S, Timeline } from "./timeline.js";
import { loadMinute, momentAt, TraceMinutes } from "./trace.js";

const AHEAD_S = 15; // so long before it is needed the next minute is asked for
const BEHIND_S = 150; // the trace of a stream is written so long after it
const STEP_S = 0.5; // to the next moment where none is known
const NARROW_PX = 700; // below it the timeline begins with its shortest length
const UNTRACED = "There is no trace of this stretch. A trace is kept when a video is matched; match it again in the studio to see it here.";
const UNTRACED_STREAM = "There is no trace of this stretch. That of a running stream is written a minute and a half behind it.";
const SILENT = { utterances: [], comments: [] };

/** The time in steps of the moments that were looked at: what the panels show changes only with these. */
function useMoment(media, minutes, version) {
  const [at, setAt] = useState({ time_s: media.time, moment: null });
  useEffect(() => {
    const look = (time_s) => {
      minutes.want(time_s - 1, time_s + AHEAD_S);
      const moment = momentAt(minutes.between(time_s - 2, time_s + 2).moments, time_s);
      const next = { time_s: moment ? moment.time_s : Math.floor(time_s), moment };
      setAt((old) => (old.moment === next.moment && old.time_s === next.time_s ? old : next));
    };
    look(media.time);
    return media.watch(look);
  }, [media, minutes, version]);
  return at;
}

/** The next pick (direction 1) or the one before (-1), of the chosen tracklet or of any. */
function pickBeside(minutes, chosen, time_s, direction) {
  const { picks } = minutes.between(time_s - 120, time_s + 120);
  const times = picks.filter((pick) => pick.tracklet_id !== null && (chosen === null || pick.tracklet_id === chosen)).map((pick) => pick.time_s).sort((a, b) => a - b);
  return direction > 0 ? times.find((one) => one > time_s + 0.02) : times.findLast((one) => one < time_s - 0.02);
}

function momentBeside(minutes, time_s, direction) {
  const times = minutes.between(time_s - 30, time_s + 30).moments.map((moment) => moment.time_s);
  const found = direction > 0 ? times.find((one) => one > time_s + 0.02) : times.findLast((one) => one < time_s - 0.02);
  return found ?? time_s + direction * STEP_S;
}

function countsOf(things, all) {
  const counts = new Map();
  for (const thing of things) if (all || thing.followed) counts.set(thing.coarse_class, (counts.get(thing.coarse_class) ?? 0) + 1);
  return counts;
}

function Top({ video, onHelp }) {
  const [theme, setTheme] = useTheme();
  const next = { auto: "light", light: "dark", dark: "auto" };
  return html`<header class="top">
    <${Mark} href=${path("/studio/{}", video.shop)} /><h1 class="line" dir="auto">${video.title}</h1>
    <nav class="row push" aria-label="Other pages of this video">
      <a class="button small" href=${path("/studio/{}/videos/{}", video.shop, video.video_id)}>Studio</a>
      ${video.published && html`<a class="button small" href=${path("/play/{}", video.video_id)}>Player</a>`}
      <${Tool} icon=${theme === "dark" ? "moon" : "sun"} label=${`Theme: ${theme}`} onClick=${() => setTheme(next[theme])} />
      <${Tool} icon="help" label="Keys" keys="?" onClick=${onHelp} />
    </nav>
  </header>`;
}

/** Go where the address says; a stream that runs is of most interest near its end. */
function useStart(media, video) {
  useEffect(() => {
    const latest_s = video.kind === "stream" ? (video.duration_s ?? 0) - BEHIND_S : 0;
    const start_s = Number(new URLSearchParams(location.search).get("t") ?? latest_s);
    if (start_s > 0 || video.kind === "stream") media.seek(Math.max(start_s, 0));
  }, [media]);
}

/** What the keys and the buttons do. */
function actsOf({ media, steps, minutes, chosen, setChosen, duration_s, setOptions, span_s, setSpan, setHelp }) {
  const seek = (to_s) => {
    if (to_s === undefined) return;
    media.pause();
    media.seek(Math.min(Math.max(to_s, 0), duration_s));
  };
  const flip = (name) => setOptions((options) => ({ ...options, [name]: !options[name] }));
  const zoom = (by) => setSpan(SPANS_S[Math.min(Math.max(SPANS_S.indexOf(span_s) + by, 0), SPANS_S.length - 1)]);
  return {
    seek, play: () => media.toggle(),
    frameBack: () => steps.step(-1), frameOn: () => steps.step(1),
    momentBack: () => seek(momentBeside(minutes, media.time, -1)), momentOn: () => seek(momentBeside(minutes, media.time, 1)),
    pickBack: () => seek(pickBeside(minutes, chosen, media.time, -1)), pickOn: () => seek(pickBeside(minutes, chosen, media.time, 1)),
    back: () => seek(media.time - 5), on: () => seek(media.time + 5),
    all: () => flip("all"), trails: () => flip("trails"), names: () => flip("names"), zoomIn: () => zoom(-1), zoomOut: () => zoom(1),
    release: () => setChosen(null), help: () => setHelp(true),
  };
}

function useKeys(acts, silent) {
  useEffect(() => {
    const press = (event) => {
      const act = actOf(event);
      if (!act || typing(event) || silent || (event.key === " " && event.target.closest("button, a"))) return;
      if (event.key.startsWith("Arrow") && event.target.closest("input")) return;
      event.preventDefault();
      acts[act]();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
}

/** What stays of a video while the page is open: its clock, its trace, its words and what was decided. */
function useVideo(video) {
  const [version, grew] = useReducer((count) => count + 1, 0);
  const media = useMemo(() => new Media(), []);
  const steps = useMemo(() => new FrameSteps(media), [media]);
  const minutes = useMemo(() => new TraceMinutes((minute) => loadMinute(video.video_id, minute), grew, video.kind === "stream"), [video.video_id]);
  const { data: words } = useLoad((signal) => get(path("/api/videos/{}/words", video.video_id), { signal }), [video.video_id]);
  const { data: decided } = useLoad((signal) => get(path("/api/videos/{}/focuses", video.video_id), { signal }), [video.video_id]);
  useStart(media, video);
  return { media, steps, minutes, words: words ?? SILENT, focuses: decided?.focuses ?? [], ...useMoment(media, minutes, version) };
}

function Picks({ video, picks, chosen, setChosen, near, onHover, onSee }) {
  return html`<section class="picks" aria-labelledby="picks">
    <header class="row"><h2 id="picks">${chosen === null ? "Picks of this moment" : `Picks of tracklet #${chosen}`}</h2>
      ${chosen !== null && html`<button type="button" class="button small" onClick=${() => setChosen(null)}>Show all</button>`}</header>
    ${picks.length
      ? html`<ul class="pick-list">${picks.map((pick) => html`<${Pick} key=${`${pick.tracklet_id} ${pick.time_s}`} pick=${pick} videoId=${video.video_id} shop=${video.shop}
          near=${near} onHover=${onHover} onSee=${onSee} />`)}</ul>`
      : html`<p class="muted small">No view was picked here.</p>`}
  </section>`;
}

/** The page, for a video as the API gives it. */
export function Lab({ video }) {
  const { media, steps, minutes, words, focuses, time_s, moment } = useVideo(video);
  const [options, setOptions] = useState({ all: false, trails: true, names: true, without: new Set() });
  const [hovered, setHovered] = useState(null);
  const [chosen, setChosen] = useState(null);
  const [box, setBox] = useState(null);
  const [span_s, setSpan] = useState(innerWidth < NARROW_PX ? SPANS_S[0] : SPANS_S[1]);
  const [help, setHelp] = useState(false);
  const [recorded, setRecorded] = useState(null);
  const page = pageAt(time_s, span_s);
  useEffect(() => { minutes.want(page.start_s, page.end_s); }, [minutes, page.start_s, page.end_s]);

  const found = minutes.between(page.start_s, page.end_s);
  const size = minutes.size ?? { width: video.width || 16, height: video.height || 9 };
  const duration_s = Math.max(video.duration_s ?? Math.max(page.end_s, 60), recorded?.end_s ?? 0);
  const near = hovered ?? chosen;
  const acts = actsOf({ media, steps, minutes, chosen, setChosen, duration_s, setOptions, span_s, setSpan, setHelp });
  useKeys(acts, help);

  const things = moment ? visible(moment.things, options).sort((a, b) => b.score - a.score) : [];
  const picks = picksToShow(minutes.between(time_s - 90, time_s + 90).picks, chosen, time_s, options.without);
  const choose = (id, start_s) => {
    setChosen(id === chosen ? null : id);
    const away = start_s !== undefined && !things.some((thing) => thing.tracklet_id === id);
    if (id !== chosen && away) acts.seek(start_s);
  };
  const see = {
    go: (view) => acts.seek(view.time_s + 0.001),
    over: (view) => setBox(view && Math.abs(view.time_s - media.time) < STEP_S ? view.box : null),
  };
  const untraced = !found.waiting && !found.error && !found.moments.length;
  return html`
    <${Top} video=${video} onHelp=${acts.help} />
    <main class="lab">
      <section class="viewer" aria-label="Video">
        <${Stage} video=${video} media=${media} minutes=${minutes} size=${size} view=${{ options, near, box }} hole=${recorded?.hole} onRecording=${setRecorded} onHover=${setHovered} onChoose=${choose} />
        <${Transport} media=${media} duration_s=${duration_s} acts=${acts} />
        <${Filters} options=${options} counts=${countsOf(moment?.things ?? [], options.all)} onOptions=${setOptions} />
      </section>
      <aside class="stack">
        <section class="card pad" aria-labelledby="candidates">
          <header class="row"><h2 id="candidates">Best candidates</h2><span class="num small muted push">${clock(time_s, 1)}</span></header>
          <${Candidates} moment=${moment} shop=${video.shop} onBox=${setBox} /></section>
        <section class="card pad" aria-labelledby="things"><h2 id="things">In this frame</h2>
          <${Things} things=${things} near=${near} onHover=${setHovered} onChoose=${choose} /></section>
      </aside>
      ${found.error && html`<${Failure} error=${found.error} retry=${() => { minutes.retry(); minutes.want(page.start_s, page.end_s); }} />`}
      ${untraced && html`<p class="notice" role="status">${video.kind === "stream" ? UNTRACED_STREAM : UNTRACED}</p>`}
      <${Timeline} media=${media} page=${page} span_s=${span_s} onSpan=${setSpan} found=${found} focuses=${focuses} options=${options}
        near=${near} onHover=${setHovered} onChoose=${choose} />
      <${Picks} video=${video} picks=${picks} chosen=${chosen} setChosen=${setChosen} near=${near} onHover=${setHovered} onSee=${see} />
      <section class="card pad spoken" aria-labelledby="words"><h2 id="words">Said and written</h2><${Words} words=${words} time_s=${time_s} onSeek=${acts.seek} /></section>
    </main>
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}`;
}
