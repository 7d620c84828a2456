/** What steers the video: the bar with its marks, the buttons beside it, and the box that shares the link. */
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { clock } from "../js/format.js";
import { Icon } from "./icons.js";
import { onScreen } from "./moments.js";
import { say } from "./words.js";

const MOST_MARKS = 400;

function Tool({ icon, name, children, ...rest }) {
  return html`<button class="tool" type="button" title=${name} aria-label=${name} ...${rest}><${Icon} name=${icon} />${children}</button>`;
}

/**
 * The bar: where the video is, what has a product, and a place to drag.
 *
 * range: [start_s, end_s] of what can be played, in the time of the video; where it is live, one reads how far back.
 * holes: the stretches in it that were not recorded.
 * ticker: { time(), listen(act) -> stop }: the time is drawn past the components, for it changes with every frame.
 */
export function Scrub({ range, holes, live, ticker, focuses, products, words, onSeek }) {
  const bar = useRef(null);
  const [over, setOver] = useState(null);
  const dragging = useRef(false);
  const [start_s, end_s] = range;
  const length_s = Math.max(end_s - start_s, 0.001);
  const share = (time_s) => Math.min(Math.max((time_s - start_s) / length_s, 0), 1);

  useEffect(() => {
    const draw = () => {
      const time_s = ticker.time();
      bar.current.style.setProperty("--at", share(time_s));
      bar.current.setAttribute("aria-valuenow", Math.round(time_s - start_s));
      bar.current.setAttribute("aria-valuetext", say(words.of, clock(time_s - start_s), clock(length_s)));
    };
    draw();
    return ticker.listen(draw);
  }, [ticker, start_s, end_s, words]);

  const timeAt = (event) => {
    const { left, width } = bar.current.getBoundingClientRect();
    return start_s + length_s * Math.min(Math.max((event.clientX - left) / width, 0), 1);
  };
  const down = (event) => {
    if (event.button !== 0) return;
    dragging.current = true;
    bar.current.setPointerCapture(event.pointerId);
    onSeek(timeAt(event));
  };
  const move = (event) => {
    const time_s = timeAt(event);
    if (dragging.current) onSeek(time_s);
    setOver(time_s);
  };
  const missing = over !== null && holes.some(([from_s, to_s]) => over >= from_s && over < to_s);
  const title = over === null ? "" : missing ? words.unrecorded : products.get(onScreen(focuses, over)[0]?.product_id)?.title;
  return html`<div class="scrub" part="scrub" ref=${bar} role="slider" tabindex="0" aria-label=${words.seek} aria-valuemin="0" aria-valuemax=${Math.round(length_s)}
      onPointerDown=${down} onPointerMove=${move} onPointerUp=${() => { dragging.current = false; }} onPointerCancel=${() => { dragging.current = false; }}
      onPointerLeave=${() => setOver(null)}>
    <div class="track">
      ${focuses.slice(0, MOST_MARKS).filter((focus) => focus.end_s > start_s && focus.start_s < end_s).map((focus) => html`
        <i class="mark" part="mark" key=${focus.focus_id} style=${{ left: `${100 * share(focus.start_s)}%`, width: `${100 * (share(focus.end_s) - share(focus.start_s))}%` }}></i>`)}
      <i class="done"></i>
      ${holes.map(([from_s, to_s]) => html`<i class="hole" key=${from_s} style=${{ left: `${100 * share(from_s)}%`, width: `${100 * (share(to_s) - share(from_s))}%` }}></i>`)}
    </div>
    <i class="knob"></i>
    ${over !== null && html`<output class="tip" aria-hidden="true" style=${{ left: `${100 * share(over)}%` }}>
      ${title && html`<b dir="auto">${title}</b>`}<span>${live ? `−${clock(end_s - over)}` : clock(over - start_s)}</span></output>`}
  </div>`;
}

