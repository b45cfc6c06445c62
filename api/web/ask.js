// Asking the server: as whom, how long, and what to make of a no.

import { headers as identity, renew } from "./login.js";
import { serverNow, told } from "./state.js";

const ANSWER_MS = 10_000;
/** A file may take as long as the server takes one. */
const SENT_MS = 40_000;
/** Answers that are kept to be asked for by their ETag. */
const KEPT_MAX = 100;

const kept = new Map(); // path → { etag, body }, the latest used last
/** Grows when somebody leaves: what was asked for before is nobody's. */
let era = 0;

/** The server said no; the message is its reason. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}
export class TokenWanted extends Error {}
/** Whoever asked has left. */
export class Gone extends Error {}

/** The answer at `path`, and whether it is another one than last time. */
export async function ask(path) {
  const known = kept.get(path);
  const response = await answer(path, { headers: known ? { "if-none-match": known.etag } : {} });
  told.staleMs = Math.max(told.staleMs, 1000 * Number(response.headers.get("animov-stale") ?? 0));
  const date = Date.parse(response.headers.get("date"));
  // The header has whole seconds: half a second is the best guess of the rest.
  if (date && Math.abs(date + 500 - serverNow()) > 1500) told.ahead = date + 500 - Date.now();
  const unchanged = response.status === 304;
  const mine = era;
  const one = unchanged ? known : { etag: response.headers.get("etag"), body: await response.json() };
  if (mine !== era) throw new Gone();
  kept.delete(path);
  kept.set(path, one);
  if (KEPT_MAX < kept.size) kept.delete(kept.keys().next().value);
  return { body: one.body, changed: !unchanged };
}

/** A picture as an address for an `img`, to be revoked. */
export async function picture(path) {
  const response = await answer(path, {});
  return URL.createObjectURL(await response.blob());
}

/** Sends a file; what became of it. */
export async function send(path, file, type) {
  const how = { method: "POST", body: file, headers: { "content-type": type }, signal: AbortSignal.timeout(SENT_MS) };
  const response = await answer(path, how);
  return response.json();
}

/** What the one before has seen is not for the next. */
export function forgetAnswers() {
  era += 1;
  kept.clear();
}

async function answer(path, { headers = {}, ...how }, again = true) {
  const [who, mine] = [identity(), era];
  const response = await fetch(path, {
    signal: AbortSignal.timeout(ANSWER_MS), ...how, headers: { ...headers, ...who }, cache: "no-store",
  });
  if (mine !== era) throw new Gone();
  // An access token is short-lived; the login goes on with the next one.
  if (response.status === 401 && again && await renew(who.authorization)) return answer(path, { headers, ...how }, false);
  if (response.status === 401) throw new TokenWanted();
  if (!response.ok && response.status !== 304) {
    const problem = await response.json().catch(() => ({}));
    throw new Refused(problem.detail ?? `HTTP ${response.status}`, response.status);
  }
  return response;
}

