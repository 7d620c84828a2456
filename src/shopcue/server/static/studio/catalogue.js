/** The catalogue: every product of the shop, when it was shown, and ways to find, change, import and delete. */

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get, path, post, query, request } from "../js/api.js";
import { clock, count, percent } from "../js/format.js";
import { Confirm, Empty, Failure, Icon, Menu, Picture, Segmented, Skeleton, Tool, useLoad, useObjectUrl, useSettled } from "../js/ui.js";
import { ImportDialog, Imports } from "./imports.js";
import { ProductDialog } from "./product.js";
import { addressOf, go } from "./router.js";
import { UploadList } from "./upload-list.js";

const PAGE = 50;
const AVAILABILITY = ["in stock", "out of stock", "preorder", "backorder"];
const FILTERS = ["q", "category", "brand", "availability", "shown"];

/** When a product was shown, as links to the moments; the first few and how many more there are. */
export function ShownAt({ shop, times, most = 3 }) {
  if (!times?.length) return html`<span class="muted small">Never shown</span>`;
  return html`<span class="row shown-at">${times.slice(0, most).map((one) => html`<a class="chip num" href=${addressOf({ shop, video_id: one.video_id, query: { t: one.start_s } })} title="${one.video_title}, ${clock(one.start_s)}"><${Icon} name="play" />${clock(one.start_s)}</a>`)}
    ${times.length > most && html`<span class="muted small num">+${times.length - most}</span>`}</span>`;
}

function Row({ product, shop, chosen, writable, onToggle, onOpen }) {
  const { product_id: id } = product;
  return html`<tr class=${chosen ? "is-chosen" : ""}>
    ${writable && html`<td class="tick"><input type="checkbox" aria-label="Choose ${product.title}" checked=${chosen} onChange=${onToggle} /></td>`}
    <td class="who"><button type="button" class="product-link" onClick=${onOpen}><${Picture} src=${product.picture} icon="tag" /><span class="queue-text"><span class="clamp" dir="auto">${product.title}</span><span class="line small muted" dir="auto">${id}</span></span></button></td>
    <td class="num price-cell" dir="auto"><span class="line">${product.price}</span></td>
    <td class="facts-cell"><span class="clamp small" dir="auto">${[product.brand, product.category].filter(Boolean).join(" · ")}</span></td>
    <td class="stock-cell small">${product.availability && html`<span class="badge ${product.availability === "in stock" ? "good" : ""}">${product.availability.slice(0, 24)}</span>`}</td>
    <td class="shown-cell">${product.score === undefined ? html`<${ShownAt} shop=${shop} times=${product.shown_at} />` : html`<span class="num small">${percent(Math.max(0, product.score))} alike</span>`}</td>
  </tr>`;
}

function Filters({ route, shop, values, options, onImage }) {
  const [words, setWords] = useState(values.q);
  const settled = useSettled(words, 250);
  const input = useRef(null);
  const set = (change) => go(addressOf({ shop, area: "catalogue", query: { ...values, ...change } }), { replace: true });
  useEffect(() => { if (settled !== values.q) set({ q: settled }); }, [settled]);
  useEffect(() => { if (values.q !== words && values.q !== settled) setWords(values.q); }, [values.q]);
  const pick = (name, label, all) => html`<label class="filter"><span class="unseen">${label}</span><select class="input" value=${values[name]} onChange=${(event) => set({ [name]: event.target.value })}>
    <option value="">${all}</option>${all && [...new Set([...options[name], values[name]])].filter(Boolean).sort().map((one) => html`<option value=${one}>${one.slice(0, 60)}</option>`)}</select></label>`;
  return html`<div class="filters" role="search">
    <div class="search"><${Icon} name="search" /><input class="input" type="search" aria-label="Search products" placeholder="Search ${route.count ? count(route.count, "product") : "products"}" value=${words} onInput=${(event) => setWords(event.target.value)} /></div>
    <input ref=${input} type="file" class="unseen" tabindex="-1" accept="image/*" aria-label="A picture to search by" onChange=${(event) => { if (event.target.files[0]) onImage(event.target.files[0]); event.target.value = ""; }} />
    <${Tool} icon="camera" class="button" label="Search by a picture" onClick=${() => input.current.click()} />
    ${pick("category", "Category", "All categories")}${pick("brand", "Brand", "All brands")}${pick("availability", "Availability", "Any availability")}
    <${Segmented} label="Shown" value=${values.shown} onChange=${(shown) => set({ shown })} options=${[["", "All"], ["ever", "Shown"], ["never", "Never shown"]]} />
  </div>`;
}

