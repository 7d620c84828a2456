/** One product: its pictures and facts, when it was shown, and the change of its texts. */

import { html, useState } from "../vendor/htm-preact.js";
import { get, patch, path, remove } from "../js/api.js";
import { clock, count, host, webAddress } from "../js/format.js";
import { Confirm, Dialog, Failure, Field, Icon, Picture, Skeleton, useLoad } from "../js/ui.js";
import { addressOf } from "./router.js";

const TEXTS = [["title", "Title"], ["price", "Price"], ["brand", "Brand"], ["category", "Category"], ["availability", "Availability"], ["link", "Link to buy"], ["description", "Description"]];

function Pictures({ shop, product }) {
  const [at, setAt] = useState(0);
  const address = (n) => path("/api/shops/{}/products/{}/pictures/{}", shop, product.product_id, n);
  return html`<div class="product-pictures"><${Picture} class="large" src=${product.images ? address(at) : ""} alt=${product.title} />
    ${product.images > 1 && html`<div class="row" role="group" aria-label="Pictures">${Array.from({ length: Math.min(product.images, 12) }, (_, n) => html`<button type="button" class="thumb" aria-label="Picture ${n + 1}" aria-pressed=${String(n === at)} onClick=${() => setAt(n)}><${Picture} src=${address(n)} /></button>`)}</div>`}</div>`;
}

function Edit({ shop, product, onSaved, onCancel }) {
  const [values, setValues] = useState(Object.fromEntries(TEXTS.map(([name]) => [name, product[name] ?? ""])));
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const save = async (event) => {
    event.preventDefault();
    const changed = Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== (product[name] ?? "")));
    if (!Object.keys(changed).length) { onCancel(); return; }
    setBusy(true);
    try { onSaved(await patch(path("/api/shops/{}/products/{}", shop, product.product_id), changed)); } catch (failure) { setError(failure); setBusy(false); }
  };
  return html`<form class="stack" onSubmit=${save}>
    ${TEXTS.map(([name, label]) => html`<${Field} label=${label} fault=${error?.fields?.[name]}>${(field) => (name === "description"
      ? html`<textarea class="input" value=${values[name]} onInput=${(event) => setValues({ ...values, [name]: event.target.value })} ...${field}></textarea>`
      : html`<input class="input" value=${values[name]} onInput=${(event) => setValues({ ...values, [name]: event.target.value })} ...${field} />`)}<//>`)}
    ${error && html`<${Failure} error=${error} />`}
    <div class="row"><button type="submit" class="button primary" disabled=${busy}>Save</button><button type="button" class="button" onClick=${onCancel}>Cancel</button></div></form>`;
}

function Facts({ product, shop }) {
  const link = webAddress(product.link);
  const rows = [["Id", product.product_id], ["Price", product.price], ["Brand", product.brand], ["Category", product.category], ["Availability", product.availability]].filter(([, value]) => value);
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd dir="auto">${value}</dd></div>`)}
      ${link && html`<div><dt>Link</dt><dd><a href=${link} target="_blank" rel="noopener noreferrer nofollow">${host(link)} <span aria-hidden="true">↗</span></a></dd></div>`}</dl>
    ${product.description && html`<p class="small description" dir="auto">${product.description}</p>`}
    <div><h3>Shown at</h3>${product.shown_at.length ? html`<ul class="shown-list">${product.shown_at.map((one) => html`<li><a href=${addressOf({ shop, video_id: one.video_id, query: { t: one.start_s } })}><span class="num">${clock(one.start_s)}–${one.end_s === null ? "now" : clock(one.end_s)}</span> <span class="line" dir="auto">${one.video_title}</span></a></li>`)}</ul>`
      : html`<p class="muted small">No video shows it yet.</p>`}</div>`;
}

export function ProductDialog({ shop, id, can, toasts, onClose, onChanged }) {
  const { data, error, reload, setData } = useLoad((signal) => get(path("/api/shops/{}/products/{}", shop, id), { signal }), [shop, id]);
  const [mode, setMode] = useState("");
  if (mode === "delete") {
    return html`<${Confirm} title="Delete this product?" action="Delete" onClose=${() => setMode("")} onConfirm=${async () => { await remove(path("/api/shops/{}/products/{}", shop, id)); toasts.show("Deleted"); onChanged(); onClose(); }}>
      <p dir="auto">“${data.title}” will no longer be found in videos.</p><//>`;
  }
  return html`<${Dialog} title=${data?.title ?? "Product"} wide onClose=${onClose} class="product-dialog" footer=${data && can.write && !mode && html`
    <button type="button" class="button danger" onClick=${() => setMode("delete")}><${Icon} name="trash" />Delete</button><button type="button" class="button" onClick=${() => setMode("edit")}><${Icon} name="edit" />Edit texts</button>`}>
    ${error && html`<${Failure} error=${error} retry=${reload} />`}
    ${!data && !error && html`<${Skeleton} lines=${5} height="2rem" />`}
    ${data && html`<div class="product-two"><${Pictures} shop=${shop} product=${data} /><div class="stack">
      ${mode === "edit" ? html`<${Edit} shop=${shop} product=${data} onCancel=${() => setMode("")} onSaved=${(saved) => { setData({ ...data, ...saved }); setMode(""); toasts.show("Saved"); onChanged(); }} />`
        : html`<p class="small muted">${count(data.images, "picture")}</p><${Facts} product=${data} shop=${shop} />`}</div></div>`}
  <//>`;
}
