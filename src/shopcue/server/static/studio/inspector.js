/** All that is known of the chosen focus: what speaks for it, what else it may be, and what was done to it. */

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { get, path, query } from "../js/api.js";
import { ago, clock, count, dateTime, host, parseClock, percent, span, webAddress } from "../js/format.js";
import { Empty, Icon, Picture, Skeleton, Tool, useLoad } from "../js/ui.js";
import { StatusBadge } from "./queue.js";

const DONE = { confirm: "confirmed", reject: "rejected", replace: "chose another product", move: "moved", add: "added", restore: "restored", undo: "took a step back" };

export const pictureOf = (shop, product_id) => path("/api/shops/{}/products/{}/pictures/0", shop, product_id);

function TimeField({ label, value, disabled, onCommit, onHere, hereKey }) {
  const [text, setText] = useState(null);
  const commit = () => {
    if (text === null) return;
    const time = parseClock(text);
    setText(null);
    if (Number.isFinite(time)) onCommit(time);
  };
  return html`<div class="time-field"><label><span class="muted small">${label}</span>
      <input class="input num" inputmode="decimal" disabled=${disabled} value=${text ?? (value === null ? "on screen" : clock(value, 2))}
        onInput=${(event) => setText(event.target.value)} onBlur=${commit}
        onKeyDown=${(event) => { if (event.key === "Enter") commit(); if (event.key === "Escape") { setText(null); event.target.blur(); } }} /></label>
    <${Tool} icon=${label === "Start" ? "start" : "end"} label="Set the ${label.toLowerCase()} to the playhead" keys=${hereKey} disabled=${disabled} onClick=${onHere} /></div>`;
}

/** A part of the log odds as a bar from the middle: to the right it speaks for the product, to the left against. */
function Part({ name, value, most }) {
  const share = Math.min(Math.abs(value) / most, 1) * 50;
  return html`<div><dt>${name}</dt><dd><span class="part-bar" aria-hidden="true"><i class=${value >= 0 ? "for" : "against"} style=${{ left: `${value >= 0 ? 50 : 50 - share}%`, width: `${share}%` }}></i></span>
    <span class="num">${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(1)}</span></dd></div>`;
}

/** A frame of the video; nothing where it cannot be had. */
function Frame({ src }) {
  const [broken, setBroken] = useState(null);
  return html`<img alt="" loading="lazy" src=${src} hidden=${broken === src} onError=${() => setBroken(src)} />`;
}

function Evidence({ focus, video, shop, seek }) {
  const { evidence } = focus;
  if (!evidence) return html`<p class="muted small">There is no evidence to show.</p>`;
  const [x0, y0, x1, y1] = evidence.box ?? [0, 0, 0, 0];
  const most = Math.max(3, Math.abs(evidence.visual), Math.abs(evidence.text), Math.abs(evidence.comments));
  const found = focus.product_id;
  return html`
    <div class="pair">
      ${video.kind === "recording" && html`<figure><button type="button" class="frame pic" aria-label="Show this frame in the video" onClick=${() => seek(evidence.frame_s)}>
          <${Frame} src=${query(path("/api/videos/{}/frame", video.video_id), { t: evidence.frame_s, side: 480 })} />
          ${video.width > 0 && html`<svg viewBox="0 0 ${video.width} ${video.height}" aria-hidden="true"><rect class="halo" x=${x0} y=${y0} width=${x1 - x0} height=${y1 - y0} /><rect x=${x0} y=${y0} width=${x1 - x0} height=${y1 - y0} /></svg>`}</button>
        <figcaption>In the video, ${clock(evidence.frame_s, 1)}</figcaption></figure>`}
      <figure><${Picture} src=${pictureOf(shop, found)} alt="The shop's picture" /><figcaption>In the shop</figcaption></figure>
    </div>
    ${focus.found ? html`<dl class="parts" aria-label="What speaks for it">
      <${Part} name="Picture" value=${evidence.visual} most=${most} /><${Part} name="Speech" value=${evidence.text} most=${most} /><${Part} name="Comments" value=${evidence.comments} most=${most} /></dl>`
      : html`<p class="muted small">Added by hand.</p>`}
`;
}

const MOST_QUOTES = 12;

