/** The public document of a video, read once and then kept up to date by the server's events. */
import { follow } from "../js/events.js";
import { applyEvent, readDocument } from "./document.js";

const TYPES = [
  "focus.open", "focus.update", "focus.close", "focus.revise", "focus.review", "focuses.put", "video.update", "stream.update",
];
const SHORTEST_MS = 1000;
const LONGEST_MS = 20000;

/**
 * Follows one video from `start` to `stop`.
 *
 * onState({ phase, show }): phase is "loading", "ready", "missing" (not published, or gone) or "unreachable"; show is the
 * document, null before it came. onEvent(event, show): each event, after the document has taken it in.
 */
export class Subscription {
  constructor(place, { onState, onEvent = () => {} }) {
    this.place = place;
    this.onState = onState;
    this.onEvent = onEvent;
    this.phase = "loading";
    this.show = null;
    this.wait_ms = SHORTEST_MS;
    this.pending = null; // the events that came while the document is read anew
    this.unfollow = null;
    this.stopping = new AbortController();
    this.timer = 0;
  }

  start() { this.read(); }

  stop() {
    this.stopping.abort();
    clearTimeout(this.timer);
    this.unfollow?.();
  }

  /** Read the document (again). */
  async read() {
    clearTimeout(this.timer);
    if (this.pending) return;
    this.pending = [];
    let answer = null;
    try {
      answer = await fetch(this.place.document, { credentials: "omit", cache: "no-cache", signal: this.stopping.signal });
      if (answer.ok) this.#taken(readDocument(await answer.json(), this.place));
      else if (answer.status === 404 || answer.status === 410) this.#missing();
      else this.#unreached();
    } catch {
      if (!this.stopping.signal.aborted) this.#unreached();
    } finally {
      this.pending = null;
    }
  }

  #taken(show) {
    this.show = show;
    this.wait_ms = SHORTEST_MS;
    const missed = this.pending.filter((event) => event.event_id > (show.last_event_id ?? Infinity));
    this.pending = null;
    this.#say("ready");
    missed.forEach((event) => this.#receive(event));
    this.unfollow ??= follow(this.place.events, {
      after: show.last_event_id, types: TYPES, onEvent: (event) => this.#receive(event), onState: (state) => this.#line(state),
    });
  }

  #missing() {
    this.unfollow?.();
    this.unfollow = null;
    this.show = null;
    this.#say("missing");
  }

  #unreached() {
    this.timer = setTimeout(() => this.read(), this.wait_ms * (0.75 + Math.random() / 2));
    this.wait_ms = Math.min(2 * this.wait_ms, LONGEST_MS);
    if (!this.show) this.#say("unreachable");
  }

  #receive(event) {
    if (this.pending) { this.pending.push(event); return; }
    const next = applyEvent(this.show, event, this.place);
    if (!next) { this.read(); return; }
    const changed = next !== this.show;
    this.show = next;
    this.onEvent(event, next);
    if (changed) this.#say("ready");
  }

  /** A line that is cut comes back by itself; whether the video is still published is asked beside it, not by all at once. */
  #line(state) {
    if (state === "lost") this.timer = setTimeout(() => this.read(), 2000 + 4000 * Math.random());
    else clearTimeout(this.timer);
  }

  #say(phase) {
    this.phase = phase;
    this.onState({ phase, show: this.show });
  }
}
