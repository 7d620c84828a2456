/**
 * The timeline: a ruler, a lane for each product with the focuses as bars, a playhead, and a map of the whole.
 *
 * Only what is in view is drawn, lanes as well as bars, so that hundreds of products and thousands of focuses stay
 * smooth. The playhead moves outside Preact: it changes with every frame.
 */

import { Component, html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { clock, percent, span as inWords } from "../js/format.js";
import { Empty, Picture, Tool, useMedia } from "../js/ui.js";
import { doubtful } from "./review.js";
import { DragPreview, useEdgeDrag } from "./trim.js";
import { barsOf, clampView, lanesOf, revealView, ticks, zoomView } from "./timescale.js";
import { TimelineMap } from "./timeline-map.js";

const LANE_PX = 34;
const LANE_PHONE_PX = 50;
const MARKS = { confirmed: "✓", corrected: "✎", added: "+", rejected: "✕" };
const SAID = { found: "to review", open: "on screen now", confirmed: "confirmed", corrected: "corrected", added: "added", rejected: "rejected" };

/** What a bar says to those who do not see it. */
function nameOf(focus) {
  const doubt = doubtful(focus) ? ", doubtful" : "";
  return `${focus.title}, ${clock(focus.start_s)} to ${focus.end_s === null ? "now" : clock(focus.end_s)}, ${percent(focus.score)} sure, ${SAID[focus.status]}${doubt}`;
}

function Bar({ bar, chosen, drag, onChoose, onZoom, grip, writable }) {
  const [focus] = bar.focuses;
  const style = { transform: `translateX(${bar.left}px)`, width: `${bar.width}px`, "--sure": 0.3 + 0.7 * focus.score };
  if (bar.focuses.length > 1) {
    const label = `${bar.focuses.length} focuses of ${focus.title} from ${clock(focus.start_s)}: zoom in`;
    return html`<button type="button" tabindex="-1" class="tl-bar many" style=${style} aria-label=${label} title=${label} onClick=${() => onZoom(bar)}></button>`;
  }
  const unsure = doubtful(focus);
  const classes = `tl-bar is-${focus.status} ${unsure ? "is-doubtful" : ""} ${chosen ? "is-chosen" : ""} ${focus.pending ? "is-pending" : ""} ${drag ? "is-dragged" : ""}`;
  return html`<div class="tl-hold" style=${style}>
    <button type="button" class=${classes} data-focus=${focus.focus_id} tabindex=${chosen ? 0 : -1} aria-label=${nameOf(focus)} aria-pressed=${String(chosen)}
      onClick=${() => onChoose(focus.focus_id)}>
      ${bar.width > 22 && (unsure ? html`<span class="tl-sign" aria-hidden="true">?</span>` : MARKS[focus.status] && html`<span class="tl-sign" aria-hidden="true">${MARKS[focus.status]}</span>`)}
    </button>
    ${chosen && writable && focus.status !== "rejected" && ["start", "end"].map((edge) => (edge === "end" && focus.end_s === null ? null : html`
      <div class="tl-grip ${edge}" key=${edge} role="slider" tabindex="0" aria-label="${edge === "start" ? "Start" : "End"} of ${focus.title}"
        aria-valuemin="0" aria-valuemax=${Math.round(10 * (edge === "start" ? focus.end_s ?? focus.start_s : focus.end_s + 60)) / 10}
        aria-valuenow=${focus[`${edge}_s`]} aria-valuetext=${clock(focus[`${edge}_s`], 2)} ...${grip(focus, edge)}></div>`))}
  </div>`;
}

/** A product's lane; drawn again only when something of it changes, so that scrolling past hundreds stays smooth. */
class Lane extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((name) => next[name] !== this.props[name]);
  }

  render({ lane, index, height, view, width, chosenId, grip, ...rest }) {
    const bars = barsOf(lane.focuses, view, width, { longest: lane.longest, keep: chosenId });
    return html`<div class="tl-lane c${lane.colour}" role="group" aria-label=${lane.title} style=${{ transform: `translateY(${index * height}px)`, height: `${height}px` }}>
      <div class="tl-label" title=${lane.title}><${Picture} src=${lane.picture} icon="tag" /><span class="line" dir="auto">${lane.title}</span><span class="num muted">${lane.focuses.length}</span></div>
      <div class="tl-track">
        ${bars.map((bar) => html`<${Bar} key=${bar.focuses[0].focus_id} bar=${bar} chosen=${bar.focuses.length === 1 && bar.focuses[0].focus_id === chosenId} grip=${grip} ...${rest} />`)}
      </div>
    </div>`;
  }
}

