/** The parts that Preact pages are made of: icons, pictures, menus, dialogs, toasts, and loading with its three faces. */

import { h, html, useCallback, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { strokes } from "./icons.js";

let numbers = 0;

/** An id that is new on this page, the same for as long as the component lives. */
export function useId(prefix = "id") {
  const ref = useRef(null);
  ref.current ??= `${prefix}-${(numbers += 1)}`;
  return ref.current;
}

export const Icon = ({ name, class: extra = "" }) =>
  h("svg", { class: `icon ${extra}`, viewBox: "0 0 20 20", "aria-hidden": "true" }, h("path", strokes(name)));

export const Mark = ({ href = "/studio" }) => html`
  <a class="mark" href=${href}>
    <svg viewBox="0 0 20 20" aria-hidden="true"><rect x="1" y="3" width="11" height="4" rx="2" /><rect x="6" y="9" width="13" height="4" rx="2" /><rect x="3" y="15" width="7" height="4" rx="2" /></svg>
    Shopcue
  </a>`;

/** A button that shows its pictogram alone; `label` is its name and its tooltip, `keys` is said beside it. */
export function Tool({ icon, label, keys = "", class: extra = "", ...rest }) {
  return html`<button type="button" class="tool ${extra}" aria-label=${label} title=${keys ? `${label} (${keys})` : label} ...${rest}><${Icon} name=${icon} /></button>`;
}

/** A picture that may be missing or broken: then a pictogram stands in its place. */
export function Picture({ src, alt = "", class: extra = "", icon = "image", ...rest }) {
  const [broken, setBroken] = useState(null);
  const whole = src && broken !== src;
  return html`<span class="pic ${whole ? "" : "none"} ${extra}" ...${rest}>
    ${whole
      ? html`<img src=${src} alt=${alt} loading="lazy" decoding="async" draggable=${false} onError=${() => setBroken(src)} />`
      : html`<${Icon} name=${icon} />`}
  </span>`;
}

/** How far something is, in [0, 1]; null: unknown. */
export function Progress({ share, label, tone = "" }) {
  const known = Number.isFinite(share);
  const value = known ? Math.min(Math.max(share, 0), 1) : undefined;
  return html`<div class="bar ${tone} ${known ? "" : "unknown"}" role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="1" aria-valuenow=${value}>
    <i style=${known ? { transform: `scaleX(${value})` } : {}}></i>
  </div>`;
}

export const Skeleton = ({ class: extra = "", lines = 1, height = "1rem" }) => html`<div class="stack ${extra}" aria-hidden="true">
  ${Array.from({ length: lines }, (_, i) => html`<div class="skeleton" style=${{ height, width: lines > 1 && i === lines - 1 ? "60%" : "100%" }}></div>`)}
</div>`;

export const Empty = ({ icon = "image", title, children, level = 2 }) => html`<div class="empty">
  <${Icon} name=${icon} />${h(`h${level}`, { class: "title" }, title)}${children}
</div>`;

/** What went wrong, in the server's own words, and a way to try again. */
export const Failure = ({ error, retry }) => html`<div class="notice bad" role="alert">
  <${Icon} name="alert" /><span>${error.message}</span>
  ${retry && html`<button type="button" class="button small push" onClick=${retry}>Try again</button>`}
</div>`;

/**
 * Load something and keep it: `{data, error, loading, reload, setData}`.
 *
 * load(signal) is called when one of `keys` changes; an answer that comes after a newer question is dropped. The old
 * data stay while new ones load, so that a list does not blink.
 */
export function useLoad(load, keys) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const current = useRef(null);
  const reload = useCallback(async () => {
    current.current?.abort();
    const asked = new AbortController();
    current.current = asked;
    setState((old) => ({ ...old, loading: true }));
    try {
      const data = await load(asked.signal);
      if (current.current === asked) setState({ data, error: null, loading: false });
    } catch (error) {
      if (current.current === asked && error.name !== "AbortError") setState((old) => ({ ...old, error, loading: false }));
    }
  }, keys);
  useEffect(() => { reload(); return () => { current.current?.abort(); current.current = null; }; }, [reload]);
  const setData = useCallback((change) => setState((old) => ({ ...old, data: typeof change === "function" ? change(old.data) : change })), []);
  return { ...state, reload, setData };
}

