/** The search palette: a product by its words, or by the frame that is on the screen. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get, path, query, request } from "../js/api.js";
import { percent } from "../js/format.js";
import { Dialog, Empty, Failure, Icon, Picture, Skeleton, useLoad, useSettled } from "../js/ui.js";
import { pictureOf } from "./inspector.js";

const MOST = 20;

const SIDE_PX = 960;

/** What is on the screen as a JPEG: of the element itself, or where that shows nothing of the server's frame. */
async function frameOf(media, video, time, signal) {
  const { element } = media;
  if (media.playable && element.videoWidth && element.readyState >= 2) {
    const scale = Math.min(1, SIDE_PX / Math.max(element.videoWidth, element.videoHeight));
    const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(element.videoWidth * scale), height: Math.round(element.videoHeight * scale) });
    canvas.getContext("2d").drawImage(element, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.9); });
  }
  const answer = await fetch(query(path("/api/videos/{}/frame", video.video_id), { t: time, side: SIDE_PX }), { signal });
  if (!answer.ok) throw new Error("there is no frame to search by: search by words instead");
  return answer.blob();
}

async function byFrame(shop, video, media, time, signal) {
  const body = await frameOf(media, video, time, signal);
  const answer = await request("POST", query(path("/api/shops/{}/search/image", shop), { k: MOST }), { body, headers: { "Content-Type": "image/jpeg" }, signal });
  return answer.results.map((hit) => ({ ...hit, likeness: hit.score }));
}

/** Words -> hits of the search; without words those that are likely (or the first of the shop). */
async function find({ shop, words, frame_s, video, media, likely, signal }) {
  if (frame_s !== null) return byFrame(shop, video, media, frame_s, signal);
  if (words) return (await get(query(path("/api/shops/{}/search", shop), { q: words, k: MOST }), { signal })).results;
  if (likely.length) return likely;
  return (await get(query(path("/api/shops/{}/products", shop), { limit: MOST }), { signal })).products;
}

function Option({ id, product, shop, active, onPick, onHover }) {
  const facts = [product.price, product.brand].filter(Boolean).join(" · ");
  return html`<li id=${id} class="option ${active ? "is-active" : ""}" role="option" aria-selected=${String(active)} onClick=${() => onPick(product)} onPointerMove=${onHover}>
    <${Picture} src=${product.picture ?? pictureOf(shop, product.product_id)} icon="tag" />
    <span class="queue-text"><span class="line" dir="auto">${product.title || product.product_id}</span><span class="line small muted" dir="auto">${facts || product.product_id}</span></span>
    ${product.likeness >= 0.01 && html`<span class="num small muted">${percent(product.likeness)}</span>`}</li>`;
}

/** title: what the choice is for; likely: products to offer first; frame_s: the moment on the screen; onPick(product). */
export function Palette({ title, shop, video, media, likely, frame_s, byFrameFirst = false, onPick, onClose }) {
  const [words, setWords] = useState("");
  const [framed, setFramed] = useState(byFrameFirst);
  const [at, setAt] = useState(0);
  const settled = useSettled(words.trim(), 150);
  const asked = framed && !settled ? frame_s : null;
  const { data, error, loading, reload } = useLoad((signal) => find({ shop, words: settled, frame_s: asked, video, media, likely, signal }), [shop, settled, asked]);
  const list = useRef(null);
  const id = useRef(`palette-${Math.round(performance.now())}`).current;
  useEffect(() => setAt(0), [data]);
  useLayoutEffect(() => { list.current?.querySelector(".is-active")?.scrollIntoView({ block: "nearest" }); }, [at]);
  const hits = data ?? [];
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && hits.length) { event.preventDefault(); setAt((at + step + hits.length) % hits.length); }
    if (event.key === "Enter") { event.preventDefault(); if (!loading && words.trim() === settled && hits[at]) onPick(hits[at]); }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} class="palette">
    <div class="row palette-ask"><div class="search"><${Icon} name="search" />
      <input class="input" autofocus autocomplete="off" spellcheck=${false} role="combobox" aria-expanded="true" aria-controls=${id} aria-activedescendant=${hits[at] ? `${id}-${at}` : undefined}
        aria-label="Search products" placeholder="Search by name, brand, category" value=${words} onInput=${(event) => { setWords(event.target.value); setFramed(false); }} onKeyDown=${onKeyDown} /></div>
      <button type="button" class="button" aria-pressed=${String(asked !== null)} onClick=${() => { setWords(""); setFramed(true); }}><${Icon} name="camera" />By this frame</button></div>
    <p class="small muted">${settled ? "Found by words" : asked !== null ? "Most like what is on the screen" : likely.length ? "What it may be" : "Products of the shop"}</p>
    ${error && html`<${Failure} error=${error} retry=${reload} />`}
    ${!data && loading && html`<${Skeleton} lines=${4} height="3rem" />`}
    ${data && !hits.length && !error && html`<${Empty} icon="search" title="No product fits" level=${3}><p>Try fewer or other words.</p><//>`}
    <ul id=${id} class="options ${loading ? "is-loading" : ""}" role="listbox" aria-label="Products" ref=${list}>
      ${hits.map((product, i) => html`<${Option} key=${product.product_id} id="${id}-${i}" product=${product} shop=${shop} active=${i === at} onPick=${onPick} onHover=${() => i !== at && setAt(i)} />`)}</ul>
  <//>`;
}
