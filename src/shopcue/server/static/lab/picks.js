/** The picks: which view of a tracklet was searched for, what was found in it, and why the others were dropped. */
import { html } from "../vendor/htm-preact.js";
import { path, query } from "../js/api.js";
import { clock } from "../js/format.js";
import { Picture } from "../js/ui.js";
import { colourOf, QUALITIES, shareText } from "./colours.js";
import { pictureOf } from "./moment.js";

const MOST_DROPPED = 8;
const CANDIDATES = 3;

function cropOf(videoId, { time_s, box }, side) {
  return query(path("/api/videos/{}/frame", videoId), { t: time_s, box: box.map((edge) => edge.toFixed(1)).join(","), side });
}

function Dropped({ videoId, dropped, onSee }) {
  if (!dropped.length) return html`<p class="muted small">It was the only view of this stretch.</p>`;
  return html`<ul class="dropped">
    ${dropped.slice(0, MOST_DROPPED).map((view) => html`<li key=${view.time_s}>
      <button type="button" class="see" aria-label=${`Dropped view at ${clock(view.time_s, 1)}: ${view.reason}`} onClick=${() => onSee.go(view)}
        onPointerEnter=${() => onSee.over(view)} onPointerLeave=${() => onSee.over(null)}><${Picture} src=${cropOf(videoId, view, 120)} /></button>
      <p><span class="num">${clock(view.time_s, 1)} · ${shareText(view.worth)}</span><br />${view.reason}</p>
    </li>`)}
    ${dropped.length > MOST_DROPPED && html`<li class="muted small">and ${dropped.length - MOST_DROPPED} more</li>`}
  </ul>`;
}

function Found({ pick, shop }) {
  if (!pick.candidates.length) return html`<p class="muted small">Not compared with the shop.</p>`;
  return html`<ol class="found">
    ${pick.candidates.slice(0, CANDIDATES).map((candidate) => html`<li key=${candidate.product_id}>
      <${Picture} src=${pictureOf(shop, candidate.product_id)} />
      <span class="line" dir="auto" title=${candidate.title}>${candidate.title}</span>
      <span class="num" title="similarity, in deviations above other footage">${candidate.similarity.toFixed(1)} σ</span>
      <span class="num muted" title="local features that agree">${pick.verified ? `${candidate.inliers} pts` : ""}</span>
    </li>`)}
  </ol>`;
}

export function Pick({ pick, videoId, shop, near, onHover, onSee }) {
  const whole = pick.tracklet_id === null;
  const name = whole ? "Whole frame" : `#${pick.tracklet_id} ${pick.coarse_class}`;
  return html`<li class=${`pick card${!whole && near === pick.tracklet_id ? " near" : ""}`} style=${{ "--c": colourOf(pick.tracklet_id) }}
      onPointerEnter=${() => onHover(pick.tracklet_id)} onPointerLeave=${() => onHover(null)}>
    <button type="button" class="see crop" aria-label=${`Pick at ${clock(pick.time_s, 1)}: go there`} onClick=${() => onSee.go(pick)}
      onPointerEnter=${() => onSee.over(pick)} onPointerLeave=${() => onSee.over(null)}><${Picture} src=${cropOf(videoId, pick, 320)} /></button>
    <div class="about">
      <h3><i class="dot"></i>${name}</h3>
      <p class="num small muted">picked at ${clock(pick.time_s, 1)} of ${clock(pick.start_s, 1)}–${clock(pick.end_s, 1)} · worth ${shareText(pick.worth)}</p>
      ${!whole && html`<dl class="qualities">${[["score", pick.score], ...QUALITIES.map(([name_]) => [name_, pick.quality[name_]])].map(([label, value]) => html`
        <div key=${label}><dt>${label}</dt><dd><span class="meter"><i style=${{ width: `${100 * value}%` }}></i></span><span class="num">${shareText(value)}</span></dd></div>`)}</dl>`}
    </div>
    <section><h4>Looks like</h4><${Found} pick=${pick} shop=${shop} /></section>
    <section><h4>Dropped</h4><${Dropped} videoId=${videoId} dropped=${pick.dropped} onSee=${onSee} /></section>
  </li>`;
}

/** The picks to show: those of the chosen tracklet, else those whose stretch holds the moment; the best worth first. */
export function picksToShow(picks, chosen, time_s, without) {
  const wanted = chosen === null
    ? picks.filter((pick) => pick.start_s <= time_s + 0.01 && time_s <= pick.end_s + 0.25 && !without.has(pick.coarse_class))
    : picks.filter((pick) => pick.tracklet_id === chosen);
  return chosen === null ? wanted.sort((a, b) => (a.tracklet_id === null) - (b.tracklet_id === null) || b.worth - a.worth) : wanted;
}