/** The value as it was when it last stayed the same for `ms`. */
export function useSettled(value, ms = 200) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** Whether a media query holds, followed. */
export function useMedia(text) {
  const [holds, setHolds] = useState(() => matchMedia(text).matches);
  useEffect(() => {
    const media = matchMedia(text);
    const change = () => setHolds(media.matches);
    change();
    media.addEventListener("change", change);
    return () => media.removeEventListener("change", change);
  }, [text]);
  return holds;
}

/** The address of what was dropped or chosen, given back to the browser when it is no longer shown. */
export function useObjectUrl(blob) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    if (!blob) { setUrl(""); return undefined; }
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}

/** True where a key belongs to the element that has the focus: a field, an open menu, a dialog. */
export function typing(event) {
  return Boolean(event.target.closest?.("input:not([type=checkbox], [type=range]), textarea, select, [contenteditable], dialog, [role=menu]"));
}

/**
 * A dialog over the page: focus stays in it, Escape and the backdrop close it, and the focus goes back to where it was.
 *
 * onSubmit makes the body a form; `footer` holds its buttons. reading: there is nothing but text in it, which the keys
 * scroll where it is longer than the window.
 */
export function Dialog({ title, onClose, onSubmit, footer, reading = false, wide = false, class: extra = "", children }) {
  const ref = useRef(null);
  const id = useId("dialog");
  const pressed = useRef(false);
  useLayoutEffect(() => {
    const before = document.activeElement;
    const dialog = ref.current;
    dialog.showModal();
    (dialog.querySelector("[autofocus]") ?? dialog.querySelector("input, select, textarea, button:not(.leave)"))?.focus();
    return () => { dialog.close(); before?.isConnected && before.focus({ preventScroll: true }); };
  }, []);
  const inside = html`
    <header><h2 id=${id}>${title}</h2><${Tool} class="leave" icon="close" label="Close" onClick=${onClose} /></header>
    <div class="body" tabindex=${reading ? "0" : undefined}>${children}</div>
    ${footer && html`<footer>${footer}</footer>`}`;
  return html`<dialog ref=${ref} class="dialog ${wide ? "wide" : ""} ${extra}" aria-labelledby=${id}
    onCancel=${(event) => { event.preventDefault(); onClose(); }}
    onPointerDown=${(event) => { pressed.current = event.target === ref.current; }}
    onClick=${(event) => { if (pressed.current && event.target === ref.current) onClose(); }}
    onKeyDown=${(event) => event.stopPropagation()}>
    ${onSubmit ? html`<form onSubmit=${(event) => { event.preventDefault(); onSubmit(event); }}>${inside}</form>` : inside}
  </dialog>`;
}

/** Asks before something that cannot be taken back; `word` must be typed where much is lost. */
export function Confirm({ title, children, action, word = "", onConfirm, onClose }) {
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const go = async () => {
    setBusy(true);
    try { await onConfirm(); onClose(); } catch (failure) { setError(failure); setBusy(false); }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} onSubmit=${go} footer=${html`
    <button type="button" class="button" onClick=${onClose}>Cancel</button>
    <button type="submit" class="button danger primary" disabled=${busy || (word && typed !== word)}>${action}</button>`}>
    ${children}
    ${word && html`<${Field} label=${`Type ${word} to go on`}>${(field) => html`<input class="input" autocomplete="off" autofocus value=${typed} onInput=${(event) => setTyped(event.target.value)} ...${field} />`}<//>`}
    ${error && html`<${Failure} error=${error} />`}
  <//>`;
}

/** A labelled field; `children(attributes)` draws the input. */
export function Field({ label, note = "", fault = "", children }) {
  const id = useId("field");
  const said = [note && `${id}-note`, fault && `${id}-fault`].filter(Boolean).join(" ");
  return html`<div class="field">
    <label class="name" for=${id}>${label}</label>
    ${children({ id, "aria-describedby": said || undefined, "aria-invalid": fault ? "true" : undefined })}
    ${note && html`<span class="note" id="${id}-note">${note}</span>`}
    ${fault && html`<span class="fault" id="${id}-fault">${fault}</span>`}
  </div>`;
}

export const Switch = ({ label, checked, disabled = false, onChange }) => html`<label class="switch">
  <input type="checkbox" role="switch" checked=${checked} disabled=${disabled} onChange=${(event) => onChange(event.target.checked)} /><i></i><span>${label}</span>
</label>`;

