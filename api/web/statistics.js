// The statistics: a card for each source, with its newest windows, or those of the
// days that were chosen.
//
// Only the windows of sources that changed (by `rev`) are asked for, and with an
// ETag, so a quiet farm costs almost nothing.

import { ask } from "./ask.js";
import { NONE, draw } from "./chart.js";
import { $, copyOf, figures, hold, put, table, text } from "./dom.js";
import { colours, ordered } from "./metrics.js";
import { SPANS, asked, period, serverNow, told, view, wanted } from "./state.js";

const MINUTE = 60_000;

/** How many windows a chart shows, at most. */
const LIMITS = { "1m": 120, "5m": 144, "15m": 144, "1h": 168, "1d": 61 };
/** The same of days that were chosen: as many as one answer has. */
const CHOSEN_MAX = 1500;
/** Rows of the table. */
const ROWS = 30;
const LINES_MAX = 5;

const cards = new Map();

export const choices = ["sources", "metrics", "sizes"];

/** The metrics that there are, in the order in which they are offered. */
export const metrics = () => ordered([...new Set(told.sources.flatMap((source) => source.metrics))]);

export async function refresh() {
  show();
  await Promise.all(wanted().map(fetchWindows));
}

/** Shows what is known, in the language of the page. */
export function show() {
  for (const [number, card] of cards) {
    if (!told.sources.some(({ source }) => source === number)) {
      card.watching.disconnect();
      cards.delete(number);
    }
  }
  const shown = wanted().map((source) => {
    if (!cards.has(source.source)) cards.set(source.source, newCard(source));
    return Object.assign(cards.get(source.source), { source });
  });
  hold($("cards"), shown.map(({ element }) => element));
  $("key").hidden = shown.length === 0;
  for (const card of shown) showCard(card);
}

/** Which windows are wanted. */
const wantedOf = () => `${view.size}${asked()}`;

/** Nobody's any more. */
export function forget() {
  for (const card of cards.values()) card.watching.disconnect();
  cards.clear();
  $("cards").replaceChildren();
}

/** Fetches a source's windows, if they can have changed. */
async function fetchWindows(source) {
  const card = cards.get(source.source);
  const { from, to } = period();
  // Those of days long past change by late pictures alone.
  const past = to !== null && to < Date.parse(source.watermark);
  const [size, of] = [view.size, wantedOf()];
  const key = `${of} ${past ? Math.floor(serverNow() / MINUTE) : source.rev}`;
  if (card.key !== key) {
    const limit = from !== null ? CHOSEN_MAX : LIMITS[size];
    const { body } = await ask(`v1/sources/${source.source}/windows/${size}?limit=${limit}${asked()}`);
    if (of !== wantedOf()) return;
    card.older = body.next_cursor !== null;
    card.windows = body.items.map((item) => ({ ...item, start: Date.parse(item.start), end: Date.parse(item.end) })).reverse();
    card.key = key;
    card.of = of;
    card.size = size;
  }
  showCard(card);
}

function newCard(source) {
  const number = source.source;
  const element = copyOf("card");
  const part = (selector) => element.querySelector(selector);
  const card = { source, element, part, windows: null, older: false, size: null, of: null, key: null, chart: null, drawn: null, picked: null };
  part("h2").id = `source-${number}`;
  element.setAttribute("aria-labelledby", `source-${number}`);
  part("summary").textContent = told.voice.words.table;
  const plot = part(".plot");
  plot.addEventListener("pointermove", (event) => pick(card, card.chart?.nearest(event.clientX)));
  plot.addEventListener("pointerleave", () => pick(card, null));
  plot.addEventListener("blur", () => pick(card, null));
  plot.addEventListener("keydown", (event) => step(card, event));
  part("details").addEventListener("toggle", () => showTable(card));
  card.watching = new ResizeObserver(() => showCard(card));
  card.watching.observe(plot);
  return card;
}

/** The metrics that a source's chart shows now. */
function shown(card) {
  return view.metric === "all" ? ordered(card.source.metrics).slice(0, LINES_MAX) : [view.metric];
}

const colour = (card) => colours(card.source.metrics);

const newest = (card) => card.windows?.at(-1) ?? null;

function showCard(card) {
  const { source, part } = card;
  const words = told.voice.words;
  const name = source.name ?? words.source(source.source);
  put(part("h2"), name);
  put(part(".number"), source.name ? words.source(source.source) : "\u00a0");
  const silent = source.silent_since !== null;
  part(".state").dataset.state = silent ? "silent" : "receiving";
  put(part(".state span:last-child"), silent ? words.silent(told.voice.moment(Date.parse(source.silent_since), serverNow())) : words.receiving);
  part("summary").textContent = words.table;
  if (card.of !== wantedOf()) return;
  const window = newest(card);
  if (!window) return showNothing(card);

  const { from, to } = stretch(card, window);
  const drawn = JSON.stringify([card.key, view, from, to, part(".plot").clientWidth, silent]);
  if (card.drawn !== drawn && 0 < part(".plot").clientWidth) {
    card.drawn = drawn;
    const length = window.end - window.start;
    const windows = card.windows.filter((w) => from <= w.start && w.start < to);
    // A source that still sends is not "without data" only because its next window has not begun.
    const known = silent || 2 * length < to - window.end ? to : window.end;
    card.chart = draw(part(".plot"), { windows, shown: shown(card), from, to, known, voice: told.voice, colour: colour(card) });
    part(".plot").setAttribute("aria-label", words.chart(name, words[card.size]));
    showTable(card);
  }
  showPicked(card);
}