/** The view of the timeline with its ways to move it; changes are drawn once a frame at most. */
function useView(duration) {
  const [view, setView] = useState({ from: 0, span: Math.max(duration, 1) });
  const whole = useRef(true);
  const change = useCallback((step) => setView((old) => {
    const next = clampView(step(old), duration);
    whole.current = next.span >= duration - 1e-6;
    return next.from === old.from && next.span === old.span ? old : next;
  }), [duration]);
  useLayoutEffect(() => { setView((old) => clampView(whole.current ? { from: 0, span: Math.max(duration, 1) } : old, duration)); }, [duration]);
  return [view, change];
}

/** Wheel and two fingers: ctrl or pinch zooms anywhere, on the ruler a plain wheel does; sideways it pans. */
function useGestures(ref, { change, width, labelWidth, duration }) {
  const latest = useRef(null);
  latest.current = { width, labelWidth, duration };
  useEffect(() => {
    const box = ref.current;
    const fingers = new Map();
    const zoom = (factor, x) => {
      const now = latest.current;
      const share = (x - box.getBoundingClientRect().left - now.labelWidth) / now.width;
      change((old) => zoomView(old, factor, old.from + share * old.span, now.duration));
    };
    const onWheel = (event) => {
      const onRuler = event.target.closest(".tl-ruler");
      const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
      if (event.ctrlKey || event.metaKey || (onRuler && !event.shiftKey && Math.abs(event.deltaY) > Math.abs(event.deltaX))) {
        event.preventDefault();
        zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.01), event.clientX);
      } else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
        event.preventDefault();
        change((old) => ({ ...old, from: old.from + (sideways * old.span) / latest.current.width }));
      }
    };
    const onDown = (event) => { if (event.pointerType === "touch") fingers.set(event.pointerId, event.clientX); };
    const onMove = (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = [...fingers.values()];
      const was = fingers.get(event.pointerId);
      fingers.set(event.pointerId, event.clientX);
      if (fingers.size === 1 && !event.target.closest(".tl-grip, .tl-ruler")) change((old) => ({ ...old, from: old.from - ((event.clientX - was) * old.span) / latest.current.width }));
      if (fingers.size !== 2) return;
      const after = [...fingers.values()];
      const [wide, narrow] = [Math.abs(before[0] - before[1]), Math.abs(after[0] - after[1])];
      if (wide > 8 && narrow > 8) zoom(wide / narrow, (after[0] + after[1]) / 2);
    };
    const onUp = (event) => fingers.delete(event.pointerId);
    box.addEventListener("wheel", onWheel, { passive: false });
    box.addEventListener("pointerdown", onDown);
    for (const [name, listener] of [["pointermove", onMove], ["pointerup", onUp], ["pointercancel", onUp]]) addEventListener(name, listener);
    return () => {
      box.removeEventListener("wheel", onWheel);
      box.removeEventListener("pointerdown", onDown);
      for (const [name, listener] of [["pointermove", onMove], ["pointerup", onUp], ["pointercancel", onUp]]) removeEventListener(name, listener);
    };
  }, [change]);
}

/** The size of the scrolled box and how far down it is. */
function useBox(ref) {
  const [box, setBox] = useState({ width: 800, height: 200, top: 0 });
  useLayoutEffect(() => {
    const element = ref.current;
    const read = () => setBox((old) => {
      const next = { width: element.clientWidth, height: element.clientHeight, top: element.scrollTop };
      return next.width === old.width && next.height === old.height && next.top === old.top ? old : next;
    });
    const watch = new ResizeObserver(read);
    watch.observe(element);
    element.addEventListener("scroll", read, { passive: true });
    read();
    return () => { watch.disconnect(); element.removeEventListener("scroll", read); };
  }, []);
  return box;
}