/** The time that runs, beside the length. */
export function Time({ range, ticker }) {
  const place = useRef(null);
  useEffect(() => {
    const draw = () => {
      const text = clock(ticker.time() - range[0]);
      if (place.current.textContent !== text) place.current.textContent = text;
    };
    draw();
    return ticker.listen(draw);
  }, [ticker, range[0]]);
  return html`<span class="time" part="time"><span ref=${place}></span><span class="length"> / ${clock(range[1] - range[0])}</span></span>`;
}

function Volume({ state, words, onVolume, onMute }) {
  const silent = state.muted || state.volume === 0;
  return html`<span class="volume">
    <${Tool} icon=${silent ? "silent" : "sound"} name=${silent ? words.unmute : words.mute} onClick=${onMute} />
    <input type="range" min="0" max="1" step="0.05" aria-label=${words.volume} value=${silent ? 0 : state.volume} onInput=${(event) => onVolume(Number(event.target.value))} />
  </span>`;
}

/** The row of buttons; `acts` are what they do. */
export function Controls({ state, live, range, ticker, full, count, words, acts, children }) {
  const [icon, name] = state.playing ? ["pause", words.pause] : state.ended ? ["replay", words.replay] : ["play", words.play];
  return html`<div class="controls" part="controls">
    <div class="scrub-row">${children}</div>
    <div class="buttons">
      <${Tool} icon=${icon} name=${name} onClick=${acts.toggle} />
      ${live
        ? html`<button class=${`live-button${state.at_edge ? " at-edge" : ""}`} part="live" type="button" onClick=${acts.goLive} disabled=${state.at_edge && state.playing}>
            <i></i>${state.at_edge ? words.live : words.live_jump}</button>`
        : range && html`<${Time} range=${range} ticker=${ticker} />`}
      <span class="actions">
        <${Volume} state=${state} words=${words} onVolume=${acts.volume} onMute=${acts.mute} />
        ${acts.share && html`<${Tool} icon="share" name=${words.share} onClick=${acts.share} aria-haspopup="dialog" />`}
        ${acts.list && html`<${Tool} icon="bag" name=${say(words.products_open, count)} onClick=${acts.list} aria-haspopup="dialog"><b class="count">${count}</b><//>`}
        ${acts.full && html`<${Tool} icon=${full ? "small" : "full"} name=${full ? words.leave_fullscreen : words.fullscreen} onClick=${acts.full} />`}
      </span>
    </div>
  </div>`;
}

/** Copy by the clipboard where the page may, else by selecting: an embedding page can forbid the first. */
async function copy(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.select();
    return document.execCommand("copy");
  }
}

/** The box that shares the page, at the present time if wished. time_s: null where a link with a time means nothing. */
export function Share({ address, time_s, words, onClose }) {
  const box = useRef(null);
  const field = useRef(null);
  const [timed, setTimed] = useState(false);
  const [copied, setCopied] = useState(false);
  useEffect(() => { field.current.focus(); field.current.select(); }, []);
  const link = timed ? withTime(address, time_s) : address;
  const press = (event) => {
    if (event.key === "Escape") { event.stopPropagation(); onClose(); }
  };
  return html`<div class="share" part="share" role="dialog" aria-label=${words.share_title} ref=${box} onKeyDown=${press}>
    <header><h2>${words.share_title}</h2><${Tool} icon="close" name=${words.close} onClick=${onClose} /></header>
    <div class="share-row">
      <input class="share-link" readonly value=${link} ref=${field} aria-label=${words.link} onFocus=${(event) => event.target.select()} />
      <button class="share-copy" type="button" onClick=${async () => setCopied(await copy(link, field.current))}>${copied ? words.copied : words.copy}</button>
    </div>
    ${time_s !== null && html`<label class="share-time"><input type="checkbox" checked=${timed} onChange=${(event) => { setTimed(event.target.checked); setCopied(false); }} />
      ${say(words.share_at, clock(time_s))}</label>`}
    <span class="unseen" role="status">${copied ? words.copied : ""}</span>
  </div>`;
}

/** The address of a page that begins at `time_s`. */
function withTime(address, time_s) {
  const url = new URL(address);
  url.searchParams.set("t", String(Math.floor(time_s)));
  return url.href;
}