/** One of a few: `options` is [[value, label], ...]. */
export const Segmented = ({ label, options, value, onChange }) => html`<div class="segmented" role="group" aria-label=${label}>
  ${options.map(([key, text]) => html`<button type="button" aria-pressed=${String(key === value)} onClick=${() => onChange(key)}>${text}</button>`)}
</div>`;

/** A button that opens a menu; arrows move in it, Escape closes it. Children are elements of role menuitem. */
export function Menu({ label, button, class: extra = "button", left = false, children }) {
  const [open, setOpen] = useState(false);
  const ref = useRef(null);
  const items = () => [...ref.current.querySelectorAll("[role^=menuitem]:not(:disabled)")];
  const close = (back) => { setOpen(false); if (back) ref.current?.querySelector("button")?.focus(); };
  useEffect(() => {
    if (!open) return undefined;
    items()[0]?.focus();
    const outside = (event) => { if (!ref.current?.contains(event.target)) setOpen(false); };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const onKeyDown = (event) => {
    if (!open) {
      if (event.key === "ArrowDown") { event.preventDefault(); setOpen(true); }
      return;
    }
    const all = items();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: (at + 1) % all.length, ArrowUp: (at + all.length - 1) % all.length, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape") { event.preventDefault(); close(true); }
    if (event.key === "Tab") close(false);
    if (to !== undefined) { event.preventDefault(); all[to]?.focus(); }
    event.stopPropagation();
  };
  return html`<div class="menu" ref=${ref} onKeyDown=${onKeyDown}>
    <button type="button" class=${extra} aria-haspopup="menu" aria-expanded=${String(open)} aria-label=${label} title=${label} onClick=${() => setOpen(!open)}>${button}</button>
    ${open && html`<div class="list ${left ? "left" : ""}" role="menu" aria-label=${label} onClick=${() => close(true)}>${children}</div>`}
  </div>`;
}

/** Short messages that leave by themselves, at most three at a time; one of them may be undone. */
export class Toasts {
  constructor() { this.all = []; this.watchers = new Set(); this.next = 1; }

  /** Show `text`; `action` is {label, run}; tone "bad" stays longer; it takes the place of one with the same `key`. */
  show(text, { action = null, tone = "", key = null, seconds = tone === "bad" ? 9 : 6 } = {}) {
    const toast = { id: this.next++, text, action, tone, key };
    this.change([...this.all.filter((one) => key === null || one.key !== key).slice(-2), toast]);
    const leave = () => this.change(this.all.filter((one) => one.id !== toast.id));
    setTimeout(leave, seconds * 1000);
    return leave;
  }

  /** Show what an error says. */
  fail(error) { if (error.name !== "AbortError") this.show(error.message, { tone: "bad" }); }

  change(all) { this.all = all; this.watchers.forEach((watch) => watch(all)); }
}

export function ToastList({ toasts }) {
  const [all, setAll] = useState(toasts.all);
  const ref = useRef(null);
  useEffect(() => { toasts.watchers.add(setAll); return () => toasts.watchers.delete(setAll); }, [toasts]);
  // Shown anew at each change, it lies above an open dialog.
  useEffect(() => {
    const list = ref.current;
    if (!list?.showPopover) return;
    if (list.matches(":popover-open")) list.hidePopover();
    if (all.length) list.showPopover();
  }, [all]);
  return html`<div class="toasts" ref=${ref} popover="manual" role="status" aria-live="polite">
    ${all.map((toast) => html`<div class="toast ${toast.tone}" key=${toast.id}>
      <span>${toast.text}</span>
      ${toast.action && html`<button type="button" onClick=${() => { toast.action.run(); toasts.change(toasts.all.filter((one) => one !== toast)); }}>${toast.action.label}</button>`}
      ${!toast.action && html`<button type="button" aria-label="Dismiss" onClick=${() => toasts.change(toasts.all.filter((one) => one !== toast))}>OK</button>`}
    </div>`)}
  </div>`;
}

/** Copies text; where the browser has no clipboard to write to (plain http), by a selection. True when done. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/** Cycles light, dark and the machine's own. */
export function useTheme() {
  const [theme, setTheme] = useState(() => document.documentElement.dataset.theme ?? "auto");
  const choose = (next) => {
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { localStorage.setItem("shopcue-theme", next); } catch { /* a browser may refuse to keep it */ }
    setTheme(next);
  };
  return [theme, choose];
}
