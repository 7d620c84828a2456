/** The whole player: what follows the video, the events and the viewer, and how its parts stand together. */
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { Card, Products, Related } from "./cards.js";
import { Controls, Scrub, Share } from "./controls.js";
import { useFullscreen, useIdle, usePlayback, useSubscription, useWidth } from "./hooks.js";
import { Icon } from "./icons.js";
import { byProduct, cardAt, liveCard, neighbour, onScreen, open } from "./moments.js";
import { say } from "./words.js";

const BESIDE_PX = 760; // from this width on, the products stand beside the video
const TALL = 0.8; // a video narrower than this share of its height is one for phones held upright
const INSIDE_S = 0.02; // a hair after a focus begins, or rounding shows the frame before it

/** How the parts stand: see style.js. */
export function layoutOf(width, ratio, full) {
  if (full) return "immersive";
  if (width >= BESIDE_PX) return "beside";
  return ratio < TALL ? "tall" : "stacked";
}

/** What is wrong with the picture, as [sign, words, more words, may be tried again], or null. */
function troubleOf(phase, show, state, words) {
  if (phase === "missing") return ["gone", words.missing, words.missing_why, false];
  if (phase === "unreachable") return ["gone", words.unreachable, words.unreachable_why, true];
  if (!show) return null;
  if (show.live && ["stopped", "failed"].includes(show.state)) return ["gone", show.focuses.length ? words.ended : words.paused, "", false];
  if (show.live && show.state === "starting") return ["gone", words.starting, "", false];
  if (show.live && !show.playback) return ["gone", words.no_picture, "", false];
  if (state?.failed === "network") return ["gone", show.live ? words.reconnecting : words.unreachable, show.live ? "" : words.unreachable_why, true];
  if (state?.failed) return ["gone", words.unplayable, "", true];
  return null;
}

/** The address to play, or "": a stream that does not run has none. */
function sourceOf(show) {
  if (!show.live) return show.media || show.playback;
  return ["live", "reconnecting"].includes(show.state) ? show.playback : "";
}

/** Where the viewer is in the time of the video, and what is on screen there. */
class Position {
  constructor() {
    this.offset_s = 0; // seconds of the video minus seconds of the player; NaN: not known (yet)
    this.live = false;
  }

  time(playback) { return (playback?.time_s ?? 0) + (Number.isNaN(this.offset_s) ? 0 : this.offset_s); }

  /** A live viewer who is not in the past sees what the server says, as soon as it says it. */
  atEvents(playback) { return this.live && (Number.isNaN(this.offset_s) || (playback?.state.at_edge ?? true)); }

  card(show, playback) { return this.atEvents(playback) ? liveCard(show.focuses) : cardAt(show.focuses, this.time(playback)); }

  current(show, playback) { return this.atEvents(playback) ? open(show.focuses) : onScreen(show.focuses, this.time(playback)); }
}

/**
 * The player of one video. place: see document.js; options: { autoplay, muted, start_s, ratio, share_url };
 * emit(name, detail, cancelable): tells the page, false if it prevented what comes next.
 */
