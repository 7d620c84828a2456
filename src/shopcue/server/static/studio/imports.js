/** Imports of product feeds: the dialog that begins one, those that ran, and the report of what became of each row. */

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { get, path, post, query } from "../js/api.js";
import { dateTime } from "../js/format.js";
import { Dialog, Empty, Failure, Field, Icon, Segmented, Skeleton, useLoad } from "../js/ui.js";
import { active, JobLine, KINDS } from "./jobs.js";
import { addressOf, go } from "./router.js";
import { DropField } from "./upload-list.js";

const FEED_TYPES = ".csv,.tsv,.jsonl,.ndjson,.json,.xml,.zip";
const PAGE = 100;
const TONES = { ok: "good", partial: "warn", refused: "bad" };
const NAMES = { ok: "taken in", partial: "taken in part", refused: "refused" };

export function ImportDialog({ shop, uploads, onClose }) {
  const [file, setFile] = useState(null);
  const [url, setUrl] = useState("");
  const [missing, setMissing] = useState(false);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    try {
      if (file) uploads.add(shop, file, "feed", { make: "import", delete_missing: missing });
      else await post(path("/api/shops/{}/imports", shop), { url: url.trim(), delete_missing: missing });
      onClose();
    } catch (failure) { setError(failure); setBusy(false); }
  };
  return html`<${Dialog} title="Import a feed" onClose=${onClose} onSubmit=${submit} footer=${html`<button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary" disabled=${busy || (!file && !url.trim())}>Import</button>`}>
    ${file ? html`<div class="row chosen"><${Icon} name="bag" /><span class="line" dir="auto">${file.name}</span><button type="button" class="tool small push" aria-label="Leave it out" onClick=${() => setFile(null)}><${Icon} name="close" /></button></div>`
      : html`<${DropField} accept=${FEED_TYPES} title="Choose a feed" note="CSV, TSV, JSON lines, JSON, Merchant XML, or a zip of a feed with its pictures" onFiles=${([one]) => setFile(one)} />
        <${Field} label="Or the address of a feed" fault=${error?.fields?.url}>${(field) => html`<input class="input" type="url" placeholder="https://" value=${url} onInput=${(event) => setUrl(event.target.value)} ...${field} />`}<//>`}
    <label class="check"><input type="checkbox" checked=${missing} onChange=${(event) => setMissing(event.target.checked)} /><span>Delete products that this feed no longer has<br /><span class="muted small">Leave it off where the feed is a part of the catalogue.</span></span></label>
    ${error && html`<${Failure} error=${error} />`}<//>`;
}

function Report({ job, onClose }) {
  const [status, setStatus] = useState(job.result?.refused ? "refused" : "");
  const first = useLoad((signal) => get(query(path("/api/jobs/{}/items", job.job_id), { status, limit: PAGE }), { signal }), [job.job_id, status, job.state]);
  const [extra, setExtra] = useState({ of: null, items: [], next: null });
  const own = extra.of === first.data;
  const items = [...(first.data?.items ?? []), ...(own ? extra.items : [])];
  const next = own ? extra.next : first.data?.next;
  const counts = first.data?.counts ?? {};
  const more = async () => {
    const answer = await get(query(path("/api/jobs/{}/items", job.job_id), { status, limit: PAGE, after: next }));
    setExtra({ of: first.data, items: [...(own ? extra.items : []), ...answer.items], next: answer.next });
  };
  const all = (counts.ok ?? 0) + (counts.partial ?? 0) + (counts.refused ?? 0);
  return html`<${Dialog} title="Import of ${dateTime(job.created_at)}" wide onClose=${onClose} class="report">
    <${Segmented} label="Rows" value=${status} onChange=${setStatus} options=${[["", `All ${all}`], ["ok", `Taken in ${counts.ok ?? 0}`], ["partial", `In part ${counts.partial ?? 0}`], ["refused", `Refused ${counts.refused ?? 0}`]]} />
    ${job.error && html`<div class="notice bad"><${Icon} name="alert" /><span dir="auto">${job.error}</span></div>`}
    ${first.error && html`<${Failure} error=${first.error} retry=${first.reload} />`}
    ${!first.data && !first.error && html`<${Skeleton} lines=${6} height="2rem" />`}
    ${first.data && !items.length && html`<${Empty} icon="check" level=${3} title=${status === "refused" ? "No row was refused" : "No rows"} />`}
    ${items.length > 0 && html`<div class="scroll"><table class="table"><thead><tr><th class="end">Row</th><th>Product</th><th>Outcome</th><th>Reason</th></tr></thead>
      <tbody>${items.map((item) => html`<tr key=${item.row}><td class="num end">${item.row}</td><td dir="auto">${item.product_id || html`<span class="muted">none</span>`}</td><td><span class="badge ${TONES[item.status]}">${NAMES[item.status]}</span></td><td class="small" dir="auto">${item.reason}</td></tr>`)}</tbody></table></div>`}
    ${next && html`<button type="button" class="button" onClick=${more}>Show more</button>`}<//>`;
}

function Summary({ job }) {
  const { ok, partial, refused, deleted } = job.result ?? {};
  const parts = [[ok, "good", "taken in"], [partial, "warn", "in part"], [refused, "bad", "refused"], [deleted, "", "deleted"]].filter(([number]) => number > 0);
  return html`<span class="row">${parts.map(([number, tone, text]) => html`<span class="badge ${tone} num">${Number(number).toLocaleString("en")} ${text}</span>`)}</span>`;
}

/** The last imports and reindexings; those that run are shown as such. asked: the id of the job whose report is open. */
export function Imports({ shop, bus, uploads, can, asked }) {
  const { data, reload, setData } = useLoad(async (signal) => {
    const [imports, others] = await Promise.all(["import", "reindex"].map((kind) => get(query("/api/jobs", { shop, kind, limit: 10 }), { signal })));
    return [...imports.jobs, ...others.jobs].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  }, [shop]);
  const [open, setOpen] = useState(false);
  const take = (job) => setData((jobs) => (jobs ?? []).map((one) => (one.job_id === job.job_id ? { ...one, ...job } : one)));
  useEffect(() => bus.hear((event) => {
    if (event.type === "reset") reload();
    if (event.type !== "job.update" || !KINDS[event.data?.kind] || event.data.kind === "match") return;
    if (data?.some((one) => one.job_id === event.data.job_id) && active(event.data)) take(event.data); else reload();
  }), [bus, data, reload]);
  useEffect(() => {
    const heard = (one) => { if (one.kind === "feed") reload(); };
    uploads.finished.add(heard);
    return () => uploads.finished.delete(heard);
  }, [uploads, reload]);
  if (!data?.length) return null;
  const running = data.filter(active);
  const shown = open ? data : running.length ? running : data.slice(0, 1);
  const report = data.find((one) => one.job_id === asked);
  const show = (id) => go(addressOf({ shop, area: "catalogue", query: id ? { job: id } : {} }), { replace: true });
  return html`<section class="card imports" aria-label="Imports">
    <ul>${shown.map((job) => html`<li key=${job.job_id} class="import">
      <${JobLine} job=${job} writable=${can.write} onJob=${take} />
      <div class="row"><${Summary} job=${job} />${job.kind === "import" && html`<button type="button" class="button small push" onClick=${() => show(job.job_id)}><${Icon} name="list" />Report</button>`}</div></li>`)}</ul>
    ${data.length > shown.length || open ? html`<button type="button" class="link small" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>${open ? "Show less" : `All ${data.length}`}</button>` : null}
    ${report && html`<${Report} job=${report} onClose=${() => show("")} />`}
  </section>`;
}
