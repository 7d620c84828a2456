/** Speaks to the server's API: JSON in, JSON out, and one kind of error. */

/** What the server refused, or that it was not reached: `status` 0 then; `body` is the JSON that came, `fields` of a 422. */
export class ApiError extends Error {
  constructor(status, message, body = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.body = body;
    this.fields = body.fields ?? {};
  }
}

/** Path with each `{}` replaced by an escaped value, in order: `path("/api/shops/{}/products", shop)`. */
export function path(template, ...values) {
  let at = 0;
  return template.replace(/\{\}/g, () => encodeURIComponent(values[at++]));
}

/** The path with a query; null, undefined and "" are left out. */
export function query(address, values) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, value);
  }
  const text = search.toString();
  return text ? `${address}?${text}` : address;
}

async function bodyOf(response) {
  if (response.status === 204) return null;
  const text = await response.text();
  if (!(response.headers.get("content-type") ?? "").includes("json")) return text;
  try { return JSON.parse(text); } catch { return null; }
}

/** Ask the server. `json` or `body` is sent; returns the JSON (or text) of the answer; raises ApiError. */
export async function request(method, address, { json, body, headers = {}, signal } = {}) {
  const sent = json === undefined ? body : JSON.stringify(json);
  const typed = json === undefined ? headers : { "Content-Type": "application/json", ...headers };
  let response;
  try {
    response = await fetch(address, { method, body: sent, headers: { Accept: "application/json", ...typed }, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the server cannot be reached: check the connection and try again");
  }
  const answer = await bodyOf(response);
  if (response.ok) return answer;
  const said = typeof answer?.error === "string" ? answer.error : `the server answered ${response.status}`;
  const failure = new ApiError(response.status, said, answer && typeof answer === "object" ? answer : {});
  if (response.status === 401) dispatchEvent(new CustomEvent("shopcue:signed-out", { detail: failure }));
  throw failure;
}

export const get = (address, options) => request("GET", address, options);
export const post = (address, json, options) => request("POST", address, { json, ...options });
export const put = (address, json, options) => request("PUT", address, { json, ...options });
export const patch = (address, json, options) => request("PATCH", address, { json, ...options });
export const remove = (address, options) => request("DELETE", address, options);
