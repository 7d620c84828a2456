/** From frame to frame of a video whose frame rate nobody has said. */
import { firstNot } from "../js/sorted.js";

const SLOWLY = 0.5; // a frame is easily caught at this speed
const LONGEST_MS = 1200;
const A_HAIR_S = 0.002;
const MOST_BETWEEN = 8;

/** Steps through the video of a `Media`; while one step is under way others are left out, so a held key goes steadily. */
export class FrameSteps {
  constructor(media) {
    this.media = media;
    this.busy = false;
  }

  /** Show the next frame (direction 1) or the one before (-1). */
  async step(direction) {
    const { element, playable } = this.media;
    if (this.busy || !playable || !element.requestVideoFrameCallback) return;
    this.busy = true;
    this.media.pause();
    try { this.media.seek(await this.#goal(direction)); } finally { this.busy = false; }
  }

  async #goal(direction) {
    const { media } = this;
    const { times } = media.frames;
    const shown = times[firstNot(times, (one) => one <= media.time + 1e-4) - 1] ?? 0;
    // Any time just before a frame starts shows the one before.
    if (direction < 0) return Math.max(shown - A_HAIR_S, 0);
    let next = await playFrame(media, shown);
    // A busy machine leaves frames out: none may lie between.
    for (let i = 0; i < MOST_BETWEEN && next > shown; i += 1) {
      const before = await frameAt(media, next - A_HAIR_S);
      if (before <= shown + A_HAIR_S) break;
      next = before;
    }
    return next + A_HAIR_S;
  }
}

/** Seek to a time; returns the start of the frame that is shown there, or 0 where that is not told. */
function frameAt(media, time_s) {
  const { element } = media;
  return new Promise((resolve) => {
    const look = (_, { mediaTime }) => {
      // One that was on its way before is of another time.
      if (media.timeAt(mediaTime) <= time_s) resolve(media.timeAt(mediaTime)); else element.requestVideoFrameCallback(look);
    };
    element.requestVideoFrameCallback(look);
    element.currentTime = media.placeOf(time_s);
    setTimeout(() => resolve(0), LONGEST_MS);
  });
}

/** Where the next frame starts is not known: play until it is there; returns its start. */
function playFrame(media, shown) {
  const { element } = media;
  const rate = element.playbackRate;
  return new Promise((resolve) => {
    let waiting = true;
    const stop = (time_s) => {
      waiting = false;
      element.pause();
      element.playbackRate = rate;
      resolve(time_s);
    };
    const look = (_, { mediaTime }) => {
      if (!waiting) return;
      const time_s = media.timeAt(mediaTime);
      if (time_s > shown + A_HAIR_S) stop(time_s); else element.requestVideoFrameCallback(look);
    };
    element.requestVideoFrameCallback(look);
    element.playbackRate = SLOWLY;
    element.play().catch(() => stop(shown));
    setTimeout(() => { if (waiting) stop(shown); }, LONGEST_MS);
  });
}