export function Player({ place, options, words, emit, bind }) {
  const root = useRef(null);
  const video = useRef(null);
  const position = useRef(new Position()).current;
  const width = useWidth(root);
  const [full, toggleFull] = useFullscreen(root, video);
  const [idle, wake] = useIdle();
  const [opened, setOpened] = useState(""); // "", "list" or "share"
  const [size, setSize] = useState(NaN);

  const onEvent = (event) => {
    const end_s = playback?.state.end_s;
    if (position.live && Number.isFinite(event.media_s) && Number.isFinite(end_s)) position.offset_s = event.media_s - end_s;
  };
  const { phase, show, again } = useSubscription(place, root, onEvent);
  const { playback, listen } = usePlayback(video, (made) => show && signature(position.card(show, made), position.current(show, made)));
  const state = playback?.state ?? null;

  const source = show ? sourceOf(show) : "";
  const live = show?.live ?? false;
  useEffect(() => {
    if (!playback || !show) return;
    position.live = live;
    position.offset_s = live ? NaN : 0;
    if (source) playback.open(source, { live, start_s: options.start_s, autoplay: options.autoplay });
    else playback.open("", {});
  }, [playback, source, live]);
  useEffect(() => { if (phase === "missing") playback?.open("", {}); }, [phase]);

  const card = show ? position.card(show, playback) : { focus: null, when: "none" };
  const current = show ? position.current(show, playback) : [];
  useEffect(() => {
    if (card.when !== "now") return;
    const product = show.products.get(card.focus.product_id);
    emit("shopcue-focus", { video_id: show.video_id, focus_id: card.focus.focus_id, ...told(product), start_s: card.focus.start_s, live });
  }, [card.when === "now" && `${card.focus.focus_id} ${card.focus.product_id}`]);
  useEffect(() => { emit("shopcue-state", { state: phase }); }, [phase]);

  const seek = useCallback((time_s) => playback?.seek(time_s - (position.offset_s || 0)), [playback]);
  const jump = useCallback((focus) => {
    const end_s = Number.isFinite(focus.end_s) ? focus.end_s : focus.start_s + 1;
    seek(Math.min(focus.start_s + INSIDE_S, (focus.start_s + end_s) / 2));
    playback?.play();
    setOpened("");
  }, [playback]);
  const ticker = useMemo(() => ({ time: () => position.time(playback), listen }), [playback]);
  const buy = (where) => (event, product) => {
    const followed = emit("shopcue-click", { video_id: show.video_id, ...told(product), link: product.link, where, time_s: position.time(playback) }, true);
    if (!followed) event.preventDefault();
  };

  const canJump = (focus) => Boolean(source) && (!live || focus.start_s - position.offset_s >= (state?.start_s ?? Infinity));
  const known = (state?.end_s > 0 ? state.end_s : show?.duration_s) ?? NaN;
  const range = source && known > 0 && !Number.isNaN(position.offset_s) ? [(state?.start_s ?? 0) + position.offset_s, known + position.offset_s] : null;
  const ratio = size || show?.ratio || options.ratio || 16 / 9;
  const layout = layoutOf(width, ratio, full);
  const overlay = layout === "tall" || layout === "immersive";
  const trouble = troubleOf(phase, show, state, words);
  const silent = phase === "loading" || phase === "missing" || phase === "unreachable";

  const press = (event) => {
    const acts = {
      " ": () => playback.toggle(), k: () => playback.toggle(), ArrowLeft: () => playback.seek(playback.time_s - 5),
      ArrowRight: () => playback.seek(playback.time_s + 5), j: () => playback.seek(playback.time_s - 10), l: () => playback.seek(playback.time_s + 10),
      m: () => playback.setMuted(!playback.state.muted), f: () => toggleFull?.(), Home: () => playback.seek(0), End: () => playback.seek(Infinity),
      n: () => step(1), p: () => step(-1), Escape: () => setOpened(""),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || !source || event.altKey || event.ctrlKey || event.metaKey || !steers(event)) return;
    if (event.key === "Escape" && !opened) return;
    event.preventDefault();
    wake();
    act();
  };
  const step = (direction) => {
    const focus = neighbour(show.focuses.filter(canJump), position.time(playback), direction);
    if (focus) jump(focus);
  };
  bind.press = press;

  const shown = useMemo(() => {
    const entries = [...byProduct(show?.focuses ?? [])];
    return live ? entries.sort((a, b) => b[1].at(-1).start_s - a[1].at(-1).start_s) : entries;
  }, [show?.focuses, live]);
  const nothing = live ? words.waiting : ["new", "matching"].includes(show?.state) ? words.finding : words.nothing;
  const cardView = show && html`<${Card} card=${{ ...card, note: nothing }} products=${show.products} words=${words} onBuy=${buy("card")} />`;
  const list = show && html`<${Products} shown=${shown} products=${show.products} current=${new Set(current.map((focus) => focus.product_id))} words=${words}
    empty=${nothing} time=${() => position.time(playback)} canJump=${canJump} onJump=${jump} onBuy=${buy("list")} />`;
  const acts = {
    toggle: () => playback.toggle(), goLive: () => playback.goLive(), volume: (volume) => playback.setVolume(volume),
    mute: () => playback.setMuted(!playback.state.muted), full: toggleFull, share: options.share_url === "none" ? null : () => share(),
    list: overlay && show ? () => setOpened(opened === "list" ? "" : "list") : null,
  };
  const address = options.share_url && options.share_url !== "none" ? options.share_url : show?.page;
  const share = async () => {
    if (navigator.share && matchMedia("(pointer: coarse)").matches) {
      await navigator.share({ title: show.title, url: address }).catch(() => {});
    } else setOpened(opened === "share" ? "" : "share");
  };

  const quiet = idle && state?.playing && !opened && layout !== "tall";
  return html`<div class="player" part="player" ref=${root} data-layout=${layout} data-phase=${phase} style=${{ "--ratio": ratio }}
      role="region" aria-label=${show?.title || words.player} onKeyDown=${press}>
    <div class=${`stage${quiet ? " quiet" : ""}${state?.started ? " started" : ""}${trouble ? " troubled" : ""}`} part="stage"
        onPointerMove=${wake} onFocusIn=${wake} aria-busy=${phase === "loading"}>
      <div class="frame" inert=${opened === "list" && overlay}>
        <video ref=${video} part="video" playsinline preload="metadata" muted=${options.muted} poster=${show?.poster || undefined} hidden=${!source} aria-label=${show?.title || words.player}
          onLoadedMetadata=${(event) => setSize(event.target.videoWidth / event.target.videoHeight)}
          onPointerUp=${(event) => (event.pointerType !== "mouse" && quiet ? wake() : event.button === 0 && playback.toggle())}></video>
        ${!source && show?.poster && html`<img class="poster" src=${show.poster} alt="" />`}
        ${show && html`<div class="head">${live && !trouble && html`<span class="badge" part="badge"><i></i>${words.live}</span>`}<p class="name" dir="auto">${show.title}</p></div>`}
        ${source && !trouble && state && !state.started && html`<button class="big" part="big-play" type="button" aria-label=${words.play} onClick=${acts.toggle}><${Icon} name="play" /></button>`}
        ${source && state?.waiting && state.started && !trouble && html`<span class="spinner" role="status" aria-label=${words.loading}></span>`}
        ${source && state?.playing && state.muted && !options.muted && html`<button class="unmute" type="button" onClick=${acts.mute}><${Icon} name="silent" />${words.unmute}</button>`}
        ${trouble && html`<${Trouble} trouble=${trouble} words=${words} onRetry=${silent ? again : () => { playback.retry(); playback.play(); }} />`}
        <div class="foot">
          ${overlay && cardView}
          ${source && !trouble && state && html`<${Controls} state=${state} live=${live} range=${range} ticker=${ticker} full=${full} count=${shown.length} words=${words} acts=${acts}>
            ${range && html`<${Scrub} range=${range} ticker=${ticker} focuses=${show.focuses} products=${show.products} words=${words} onSeek=${seek} />`}<//>`}
        </div>
        ${opened === "share" && show && html`<${Share} address=${address} time_s=${live ? null : position.time(playback)} words=${words} onClose=${() => setOpened("")} />`}
      </div>
      ${overlay && opened === "list" && html`<${Sheet} title=${words.products} words=${words} onClose=${() => setOpened("")}>${list}<//>`}
    </div>
    ${!overlay && !silent && html`<div class="panel" part="panel">
      ${cardView}
      <section class="list" aria-label=${words.products}><h2>${words.products}${shown.length > 0 && html` <span class="count-text">${shown.length}</span>`}</h2>${list}</section>
    </div>`}
    ${phase === "loading" && !overlay && html`<div class="panel skeleton" part="panel" aria-hidden="true"><i></i><i></i><i></i><i></i></div>`}
    ${show && !full && html`<${Related} products=${show.related} words=${words} onBuy=${buy("related")} />`}
    <p class="unseen" role="status">${card.when === "now" ? `${words.now}: ${show.products.get(card.focus.product_id).title}` : ""}</p>
  </div>`;
}

const signature = (card, current) => `${card.when} ${card.focus?.focus_id} ${current.map((focus) => focus.focus_id).join(" ")}`;
const told = (product) => ({ product_id: product.product_id, title: product.title, price: product.price });

/** Whether a key is meant for the video: not one that a button, a field or a link takes for itself. */
function steers(event) {
  const [target] = event.composedPath();
  if (target.closest?.("input:not([type=range]), textarea, select, [contenteditable]")) return event.key === "Escape";
  if (target.matches?.("input[type=range]")) return !event.key.startsWith("Arrow") && event.key !== "Home" && event.key !== "End";
  return event.key !== " " || !target.closest?.("button, a");
}

function Trouble({ trouble: [sign, title, why, again], words, onRetry }) {
  return html`<div class="trouble" part="trouble" role="status">
    <${Icon} name=${sign} /><p class="trouble-title">${title}</p>${why && html`<p>${why}</p>`}
    ${again && html`<button class="again" type="button" onClick=${onRetry}>${words.retry}</button>`}
  </div>`;
}

/** A sheet over the video, from below or the side. */
function Sheet({ title, words, onClose, children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = box.current.getRootNode().activeElement;
    box.current.querySelector("button").focus();
    return () => before?.focus?.();
  }, []);
  return html`<div class="scrim" onClick=${onClose}></div>
    <section class="sheet" part="sheet" role="dialog" aria-label=${title} ref=${box}>
      <header><h2>${title}</h2><button class="tool" type="button" aria-label=${words.close} onClick=${onClose}><${Icon} name="close" /></button></header>
      ${children}
    </section>`;
}
