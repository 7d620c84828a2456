/** The way in: a token, kept by the browser in a cookie that no script can read. */

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { post } from "../js/api.js";
import { Field, Mark } from "../js/ui.js";

export function SignIn({ onSession, expired }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => { document.title = "Sign in – Shopcue Studio"; }, []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try { onSession(await post("/api/session", { token: token.trim() })); } catch (failure) { setError(failure); setBusy(false); }
  };
  return html`<main class="signin" id="main"><form class="card" onSubmit=${submit}>
    <${Mark} /><div class="stack tight"><h1>Sign in</h1><p class="muted">${expired ? "You were signed out: your token expired, was revoked, or the server was moved." : "Use the token that was made for you. The first one was printed when the server first started."}</p></div>
    <input type="text" name="username" autocomplete="username" value="shopcue" hidden />
    <${Field} label="Token" fault=${error ? (error.status === 401 || error.status === 422 ? "This token is not known, or no longer valid." : error.message) : ""}>${(field) => html`<input class="input code" type="password" name="token" autocomplete="current-password" autofocus spellcheck=${false} placeholder="sc_…" value=${token} onInput=${(event) => { setToken(event.target.value); setError(null); }} ...${field} />`}<//>
    <button type="submit" class="button primary" disabled=${busy || !token.trim()}>${busy ? "Signing in…" : "Sign in"}</button></form></main>`;
}
