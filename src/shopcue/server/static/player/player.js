/** The whole player: what follows the video, the events and the viewer, and how its parts stand together. */
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { holesOf } from "../js/recorded.js";
import { isRecording } from "../js/recording.js";
import { Card, Products, Related } from "./cards.js";
import { IDLE_STATES } from "./document.js";
import { useFullscreen, useIdle, usePlayback, useSubscription, useWidth } from "./hooks.js";
import { press } from "./keys.js";
import { byProduct, neighbour } from "./moments.js";
import { layoutOf, Position, sourceOf, troubleOf } from "./position.js";
import { Stage } from "./stage.js";

const INSIDE_S = 0.02; // a hair after a focus begins, or rounding shows the frame before it
const told = (product) => ({ product_id: product.product_id, title: product.title, price: product.price });
const signature = (card, current) => [card.when, card.focus?.focus_id, ...current.map((focus) => focus.focus_id)].join(" ");

/** Open what is to be played, and begin anew when that changes; a recording plays on when its stream begins or ends. */
function useSource(playback, position, show, options) {
  const source = sourceOf(show);
  const live = show?.live ?? false;
  const recorded = isRecording(source);
  useEffect(() => {
    if (!playback || !show) return;
    position.begin(live, recorded || !live);
    playback.open(source, { live, start_s: options.start_s, autoplay: options.autoplay });
  }, [playback, source, !recorded && live, show === null, options.start_s]);
  useEffect(() => {
    if (!playback || !recorded) return;
    position.begin(live, true);
    playback.setLive(live);
  }, [playback, recorded, live]);
  return source;
}

/** Tell the page around the player which product the viewer sees now, and how the player is. */
function useTelling(emit, phase, show, card) {
  const now = card.when === "now" ? card.focus : null;
  useEffect(() => {
    if (!now) return;
    const { focus_id, product_id, start_s } = now;
    emit("shopcue-focus", { video_id: show.video_id, focus_id, ...told(show.products.get(product_id)), start_s, live: show.live });
  }, [now?.focus_id, now?.product_id]);
  useEffect(() => { emit("shopcue-state", { state: phase }); }, [phase]);
}

/** The products with their focuses: of a recording in the order of time, of a live stream the latest first. */
function useShown(show) {
  return useMemo(() => {
    const entries = [...byProduct(show?.focuses ?? [])];
    return show?.live ? entries.sort((a, b) => b[1].at(-1).start_s - a[1].at(-1).start_s) : entries;
  }, [show?.focuses, show?.live]);
}

/** What a viewer can do, as functions that stay the same in meaning while the player changes. */
function actsOf({ playback, position, show, again, phase, emit, toggleFull, options, overlay, address, opened, setOpened }) {
  const seek = (time_s) => playback.seek(time_s - (position.offset_s || 0));
  const reached = (focus) => Boolean(sourceOf(show)) && position.reaches(focus, playback);
  const toggle = (name) => setOpened(opened === name ? "" : name);
  const jump = (focus) => {
    seek(Math.min(focus.start_s + INSIDE_S, (focus.start_s + Math.min(focus.end_s, focus.start_s + 1)) / 2));
    playback.play();
    setOpened("");
  };
  return {
    seek, reached, jump,
    toggle: () => playback.toggle(),
    retry: () => {
      if (phase !== "ready") { again(); return; }
      playback.retry();
      playback.play();
    },
    goLive: () => playback.goLive(),
    mute: () => playback.setMuted(!playback.state.muted),
    volume: (volume) => playback.setVolume(volume),
    skip: (seconds) => playback.seek(playback.time_s + seconds),
    step: (direction) => {
      const focus = neighbour(show.focuses.filter(reached), position.time(playback), direction);
      if (focus) jump(focus);
    },
    full: toggleFull,
    list: overlay && show?.focuses.length ? () => toggle("list") : null,
    share: options.share_url === "none" ? null : () => {
      if (!navigator.share || !matchMedia("(pointer: coarse)").matches) toggle("share");
      else navigator.share({ title: show.title, url: address }).catch(() => {});
    },
    buy: (where) => (event, product) => {
      const detail = { video_id: show.video_id, ...told(product), link: product.link, where, time_s: position.time(playback) };
      if (!emit("shopcue-click", detail, true)) event.preventDefault();
    },
  };
}

