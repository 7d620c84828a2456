/** Settings: the shop itself, its webhooks, how to embed the player, and for admins the tokens. */

import { html, useState } from "../vendor/htm-preact.js";
import { get, path, post, put, remove } from "../js/api.js";
import { ago, dateTime } from "../js/format.js";
import { Confirm, Dialog, Empty, Failure, Field, Icon, Skeleton, Tool, useLoad } from "../js/ui.js";
import { CopyBox, snippetFor } from "./embed.js";
import { go } from "./router.js";

const TYPES = [["focus.open", "A product comes on screen (live)"], ["focus.update", "A focus goes on (live)"], ["focus.close", "A product leaves the screen (live)"], ["focus.revise", "A focus is found to be otherwise (live)"],
  ["focus.review", "A person reviews a focus"], ["focuses.put", "A recording is matched"], ["video.update", "A video changes"], ["stream.update", "A stream changes"], ["job.update", "A job goes on"], ["catalog.update", "The catalogue changes"]];
const ROLES = [["viewer", "Viewer: sees its shops"], ["seller", "Seller: sees and changes its shops"], ["admin", "Admin: everything"]];

function NewToken({ shops, onClose, onMade }) {
  const [values, setValues] = useState({ name: "", role: "seller", shops: [], days: "90" });
  const [made, setMade] = useState(null);
  const [error, setError] = useState(null);
  const submit = async () => {
    try {
      const { name, role, days } = values;
      setMade(await post("/api/tokens", { name: name.trim(), role, shops: role === "admin" ? [] : values.shops, ...(days ? { expires_in_days: Number(days) } : {}) }));
      onMade();
    } catch (failure) { setError(failure); }
  };
  const toggle = (shop) => setValues({ ...values, shops: values.shops.includes(shop) ? values.shops.filter((one) => one !== shop) : [...values.shops, shop] });
  if (made) return html`<${Dialog} title="Token for ${made.name}" onClose=${onClose} footer=${html`<button type="button" class="button primary" onClick=${onClose}>Done</button>`}><${CopyBox} text=${made.token} label="Token" secret /><//>`;
  const ready = values.name.trim() && (values.role === "admin" || values.shops.length);
  return html`<${Dialog} title="New token" onClose=${onClose} onSubmit=${submit} footer=${html`<button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary" disabled=${!ready}>Make token</button>`}>
    <${Field} label="For whom" fault=${error?.fields?.name}>${(field) => html`<input class="input" autofocus maxlength="100" placeholder="A person or a program" value=${values.name} onInput=${(event) => setValues({ ...values, name: event.target.value })} ...${field} />`}<//>
    <${Field} label="Role">${(field) => html`<select class="input" value=${values.role} onChange=${(event) => setValues({ ...values, role: event.target.value })} ...${field}>${ROLES.map(([role, text]) => html`<option value=${role}>${text}</option>`)}</select>`}<//>
    ${values.role !== "admin" && html`<fieldset class="field"><legend class="name">Shops</legend><div class="stack tight scroll-short">${shops.map((shop) => html`<label class="check"><input type="checkbox" checked=${values.shops.includes(shop.shop)} onChange=${() => toggle(shop.shop)} /><span dir="auto">${shop.title || shop.shop}</span></label>`)}</div></fieldset>`}
    <${Field} label="Expires" fault=${error?.fields?.expires_in_days}>${(field) => html`<select class="input" value=${values.days} onChange=${(event) => setValues({ ...values, days: event.target.value })} ...${field}><option value="7">in 7 days</option><option value="30">in 30 days</option><option value="90">in 90 days</option><option value="365">in a year</option><option value="">never</option></select>`}<//>
    ${error && html`<${Failure} error=${error} />`}<//>`;
}

