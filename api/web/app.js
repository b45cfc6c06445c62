// The page: asks the server every two seconds what is new, and shows it.
//
// One request a round tells which sources changed (by `rev`); only their
// windows are asked for, and with an ETag, so a quiet farm costs almost
// nothing. Everything shown is text or an attribute, never markup.

import { NONE, draw } from "./chart.js";
import { carrying, forget, headers as identity, leave, logIn, renew } from "./login.js";
import { LANGUAGES, Voice, knownZone } from "./words.js";

const POLL_MS = 2_000;
const POLL_MAX_MS = 15_000;
const ANSWER_MS = 10_000;
const MINUTE = 60_000;

/** For each size, how much time a chart shows. */
const SPANS = { "1m": 120 * MINUTE, "5m": 720 * MINUTE, "15m": 36 * 60 * MINUTE, "1h": 7 * 1440 * MINUTE, "1d": 60 * 1440 * MINUTE };
/** And how many windows that is, at most. */
const LIMITS = { "1m": 120, "5m": 144, "15m": 144, "1h": 168, "1d": 61 };
/** Rows of the table. */
const ROWS = 30;
/** Metrics with a colour of their own, and the order in which they are shown. */
const FIRST = ["lying", "standing", "total"];
const LINES_MAX = 5;

const $ = (id) => document.getElementById(id);

const wish = new URLSearchParams(location.hash.slice(1));
const view = {
  size: SPANS[wish.get("size")] ? wish.get("size") : "1m",
  metric: wish.get("metric") ?? "all",
  language: firstKnownLanguage(),
  zone: "UTC",
};
let voice = new Voice(view.language, view.zone);
let clockAhead = 0; // of the server's clock, before this machine's
let sources = [];
/** How old the oldest answer of this round is, if the tables are away. */
let staleMs = 0;
let lastAnswer = null;
let failures = 0;
let timer = null;
const cards = new Map();
const kept = new Map(); // path → { etag, body }

function firstKnownLanguage() {
  const wanted = [wish.get("lang"), localStorage.getItem("animov-language"), ...navigator.languages];
  const short = wanted.filter(Boolean).map((tag) => tag.slice(0, 2).toLowerCase());
  return short.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

const serverNow = () => Date.now() + clockAhead;

// ---- asking ----

class Refused extends Error {}
class TokenWanted extends Error {}

/** The answer at `path`, and whether it is another one than last time. */
async function ask(path, again = true) {
  const known = kept.get(path);
  const headers = identity();
  if (known) headers["if-none-match"] = known.etag;
  const response = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  staleMs = Math.max(staleMs, 1000 * Number(response.headers.get("animov-stale") ?? 0));
  const date = Date.parse(response.headers.get("date"));
  // The header has whole seconds: half a second is the best guess of the rest.
  if (date && Math.abs(date + 500 - serverNow()) > 1500) clockAhead = date + 500 - Date.now();
  if (response.status === 304) return { body: known.body, changed: false };
  // An access token is short-lived; the login goes on with the next one.
  if (response.status === 401 && again && await renew(headers.authorization)) return ask(path, false);
  if (response.status === 401) throw new TokenWanted();
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Refused(problem.detail ?? `HTTP ${response.status}`);
  }
  const body = await response.json();
  kept.set(path, { etag: response.headers.get("etag"), body });
  return { body, changed: true };
}

async function round() {
  clearTimeout(timer);
  if (document.hidden) return;
  staleMs = 0;
  try {
    if (lastAnswer === null) await introduce();
    const answer = await ask("v1/sources");
    sources = answer.body.items;
    $("leave").hidden = !carrying();
    showSources();
    await Promise.all(sources.map(refresh));
    failures = 0;
    lastAnswer = serverNow() - staleMs;
    // The server gives what it last knew while its tables are away.
    link(staleMs ? "lost" : "live");
  } catch (error) {
    if (error instanceof TokenWanted) return askForToken();
    failures += 1;
    link("lost", error instanceof Refused ? error.message : null);
  }
  showAges();
  timer = setTimeout(round, Math.min(POLL_MS * 2 ** Math.min(failures, 4), failures ? POLL_MAX_MS : POLL_MS));
}

async function introduce() {
  const { body } = await ask("v1/site");
  view.zone = knownZone(body.zone);
  $("version").dataset.version = body.version;
  speak();
}

