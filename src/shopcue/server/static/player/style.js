/** The player's look. Sizes are in px: the page that embeds it may have changed what a rem is. */
export const STYLE = `
:host {
  --accent: var(--shopcue-accent, light-dark(#1d4fd7, #8fb4ff));
  --on-accent: var(--shopcue-on-accent, light-dark(#ffffff, #0e1013));
  --surface: var(--shopcue-surface, light-dark(#ffffff, #171a1f));
  --raised: var(--shopcue-raised, light-dark(#f0f0ed, #21252c));
  --ink: var(--shopcue-ink, light-dark(#15181d, #eef0f3));
  --muted: var(--shopcue-muted, light-dark(#5a6170, #a3abb8));
  --line: var(--shopcue-line, light-dark(#dfe0dd, #2d323b));
  --radius: var(--shopcue-radius, 12px);
  --edge: var(--shopcue-page-edge, 0px);
  --reach: max(var(--edge), 2px); /* rows that scroll go to the edge of the screen */
  --tallest: var(--shopcue-max-height, min(82svh, 800px));
  display: block; min-width: 0; color: var(--ink); text-align: start;
  font: 15px/1.45 var(--shopcue-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif);
  -webkit-tap-highlight-color: transparent;
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
/* A theme of its own needs a ground of its own: the page's may be of the other kind. */
:host(:is([theme="light"], [theme="dark"])) { --edge: var(--shopcue-page-edge, 12px); background: var(--shopcue-paper, light-dark(#f6f6f4, #0e1013)); border-radius: var(--radius); }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
h2, h3, p, ul, header { margin: 0; padding: 0; }
ul { list-style: none; }
button, input { font: inherit; color: inherit; }
button { padding: 0; border: 0; background: none; cursor: pointer; text-align: inherit; }
button:disabled { cursor: default; }
a { color: inherit; text-decoration: none; }
h2 { font-size: 15px; font-weight: 650; letter-spacing: -.005em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
.stage :focus-visible { outline-color: #fff; }
.icon { width: 22px; height: 22px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.icon.filled { fill: currentColor; }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.title { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; line-clamp: 2; overflow: hidden; overflow-wrap: anywhere; font-weight: 600; }

/* ---- how the parts stand ---- */

.player { position: relative; display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; }
.player[data-layout="beside"] { grid-template-columns: minmax(0, min(var(--tallest) * var(--ratio), 100% - 416px)) minmax(320px, 1fr); }
.player[data-layout="beside"] .panel { height: 0; min-height: max(100%, 340px); }
.player[data-layout="beside"] .related { grid-column: 1 / -1; }
.player[data-layout="immersive"] { background: #000; gap: 0; }
.stage { position: relative; overflow: hidden; background: #000; color: #fff; border-radius: var(--shopcue-stage-radius, var(--radius)); aspect-ratio: var(--ratio); isolation: isolate; width: 100%; container: stage / inline-size; }
.frame { position: absolute; inset: 0; }
.stage video, .poster { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; display: block; background: #000; }
[data-layout="immersive"] .stage { height: 100vh; border-radius: 0; aspect-ratio: auto; }
/* On a phone held upright the picture stands at the top, whole; the card takes what the screen has left below it. */
[data-layout="tall"] .stage { aspect-ratio: auto; height: min(var(--shopcue-max-height, 100svh), 100cqw / var(--ratio) + 152px); }
[data-layout="tall"] .stage video, [data-layout="tall"] .poster { height: min(100%, 100cqw / var(--ratio)); }
:host { container-type: inline-size; }
.panel { display: flex; flex-direction: column; gap: 12px; min-width: 0; }

/* ---- over the picture ---- */

.head { position: absolute; inset: 0 0 auto; display: flex; align-items: center; gap: 10px; padding: 14px 16px 36px; pointer-events: none; background: linear-gradient(#000000a6, #00000000); }
.name { font-weight: 600; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; text-shadow: 0 1px 2px #0009; }
[data-layout="stacked"] .name { font-size: 14px; }
[data-layout="beside"] .name { display: none; }
.badge, .live-button { display: inline-flex; align-items: center; gap: 6px; font-size: 12px; font-weight: 700; letter-spacing: .02em; }
.badge { flex: none; padding: 2px 9px; border-radius: 6px; background: #c01f1f; color: #fff; }
.badge i, .live-button i { width: 7px; height: 7px; border-radius: 50%; background: currentColor; }
.big { position: absolute; inset: 0; margin: auto; width: 76px; height: 76px; border-radius: 50%; display: grid; place-items: center; background: #0e1013b8; color: #fff; backdrop-filter: blur(6px); }
.big .icon { width: 34px; height: 34px; margin-left: 3px; }
[data-layout="tall"] .big { inset: 0 0 auto; top: calc(min(100cqw / var(--ratio), 100% - 152px) / 2 - 38px); }
.spinner { position: absolute; inset: 0; margin: auto; width: 42px; height: 42px; border: 3px solid #fff; border-right-color: transparent; border-radius: 50%; }
.unmute { position: absolute; top: 46px; left: 16px; display: flex; align-items: center; gap: 8px; min-height: 36px; padding: 0 14px 0 10px; border-radius: 99px; background: #0e1013d9; font-size: 13px; font-weight: 600; }
.missing { position: absolute; top: 46px; right: 16px; max-width: calc(100% - 32px); pointer-events: none; }
.missing p { margin: 0; padding: 6px 12px; border-radius: 99px; background: #0e1013d9; font-size: 13px; }
.trouble { position: absolute; inset: 0; display: grid; align-content: center; justify-items: center; gap: 6px; padding: 24px; margin: 0; text-align: center; background: #0e1013c7; color: #fff; font-size: 14px; }
.trouble .icon { width: 30px; height: 30px; margin-bottom: 4px; }
.trouble-title { font-size: 16px; font-weight: 650; }
.again { margin-top: 10px; min-height: 40px; padding: 0 18px; border-radius: 99px; background: #fff; color: #15181d; font-weight: 650; }
.foot { position: absolute; inset: auto 0 0; display: grid; gap: 8px; padding: 40px 12px 8px; background: linear-gradient(#00000000, #000000b8 60%); pointer-events: none; }
.foot > * { pointer-events: auto; }
.troubled .foot { background: none; }
.stage.quiet { cursor: none; }

/* ---- what steers ---- */

.controls { display: grid; gap: 2px; }
.buttons { display: flex; align-items: center; gap: 4px; }
.actions { display: flex; align-items: center; gap: 2px; margin-left: auto; }
.tool { position: relative; display: grid; place-items: center; width: 40px; height: 40px; border-radius: 50%; }
.tool:hover { background: #ffffff26; }
.count { position: absolute; top: 1px; right: 0; min-width: 17px; padding: 0 4px; border-radius: 99px; font-size: 11px; line-height: 17px; font-weight: 700; text-align: center; background: #fff; color: #15181d; }
.time { font-size: 13px; font-variant-numeric: tabular-nums; white-space: nowrap; }
.length { color: #d5d9df; }
.live-button { min-height: 32px; padding: 0 10px; border-radius: 99px; }
.live-button:not(.at-edge) { background: #ffffff26; }
.live-button.at-edge i { background: #ff5b52; }
.volume { display: flex; align-items: center; }
.volume input { width: 0; opacity: 0; height: 4px; margin: 0; accent-color: #fff; cursor: pointer; }
.volume:hover input, .volume input:focus-visible { width: 76px; margin-right: 8px; opacity: 1; }
[data-layout="tall"] .volume input { display: none; }
@media (hover: none) { .volume input { display: none; } }
@container stage (max-width: 300px) {
  .length, .volume input { display: none; }
  .tool { width: 34px; }
  .buttons, .actions { gap: 0; }
  .big { width: 60px; height: 60px; }
}
@container stage (max-width: 220px) { .time { display: none; } }
.scrub-row { height: 20px; }
.scrub { --at: 0; position: relative; height: 20px; margin: 0 4px; cursor: pointer; touch-action: none; }
.track { position: absolute; inset: 8px 0; border-radius: 99px; background: #ffffff47; overflow: hidden; }
.mark { position: absolute; top: 0; bottom: 0; min-width: 3px; background: #ffffff8c; border-left: 1px solid #0008; border-right: 1px solid #0008; }
.hole { position: absolute; top: 0; bottom: 0; background: repeating-linear-gradient(45deg, #0e1013d9 0 3px, #0e101380 3px 5px); }
.done { position: absolute; inset: 0; background: var(--shopcue-progress, #ffffff); transform-origin: left; transform: scaleX(var(--at)); mix-blend-mode: normal; }
/* Moved by a transform: it runs with every frame, and must not lay the page out anew. */
.knob { position: absolute; inset: 0; pointer-events: none; transform: translateX(calc(var(--at) * 100%)); }
.knob::after { content: ""; position: absolute; top: 50%; left: 0; width: 14px; height: 14px; margin: -7px; border-radius: 50%; background: #fff; box-shadow: 0 1px 4px #0008; }
.tip { position: absolute; bottom: 24px; translate: -50% 0; display: grid; justify-items: center; max-width: 220px; padding: 4px 9px; border-radius: 7px; background: #0e1013e6; font-size: 12px; line-height: 1.4; text-align: center; pointer-events: none; white-space: nowrap; font-variant-numeric: tabular-nums; }
.tip b { max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.share { position: absolute; right: 12px; bottom: 64px; width: min(360px, 100% - 24px); padding: 10px 10px 12px 16px; display: grid; gap: 10px; border-radius: 14px; background: var(--surface); color: var(--ink); box-shadow: 0 12px 40px #0008; }
.share :focus-visible { outline-color: var(--accent); }
.share header, .sheet header { display: flex; align-items: center; justify-content: space-between; }
.share .tool:hover, .sheet .tool:hover { background: var(--raised); }
.share-row { display: flex; gap: 8px; padding-right: 6px; }
.share-link { flex: 1; min-width: 0; min-height: 38px; padding: 0 10px; border: 1px solid light-dark(#84898f, #6f7784); border-radius: 8px; background: var(--raised); font-size: 13px; text-overflow: ellipsis; }
.share-copy { min-height: 38px; padding: 0 14px; border-radius: 8px; background: var(--accent); color: var(--on-accent); font-size: 14px; font-weight: 650; white-space: nowrap; }
.share-time { display: flex; align-items: center; gap: 8px; font-size: 14px; cursor: pointer; }
.share-time input { width: 17px; height: 17px; margin: 0; accent-color: var(--accent); }

/* ---- products ---- */

.picture { display: block; flex: none; width: 72px; height: 72px; padding: 4px; border-radius: 8px; background: #fff; overflow: hidden; }
.picture img { width: 100%; height: 100%; object-fit: contain; display: block; }
.picture.none { display: grid; place-items: center; background: var(--raised); color: var(--muted); }
.price { font-weight: 650; min-height: 1.45em; font-variant-numeric: tabular-nums; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.sold-out { margin-left: 4px; padding: 1px 7px; border-radius: 99px; font-size: 12px; font-weight: 600; background: var(--raised); color: var(--muted); }
.when { font-size: 12.5px; font-weight: 600; color: var(--muted); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.card { flex: none; height: 116px; padding: 12px; border-radius: var(--radius); background: var(--surface); border: 1px solid var(--line); overflow: hidden; }
.card[data-when="now"] .when { color: var(--accent); }
.card[data-when="now"] { border-color: color-mix(in srgb, var(--accent) 45%, var(--line)); }
.card-body, .card.vacant { display: flex; align-items: center; gap: 12px; }
.card-body { height: 100%; }
.card-text { flex: 1; min-width: 0; display: grid; gap: 1px; }
.card .title { font-size: 15px; line-height: 1.3; }
.card.vacant .when { white-space: normal; }
.card .picture { width: 90px; height: 90px; }
.buy { flex: none; display: inline-flex; align-items: center; gap: 7px; min-height: 44px; padding: 0 14px; border-radius: 99px; font-size: 14px; font-weight: 650; white-space: nowrap; background: var(--accent); color: var(--on-accent); }
.buy .icon { width: 16px; height: 16px; }
.buy:hover { filter: brightness(1.08); }
[data-layout="tall"] .card, [data-layout="immersive"] .card { height: 88px; padding: 8px; border: 0; background: light-dark(#fffffff5, #171a1ff5); color: var(--ink); }
[data-layout="tall"] .card .picture, [data-layout="immersive"] .card .picture { width: 72px; height: 72px; }
[data-layout="tall"] .buy span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
[data-layout="tall"] .buy { padding: 0; width: 44px; justify-content: center; }
[data-layout="tall"] .buy .icon { width: 20px; height: 20px; }
[data-layout="immersive"] .card { width: min(460px, 100%); }
:is([data-layout="beside"], [data-layout="stacked"]) .card { height: 158px; }
:is([data-layout="beside"], [data-layout="stacked"]) .card .picture { width: 108px; height: 132px; }
:is([data-layout="beside"], [data-layout="stacked"]) .card-body { position: relative; align-items: flex-start; }
:is([data-layout="beside"], [data-layout="stacked"]) .card-text { align-content: start; }
:is([data-layout="beside"], [data-layout="stacked"]) .buy { position: absolute; left: 120px; bottom: 0; min-height: 42px; }
.list { display: flex; flex-direction: column; gap: 8px; min-height: 0; }
.count-text { color: var(--muted); font-weight: 500; }
.empty { padding: 16px 0; color: var(--muted); font-size: 14px; }
.tile { position: relative; display: flex; gap: 12px; align-items: center; padding: 8px; border-radius: 10px; background: var(--surface); border: 1px solid var(--line); }
.tile[aria-current] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
.tile-text { min-width: 0; flex: 1; display: grid; gap: 1px; }
.tile .title { font-size: 14px; line-height: 1.3; }
/* All of the tile is the button; what lies above it has its own. */
.tile-main::after { content: ""; position: absolute; inset: 0; border-radius: 10px; }
.tile-main:focus-visible { outline: none; }
.tile-main:focus-visible::after { outline: 2px solid var(--accent); outline-offset: 2px; }
.tile-main:hover { text-decoration: underline; text-underline-offset: 2px; }
.tile .price { font-size: 13.5px; font-weight: 600; }
.moments { position: relative; z-index: 1; display: flex; gap: 4px; min-width: 0; overflow-x: auto; scrollbar-width: none; padding: 2px; margin: 2px -2px -2px; width: fit-content; max-width: 100%; }
.moment { flex: none; display: inline-grid; align-items: center; min-height: 26px; padding: 0 8px; border-radius: 7px; background: var(--raised); font-size: 12.5px; font-weight: 600; font-variant-numeric: tabular-nums; }
button.moment:hover { background: var(--line); }
.tile-buy { position: relative; z-index: 1; flex: none; display: grid; place-items: center; width: 40px; height: 40px; border-radius: 50%; color: var(--accent); background: var(--raised); }
.tile-buy:hover { background: var(--line); }
.tile-buy .icon { width: 18px; height: 18px; }
[data-layout="beside"] .list { flex: 1; }
[data-layout="beside"] .tiles, .sheet .tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(280px, 100%), 1fr)); align-content: start; gap: 8px; overflow: auto; overscroll-behavior: contain; min-height: 0; padding: 2px; margin: -2px; scrollbar-width: thin; }
[data-layout="beside"] .tile, .sheet .tile { content-visibility: auto; contain-intrinsic-size: auto 90px; }
[data-layout="stacked"] .tiles { display: grid; grid-auto-flow: column; grid-auto-columns: min(300px, 84%); gap: 10px; overflow-x: auto; scroll-snap-type: x proximity; padding: 2px var(--reach) 8px; margin: -2px calc(-1 * var(--reach)); scroll-padding-inline: var(--reach); scrollbar-width: thin; }
[data-layout="stacked"] .tile { scroll-snap-align: start; }
.related { display: grid; gap: 10px; min-width: 0; padding-top: 8px; }
:is([data-layout="tall"], [data-layout="stacked"]) :is(.related, .panel) { padding-inline: var(--edge); }
.related-list { display: grid; grid-auto-flow: column; grid-auto-columns: 148px; gap: 12px; overflow-x: auto; padding: 2px var(--reach) 8px; margin: -2px calc(-1 * var(--reach)); scroll-padding-inline: var(--reach); scrollbar-width: thin; }
.related-item { position: relative; display: grid; gap: 5px; border-radius: 10px; }
.related-item .picture { width: 100%; height: 148px; padding: 12px; border-radius: 10px; border: 1px solid var(--line); }
.related-item .title { font-size: 14px; line-height: 1.3; min-height: 2.6em; }
.related-item .price { font-size: 13.5px; font-weight: 600; }
a.related-item:hover .title { text-decoration: underline; text-underline-offset: 2px; }

/* ---- the sheet ---- */

.scrim { position: absolute; inset: 0; background: #0000008c; }
.sheet { position: absolute; display: flex; flex-direction: column; gap: 6px; background: var(--surface); color: var(--ink); padding: 6px 12px 12px 16px; }
.sheet :focus-visible { outline-color: var(--accent); }
[data-layout="tall"] .sheet { inset: auto 0 0; max-height: 74%; border-radius: 18px 18px 0 0; }
[data-layout="immersive"] .sheet { inset: 0 0 0 auto; width: min(400px, 100%); }
.sheet .tiles { padding-bottom: 12px; }

/* ---- waiting ---- */

[aria-busy="true"] { background: var(--raised); }
[aria-busy="true"] :is(video, .foot) { visibility: hidden; }
.skeleton i { height: 84px; border-radius: 10px; background: var(--raised); }
.skeleton i:first-child { height: 158px; }
[data-layout="stacked"] .skeleton i:nth-child(n + 3) { display: none; }

@media (prefers-reduced-motion: no-preference) {
  .head, .controls, .big, .tool, .volume input { transition: opacity .2s, background-color .15s, width .15s; }
  .card-body { animation: appear .24s ease-out; }
  .sheet { animation: rise .22s ease-out; }
  [data-layout="immersive"] .sheet { animation-name: slide; }
  .scrim, .share { animation: appear .15s ease-out; }
  .spinner { animation: turn .9s linear infinite; }
  .badge i { animation: pulse 1.6s ease-in-out infinite; }
  [aria-busy="true"], .skeleton i { animation: breathe 1.6s ease-in-out infinite; }
}
.quiet .head, .quiet .controls { opacity: 0; }
.quiet .foot { background: none; }
@keyframes appear { from { opacity: 0; translate: 0 6px; } }
@keyframes rise { from { translate: 0 100%; } }
@keyframes slide { from { translate: 100% 0; } }
@keyframes turn { to { rotate: 1turn; } }
@keyframes pulse { 50% { opacity: .35; } }
@keyframes breathe { 50% { opacity: .55; } }
@media (forced-colors: active) {
  .mark, .done, .knob { forced-color-adjust: none; }
  .tile[aria-current] { outline: 2px solid; }
}
`;
