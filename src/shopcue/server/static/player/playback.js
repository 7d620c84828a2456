/**
 * Plays a file, an HLS stream or a stream's recording in a <video>, and says how that goes.
 *
 * One instance a video element. `state` is a plain object, replaced at every change; `onChange()` is told then, and
 * `onTime()` at every drawn frame while the video runs and whenever its time jumps. Times are seconds of the element,
 * but where a recording plays of its stream (see js/recording.js).
 */
import { isRecording, Recording } from "../js/recording.js";

const LIVE_EDGE_S = 12; // nearer to the end of what can be played than this is "live": HLS keeps a few pieces in hand
const LONGEST_WAIT_MS = 15000;
const IDLE = Object.freeze({
  playing: false, started: false, waiting: false, ended: false, failed: "", muted: false, volume: 1, at_edge: true, growing: false, start_s: 0, end_s: NaN,
  spans: [], hole: null,
});

const isPlaylist = (address) => /\.m3u8$/i.test(new URL(address).pathname);

export class Playback {
  constructor(video, { onChange, onTime }) {
    this.video = video;
    this.state = IDLE;
    this.onChange = onChange;
    this.onTime = onTime;
    this.source = null;
    this.hls = null;
    this.recording = null;
    this.timer = 0;
    this.frame = 0;
    this.tries = 0;
    this.stopping = new AbortController();
    this.#listen();
  }

  /** Play from `address`, or nothing where it is "". live: what comes is happening now. start_s: where to begin. autoplay: at once, if allowed. */
  open(address, { live = false, start_s = 0, autoplay = false } = {}) {
    this.#release();
    this.source = address ? { address, live } : null;
    this.autoplay = autoplay;
    this.tries = 0;
    this.wanted_s = live ? 0 : start_s;
    this.#change({ ...IDLE, muted: this.video.muted, volume: this.video.volume });
    if (!address) return;
    this.#load();
    if (autoplay) this.play();
  }

  close() {
    this.stopping.abort();
    this.#release();
    cancelAnimationFrame(this.frame);
  }

