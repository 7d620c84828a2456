/**
 * The clock of the video view: a video that plays, or, where the browser cannot play it, a clock that only jumps.
 *
 * It also learns when frames are shown (their presentation times), which is what the ends of a focus snap to.
 */

import { isRecording, Recording } from "../js/recording.js";
import { firstNot } from "../js/sorted.js";

const MOST_FRAMES = 5000;
const PROBED_FRAMES = 8;
const PROBE_MS = 2500;
const USUAL_FRAME_S = 1 / 25;

/** The presentation times of the frames that were seen, in order, and the usual time between two; `known`: when that is. */
export class FrameTimes {
  constructor() { this.times = []; this.frame_s = USUAL_FRAME_S; this.gaps = []; this.known = Promise.resolve(); }

  add(time) {
    const at = firstNot(this.times, (one) => one < time - 1e-4);
    if (Math.abs((this.times[at] ?? Infinity) - time) < 2e-4) return;
    if (this.times.length >= MOST_FRAMES) this.times.splice(at > MOST_FRAMES / 2 ? 0 : this.times.length - 1, 1);
    this.times.splice(firstNot(this.times, (one) => one < time), 0, time);
    this.learn(time);
  }

  learn(time) {
    const at = firstNot(this.times, (one) => one < time);
    for (const gap of [time - this.times[at - 1], this.times[at + 1] - time]) if (gap > 0.004 && gap < 0.3) this.gaps.push(gap);
    if (this.gaps.length > 60) this.gaps = this.gaps.slice(-60);
    // Frames may have been left out between two that were seen; the shorter gaps are those between neighbours.
    if (this.gaps.length > 3) this.frame_s = [...this.gaps].sort((a, b) => a - b)[Math.floor(this.gaps.length / 4)];
  }

  /** The start of the frame that is shown at `time`, as well as it is known. */
  floor(time) {
    const at = firstNot(this.times, (one) => one <= time + 1e-4) - 1;
    const known = this.times[at] ?? 0;
    return known + Math.floor((time - known) / this.frame_s + 1e-3) * this.frame_s;
  }
}

/**
 * Learn how far apart the frames of a file or a recording are, before anybody plays it: its first few are shown to nobody.
 *
 * Resolves when done, or after a while where the browser does not say or does not play it.
 */
export async function learnFrames(url, frames) {
  const probe = document.createElement("video");
  if (!probe.requestVideoFrameCallback) return;
  Object.assign(probe, { muted: true, preload: "auto" });
  const recording = isRecording(url) ? new Recording(probe, url, { start_s: 0 }) : null;
  if (!recording) probe.src = url;
  await new Promise((done) => {
    let seen = 0;
    const frame = (_, { mediaTime }) => {
      frames.add(recording ? recording.timeAt(mediaTime) : mediaTime);
      seen += 1;
      if (seen < PROBED_FRAMES) probe.requestVideoFrameCallback(frame); else done();
    };
    probe.requestVideoFrameCallback(frame);
    probe.addEventListener("error", done);
    probe.autoplay = true; // as soon as there is something
    setTimeout(done, PROBE_MS);
  });
  probe.pause();
  recording?.close();
  probe.removeAttribute("src");
  probe.load();
}

/** See the module. `element` is the video element, or null; watchers are called with the time as it changes. */
export class Media {
  constructor() {
    this.element = null;
    this.frames = new FrameTimes();
    this.watchers = new Set();
    this.still = 0;
    this.offset = 0; // stream time minus the element's own time, where no recording says it exactly
    this.recording = null;
    this.playable = false;
    this.wanted = null;
    this.waiting = [];
  }

  /** Follow an element, which plays a file, or a recording (see js/recording.js); returns a function that lets it go. */
  attach(element, recording = null) {
    this.element = element;
    this.recording = recording;
    this.playable = true;
    const tell = () => this.tell();
    const settled = () => { this.wanted === null ? tell() : this.jump(); };
    const failed = () => { this.playable = false; this.tell(); };
    let going = true;
    const frame = (_, about) => {
      if (!going) return;
      const time = this.timeAt(about.mediaTime);
      this.frames.add(time);
      this.waiting.splice(0).forEach((resolve) => resolve(time));
      element.requestVideoFrameCallback(frame);
    };
    element.requestVideoFrameCallback?.(frame);
    const run = () => { this.tell(); if (going && !element.paused) requestAnimationFrame(run); };
    const names = { seeked: settled, timeupdate: tell, loadedmetadata: tell, pause: tell, play: run, error: failed, ratechange: tell, volumechange: tell };
    for (const [name, listener] of Object.entries(names)) element.addEventListener(name, listener);
    if (this.still > 0) this.seek(this.still);
    return () => {
      this.still = this.time;
      going = false;
      for (const [name, listener] of Object.entries(names)) element.removeEventListener(name, listener);
      this.element = null;
      this.recording = null;
      this.playable = false;
    };
  }

  /** The time of the video at a time of the element. */
  timeAt(place) { return this.recording ? this.recording.timeAt(place) : place + this.offset; }

  /** The time of the element that shows a time of the video. */
  placeOf(time) { return this.recording ? this.recording.placeOf(time) : time - this.offset; }

  get time() {
    if (!this.playable) return this.still;
    return this.wanted ?? this.recording?.time_s ?? this.timeAt(this.element.currentTime);
  }

  get paused() { return !this.playable || this.element.paused; }

  watch(watcher) { this.watchers.add(watcher); return () => this.watchers.delete(watcher); }

  tell() { this.watchers.forEach((watcher) => watcher(this.time)); }

  /** Go to a moment. While one jump is under way only the last wish is kept, so that dragging stays quick. */
  seek(time) {
    const at = Math.max(0, time);
    if (!this.playable) { this.still = at; this.tell(); return; }
    this.wanted = at;
    if (!this.element.seeking) this.jump();
    this.tell();
  }

  jump() {
    const to = this.wanted;
    this.wanted = null;
    if (this.recording) this.recording.seek(to); else this.element.currentTime = this.placeOf(to);
  }

  /** The start of the frame that is on the screen at `time`; seeks there, and takes the best guess after `ms`. */
  async frameAt(time, ms = 500) {
    await this.frames.known;
    if (!this.playable || !this.element.requestVideoFrameCallback) return this.frames.floor(time);
    const shown = new Promise((resolve) => { this.waiting.push(resolve); });
    this.seek(time);
    const late = new Promise((resolve) => { setTimeout(() => resolve(null), ms); });
    const seen = await Promise.race([shown, late]);
    // A frame of a jump before this one may come first.
    return seen !== null && seen <= time + 1e-3 && time - seen < 2 * this.frames.frame_s ? seen : this.frames.floor(time);
  }

  toggle() {
    if (!this.playable) return;
    if (this.element.paused) this.element.play().catch(() => {}); else this.element.pause();
  }

  pause() { if (this.playable) this.element.pause(); }

  /** Where the frame on the screen begins, and where the next one does: [start, end) in seconds. */
  async frame() {
    await this.frames.known;
    const start = this.frames.floor(this.time + 1e-3);
    return [start, start + this.frames.frame_s].map((time) => Math.round(1000 * time) / 1000);
  }

  /** One frame on (1) or back (-1); a little inside it, or rounding shows the one before. */
  async step(direction) {
    this.pause();
    await this.frames.known;
    const { frame_s } = this.frames;
    this.seek(this.frames.floor(this.time) + direction * frame_s + 0.25 * frame_s);
  }
}
