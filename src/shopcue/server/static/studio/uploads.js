/**
 * Files on their way to the server: in pieces, with a pause, and going on where they were after a cut or a reload.
 *
 * The server keeps what it has acknowledged. What the page keeps (in localStorage) is which upload belongs to which
 * file; after a reload the person chooses the file again, and only what is missing is sent.
 */

import { get, path, post, remove, request } from "../js/api.js";

const KEPT = "shopcue-uploads";
const AT_ONCE = 2;
const LONGEST_WAIT_MS = 20000;
const KEPT_DAYS = 7;

const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});
const sameFile = (one, file) => one.name === file.name && one.size === file.size && one.modified === file.lastModified;

/** Which kinds of failure may pass by themselves. */
const passing = (error) => error.status === 0 || error.status === 429 || error.status >= 500;

/**
 * One upload: {key, shop, kind, name, size, offset, state, error, then}.
 *
 * state: waiting, sending, paused, lost (the file must be chosen again), finishing, done, failed. `then` says what is to
 * be made of it, as plain data, so that it outlives a reload: {make: "video", title, speech, ...} or {make: "import", ...}.
 */
export class Uploads {
  constructor(toasts) {
    this.toasts = toasts;
    this.all = [];
    this.files = new Map();
    this.asked = new Map();
    this.watchers = new Set();
    this.finished = new Set();
    this.next = Date.now();
    this.recall();
  }

  watch(watcher) { this.watchers.add(watcher); return () => this.watchers.delete(watcher); }

  tell() { const list = [...this.all]; this.watchers.forEach((watcher) => watcher(list)); }

  change(key, values) {
    this.all = this.all.map((one) => (one.key === key ? { ...one, ...values } : one));
    this.keep();
    this.tell();
  }

  of(key) { return this.all.find((one) => one.key === key); }

  keep() {
    const open = this.all.filter((one) => one.upload_id && one.state !== "done" && one.state !== "failed");
    try { localStorage.setItem(KEPT, JSON.stringify(open)); } catch { /* a browser may refuse to keep it */ }
  }

  recall() {
    let kept = [];
    try { kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]"); } catch { /* nothing that can be read */ }
    const oldest = Date.now() - KEPT_DAYS * 86400e3;
    if (!Array.isArray(kept)) return;
    this.all = kept.filter((one) => one && typeof one.upload_id === "string" && one.began > oldest).map((one) => ({ ...one, state: "lost", error: "" }));
    for (const one of this.all) this.look(one);
  }

  /** Ask the server how far an upload of before is; drop it where it is gone, finish it where it is whole. */
  async look(one) {
    try {
      const { offset, state } = await get(path("/api/uploads/{}", one.upload_id));
      if (state === "used" || state === "failed") this.drop(one.key);
      else if (offset >= one.size) this.finish(one.key);
      else this.change(one.key, { offset });
    } catch (error) {
      if (error.status === 404) this.drop(one.key);
    }
  }

  drop(key) {
    this.all = this.all.filter((one) => one.key !== key);
    this.keep();
    this.tell();
  }

  /** Send a file; where the same file was begun before, go on with that. Returns the key. */
  add(shop, file, kind, then) {
    const before = this.all.find((one) => one.state === "lost" && one.shop === shop && one.kind === kind && sameFile(one, file));
    if (before) { this.resume(before.key, file); return before.key; }
    const key = `u${this.next++}`;
    this.files.set(key, file);
    this.all = [...this.all, { key, shop, kind, then, name: file.name, size: file.size, modified: file.lastModified, offset: 0, state: "waiting", error: "", upload_id: "", rate: 0, began: Date.now() }];
    this.tell();
    this.pump();
    return key;
  }

  /** Go on; after a reload with the file that was chosen again. */
  resume(key, file = null) {
    const one = this.of(key);
    if (file) {
      if (!sameFile(one, file)) { this.change(key, { error: `that is another file: choose ${one.name} of ${one.size.toLocaleString("en")} bytes` }); return; }
      this.files.set(key, file);
    }
    if (!this.files.has(key)) return;
    this.change(key, { state: "waiting", error: "" });
    this.pump();
  }

  pause(key) { this.change(key, { state: "paused" }); this.asked.get(key)?.abort(new DOMException("paused", "AbortError")); this.pump(); }