function Ruler({ view, width, onScrub }) {
  const { times, step } = useMemo(() => ticks(view, width), [view, width]);
  const scrub = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const track = event.currentTarget;
    const to = (one) => onScrub(view.from + ((one.clientX - track.getBoundingClientRect().left) * view.span) / width);
    to(event);
    track.setPointerCapture(event.pointerId);
    track.onpointermove = to;
    track.onpointerup = track.onpointercancel = () => { track.onpointermove = null; };
  };
  return html`<div class="tl-ruler">
    <div class="tl-label" aria-hidden="true"></div>
    <div class="tl-track" onPointerDown=${scrub}>
      ${times.map((time) => html`<span class="tl-tick num" key=${time} style=${{ transform: `translateX(${((time - view.from) * width) / view.span}px)` }}>${clock(time, step < 1 ? 1 : 0)}</span>`)}
      <i class="tl-knob"></i>
    </div>
  </div>`;
}

/** The playhead and the knob on the ruler, moved without drawing anything else; the view follows while it plays. */
function usePlayhead(ref, media, { view, width, change, duration, held }) {
  const latest = useRef(null);
  latest.current = { view, width, duration };
  const draw = useCallback(() => {
    const { view: seen, width: wide, duration: whole } = latest.current;
    const time = media.time;
    const x = ((time - seen.from) * wide) / seen.span;
    const inside = x >= -1 && x <= wide + 1;
    for (const part of ref.current?.querySelectorAll(".tl-playhead, .tl-knob") ?? []) {
      part.style.transform = `translateX(${x}px)`;
      part.style.visibility = inside ? "visible" : "hidden";
    }
    if (!media.paused && !held.current && seen.span < whole && time > seen.from + seen.span * 0.98) change((old) => ({ ...old, from: time - 0.05 * old.span }));
  }, [media, change]);
  useEffect(() => media.watch(draw), [media, draw]);
  useLayoutEffect(draw, [view, width]);
}

/** The stretches of a stream that were not recorded, behind the lanes. holes: [[start_s, end_s], ...]. */
const Holes = ({ holes, view, width }) => html`<div class="tl-holes" aria-hidden="true">
  ${holes.filter(([start, end]) => end > view.from && start < view.from + view.span).map(([start, end]) => {
    const [from, to] = [Math.max(start, view.from - 1), Math.min(end, view.from + view.span + 1)];
    const wide = ((to - from) * width) / view.span;
    return html`<i class="tl-hole" key=${start} style=${{ left: `${((from - view.from) * width) / view.span}px`, width: `${wide}px` }}>${wide > 90 && html`<span>Not recorded</span>`}</i>`;
  })}</div>`;

/**
 * focuses: those to show, in order of start; holes: what was not recorded; chosenId; media: the clock; onChoose(id), onMove(id, {start_s, end_s}).
 * control: a ref that is given {zoomIn, zoomOut, zoomAll, reveal(focus)} for the keyboard.
 */