/** Products by the filters, page by page. */
function useProducts({ shop, values, bus }) {
  const keys = FILTERS.map((name) => values[name]);
  const first = useLoad((signal) => get(query(path("/api/shops/{}/products", shop), { ...values, limit: PAGE }), { signal }), [shop, ...keys]);
  const [extra, setExtra] = useState({ products: [], next: null, of: null });
  const own = extra.of === first.data;
  const next = own ? extra.next : first.data?.next ?? null;
  const products = [...(first.data?.products ?? []), ...(own ? extra.products : [])];
  const loadMore = async () => {
    const answer = await get(query(path("/api/shops/{}/products", shop), { ...values, limit: PAGE, after: next }));
    setExtra({ products: [...(own ? extra.products : []), ...answer.products], next: answer.next, of: first.data });
  };
  useEffect(() => bus.hear((event) => {
    if (event.type === "catalog.update" || event.type === "reset") bus.later("products", first.reload);
  }), [bus, first.reload]);
  return { ...first, products, next, loadMore };
}

/** What a picture found, in place of the list. */
function ByPicture({ image, shop, onOpen, onClose }) {
  const url = useObjectUrl(image);
  const { data, error, reload } = useLoad((signal) => request("POST", query(path("/api/shops/{}/search/image", shop), { k: 20 }), { body: image, headers: { "Content-Type": image.type || "application/octet-stream" }, signal }), [shop, image]);
  return html`<section class="card by-picture" aria-label="Found by picture">
    <header class="row pad"><${Picture} src=${url} alt="The picture that was searched by" /><div><h2>Products like this picture</h2><p class="small muted" dir="auto">${image.name}</p></div><button type="button" class="button push" onClick=${onClose}>Back to the list</button></header>
    ${error && html`<div class="pad"><${Failure} error=${error} retry=${reload} /></div>`}
    ${!data && !error && html`<div class="pad"><${Skeleton} lines=${4} height="3rem" /></div>`}
    ${data && !data.results.length && html`<${Empty} icon="search" title="Nothing is like it" />`}
    ${data && html`<ul class="hits">${data.results.map((hit) => html`<li key=${hit.product_id}><button type="button" class="hit" onClick=${() => onOpen(hit.product_id)}><${Picture} src=${hit.picture} icon="tag" /><span class="clamp small" dir="auto">${hit.title}</span><span class="row small muted"><span class="num">${percent(Math.max(0, hit.score))}</span><span class="line" dir="auto">${hit.price}</span></span></button></li>`)}</ul>`}
  </section>`;
}

