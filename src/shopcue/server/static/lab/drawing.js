/** Draws what is known of a frame over it: boxes, names and ways on a canvas, in pixels of the video. */
import { colourOf, INK, shareText } from "./colours.js";

const LABEL_PX = 12;
const SMALL_LABEL_PX = 10;
const SMALL_PX = 500; // a picture that is narrower has smaller labels

/** Which things are drawn: followed or all, of the classes that are not left out. */
export function visible(things, { all, without }) {
  return things.filter((thing) => (all || thing.followed) && !without.has(thing.coarse_class));
}

/** The smallest thing whose box holds the point, or undefined. */
export function thingUnder(things, x, y) {
  const size = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
  return things.filter(({ box: [x0, y0, x1, y1] }) => x >= x0 && x <= x1 && y >= y0 && y <= y1).sort((a, b) => size(a.box) - size(b.box))[0];
}

function drawBox(pen, [x0, y0, x1, y1], colour, width, dash) {
  pen.setLineDash([]);
  pen.lineWidth = width + 2;
  pen.strokeStyle = "#0e1013b3";
  pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
  pen.setLineDash(dash);
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
}

function drawName(pen, text, [x0, y0], colour, bounds) {
  const width = pen.measureText(text).width + 8;
  const height = bounds.label + 6;
  const x = Math.min(Math.max(x0 - 1, 0), bounds.width - width);
  const y = y0 - height < 0 ? y0 + 1 : y0 - height;
  pen.fillStyle = colour;
  pen.fillRect(x, y, width, height);
  pen.fillStyle = INK;
  pen.fillText(text, x + 4, y + bounds.label + 1);
}

function drawTrail(pen, points, colour) {
  pen.setLineDash([]);
  pen.lineCap = "round";
  for (let i = 1; i < points.length; i += 1) {
    pen.globalAlpha = (0.9 * i) / points.length;
    pen.lineWidth = 1 + (2.5 * i) / points.length;
    pen.strokeStyle = colour;
    pen.beginPath();
    pen.moveTo(...points[i - 1]);
    pen.lineTo(...points[i]);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function nameOf(thing, detailed) {
  const name = `${thing.tracklet_id === null ? "" : `#${thing.tracklet_id} `}${thing.coarse_class} ${shareText(thing.score)}`;
  if (!detailed) return name;
  const { viewpoint, occlusion, crop } = thing.quality;
  return `${name} · view ${shareText(viewpoint)} · free ${shareText(occlusion)} · whole ${shareText(crop)}`;
}

/**
 * Draw one frame. canvas: its width and height are set here; size: of the video, { width, height } in its pixels.
 *
 * things: those to draw. trails: tracklet_id -> points. near: the tracklet that is pointed at or chosen. box: a further
 * box to show (a pick, or where a candidate looks like itself), or null.
 */
export function draw(canvas, size, { things, trails, near, box, names }) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const label = width < SMALL_PX ? SMALL_LABEL_PX : LABEL_PX;
  pen.font = `600 ${label}px system-ui, sans-serif`;
  pen.lineJoin = "round";
  const scale = [width / size.width, height / size.height];
  const placed = (values) => values.map((value, i) => value * scale[i % 2]);
  for (const [id, points] of trails) drawTrail(pen, points.map(placed), colourOf(id));
  // The one that is pointed at lies above all others.
  const ordered = [...things].sort((a, b) => (a.tracklet_id === near) - (b.tracklet_id === near) || a.followed - b.followed);
  for (const thing of ordered) {
    const chosen = near !== null && thing.tracklet_id === near;
    pen.globalAlpha = near === null || chosen ? 1 : 0.45;
    const colour = thing.followed ? colourOf(thing.tracklet_id) : colourOf(null);
    drawBox(pen, placed(thing.box), colour, chosen ? 3.5 : thing.followed ? 2 : 1, thing.followed ? [] : [4, 4]);
    if (chosen || (names && thing.followed)) drawName(pen, nameOf(thing, chosen), placed(thing.box), colour, { width, label });
  }
  pen.globalAlpha = 1;
  if (box) drawBox(pen, placed(box), "#ffffff", 2, [7, 5]);
}