export function Timeline({ focuses, holes, duration, liveTime, chosenId, media, writable, control, onChoose, onMove, head }) {
  const scroll = useRef(null);
  const held = useRef(false);
  const phone = useMedia("(max-width: 44rem)");
  const laneHeight = phone ? LANE_PHONE_PX : LANE_PX;
  const labelWidth = phone ? 0 : 208;
  const box = useBox(scroll);
  const width = Math.max(box.width - labelWidth, 50);
  const [view, change] = useView(duration);
  const shown = useMemo(() => focuses.map((focus) => (focus.end_s === null ? { ...focus, end_s: Math.max(liveTime, focus.start_s + 0.1), open: true } : focus)), [focuses, liveTime]);
  const { drag, grip } = useEdgeDrag({ media, focuses: shown, view, width, duration, onMove, held });
  const drawn = useMemo(() => (drag ? shown.map((focus) => (focus.focus_id === drag.id ? { ...focus, [`${drag.edge}_s`]: drag.time } : focus)) : shown), [shown, drag]);
  const lanes = useMemo(() => lanesOf(drawn), [drawn]);
  useGestures(scroll, { change, width, labelWidth, duration });
  usePlayhead(scroll, media, { view, width, change, duration, held });

  const first = Math.max(0, Math.floor(box.top / laneHeight) - 2);
  const last = Math.min(lanes.length, Math.ceil((box.top + box.height) / laneHeight) + 2);
  const zoomBy = useCallback((factor) => change((old) => {
    const inside = media.time >= old.from && media.time <= old.from + old.span;
    return zoomView(old, factor, inside ? media.time : old.from + old.span / 2, duration);
  }), [change, duration]);
  const reveal = useCallback((focus) => {
    change((old) => revealView(old, focus.start_s, focus.end_s ?? liveTime, duration));
    const index = lanes.findIndex((lane) => lane.product_id === focus.product_id);
    const top = index * laneHeight;
    const element = scroll.current;
    if (index >= 0 && (top < element.scrollTop || top + laneHeight > element.scrollTop + element.clientHeight - 34)) element.scrollTop = top - element.clientHeight / 2 + laneHeight;
  }, [change, lanes, duration, laneHeight, liveTime]);
  control.current = { zoomIn: () => zoomBy(0.5), zoomOut: () => zoomBy(2), zoomAll: () => change(() => ({ from: 0, span: duration })), reveal };

  const seekTo = (event) => {
    if (event.target.closest(".tl-bar, .tl-grip, .tl-label")) return;
    const track = event.target.closest(".tl-track");
    if (track) media.seek(view.from + ((event.clientX - track.getBoundingClientRect().left) * view.span) / width);
  };
  const zoomTo = useCallback((bar) => {
    const start = bar.focuses[0].start_s;
    const end = bar.focuses.at(-1).end_s;
    change(() => ({ from: start - 0.1 * (end - start), span: 1.2 * (end - start) }));
  }, [change]);
  return html`<section class="timeline" aria-label="Timeline">
    <div class="tl-head">
      ${head}
      <span class="num muted small tl-span">${inWords(view.span)} in view</span>
      <div class="tl-zoom" role="group" aria-label="Zoom">
        <${Tool} icon="minus" label="Zoom out" keys="-" onClick=${() => zoomBy(2)} disabled=${view.span >= duration} />
        <${Tool} icon="frame" label="Show all" keys="0" onClick=${() => change(() => ({ from: 0, span: duration }))} disabled=${view.span >= duration} />
        <${Tool} icon="add" label="Zoom in" keys="+" onClick=${() => zoomBy(0.5)} />
      </div>
    </div>
    ${holes.length > 0 && html`<p class="unseen">Not recorded: ${holes.map(([start, end]) => `${clock(start)} to ${clock(end)}`).join(", ")}</p>`}
    <${TimelineMap} lanes=${lanes} holes=${holes} view=${view} change=${change} duration=${duration} media=${media} />
    <div class="tl-scroll" ref=${scroll} tabindex=${lanes.length ? undefined : "0"} role=${lanes.length ? undefined : "group"} aria-label=${lanes.length ? undefined : "Lanes"} style=${{ "--label": `${labelWidth}px` }}>
      <${Ruler} view=${view} width=${width} onScrub=${(time) => media.seek(Math.min(Math.max(time, 0), duration))} />
      <div class="tl-lanes" style=${{ height: `${lanes.length * laneHeight}px` }} onClick=${seekTo}>
        <${Holes} holes=${holes} view=${view} width=${width} />
        ${lanes.slice(first, last).map((lane, i) => {
          const own = lane.focuses.some((focus) => focus.focus_id === chosenId);
          return html`<${Lane} key=${lane.product_id} lane=${lane} index=${first + i} height=${laneHeight} view=${view} width=${width} writable=${writable}
            chosenId=${own ? chosenId : null} drag=${own ? drag : null} grip=${own ? grip : null} onChoose=${onChoose} onZoom=${zoomTo} />`;
        })}
        <div class="tl-over"><i class="tl-playhead"></i></div>
      </div>
      ${!lanes.length && html`<div class="tl-none"><${Empty} icon="tag" title="No product is on the timeline" level=${3} /></div>`}
    </div>
    ${drag && html`<${DragPreview} drag=${drag} media=${media} />`}
  </section>`;
}