/** From when to when a chart shows, milliseconds. */
function stretch(card, window) {
  const chosen = period();
  const span = SPANS[card.size];
  const now = Math.ceil(serverNow() / MINUTE) * MINUTE;
  let to = Math.max(window.end, now);
  if (chosen.to !== null) to = Math.min(chosen.to, to);
  // The newest data of a source that stopped long before.
  if (chosen.from === null && span < to - window.end) to = window.end;
  // More windows than one answer has: the newest of them.
  if (chosen.from !== null) return { from: card.older ? card.windows[0].start : chosen.from, to };
  // Of a source without a longer past, only what there is, but no sliver.
  const first = card.older ? -Infinity : card.windows[0].start;
  return { from: Math.min(Math.max(to - span, first), to - span / 5), to };
}

/** There is no window on the days that were chosen. */
function showNothing(card) {
  card.chart = card.drawn = null;
  for (const part of [".now", ".plot", ".facts", ".scroll"]) card.part(part).replaceChildren();
  put(card.part(".caption"), told.voice.words.nothing);
}

/** The figures of the window under the pointer, or of the newest. */
function showPicked(card) {
  card.chart?.mark(card.picked);
  const window = card.windows?.find((w) => w.start === card.picked) ?? newest(card);
  if (!window) return;
  const words = told.voice.words;
  const metrics = shown(card);
  const of = (metric) => window.metrics[metric] ?? NONE;
  const mean = (metric) => [told.voice.metric(metric), told.voice.number(of(metric).mean, "one"), colour(card)(metric)];
  const now = metrics.map(mean);
  if (metrics.length === 1) {
    const { median, q1, q3, min, max } = of(metrics[0]);
    now.push([words.columns.median, told.voice.number(median, "whole"), "more"],
      [words.middle, `${told.voice.number(q1, "whole")}–${told.voice.number(q3, "whole")}`, "more"], [words.range, `${min}–${max}`, "more"]);
  }
  card.part(".now").replaceChildren(...figures(now));
  const when = told.voice.dated(window, card.size, serverNow());
  const clipped = card.older && period().from !== null ? ` ${words.clipped(told.voice.number(card.windows.length, "whole"))}` : "";
  put(card.part(".caption"), `${words.perPicture(when)} (${words.status[window.status]})${clipped}`);
  showFacts(card, window);
}

function showFacts(card, window) {
  const words = told.voice.words;
  const watermark = Date.parse(card.source.watermark);
  const coverage = window.coverage === null ? "–" : told.voice.number(window.coverage, "percent");
  const facts = [
    [words.coverage, coverage, words.pictures(told.voice.number(window.frames, "whole"), told.voice.number(window.frames_expected, "whole"))],
    [words.watermark, told.voice.moment(watermark, serverNow()), ""],
    [words.accepted, told.voice.number(card.source.frames_accepted, "whole"), ""],
  ].map(([term, value, note], at) => {
    const group = document.createElement("div");
    const definition = text("dd", `${value} `);
    const small = text("small", at === 1 ? words.ago(told.voice.age(serverNow() - watermark)) : note);
    if (at === 1) small.dataset.since = watermark;
    definition.append(small);
    group.append(text("dt", term), definition);
    return group;
  });
  card.part(".facts").replaceChildren(...facts);
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
  const said = [...card.part(".now").children].map((group) => group.textContent);
  card.part(".spoken").textContent = [card.part(".caption").textContent, ...said].join(", ");
}

function showTable(card) {
  if (!card.part("details").open || !card.windows) return;
  const { voice } = told;
  const { columns, status, tableCaption } = voice.words;
  const format = { "1m": "minute", "1d": "day" }[card.size] ?? "full";
  const row = (window) => (name) => {
    const m = window.metrics[name] ?? NONE;
    return {
      time: voice.time(window.start, format), metric: voice.metric(name), mean: voice.number(m.mean, "two"),
      median: voice.number(m.median, "whole"), range: `${m.min}–${m.max}`, std: m.std === null ? "–" : voice.number(m.std, "two"),
      pictures: `${window.frames} / ${window.frames_expected}`, status: status[window.status],
    };
  };
  const rows = card.windows.slice(-ROWS).reverse().flatMap((window) => shown(card).map(row(window)));
  card.part(".scroll").replaceChildren(table(tableCaption(card.part("h2").textContent), columns, ["time", "metric", "status"], rows));
}
