/** How times, sizes and other quantities read on a page. */

const pad = (number) => String(number).padStart(2, "0");

/** Seconds as `h:mm:ss` or `m:ss`; with `digits` decimals of the second (cut off, never rounded up to the next one). */
export function clock(seconds, digits = 0) {
  if (!Number.isFinite(seconds)) return "–:––";
  const unit = 10 ** digits;
  const parts = Math.max(0, Math.floor(seconds * unit + 1e-4));
  const whole = Math.floor(parts / unit);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const tail = digits ? `.${String(parts % unit).padStart(digits, "0")}` : "";
  return `${hours ? `${hours}:${pad(minutes)}` : minutes}:${pad(whole % 60)}${tail}`;
}

/** `m:ss`, `h:mm:ss(.d)` or plain seconds as a number of seconds; NaN where it is none of these. */
export function parseClock(text) {
  const parts = text.trim().replace(",", ".").split(":");
  if (parts.length > 3 || parts.some((part) => !/^\d+(\.\d+)?$/.test(part))) return NaN;
  return parts.reduce((total, part) => total * 60 + Number(part), 0);
}

/** A stretch of seconds in words: `8 s`, `3 min 20 s`, `2 h 5 min`. */
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`;
  const minutes = Math.round(whole / 60);
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

export const percent = (share) => `${Math.round(100 * share)}%`;
export const count = (number, one, many = `${one}s`) => `${Number(number).toLocaleString("en")} ${number === 1 ? one : many}`;

/** Bytes as `640 kB`, `1.2 GB` (powers of ten, as shops count). */
export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (size >= 999.5 && step < units.length - 1) { size /= 1000; step += 1; }
  return `${step && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[step]}`;
}

const STEPS = [["year", 31557600], ["month", 2629800], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** An ISO time as `3 minutes ago`; `now` in milliseconds. */
export function ago(iso, now = Date.now()) {
  const seconds = (Date.parse(iso) - now) / 1000;
  if (!Number.isFinite(seconds)) return "";
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return "just now";
}

/** An ISO time in full, for a tooltip or a table. */
export function dateTime(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** The address if it is http(s), else an empty string: what comes from a feed may be `javascript:`. */
export function webAddress(text) {
  if (typeof text !== "string" || !text) return "";
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : "";
  } catch {
    return "";
  }
}

/** The host of an address, for a person to read. */
export function host(text) {
  try { return new URL(text).host.replace(/^www\./, ""); } catch { return ""; }
}
