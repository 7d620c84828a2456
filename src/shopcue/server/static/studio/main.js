/** Shopcue Studio: the seller's page. Who is signed in, which shop and which area is open, and the frame around them. */

import { html, render, useCallback, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { get, path, put, remove } from "../js/api.js";
import { Dialog, Empty, Failure, Field, Icon, Mark, Menu, Skeleton, ToastList, Toasts, typing, useLoad, useTheme } from "../js/ui.js";
import { Bus } from "./bus.js";
import { Catalogue } from "./catalogue.js";
import { Help } from "./keys.js";
import { addressOf, go, useRoute } from "./router.js";
import { Settings } from "./settings.js";
import { SignIn } from "./signin.js";
import { Streams } from "./streams.js";
import { Uploads } from "./uploads.js";
import { useUploads } from "./upload-list.js";
import { VideoView } from "./video.js";
import { Videos } from "./videos.js";

const AREAS = { videos: ["Videos", "video", Videos], catalogue: ["Catalogue", "bag", Catalogue], streams: ["Streams", "live", Streams], settings: ["Settings", "gear", Settings] };
const SIGNED_IN = "shopcue-signed-in";
const THEMES = [["auto", "As the machine", "gear"], ["light", "Light", "sun"], ["dark", "Dark", "moon"]];

function NewShop({ onClose, onMade }) {
  const [title, setTitle] = useState("");
  const [name, setName] = useState(null);
  const [error, setError] = useState(null);
  const slug = name ?? title.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63);
  const submit = async () => { try { await put(path("/api/shops/{}", slug), { title: title.trim() || slug }); await onMade(slug); onClose(); } catch (failure) { setError(failure); } };
  return html`<${Dialog} title="New shop" onClose=${onClose} onSubmit=${submit} footer=${html`<button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary" disabled=${!slug}>Make shop</button>`}>
    <${Field} label="Title">${(field) => html`<input class="input" autofocus maxlength="300" value=${title} onInput=${(event) => setTitle(event.target.value)} ...${field} />`}<//>
    <${Field} label="Short name" note="Small letters, digits and dashes: it stands in addresses." fault=${error?.fields?.shop}>${(field) => html`<input class="input code" pattern="[a-z0-9][a-z0-9\\-]{0,62}" value=${slug} onInput=${(event) => setName(event.target.value)} ...${field} />`}<//>
    ${error && html`<${Failure} error=${error} />`}<//>`;
}

function ShopSwitch({ shops, shop, area, can, onNew }) {
  const current = shops.find((one) => one.shop === shop);
  return html`<${Menu} label=${`Shop ${current?.title || current?.shop || "Choose a shop"}`} left class="shop-switch" button=${html`<${Icon} name="shop" /><span class="line" dir="auto">${current?.title || current?.shop || "Choose a shop"}</span><${Icon} name="down" />`}>
    ${shops.map((one) => html`<a key=${one.shop} role="menuitemradio" aria-checked=${String(one.shop === shop)} href=${addressOf({ shop: one.shop, area })}><${Icon} name=${one.shop === shop ? "check" : "shop"} /><span class="line" dir="auto">${one.title || one.shop}</span></a>`)}
    ${can.admin && html`<hr /><button type="button" role="menuitem" onClick=${onNew}><${Icon} name="add" />New shop</button>`}<//>`;
}

function Nav({ shop, area, video, uploading }) {
  return html`<nav class="areas" aria-label="Areas">${Object.entries(AREAS).map(([key, [name, icon]]) => html`<a key=${key} href=${addressOf({ shop, area: key })} aria-current=${key === area ? (video ? "true" : "page") : undefined}>
    <${Icon} name=${icon} /><span>${name}</span>${key === "videos" && uploading > 0 && html`<span class="badge accent num" title="Uploads under way">${uploading}</span>`}</a>`)}</nav>`;
}

