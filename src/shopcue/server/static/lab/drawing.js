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

/** Where a name of `width` by `height` stands beside its box without covering another: [x, y]. taken: where others are. */
function placeOf([x0, y0, x1, y1], width, height, bounds, taken) {
  const within = (x) => Math.min(Math.max(x, 0), bounds.width - width);
  const [left, right] = [within(x0 - 1), within(x1 + 1 - width)];
  const places = [[left, y0 - height], [left, y0 + 1], [right, y0 - height], [left, y1], [right, y1], [left, y1 - height - 1], [right, y0 + 1]];
  const inside = places.filter(([, y]) => y >= 0 && y + height <= bounds.height);
  const free = ([x, y]) => taken.every((other) => x >= other.x + other.width || other.x >= x + width || y >= other.y + height || other.y >= y + height);
  return inside.find(free) ?? inside[0] ?? [left, y0 + 1];
}

function drawName(pen, text, box, colour, bounds, taken) {
  const width = pen.measureText(text).width + 8;
  const height = bounds.label + 6;
  const [x, y] = placeOf(box, width, height, bounds, taken);
  taken.push({ x, y, width });
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
  const looks = ordered.map((thing) => {
    const chosen = near !== null && thing.tracklet_id === near;
    return { thing, chosen, alpha: near === null || chosen ? 1 : 0.45, colour: colourOf(thing.followed ? thing.tracklet_id : null) };
  });
  for (const { thing, chosen, alpha, colour } of looks) {
    pen.globalAlpha = alpha;
    drawBox(pen, placed(thing.box), colour, chosen ? 3.5 : thing.followed ? 2 : 1, thing.followed ? [] : [4, 4]);
  }
  // No box strikes a name out; the one that lies above all others has the first choice of a place.
  const taken = [];
  for (const { thing, chosen, alpha, colour } of looks.reverse()) {
    pen.globalAlpha = alpha;
    if (chosen || (names && thing.followed)) drawName(pen, nameOf(thing, chosen), placed(thing.box), colour, { width, height, label }, taken);
  }
  pen.globalAlpha = 1;
  if (box) drawBox(pen, placed(box), "#ffffff", 2, [7, 5]);
}