/** What the card shows; nothing is on screen now in a stream that does not run. */
function cardOf(show, position, playback, note) {
  if (!show) return { focus: null, when: "none", note };
  const card = position.card(show, playback);
  return { ...card, when: card.when === "now" && show.live && IDLE_STATES.includes(show.state) ? "past" : card.when, note };
}

/** What stands in the card's or the list's place while there is nothing to show. */
function emptyNote(show, words) {
  if (show?.live) return words.waiting;
  return ["new", "matching"].includes(show?.state) ? words.finding : words.nothing;
}

/**
 * The player of one video.
 *
 * place: see document.js. options: { autoplay, muted, start_s, ratio, share_url }. emit(name, detail, cancelable) tells
 * the page around, and returns false if that prevents what comes next. bind.press is set to what takes a key.
 */
export function Player({ place, options, words, emit, bind }) {
  const root = useRef(null);
  const video = useRef(null);
  const position = useMemo(() => new Position(), []);
  const [opened, setOpened] = useState(""); // "", "list" or "share"
  const [size, setSize] = useState(NaN);
  const width = useWidth(root);
  const [full, toggleFull] = useFullscreen(root, video);
  const [idle, wake] = useIdle();
  const { phase, show, again } = useSubscription(place, root, (event) => position.hear(event.media_s, playback));
  const { playback, listen } = usePlayback(video, (made) => show && signature(position.card(show, made), position.current(show, made)));
  const source = useSource(playback, position, show, options);
  const ticker = useMemo(() => ({ time: () => position.time(playback), listen }), [playback]);
  const shown = useShown(show);

  const note = emptyNote(show, words);
  const card = cardOf(show, position, playback, note);
  const current = new Set(show ? position.current(show, playback).map((focus) => focus.product_id) : []);
  useTelling(emit, phase, show, card);

  const state = playback?.state ?? null;
  const ratio = size || show?.ratio || options.ratio || 16 / 9;
  const layout = layoutOf(width, ratio, full);
  const overlay = layout === "tall" || layout === "immersive";
  const address = options.share_url || show?.page;
  const acts = actsOf({ playback, position, show, again, phase, emit, toggleFull, options, overlay, address, opened, setOpened });
  const list = show && html`<${Products} shown=${shown} products=${show.products} current=${current} words=${words} empty=${note}
    time=${ticker.time} canJump=${acts.reached} onJump=${acts.jump} onBuy=${acts.buy("list")} />`;
  const range = show && source ? position.range(show, playback) : null;
  const holes = useMemo(() => (range && state?.spans.length ? holesOf(state.spans, ...range) : []), [state?.spans, range?.[0], range?.[1]]);
  const view = {
    phase, show, state, source, layout, overlay, card, list, full, ticker, address, live: show?.live ?? false, muted: options.muted, count: shown.length,
    trouble: troubleOf(phase, show, state?.failed, words), range, holes,
    onSize: ({ target }) => setSize(target.videoWidth / target.videoHeight),
  };
  const onKey = useCallback((event) => bind.press(event), []);
  bind.press = (event) => {
    if (event.key === "Escape" && opened) setOpened("");
    else if (source && press(event, acts)) wake();
  };
  return html`<div class="player" part="player" ref=${root} data-layout=${layout} data-phase=${phase} style=${{ "--ratio": ratio }}
      role="region" aria-label=${show?.title || words.player} onKeyDown=${onKey}>
    <${Stage} view=${view} video=${video} words=${words} acts=${acts} idle=${idle} wake=${wake} opened=${opened} onOpen=${setOpened} />
    ${!overlay && show && html`<div class="panel" part="panel">
      <${Card} card=${card} products=${show.products} words=${words} onBuy=${acts.buy("card")} />
      ${shown.length > 0 && html`<section class="list" aria-label=${words.products}>
        <h2>${words.products} <span class="count-text">${shown.length}</span></h2>${list}
      </section>`}
    </div>`}
    ${!overlay && phase === "loading" && html`<div class="panel skeleton" part="panel" aria-hidden="true"><i></i><i></i><i></i><i></i></div>`}
    ${show && !full && html`<${Related} products=${show.related} words=${words} onBuy=${acts.buy("related")} />`}
    <p class="unseen" role="status">${card.when === "now" ? `${words.now}: ${show.products.get(card.focus.product_id).title}` : ""}</p>
  </div>`;
}
