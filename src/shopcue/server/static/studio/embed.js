/** The snippet that puts a video with its products into a page of the shop. */

import { html, useState } from "../vendor/htm-preact.js";
import { Dialog, Icon, copyText } from "../js/ui.js";

/** The text to paste; nothing of it comes from strangers but the id, which is letters and digits. */
export function snippetFor(video_id, origin = location.origin) {
  const id = encodeURIComponent(video_id);
  return `<script type="module" src="${origin}/embed/player.js"></script>\n<shopcue-player src="${origin}/play/${id}"></shopcue-player>`;
}

/** A text with a button that copies it. */
export function CopyBox({ text, label, secret = false }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => { setCopied(await copyText(text)); setTimeout(() => setCopied(false), 2500); };
  return html`<div class="copy-box"><pre class="code" tabindex="0" aria-label=${label}>${text}</pre>
    <button type="button" class="button small" onClick=${copy}><${Icon} name=${copied ? "check" : "copy"} />${copied ? "Copied" : "Copy"}</button>
    ${secret && html`<p class="small muted">It is shown this once: keep it in a safe place now.</p>`}</div>`;
}

export const EmbedDialog = ({ video, onClose }) => html`<${Dialog} title="Embed in a page" wide onClose=${onClose}>
  ${!video.published && html`<div class="notice warn"><${Icon} name="alert" /><span>This video is not published yet: shoppers will see nothing until it is.</span></div>`}
  <p>Paste this where the video shall stand. It brings the player, the card of the product on screen, and the strip of all products.</p>
  <${CopyBox} text=${snippetFor(video.video_id)} label="Snippet" /><//>`;
