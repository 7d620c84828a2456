/** What the player says; a shop may replace any of it: `player.words = { buy: "Zum Produkt" }`. `{}` is a value. */
export const WORDS = Object.freeze({
  player: "Video with products",
  now: "On screen now", past: "Shown before", next: "Coming up at {}", waiting: "The next product appears here",
  nothing: "No product is shown in this video", finding: "The products of this video are being found",
  buy: "View product", sold_out: "Sold out", opens: "opens in a new tab",
  products: "In this video", products_open: "Products in this video: {}", related: "More from this shop", close: "Close",
  jump: "Play from {}: {}", moment: "Play from {}",
  play: "Play", pause: "Pause", replay: "Play again", mute: "Mute", unmute: "Turn sound on", volume: "Volume", seek: "Seek",
  fullscreen: "Full screen", leave_fullscreen: "Leave full screen", share: "Share",
  share_title: "Share this video", share_at: "Start at {}", copy: "Copy link", copied: "Link copied", link: "Link",
  live: "Live", live_jump: "Go live", ended: "The live stream has ended", paused: "The live stream is not running",
  starting: "The live stream is about to start", reconnecting: "The picture is interrupted, trying again",
  unrecorded: "This part was not recorded", no_picture: "The live picture cannot be shown here; its products can", missing: "This video is not available",
  missing_why: "It may have been removed, or is not published.", unreachable: "The video cannot be reached",
  unreachable_why: "Check the connection; it is tried again by itself.", unplayable: "The video cannot be played here",
  retry: "Try again", loading: "Loading", misplaced: "This player has no video", of: "{} of {}",
});

/** `text` with each `{}` replaced by a value, in order. */
export function say(text, ...values) {
  let at = 0;
  return text.replace(/\{\}/g, () => values[at++] ?? "");
}
