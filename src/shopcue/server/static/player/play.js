/** The shopper's own page: the player begins where the link says (a live stream at once), and takes all keys. */
const player = document.querySelector("shopcue-player");
const start_s = Number(new URLSearchParams(location.search).get("t"));
if (start_s > 0) player.setAttribute("start", String(start_s));
if (matchMedia("(prefers-reduced-motion: reduce)").matches) player.removeAttribute("autoplay");
await import("./shopcue-player.js");

document.addEventListener("keydown", (event) => {
  if (event.target === document.body) player.press(event);
});
