/**
 * Follows a stream of server events, for as long as the page lives.
 *
 * A browser's EventSource comes back by itself after a cut, but not after an answer such as 502 or 401, and it then
 * forgets where it was: here the last event id is kept, so nothing is missed and nothing comes twice.
 */

const TYPES = [
  "focus.open", "focus.update", "focus.close", "focus.revise", "focus.review", "focuses.put",
  "video.update", "stream.update", "job.update", "catalog.update", "reset",
];
const REST_MS = 60000;
const SHORTEST_MS = 500;
const LONGEST_MS = 15000;

/**
 * Follow `address`; returns a function that stops.
 *
 * after: the id of the last event that is already known (null: only what comes from now on). onEvent(event): the JSON of
 * the event, with its `type`; the type `reset` says that some were missed and cannot be told: load the state anew.
 * onState("open" | "lost"): for a sign on the page; after "lost" events are caught up. rest: give the connection back
 * while the page is hidden for long, since a browser allows only a few to one host.
 */
export function follow(address, { after = null, types = TYPES, onEvent, onState = () => {}, rest = false }) {
  let last = after;
  let source = null;
  let timer = 0;
  let resting = 0;
  let opened = false;
  let wait = SHORTEST_MS;

  function receive(message) {
    let event;
    try { event = JSON.parse(message.data); } catch { return; }
    const id = Number(event.event_id ?? message.lastEventId);
    if (Number.isFinite(id)) {
      if (last !== null && id <= last && event.type !== "reset") return;
      last = id;
    }
    onEvent(event);
  }

  function connect() {
    const url = new URL(address, location.href);
    if (last !== null) url.searchParams.set("after", last);
    source = new EventSource(url);
    source.onopen = () => {
      wait = SHORTEST_MS;
      onState("open");
      // Back without a place to go on from: whatever happened in between was missed.
      if (opened && last === null) onEvent({ type: "reset", event_id: null, data: {} });
      opened = true;
    };
    source.onerror = () => { onState("lost"); source.close(); retry(); };
    for (const type of new Set([...types, "reset"])) source.addEventListener(type, receive);
  }

  function retry() {
    clearTimeout(timer);
    timer = setTimeout(connect, wait * (0.75 + Math.random() / 2));
    wait = Math.min(2 * wait, LONGEST_MS);
  }

  // A machine that wakes up, or a network that is back, need not wait for the next try.
  function hurry() {
    clearTimeout(resting);
    if (rest && document.visibilityState === "hidden") {
      resting = setTimeout(() => { clearTimeout(timer); source?.close(); }, REST_MS);
      return;
    }
    if (document.visibilityState !== "visible" || source?.readyState !== EventSource.CLOSED) return;
    clearTimeout(timer);
    wait = SHORTEST_MS;
    connect();
  }
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  connect();

  return () => {
    clearTimeout(timer);
    clearTimeout(resting);
    source?.close();
    removeEventListener("online", hurry);
    document.removeEventListener("visibilitychange", hurry);
  };
}