function Tokens({ shops }) {
  const { data, error, reload } = useLoad((signal) => get("/api/tokens", { signal }), []);
  const [dialog, setDialog] = useState(null);
  const stateOf = (token) => (token.revoked_at ? ["Revoked", "bad"] : token.expires_at && Date.parse(token.expires_at) < Date.now() ? ["Expired", "warn"] : ["Valid", "good"]);
  return html`<section class="card setting"><header><div><h2>Tokens</h2><p class="small muted">Who may come in. Each person and each program has its own.</p></div><button type="button" class="button push" onClick=${() => setDialog("new")}><${Icon} name="add" />New token</button></header>
    ${error && html`<${Failure} error=${error} retry=${reload} />`}${!data && !error && html`<${Skeleton} lines=${3} height="2rem" />`}
    ${data && html`<div class="scroll"><table class="table"><thead><tr><th>Name</th><th>Role</th><th>Shops</th><th>Last used</th><th>State</th><th><span class="unseen">Actions</span></th></tr></thead><tbody>
      ${data.tokens.map((token) => { const [state, tone] = stateOf(token); return html`<tr key=${token.token_id}><td dir="auto">${token.name}</td><td>${token.role}</td><td class="small" dir="auto">${token.role === "admin" ? "all" : token.shops.join(", ")}</td>
        <td class="small num">${token.used_at ? html`<span title=${dateTime(token.used_at)}>${ago(token.used_at)}</span>` : "never"}</td>
        <td><span class="badge ${tone}" title=${token.expires_at ? `Expires ${dateTime(token.expires_at)}` : "Does not expire"}>${state}</span></td>
        <td class="end">${!token.revoked_at && html`<${Tool} icon="trash" label="Revoke ${token.name}" onClick=${() => setDialog(token)} />`}</td></tr>`; })}</tbody></table></div>`}
    ${dialog === "new" && html`<${NewToken} shops=${shops} onClose=${() => setDialog(null)} onMade=${reload} />`}
    ${dialog?.token_id && html`<${Confirm} title="Revoke this token?" action="Revoke" onClose=${() => setDialog(null)} onConfirm=${async () => { await remove(path("/api/tokens/{}", dialog.token_id)); await reload(); }}><p dir="auto">“${dialog.name}” will be locked out at once. This cannot be taken back.</p><//>`}
  </section>`;
}

function NewWebhook({ shop, onClose, onMade }) {
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState(["focus.open", "focus.close", "focuses.put"]);
  const [made, setMade] = useState(null);
  const [error, setError] = useState(null);
  const submit = async () => { try { setMade(await post(path("/api/shops/{}/webhooks", shop), { url: url.trim(), events })); onMade(); } catch (failure) { setError(failure); } };
  const toggle = (type) => setEvents(events.includes(type) ? events.filter((one) => one !== type) : [...events, type]);
  if (made) {
    return html`<${Dialog} title="The webhook's secret" onClose=${onClose} footer=${html`<button type="button" class="button primary" onClick=${onClose}>Done</button>`}><p>Every call is signed with it: see the header <code>Shopcue-Signature</code>.</p><${CopyBox} text=${made.secret} label="Secret" secret /><//>`;
  }
  return html`<${Dialog} title="New webhook" onClose=${onClose} onSubmit=${submit} footer=${html`<button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary" disabled=${!url.trim() || !events.length}>Add webhook</button>`}>
    <${Field} label="Address that is called" fault=${error?.fields?.url}>${(field) => html`<input class="input" type="url" autofocus placeholder="https://" value=${url} onInput=${(event) => setUrl(event.target.value)} ...${field} />`}<//>
    <fieldset class="field"><legend class="name">It is told when</legend><div class="stack tight">${TYPES.map(([type, text]) => html`<label class="check"><input type="checkbox" checked=${events.includes(type)} onChange=${() => toggle(type)} /><span>${text} <code class="muted">${type}</code></span></label>`)}</div></fieldset>
    ${error && html`<${Failure} error=${error} />`}<//>`;
}

function Deliveries({ webhook, onClose }) {
  const { data, error, reload } = useLoad((signal) => get(path("/api/webhooks/{}/deliveries", webhook.webhook_id), { signal }), [webhook.webhook_id]);
  const tones = { delivered: "good", failed: "bad", waiting: "warn" };
  return html`<${Dialog} title="Deliveries" wide onClose=${onClose} footer=${html`<button type="button" class="button" onClick=${reload}><${Icon} name="retry" />Look again</button>`}>
    <p class="small muted" dir="auto">${webhook.url}</p>${error && html`<${Failure} error=${error} retry=${reload} />`}${!data && !error && html`<${Skeleton} lines=${4} />`}
    ${data && !data.deliveries.length && html`<${Empty} icon="webhook" level=${3} title="Nothing was sent yet" />`}
    ${data?.deliveries.length > 0 && html`<div class="scroll"><table class="table"><thead><tr><th class="end">Event</th><th>State</th><th class="end">Tries</th><th>Answer</th><th>When</th></tr></thead><tbody>
      ${data.deliveries.map((one) => html`<tr key=${one.delivery_id}><td class="num end">${one.event_id}</td><td><span class="badge ${tones[one.state]}">${one.state}</span></td><td class="num end">${one.attempts}</td><td class="small" dir="auto">${one.status_code ?? ""} ${one.error}</td><td class="small num">${ago(one.updated_at)}</td></tr>`)}</tbody></table></div>`}<//>`;
}

