/** Dragging the ends of a focus: snapping to frames and to what is near, the frame shown as it moves, and the keyboard. */

import { html, useCallback, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { clock } from "../js/format.js";
import { nearest } from "./timescale.js";

const MAGNET_PX = 6;
const SHORTEST_S = 0.1;
const NUDGE_MS = 700;

const round = (seconds) => Math.round(seconds * 1000) / 1000;

/** `time` kept on its side of the other end. */
function inside(focus, edge, time, duration) {
  return edge === "start"
    ? Math.min(Math.max(time, 0), focus.end_s - SHORTEST_S)
    : Math.min(Math.max(time, focus.start_s + SHORTEST_S), Math.max(duration, focus.start_s + SHORTEST_S));
}

/** The moment whose frame says whether an edge is right: the first of the focus, or the last. */
function toSee(edge, time, frame_s) {
  return edge === "start" ? time + 0.25 * frame_s : Math.max(time - 0.5 * frame_s, 0);
}

/** The edge at a frame's border: exactly where the video says so, else as well as it is known. */
async function snapped(media, edge, time, duration) {
  const { frame_s } = media.frames;
  if (!media.playable) return round(media.frames.floor(time + frame_s / 2));
  const start = await media.frameAt(toSee(edge, time, frame_s));
  return round(Math.min(edge === "start" ? start : start + frame_s, duration));
}

/**
 * Drags of the ends: `drag` is {id, edge, time, from, x, y} or null, `grip(focus, edge)` the listeners of a handle.
 *
 * onMove(id, {start_s, end_s}) is called once, when the end is let go or the keys rest. Escape lets it spring back.
 */
export function useEdgeDrag({ media, focuses, view, width, duration, onMove, held }) {
  const [drag, setDrag] = useState(null);
  const latest = useRef(null);
  latest.current = { focuses, view, width, duration, onMove };
  const nudge = useRef(null);

  const finish = useCallback(async (focus, edge, time, exact) => {
    const to = exact ? round(time) : await snapped(media, edge, time, latest.current.duration);
    held.current = false;
    setDrag(null);
    const kept = inside(focus, edge, to, latest.current.duration);
    if (Math.abs(kept - focus[`${edge}_s`]) < 5e-4) return;
    latest.current.onMove(focus.focus_id, { start_s: focus.start_s, end_s: focus.end_s, [`${edge}_s`]: round(kept) });
  }, [media]);

  const onPointerDown = (focus, edge) => (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    const handle = event.currentTarget;
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    held.current = true;
    media.pause();
    const began = { x: event.clientX, time: focus[`${edge}_s`], playhead: media.time };
    const marks = [began.playhead];
    for (const one of latest.current.focuses) if (one.focus_id !== focus.focus_id) marks.push(one.start_s, one.end_s);
    let now = { id: focus.focus_id, edge, time: began.time, from: began.time, x: event.clientX, y: event.clientY, magnet: false };
    let moved = false;
    const onMoveTo = (one) => {
      if (Math.abs(one.clientX - began.x) > 2) moved = true;
      if (!moved) return;
      const scale = latest.current.view.span / latest.current.width;
      const wished = inside(focus, edge, began.time + (one.clientX - began.x) * scale, latest.current.duration);
      const mark = one.altKey ? null : nearest(marks, wished, MAGNET_PX * scale);
      const time = inside(focus, edge, mark ?? media.frames.floor(wished + media.frames.frame_s / 2), latest.current.duration);
      now = { ...now, time, x: one.clientX, y: one.clientY, magnet: mark !== null };
      setDrag(now);
      media.seek(toSee(edge, time, media.frames.frame_s));
    };
    const stop = (keep) => () => {
      handle.removeEventListener("pointermove", onMoveTo);
      handle.removeEventListener("pointerup", up);
      handle.removeEventListener("pointercancel", cancel);
      removeEventListener("keydown", onKey, true);
      if (keep && moved) finish(focus, edge, now.time, now.magnet);
      else { held.current = false; setDrag(null); if (moved) media.seek(began.playhead); }
    };
    const up = stop(true);
    const cancel = stop(false);
    const onKey = (one) => { if (one.key === "Escape") { one.preventDefault(); one.stopPropagation(); cancel(); } };
    handle.addEventListener("pointermove", onMoveTo);
    handle.addEventListener("pointerup", up);
    handle.addEventListener("pointercancel", cancel);
    addEventListener("keydown", onKey, true);
  };

  const commitNudge = useCallback(() => {
    const pending = nudge.current;
    if (!pending) return;
    clearTimeout(pending.timer);
    nudge.current = null;
    finish(pending.focus, pending.edge, pending.time, false);
  }, [finish]);
  useEffect(() => commitNudge, [commitNudge]);

  const onKeyDown = (focus, edge) => (event) => {
    const { frame_s } = media.frames;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
    if (event.key === "Enter") commitNudge();
    if (event.key === "Escape" && nudge.current) { clearTimeout(nudge.current.timer); nudge.current = null; held.current = false; setDrag(null); }
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const original = nudge.current?.focus ?? focus;
    const time = inside(original, edge, (nudge.current?.time ?? focus[`${edge}_s`]) + step * (event.shiftKey ? 1 : frame_s), duration);
    clearTimeout(nudge.current?.timer);
    nudge.current = { focus: original, edge, time, timer: setTimeout(commitNudge, NUDGE_MS) };
    held.current = true;
    const at = event.currentTarget.getBoundingClientRect();
    setDrag({ id: focus.focus_id, edge, time, from: original[`${edge}_s`], x: at.left + at.width / 2, y: at.top });
    media.pause();
    media.seek(toSee(edge, time, frame_s));
  };

  const grip = (focus, edge) => ({ onPointerDown: onPointerDown(focus, edge), onKeyDown: onKeyDown(focus, edge), onBlur: commitNudge });
  return { drag, grip };
}

/** The frame at the end that is being dragged, its time, and how far it went; beside the hand. */
export function DragPreview({ drag, media }) {
  const canvas = useRef(null);
  const box = useRef(null);
  useEffect(() => {
    const video = media.element;
    if (!video || !media.playable) return undefined;
    let going = true;
    const draw = () => {
      if (!going || !canvas.current || !video.videoWidth) return;
      const scale = Math.min(200 / video.videoWidth, 200 / video.videoHeight);
      canvas.current.width = Math.round(video.videoWidth * scale);
      canvas.current.height = Math.round(video.videoHeight * scale);
      canvas.current.getContext("2d").drawImage(video, 0, 0, canvas.current.width, canvas.current.height);
    };
    const next = () => { draw(); if (going) video.requestVideoFrameCallback?.(next); };
    next();
    return () => { going = false; };
  }, [media]);
  useLayoutEffect(() => {
    const { offsetWidth, offsetHeight } = box.current;
    box.current.style.left = `${Math.min(Math.max(drag.x - offsetWidth / 2, 8), innerWidth - offsetWidth - 8)}px`;
    box.current.style.top = `${Math.max(drag.y - offsetHeight - 28, 8)}px`;
  });
  const moved = drag.time - drag.from;
  return html`<div class="tl-preview" ref=${box} aria-hidden="true">
    <canvas ref=${canvas} hidden=${!media.playable}></canvas>
    <p><strong class="num">${clock(drag.time, 2)}</strong><span class="num">${moved >= 0 ? "+" : "−"}${Math.abs(moved).toFixed(2)} s</span></p>
  </div>`;
}
