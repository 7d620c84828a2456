/** The timeline of the tracklets: a page of time, a row for as many of them as fit side by side, class by class. */
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { clock } from "../js/format.js";
import { Segmented } from "../js/ui.js";
import { ticks } from "../studio/timescale.js";
import { CLASSES, colourOf, COLOURS } from "./colours.js";
import { packed, trackletsOf } from "./trace.js";

export const SPANS_S = [15, 60, 180];

/** The page of `span_s` seconds that holds `time_s`: pages do not move while one looks at them. */
export function pageAt(time_s, span_s) {
  const start_s = Math.floor(Math.max(time_s, 0) / span_s) * span_s;
  return { start_s, end_s: start_s + span_s };
}

function Tracklet({ tracklet, picks, place, near, onHover, onChoose }) {
  const { tracklet_id: id, start_s, end_s, followed, coarse_class: name } = tracklet;
  const marks = ["bar", !followed && "quiet", near === id && "near"].filter(Boolean).join(" ");
  const at = (time_s) => `${(100 * (time_s - start_s)) / Math.max(end_s - start_s, 0.001)}%`;
  return html`<button type="button" class=${marks} style=${{ ...place(start_s, end_s), "--c": colourOf(followed ? id : null) }}
      aria-label=${`Tracklet ${id}, ${name}, ${clock(start_s, 1)} to ${clock(end_s, 1)}`} onClick=${() => onChoose(id, start_s)}
      onPointerEnter=${() => onHover(id)} onPointerLeave=${() => onHover(null)} onFocus=${() => onHover(id)} onBlur=${() => onHover(null)}>
    <span>#${id}</span>
    ${picks.map((pick) => html`<i class="at" key=${pick.time_s} style=${{ left: at(pick.time_s) }}></i>`)}
  </button>`;
}

/** The best candidate of each moment: its colour is its product's, its strength how sure that is. */
function Best({ moments, place, onSeek }) {
  const colours = new Map();
  const colour = (id) => {
    if (!colours.has(id)) colours.set(id, COLOURS[colours.size % COLOURS.length]);
    return colours.get(id);
  };
  return moments.filter((moment) => moment.candidates.length).map((moment, i, all) => {
    const [best] = moment.candidates;
    const end_s = Math.min(all[i + 1]?.time_s ?? moment.time_s + 0.5, moment.time_s + 1);
    return html`<i class="cell" key=${moment.time_s} title=${`${clock(moment.time_s, 1)} ${best.title}`} onClick=${() => onSeek(moment.time_s)}
      style=${{ ...place(moment.time_s, end_s), background: best.score > 0 ? colour(best.product_id) : "transparent", opacity: best.probability }}></i>`;
  });
}

/** The ruler, which takes clicks, with the playhead that runs through all lanes. */
function Ruler({ media, page, share }) {
  const scale = useRef(null);
  const head = useRef(null);
  const [width, setWidth] = useState(600);
  const span = page.end_s - page.start_s;
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(scale.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const move = (time_s) => { head.current.style.left = `${100 * share(time_s)}%`; };
    move(media.time);
    return media.watch(move);
  }, [media, page.start_s, page.end_s]);
  const seek = (event) => {
    const { left, width: whole } = scale.current.getBoundingClientRect();
    media.seek(page.start_s + (span * Math.min(Math.max(event.clientX - left, 0), whole)) / whole);
  };
  return html`<div class="lane ruler"><span class="label"></span><div class="track" ref=${scale} onClick=${seek}>
    ${ticks({ from: page.start_s, span }, width).times.map((time_s) => html`<span class="tick num" key=${time_s} style=${{ left: `${100 * share(time_s)}%` }}>${clock(time_s)}</span>`)}
    <b class="playhead" ref=${head}></b>
  </div></div>`;
}

const Lane = ({ name, class: extra = "", children }) => html`<div class=${`lane ${extra}`}><span class="label">${name}</span><div class="track">${children}</div></div>`;
const lengthText = (span_s) => (span_s < 60 ? `${span_s} s` : `${span_s / 60} min`);

/** page: { start_s, end_s }; found: the trace of it; focuses: what was decided in the end. */
export function Timeline({ media, page, span_s, onSpan, found, focuses, options, near, onHover, onChoose }) {
  const length_s = page.end_s - page.start_s;
  const share = (time_s) => Math.min(Math.max((time_s - page.start_s) / length_s, 0), 1);
  const place = (start_s, end_s) => ({ left: `${100 * share(start_s)}%`, width: `${100 * (share(end_s) - share(start_s))}%` });
  const tracklets = trackletsOf(found.moments).filter((one) => (options.all || one.followed) && !options.without.has(one.coarse_class));
  const rows = CLASSES.flatMap((name) => packed(tracklets.filter((one) => one.coarse_class === name), length_s / 200).map((row, i) => [i ? "" : name, row]));
  const picksOf = ({ tracklet_id: id, start_s, end_s }) => found.picks.filter((pick) => pick.tracklet_id === id && pick.time_s >= start_s && pick.time_s <= end_s);
  const shown = focuses.filter((focus) => (focus.end_s ?? Infinity) > page.start_s && focus.start_s < page.end_s);
  return html`<section class="timeline card" aria-label="Timeline of the tracklets">
    <header class="row"><h2>Timeline</h2><span class="small muted num">${clock(page.start_s)}–${clock(page.end_s)}</span>
      <span class="push"><${Segmented} label="Length of the timeline" value=${span_s} onChange=${onSpan} options=${SPANS_S.map((one) => [one, lengthText(one)])} /></span>
    </header>
    <div class="lanes">
      <${Ruler} media=${media} page=${page} share=${share} />
      <${Lane} name="Focuses" class="thick">
        ${shown.map((focus) => html`<button type="button" class="bar focus" key=${focus.focus_id} style=${place(focus.start_s, focus.end_s ?? page.end_s)} title=${focus.title}
          onClick=${() => media.seek(focus.start_s)}><span dir="auto">${focus.title}</span></button>`)}
      <//>
      <${Lane} name="Best"><${Best} moments=${found.moments} place=${place} onSeek=${(time_s) => media.seek(time_s)} /><//>
      ${rows.map(([name, row]) => html`<${Lane} key=${row[0].tracklet_id} name=${name}>
        ${row.map((tracklet) => html`<${Tracklet} key=${tracklet.tracklet_id} tracklet=${tracklet} picks=${picksOf(tracklet)} place=${place}
          near=${near} onHover=${onHover} onChoose=${onChoose} />`)}
      <//>`)}
    </div>
    ${!rows.length && html`<p class="pad small muted" role="status">${found.waiting ? "Loading the trace…" : "Nothing is followed in this stretch."}</p>`}
  </section>`;
}
