/** Where a viewer is in the time of a video, and what that means: rules, without a page. */
import { isRecording } from "../js/recording.js";
import { IDLE_STATES } from "./document.js";
import { cardAt, liveCard, onScreen, open } from "./moments.js";

const BESIDE_PX = 760; // from this width on, the products stand beside the video
const TALL = 0.8; // a video narrower than this share of its height is one for phones held upright

/** How the parts stand (see style.js), from the width in pixels, the video's ratio, and whether it fills the screen. */
export function layoutOf(width, ratio, full) {
  if (full) return "immersive";
  if (width >= BESIDE_PX) return "beside";
  return ratio < TALL ? "tall" : "stacked";
}

/** The address to play, or "": a stream that does not run has none, unless it was recorded. */
export function sourceOf(show) {
  if (!show) return "";
  if (!show.stream) return show.media || show.playback;
  if (!show.playback) return isRecording(show.media) ? show.media : "";
  return ["live", "reconnecting"].includes(show.state) ? show.playback : "";
}

/** What is wrong with the picture: { title, why, again: whether it may be tried again }, or null. */
export function troubleOf(phase, show, failed, words) {
  const trouble = (title, why = "", again = false) => ({ title, why, again });
  if (phase === "missing") return trouble(words.missing, words.missing_why);
  if (phase === "unreachable") return trouble(words.unreachable, words.unreachable_why, true);
  if (!show) return null;
  if (show.live && IDLE_STATES.includes(show.state)) return trouble(show.focuses.length ? words.ended : words.paused);
  if (show.live && show.state === "starting" && !sourceOf(show)) return trouble(words.starting);
  if (show.live && !sourceOf(show)) return trouble(words.no_picture);
  if (failed === "network") return show.live ? trouble(words.reconnecting) : trouble(words.unreachable, words.unreachable_why, true);
  return failed || !sourceOf(show) ? trouble(words.unplayable, "", Boolean(failed)) : null;
}

/**
 * The viewer's place in one video.
 *
 * The player counts seconds from where its stream begins, the focuses from where the video does. For a file, and for a
 * stream that plays from its recording, these are the same (`exact`); for another live stream the difference is learnt
 * from the events, which say when in the video they happened.
 */
export class Position {
  constructor() {
    this.live = false;
    this.exact = true;
    this.offset_s = 0; // seconds of the video minus seconds of the player; NaN: not known yet
  }

  begin(live, exact) {
    this.live = live;
    this.exact = exact;
    this.offset_s = exact ? 0 : NaN;
  }

  /** Learn from an event at `media_s` of the video: the newest that can be played is taken to be as old. */
  hear(media_s, playback) {
    if (!this.exact && Number.isFinite(media_s) && playback?.state.growing) this.offset_s = media_s - playback.state.end_s;
  }

  time(playback) { return (playback?.time_s ?? 0) + (this.offset_s || 0); }

  /** A live viewer sees what the server says as soon as it says it, unless it is known which moment the picture shows. */
  atEvents(playback) {
    if (!this.live) return false;
    if (this.exact) return !playback?.placed;
    return Number.isNaN(this.offset_s) || (playback?.state.at_edge ?? true);
  }

  card(show, playback) { return this.atEvents(playback) ? liveCard(show.focuses) : cardAt(show.focuses, this.time(playback)); }

  current(show, playback) { return this.atEvents(playback) ? open(show.focuses) : onScreen(show.focuses, this.time(playback)); }

  /** Whether the player can go to a focus: in a stream, if its server still has it. */
  reaches(focus, playback) {
    return (this.exact && !playback?.recording) || focus.start_s - this.offset_s >= (playback?.state.start_s ?? Infinity);
  }

  /** [first, last] second of the video that can be played, or null while that is not known. */
  range(show, playback) {
    const end_s = playback?.state.end_s > 0 ? playback.state.end_s : show.duration_s;
    if (!(end_s > 0) || Number.isNaN(this.offset_s)) return null;
    return [(playback?.state.start_s ?? 0) + this.offset_s, end_s + this.offset_s];
  }
}