  /** Start; where a browser wants a touch before sound, start without sound. */
  async play() {
    if (this.state.failed) this.retry();
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError" || this.video.muted) return;
      this.video.muted = true;
      await this.video.play().catch(() => {});
    }
  }

  toggle() {
    if (this.video.paused || this.video.ended) this.play(); else this.video.pause();
  }

  seek(time_s) {
    const { start_s, end_s } = this.state;
    const last = Number.isFinite(end_s) ? Math.max(end_s - 0.05, start_s) : Infinity;
    const goal = Math.min(Math.max(time_s, start_s), last);
    if (this.recording) this.recording.seek(goal);
    else if (this.video.readyState === 0) this.wanted_s = goal;
    else this.video.currentTime = goal;
    this.onTime();
  }

  goLive() {
    if (this.recording) { this.recording.goLive(); this.play(); return; }
    const edge = this.hls?.liveSyncPosition ?? this.state.end_s - 3;
    if (Number.isFinite(edge)) this.video.currentTime = Math.max(edge, this.state.start_s);
    this.play();
  }

  /** Whether a recording's stream is on: then there will be more of it. */
  setLive(live) {
    if (!this.recording) return;
    this.source = { ...this.source, live };
    this.recording.on = live;
  }

  /** Where the video is; before it has loaded, where it will begin. */
  get time_s() {
    if (this.recording) return this.recording.time_s;
    return this.video.readyState === 0 ? this.wanted_s : this.video.currentTime;
  }

  /** Whether `time_s` is known: a recording begins where only its first picture tells. */
  get placed() { return this.recording?.placed ?? true; }

  setMuted(muted) {
    this.video.muted = muted;
    if (!muted && this.video.volume === 0) this.video.volume = 1;
  }

  setVolume(volume) {
    this.video.volume = Math.min(Math.max(volume, 0), 1);
    this.video.muted = this.video.volume === 0;
  }

  /** Load again after a fault, at the time where it broke. */
  retry() {
    if (!this.source) return;
    clearTimeout(this.timer);
    if (this.recording) { this.#change({ failed: "", waiting: true }); this.recording.resume(); return; }
    if (!this.source.live) this.wanted_s = this.video.currentTime || this.wanted_s;
    this.#unload();
    this.#change({ failed: "", waiting: true });
    this.#load();
  }

  #listen() {
    const on = (names, act) => names.split(" ").forEach((name) => this.video.addEventListener(name, act, { signal: this.stopping.signal }));
    on("play", () => this.#run());
    on("playing", () => { this.tries = 0; this.#change({ playing: true, started: true, waiting: false, ended: false, failed: "" }); });
    on("pause", () => this.#change({ playing: false }));
    on("ended", () => this.#change({ playing: false, ended: true }));
    on("waiting", () => this.#change({ waiting: true }));
    on("canplay seeked", () => this.#change({ waiting: false, ended: this.video.ended }));
    on("volumechange", () => this.#change({ muted: this.video.muted, volume: this.video.volume }));
    on("durationchange progress timeupdate loadedmetadata", () => this.#measure());
    on("loadedmetadata", () => { if (this.wanted_s > 0 && !this.recording) this.video.currentTime = this.wanted_s; });
    on("seeking seeked timeupdate loadedmetadata", () => this.onTime());
    on("error", () => this.#failed());
  }

  #run() {
    cancelAnimationFrame(this.frame);
    const step = () => {
      this.onTime();
      if (!this.video.paused) this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  #change(part) {
    const next = { ...this.state, ...part };
    if (Object.keys(next).every((name) => Object.is(next[name], this.state[name]))) return;
    this.state = next;
    this.onChange();
  }

  /** What can be played: the whole file, or of a live stream the stretch that its server still has. */
  #measure() {
    const { video } = this;
    if (this.recording) {
      const { start_s, end_s, ended, spans, hole } = this.recording.state;
      if (spans.length) this.#change({ start_s, end_s, spans, hole, growing: !ended, at_edge: this.recording.atEdge });
    } else if (Number.isFinite(video.duration)) {
      this.#change({ start_s: 0, end_s: video.duration, at_edge: true, growing: false });
    } else if (video.seekable.length) {
      const end_s = video.seekable.end(video.seekable.length - 1);
      this.#change({ growing: true, start_s: video.seekable.start(0), end_s, at_edge: end_s - video.currentTime < LIVE_EDGE_S });
    }
  }

  async #load() {
    const { address, live } = this.source;
    if (isRecording(new URL(address).pathname)) this.#loadRecording(address, live);
    else if (!isPlaylist(address)) this.video.src = address;
    else await this.#loadPlaylist(this.source);
  }

  #loadRecording(address, live) {
    const hear = () => {
      const { failed } = this.recording?.state ?? {};
      if (failed) this.#change({ failed, waiting: false, playing: false });
      else if (failed === "" && this.state.failed) this.#change({ failed: "" });
      this.#measure();
      this.onTime();
    };
    this.recording = new Recording(this.video, address, { on: live, start_s: live || !this.wanted_s ? null : this.wanted_s, onChange: hear });
  }

  /** With hls.js where the browser allows it, for it tells more; else by the browser itself (phones of one maker). */
  async #loadPlaylist(source) {
    let Hls = null;
    try { ({ default: Hls } = await import("../vendor/hls.light.js")); } catch { /* the browser may do without */ }
    if (source !== this.source || this.stopping.signal.aborted) return;
    if (!Hls?.isSupported()) { this.video.src = source.address; return; }
    // A worker would need its own permission from the page that embeds us.
    this.hls = new Hls({ enableWorker: false, backBufferLength: 120, liveDurationInfinity: true });
    this.hls.on(Hls.Events.ERROR, (_, fault) => { if (fault.fatal) this.#hlsFailed(Hls, fault); });
    this.hls.loadSource(source.address);
    this.hls.attachMedia(this.video);
  }

  #hlsFailed(Hls, fault) {
    if (fault.type === Hls.ErrorTypes.MEDIA_ERROR && this.tries < 2) {
      this.tries += 1;
      this.hls.recoverMediaError();
    } else if (fault.type === Hls.ErrorTypes.NETWORK_ERROR) this.#failed("network");
    else this.#failed("unplayable");
  }

  #failed(kind = this.video.error?.code === MediaError.MEDIA_ERR_NETWORK ? "network" : "unplayable") {
    if (!this.source || this.recording || (!this.video.error && !this.hls)) return;
    const again = kind === "network" || this.source.live;
    this.#change({ failed: again ? "network" : "unplayable", waiting: false, playing: false });
    if (!again) return;
    clearTimeout(this.timer);
    const resume = this.state.started || this.autoplay;
    this.timer = setTimeout(() => { this.retry(); if (resume) this.play(); }, Math.min(1000 * 2 ** this.tries, LONGEST_WAIT_MS));
    this.tries += 1;
  }

  #unload() {
    this.hls?.destroy();
    this.hls = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  #release() {
    clearTimeout(this.timer);
    this.source = null;
    this.recording?.close();
    this.recording = null;
    if (this.hls || this.video.hasAttribute("src")) this.#unload();
  }
}
