/** What is shown of products: the card of the one on screen, the list of all in the video, and others of the shop. */
import { html, useEffect, useRef } from "../vendor/htm-preact.js";
import { clock } from "../js/format.js";
import { Icon } from "./icons.js";
import { say } from "./words.js";

const MOST_MOMENTS = 24;

function Picture({ product, eager = false }) {
  if (!product.picture) return html`<span class="picture none" part="picture"><${Icon} name="bag" /></span>`;
  return html`<span class="picture" part="picture">
    <img src=${product.picture} alt="" loading=${eager ? "eager" : "lazy"} decoding="async" draggable=${false} />
  </span>`;
}

function Price({ product, words }) {
  return html`<p class="price" part="price" dir="auto">
    ${product.price}${product.sold_out && html` <span class="sold-out">${words.sold_out}</span>`}
  </p>`;
}

/** A link to the product in the shop; `onClick(event, product)` may prevent that it is followed. named: its text is its name. */
function BuyLink({ product, words, onClick, named = false, children, ...rest }) {
  const name = named ? undefined : `${words.buy}: ${product.title} (${words.opens})`;
  return html`<a ...${rest} href=${product.link} target="_blank" rel="nofollow noopener" aria-label=${name}
    onClick=${(event) => onClick(event, product)}>${children}${named && html`<span class="unseen">(${words.opens})</span>`}</a>`;
}

/** The card of the product on screen; it keeps its size whatever it shows. */
export function Card({ card, products, words, onBuy }) {
  const product = card.focus && products.get(card.focus.product_id);
  if (!product) {
    return html`<article class="card vacant" part="card" data-when="none">
      <span class="picture none" part="picture"><${Icon} name="bag" /></span>
      <div class="card-text"><p class="when" part="when">${card.note}</p></div>
    </article>`;
  }
  const when = card.when === "next" ? say(words.next, clock(card.focus.start_s)) : words[card.when];
  return html`<article class="card" part="card" data-when=${card.when} data-product=${product.product_id} aria-label=${product.title}>
    <div class="card-body" key=${product.product_id}>
      <${Picture} product=${product} eager />
      <div class="card-text">
        <p class="when" part="when">${when}</p>
        <h3 class="title" part="title" dir="auto" title=${product.title}>${product.title}</h3>
        <${Price} product=${product} words=${words} />
      </div>
      ${product.link && html`<${BuyLink} class="buy" part="buy" product=${product} words=${words} onClick=${onBuy}>
        <span>${words.buy}</span><${Icon} name="out" /><//>`}
    </div>
  </article>`;
}

/** The moment that a click on a product means: the one after the present, and after the last the first again. */
function nextMoment(moments, time_s) {
  return moments.find((focus) => focus.start_s > time_s + 0.1) ?? moments[0];
}

function Moment({ focus, words, onJump }) {
  const at = clock(focus.start_s);
  if (!onJump) return html`<span class="moment" part="moment">${at}</span>`;
  return html`<button class="moment" part="moment" type="button" aria-label=${say(words.moment, at)} onClick=${() => onJump(focus)}>${at}</button>`;
}

function Tile({ product, moments, on, words, time, canJump, onJump, onBuy }) {
  const possible = moments.filter(canJump);
  return html`<li class="tile" part="tile" aria-current=${on ? "true" : undefined} data-product=${product.product_id}>
    <${Picture} product=${product} />
    <div class="tile-text">
      ${possible.length
        ? html`<button class="tile-main title" part="title" dir="auto" type="button" aria-label=${say(words.jump, clock(possible[0].start_s), product.title)}
            onClick=${() => onJump(nextMoment(possible, time()))}>${product.title}</button>`
        : html`<span class="title" part="title" dir="auto">${product.title}</span>`}
      <${Price} product=${product} words=${words} />
      <span class="moments">
        ${moments.slice(0, MOST_MOMENTS).map((focus) => html`<${Moment} key=${focus.focus_id} focus=${focus} words=${words} onJump=${canJump(focus) && onJump} />`)}
      </span>
    </div>
    ${product.link && html`<${BuyLink} class="tile-buy" part="buy" product=${product} words=${words} onClick=${onBuy}><${Icon} name="out" /><//>`}
  </li>`;
}

/** Bring `tile` into view within `list` alone: the page around it must not move. */
function reveal(list, tile) {
  const inner = tile.getBoundingClientRect();
  const outer = list.getBoundingClientRect();
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  if (inner.left < outer.left || inner.right > outer.right) list.scrollBy({ left: inner.left - outer.left - 16, behavior });
  if (inner.top < outer.top || inner.bottom > outer.bottom) list.scrollBy({ top: inner.top - outer.top - 8, behavior });
}

/** All products of the video with their moments; `shown`: product_id -> focuses, in the order of the list. */
export function Products({ shown, products, current, words, empty, ...rest }) {
  const list = useRef(null);
  useEffect(() => {
    const tile = list.current?.querySelector('[aria-current="true"]');
    if (tile && !list.current.matches(":hover, :focus-within")) reveal(list.current, tile);
  }, [[...current].join("\n")]);
  if (!shown.length) return html`<p class="empty" part="empty">${empty}</p>`;
  const reachable = shown.some(([id, moments]) => products.get(id).link || moments.some(rest.canJump));
  return html`<ul class="tiles" part="tiles" ref=${list} tabindex=${reachable ? undefined : 0}>
    ${shown.map(([id, moments]) => html`<${Tile} key=${id} product=${products.get(id)} moments=${moments} on=${current.has(id)} words=${words} ...${rest} />`)}
  </ul>`;
}

/** Other products of the shop. */
export function Related({ products, words, onBuy }) {
  if (!products.length) return null;
  return html`<section class="related" part="related" aria-label=${words.related}>
    <h2>${words.related}</h2>
    <ul class="related-list" tabindex=${products.some((product) => product.link) ? undefined : 0}>
      ${products.map((product) => {
        const inside = html`<${Picture} product=${product} /><span class="title" part="title" dir="auto">${product.title}</span><${Price} product=${product} words=${words} />`;
        return html`<li key=${product.product_id} part="related-item">
          ${product.link ? html`<${BuyLink} named class="related-item" product=${product} words=${words} onClick=${onBuy}>${inside}<//>` : html`<div class="related-item">${inside}</div>`}
        </li>`;
      })}
    </ul>
  </section>`;
}
