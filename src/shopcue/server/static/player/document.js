/**
 * The public document of a video: what a player shows, as the server publishes it.
 *
 * Field names are those of the JSON. Texts come from strangers and are only ever shown as text; addresses are checked
 * here, once, so that whoever draws may use them.
 */
import { host, webAddress } from "../js/format.js";
import { isRecording } from "../js/recording.js";

const STREAM_STATES = ["stopped", "starting", "live", "reconnecting"];
export const IDLE_STATES = ["stopped", "failed"]; // of a stream

/**
 * Where a video's page and API are, from `https://host/play/ID` or `https://host/api/public/videos/ID`.
 *
 * Raises TypeError where `src` is no such address.
 */
export function placeOf(src, base) {
  const page = new URL(src, base);
  const found = /^(.*)\/(?:play|api\/public\/videos)\/([\w-]{1,64})\/?$/.exec(page.pathname);
  if (!/^https?:$/.test(page.protocol) || !found) {
    throw new TypeError(`the player's src is "${src}", expected an address such as https://host/play/ID`);
  }
  const [, prefix, videoId] = found;
  const site = `${page.origin}${prefix}`;
  const api = `${site}/api/public/videos/${videoId}`;
  return { page: `${site}/play/${videoId}`, document: api, events: `${api}/events` };
}

function resolved(address, place) {
  if (typeof address !== "string" || !address) return "";
  try { return webAddress(new URL(address, place.page).href); } catch { return ""; }
}

const text = (value) => (typeof value === "string" ? value : "");
const seconds = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);

function readProduct(json, place) {
  const link = webAddress(json.link);
  return {
    product_id: text(json.product_id), title: text(json.title) || text(json.product_id), price: text(json.price),
    brand: text(json.brand), sold_out: /out[\s_-]*of[\s_-]*stock|sold[\s_-]*out/i.test(text(json.availability)),
    link, host: host(link), picture: resolved(json.picture, place),
  };
}

/** A focus; `end_s` is Infinity while it is open. */
function readFocus(json) {
  const start_s = seconds(json.start_s, 0);
  return { focus_id: text(json.focus_id), product_id: text(json.product_id), start_s, end_s: seconds(json.end_s, Infinity) };
}

const inOrder = (focuses) => [...focuses].sort((a, b) => a.start_s - b.start_s || (a.focus_id < b.focus_id ? -1 : 1));

/** Whether this is a stream, be it on or off; a video that was uploaded has media of its own. */
const isStream = (json) => json.live === true || isRecording(json.media) || (!json.media && (Boolean(json.playback_url) || STREAM_STATES.includes(json.state)));

/** The show with what follows: live is a stream, but for one that has ended and of which there is a recording. */
const settled = (show) => ({ ...show, live: show.stream && !(isRecording(show.media) && !show.playback && IDLE_STATES.includes(show.state)) });

/** The document as the player uses it, all addresses absolute and http(s), or "". */
export function readDocument(json, place) {
  const products = Object.values(json.products ?? {}).map((product) => readProduct(product, place));
  const focuses = (json.focuses ?? []).filter((focus) => focus.status !== "rejected").map(readFocus);
  return settled({
    video_id: text(json.video_id), shop: text(json.shop), title: text(json.title), stream: isStream(json), state: text(json.state),
    duration_s: seconds(json.duration_s, NaN), ratio: json.width > 0 && json.height > 0 ? json.width / json.height : NaN,
    media: resolved(json.media, place), playback: resolved(json.playback_url, place), poster: resolved(json.poster, place),
    page: resolved(json.page, place) || place.page,
    products: new Map(products.map((product) => [product.product_id, product])),
    focuses: inOrder(focuses.filter((focus) => products.some((product) => product.product_id === focus.product_id))),
    related: (json.related ?? []).map((product) => readProduct(product, place)),
    last_event_id: seconds(json.last_event_id, null),
  });
}

/**
 * The document after an event, or null where it has to be read anew.
 *
 * A focus that was rejected goes; another takes the place of the one with its id, or joins. An event that says nothing
 * to a player leaves the document as it is (the same object).
 */
export function applyEvent(show, event, place) {
  const data = event.data ?? {};
  if (event.type === "focuses.put" || event.type === "reset") return null;
  if (event.type.startsWith("focus.")) return withFocus(show, data, place);
  if (event.type === "video.update" || event.type === "stream.update") return withVideo(show, data, place);
  return show;
}

function withFocus(show, data, place) {
  const others = show.focuses.filter((focus) => focus.focus_id !== data.focus_id);
  if (data.status === "rejected") return { ...show, focuses: others };
  const card = data.product ? readProduct(data.product, place) : null;
  const products = card ? new Map(show.products).set(card.product_id, card) : show.products;
  if (!products.has(data.product_id)) return null;
  return { ...show, products, focuses: inOrder([...others, readFocus(data)]) };
}

function withVideo(show, data, place) {
  const finished = !show.stream && show.state !== "ready" && data.state === "ready";
  if (finished || ("published" in data && !data.published)) return null;
  const playback = "playback_url" in data ? resolved(data.playback_url, place) : show.playback;
  const media = "media" in data ? resolved(data.media, place) : show.media;
  return settled({ ...show, playback, media, state: text(data.state) || show.state, title: text(data.title) || show.title });
}
