/** The pictograms of the pages: strokes on a 20 by 20 grid, in the colour of the text around them. */

const PATHS = {
  add: "M10 4v12M4 10h12",
  alert: "M10 3.2 18 16.8H2zM10 8.4v3.8M10 14.3v.2",
  back: "M12.5 4.5 7 10l5.5 5.5",
  bag: "M4.5 6.8h11l.9 9.7H3.6zM7 8.6V6a3 3 0 0 1 6 0v2.6",
  bell: "M5.4 13.6V9a4.6 4.6 0 0 1 9.2 0v4.6l1.2 1.4H4.2zM8.4 17.2h3.2",
  camera: "M3 6.8h3.2l1.4-2h4.8l1.4 2H17v9H3zM10 13.8a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4z",
  check: "M4 10.6 8.2 14.8 16.2 6",
  close: "M5 5l10 10M15 5 5 15",
  code: "M7 6 3 10l4 4M13 6l4 4-4 4",
  copy: "M7.5 7.5h9v9h-9zM4.8 12.5H3.5v-9h9v1.3",
  down: "M5 7.8 10 12.8l5-5",
  download: "M10 3.5v9M6 9l4 4 4-4M4 16.5h12",
  edit: "M4 16l.7-3.4L13.2 4l2.8 2.8-8.6 8.5zM11.6 5.6l2.8 2.8",
  end: "M15 4v12M4.5 10h7.5M8.6 6.6 12 10l-3.4 3.4",
  external: "M8 4.5H4.5v11h11V12M11.5 4h4.5v4.5M15.6 4.4 9.5 10.5",
  eye: "M2.2 10S5 5 10 5s7.8 5 7.8 5S15 15 10 15 2.2 10 2.2 10zM10 12.3a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6z",
  flag: "M5 17V3.6M5 4.4h9.6l-2 3.3 2 3.3H5",
  frame: "M3.5 7V3.5H7M13 3.5h3.5V7M16.5 13v3.5H13M7 16.5H3.5V13",
  gear: "M10 12.6a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2zM10 2.8v2M10 15.2v2M2.8 10h2M15.2 10h2M4.9 4.9l1.4 1.4M13.7 13.7l1.4 1.4M15.1 4.9l-1.4 1.4M6.3 13.7l-1.4 1.4",
  grid: "M3.5 3.5h5v5h-5zM11.5 3.5h5v5h-5zM3.5 11.5h5v5h-5zM11.5 11.5h5v5h-5z",
  help: "M10 17.2a7.2 7.2 0 1 0 0-14.4 7.2 7.2 0 0 0 0 14.4zM7.9 8a2.1 2.1 0 1 1 3.1 1.9c-.7.4-1 .8-1 1.6M10 13.9v.2",
  history: "M3.6 6.2A7.2 7.2 0 1 1 2.8 10M3.2 3v3.6h3.6M10 6v4.2l2.8 1.7",
  image: "M3 4h14v12H3zM3.4 14.4 7.6 10l3 3 2.4-2.2 3.6 3.4M12.8 8.3a.9.9 0 1 0 0-1.8.9.9 0 0 0 0 1.8z",
  key: "M7 16a3.6 3.6 0 1 0 0-7.2A3.6 3.6 0 0 0 7 16zM9.6 9.8 16 3.5M13.2 6.3l2.3 2.3",
  lab: "M8 3.2v5L3.8 15a1.3 1.3 0 0 0 1.1 1.9h10.2a1.3 1.3 0 0 0 1.1-1.9L12 8.2v-5M6.8 3.2h6.4M6.2 12.2h7.6",
  link: "M8.4 11.6a3 3 0 0 0 4.3 0l2.8-2.8a3 3 0 0 0-4.3-4.3l-1 1M11.6 8.4a3 3 0 0 0-4.3 0l-2.8 2.8a3 3 0 0 0 4.3 4.3l1-1",
  list: "M7 5.5h10M7 10h10M7 14.5h10M3.4 5.5h.2M3.4 10h.2M3.4 14.5h.2",
  live: "M10 11.4a1.4 1.4 0 1 0 0-2.8 1.4 1.4 0 0 0 0 2.8zM6.6 13.4a4.8 4.8 0 0 1 0-6.8M13.4 6.6a4.8 4.8 0 0 1 0 6.8M4.1 15.9a8.3 8.3 0 0 1 0-11.8M15.9 4.1a8.3 8.3 0 0 1 0 11.8",
  lock: "M4.8 9h10.4v7.5H4.8zM7 9V6.6a3 3 0 0 1 6 0V9",
  menu: "M3.5 5.5h13M3.5 10h13M3.5 14.5h13",
  minus: "M4 10h12",
  moon: "M16.4 12A6.8 6.8 0 0 1 8 3.6a6.8 6.8 0 1 0 8.4 8.4z",
  more: "M4.6 10h.2M9.9 10h.2M15.2 10h.2",
  next: "M7.5 4.5 13 10l-5.5 5.5",
  pause: "M6.5 4.5v11M13.5 4.5v11",
  play: "M6 3.8v12.4L16.2 10z",
  replace: "M4 8V6.5h11L12.4 4M16 12v1.5H5L7.6 16",
  retry: "M15.9 8A6.4 6.4 0 1 0 16.4 11M16.4 4.2V8h-3.8",
  search: "M9 14.6A5.6 5.6 0 1 0 9 3.4a5.6 5.6 0 0 0 0 11.2zM13.2 13.2 17 17",
  shop: "M3 8.2 4.3 3.5h11.4L17 8.2M3 8.2a2.3 2.3 0 0 0 4.7 0 2.3 2.3 0 0 0 4.6 0 2.3 2.3 0 0 0 4.7 0M4.2 10.2v6.3h11.6v-6.3",
  sort: "M6 4v12M3.4 13.4 6 16l2.6-2.6M14 16V4M11.4 6.6 14 4l2.6 2.6",
  sound: "M3.5 7.8v4.4h2.8L10 15.6V4.4L6.3 7.8zM13 7.4a3.6 3.6 0 0 1 0 5.2M15.2 5.2a6.8 6.8 0 0 1 0 9.6",
  mute: "M3.5 7.8v4.4h2.8L10 15.6V4.4L6.3 7.8zM13 8l4 4M17 8l-4 4",
  start: "M5 4v12M15.5 10H8M11.4 6.6 8 10l3.4 3.4",
  stop: "M5.5 5.5h9v9h-9z",
  sun: "M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM10 2.6v1.6M10 15.8v1.6M2.6 10h1.6M15.8 10h1.6M4.8 4.8l1.1 1.1M14.1 14.1l1.1 1.1M15.2 4.8l-1.1 1.1M5.9 14.1l-1.1 1.1",
  tag: "M3.5 3.5h6l7 7-6 6-7-7zM7 7h.1",
  trash: "M4 5.8h12M8 5.6V3.6h4v2M5.4 5.8l.7 10.7h7.8l.7-10.7M8.4 8.6v5M11.6 8.6v5",
  undo: "M7.4 4 3.6 7.8l3.8 3.8M4 7.8h7.6a4.2 4.2 0 0 1 0 8.4H8",
  upload: "M10 13V4M6 7.6l4-4 4 4M4 16.5h12",
  user: "M10 10a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM3.8 16.8a6.3 6.3 0 0 1 12.4 0",
  video: "M3 4.5h14v11H3zM8.4 7.6v4.8l4-2.4z",
  webhook: "M10 8 6.8 13.6M10 8a2.2 2.2 0 1 0-1.4-.5M6.8 13.6a2.2 2.2 0 1 1-1.6-1.2M7.4 14.8h5.4M15 12.6a2.2 2.2 0 1 1-2.2 2.2M13.4 12.2 10.9 8.2",
  zoom: "M9 14.6A5.6 5.6 0 1 0 9 3.4a5.6 5.6 0 0 0 0 11.2zM13.2 13.2 17 17M6.6 9h4.8M9 6.6v4.8",
};
const FILLED = new Set(["play", "stop"]);

/** The attributes of an icon's `path`; an unknown name is an error of ours and drawn as nothing. */
export function strokes(name) {
  return {
    d: PATHS[name] ?? "",
    fill: FILLED.has(name) ? "currentColor" : "none",
    stroke: "currentColor",
    "stroke-width": ["pause", "more", "list"].includes(name) ? "2.2" : "1.6",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  };
}

/** An icon as an element, for pages without Preact. It says nothing to a screen reader: label what holds it. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(space, "path");
  for (const [key, value] of Object.entries(strokes(name))) shape.setAttribute(key, value);
  svg.append(shape);
  return svg;
}
