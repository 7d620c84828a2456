/** The lab page: finds the video that its address names, and says why where it cannot be shown. */
import { html, render } from "../vendor/htm-preact.js";
import { get, path } from "../js/api.js";
import { Empty, Failure, Mark, Skeleton, useLoad } from "../js/ui.js";
import { Lab } from "./lab.js";

const videoId = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));

function Waiting() {
  return html`<header class="top"><${Mark} /></header>
    <main class="lab" aria-busy="true"><div class="viewer"><${Skeleton} height="min(50vh, 30rem)" /></div><aside><${Skeleton} lines=${8} height="2rem" /></aside></main>`;
}

function Refused({ error, reload }) {
  if (error.status === 401 || error.status === 403) {
    return html`<${Empty} icon="lock" level=${1} title="Sign in to see this video"><p>The lab is for those who may read the shop.</p>
      <div class="row"><a class="button primary" href=${`/studio?next=${encodeURIComponent(location.pathname + location.search)}`}>Sign in</a></div><//>`;
  }
  if (error.status === 404 || error.status === 422) {
    return html`<${Empty} icon="video" level=${1} title="There is no such video"><p>It may have been deleted, or belong to another shop.</p>
      <div class="row"><a class="button" href="/studio">To the studio</a></div><//>`;
  }
  return html`<div class="pad"><${Failure} error=${error} retry=${reload} /></div>`;
}

function Page() {
  const { data: video, error, reload } = useLoad((signal) => get(path("/api/videos/{}", videoId), { signal }), []);
  if (error) return html`<header class="top"><${Mark} /></header><main><${Refused} error=${error} reload=${reload} /></main>`;
  if (!video) return html`<${Waiting} />`;
  document.title = `${video.title} – Shopcue Lab`;
  return html`<${Lab} video=${video} />`;
}

render(html`<${Page} />`, document.getElementById("app"));
