// The herd: all sources together, and how each one's days usually go.

import { ask } from "./ask.js";
import { draw } from "./chart.js";
import { $, copyOf, fill, hold, put, table, text } from "./dom.js";
import { SPANS, asked, lastDay, serverNow, told, view, wanted } from "./state.js";

const HOUR = 3_600_000;
/** What many rows are added up for is not asked at every round. */
const HERD_MS = 10_000;
const RHYTHM_MS = 60_000;
/** Windows of the herd, and rows of sources that the server adds up at once. */
const WINDOWS_MAX = 168;
const ROWS_MAX = 20_000;

export const choices = ["sources", "sizes"];

/** The answer, what was asked for, and when. */
let herd = { of: "", at: -Infinity, body: null };
/** By the source's number: the same, and the card that shows it. */
const rhythms = new Map();
/** Of what each plot was drawn. */
const drawn = new WeakMap();

export async function refresh() {
  show();
  await Promise.all([fetchHerd(), ...wanted().map(fetchRhythm)]);
  show();
}

/** Whether there is more than one source to add up. */
const together = () => 1 < wanted().length;

const herdPath = () => {
  const limit = Math.max(1, Math.min(WINDOWS_MAX, Math.floor(ROWS_MAX / told.sources.length)));
  return `v1/herd/${view.size}?limit=${limit}${asked()}`;
};

async function fetchHerd() {
  const of = herdPath();
  if (!together() || (herd.of === of && serverNow() - herd.at < HERD_MS)) return;
  const { body } = await ask(of);
  if (of === herdPath()) herd = { of, at: serverNow(), body };
}

const rhythmPath = (number) => `v1/sources/${number}/rhythm${lastDay() ? `?day=${lastDay()}` : ""}`;

async function fetchRhythm({ source: number }) {
  const of = rhythmPath(number);
  const known = rhythms.get(number);
  if (known?.of === of && serverNow() - known.at < RHYTHM_MS) return;
  const { body } = await ask(of);
  if (of === rhythmPath(number)) rhythms.set(number, { element: copyOf("rhythm"), ...known, of, at: serverNow(), body });
}

export function show() {
  $("herd").hidden = !together();
  if (together()) showHerd();
  const known = wanted().filter(({ source }) => rhythms.get(source)?.of === rhythmPath(source));
  put($("rhythms-none"), told.sources.length ? "" : told.voice.words.emptyText);
  hold($("rhythms"), known.map(({ source }) => rhythms.get(source).element));
  for (const source of known) showRhythm(source, rhythms.get(source.source));
}

function showHerd() {
  const { voice } = told;
  const { words } = voice;
  const fresh = herd.of === herdPath();
  $("herd").classList.toggle("waiting", !fresh);
  if (!fresh) return;
  const windows = herd.body.items.map(windowOf).reverse();
  const newest = windows.at(-1);
  put($("herd-none"), newest ? "" : words.nothing);
  $("herd-shown").hidden = !newest;
  if (!newest) return;
  const percent = (share) => (share === null ? "–" : voice.number(share, "percent"));
  const figures = [
    [voice.metric("lying"), voice.number(newest.metrics.lying.mean, "one"), "metric-lying"],
    [voice.metric("standing"), voice.number(newest.metrics.standing.mean, "one"), "metric-standing"],
    [words.lyingShare, percent(newest.lying_share), "more"],
    [words.synchrony, percent(newest.synchrony), "more"],
  ];
  $("herd-now").replaceChildren(...figures.map(([term, value, colour]) => {
    const group = document.createElement("div");
    group.className = colour;
    group.append(text("dt", `${term} `), text("dd", value));
    return group;
  }));
  const missing = newest.missing.map(words.source).join(", ");
  const status = `${words.herdWindow(voice.window(newest, view.size))} (${words.status[newest.status]})`;
  put($("herd-caption"), missing ? `${status} ${words.missing(missing)}` : status);
  const from = Math.max(windows[0].start, newest.end - SPANS[view.size]);
  plot($("herd-plot"), herd.body, () => ({
    windows: windows.filter(({ start }) => from <= start), shown: ["lying", "standing"], from, to: newest.end,
    known: newest.end, colour: (metric) => `metric-${metric}`,
  }), words.herdTitle);
}

