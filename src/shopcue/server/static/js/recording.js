/**
 * Plays the recording of a stream by the time of the stream.
 *
 * A recording is HLS whose segments tell when in the stream they were. The time of the <video> has no holes and begins
 * anew whenever the recording is loaded: here it is called a place, and whatever ends in `_s` is of the stream.
 */
import { path } from "./api.js";
import { landing, readPlaylist, spansOf } from "./recorded.js";
import { firstNot } from "./sorted.js";

const INSIDE_S = 0.01; // a hair after a segment begins, or the picture before it is shown
const LAST_S = 0.1; // so long before its end is the last moment that surely has a picture
const LAST_GROWING_S = 0.5; // while more is to come: a decoder keeps the last pictures until others follow
const EXACT_S = 0.004;
const MOVED_S = 0.3; // as far as hls.js moves the first picture of a segment, to close a seam
const AT_EDGE_S = 4; // who is so near to what plays as live is live
const BEHIND_SEGMENTS = 2; // of the newest one, so that there is always one in hand
const BACK_S = 60; // what was played is kept so long
const AGAIN_MS = 3000; // so often it is asked whether an ended recording goes on
const LIVE_STATES = ["starting", "live", "reconnecting"];
const FIRST_WAIT_MS = 1500;
const LONGEST_WAIT_MS = 15000;
const NOTHING = Object.freeze({ loaded: false, ended: false, spans: [], start_s: 0, end_s: 0, failed: "", hole: null });

/** Where the recording of a stream is, or "": the picture that stands for a stream is taken from it. */
export const recordingOf = (video) => (video.kind === "stream" && video.poster ? path("/api/videos/{}/recording/live.m3u8", video.video_id) : "");

/** Whether more of a stream is to come. */
export const isOn = (video) => LIVE_STATES.includes(video.state);

/** Whether an address is that of a recording of Shopcue's. */
export const isRecording = (address) => /\/recording\/live\.m3u8$/.test(address ?? "");

/**
 * The recording at `address`, played in `element`; `close()` lets go of the element.
 *
 * start_s: where to begin, null for the newest (of a stream that is on) or the first. on: whether the stream is; may
 * be set later: a recording that had ended is then loaded again as soon as it goes on. onChange(): `state` has changed.
 * state: loaded; ended: nothing more will come; spans: what is there, [[start_s, end_s], ...]; start_s, end_s: of all of
 * it; failed: why nothing plays ("network": it is tried again; "unplayable": this browser cannot), else ""; hole: the
 * stretch without a recording that the last seek skipped, else null.
 */
export class Recording {
  #on = false;
  #shown = false; // whether there is a picture since it was loaded
  #play = () => { this.aimed_s = null; };
  #show = () => { this.#shown = true; };

