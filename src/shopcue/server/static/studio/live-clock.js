/** The time of a live stream: what its events say, carried on by the clock of the machine between them. */

import { useCallback, useEffect, useRef, useState } from "../vendor/htm-preact.js";

const TICK_MS = 500;
const LONGEST_AHEAD_S = 6; // a stream that runs says more often how far it is

/**
 * `{time, hear}`: the newest moment of the stream in seconds (0 for a recording), and where events are told.
 *
 * A recording says which moment it shows. Another video that plays has a time of its own; its newest moment is taken to
 * be the stream's, so that a focus can be found in it. That is right to within the delay of the playback.
 */
export function useLiveClock(video, media) {
  const stream = video?.kind === "stream";
  const live = stream && video.state === "live";
  const last = useRef({ media_s: 0, heard: 0 });
  const [time, setTime] = useState(0);
  const hear = useCallback((event) => {
    const media_s = event.media_s ?? (event.type === "stream.update" ? event.data?.duration_s : null);
    if (typeof media_s === "number" && media_s >= last.current.media_s) last.current = { media_s, heard: performance.now() };
  }, []);
  const known_s = video?.duration_s ?? 0; // as far as it was looked at when the page was loaded
  useEffect(() => {
    if (stream && !last.current.heard && known_s > last.current.media_s) last.current = { media_s: known_s, heard: performance.now() };
  }, [stream, known_s]);
  useEffect(() => {
    if (!stream) return undefined;
    const tick = () => {
      const { media_s, heard } = last.current;
      const now = live && heard ? media_s + Math.min((performance.now() - heard) / 1000, LONGEST_AHEAD_S) : media_s;
      setTime(now);
      const range = media.element?.seekable;
      if (live && heard && range?.length && !media.recording) media.offset = now - range.end(range.length - 1);
    };
    tick();
    const timer = setInterval(tick, TICK_MS);
    return () => clearInterval(timer);
  }, [stream, live, media]);
  return { time, hear };
}
