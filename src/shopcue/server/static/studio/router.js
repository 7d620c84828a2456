/** Where the page is: `/studio`, `/studio/{shop}` with an area in the query, `/studio/{shop}/videos/{video_id}`. */

import { useEffect, useState } from "../vendor/htm-preact.js";

const MOVED = "shopcue:moved";
export const AREAS = ["videos", "catalogue", "streams", "settings"];

/** The address taken apart: {shop, area, video_id, query}. */
export function parse(url = location) {
  const [, , shop = "", kind, video_id = ""] = url.pathname.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const query = Object.fromEntries(new URLSearchParams(url.search));
  const area = AREAS.includes(query.area) ? query.area : "videos";
  return { shop, video_id: kind === "videos" ? video_id : "", area, query };
}

/** The address of an area or a video of a shop; `query` is added. */
export function addressOf({ shop = "", area = "videos", video_id = "", query = {} }) {
  const search = new URLSearchParams(area === "videos" || video_id ? {} : { area });
  for (const [name, value] of Object.entries(query)) if (value !== "" && value !== null && value !== undefined) search.set(name, value);
  const path = ["/studio", shop, ...(video_id ? ["videos", video_id] : [])].filter(Boolean).map((part, i) => (i ? encodeURIComponent(part) : part)).join("/");
  return search.toString() ? `${path}?${search}` : path;
}

/** Go there; `replace` leaves no trace in the history. */
export function go(address, { replace = false } = {}) {
  if (address !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new Event(MOVED));
}

/** The parsed address, followed; plain clicks on links within the studio do not load the page anew. */
export function useRoute() {
  const [route, setRoute] = useState(parse);
  useEffect(() => {
    const read = () => setRoute(parse());
    const click = (event) => {
      const link = event.target.closest?.("a[href]");
      if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      if (link.target || link.hasAttribute("download") || link.dataset.load || link.origin !== location.origin) return;
      if (link.pathname !== "/studio" && !link.pathname.startsWith("/studio/")) return;
      event.preventDefault();
      go(link.pathname + link.search);
    };
    addEventListener("popstate", read);
    addEventListener(MOVED, read);
    document.addEventListener("click", click);
    return () => { removeEventListener("popstate", read); removeEventListener(MOVED, read); document.removeEventListener("click", click); };
  }, []);
  return route;
}