/** Fetches a source's windows, if they can have changed. */
async function refresh(source) {
  const card = cards.get(source.source);
  const key = `${view.size} ${source.rev}`;
  if (card.key !== key) {
    const path = `v1/sources/${source.source}/windows/${view.size}?limit=${LIMITS[view.size]}`;
    const { body } = await ask(path);
    card.older = body.next_cursor !== null;
    card.windows = body.items.map((item) => ({ ...item, start: Date.parse(item.start), end: Date.parse(item.end) })).reverse();
    card.key = key;
    card.size = view.size;
  }
  showCard(card);
}

// ---- the frame around the cards ----

function link(state, detail = null) {
  $("link").dataset.state = state;
  $("link-text").textContent = voice.words[state];
  const lost = state === "lost";
  document.body.classList.toggle("stale", lost);
  const words = voice.words;
  const text = !lost ? "" : detail !== null ? words.refusedNotice(detail)
    : lastAnswer === null ? words.neverNotice : words.lostNotice(voice.time(lastAnswer, "second"));
  if ($("notice").textContent !== text) $("notice").textContent = text;
  $("notice").hidden = !lost;
}

/** Puts every fixed text into the language of the page. */
function speak() {
  voice = new Voice(view.language, view.zone);
  const words = voice.words;
  document.documentElement.lang = view.language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
  $("language").textContent = words.other;
  $("language").lang = LANGUAGES.find((other) => other !== view.language);
  $("language").setAttribute("aria-label", words.otherLabel);
  $("zone").textContent = view.zone;
  $("link-text").textContent = words[$("link").dataset.state];
  if ($("version").dataset.version) $("version").textContent = words.version($("version").dataset.version);
  choices($("sizes"), "size", Object.keys(SPANS), (size) => words[size]);
  showSources();
  for (const card of cards.values()) showCard(card);
  showAges();
}

function choices(fieldset, name, values, label) {
  const wanted = JSON.stringify([values, view.language]);
  if (fieldset.dataset.shown !== wanted) {
    fieldset.dataset.shown = wanted;
    for (const old of fieldset.querySelectorAll("label")) old.remove();
    for (const value of values) {
      const input = Object.assign(document.createElement("input"), { type: "radio", name, value });
      const text = Object.assign(document.createElement("span"), { textContent: label(value) });
      const choice = document.createElement("label");
      choice.append(input, text);
      fieldset.append(choice);
    }
  }
  for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === view[name];
}

function showSources() {
  const known = new Set(sources.flatMap((source) => source.metrics));
  const names = [...FIRST.filter((name) => known.delete(name)), ...[...known].sort()];
  if (names.length && view.metric !== "all" && !names.includes(view.metric)) view.metric = "all";
  choices($("metrics"), "metric", ["all", ...names], (name) => (name === "all" ? voice.words.all : voice.metric(name)));
  $("choices").hidden = sources.length === 0;
  $("key").hidden = sources.length === 0;
  $("empty").hidden = lastAnswer === null || sources.length !== 0;
  for (const source of sources) {
    if (!cards.has(source.source)) cards.set(source.source, newCard(source.source));
    cards.get(source.source).source = source;
  }
  for (const [number, card] of cards) {
    if (sources.some((source) => source.source === number)) continue;
    card.element.remove();
    cards.delete(number);
  }
  const order = sources.map((source) => cards.get(source.source).element);
  if (order.some((element, at) => $("cards").children[at] !== element)) $("cards").replaceChildren(...order);
}

// ---- a card ----

function newCard(number) {
  const element = $("card").content.firstElementChild.cloneNode(true);
  const part = (selector) => element.querySelector(selector);
  const card = { number, element, part, windows: null, older: false, size: null, key: null, chart: null, drawn: null, picked: null };
  part("h2").id = `source-${number}`;
  element.setAttribute("aria-labelledby", `source-${number}`);
  part("summary").textContent = voice.words.table;
  const plot = part(".plot");
  plot.addEventListener("pointermove", (event) => pick(card, card.chart?.nearest(event.clientX)));
  plot.addEventListener("pointerleave", () => pick(card, null));
  plot.addEventListener("blur", () => pick(card, null));
  plot.addEventListener("keydown", (event) => step(card, event));
  part("details").addEventListener("toggle", () => showTable(card));
  new ResizeObserver(() => showCard(card)).observe(plot);
  return card;
}

/** The metrics that a source's chart shows now. */
function shown(card) {
  if (view.metric !== "all") return [view.metric];
  const metrics = card.source.metrics;
  const first = FIRST.filter((name) => metrics.includes(name));
  return [...first, ...metrics.filter((name) => !first.includes(name))].slice(0, LINES_MAX);
}

