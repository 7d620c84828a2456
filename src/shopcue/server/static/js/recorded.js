/** What a recording's playlist says: which stretches of a stream there are, and which are missing. Rules, without a page. */
import { firstNot } from "./sorted.js";

const SEAM_S = 0.5; // segments of one connection that are not so far from each other follow without a hole

/** An ISO date as seconds since 1970, to the microsecond: Date alone would cut it off at the millisecond. */
function secondsOf(date) {
  const [, whole, fraction, zone] = /^(.*:\d\d)(\.\d+)?([^.]*)$/.exec(date.trim()) ?? [];
  return Date.parse(`${whole}${zone}`) / 1000 + Number(fraction ?? 0);
}

/**
 * Read a recording's playlist: { origin_s, ended, segments }, or null where it is no recording of Shopcue's.
 *
 * origin_s: when the stream's time was 0, in seconds since 1970. ended: nothing more will come. segments: in order of
 * time { number, start_s, end_s, follows }, in the time of the stream; follows: it goes on where the one before ends.
 */
export function readPlaylist(text) {
  const segments = [];
  let [origin_s, start_s, duration_s, seam, ended] = [NaN, NaN, NaN, true, false];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("# origin ")) origin_s = secondsOf(line.slice(9));
    else if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) start_s = secondsOf(line.slice(25)) - origin_s;
    else if (line.startsWith("#EXTINF:")) duration_s = parseFloat(line.slice(8));
    else if (line === "#EXT-X-DISCONTINUITY") seam = true;
    else if (line === "#EXT-X-ENDLIST") ended = true;
    else if (/^\d{8}\.ts$/.test(line) && Number.isFinite(start_s + duration_s)) {
      segments.push({ number: Number(line.slice(0, 8)), start_s, end_s: start_s + duration_s, follows: !seam });
      seam = false;
    }
  }
  return Number.isFinite(origin_s) ? { origin_s, ended, segments } : null;
}

/** The stretches that are there: [[start_s, end_s], ...] in order of time. */
export function spansOf(segments) {
  const spans = [];
  for (const { start_s, end_s, follows } of segments) {
    const last = spans.at(-1);
    if (last && (follows || start_s - last[1] < SEAM_S)) last[1] = Math.max(last[1], end_s);
    else spans.push([start_s, end_s]);
  }
  return spans;
}

/** What of [start_s, end_s) lies in none of the spans: [[start_s, end_s], ...]. */
export function holesOf(spans, start_s, end_s) {
  const holes = [];
  let known_s = start_s;
  for (const [from_s, to_s] of spans) {
    if (from_s >= end_s) break;
    if (from_s > known_s) holes.push([known_s, from_s]);
    known_s = Math.max(known_s, to_s);
  }
  if (known_s < end_s) holes.push([known_s, end_s]);
  return holes;
}

/**
 * Where one can go who wants to see `time_s`: { index, time_s, hole }, or null where there are no segments.
 *
 * index: of the segment. time_s: the wish, or the next moment that is there (after the end, the last one). hole:
 * [start_s, end_s] of the missing stretch that was skipped, or null.
 */
export function landing(segments, time_s) {
  if (!segments.length) return null;
  const index = firstNot(segments, (segment) => segment.end_s <= time_s);
  if (index === segments.length) return { index: index - 1, time_s: segments.at(-1).end_s, hole: null };
  const { start_s } = segments[index];
  if (time_s >= start_s) return { index, time_s, hole: null };
  const before_s = segments[index - 1]?.end_s ?? 0;
  return { index, time_s: start_s, hole: start_s - before_s < SEAM_S ? null : [before_s, start_s] };
}