export function Catalogue({ shop, route, bus, uploads, toasts, can, shopInfo }) {
  const values = Object.fromEntries(FILTERS.map((name) => [name, route.query[name] ?? ""]));
  const { products, data, error, loading, reload, next, loadMore } = useProducts({ shop, values, bus });
  const [chosen, setChosen] = useState(new Set());
  const [dialog, setDialog] = useState(null);
  const [image, setImage] = useState(null);
  const options = useRef({ category: new Set(), brand: new Set(), availability: new Set(AVAILABILITY) });
  for (const product of products) for (const name of ["category", "brand"]) if (product[name] && options.current[name].size < 300) options.current[name].add(product[name]);
  useEffect(() => setChosen(new Set()), [shop, data]);
  const filtered = FILTERS.some((name) => values[name]);
  const toggle = (id) => { const set = new Set(chosen); if (!set.delete(id)) set.add(id); setChosen(set); };
  const reindex = async () => { try { await post(path("/api/shops/{}/reindex", shop)); toasts.show("Reindexing has begun: it goes on behind"); } catch (failure) { toasts.fail(failure); } };
  const all = products.length > 0 && chosen.size === products.length;
  return html`<main class="page" id="main">
    <div class="page-head"><h1>Catalogue</h1>${data && html`<span class="muted num">${count(data.total, "product")}</span>`}
      ${can.write && html`<div class="row push"><${Menu} label="More" class="tool" button=${html`<${Icon} name="more" />`}>
          <button type="button" role="menuitem" onClick=${reindex}><${Icon} name="retry" /><span>Reindex<br /><span class="small muted">after a change of the encoder</span></span></button><//>
        <button type="button" class="button primary" onClick=${() => setDialog({ kind: "import" })}><${Icon} name="upload" />Import</button></div>`}</div>
    <${Filters} route=${{ count: shopInfo?.products }} shop=${shop} values=${values} options=${options.current} onImage=${setImage} />
    <${UploadList} uploads=${uploads} shop=${shop} kind="feed" />
    <${Imports} shop=${shop} bus=${bus} uploads=${uploads} can=${can} asked=${route.query.job} />
    ${image ? html`<${ByPicture} image=${image} shop=${shop} onOpen=${(id) => setDialog({ kind: "product", id })} onClose=${() => setImage(null)} />` : html`
    ${error && html`<${Failure} error=${error} retry=${reload} />`}
    ${!data && !error && html`<div class="card pad" aria-busy="true"><${Skeleton} lines=${8} height="2.75rem" /></div>`}
    ${data && !products.length && (filtered
      ? html`<div class="card"><${Empty} icon="search" title=${values.shown === "never" && !values.q ? "Every product was shown" : "No product fits"}><div class="row"><button type="button" class="button" onClick=${() => go(addressOf({ shop, area: "catalogue" }))}>Clear the filters</button></div><//></div>`
      : html`<div class="card"><${Empty} icon="bag" title="The catalogue is empty"><p>Import the shop's product feed: CSV, TSV, JSON lines, JSON, Merchant XML, or a zip of a feed with its pictures.</p>
        ${can.write && html`<div class="row"><button type="button" class="button primary" onClick=${() => setDialog({ kind: "import" })}><${Icon} name="upload" />Import a feed</button></div>`}<//></div>`)}
    ${products.length > 0 && html`<div class="card scroll products ${loading ? "is-loading" : ""}"><table class="table">
      <thead><tr>${can.write && html`<th class="tick"><input type="checkbox" aria-label="Choose all that are listed" checked=${all} onChange=${() => setChosen(all ? new Set() : new Set(products.map((one) => one.product_id)))} /></th>`}
        <th>Product</th><th>Price</th><th class="facts-cell">Brand and category</th><th class="stock-cell">Availability</th><th>Shown at</th></tr></thead>
      <tbody>${products.map((product) => html`<${Row} key=${product.product_id} product=${product} shop=${shop} chosen=${chosen.has(product.product_id)} writable=${can.write}
        onToggle=${() => toggle(product.product_id)} onOpen=${() => setDialog({ kind: "product", id: product.product_id })} />`)}</tbody></table></div>`}
    ${next && html`<div class="row more-row"><button type="button" class="button" onClick=${() => loadMore().catch((failure) => toasts.fail(failure))}>Show more</button></div>`}`}
    ${chosen.size > 0 && html`<div class="bulk" role="region" aria-label="Chosen products"><span class="num">${count(chosen.size, "product")} chosen</span><button type="button" class="button small" onClick=${() => setChosen(new Set())}>Clear</button>
      <button type="button" class="button small danger" onClick=${() => setDialog({ kind: "delete" })}><${Icon} name="trash" />Delete</button></div>`}
    ${dialog?.kind === "delete" && html`<${Confirm} title="Delete ${count(chosen.size, "product")}?" action="Delete" onClose=${() => setDialog(null)}
      onConfirm=${async () => { await post(path("/api/shops/{}/products/delete", shop), { product_ids: [...chosen] }); setChosen(new Set()); await reload(); toasts.show("Deleted"); }}><p>Focuses that show them stay. The next import brings them back if the feed still has them.</p><//>`}
    ${dialog?.kind === "import" && html`<${ImportDialog} shop=${shop} uploads=${uploads} onClose=${() => setDialog(null)} />`}
    ${dialog?.kind === "product" && html`<${ProductDialog} shop=${shop} id=${dialog.id} can=${can} toasts=${toasts} onClose=${() => setDialog(null)} onChanged=${reload} />`}
  </main>`;
}