/** What was said and written while it was on screen; what counted as evidence stands out. */
function Said({ focus, words, seek }) {
  const { start_s, end_s, evidence } = focus;
  const during = (from, to) => from < (end_s ?? Infinity) + 1 && to > start_s - 1;
  const proof = evidence?.utterances ?? [];
  const known = new Set(proof.map((one) => one.start_s));
  const spoken = [...proof, ...(words?.utterances ?? []).filter((one) => !known.has(one.start_s) && during(one.start_s, one.end_s))].sort((a, b) => a.start_s - b.start_s);
  const written = (words?.comments ?? []).filter((one) => during(one.time_s, one.time_s));
  if (!spoken.length && !written.length) return null;
  const quote = (time, text, name, sure) => html`<button type="button" class="quote ${sure ? "is-evidence" : ""}" title=${sure ? "This counted" : ""} onClick=${() => seek(time)}>
    <span class="num muted">${clock(time)}</span><span>${name && html`<span class="muted" dir="auto">${name}: </span>`}<q dir="auto">${text}</q></span></button>`;
  return html`<div class="said">
    ${spoken.length > 0 && html`<h4 class="eyebrow">What was said</h4>${spoken.slice(0, MOST_QUOTES).map((one) => quote(one.start_s, one.text, "", known.has(one.start_s)))}`}
    ${written.length > 0 && html`<details class="more"><summary class="small">${count(written.length, "comment")}</summary>${written.slice(0, 5 * MOST_QUOTES).map((one) => quote(one.time_s, one.text, one.user, false))}</details>`}</div>`;
}

function Alternatives({ focus, shop, writable, onReplace }) {
  const others = focus.alternatives.filter((one) => one.product_id !== focus.product_id);
  if (!others.length) return null;
  return html`<div class="others"><h4 class="eyebrow">It may also be</h4><ul>
    ${others.map((one) => html`<li key=${one.product_id}><button type="button" class="other" disabled=${!writable} title="Choose this product instead" onClick=${() => onReplace({ ...one, picture: pictureOf(shop, one.product_id) })}>
      <${Picture} src=${pictureOf(shop, one.product_id)} icon="tag" /><span class="line" dir="auto">${one.title || one.product_id}</span><span class="num muted">${percent(one.score)}</span></button></li>`)}</ul></div>`;
}

/** What a review changed, in words. */
function changeOf({ action, before, after }) {
  if (action === "move" && before && after) {
    return ["start_s", "end_s"].filter((key) => Math.abs((before[key] ?? 0) - (after[key] ?? 0)) > 5e-4)
      .map((key) => `${key === "start_s" ? "start" : "end"} ${clock(before[key], 2)} → ${clock(after[key], 2)}`).join(", ");
  }
  if (action === "replace" && before && after) return `${before.title ?? before.product_id} → ${after.title ?? after.product_id}`;
  return "";
}

function History({ focus, writable, onUndo }) {
  const { data, error } = useLoad((signal) => get(path("/api/focuses/{}/reviews", focus.focus_id), { signal }), [focus.focus_id, focus.version]);
  const [now, setNow] = useState(Date.now());
  useEffect(() => { const timer = setInterval(() => setNow(Date.now()), 30000); return () => clearInterval(timer); }, []);
  if (error) return html`<p class="fault">${error.message}</p>`;
  if (!data) return html`<${Skeleton} lines=${2} />`;
  if (!data.reviews.length) return html`<p class="muted small">Nobody has changed this one.</p>`;
  const steps = [...data.reviews].sort((a, b) => b.review_id - a.review_id).filter((one) => one.action !== "undo");
  const last = steps.find((one) => !one.undone);
  return html`<ol class="history">${steps.map((one) => html`<li key=${one.review_id} class=${one.undone ? "is-undone" : ""}>
    <p><strong dir="auto">${one.who}</strong> ${DONE[one.action] ?? one.action}${one.undone ? " (undone)" : ""} <time class="muted" datetime=${one.at} title=${dateTime(one.at)}>${ago(one.at, now)}</time></p>
    ${changeOf(one) && html`<p class="muted small num-wrap" dir="auto">${changeOf(one)}</p>`}
    ${writable && one === last && html`<button type="button" class="link small" onClick=${onUndo}>Undo</button>`}</li>`)}</ol>`;
}