const exactly = (value) => ({ mean: value, min: value, max: value, q1: value, median: value, q3: value, std: 0 });

/** A window of the herd in the chart's form. */
function windowOf(item) {
  const metrics = { lying: exactly(item.metrics.lying ?? 0), standing: exactly(item.metrics.standing ?? 0) };
  return { ...item, metrics, start: Date.parse(item.start), end: Date.parse(item.end) };
}

function showRhythm(source, { element, body }) {
  const { voice } = told;
  const { words } = voice;
  const part = (selector) => element.querySelector(selector);
  const name = source.name ?? words.source(source.source);
  put(part("h2"), name);
  const seen = body.hours.some(({ lying_share, that_day }) => lying_share !== null || (that_day?.lying_share ?? null) !== null);
  const days = [dayOf(body.day), dayOf(body.from)].map((ms) => voice.time(ms, "day"));
  put(part(".caption"), seen ? words.rhythmText(...days) : words.noRhythm);
  put(part(".that-day"), days[0]);
  put(part(".usual"), words.usual);
  put(part("summary"), words.table);
  part(".swatches").hidden = part("details").hidden = !seen;
  if (!seen) return part(".plot").replaceChildren();
  plot(part(".plot"), body, () => rhythmPlan(body), words.rhythmTitle(name));
  const share = (value) => (value === null || value === undefined ? "–" : voice.number(100 * value, "one"));
  const rows = body.hours.map(({ hour, days: count, lying_share: usual, animals, that_day: that }) => ({
    hour: `${String(hour).padStart(2, "0")}:00`, day: share(that?.lying_share), usual: share(usual?.mean), std: share(usual?.std),
    deviation: that?.lying_share_deviation == null ? "–" : voice.number(that.lying_share_deviation, "one"),
    animals: animals ? voice.number(animals.mean, "one") : "–", days: voice.number(count, "whole"),
  }));
  fill(part(".scroll"), table(words.rhythmTitle(name), words.rhythmColumns, ["hour"], rows));
}

/** The beginning of a day on the site's clocks. */
const dayOf = (date) => wall(`${date}T00:00Z`, 0);

/** The moment at which the site's clocks show that hour of that day. */
function wall(midnight, hour) {
  const shown = Date.parse(midnight) + hour * HOUR;
  const about = shown - told.voice.offset(shown);
  return shown - told.voice.offset(about);
}

/** The hours of a day in the chart's form, of a hundred animals each. */
function rhythmPlan(body) {
  const begin = `${body.day}T00:00Z`;
  const most = Math.max(1, ...body.hours.map(({ days }) => days));
  const windows = body.hours.map(({ hour, days, lying_share: usual, that_day: that }) => ({
    start: wall(begin, hour), end: wall(begin, hour + 1), status: that?.status ?? "final", coverage: days / most,
    metrics: {
      // null is a hole; what varies usually lies within one standard deviation.
      usual: usual && {
        ...exactly(100 * usual.mean), min: 100 * usual.min, max: 100 * usual.max,
        q1: 100 * Math.max(usual.mean - (usual.std ?? 0), usual.min), q3: 100 * Math.min(usual.mean + (usual.std ?? 0), usual.max),
      },
      day: (that?.lying_share ?? null) === null ? null : exactly(100 * that.lying_share),
    },
  }));
  const [from, to] = [wall(begin, 0), wall(begin, 24)];
  const colour = (metric) => (metric === "day" ? "metric-lying" : "metric-total");
  return { windows, shown: ["usual", "day"], banded: "usual", from, to, known: windows.at(-1).end, colour };
}

function plot(host, body, plan, label) {
  const of = JSON.stringify([view, host.clientWidth]);
  const last = drawn.get(host);
  if (host.hasChildNodes() && last?.body === body && last.of === of) return;
  drawn.set(host, { body, of });
  if (host.clientWidth === 0) return host.replaceChildren();
  draw(host, { ...plan(), voice: told.voice });
  host.setAttribute("aria-label", label);
}

export function forget() {
  herd = { of: "", at: -Infinity, body: null };
  rhythms.clear();
  for (const id of ["rhythms", "herd-plot", "herd-now"]) $(id).replaceChildren();
}

new ResizeObserver(show).observe($("page-herd"));
