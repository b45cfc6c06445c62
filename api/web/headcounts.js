// Headcounts by quarters of an hour, from files or as a camera saw them, and a way to
// bring a file.

import { Refused, ask, send } from "./ask.js";
import { drawAnew, exactly } from "./chart.js";
import { $, fill, put, table, text } from "./dom.js";
import { asked, period, remember, told, view } from "./state.js";
import { Voice } from "./words.js";

const QUARTER = 900_000;
/** Quarters that are shown: ten days of them. */
const SHOWN = 960;
/** Rows of a table. */
const ROWS = 96;
/** Files that are listed. */
const FILES = 50;

export const choices = ["sources", "origins"];

/** The answer, and what was asked for. */
let quarters = { of: "", body: null };
let files = [];
/** Whether somebody chose the source of the file that is brought. */
let typed = false;

export async function refresh() {
  files = (await ask(`v1/headcounts/files?limit=${FILES}`)).body.items;
  const of = where();
  let body = null;
  try {
    if (sourceOf() !== null) ({ body } = await ask(of));
  } catch (error) {
    // A camera that never sent a frame.
    if (!(error instanceof Refused) || error.status !== 404) throw error;
  }
  if (of !== where()) return;
  quarters = { of, body };
  show();
}

/** The sources that have a file. */
export const sources = () => files.map(({ source }) => source);

/** The source that is shown: the one chosen, else the first that has a file. */
function sourceOf() {
  if (view.source !== "all") return Number(view.source);
  const filed = files.find(({ table: name }) => name === view.origin)?.source;
  const seen = told.sources[0]?.source;
  return (view.origin === "camera" ? seen : filed ?? files[0]?.source ?? seen) ?? null;
}

const where = () => `v1/headcounts?source=${sourceOf()}&origin=${view.origin}&limit=${SHOWN}${asked()}`;

/** Files name no zone: their times are shown as they are written. */
const voiceOf = () => (view.origin === "camera" ? told.voice : new Voice(view.language, "UTC"));

export function show() {
  const { words } = told.voice;
  const source = sourceOf();
  if (!typed) $("brought-source").value = source ?? "";
  put($("headcounts-title"), source === null ? words.headcounts : words.headcountsOf(words.source(source), words.origins[view.origin]));
  // What was there for another choice is not shown as this one's.
  $("page-headcounts").classList.toggle("waiting", quarters.of !== where());
  if (quarters.of !== where()) return;
  const { body } = quarters;
  const items = [...(body?.items ?? [])].reverse();
  put($("headcounts-none"), items.length ? "" : words.noHeadcounts);
  put($("headcounts-more"), body?.next_cursor ? words.more(told.voice.number(items.length, "whole")) : "");
  const refused = body?.rows_refused ?? 0;
  put($("headcounts-refused"), refused ? words.rowsRefused(told.voice.number(refused, "whole")) : "");
  $("headcounts-plots").hidden = items.length === 0;
  plot($("headcounts-plot"), items, ["lying", "standing"], words.headcountsChart);
  plot($("ratio-plot"), items, ["ratio"], words.ratioChart);
  tables(items);
}

function plot(host, items, metrics, label) {
  drawAnew(host, quarters.body, view, () => planOf(items, metrics), label);
}

function planOf(items, metrics) {
  // What a quarter does not say is a hole, and not none.
  const windows = items.map(windowOf).filter((window) => metrics.every((name) => window.metrics[name].mean !== null));
  if (windows.length === 0) return null;
  const whole = view.origin === "camera" && !quarters.body.next_cursor;
  const from = (whole ? period().from : null) ?? windows[0].start;
  const to = Math.max(windows.at(-1).end, from + QUARTER);
  const colour = (metric) => (metric === "ratio" ? "metric-standing" : `metric-${metric}`);
  return { windows, shown: metrics, from, to, known: windows.at(-1).end, voice: voiceOf(), colour };
}

/** A quarter in the chart's form. */
function windowOf({ datetime, start, lying, standing, ratio_standing: ratio }) {
  const begin = Date.parse(start ?? `${datetime}Z`);
  const metrics = { lying: exactly(lying), standing: exactly(standing), ratio: exactly(ratio) };
  return { start: begin, end: begin + QUARTER, status: "final", coverage: 1, metrics };
}

function tables(items) {
  const { voice } = told;
  const { words } = voice;
  const number = (value, format) => (value === null ? "–" : voice.number(value, format));
  const rows = items.slice(-ROWS).reverse().map(({ datetime, rows: count, lying, standing, ratio_standing }) => ({
    time: datetime.replace("T", " ").slice(0, 16), lying: number(lying, "whole"), standing: number(standing, "whole"),
    ratio: number(ratio_standing, "one"), rows: voice.number(count, "whole"),
  }));
  fill($("headcounts-table"), table(words.headcounts, words.headcountColumns, ["time"], rows));
  const brought = files.map(({ name, source: of, table: where, rows: all, new: fresh, refused, imported_at, whole }) => ({
    name, source: of, table: where, rows: voice.number(all, "whole"), new: voice.number(fresh, "whole"),
    refused: voice.number(refused, "whole"), at: voice.time(Date.parse(imported_at), "dated") + (whole ? "" : ` (${words.notWhole})`),
  }));
  fill($("files"), table(words.files, words.fileColumns, ["name", "table", "at"], brought));
}

export function forget() {
  [quarters, files, typed] = [{ of: "", body: null }, [], false];
  $("bring").reset();
  for (const id of ["headcounts-plot", "ratio-plot", "headcounts-table", "files", "brought"]) $(id).replaceChildren();
}

$("bring").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = $("brought-file").files;
  const { words } = told.voice;
  const say = (...lines) => $("brought").replaceChildren(...lines);
  $("bring-now").disabled = true;
  try {
    const query = new URLSearchParams({ source: $("brought-source").value, name: file.name });
    const became = await send(`v1/headcounts?${query}`, file, "text/csv");
    if (became.table === null) return say(text("p", words.nowhere(file.name), "wrong"));
    const { rows, new: fresh, refused, refusals } = became;
    say(
      text("p", became.known ? words.known(file.name) : words.became(file.name, rows, fresh, refused)),
      ...refusals.map(({ line, reason, found }) => text("p", words.refusedRow(line, reason, found), "soft")),
    );
    $("bring").reset();
    typed = false;
    Object.assign(view, { source: query.get("source"), origin: became.table });
    remember();
    // The next round asks again, if this one fails.
    refresh().catch(() => {});
  } catch (error) {
    say(text("p", error instanceof Refused ? error.message : words.tokenAway, "wrong"));
  } finally {
    $("bring-now").disabled = false;
  }
});
$("brought-source").addEventListener("input", () => { typed = true; });
new ResizeObserver(show).observe($("headcounts-plots"));
