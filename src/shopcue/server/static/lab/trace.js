/**
 * The trace of a video: what was detected, followed, picked and compared, minute by minute.
 *
 * A long video has more of it than a page should hold: minutes are asked for as they are looked at, and the ones that
 * were not looked at for the longest time are let go.
 */
import { get, path, query } from "../js/api.js";
import { firstNot } from "../js/sorted.js";

const MINUTE_S = 60;
const MOST_MINUTES = 20;
const AGAIN_MS = 15000; // so long a minute of a running stream that had nothing yet is not asked for again
const HOLDS_S = 0.75; // a moment stands for the time around it, unless the next one is nearer
const JOINED_S = 1.25; // between two sights of a thing that are so near, its box is drawn on the way

/** Load one minute of the trace of a video; null where there is none. */
export async function loadMinute(videoId, minute) {
  const span = { start_s: minute * MINUTE_S, end_s: (minute + 1) * MINUTE_S };
  try {
    return await get(query(path("/api/videos/{}/trace", videoId), span));
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/**
 * Keeps the minutes that are looked at.
 *
 * load(minute): one minute; onChange(): told when one has come, or has not; growing: whether there will be more of it.
 */
export class TraceMinutes {
  constructor(load, onChange, growing = false) {
    this.growing = growing;
    this.load = load;
    this.onChange = onChange;
    this.kept = new Map(); // minute -> { trace, error, waiting, came_ms }, the one looked at last is the last
    this.size = null;
  }

  /** See to it that the minutes of [start_s, end_s) are there or on their way. */
  want(start_s, end_s) {
    const last = Math.floor(Math.max(end_s - 1e-6, start_s, 0) / MINUTE_S);
    for (let minute = Math.floor(Math.max(start_s, 0) / MINUTE_S); minute <= last; minute += 1) this.#wantMinute(minute);
    while (this.kept.size > MOST_MINUTES) this.kept.delete(this.kept.keys().next().value);
  }

  /** Ask again for what could not be loaded. */
  retry() {
    for (const [minute, { error }] of this.kept) if (error) this.kept.delete(minute);
    this.onChange();
  }

  async #wantMinute(minute) {
    const found = this.kept.get(minute);
    const stale = this.growing && found?.trace && !found.trace.moments.length && performance.now() - found.came_ms > AGAIN_MS;
    if (found && !stale) {
      this.kept.delete(minute);
      this.kept.set(minute, found);
      return;
    }
    const entry = { trace: null, error: null, waiting: true, came_ms: 0 };
    this.kept.set(minute, entry);
    try { entry.trace = await this.load(minute); } catch (error) { entry.error = error; }
    entry.waiting = false;
    entry.came_ms = performance.now();
    if (entry.trace?.width) this.size ??= { width: entry.trace.width, height: entry.trace.height };
    this.onChange();
  }

  /** What is known of [start_s, end_s): { moments, picks, waiting, error }, in order of time. */
  between(start_s, end_s) {
    const found = { moments: [], picks: [], waiting: false, error: null };
    for (const minute of [...this.kept.keys()].sort((a, b) => a - b)) {
      if (minute * MINUTE_S >= end_s || (minute + 1) * MINUTE_S <= start_s) continue;
      const { trace, error, waiting } = this.kept.get(minute);
      found.waiting ||= waiting;
      found.error ??= error;
      if (!trace) continue;
      found.moments.push(...trace.moments.filter(({ time_s }) => time_s >= start_s && time_s < end_s));
      found.picks.push(...trace.picks.filter((pick) => pick.end_s >= start_s && pick.start_s < end_s));
    }
    return found;
  }
}

/** The moment that stands for `time_s`, or null: the one that lies nearest, if it is near. */
export function momentAt(moments, time_s) {
  const after = firstNot(moments, (moment) => moment.time_s <= time_s);
  const near = [moments[after - 1], moments[after]].filter(Boolean).map((moment) => [Math.abs(moment.time_s - time_s), moment]);
  const [best] = near.sort((a, b) => a[0] - b[0]);
  return best && best[0] <= HOLDS_S ? best[1] : null;
}

/** The things at `time_s` with their boxes; one that is followed is placed between the two sights around that time. */
export function thingsAt(moments, time_s) {
  const after = firstNot(moments, (moment) => moment.time_s <= time_s);
  const [before, next] = [moments[after - 1], moments[after]];
  if (!before || time_s - before.time_s > (next ? JOINED_S : HOLDS_S)) return [];
  if (!next || next.time_s - before.time_s > JOINED_S) return before.things;
  const share = (time_s - before.time_s) / (next.time_s - before.time_s);
  return before.things.map((thing) => {
    const later = thing.tracklet_id === null ? null : next.things.find((other) => other.tracklet_id === thing.tracklet_id);
    return later ? { ...thing, box: thing.box.map((edge, i) => edge + share * (later.box[i] - edge)) } : thing;
  });
}

/** Where the middle of a thing was in the `length_s` before `time_s`: [[x, y], ...], the latest last. */
export function trailOf(moments, trackletId, time_s, length_s) {
  const trail = [];
  for (let i = firstNot(moments, (moment) => moment.time_s < time_s - length_s); moments[i]?.time_s <= time_s; i += 1) {
    const thing = moments[i].things.find((other) => other.tracklet_id === trackletId);
    if (thing) trail.push([(thing.box[0] + thing.box[2]) / 2, (thing.box[1] + thing.box[3]) / 2]);
  }
  return trail;
}

/** Each tracklet of these moments: { tracklet_id, coarse_class, start_s, end_s, followed, best }, in order of start. */
export function trackletsOf(moments) {
  const found = new Map();
  for (const { time_s, things } of moments) {
    for (const { tracklet_id: id, coarse_class, score, followed } of things) {
      if (id === null) continue;
      const known = found.get(id) ?? { tracklet_id: id, coarse_class, start_s: time_s, end_s: time_s, followed: false, best: 0 };
      found.set(id, { ...known, end_s: time_s, followed: known.followed || followed, best: Math.max(known.best, score) });
    }
  }
  return [...found.values()];
}

/** Put spans into as few rows as they need: a span goes into the first row where it does not touch another. */
export function packed(spans, gap_s = 0) {
  const rows = [];
  for (const span of spans) {
    const row = rows.find((one) => one.at(-1).end_s + gap_s < span.start_s);
    if (row) row.push(span); else rows.push([span]);
  }
  return rows;
}

/**
 * The parts of a candidate's score as stretches of an axis: [{ name, from, to }].
 *
 * Parts that speak for it are put end to end to the right of 0, those that speak against it to the left.
 */
export function stackOf(candidate) {
  let [left, right] = [0, 0];
  return ["visual", "text", "comments"].map((name) => {
    const value = candidate[name];
    const from = value < 0 ? left : right;
    if (value < 0) left += value; else right += value;
    return { name, value, from, to: from + value };
  });
}
