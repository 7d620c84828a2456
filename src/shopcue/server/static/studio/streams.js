/** The area of live streams: add one, start and stop it, and see which are on air. */

import { html, useState } from "../vendor/htm-preact.js";
import { path, post } from "../js/api.js";
import { Dialog, Empty, Failure, Field, Icon } from "../js/ui.js";
import { HealthLine } from "./health.js";
import { addressOf, go } from "./router.js";
import { useVideos, VideoCard } from "./videos.js";

function NewStream({ shop, onClose }) {
  const [values, setValues] = useState({ url: "", title: "", playback_url: "", speech: "none", recording: true, start: true });
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (name) => (event) => setValues({ ...values, [name]: event.target.value });
  const submit = async () => {
    setBusy(true);
    try {
      const { url, title, playback_url, speech, recording, start } = values;
      const video = await post(path("/api/shops/{}/streams", shop), { url: url.trim(), speech, recording, start, title: title.trim(), ...(playback_url.trim() ? { playback_url: playback_url.trim() } : {}) });
      onClose();
      location.assign(addressOf({ shop, video_id: (video.video ?? video).video_id })); // loaded anew: what a page may play is said when it is loaded
    } catch (failure) { setError(failure); setBusy(false); }
  };
  return html`<${Dialog} title="New stream" onClose=${onClose} onSubmit=${submit} footer=${html`<button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary" disabled=${busy || !values.url.trim()}>Add stream</button>`}>
    <${Field} label="Address of the stream" note="RTMP, RTSP, SRT, HLS or UDP: what Shopcue watches." fault=${error?.fields?.url}>${(field) => html`<input class="input" autofocus required placeholder="rtmp://" value=${values.url} onInput=${set("url")} ...${field} />`}<//>
    <${Field} label="Title" fault=${error?.fields?.title}>${(field) => html`<input class="input" maxlength="300" value=${values.title} onInput=${set("title")} ...${field} />`}<//>
    <${Field} label="Address for viewers" note="HLS that a browser plays. Left empty, shoppers see the recording." fault=${error?.fields?.playback_url}>${(field) => html`<input class="input" type="url" placeholder="https://…/live.m3u8" value=${values.playback_url} onInput=${set("playback_url")} ...${field} />`}<//>
    <label class="check"><input type="checkbox" checked=${values.speech === "auto"} onChange=${(event) => setValues({ ...values, speech: event.target.checked ? "auto" : "none" })} /><span>Listen to what is said<br /><span class="muted small">Finds more, and asks more of the machine.</span></span></label>
    <label class="check"><input type="checkbox" checked=${values.recording} onChange=${(event) => setValues({ ...values, recording: event.target.checked })} /><span>Record<br /><span class="muted small">The past hours can be looked at and corrected while the stream runs.</span></span></label>
    <label class="check"><input type="checkbox" checked=${values.start} onChange=${(event) => setValues({ ...values, start: event.target.checked })} /><span>Start at once</span></label>
    ${error && html`<${Failure} error=${error} />`}<//>`;
}

export function Streams({ shop, bus, toasts, can }) {
  const [adding, setAdding] = useState(false);
  const { videos, data, error, reload, more, loadMore, change } = useVideos({ shop, kind: "stream", state: "", bus });
  const run = async (video, verb) => {
    try { const now = await post(path(`/api/videos/{}/${verb}`, video.video_id)); change((list) => list.map((one) => (one.video_id === video.video_id ? { ...one, ...now } : one))); } catch (failure) { toasts.fail(failure); }
  };
  return html`<main class="page" id="main">
    <div class="page-head"><h1>Streams</h1>${can.write && html`<button type="button" class="button primary push" onClick=${() => setAdding(true)}><${Icon} name="add" />New stream</button>`}</div>
    ${error && html`<${Failure} error=${error} retry=${reload} />`}
    ${!data && !error && html`<div class="video-cards" aria-busy="true">${Array.from({ length: 3 }, () => html`<div class="skeleton card-skeleton"></div>`)}</div>`}
    ${data && !videos.length && html`<${Empty} icon="live" title="No streams yet"><p>Name the address of a live show: products appear in the player as they come on screen.</p>
      ${can.write && html`<div class="row"><button type="button" class="button primary" onClick=${() => setAdding(true)}><${Icon} name="add" />New stream</button></div>`}<//>`}
    <ul class="video-cards">${videos.map((video) => {
      const running = video.wanted;
      return html`<${VideoCard} key=${video.video_id} video=${video} shop=${shop} writable=${can.write}>
        <${HealthLine} video=${video} />
        <div class="row">${can.write && html`<button type="button" class="button small" onClick=${() => run(video, running ? "stop" : "start")}><${Icon} name=${running ? "stop" : "play"} />${running ? "Stop" : "Start"}</button>`}
          <button type="button" class="button small" onClick=${() => go(addressOf({ shop, video_id: video.video_id }))}><${Icon} name="eye" />Watch</button></div><//>`;
    })}</ul>
    ${more && html`<div class="row more-row"><button type="button" class="button" onClick=${() => loadMore().catch((failure) => toasts.fail(failure))}>Show more</button></div>`}
    ${adding && html`<${NewStream} shop=${shop} onClose=${() => setAdding(false)} />`}
  </main>`;
}
