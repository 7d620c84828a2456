/** The video and what lies over it. */
import { html, useEffect, useRef } from "../vendor/htm-preact.js";
import { useFleeting } from "../js/fleeting.js";
import { Card } from "./cards.js";
import { Controls, Scrub, Share } from "./controls.js";
import { Icon } from "./icons.js";

function Trouble({ trouble, words, onRetry }) {
  return html`<div class="trouble" part="trouble" role="status">
    <${Icon} name="gone" /><p class="trouble-title">${trouble.title}</p>${trouble.why && html`<p>${trouble.why}</p>`}
    ${trouble.again && html`<button class="again" type="button" onClick=${onRetry}>${words.retry}</button>`}
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

const NOTE_MS = 5000;

/** That what the viewer wanted to see is missing. */
function Missing({ hole, words }) {
  const told = useFleeting(hole, NOTE_MS);
  return html`<div class="missing" role="status">${told && html`<p>${words.unrecorded}</p>`}</div>`;
}

/** What invites to act, or says that one has to wait. */
function Signs({ state, source, muted, acts, words }) {
  if (!source || !state) return null;
  if (!state.started) {
    return state.waiting ? html`<span class="spinner" role="status" aria-label=${words.loading}></span>`
      : html`<button class="big" part="big-play" type="button" aria-label=${words.play} onClick=${acts.toggle}><${Icon} name="play" /></button>`;
  }
  return html`
    ${state.waiting && html`<span class="spinner" role="status" aria-label=${words.loading}></span>`}
    ${state.playing && state.muted && !muted && html`<button class="unmute" type="button" onClick=${acts.mute}><${Icon} name="silent" />${words.unmute}</button>`}`;
}

/**
 * The stage. view: what player.js has found out; it is spread to the parts.
 *
 * overlay: the card and the list lie over the video, for there is no room beside it.
 */
export function Stage({ view, video, words, acts, idle, wake, opened, onOpen }) {
  const { show, state, source, trouble, overlay, card, live, layout } = view;
  const quiet = idle && state?.playing && !opened && layout !== "tall";
  const marks = ["stage", quiet && "quiet", trouble && "troubled"].filter(Boolean).join(" ");
  const touch = (event) => {
    if (event.button !== 0) return;
    if (event.pointerType !== "mouse" && quiet) wake(); else acts.toggle();
  };
  const close = () => onOpen("");
  return html`<div class=${marks} part="stage" onPointerMove=${wake} onFocusIn=${wake} aria-busy=${view.phase === "loading"}>
    <div class="frame" inert=${overlay && opened === "list"}>
      <video ref=${video} part="video" playsinline preload="metadata" muted=${view.muted} poster=${show?.poster || undefined} hidden=${!source}
        aria-label=${show?.title || words.player} onLoadedMetadata=${view.onSize} onPointerUp=${touch}></video>
      ${!source && show?.poster && html`<img class="poster" src=${show.poster} alt="" />`}
      ${show && html`<div class="head">
        ${live && !trouble && html`<span class="badge" part="badge"><i></i>${words.live}</span>`}<p class="name" dir="auto">${show.title}</p>
      </div>`}
      ${trouble ? html`<${Trouble} trouble=${trouble} words=${words} onRetry=${acts.retry} />` : html`<${Signs} ...${view} acts=${acts} words=${words} />`}
      ${state && html`<${Missing} hole=${state.hole} words=${words} />`}
      <div class="foot">
        ${overlay && show && html`<${Card} card=${card} products=${show.products} words=${words} onBuy=${acts.buy("card")} />`}
        ${source && !trouble && state && html`<${Controls} ...${view} words=${words} acts=${acts}>
          ${view.range && html`<${Scrub} range=${view.range} holes=${view.holes} live=${live} ticker=${view.ticker} focuses=${show.focuses} products=${show.products} words=${words} onSeek=${acts.seek} />`}
        <//>`}
      </div>
      ${opened === "share" && html`<${Share} address=${view.address} time_s=${live ? null : view.ticker.time()} words=${words} onClose=${close} />`}
    </div>
    ${overlay && opened === "list" && html`<${Sheet} title=${words.products} words=${words} onClose=${close}>${view.list}<//>`}
  </div>`;
}