function Account({ session, onLeave, onHelp }) {
  const [theme, setTheme] = useTheme();
  return html`<${Menu} label="Account and theme" class="tool" button=${html`<${Icon} name="user" />`}>
    <div class="menu-note"><strong dir="auto">${session.name}</strong><span class="small muted">${session.role}</span></div><hr />
    ${THEMES.map(([value, text, icon]) => html`<button type="button" role="menuitemradio" aria-checked=${String(theme === value)} onClick=${() => setTheme(value)}><${Icon} name=${theme === value ? "check" : icon} />${text}</button>`)}
    <hr /><button type="button" role="menuitem" onClick=${onHelp}><${Icon} name="help" />Keys</button>
    <button type="button" role="menuitem" onClick=${onLeave}><${Icon} name="lock" />Sign out</button><//>`;
}

/** What the signed-in person may do in the open shop. */
function rightsOf(session) {
  return { admin: session.role === "admin", write: session.role === "admin" || session.role === "seller" };
}

function Shell({ session, onLeave, toasts }) {
  const route = useRoute();
  const { data, error, reload } = useLoad((signal) => get("/api/shops", { signal }), []);
  const [dialog, setDialog] = useState("");
  const bus = useMemo(() => new Bus(), []);
  const uploads = useMemo(() => new Uploads(toasts), [toasts]);
  const uploading = useUploads(uploads).filter((one) => ["waiting", "sending", "finishing"].includes(one.state)).length;
  const can = useMemo(() => rightsOf(session), [session]);
  const shops = data?.shops ?? [];
  const { shop } = route;
  const info = shops.find((one) => one.shop === shop);
  // Leaving the page would cut what is being sent.
  useEffect(() => {
    if (!uploading) return undefined;
    const ask = (event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [uploading > 0]);
  useEffect(() => { bus.follow(route.video_id ? "" : info?.shop ?? ""); }, [info?.shop, route.video_id]);
  useEffect(() => () => bus.follow(""), []);
  useEffect(() => bus.hear((event) => { if (event.type === "catalog.update" || event.type === "video.update") bus.later("shops", reload); }), [bus]);
  useEffect(() => { if (data && !shop && shops.length) go(addressOf({ shop: lastShop(shops), area: route.area }), { replace: true }); }, [data, shop]);
  useEffect(() => { if (info) { try { localStorage.setItem("shopcue-shop", info.shop); } catch { /* not kept */ } } }, [info?.shop]);
  useEffect(() => { if (!route.video_id) document.title = `${AREAS[route.area][0]} – ${info?.title ?? "Shopcue"} – Shopcue Studio`; }, [route.area, route.video_id, info?.title]);
  useEffect(() => {
    const press = (event) => { if (event.key === "?" && !route.video_id && !typing(event)) { event.preventDefault(); setDialog("help"); } };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [route.video_id]);
  // Whoever goes on by the keyboard goes on from the new content.
  const place = `${route.area} ${route.video_id}`;
  const been = useRef(place);
  useEffect(() => {
    if (been.current === place) return;
    been.current = place;
    const main = document.getElementById("main");
    if (!document.querySelector("dialog[open]")) { main?.setAttribute("tabindex", "-1"); main?.focus({ preventScroll: true }); }
    scrollTo(0, 0);
  }, [place]);
  const Area = AREAS[route.area][2];
  // Which area a video belongs to is known once it is loaded.
  const [kind, setKind] = useState("recording");
  const area = route.video_id && kind === "stream" ? "streams" : route.area;
  const common = { shop, route, session, can, toasts, uploads, bus, shops, info, shopInfo: info, onShops: reload };
  return html`<a class="skip" href="#main">Skip to the content</a>
    <header class="top"><${Mark} href=${addressOf({ shop })} />
      ${data && html`<${ShopSwitch} shops=${shops} shop=${shop} area=${route.area} can=${can} onNew=${() => setDialog("shop")} />`}
      ${info && html`<${Nav} shop=${shop} area=${area} video=${route.video_id} uploading=${uploading} />`}
      <div class="row push"><${Account} session=${session} onLeave=${onLeave} onHelp=${() => setDialog("help")} /></div></header>
    ${error && !data && html`<main class="page" id="main"><${Failure} error=${error} retry=${reload} /></main>`}
    ${!data && !error && html`<main class="page" id="main" aria-busy="true"><${Skeleton} lines=${3} height="3rem" /></main>`}
    ${data && !shops.length && html`<main class="page" id="main"><${Empty} icon="shop" title="No shop yet"><p>${can.admin ? "A shop holds products, videos and streams." : "Your token is for no shop: ask an admin for another."}</p>${can.admin && html`<div class="row"><button type="button" class="button primary" onClick=${() => setDialog("shop")}><${Icon} name="add" />New shop</button></div>`}<//></main>`}
    ${data && shops.length > 0 && shop && !info && html`<main class="page" id="main"><${Empty} icon="shop" title="There is no such shop"><p>It was deleted, or your token is not for it.</p><div class="row"><a class="button" href="/studio">Open another</a></div><//></main>`}
    ${info && (route.video_id ? html`<${VideoView} key=${route.video_id} ...${common} videoId=${route.video_id} onKind=${setKind} />` : html`<${Area} key="${shop} ${route.area}" ...${common} />`)}
    ${dialog === "shop" && html`<${NewShop} onClose=${() => setDialog("")} onMade=${async (made) => { go(addressOf({ shop: made, area: "catalogue" })); await reload(); }} />`}
    ${dialog === "help" && html`<${Help} onClose=${() => setDialog("")} />`}`;
}

function lastShop(shops) {
  let kept = null;
  try { kept = localStorage.getItem("shopcue-shop"); } catch { /* nothing is kept */ }
  return (shops.find((one) => one.shop === kept) ?? shops[0]).shop;
}

/** Whether this browser signed in before: else asking for the session would only earn a refusal. */
function wasSignedIn(now = null) {
  try {
    if (now !== null) localStorage.setItem(SIGNED_IN, now ? "1" : "");
    return localStorage.getItem(SIGNED_IN) === "1";
  } catch {
    return true;
  }
}

/** Where whoever signs in wanted to go: only to a page of this server that sends people here. */
function nextPage() {
  const next = new URLSearchParams(location.search).get("next") ?? "";
  return /^\/lab\/[A-Za-z0-9_-]+(\?t=[0-9.]+)?$/.test(next) ? next : "";
}

function Studio() {
  const toasts = useMemo(() => new Toasts(), []);
  const { data: session, error, loading, reload, setData } = useLoad(async (signal) => {
    if (!wasSignedIn()) return {};
    try { return await get("/api/session", { signal }); } catch (failure) { if (failure.status !== 401) throw failure; wasSignedIn(false); return {}; }
  }, []);
  const [expired, setExpired] = useState(false);
  useEffect(() => {
    const out = () => setData((old) => { if (old?.role) { setExpired(true); wasSignedIn(false); } return {}; });
    addEventListener("shopcue:signed-out", out);
    return () => removeEventListener("shopcue:signed-out", out);
  }, []);
  const leave = useCallback(async () => { try { await remove("/api/session"); wasSignedIn(false); setExpired(false); setData({}); } catch (failure) { toasts.fail(failure); } }, [toasts]);
  // Loaded anew: from where a page may play streams is said when it is loaded, and depends on who asks.
  const enter = () => { wasSignedIn(true); const next = nextPage(); if (next) location.assign(next); else location.reload(); };
  return html`
    ${error && html`<main class="page" id="main"><${Failure} error=${error} retry=${reload} /></main>`}
    ${!error && loading && !session && html`<main class="page" id="main" aria-busy="true"></main>`}
    ${!error && session && (session.role ? html`<${Shell} session=${session} toasts=${toasts} onLeave=${leave} />` : html`<${SignIn} expired=${expired} onSession=${enter} />`)}
    <${ToastList} toasts=${toasts} />`;
}

const app = document.getElementById("app");
app.replaceChildren();
render(html`<${Studio} />`, app);
