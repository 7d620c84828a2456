/** The keys of the player. */

/** Whether a key is meant for the video: not one that a button, a field or a link takes for itself. */
function steers(event) {
  const [target] = event.composedPath();
  if (event.key === "Escape") return true;
  if (target.matches?.("input[type=range]")) return !/^(Arrow|Home|End)/.test(event.key);
  if (target.closest?.("input, textarea, select, [contenteditable]")) return false;
  return ![" ", "Enter"].includes(event.key) || !target.closest?.("button, a");
}

const KEYS = {
  " ": (acts) => acts.toggle(), k: (acts) => acts.toggle(), m: (acts) => acts.mute(), f: (acts) => acts.full?.(),
  ArrowLeft: (acts) => acts.skip(-5), ArrowRight: (acts) => acts.skip(5), j: (acts) => acts.skip(-10), l: (acts) => acts.skip(10),
  Home: (acts) => acts.skip(-Infinity), End: (acts) => acts.skip(Infinity), n: (acts) => acts.step(1), p: (acts) => acts.step(-1),
};

/** Do what a pressed key means; returns whether it meant anything. */
export function press(event, acts) {
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || !steers(event)) return false;
  event.preventDefault();
  act(acts);
  return true;
}
