/** The mathematics of the timeline: which stretch of time is seen, where its ticks are, and what lies in it. */

import { firstNot } from "../js/sorted.js";

export const SHORTEST_SPAN_S = 1;

/** The view {from, span} in seconds, kept inside [0, duration]. */
export function clampView({ from, span }, duration) {
  const whole = Math.max(duration, SHORTEST_SPAN_S);
  const kept = Math.min(Math.max(span, SHORTEST_SPAN_S), whole);
  return { from: Math.min(Math.max(from, 0), whole - kept), span: kept };
}

/** The view made `factor` times longer around the moment `anchor`, which keeps its place on the screen. */
export function zoomView(view, factor, anchor, duration) {
  const span = Math.min(Math.max(view.span * factor, SHORTEST_SPAN_S), Math.max(duration, SHORTEST_SPAN_S));
  return clampView({ from: anchor - ((anchor - view.from) * span) / view.span, span }, duration);
}

/** The view moved so that [start, end) is in it with some air, as little as possible; longer only where it must be. */
export function revealView(view, start, end, duration) {
  const air = Math.min(0.08 * view.span, 10);
  const length = end - start + 2 * air;
  if (length > view.span) return clampView({ from: start - air, span: length }, duration);
  const from = Math.min(Math.max(view.from, end + air - view.span), start - air);
  return clampView({ from, span: view.span }, duration);
}

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** The ruler's ticks in the view: {times, step}, at least `apart` pixels from each other on `width` pixels. */
export function ticks(view, width, apart = 84) {
  const least = (view.span * apart) / Math.max(width, 1);
  const step = STEPS_S.find((one) => one >= least) ?? STEPS_S.at(-1) * Math.ceil(least / STEPS_S.at(-1));
  const times = [];
  for (let i = Math.ceil(view.from / step - 1e-9); i * step <= view.from + view.span + 1e-9; i += 1) times.push(i * step);
  return { times, step };
}

/**
 * The bars of one lane that are in view: [{left, width, focuses}], pixels.
 *
 * focuses: in order of start. Neighbours that are too narrow to be told apart become one bar, so that a lane never has
 * more bars than it has room for; the chosen one (`keep`) stays by itself.
 */
export function barsOf(focuses, view, width, { longest = Infinity, keep = null, least = 4 } = {}) {
  const scale = width / view.span;
  const to = view.from + view.span;
  const first = Number.isFinite(longest) ? firstNot(focuses, (focus) => focus.start_s < view.from - longest) : 0;
  const bars = [];
  for (let i = first; i < focuses.length && focuses[i].start_s < to; i += 1) {
    const focus = focuses[i];
    if (focus.end_s <= view.from) continue;
    const left = (focus.start_s - view.from) * scale;
    const wide = Math.max((focus.end_s - focus.start_s) * scale, least);
    const last = bars.at(-1);
    const alone = focus.focus_id === keep || last?.focuses[0].focus_id === keep;
    if (last && !alone && wide <= least + 2 && left <= last.left + last.width + 1 && last.small) {
      last.width = Math.max(last.width, left + wide - last.left);
      last.focuses.push(focus);
    } else {
      bars.push({ left, width: wide, focuses: [focus], small: wide <= least + 2 });
    }
  }
  return bars;
}

/** The focuses in lanes, one a product in the order in which they first appear: [{product_id, title, colour, focuses, longest}]. */
export function lanesOf(focuses) {
  const lanes = new Map();
  for (const focus of [...focuses].sort((a, b) => a.start_s - b.start_s || a.end_s - b.end_s)) {
    let lane = lanes.get(focus.product_id);
    if (!lane) {
      lane = { product_id: focus.product_id, title: focus.title, picture: focus.picture, colour: lanes.size % 8, focuses: [], longest: 0 };
      lanes.set(focus.product_id, lane);
    }
    lane.focuses.push(focus);
    lane.longest = Math.max(lane.longest, focus.end_s - focus.start_s);
  }
  return [...lanes.values()];
}

/** The nearest of `marks` (seconds) within `reach` of `time`, or null. */
export function nearest(marks, time, reach) {
  let best = null;
  for (const mark of marks) {
    if (Math.abs(mark - time) <= reach && (best === null || Math.abs(mark - time) < Math.abs(best - time))) best = mark;
  }
  return best;
}