function colour(card) {
  const others = card.source.metrics.filter((name) => !FIRST.includes(name));
  return (metric) => `metric-${FIRST.includes(metric) ? metric : Math.max(others.indexOf(metric), 0) % 5}`;
}

const newest = (card) => card.windows?.at(-1) ?? null;

function showCard(card) {
  const { source, part } = card;
  const words = voice.words;
  const name = source.name ?? words.source(source.source);
  put(part("h2"), name);
  put(part(".number"), source.name ? words.source(source.source) : "\u00a0");
  const silent = source.silent_since !== null;
  part(".state").dataset.state = silent ? "silent" : "receiving";
  put(part(".state span:last-child"), silent ? words.silent(voice.moment(Date.parse(source.silent_since), serverNow())) : words.receiving);
  part("summary").textContent = words.table;
  const window = newest(card);
  if (!window || card.size !== view.size) return;

  const metrics = shown(card);
  // The newest data of a source that stopped long ago, else up to now.
  const span = SPANS[card.size];
  const length = window.end - window.start;
  const now = Math.ceil(serverNow() / MINUTE) * MINUTE;
  const to = span < now - window.end ? window.end : Math.max(window.end, now);
  // Of a source without a longer past, only what there is, but no sliver.
  const first = card.older ? -Infinity : card.windows[0].start;
  const from = Math.min(Math.max(to - span, first), to - span / 5);
  const drawn = JSON.stringify([card.key, view, from, to, part(".plot").clientWidth, silent]);
  if (card.drawn !== drawn && 0 < part(".plot").clientWidth) {
    card.drawn = drawn;
    const windows = card.windows.filter((w) => from - length < w.start && w.start < to && from <= w.start);
    // A source that still sends is not "without data" only because its next window has not begun.
    const known = silent || 2 * length < to - window.end ? to : window.end;
    card.chart = draw(part(".plot"), { windows, shown: metrics, from, to, known, voice, colour: colour(card) });
    part(".plot").setAttribute("aria-label", words.chart(name, words[card.size]));
    showTable(card);
  }
  showPicked(card);
}

/** The figures of the window under the pointer, or of the newest. */
function showPicked(card) {
  card.chart?.mark(card.picked);
  const window = card.windows?.find((w) => w.start === card.picked) ?? newest(card);
  if (!window) return;
  const words = voice.words;
  const metrics = shown(card);
  const of = (metric) => window.metrics[metric] ?? NONE;
  const mean = (metric) => [voice.metric(metric), voice.number(of(metric).mean, "one"), metric];
  const figures = metrics.map(mean);
  if (metrics.length === 1) {
    const { median, q1, q3, min, max } = of(metrics[0]);
    figures.push([words.columns.median, voice.number(median, "whole")],
      [words.middle, `${voice.number(q1, "whole")}–${voice.number(q3, "whole")}`], [words.range, `${min}–${max}`]);
  }
  card.part(".now").replaceChildren(...figures.map(([term, value, metric]) => {
    const group = document.createElement("div");
    group.className = metric ? colour(card)(metric) : "more";
    group.append(text("dt", `${term} `), text("dd", value));
    return group;
  }));
  const near = Math.abs(serverNow() - window.end) < 12 * 60 * MINUTE;
  const when = near || card.size === "1d" ? voice.window(window, card.size)
    : `${voice.time(window.start, "weekday")}, ${voice.window(window, card.size)}`;
  put(card.part(".caption"), `${words.perPicture(when)} (${words.status[window.status]})`);
  showFacts(card, window);
}

function showFacts(card, window) {
  const words = voice.words;
  const watermark = Date.parse(card.source.watermark);
  const coverage = window.coverage === null ? "–" : voice.number(window.coverage, "percent");
  const facts = [
    [words.coverage, coverage, words.pictures(voice.number(window.frames, "whole"), voice.number(window.frames_expected, "whole"))],
    [words.watermark, voice.moment(watermark, serverNow()), ""],
    [words.accepted, voice.number(card.source.frames_accepted, "whole"), ""],
  ].map(([term, value, note], at) => {
    const group = document.createElement("div");
    const definition = text("dd", `${value} `);
    const small = text("small", note);
    if (at === 1) small.dataset.since = watermark;
    definition.append(small);
    group.append(text("dt", term), definition);
    return group;
  });
  card.part(".facts").replaceChildren(...facts);
  showAges();
}

function pick(card, window) {
  card.picked = window ? window.start : null;
  showPicked(card);
}

