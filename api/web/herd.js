// The herd: all sources together, and how each one's days usually go.

import { ask } from "./ask.js";
import { drawAnew, exactly } from "./chart.js";
import { $, copyOf, figures, fill, hold, put, table } from "./dom.js";
import { SPANS, asked, lastDay, period, serverNow, sourceName, told, view, wanted } from "./state.js";
import { Voice } from "./words.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** What many rows are added up for is not asked at every round. */
const HERD_MS = 10_000;
const RHYTHM_MS = 60_000;
/** Windows of the herd that a chart shows; of days that were chosen, as many as one answer has. */
const SHOWN = 168;
const CHOSEN_MAX = 1500;
/** Rows of the table. */
const ROWS = 30;
/** Windows in which few animals change what they do: of longer ones the means say nothing of synchrony. */
const SHORT = ["1m", "5m", "15m"];

export const choices = ["sources", "sizes"];

/** Whether the server has told which sources there are. */
let answered = false;
/** The answer, what was asked for, and when. */
let herd = { of: "", at: -Infinity, body: null };
/** By the source's number: the same, and the card that shows it. */
const rhythms = new Map();

export async function refresh() {
  answered = true;
  show();
  await Promise.all([fetchHerd(), ...wanted().map(fetchRhythm)]);
}

/** Whether there is more than one source to add up. */
const together = () => 1 < wanted().length;

const herdPath = () => `v1/herd/${view.size}?limit=${period().from === null ? SHOWN : CHOSEN_MAX}${asked()}`;

async function fetchHerd() {
  const of = herdPath();
  if (!together() || (herd.of === of && serverNow() - herd.at < HERD_MS)) return;
  const { body } = await ask(of);
  if (of !== herdPath()) return;
  herd = { of, at: serverNow(), body };
  show();
}

/** The day that is compared: the last that was chosen, unless it is still to come. */
const comparedDay = () => (lastDay() && period().to - DAY <= serverNow() ? `?day=${lastDay()}` : "");

const rhythmPath = (number) => `v1/sources/${number}/rhythm${comparedDay()}`;

async function fetchRhythm({ source: number }) {
  const of = rhythmPath(number);
  const known = rhythms.get(number);
  if (known?.of === of && serverNow() - known.at < RHYTHM_MS) return;
  const { body } = await ask(of);
  if (of !== rhythmPath(number)) return;
  rhythms.set(number, { element: copyOf("rhythm"), ...known, of, at: serverNow(), body });
  show();
}

export function show() {
  $("herd").hidden = !together();
  if (together()) showHerd();
  const known = wanted().filter(({ source }) => rhythms.has(source));
  put($("rhythms-none"), !answered || wanted().length ? "" : told.voice.words.emptyText);
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
  // A window that has just begun has not heard of all sources yet.
  const newest = windows.slice(-2).findLast(({ missing }) => missing.length === 0) ?? windows.at(-1);
  put($("herd-none"), newest ? "" : words.nothing);
  $("herd-shown").hidden = !newest;
  if (!newest) return;
  const percent = (share) => (share === null ? "–" : voice.number(share, "percent"));
  const now = [
    [voice.metric("lying"), voice.number(newest.lying, "one"), "metric-lying"],
    [voice.metric("standing"), voice.number(newest.standing, "one"), "metric-standing"],
    [words.lyingShare, percent(newest.lying_share), "more"],
  ];
  if (SHORT.includes(view.size)) now.push([words.synchrony, percent(newest.synchrony), "more"]);
  $("herd-now").replaceChildren(...figures(now));
  const { missing, status } = newest;
  const said = [`${words.herdWindow(voice.dated(newest, view.size, serverNow()))} (${words.status[status]})`];
  if (missing.length) said.push(words.missing(missing.map(sourceName).join(", ")));
  const chosen = period().from !== null;
  if (chosen && herd.body.next_cursor !== null) said.push(words.clipped(voice.number(windows.length, "whole")));
  put($("herd-caption"), said.join(" "));
  const { end } = windows.at(-1);
  const from = chosen ? windows[0].start : Math.max(windows[0].start, end - SPANS[view.size]);
  drawAnew($("herd-plot"), herd.body, view, () => ({
    windows: windows.filter(({ start }) => from <= start), shown: ["lying", "standing"], from, to: end,
    known: end, voice, colour: (metric) => `metric-${metric}`,
  }), words.herdChart);
  const rows = windows.slice(-ROWS).reverse().map((window) => ({
    time: voice.dated(window, view.size, serverNow()), lying: voice.number(window.lying, "one"), standing: voice.number(window.standing, "one"),
    share: percent(window.lying_share), missing: window.missing.map(sourceName).join(", ") || "–", status: words.status[window.status],
  }));
  fill($("herd-table"), table(words.tableCaption(words.herdTitle), words.herdColumns, ["time", "missing", "status"], rows));
}

