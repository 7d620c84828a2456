
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { focuses, products, duration_s: duration } = data;
  const root = document.documentElement;
  const find = (id) => document.getElementById(id);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  root.classList.add("script");

  function make(tag, className, parent) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (parent) parent.append(element);
    return element;
  }

  function clock(time, fraction) {
    const whole = Math.max(0, Math.floor(time + 1e-6));
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    const seconds = String(whole % 60).padStart(2, "0");
    const tail = fraction ? (time % 1).toFixed(1).slice(1) : "";
    return (hours ? `${hours}:${String(minutes).padStart(2, "0")}` : minutes) + `:${seconds}${tail}`;
  }

  const percent = (score) => `${Math.round(score * 100)}%`;

  // ---- theme ----

  const themes = ["auto", "light", "dark"];
  function setTheme(theme) {
    root.dataset.theme = theme;
    find("theme").textContent = `Theme: ${theme}`;
    try { localStorage.setItem("shopcue-theme", theme); } catch { /* a browser may refuse to keep it */ }
  }
  let kept = root.dataset.theme;
  try { kept = localStorage.getItem("shopcue-theme") || kept; } catch { /* as above */ }
  setTheme(themes.includes(kept) ? kept : "auto");
  find("theme").addEventListener("click", () => setTheme(themes[(themes.indexOf(root.dataset.theme) + 1) % 3]));

  // ---- the video, or without one a clock that only jumps ----

  const video = find("video");
  let playable = Boolean(video);
  let still = 0;
  const now = () => (playable ? video.currentTime : still);

  function unplayable() {
    playable = false;
    find("unplayable").hidden = false;
    video.removeAttribute("controls");
  }
  if (video) {
    video.addEventListener("error", unplayable);
    if (video.error) unplayable();
  }
  if (!focuses.length) { root.dataset.ready = "1"; return; }

  function seek(time) {
    still = Math.min(Math.max(time, 0), duration);
    if (playable) video.currentTime = still;
    update(still);
    reveal(still);
  }

  // ---- the timeline ----

  const timeline = find("timeline");
  const inner = make("div", "inner", timeline);
  const ruler = make("div", "ruler", inner);
  make("div", "label muted", ruler).textContent = "Product";
  const scale = make("div", "track", ruler);
  const ticks = make("div", "", scale);
  const knob = make("div", "knob", scale);
  const tracks = products.map((product) => {
    const lane = make("div", `lane c${product.colour}`, inner);
    lane.setAttribute("role", "group");
    lane.setAttribute("aria-label", product.title);
    const label = make("div", "label", lane);
    label.title = product.title;
    make("i", "swatch", label);
    const name = make("span", "", label);
    name.dir = "auto";
    name.textContent = product.title;
    return make("div", "track", lane);
  });
  const bars = focuses.map((focus, number) => {
    const bar = make("button", "bar", tracks[focus.product]);
    bar.type = "button";
    bar.tabIndex = number ? -1 : 0;
    bar.dataset.number = number;
    bar.style.left = `${(100 * focus.start_s) / duration}%`;
    bar.style.width = `${(100 * (focus.end_s - focus.start_s)) / duration}%`;
    bar.style.setProperty("--sure", (0.2 + 0.8 * focus.score ** 1.5).toFixed(2));
    bar.setAttribute("aria-label", `${products[focus.product].title}, ${clock(focus.start_s)} to ${clock(focus.end_s)}, ${percent(focus.score)}`);
    return bar;
  });
  const over = make("div", "over", inner);
  const playhead = make("div", "playhead", over);

  let zoom = 1;
  const labelWidth = () => timeline.clientWidth - visibleTrack();
  function visibleTrack() {
    return timeline.clientWidth - (parseFloat(getComputedStyle(scale.previousElementSibling).width) || 0);
  }
  const greatestZoom = () => Math.max(1, (duration * 40) / visibleTrack());

  function setZoom(wanted, time = now(), at = null) {
    const before = visibleTrack();
    const x = at ?? Math.min(Math.max((time / duration) * before * zoom - timeline.scrollLeft, 0), before);
    zoom = Math.min(Math.max(wanted, 1), greatestZoom());
    inner.style.width = zoom > 1 ? `${labelWidth() + before * zoom}px` : "";
    timeline.scrollLeft = (time / duration) * before * zoom - x;
    find("zoom-out").disabled = find("zoom-fit").disabled = zoom <= 1;
    find("zoom-in").disabled = zoom >= greatestZoom();
    drawTicks();
  }

  function drawTicks() {
    const visible = visibleTrack();
    const perSecond = (visible * zoom) / duration;
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
    const step = steps.find((seconds) => seconds * perSecond >= 72) ?? 86400;
    const from = Math.floor(timeline.scrollLeft / perSecond / step);
    const to = Math.ceil((timeline.scrollLeft + visible) / perSecond / step);
    ticks.replaceChildren();
    for (let i = Math.max(from, 0); i <= to && i * step < duration; i += 1) {
      if ((duration - i * step) * perSecond < 36) break;
      const tick = make("span", "tick", ticks);
      tick.style.left = `${(100 * i * step) / duration}%`;
      tick.textContent = clock(i * step);
    }
  }

  /** Scroll so that `time` is in view, a little before the middle. */
  function reveal(time) {
    const visible = visibleTrack();
    const x = (time / duration) * visible * zoom;
    if (zoom > 1 && (x < timeline.scrollLeft || x > timeline.scrollLeft + visible * 0.95)) timeline.scrollLeft = x - visible * 0.2;
  }

  /** Scroll the lane of a bar into view, without moving the page. */
  function revealLane(bar) {
    const lane = bar.closest(".lane");
    const top = lane.offsetTop - ruler.offsetHeight;
    if (top < timeline.scrollTop) timeline.scrollTop = top;
    const bottom = lane.offsetTop + lane.offsetHeight - timeline.clientHeight + 8;
    if (bottom > timeline.scrollTop) timeline.scrollTop = bottom;
  }

  const timeAt = (clientX) => {
    const { left, width } = scale.getBoundingClientRect();
    return (Math.min(Math.max(clientX - left, 0), width) / width) * duration;
  };
  let drag = null;
  timeline.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0 && event.target.closest(".track")) {
      drag = { x: event.clientX, left: timeline.scrollLeft, moved: false };
    }
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.moved ||= Math.abs(event.clientX - drag.x) > 4;
    if (!drag.moved) return;
    timeline.classList.add("drag");
    timeline.scrollLeft = drag.left - (event.clientX - drag.x);
  });
  addEventListener("pointerup", () => {
    timeline.classList.remove("drag");
    const moved = drag?.moved;
    drag = null;
    if (moved) addEventListener("click", (event) => event.stopPropagation(), { capture: true, once: true });
  });
  timeline.addEventListener("click", (event) => {
    const bar = event.target.closest(".bar");
    if (bar) {
      const { start_s: start, end_s: end } = focuses[bar.dataset.number];
      choose(Number(bar.dataset.number), event.detail ? Math.min(Math.max(timeAt(event.clientX), start + 0.02), end - 0.02) : null);
    } else if (event.target.closest(".track")) seek(timeAt(event.clientX));
  });
  timeline.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const x = event.clientX - timeline.getBoundingClientRect().left - labelWidth();
    setZoom(zoom * Math.exp(-event.deltaY / 300), timeAt(event.clientX), x);
  }, { passive: false });
  timeline.addEventListener("scroll", () => requestAnimationFrame(drawTicks));
  new ResizeObserver(() => setZoom(zoom)).observe(timeline);
  find("zoom-in").addEventListener("click", () => setZoom(zoom * 2));
  find("zoom-out").addEventListener("click", () => setZoom(zoom / 2));
  find("zoom-fit").addEventListener("click", () => setZoom(1));

  // ---- details under the pointer ----

  const tip = find("tip");
  function showTip(bar) {
    const focus = focuses[bar.dataset.number];
    tip.replaceChildren();
    const title = make("strong", "", tip);
    title.dir = "auto";
    title.textContent = products[focus.product].title.slice(0, 120);
    make("span", "num", tip).textContent = `${clock(focus.start_s, true)} – ${clock(focus.end_s, true)} · ${percent(focus.score)} sure`;
    if (focus.said) make("q", "", tip).textContent = focus.said;
    tip.hidden = false;
    const at = bar.getBoundingClientRect();
    const frame = timeline.getBoundingClientRect();
    const middle = (Math.max(at.left, frame.left) + Math.min(at.right, frame.right)) / 2;
    tip.style.left = `${Math.min(Math.max(middle - tip.offsetWidth / 2, 8), innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${at.top > tip.offsetHeight + 16 ? at.top - tip.offsetHeight - 8 : at.bottom + 8}px`;
  }
  const hideTip = () => { tip.hidden = true; };
  timeline.addEventListener("pointerover", (event) => {
    const bar = event.target.closest(".bar");
    if (bar && !drag?.moved) showTip(bar); else hideTip();
  });
  timeline.addEventListener("pointerleave", hideTip);
  timeline.addEventListener("focusin", (event) => { if (event.target.matches(".bar:focus-visible")) showTip(event.target); });
  timeline.addEventListener("focusout", hideTip);
  addEventListener("scroll", hideTip, { passive: true });

  // ---- what is on screen at this moment ----

  const cards = focuses.map((_, number) => find(`focus-${number}`));
  let shown = null;
  let chosen = -1;

  /** The focus at `time` that began last, or the next one, or the last of all; focuses are in order of start. */
  function focusAt(time) {
    let next = focuses.findIndex((focus) => focus.start_s > time);
    if (next < 0) next = focuses.length;
    if (chosen >= 0 && focuses[chosen].start_s <= time && time < focuses[chosen].end_s) return chosen;
    for (let i = next - 1; i >= 0; i -= 1) if (time < focuses[i].end_s) return i;
    return Math.min(next, focuses.length - 1);
  }

  function update(time) {
    const at = `${(100 * Math.min(time, duration)) / duration}%`;
    playhead.style.left = knob.style.left = at;
    const number = focusAt(time);
    const { start_s: start, end_s: end } = focuses[number];
    const when = time < start ? "Next" : time < end ? "On screen now" : "Last shown";
    find("previous").disabled = neighbour(-1, time) < 0;
    find("next").disabled = neighbour(1, time) < 0;
    const state = `${number} ${when}`;
    if (state === shown) return;
    shown = state;
    describe(number, when);
    bars.forEach((bar, i) => mark(bar, i === number && when === "On screen now"));
    cards.forEach((card, i) => mark(card, i === number && when === "On screen now"));
  }

  function mark(element, on) {
    element.classList.toggle("is-now", on);
    if (on) element.setAttribute("aria-current", "true"); else element.removeAttribute("aria-current");
  }

  function describe(number, when) {
    const focus = focuses[number];
    const product = products[focus.product];
    find("now").className = `now script-only c${product.colour}${when === "On screen now" ? "" : " away"}`;
    find("now-when").textContent = when === "Next" ? `Nothing on screen. Next at ${clock(focus.start_s)}` : when;
    find("now-title").textContent = product.title;
    find("now-price").textContent = product.price.slice(0, 24);
    find("now-span").textContent = `${clock(focus.start_s)}–${clock(focus.end_s)} · ${percent(focus.score)} sure`;
    const picture = cards[number].querySelector(".pair .pic").cloneNode(true);
    find("now-pic").replaceChildren(picture);
    find("now-link").replaceChildren();
    if (product.link) {
      const link = make("a", "buy", find("now-link"));
      Object.assign(link, { href: product.link, target: "_blank", rel: "noopener noreferrer nofollow", textContent: `View at ${product.host} ↗` });
    }
  }

  // ---- stepping from focus to focus ----

  /** The focus after (or before) the chosen one, or after (before) `time`; -1 where there is none. */
  function neighbour(direction, time = now()) {
    const current = chosen >= 0 && Math.abs(focuses[chosen].start_s - time) < 0.6 ? chosen : null;
    if (current !== null) return current + direction < focuses.length ? current + direction : -1;
    if (direction > 0) return focuses.findIndex((focus) => focus.start_s > time + 0.05);
    return focuses.findLastIndex((focus) => focus.start_s < time - 0.05);
  }

  function choose(number, time = null) {
    if (number < 0) return;
    chosen = number;
    const { start_s: start, end_s: end } = focuses[number];
    bars.forEach((bar, i) => { bar.tabIndex = i === number ? 0 : -1; });
    revealLane(bars[number]);
    seek(time ?? Math.min(start + 0.02, (start + end) / 2)); // a hair later, or rounding shows the frame before
  }

  const step = (direction) => {
    const number = neighbour(direction);
    choose(number);
    if (number >= 0 && document.activeElement?.classList.contains("bar")) bars[number].focus({ preventScroll: true });
  };
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));

  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("video, input, select, textarea")) return;
    const act = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      "+": () => setZoom(zoom * 2),
      "-": () => setZoom(zoom / 2),
      0: () => setZoom(1),
      Escape: hideTip,
    }[event.key];
    if (!act) return;
    if (event.key.startsWith("Arrow")) event.preventDefault();
    act();
  });

  document.addEventListener("click", (event) => {
    const go = event.target.closest("a.go");
    if (!go) return;
    event.preventDefault();
    choose(Number(go.dataset.focus));
    if (playable) video.play().catch(() => {});
    document.querySelector(".stage").scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
  });

  find("filter")?.addEventListener("change", (event) => {
    const { value } = event.target;
    cards.forEach((card) => { card.hidden = value !== "" && card.dataset.product !== value; });
  });
  if (focuses.length <= 100) {
    addEventListener("beforeprint", () => cards.forEach((card) => { card.firstElementChild.open = true; }));
  }

  // ---- following the video ----

  if (video) {
    const follow = () => {
      if (!playable) return;
      update(video.currentTime);
      if (!video.paused && !drag) reveal(video.currentTime);
      if (!video.paused) requestAnimationFrame(follow);
    };
    for (const name of ["play", "seeked", "timeupdate", "loadedmetadata"]) video.addEventListener(name, () => update(now()));
    video.addEventListener("play", follow);
  }
  setZoom(1);
  update(0);
  root.dataset.ready = "1";
})();
