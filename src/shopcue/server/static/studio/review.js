/**
 * The focuses of one video as the page holds them, and what a person does to them.
 *
 * An action shows at once; the server's answer (or refusal) then takes its place. Actions on one focus are sent one
 * after another, so that each carries the version that the one before made. Newer versions win, whatever way they come.
 */

import { ApiError, get, path, post, query } from "../js/api.js";

export const REVIEWED = new Set(["confirmed", "rejected", "corrected", "added"]);
const LIVE = new Set(["focus.open", "focus.update", "focus.close", "focus.revise"]);
const DONE = { confirm: "Confirmed", reject: "Rejected", replace: "Replaced by", move: "Moved", restore: "Restored" };

export const DOUBTFUL = 0.5; // the server counts those from here on as doubtful, too

export const doubtful = (focus) => focus.status === "found" && focus.doubt >= DOUBTFUL;
export const reviewed = (focus) => REVIEWED.has(focus.status);

/** What the focus will look like once the server has taken the action. */
function foreseen(focus, action, { product_id, title, picture, start_s, end_s }) {
  const found = focus.found ?? { product_id: focus.product_id, start_s: focus.start_s, end_s: focus.end_s };
  const changed = { ...focus, doubt: 0, pending: true };
  if (action === "confirm") return { ...changed, status: focus.status === "corrected" || focus.status === "added" ? focus.status : "confirmed" };
  if (action === "reject") return { ...changed, status: "rejected" };
  if (action === "restore") return { ...changed, status: "found" };
  const status = focus.status === "added" ? "added" : "corrected";
  if (action === "move") return { ...changed, status, start_s, end_s, found: focus.status === "added" ? null : found };
  return { ...changed, status, product_id, title, picture, found: focus.status === "added" ? null : found };
}

export class Review {
  constructor(videoId, toasts) {
    this.videoId = videoId;
    this.toasts = toasts;
    this.kept = new Map(); // as the server has them
    this.shown = new Map(); // as the page shows them: with what is not answered yet
    this.sending = new Map();
    this.done = []; // ids of the focuses that this page changed, for undo
    this.watchers = new Set();
    this.loaded = false;
    this.list = [];
  }

  watch(watcher) { this.watchers.add(watcher); return () => this.watchers.delete(watcher); }

  tell() {
    this.list = [...this.shown.values()].sort((a, b) => a.start_s - b.start_s || a.end_s - b.end_s || (a.focus_id < b.focus_id ? -1 : 1));
    this.watchers.forEach((watcher) => watcher(this.list));
  }

  async load(signal) {
    const { focuses } = await get(query(path("/api/videos/{}/focuses", this.videoId), { include: "rejected" }), { signal });
    const before = this.kept;
    this.kept = new Map(focuses.map((focus) => [focus.focus_id, focus]));
    for (const [id, focus] of before) if (this.kept.get(id)?.version < focus.version) this.kept.set(id, focus);
    this.shown = new Map([...this.kept].map(([id, focus]) => [id, this.sending.has(id) ? this.shown.get(id) ?? focus : focus]));
    this.loaded = true;
    this.tell();
  }

  get(id) { return this.shown.get(id); }

  /** What came by the event stream; true where it told of a focus. */
  receive(event) {
    if (event.type === "focuses.put") { this.load().catch(() => {}); return true; }
    if (!LIVE.has(event.type) && event.type !== "focus.review") return false;
    if (event.data?.status === "withdrawn") this.forget(event.data.focus_id);
    else if (event.data?.focus_id) this.take(event.data);
    return true;
  }

  /** Keep a focus as the server has it, unless a newer one is here. */
  take(focus) {
    const known = this.kept.get(focus.focus_id);
    if (known && known.version > focus.version) return;
    const whole = { ...known, ...focus };
    this.kept.set(focus.focus_id, whole);
    if (!this.sending.has(focus.focus_id)) this.shown.set(focus.focus_id, whole);
    this.tell();
  }

  forget(id) { this.kept.delete(id); this.shown.delete(id); this.tell(); }

  /** Confirm, reject, replace, move or restore; returns when the server has answered. */
  act(id, action, values = {}) {
    const focus = this.shown.get(id);
    if (!focus) return Promise.resolve();
    this.shown.set(id, foreseen(focus, action, values));
    this.tell();
    const { product_id, start_s, end_s } = values;
    const send = () => post(path("/api/focuses/{}/review", id), { action, product_id, start_s, end_s, version: this.kept.get(id)?.version });
    return this.inTurn(id, send).then((answer) => {
      if (!answer) return;
      this.done.push(id);
      this.toasts.show(`${DONE[action]} “${answer.title}”`, { key: id, action: { label: "Undo", run: () => this.undo(id) } });
    });
  }

  /** Take back the last action on a focus: that one, or the last that this page did. */
  undo(id = this.done.at(-1)) {
    if (id === undefined) { this.toasts.show("There is nothing to undo"); return Promise.resolve(); }
    const at = this.done.lastIndexOf(id);
    if (at >= 0) this.done.splice(at, 1);
    return this.inTurn(id, () => post(path("/api/focuses/{}/undo", id))).then((answer) => {
      if (answer) this.toasts.show(`Undone: “${answer.title}” is as it was`, { key: id });
    });
  }

  /** A product that the machine did not see; returns the new focus, or null where the server refused. */
  async add(product, start_s, end_s) {
    try {
      const focus = await post(path("/api/videos/{}/focuses", this.videoId), { product_id: product.product_id, start_s, end_s });
      this.take(focus);
      this.done.push(focus.focus_id);
      this.toasts.show(`Added “${focus.title}”`, { key: focus.focus_id, action: { label: "Undo", run: () => this.undo(focus.focus_id) } });
      return focus;
    } catch (error) {
      this.toasts.fail(error);
      return null;
    }
  }

  async inTurn(id, send) {
    const before = this.sending.get(id) ?? Promise.resolve();
    const turn = before.then(send);
    const settled = turn.then(() => {}, () => {});
    this.sending.set(id, settled);
    try {
      const focus = await turn;
      this.kept.set(id, focus);
      return focus;
    } catch (error) {
      await this.refused(id, error);
      return null;
    } finally {
      if (this.sending.get(id) === settled) {
        this.sending.delete(id);
        const now = this.kept.get(id);
        if (now) this.shown.set(id, now); else this.shown.delete(id);
        this.tell();
      }
    }
  }

  async refused(id, error) {
    const stale = error instanceof ApiError && error.status === 409;
    this.toasts.show(stale ? "Somebody else changed this one just now: here is how it stands" : error.message, { tone: "bad" });
    if (stale || error.status === 404) await this.load().catch(() => {});
  }
}

/** The focuses still to be looked at, the most doubtful first. */
export function doubtfulFirst(focuses) {
  return focuses.filter((focus) => !reviewed(focus)).sort((a, b) => b.doubt - a.doubt || a.start_s - b.start_s);
}
