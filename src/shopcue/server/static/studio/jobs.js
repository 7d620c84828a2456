/** Work that goes on behind: how far it is, cancel and retry. */

import { html, useState } from "../vendor/htm-preact.js";
import { path, post } from "../js/api.js";
import { ago } from "../js/format.js";
import { Icon, Progress } from "../js/ui.js";

export const KINDS = { match: "Matching", import: "Import", reindex: "Reindexing" };
export const active = (job) => job && (job.state === "queued" || job.state === "running");

/** The button that runs a job again. */
export function Again({ job, onJob }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const retry = async () => {
    setBusy(true);
    try { const answer = await post(path("/api/jobs/{}/retry", job.job_id)); onJob(answer.job ?? answer); } catch (failure) { setError(failure.message); setBusy(false); }
  };
  return html`<div class="row"><button type="button" class="button small" disabled=${busy} onClick=${retry}><${Icon} name="retry" />Retry</button>${error && html`<span class="fault">${error}</span>`}</div>`;
}

/** One job as a line; onJob(job) hears of its new state. */
export function JobLine({ job, writable, name = KINDS[job.kind] ?? job.kind, onJob = () => {} }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const act = async (verb) => {
    setBusy(true);
    try { const answer = await post(path(`/api/jobs/{}/${verb}`, job.job_id)); onJob(answer.job ?? answer); setError(""); } catch (failure) { setError(failure.message); }
    setBusy(false);
  };
  const share = job.state === "queued" ? 0 : job.progress ?? (job.total > 0 ? job.done / job.total : NaN);
  const said = { queued: "waiting for its turn", running: job.stage || "running", done: "done", failed: "failed", cancelled: "cancelled" }[job.state];
  return html`<div class="job" aria-live="polite">
    <div class="row"><strong>${name}</strong><span class="muted small">${said}</span>
      ${active(job) && Number.isFinite(share) && html`<span class="num small muted">${Math.floor(share * 100)}%</span>`}
      ${!active(job) && job.finished_at && html`<span class="muted small">${ago(job.finished_at)}</span>`}
      <span class="row push">
        ${writable && active(job) && html`<button type="button" class="button small" disabled=${busy} onClick=${() => act("cancel")}>Cancel</button>`}
        ${writable && (job.state === "failed" || job.state === "cancelled") && html`<button type="button" class="button small" disabled=${busy} onClick=${() => act("retry")}><${Icon} name="retry" />Retry</button>`}</span></div>
    ${active(job) && html`<${Progress} share=${share} label="${name} ${said}" />`}
    ${(error || job.error) && html`<p class="fault" dir="auto">${error || job.error}</p>`}
  </div>`;
}