  constructor(element, address, { start_s = null, on = false, onChange = () => {} } = {}) {
    this.element = element;
    this.address = address;
    this.onChange = onChange;
    this.state = NOTHING;
    this.wanted_s = start_s;
    this.aimed_s = null; // what the last seek asked for, until it plays on from there
    this.segments = [];
    this.hls = null;
    this.tries = 0;
    this.timer = 0;
    this.closed = false;
    this.#on = on;
    element.addEventListener("playing", this.#play);
    element.addEventListener("loadeddata", this.#show);
    this.#load();
  }

  close() {
    this.closed = true;
    this.element.removeEventListener("playing", this.#play);
    this.element.removeEventListener("loadeddata", this.#show);
    clearTimeout(this.timer);
    this.#unload();
  }

  get on() { return this.#on; }

  set on(on) {
    if (on === this.#on) return;
    this.#on = on;
    if (on && this.state.ended) this.#awaitMore();
  }

  /** Load again, at the time where it is: after the stream has gone on, or after a fault. */
  resume() {
    if (this.closed) return;
    clearTimeout(this.timer);
    const playing = !this.element.paused;
    if (this.state.loaded && this.wanted_s === null && !this.atEdge) this.wanted_s = this.time_s;
    this.#unload();
    this.#load();
    if (playing) this.element.play().catch(() => {});
  }

  /** Whether `time_s` says where it is: until the first picture only where it was asked to begin. */
  get placed() { return this.wanted_s !== null || this.aimed_s !== null || this.#shown; }

  get time_s() {
    if (this.wanted_s !== null) return this.wanted_s;
    return this.state.loaded ? this.timeAt(this.element.currentTime) : 0;
  }

  /** Whether the element plays as near to the newest as it can. */
  get atEdge() {
    const edge = this.hls?.liveSyncPosition;
    if (this.state.ended || !Number.isFinite(edge)) return this.wanted_s === null && this.time_s > this.state.end_s - AT_EDGE_S;
    return this.wanted_s === null && this.element.currentTime > edge - AT_EDGE_S;
  }

  /** The time of the stream at a place of the element. */
  timeAt(place) {
    const index = this.#shownAt(place);
    if (index < 0) return place;
    const { start_s, end_s } = this.segments[index];
    return Math.min(start_s + Math.max(place - this.#begins(index), 0), end_s);
  }

  /** The place in the element that shows a time of the stream; in a hole, that of the next picture. */
  placeOf(time_s) {
    const found = landing(this.segments, time_s);
    if (!found) return 0;
    const { start_s, end_s } = this.segments[found.index];
    const spare_s = found.index < this.segments.length - 1 ? 0 : this.state.ended ? LAST_S : LAST_GROWING_S;
    const into_s = Math.min(found.time_s - start_s, Math.max(end_s - start_s - spare_s, 0));
    return Math.max(this.#begins(found.index) + into_s, this.#first(found.index) + INSIDE_S);
  }

  /** Go to a time of the stream; returns the one that is shown. */
  seek(time_s) {
    const goal_s = Math.max(time_s, 0);
    if (!this.state.loaded) { this.wanted_s = goal_s; return goal_s; }
    this.wanted_s = null;
    this.aimed_s = goal_s;
    const { hole = null, time_s: shown_s = goal_s } = landing(this.segments, goal_s) ?? {};
    this.element.currentTime = this.placeOf(goal_s);
    this.#change({ hole });
    return shown_s;
  }

  goLive() {
    this.wanted_s = null;
    this.aimed_s = null;
    const edge = this.hls?.liveSyncPosition;
    if (!this.state.ended && Number.isFinite(edge)) this.element.currentTime = edge;
    else if (this.state.loaded) this.seek(this.state.end_s - INSIDE_S);
    this.#change({ hole: null });
    this.element.play().catch(() => {});
  }

  get #fragments() { return this.hls?.latestLevelDetails?.fragments ?? []; }

  #fragment(index) {
    const fragments = this.#fragments;
    return fragments[this.segments[index].number - fragments[0]?.sn];
  }

  /** Where a segment's first picture is in the element; before the segment has come, about there. */
  #first(index) {
    const fragment = this.#fragment(index);
    return fragment?.elementaryStreams?.video?.startPTS ?? fragment?.start ?? 0;
  }

  /** Where a segment's start is in the element, as its other pictures tell. */
  #begins(index) {
    const first = this.#first(index);
    const { start_s, end_s } = this.segments[index];
    const end = this.#fragment(index)?.elementaryStreams?.video?.endPTS ?? NaN;
    // Where its first pictures were moved its end still tells; where something is missing at its end, its start does.
    return Math.abs(end - (end_s - start_s) - first) < MOVED_S ? end - (end_s - start_s) : first;
  }

  /** The index of the segment whose pictures a place shows; -1 while that is not known. */
  #shownAt(place) {
    const fragments = this.#fragments;
    const fragment = fragments[Math.max(firstNot(fragments, (one) => one.start <= place) - 1, 0)];
    const index = fragment ? fragment.sn - this.segments[0]?.number : -1;
    if (!this.segments[index]) return -1;
    return index > 0 && this.#first(index) > place ? index - 1 : index; // its first picture comes after its sound
  }

  /** Only a segment that has come tells exactly where its pictures begin: aim again, unless it plays on anyway. */
  #aim() {
    if (this.aimed_s === null || !this.element.paused) return;
    const place = this.placeOf(this.aimed_s);
    if (Math.abs(place - this.element.currentTime) > EXACT_S) this.element.currentTime = place;
  }

  #change(part) {
    const next = { ...this.state, ...part };
    if (Object.keys(next).every((name) => Object.is(next[name], this.state[name]))) return;
    this.state = next;
    this.onChange();
  }

  async #load() {
    let Hls = null;
    try { ({ default: Hls } = await import("../vendor/hls.light.js")); } catch { /* said below */ }
    if (this.closed || this.hls) return;
    if (!Hls?.isSupported()) { this.#change({ failed: "unplayable" }); return; }
    // A worker would need its own permission from the page that embeds a player.
    const hls = new Hls({ enableWorker: false, autoStartLoad: false, backBufferLength: BACK_S, liveDurationInfinity: true, liveSyncDurationCount: BEHIND_SEGMENTS });
    this.hls = hls;
    hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => this.#read(details));
    hls.on(Hls.Events.FRAG_BUFFERED, () => this.#aim());
    hls.on(Hls.Events.ERROR, (_, fault) => { if (fault.fatal && hls === this.hls) this.#failed(Hls, fault); });
    hls.loadSource(this.address);
    hls.attachMedia(this.element);
  }

  #read(details) {
    const playlist = readPlaylist(details.m3u8);
    if (!playlist?.segments.length) return;
    const { segments, ended } = playlist;
    this.segments = segments;
    this.tries = 0;
    this.#change({ loaded: this.state.loaded, ended, failed: "", spans: spansOf(segments), start_s: segments[0].start_s, end_s: segments.at(-1).end_s });
    this.#begin();
    if (ended && this.#on) this.#awaitMore();
  }

  /** Ask now and then whether a recording that had ended goes on. */
  #awaitMore() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      let more = null;
      try { more = readPlaylist(await (await fetch(this.address, { cache: "no-cache" })).text()); } catch { /* asked again */ }
      if (this.closed || !this.#on || !this.state.ended) return;
      if (more && !more.ended) this.resume(); else this.#awaitMore();
    }, AGAIN_MS);
  }

  /** Start loading where it was wished, once the playlist is known. */
  #begin() {
    if (this.state.loaded || !this.segments.length) return;
    this.#change({ loaded: true });
    const wanted_s = this.wanted_s ?? (this.state.ended && !this.#on ? this.state.start_s : null);
    this.hls.startLoad(wanted_s === null ? -1 : this.placeOf(wanted_s));
    if (wanted_s !== null) this.seek(wanted_s);
  }

  #failed(Hls, fault) {
    if (fault.type === Hls.ErrorTypes.MEDIA_ERROR && this.tries < 2) {
      this.tries += 1;
      this.hls.recoverMediaError();
      return;
    }
    const again = fault.type === Hls.ErrorTypes.NETWORK_ERROR;
    this.#change({ failed: again ? "network" : "unplayable" });
    if (!again) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.resume(), Math.min(FIRST_WAIT_MS * 2 ** this.tries, LONGEST_WAIT_MS));
    this.tries += 1;
  }

  #unload() {
    this.hls?.destroy();
    this.hls = null;
    this.segments = [];
    this.#shown = false;
    this.#change({ loaded: false });
  }
}
