/**
 * `<shopcue-player src="https://host/play/ID">`: a video with the products that it shows, for any page.
 *
 * Attributes: src; theme ("light" or "dark", else as the page around it); autoplay; muted; start (seconds); ratio (such
 * as "9/16", which keeps the place before the video is known); share-url (what is shared, "none" for no such button).
 * Property: words (see words.js). Events: shopcue-state, shopcue-focus, shopcue-click (cancelable).
 * The look: custom properties --shopcue-* and parts, see docs/player.md.
 */
import { html, render } from "../vendor/htm-preact.js";
import { placeOf } from "./document.js";
import { Player } from "./player.js";
import { STYLE } from "./style.js";
import { WORDS } from "./words.js";

const ATTRIBUTES = ["src", "autoplay", "muted", "start", "ratio", "share-url"];

/** A ratio as people write it: "9/16", "16:9" or "1.78"; NaN where it is none. */
function ratioOf(value) {
  const [width, height = 1] = (value ?? "").split(/[/:]/).map(Number);
  return width > 0 && height > 0 ? width / height : NaN;
}

export class ShopcuePlayer extends HTMLElement {
  static observedAttributes = ATTRIBUTES;

  #words = WORDS;
  #sheet = null;
  #bind = {};
  #drawn = false;

  get words() { return this.#words; }

  set words(some) {
    this.#words = { ...WORDS, ...some };
    this.#draw();
  }

  connectedCallback() {
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open", delegatesFocus: false });
    if (!this.#sheet) {
      // A constructed sheet is allowed where a page's policy forbids inline styles.
      this.#sheet = new CSSStyleSheet();
      this.#sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [this.#sheet];
    }
    this.#drawn = true;
    this.#draw();
  }

  disconnectedCallback() {
    // Moving the element within a page disconnects it for a moment only.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#drawn = false;
      render(null, this.shadowRoot);
    });
  }

  attributeChangedCallback(name, before, after) {
    if (before !== after) this.#draw();
  }

  /** Take a key as if it had been pressed in the player: for a page that is all player. */
  press(event) { this.#bind.press?.(event); }

  #emit(name, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(name, { detail, cancelable, bubbles: true, composed: true }));
  }

  #options() {
    return {
      autoplay: this.hasAttribute("autoplay"), muted: this.hasAttribute("muted"), start_s: Math.max(Number(this.getAttribute("start")) || 0, 0),
      ratio: ratioOf(this.getAttribute("ratio")), share_url: this.getAttribute("share-url") ?? "",
    };
  }

  #draw() {
    if (!this.#drawn) return;
    let place = null;
    try { place = placeOf(this.getAttribute("src") ?? "", document.baseURI); } catch { /* said on the page, below */ }
    const content = place
      ? html`<${Player} key=${place.document} place=${place} options=${this.#options()} words=${this.#words} bind=${this.#bind} emit=${(...told) => this.#emit(...told)} />`
      : html`<div class="player" data-layout="stacked"><div class="stage"><p class="trouble" role="status">${this.#words.misplaced}</p></div></div>`;
    render(content, this.shadowRoot);
  }
}

if (!customElements.get("shopcue-player")) customElements.define("shopcue-player", ShopcuePlayer);