  /** Stop it for good, and let the server forget what it has. */
  cancel(key) {
    const one = this.of(key);
    this.asked.get(key)?.abort(new DOMException("cancelled", "AbortError"));
    this.files.delete(key);
    this.drop(key);
    if (one?.upload_id) remove(path("/api/uploads/{}", one.upload_id)).catch(() => {});
    this.pump();
  }

  pump() {
    const sending = this.all.filter((one) => one.state === "sending").length;
    for (const one of this.all.filter((each) => each.state === "waiting").slice(0, Math.max(0, AT_ONCE - sending))) this.send(one.key);
  }

  async send(key) {
    const asked = new AbortController();
    this.asked.set(key, asked);
    this.change(key, { state: "sending", error: "" });
    try {
      await this.pieces(key, asked.signal);
      await this.finish(key);
    } catch (error) {
      if (error.name !== "AbortError" && this.of(key)) this.change(key, { state: "failed", error: error.message });
    } finally {
      if (this.asked.get(key) === asked) this.asked.delete(key);
      this.pump();
    }
  }

  async pieces(key, signal) {
    let one = this.of(key);
    const file = this.files.get(key);
    if (!one.upload_id) {
      const made = await this.insist(() => post(path("/api/shops/{}/uploads", one.shop), { name: one.name, size: one.size, kind: one.kind }, { signal }), signal);
      this.change(key, { upload_id: made.upload_id, chunk_bytes: made.chunk_bytes });
    } else {
      const { offset } = await this.insist(() => get(path("/api/uploads/{}", one.upload_id), { signal }), signal);
      this.change(key, { offset });
    }
    for (one = this.of(key); one && one.offset < one.size; one = this.of(key)) {
      const began = performance.now();
      const from = one.offset;
      const offset = await this.piece(one, file, signal);
      const rate = ((offset - from) * 1000) / Math.max(performance.now() - began, 1);
      this.change(key, { offset, rate: one.rate ? 0.7 * one.rate + 0.3 * rate : rate });
    }
  }

  /** Send the next piece; returns how far the server is, which is less than wished after a cut. */
  async piece(one, file, signal) {
    const end = Math.min(one.offset + (one.chunk_bytes || 8388608), one.size);
    const body = file.slice(one.offset, end);
    const headers = { "Upload-Offset": String(one.offset), "Content-Type": "application/offset+octet-stream" };
    return this.insist(async (again) => {
      if (again) {
        // The answer to the piece may have been lost while the piece was not.
        const { offset } = await get(path("/api/uploads/{}", one.upload_id), { signal });
        if (offset !== one.offset) return offset;
      }
      try {
        return (await request("PATCH", path("/api/uploads/{}", one.upload_id), { body, headers, signal })).offset;
      } catch (error) {
        if (error.status === 409 && Number.isFinite(error.body.offset)) return error.body.offset;
        throw error;
      }
    }, signal);
  }

  /** Try until it works or cannot: a network that comes and goes is no failure. */
  async insist(act, signal) {
    for (let turn = 0; ; turn += 1) {
      try {
        return await act(turn > 0);
      } catch (error) {
        if (error.name === "AbortError" || !passing(error)) throw error;
        await sleep(Math.min(LONGEST_WAIT_MS, 500 * 2 ** turn) * (0.75 + Math.random() / 2), signal);
      }
    }
  }

  async finish(key) {
    const one = this.of(key);
    if (!one) return;
    this.change(key, { state: "finishing" });
    try {
      const made = await this.make(one);
      this.finished.forEach((heard) => heard(one, made));
      this.files.delete(key);
      this.drop(key);
    } catch (error) {
      this.change(key, { state: "failed", error: error.message });
    }
  }

  /** What is to be made of an upload that is whole. */
  async make({ shop, upload_id, then, name }) {
    if (then.make === "video") {
      const { make: _, ...values } = then;
      return post(path("/api/shops/{}/videos", shop), { upload_id, title: name.replace(/\.[a-z0-9]{1,5}$/i, ""), ...values });
    }
    return post(path("/api/shops/{}/imports", shop), { upload_id, delete_missing: Boolean(then.delete_missing) });
  }

  /** Send a small file at once (subtitles, comments); returns its upload_id. */
  async small(shop, file, kind) {
    const { signal } = new AbortController();
    const { upload_id, chunk_bytes } = await post(path("/api/shops/{}/uploads", shop), { name: file.name, size: file.size, kind });
    for (let offset = 0; offset < file.size;) offset = await this.piece({ upload_id, offset, chunk_bytes, size: file.size }, file, signal);
    return upload_id;
  }
}