/** A window of the herd in the chart's form. A source that is missing saw nothing of it. */
function windowOf(item) {
  const { lying, standing, sources, missing } = item;
  const coverage = (item.coverage ?? 1) * (sources.length / (sources.length + missing.length));
  return {
    ...item, coverage, metrics: { lying: exactly(lying), standing: exactly(standing) },
    start: Date.parse(item.start), end: Date.parse(item.end),
  };
}

function showRhythm({ source: number }, { element, body, of }) {
  // The hours are those of a clock on the wall, which goes round whatever the day.
  const voice = new Voice(view.language, "UTC");
  const { words } = voice;
  const part = (selector) => element.querySelector(selector);
  const name = sourceName(number);
  element.classList.toggle("waiting", of !== rhythmPath(number));
  put(part("h2"), name);
  part("h2").id = `rhythm-${number}`;
  element.setAttribute("aria-labelledby", `rhythm-${number}`);
  const seen = body.hours.some(({ lying_share, that_day }) => lying_share !== null || (that_day?.lying_share ?? null) !== null);
  const days = [dayOf(body.day), dayOf(body.from)].map((ms) => voice.time(ms, "day"));
  put(part(".caption"), seen ? words.rhythmText(...days) : words.noRhythm);
  put(part(".that-day"), days[0]);
  put(part(".usual"), words.usual);
  put(part("summary"), words.table);
  part(".swatches").hidden = part(".plot").hidden = part("details").hidden = !seen;
  if (!seen) return;
  drawAnew(part(".plot"), body, view, () => rhythmPlan(body, voice), words.rhythmTitle(name));
  const share = (value) => (value === null || value === undefined ? "–" : voice.number(100 * value, "one"));
  const rows = body.hours.map(({ hour, lying_share: usual, animals, that_day: that }) => ({
    hour: `${hour} h`, day: share(that?.lying_share), usual: share(usual?.mean), std: share(usual?.std),
    deviation: that?.lying_share_deviation == null ? "–" : voice.number(that.lying_share_deviation, "one"),
    animals: animals ? voice.number(animals.mean, "one") : "–", days: voice.number(usual?.days ?? 0, "whole"),
  }));
  fill(part(".scroll"), table(words.rhythmTitle(name), words.rhythmColumns, ["hour"], rows));
}

/** Where a day begins, on clocks that are never changed. */
const dayOf = (date) => Date.parse(`${date}T00:00Z`);

/** The hours of a day in the chart's form, of a hundred animals each. */
function rhythmPlan(body, voice) {
  const from = dayOf(body.day);
  const most = Math.max(1, ...body.hours.map(({ days }) => days));
  const windows = body.hours.map(({ hour, days, lying_share: usual, that_day: that }) => ({
    start: from + hour * HOUR, end: from + (hour + 1) * HOUR, status: that?.status ?? "final", coverage: days / most,
    metrics: {
      // null is a hole; what varies usually lies within one standard deviation.
      usual: usual && {
        ...exactly(100 * usual.mean), status: "final", min: 100 * usual.min, max: 100 * usual.max,
        q1: 100 * Math.max(usual.mean - (usual.std ?? 0), usual.min), q3: 100 * Math.min(usual.mean + (usual.std ?? 0), usual.max),
      },
      day: (that?.lying_share ?? null) === null ? null : exactly(100 * that.lying_share),
    },
  }));
  const colour = (metric) => (metric === "day" ? "metric-lying" : "metric-total");
  return { windows, shown: ["usual", "day"], banded: "usual", from, to: from + DAY, known: windows.at(-1).end, voice, colour };
}

export function forget() {
  [answered, herd] = [false, { of: "", at: -Infinity, body: null }];
  rhythms.clear();
  for (const id of ["rhythms", "herd-plot", "herd-now", "herd-caption", "herd-none", "herd-table"]) $(id).replaceChildren();
}

new ResizeObserver(show).observe($("page-herd"));
