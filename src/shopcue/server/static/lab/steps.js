/** From frame to frame of a video whose frame rate nobody has said. */
import { firstNot } from "../studio/timescale.js";

const SLOWLY = 0.5; // a frame is easily caught at this speed
const LONGEST_MS = 1200;
const A_HAIR_S = 0.002;

/** Show the next frame (direction 1) or the one before (-1). */
export async function stepFrame(media, direction) {
  if (!media.playable || !media.element.requestVideoFrameCallback) return;
  media.pause();
  const { times, gaps, frame_s } = media.frames;
  const shown = times[firstNot(times, (one) => one <= media.time + 1e-4) - 1] ?? 0;
  // Any time just before a frame starts shows the one before.
  if (direction < 0) media.seek(Math.max(shown - A_HAIR_S, 0));
  else if (gaps.length > 3) media.seek(shown + 1.25 * frame_s);
  else media.seek(await playFrame(media.element, shown) + A_HAIR_S);
}

/** Where the next frame starts is not known: play until it is there; returns its start. */
function playFrame(element, shown) {
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
      if (mediaTime > shown + A_HAIR_S) stop(mediaTime); else element.requestVideoFrameCallback(look);
    };
    element.requestVideoFrameCallback(look);
    element.playbackRate = SLOWLY;
    element.play().catch(() => stop(shown));
    setTimeout(() => { if (waiting) stop(shown); }, LONGEST_MS);
  });
}
