/** The list of focuses beside the video: the most doubtful first, or in the order of time. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { clock, percent } from "../js/format.js";
import { Empty, Icon, Picture, Progress, Segmented } from "../js/ui.js";
import { doubtful, reviewed } from "./review.js";

const ROW_PX = 60;
const BADGES = { confirmed: ["good", "check"], corrected: ["good", "edit"], added: ["good", "add"], rejected: ["bad", "close"], open: ["accent", "live"] };
export const STATUS = { found: "To review", open: "On screen", confirmed: "Confirmed", corrected: "Corrected", added: "Added", rejected: "Rejected" };

/** What became of a focus; `short`: the pictogram alone, and nothing for one that waits. */
export function StatusBadge({ focus, short = false }) {
  const [tone, icon] = BADGES[focus.status] ?? (doubtful(focus) ? ["warn", "help"] : ["", ""]);
  const text = doubtful(focus) ? "Doubtful" : STATUS[focus.status];
  if (short) return icon && html`<span class="badge ${tone}" title=${text}><${Icon} name=${icon} /><span class="unseen">${text}</span></span>`;
  return html`<span class="badge ${tone}">${icon && html`<${Icon} name=${icon} />`}${text}</span>`;
}

/** Which focuses the queue shows, in its order. */
export function queueOf(focuses, { order, filter }) {
  const kept = focuses.filter((focus) => (filter === "all" ? focus.status !== "rejected" : filter === "rejected" ? focus.status === "rejected" : !reviewed(focus)));
  return order === "doubt" ? [...kept].sort((a, b) => b.doubt - a.doubt || a.start_s - b.start_s) : kept;
}

function Row({ focus, top, chosen, onChoose }) {
  return html`<button type="button" class="queue-row ${chosen ? "is-chosen" : ""}" role="option" aria-selected=${String(chosen)} tabindex=${chosen ? 0 : -1}
    data-focus=${focus.focus_id} style=${{ transform: `translateY(${top}px)`, height: `${ROW_PX}px` }} onClick=${() => onChoose(focus.focus_id)}>
    <${Picture} src=${focus.picture} icon="tag" />
    <span class="queue-text"><span class="line" dir="auto">${focus.title || focus.product_id}</span>
      <span class="row small muted"><span class="num">${clock(focus.start_s)}–${focus.end_s === null ? "now" : clock(focus.end_s)}</span><span class="num">${percent(focus.score)}</span></span></span>
    <${StatusBadge} focus=${focus} short />
  </button>`;
}

function Rows({ focuses, chosenId, onChoose }) {
  const ref = useRef(null);
  const [seen, setSeen] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const element = ref.current;
    const read = () => setSeen({ top: element.scrollTop, height: element.clientHeight });
    const watch = new ResizeObserver(read);
    watch.observe(element);
    element.addEventListener("scroll", read, { passive: true });
    return () => { watch.disconnect(); element.removeEventListener("scroll", read); };
  }, []);
  const at = focuses.findIndex((focus) => focus.focus_id === chosenId);
  useEffect(() => {
    const element = ref.current;
    const top = at * ROW_PX;
    if (at >= 0 && (top < element.scrollTop || top + ROW_PX > element.scrollTop + element.clientHeight)) element.scrollTop = top - (element.clientHeight - ROW_PX) / 2;
  }, [at]);
  const first = Math.max(0, Math.floor(seen.top / ROW_PX) - 3);
  const last = Math.min(focuses.length, Math.ceil((seen.top + seen.height) / ROW_PX) + 3);
  return html`<div class="queue-rows" ref=${ref} role="listbox" aria-label="Focuses" tabindex=${at < 0 ? 0 : -1}>
    <div role="presentation" style=${{ height: `${focuses.length * ROW_PX}px` }}>
      ${focuses.slice(first, last).map((focus, i) => html`<${Row} key=${focus.focus_id} focus=${focus} top=${(first + i) * ROW_PX} chosen=${focus.focus_id === chosenId} onChoose=${onChoose} />`)}
    </div>
  </div>`;
}

/** focuses: all of the video; queue: those that are shown; sorting: {order, filter} with onSort; stream: "", or whether it is "on" or "off". */
export function Queue({ focuses, queue, chosenId, sorting, onSort, onChoose, settled, stream }) {
  const counted = focuses.filter((focus) => focus.status !== "open");
  const done = counted.filter(reviewed).length;
  const all = focuses.filter((focus) => focus.status !== "rejected").length;
  return html`<section class="queue" aria-label="Review">
    <header>
      <div class="row"><h2>Review</h2>${counted.length > 0 && html`<span class="num small muted push">${done.toLocaleString("en")} of ${counted.length.toLocaleString("en")} reviewed</span>`}</div>
      <${Progress} share=${counted.length ? done / counted.length : 0} label="Reviewed" tone="good" />
      <div class="row queue-sort">
        <${Segmented} label="Show" value=${sorting.filter} onChange=${(filter) => onSort({ ...sorting, filter })}
          options=${[["open", "To do"], ["all", "All"], ["rejected", focuses.length > all ? `Rejected ${focuses.length - all}` : "Rejected"]]} />
        <button type="button" class="chip" aria-pressed=${String(sorting.order === "doubt")} title="Change the order"
          onClick=${() => onSort({ ...sorting, order: sorting.order === "doubt" ? "start" : "doubt" })}><${Icon} name="sort" />${sorting.order === "doubt" ? "Doubtful first" : "By time"}</button>
      </div>
    </header>
    ${queue.length ? html`<${Rows} focuses=${queue} chosenId=${chosenId} onChoose=${onChoose} />`
      : settled && html`<${Empty} icon=${sorting.filter === "open" && counted.length ? "check" : "tag"} level=${3}
          title=${sorting.filter === "rejected" ? "Nothing was rejected" : sorting.filter === "open" && counted.length ? "All reviewed" : stream ? "No product yet" : "No product was found"}>
          ${sorting.filter === "open" && counted.length > 0 && html`<p>Publish the video, or look at all focuses again.</p><div class="row"><button type="button" class="button small" onClick=${() => onSort({ ...sorting, filter: "all" })}>Show all</button></div>`}
          ${!focuses.length && stream && html`<p>${stream === "on" ? "Products appear here as they come on screen." : "Start the stream: products appear here as they come on screen."}</p>`}
          ${!focuses.length && !stream && html`<p>Move the playhead to a product and press <kbd>a</kbd> to add it yourself.</p>`}<//>`}
  </section>`;
}