function About({ focus, shop }) {
  const { data, loading } = useLoad((signal) => get(path("/api/shops/{}/products/{}", shop, focus.product_id), { signal }), [shop, focus.product_id]);
  const link = webAddress(data?.link);
  const facts = [data?.price, data?.brand, data?.availability].filter(Boolean);
  return html`<div class="about"><${Picture} src=${focus.picture ?? pictureOf(shop, focus.product_id)} icon="tag" />
    <div class="stack tight"><h2 class="clamp" dir="auto" title=${focus.title}>${focus.title || focus.product_id}</h2>
      <p class="small muted clamp" dir="auto">${facts.length ? facts.join(" · ") : loading ? "\u00a0" : focus.product_id}</p>
      ${loading && !data && html`<span class="small" aria-hidden="true">\u00a0</span>`}
      ${link && html`<a class="small" href=${link} target="_blank" rel="noopener noreferrer nofollow">View at ${host(link)} <span aria-hidden="true">↗</span></a>`}</div></div>`;
}

/** The panel; any: whether there is a focus to choose; words: what was said and written in the video, or null; `acts` are {confirm, reject, restore, replace(product), pick, move(times), startHere, endHere, undo, seek}. */
export function Inspector({ focus, any, video, shop, words, writable, acts }) {
  if (!focus) return html`<section class="inspector" aria-label="Focus"><${Empty} icon="tag" title=${any ? "Choose a focus" : "Nothing to look at yet"} level=${3}><p>${any ? html`Press <kbd>j</kbd> for the next one, <kbd>n</kbd> for the most doubtful.` : "What is found stands here with all that speaks for it."}</p><//></section>`;
  const rejected = focus.status === "rejected";
  const fixed = !writable || rejected;
  const moved = focus.found && (Math.abs(focus.found.start_s - focus.start_s) > 5e-4 || Math.abs((focus.found.end_s ?? focus.end_s) - focus.end_s) > 5e-4);
  return html`<section class="inspector" aria-label="Focus" key=${focus.focus_id}>
    <${About} focus=${focus} shop=${shop} />
    <div class="row"><${StatusBadge} focus=${focus} /><span class="num small">${percent(focus.score)} sure</span>
      <span class="num small muted">${focus.end_s === null ? "still on screen" : span(focus.end_s - focus.start_s)}</span></div>
    ${writable && html`<div class="decide">
      ${rejected ? html`<button type="button" class="button" onClick=${acts.restore}><${Icon} name="retry" />Restore</button>` : html`
        <button type="button" class="button first ${focus.status === "found" ? "primary" : ""}" disabled=${focus.status === "confirmed"} onClick=${acts.confirm}><${Icon} name="check" />${focus.status === "confirmed" ? "Confirmed" : "Confirm"}<kbd aria-hidden="true">c</kbd></button>
        <button type="button" class="button" onClick=${acts.reject}><${Icon} name="close" />Reject<kbd aria-hidden="true">x</kbd></button>
        <button type="button" class="button" onClick=${acts.pick}><${Icon} name="replace" />Replace<kbd aria-hidden="true">r</kbd></button>`}
    </div>`}
    <div class="times">
      <${TimeField} label="Start" value=${focus.start_s} disabled=${fixed} hereKey="i" onCommit=${(start_s) => acts.move({ start_s })} onHere=${acts.startHere} />
      <${TimeField} label="End" value=${focus.end_s} disabled=${fixed || focus.end_s === null} hereKey="o" onCommit=${(end_s) => acts.move({ end_s })} onHere=${acts.endHere} />
    </div>
    ${(moved || (focus.found && focus.found.product_id !== focus.product_id)) && html`<p class="muted small num-wrap">Found as ${focus.found.product_id === focus.product_id ? "" : `${focus.found.product_id}, `}${clock(focus.found.start_s, 2)}–${focus.found.end_s === null ? "now" : clock(focus.found.end_s, 2)}</p>`}
    <${Evidence} focus=${focus} video=${video} shop=${shop} seek=${acts.seek} />
    <${Said} focus=${focus} words=${words} seek=${acts.seek} />
    <${Alternatives} focus=${focus} shop=${shop} writable=${!fixed} onReplace=${acts.replace} />
    <div><h4 class="eyebrow">History</h4><${History} focus=${focus} writable=${writable} onUndo=${acts.undo} /></div>
  </section>`;
}
