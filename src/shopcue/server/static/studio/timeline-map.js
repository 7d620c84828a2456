/** The map above the timeline: all focuses of the video in a narrow strip, what was not recorded, and the stretch in view. */

import { html, useEffect, useLayoutEffect, useRef } from "../vendor/htm-preact.js";
import { clock } from "../js/format.js";

const HEIGHT_PX = 30;

function paint(canvas, lanes, duration) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colours = Array.from({ length: 8 }, (_, i) => resolved(canvas, style, `--c${i}`));
  const rows = Math.min(Math.max(lanes.length, 1), 12);
  const step = (height - 4) / rows;
  lanes.forEach((lane, index) => {
    pen.fillStyle = colours[lane.colour];
    const top = 2 + (index % rows) * step;
    for (const focus of lane.focuses) {
      pen.globalAlpha = focus.status === "rejected" ? 0.15 : 0.35 + 0.65 * focus.score;
      pen.fillRect((focus.start_s / duration) * width, top, Math.max(1, ((focus.end_s - focus.start_s) / duration) * width), Math.max(1, step - 1));
    }
  });
}

/** A custom property as a colour that a canvas takes: light-dark() is resolved on an element. */
function resolved(canvas, style, name) {
  canvas.style.color = `var(${name})`;
  const colour = style.color;
  canvas.style.color = "";
  return colour;
}

export function TimelineMap({ lanes, holes, view, change, duration, media }) {
  const canvas = useRef(null);
  const head = useRef(null);
  const box = useRef(null);
  const grab = useRef(null);
  useLayoutEffect(() => {
    let asked = 0;
    const again = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(() => canvas.current && paint(canvas.current, lanes, Math.max(duration, 0.1))); };
    again();
    const watch = new ResizeObserver(again);
    watch.observe(canvas.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    const theme = new MutationObserver(again);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => { cancelAnimationFrame(asked); watch.disconnect(); scheme.removeEventListener("change", again); theme.disconnect(); };
  }, [lanes, duration]);
  useEffect(() => {
    const draw = () => { if (head.current) head.current.style.left = `${Math.min(100, (100 * media.time) / Math.max(duration, 0.1))}%`; };
    draw();
    return media.watch(draw);
  }, [media, duration]);

  const timeAt = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    return ((event.clientX - left) / width) * duration;
  };
  const onDown = (event) => {
    if (event.button !== 0) return;
    const time = timeAt(event);
    const edge = event.target.dataset.edge;
    const inside = time >= view.from && time <= view.from + view.span;
    if (!edge && !inside) change((old) => ({ ...old, from: time - old.span / 2 }));
    grab.current = { edge, offset: inside ? time - view.from : view.span / 2, to: view.from + view.span, from: view.from };
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const onMove = (event) => {
    if (!grab.current) return;
    const { edge, offset, from, to } = grab.current;
    const time = timeAt(event);
    if (edge === "start") change(() => ({ from: Math.min(time, to - 1), span: Math.max(to - time, 1) }));
    else if (edge === "end") change(() => ({ from, span: Math.max(time - from, 1) }));
    else change((old) => ({ ...old, from: time - offset }));
  };
  const onKeyDown = (event) => {
    const step = { ArrowLeft: -0.25, ArrowRight: 0.25, PageUp: -1, PageDown: 1 }[event.key];
    if (step) { change((old) => ({ ...old, from: old.from + step * old.span })); event.preventDefault(); event.stopPropagation(); }
  };
  const part = (seconds) => `${(100 * seconds) / Math.max(duration, 0.1)}%`;
  const window = { left: part(view.from), width: part(view.span) };
  return html`<div class="tl-map" ref=${box} style=${{ height: `${HEIGHT_PX}px` }} onPointerDown=${onDown} onPointerMove=${onMove}
    onPointerUp=${() => { grab.current = null; }} onPointerCancel=${() => { grab.current = null; }}>
    ${holes.map(([start, end]) => html`<i class="tl-hole" key=${start} style=${{ left: part(start), width: part(end - start) }}></i>`)}
    <canvas ref=${canvas} aria-hidden="true"></canvas>
    <i class="tl-map-head" ref=${head}></i>
    <div class="tl-window ${view.span >= duration - 1e-6 ? "is-whole" : ""}" style=${window} role="slider" tabindex="0" aria-label="The stretch in view"
      aria-valuemin="0" aria-valuemax=${Math.round(duration)} aria-valuenow=${Math.round(view.from)}
      aria-valuetext="${clock(view.from)} to ${clock(view.from + view.span)}" onKeyDown=${onKeyDown}>
      <i data-edge="start"></i><i data-edge="end"></i>
    </div>
  </div>`;
}
