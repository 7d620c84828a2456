/** What the player's components hold on to while they live: the document, the playback, the size, the full screen. */
import { useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from "../vendor/htm-preact.js";
import { Playback } from "./playback.js";
import { Subscription } from "./subscription.js";

const IDLE_AFTER_MS = 2600;

/** The document of the video at `place`, kept up to date from when the player is first seen; { phase, show, again }. */
export function useSubscription(place, root, onEvent) {
  const [state, setState] = useState({ phase: "loading", show: null });
  const subscription = useRef(null);
  const hear = useRef(onEvent);
  hear.current = onEvent;
  useEffect(() => {
    const current = new Subscription(place, { onState: setState, onEvent: (event, show) => hear.current(event, show) });
    subscription.current = current;
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      current.start();
    }, { rootMargin: "400px" });
    seen.observe(root.current);
    return () => { seen.disconnect(); current.stop(); };
  }, [place.document]);
  return { ...state, again: () => subscription.current.read() };
}

/** A Playback of the <video> in `video`, and a render at each change of it or of what `watch()` returns. */
export function usePlayback(video, watch) {
  const [, draw] = useReducer((count) => count + 1, 0);
  const [playback, setPlayback] = useState(null);
  const listeners = useRef(new Set());
  const seen = useRef(null);
  const look = useRef(watch);
  look.current = watch;
  useEffect(() => {
    const made = new Playback(video.current, {
      onChange: draw,
      onTime: () => {
        listeners.current.forEach((act) => act());
        const now = look.current(made);
        if (now !== seen.current) { seen.current = now; draw(); }
      },
    });
    setPlayback(made);
    return () => made.close();
  }, []);
  const listen = useCallback((act) => {
    listeners.current.add(act);
    return () => listeners.current.delete(act);
  }, []);
  return { playback, listen };
}

/** The width in pixels of the element in `root`. */
export function useWidth(root) {
  const [width, setWidth] = useState(0);
  // Before anything is painted, or the page would jump from one layout to the other.
  useLayoutEffect(() => {
    setWidth(root.current.getBoundingClientRect().width);
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(root.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

/** [whether `root` fills the screen, a function that turns it round or null where nothing can]. */
export function useFullscreen(root, video) {
  const [full, setFull] = useState(false);
  useEffect(() => {
    const look = () => setFull(root.current?.getRootNode().fullscreenElement === root.current && document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", look);
    return () => document.removeEventListener("fullscreenchange", look);
  }, []);
  const toggle = () => {
    if (full) document.exitFullscreen().catch(() => {});
    else if (root.current.requestFullscreen) root.current.requestFullscreen().catch(() => {});
    else video.current.webkitEnterFullscreen?.(); // a phone that shows nothing but the bare video
  };
  const able = document.fullscreenEnabled || "webkitEnterFullscreen" in HTMLVideoElement.prototype;
  return [full, able ? toggle : null];
}

/** [whether nobody has moved for a while, a function to call when somebody does]. */
export function useIdle() {
  const [idle, setIdle] = useState(false);
  const timer = useRef(0);
  const wake = useCallback(() => {
    setIdle(false);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setIdle(true), IDLE_AFTER_MS);
  }, []);
  useEffect(() => { wake(); return () => clearTimeout(timer.current); }, []);
  return [idle, wake];
}