function Webhooks({ shop, can, toasts }) {
  const { data, error, reload } = useLoad((signal) => get(path("/api/shops/{}/webhooks", shop), { signal }), [shop]);
  const [dialog, setDialog] = useState(null);
  const test = async (one) => { try { await post(path("/api/webhooks/{}/test", one.webhook_id)); toasts.show("A test is on its way", { action: { label: "Deliveries", run: () => setDialog({ deliveries: one }) } }); } catch (failure) { toasts.fail(failure); } };
  return html`<section class="card setting"><header><div><h2>Webhooks</h2><p class="small muted">Addresses of yours that are called when something happens.</p></div>${can.write && html`<button type="button" class="button push" onClick=${() => setDialog({ add: true })}><${Icon} name="add" />New webhook</button>`}</header>
    ${error && html`<${Failure} error=${error} retry=${reload} />`}${!data && !error && html`<${Skeleton} lines=${2} height="2rem" />`}
    ${data && !data.webhooks.length && html`<${Empty} icon="webhook" level=${3} title="No webhooks" />`}
    <ul>${data?.webhooks.map((one) => html`<li key=${one.webhook_id} class="webhook"><div class="stack tight"><p class="line" dir="auto" title=${one.url}>${one.url}</p><p class="small muted">${one.events.join(", ")}</p></div>
      <div class="row"><button type="button" class="button small" onClick=${() => setDialog({ deliveries: one })}>Deliveries</button>${can.write && html`<button type="button" class="button small" onClick=${() => test(one)}>Test</button><${Tool} icon="trash" label="Delete the webhook" onClick=${() => setDialog({ remove: one })} />`}</div></li>`)}</ul>
    ${dialog?.add && html`<${NewWebhook} shop=${shop} onClose=${() => setDialog(null)} onMade=${reload} />`}
    ${dialog?.deliveries && html`<${Deliveries} webhook=${dialog.deliveries} onClose=${() => setDialog(null)} />`}
    ${dialog?.remove && html`<${Confirm} title="Delete this webhook?" action="Delete" onClose=${() => setDialog(null)} onConfirm=${async () => { await remove(path("/api/webhooks/{}", dialog.remove.webhook_id)); await reload(); }}><p dir="auto">${dialog.remove.url} will not be called any more.</p><//>`}
  </section>`;
}

function ShopSetting({ info, can, toasts, onShops }) {
  const [title, setTitle] = useState(null);
  const [asking, setAsking] = useState(false);
  const save = async (event) => {
    event.preventDefault();
    try { await put(path("/api/shops/{}", info.shop), { title: title.trim() }); await onShops(); setTitle(null); toasts.show("Saved"); } catch (failure) { toasts.fail(failure); }
  };
  return html`<section class="card setting"><header><div><h2>Shop</h2><p class="small muted">Its short name in addresses is <code>${info.shop}</code>.</p></div></header>
    ${can.admin ? html`<form class="row" onSubmit=${save}><label class="grow"><span class="unseen">Title</span><input class="input" maxlength="300" value=${title ?? info.title} onInput=${(event) => setTitle(event.target.value)} /></label><button type="submit" class="button" disabled=${title === null || title.trim() === info.title}>Save</button></form>
      <div class="row"><p class="small muted grow">Deleting a shop deletes its products, videos, focuses and their review.</p><button type="button" class="button danger" onClick=${() => setAsking(true)}><${Icon} name="trash" />Delete shop</button></div>` : html`<p dir="auto">${info.title}</p>`}
    ${asking && html`<${Confirm} title="Delete the shop?" action="Delete the shop" word=${info.shop} onClose=${() => setAsking(false)} onConfirm=${async () => { await remove(path("/api/shops/{}", info.shop)); await onShops(); go("/studio"); }}><p dir="auto">Everything of “${info.title}” will be gone for good.</p><//>`}
  </section>`;
}

export function Settings({ shop, shops, info, can, toasts, onShops }) {
  return html`<main class="page narrow" id="main"><div class="page-head"><h1>Settings</h1></div>
    ${info && html`<${ShopSetting} info=${info} can=${can} toasts=${toasts} onShops=${onShops} />`}
    <${Webhooks} shop=${shop} can=${can} toasts=${toasts} />
    <section class="card setting"><header><div><h2>Embed</h2><p class="small muted">Two lines bring the player into any page of yours; each published video has its own in its menu.</p></div></header><${CopyBox} text=${snippetFor("VIDEO_ID")} label="Snippet" /></section>
    ${can.admin && html`<${Tokens} shops=${shops} />`}
  </main>`;
}
