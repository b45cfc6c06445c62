// What is looked at, and what is known: one of each for the whole page.

import { LANGUAGES, Voice } from "./words.js";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;

/** For each size of windows, how much time a chart shows. */
export const SPANS = { "1m": 120 * MINUTE, "5m": 720 * MINUTE, "15m": 36 * 60 * MINUTE, "1h": 7 * DAY, "1d": 60 * DAY };
export const PAGES = ["statistics", "herd", "pictures", "headcounts", "prices"];
export const ORIGINS = ["final", "final_2", "camera"];

let wish = new URLSearchParams();

/** The view; the address says it too, so a link shows the same. */
export const view = {};
readAddress();

/** Takes the view from the address. */
export function readAddress() {
  wish = new URLSearchParams(location.hash.slice(1));
  Object.assign(view, {
    page: known(PAGES, wish.get("page")),
    size: known(Object.keys(SPANS), wish.get("size")),
    metric: wish.get("metric") ?? "all",
    source: /^\d{1,10}$/.test(wish.get("source")) ? wish.get("source") : "all",
    from: day(wish.get("from")),
    to: day(wish.get("to")),
    origin: known(ORIGINS, wish.get("origin")),
    language: firstKnownLanguage(),
  });
}

/** What the server told, and how it is said. */
export const told = {
  voice: new Voice(view.language, "UTC"),
  /** Every source that was counted. */
  sources: [],
  /** Of the server's clock, before this machine's. */
  ahead: 0,
  /** How old the oldest answer of this round is, if the tables are away. */
  staleMs: 0,
};

export const serverNow = () => Date.now() + told.ahead;

/** The sources that are wanted. */
export const wanted = () => told.sources.filter(({ source }) => view.source === "all" || String(source) === view.source);

export const sourceName = (number) => told.sources.find(({ source }) => source === number)?.name ?? told.voice.words.source(number);

export function remember() {
  const lang = wish.get("lang");
  const { page, size, metric, source, from, to, origin } = view;
  const all = { page, size, metric, source, from, to, origin, lang };
  const plain = { page: PAGES[0], source: "all", origin: ORIGINS[0] };
  const said = Object.entries(all).filter(([name, value]) => value && value !== plain[name]);
  history.replaceState(null, "", `#${new URLSearchParams(said)}`);
}

export function speakOther() {
  view.language = LANGUAGES.find((other) => other !== view.language);
  localStorage.setItem("animov-language", view.language);
  wish.delete("lang");
  remember();
}

/** The first and the last day that are wanted, whichever way round they were chosen; "" is open. */
const days = () => (view.from && view.to ? [view.from, view.to].sort() : [view.from, view.to]);

/** The last day that is wanted; "" is open. */
export const lastDay = () => days()[1];

/** The days that are wanted as `&from=…&to=…`; nothing where they are open. */
export function asked() {
  const [first, last] = days();
  return (first ? `&from=${first}` : "") + (last ? `&to=${dayAfter(last)}` : "");
}

/** The same in milliseconds; null where it is open. */
export function period() {
  const [first, last] = days();
  return { from: first ? midnight(first) : null, to: last ? midnight(dayAfter(last)) : null };
}

const dayAfter = (text) => new Date(Date.parse(`${text}T00:00Z`) + DAY).toISOString().slice(0, 10);

/** The beginning of a day on the site's clocks. */
function midnight(text) {
  const wall = Date.parse(`${text}T00:00Z`);
  const offset = (ms) => told.voice.offset(ms);
  const at = wall - offset(wall - offset(wall));
  // Where clocks go forward at midnight, the day begins with what they show then.
  return at + offset(at) < wall ? wall - offset(at) : at;
}

/** A day that exists, between years that a calendar shows. */
export function day(text) {
  const real = /^[12]\d{3}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00Z`));
  return real && new Date(`${text}T00:00Z`).toISOString().startsWith(text) ? text : "";
}

function known(values, value) {
  return values.includes(value) ? value : values[0];
}

function firstKnownLanguage() {
  const languages = [wish.get("lang"), localStorage.getItem("animov-language"), ...navigator.languages];
  const short = languages.filter(Boolean).map((tag) => tag.slice(0, 2).toLowerCase());
  return short.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}
