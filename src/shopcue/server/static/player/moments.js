/** Which products are on screen at a time, before it and after it: rules over the focuses, in order of start. */

/** The focuses at `time_s`, the one that began last first. */
export function onScreen(focuses, time_s) {
  return focuses.filter((focus) => focus.start_s <= time_s && time_s < focus.end_s).reverse();
}

/** The focuses that are still open, the one that began last first: what a live stream shows now. */
export function open(focuses) {
  return focuses.filter((focus) => focus.end_s === Infinity).reverse();
}

/** The next focus that begins after `time_s`, or undefined. */
export const following = (focuses, time_s) => focuses.find((focus) => focus.start_s > time_s);

/** The focus that ended last before `time_s`, or undefined. */
function former(focuses, time_s) {
  const ended = focuses.filter((focus) => focus.end_s <= time_s);
  return ended.reduce((last, focus) => (!last || focus.end_s >= last.end_s ? focus : last), undefined);
}

/** What the card shows at `time_s`: a focus, and whether it is on screen ("now"), was ("past"), will be ("next"), or none. */
export function cardAt(focuses, time_s) {
  const [now] = onScreen(focuses, time_s);
  if (now) return { focus: now, when: "now" };
  const past = former(focuses, time_s);
  if (past) return { focus: past, when: "past" };
  const next = following(focuses, time_s);
  return next ? { focus: next, when: "next" } : { focus: null, when: "none" };
}

/** What the card of a live stream shows: the focus that is open, else the one that ended last. */
export function liveCard(focuses) {
  const [now] = open(focuses);
  if (now) return { focus: now, when: "now" };
  const past = former(focuses, Infinity);
  return past ? { focus: past, when: "past" } : { focus: null, when: "none" };
}

/** Each product that is shown with its focuses, in the order in which they are first shown. */
export function byProduct(focuses) {
  const shown = new Map();
  for (const focus of focuses) {
    const moments = shown.get(focus.product_id);
    if (moments) moments.push(focus); else shown.set(focus.product_id, [focus]);
  }
  return shown;
}

/** The focus that a viewer at `time_s` means by "next" (direction 1) or "previous" (-1), or undefined. */
export function neighbour(focuses, time_s, direction) {
  if (direction > 0) return focuses.find((focus) => focus.start_s > time_s + 0.1);
  // Going back within the first second of a focus means the one before it, as on any music player.
  return focuses.findLast((focus) => focus.start_s < time_s - 1);
}