function step(card, { key }) {
  const windows = card.windows ?? [];
  const at = windows.findIndex((w) => w.start === card.picked);
  const moves = {
    ArrowLeft: at < 0 ? windows.length - 1 : at - 1, ArrowRight: at < 0 ? windows.length - 1 : at + 1,
    Home: 0, End: windows.length - 1, Escape: -1,
  };
  if (!(key in moves)) return;
  pick(card, key === "Escape" ? null : windows[Math.min(Math.max(moves[key], 0), windows.length - 1)]);
  // Said aloud only here: a live region must not speak at every refresh.
  const figures = [...card.part(".now").children].map((group) => group.textContent);
  card.part(".spoken").textContent = [card.part(".caption").textContent, ...figures].join(", ");
}

function showTable(card) {
  if (!card.part("details").open || !card.windows) return;
  const { columns, status, tableCaption } = voice.words;
  const table = document.createElement("table");
  table.createCaption().textContent = tableCaption(card.part("h2").textContent);
  const head = table.createTHead().insertRow();
  for (const [id, name] of Object.entries(columns)) head.append(cell("th", name, id));
  for (const header of head.children) header.scope = "col";
  const body = table.createTBody();
  for (const window of card.windows.slice(-ROWS).reverse()) {
    for (const metric of shown(card)) {
      const m = window.metrics[metric] ?? NONE;
      const row = body.insertRow();
      const time = card.size === "1d" ? voice.time(window.start, "day") : voice.time(window.start, card.size === "1m" ? "minute" : "full");
      row.append(
        cell("td", time, "time"), cell("td", voice.metric(metric), "metric"), cell("td", voice.number(m.mean, "two")),
        cell("td", voice.number(m.median, "whole")), cell("td", `${m.min}–${m.max}`),
        cell("td", m.std === null ? "–" : voice.number(m.std, "two")),
        cell("td", `${window.frames} / ${window.frames_expected}`), cell("td", status[window.status], "status"),
      );
    }
  }
  card.part(".scroll").replaceChildren(table);
}

function cell(name, content, id = "") {
  const element = text(name, content);
  if (["time", "metric", "status"].includes(id)) element.className = "word";
  return element;
}

function text(name, content) {
  return Object.assign(document.createElement(name), { textContent: content });
}

/** Changes a text only if it is another one: a selection survives a refresh. */
function put(element, content) {
  if (element.textContent !== content) element.textContent = content;
}

/** What grows older without anybody's doing. */
function showAges() {
  put($("clock"), voice.time(serverNow(), "second"));
  for (const element of document.querySelectorAll("[data-since]")) {
    put(element, voice.words.ago(voice.age(serverNow() - Number(element.dataset.since))));
  }
}

// ---- choices and the token ----

function askForToken() {
  wrong(carrying() ? voice.words.tokenWrong : "");
  forget();
  nobody();
  link("waiting");
  if (!$("ask").open) $("ask").showModal();
}

/** What the one before has seen is not for the next. */
function nobody() {
  sources = [];
  lastAnswer = null;
  kept.clear();
  $("leave").hidden = true;
  showSources();
}

function wrong(why) {
  $("ask-wrong").textContent = why;
  $("ask-wrong").hidden = why === "";
}

$("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, secret] = [$("name").value.trim(), $("token").value];
  $("token").value = "";
  const { words } = voice;
  const { status, minutes } = await logIn(name, secret);
  const told = { 401: words.tokenWrong, 404: words.tokenNone, 429: words.tokenTooOften(minutes) };
  wrong(status === 200 ? "" : told[status] ?? words.tokenAway);
  if (status !== 200) return;
  $("ask").close();
  round();
});
$("leave").addEventListener("click", async () => {
  await leave();
  nobody();
  round();
});
// There is nothing to see without it.
$("ask").addEventListener("cancel", (event) => event.preventDefault());

$("choices").addEventListener("change", (event) => {
  view[event.target.name] = event.target.value;
  remember();
  for (const card of cards.values()) showCard(card);
  round();
});

$("language").addEventListener("click", () => {
  view.language = LANGUAGES.find((other) => other !== view.language);
  localStorage.setItem("animov-language", view.language);
  wish.delete("lang");
  remember();
  speak();
});

/** The address is the view, so a link shows the same. */
function remember() {
  const lang = wish.get("lang");
  const hash = new URLSearchParams({ size: view.size, metric: view.metric, ...(lang && { lang }) });
  history.replaceState(null, "", `#${hash}`);
}

document.addEventListener("visibilitychange", () => round());
setInterval(showAges, 1000);
speak();
round();
