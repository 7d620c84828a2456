/** What one moment tells: the products that it may show, the things in the frame, and what was said and written. */
import { html } from "../vendor/htm-preact.js";
import { path } from "../js/api.js";
import { clock, percent } from "../js/format.js";
import { Picture } from "../js/ui.js";
import { colourOf, QUALITIES, shareText } from "./colours.js";
import { stackOf } from "./trace.js";

const PARTS = { visual: "seen", text: "said", comments: "written" };
const LEAST_SPAN = 4; // log odds: a bar of nearly nothing shall not look like a bar of much

export const pictureOf = (shop, productId) => path("/api/shops/{}/products/{}/pictures/0", shop, productId);
const signed = (value) => (value < 0 ? `−${Math.abs(value).toFixed(1)}` : value.toFixed(1));

/** The axis that holds all bars: [least, most] log odds, with 0 in it. */
function axisOf(candidates) {
  const edges = candidates.flatMap((candidate) => stackOf(candidate).flatMap((part) => [part.from, part.to]));
  const [least, most] = [Math.min(0, ...edges), Math.max(0, ...edges)];
  return most - least < LEAST_SPAN ? [Math.min(least, -LEAST_SPAN / 4), Math.max(most, LEAST_SPAN * 0.75)] : [least, most];
}

function Bar({ candidate, axis: [least, most] }) {
  const at = (value) => `${(100 * (value - least)) / (most - least)}%`;
  const width = (from, to) => `${(100 * Math.abs(to - from)) / (most - least)}%`;
  return html`<div class="stack-bar" aria-hidden="true">
    ${stackOf(candidate).filter((part) => part.from !== part.to).map((part) => html`
      <i class=${`part-${part.name}`} key=${part.name} style=${{ left: at(Math.min(part.from, part.to)), width: width(part.from, part.to) }}></i>`)}
    <b class="none-line" style=${{ left: at(0) }}></b>
    <b class="sum" style=${{ left: at(candidate.score) }}></b>
  </div>`;
}

/** The best candidates of a moment; the line in the bars is 'none of them': what stays left of it is not shown. */
export function Candidates({ moment, shop, onBox }) {
  if (!moment?.candidates.length) return html`<p class="muted small">No product was compared at this moment.</p>`;
  const axis = axisOf(moment.candidates);
  const none = Math.max(0, 1 - moment.candidates.reduce((sum, candidate) => sum + candidate.probability, 0));
  return html`<div class="candidates">
    <ol>
      ${moment.candidates.map((candidate) => html`<li key=${candidate.product_id} class=${candidate.product_id === moment.showing ? "showing" : ""}
          onPointerEnter=${() => onBox(candidate.box)} onPointerLeave=${() => onBox(null)}>
        <${Picture} src=${pictureOf(shop, candidate.product_id)} />
        <div class="candidate">
          <p class="line" dir="auto" title=${candidate.title}>${candidate.title}</p>
          <${Bar} candidate=${candidate} axis=${axis} />
          <p class="unseen">${Object.entries(PARTS).map(([name, word]) => `${word} ${signed(candidate[name])}`).join(", ")}</p>
        </div>
        <p class="sums"><b class="num">${percent(candidate.probability)}</b><span class="num muted" title="log odds against none">${signed(candidate.score)}</span></p>
      </li>`)}
      <li><span class="pic none">–</span><p>None of the shop's products</p><p class="sums"><b class="num">${percent(none)}</b></p></li>
    </ol>
    <p class="legend small muted">
      ${Object.entries(PARTS).map(([name, word]) => html`<span key=${name}><i class=${`part-${name}`}></i>${word}</span>`)}
      <span><i class="none-line"></i>none</span><span>log odds</span>
    </p>
  </div>`;
}

function Meter({ value, label }) {
  return html`<td><span class="meter" title=${`${label}: ${shareText(value)}`}><i style=${{ width: percent(value) }}></i></span><span class="unseen">${shareText(value)}</span></td>`;
}

/** The things of the frame as a table; a click chooses the tracklet. */
export function Things({ things, near, onHover, onChoose }) {
  if (!things.length) return html`<p class="muted small">Nothing is detected at this moment, or it is filtered out.</p>`;
  return html`<div class="scroll"><table class="things">
    <thead><tr><th scope="col">Tracklet</th><th scope="col">Score</th>${QUALITIES.map(([name, meaning]) => html`<th scope="col" title=${meaning} key=${name}>${name}</th>`)}</tr></thead>
    <tbody>${things.map((thing, i) => html`<tr key=${thing.tracklet_id ?? `-${i}`} class=${thing.tracklet_id !== null && thing.tracklet_id === near ? "near" : ""}
        onPointerEnter=${() => onHover(thing.tracklet_id)} onPointerLeave=${() => onHover(null)}>
      <th scope="row"><button type="button" class="name" disabled=${thing.tracklet_id === null} onClick=${() => onChoose(thing.tracklet_id)}
          onFocus=${() => onHover(thing.tracklet_id)} onBlur=${() => onHover(null)}>
        <i class="dot" style=${{ background: colourOf(thing.followed ? thing.tracklet_id : null) }}></i>
        ${thing.tracklet_id === null ? "–" : `#${thing.tracklet_id}`} ${thing.coarse_class}</button></th>
      <td class="num">${shareText(thing.score)}</td>
      ${QUALITIES.map(([name]) => html`<${Meter} key=${name} value=${thing.quality[name]} label=${name} />`)}
    </tr>`)}</tbody>
  </table></div>`;
}

/** What was said and written around a time; the words of the moment stand out. */
export function Words({ words, time_s, around_s = 10, onSeek }) {
  const said = words.utterances.map((one) => ({ ...one, who: "", at_s: one.start_s, now: one.start_s <= time_s && time_s < one.end_s }));
  const written = words.comments.map((one) => ({ ...one, who: one.user || "?", at_s: one.time_s, end_s: one.time_s, now: Math.abs(one.time_s - time_s) < 1.5 }));
  const near = [...said, ...written].filter((one) => one.at_s < time_s + around_s && one.end_s > time_s - around_s).sort((a, b) => a.at_s - b.at_s);
  if (!near.length) return html`<p class="muted small">Nothing is said or written around this moment.</p>`;
  return html`<ul class="words">
    ${near.map((one) => html`<li key=${`${one.who} ${one.at_s} ${one.text}`} class=${one.now ? "now" : ""}>
      <button type="button" class="link num small" onClick=${() => onSeek(one.at_s)}>${clock(one.at_s)}</button>
      <p dir="auto">${one.who && html`<b>${one.who}</b> `}${one.text}</p>
    </li>`)}
  </ul>`;
}
