/** Looking things up in what is in order. */

/** Index of the first item that does not satisfy `before` (which holds for a beginning of the list only). */
export function firstNot(items, before) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(items[middle])) low = middle + 1; else high = middle;
  }
  return low;
}
