// The pictures that were kept, with what was found in them: the newest first, by
// source and day, or one by its number.

import { Refused, ask, picture } from "./ask.js";
import { $, copyOf, hold, put, text } from "./dom.js";
import { colours } from "./metrics.js";
import { asked, sourceName, told, view } from "./state.js";

/** Pictures on one page. */
const SHOWN = 12;
const SVG = "http://www.w3.org/2000/svg";

export const choices = ["sources"];

let skip = 0;
let list = null; // the answer that is shown
let of = ""; // and what was asked for
const figures = new Map(); // id → { element, item, gone (no picture was to be had yet) }

export async function refresh() {
  const path = where();
  if (path !== of) skip = 0;
  const at = skip;
  const { body } = await ask(`${path}&limit=${SHOWN}&skip=${at}`);
  if (path !== where() || at !== skip) return;
  // Behind the last, as when retention took some.
  if (body.items.length === 0 && 0 < skip) {
    skip = Math.max(0, skip - SHOWN);
    return refresh();
  }
  if (body === list && path === of) return retry();
  [of, list] = [path, body];
  show();
}

const bySource = () => (view.source === "all" ? "" : `&source=${view.source}`);
const where = () => `v1/snapshots?order=newest${bySource()}${asked()}`;

/** How many records there are to number; those of some days have no numbers. */
const numbered = () => (list !== null && asked() === "" ? list.total : null);

export function show() {
  // What was there for another choice is not shown as this one's.
  $("page-pictures").classList.toggle("waiting", of !== where());
  if (of !== where()) return;
  const { words } = told.voice;
  const items = list.items;
  for (const [id, { item }] of figures) {
    // A record may be sent again, and say something else.
    if (!items.some((one) => one.id === id && same(one, item))) drop(id);
  }
  for (const item of items) if (!figures.has(item.id)) figures.set(item.id, shownOf(item));
  for (const { element, item } of figures.values()) captioned(element, item);
  hold($("album"), items.map(({ id }) => figures.get(id).element));
  put($("album-none"), items.length ? "" : words.noPictures);
  const first = told.voice.number(skip + 1, "whole");
  const last = told.voice.number(skip + items.length, "whole");
  const total = numbered() === null ? null : told.voice.number(numbered(), "whole");
  put($("album-place"), items.length ? words.place(first, last, total) : "");
  $("newer").disabled = skip === 0;
  $("older").disabled = list.next_skip === null || items.length === 0;
  $("nth").max = list.total;
  $("nth-total").textContent = words.ofRecords(told.voice.number(list.total, "whole"));
}

/** Nobody's any more. */
export function forget() {
  for (const id of figures.keys()) drop(id);
  [skip, list, of] = [0, null, ""];
  $("album").replaceChildren();
  for (const id of ["album-none", "album-place", "nth-total", "nth-wrong"]) put($(id), "");
  if ($("large").open) $("large").close();
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function drop(id) {
  figures.get(id).element.remove();
  figures.delete(id);
}

/** Asks again for the pictures that were not to be had. */
function retry() {
  for (const shown of figures.values()) if (shown.gone) load(shown);
}

// ---- one record ----

/** A record as it is shown; its picture is on its way. */
function shownOf(item) {
  const element = copyOf("picture");
  const part = (selector) => element.querySelector(selector);
  part(".opens").addEventListener("click", () => open(item).catch(() => {}));
  const shown = { element, item, gone: false };
  if (item.kind === "snapshot") {
    part("svg").setAttribute("viewBox", `0 0 ${item.width} ${item.height}`);
    part("svg").append(...boxes(item));
    load(shown);
  } else {
    part("img").hidden = true;
    put(part(".none"), item.kind === "foreign" ? "{ … }" : String(item.other));
  }
  return shown;
}

/** Shows the record's picture, or that there is none. */
async function load(shown) {
  const [img, none] = ["img", ".none"].map((selector) => shown.element.querySelector(selector));
  shown.gone = false;
  try {
    reveal(img, await picture(`v1/snapshots/${shown.item.id}/image`));
    put(none, "");
  } catch (error) {
    const never = error instanceof Refused && error.status === 404;
    shown.gone = !never;
    put(none, never ? told.voice.words.noPicture : told.voice.words.later);
  }
  img.hidden = none.textContent !== "";
}

/** Shows a picture whose bytes are held until it is. */
function reveal(img, url) {
  img.onload = img.onerror = () => URL.revokeObjectURL(url);
  img.src = url;
}

function captioned(figure, item) {
  const { voice } = told;
  const part = (selector) => figure.querySelector(selector);
  const when = item.captured_at ? voice.time(Date.parse(item.captured_at), "dated") : voice.words.kinds[item.kind];
  put(part(".who"), item.source === null ? item.id : sourceName(item.source));
  put(part(".when"), when);
  part(".found").replaceChildren(...counts(item));
  part(".opens").setAttribute("aria-label", voice.words.enlarge(`${part(".who").textContent}, ${when}`));
}

/** How many of each class were found. */
function counts({ detections }) {
  if (detections === null) return [];
  const found = new Map();
  for (const { class: name } of detections) found.set(name, (found.get(name) ?? 0) + 1);
  if (!found.size) return [told.voice.words.nothingFound];
  const colour = coloursOf(detections);
  const named = [...found].sort(([a], [b]) => a.localeCompare(b));
  return named.flatMap(([name, count]) => [text("span", `${told.voice.metric(name)} ${count}`, `swatch ${colour(name)}`), " "]);
}

/** The colours of the classes that were found. */
const coloursOf = (detections) => colours([...new Set(detections.map(({ class: name }) => name))]);

function boxes({ detections, width, height }) {
  const colour = coloursOf(detections);
  return detections.map(({ class: name, confidence, x, y, w, h }) => {
    const box = document.createElementNS(SVG, "rect");
    const place = { x: x * width, y: y * height, width: w * width, height: h * height };
    for (const [key, value] of Object.entries(place)) box.setAttribute(key, value);
    box.setAttribute("class", `box ${colour(name)}`);
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${told.voice.metric(name)} ${told.voice.number(confidence, "percent")}`;
    box.append(title);
    return box;
  });
}

/** Shows one record large. */
async function open(listed) {
  const item = await whole(listed);
  const { element: figure } = shownOf(item);
  captioned(figure, item);
  const more = document.createElement("div");
  if (item.kind === "foreign") more.append(...item.other.flatMap(foreign));
  else if (item.kind === "snapshot") more.append(text("p", told.voice.words.model(item.model), "soft"));
  $("large-shown").replaceChildren(figure, more);
  figure.querySelector(".opens").disabled = true;
  $("large").setAttribute("aria-label", figure.querySelector("figcaption").textContent);
  if (!$("large").open) $("large").showModal();
}

/** The record with all that is in it: in a list another program's has no picture. */
async function whole(item) {
  const at = list?.items.indexOf(item) ?? -1;
  if (item.kind !== "foreign" || at < 0 || numbered() === null) return item;
  const { body } = await ask(`v1/snapshots/nth/${list.total - 1 - skip - at}?${bySource().slice(1)}`);
  return body.id === item.id ? body : item;
}

/** An element of another program's record: its picture, and what it says was found. */
function foreign(element) {
  const shown = [];
  const frame = element?.frame;
  if (typeof frame === "string") {
    const img = Object.assign(document.createElement("img"), { alt: "" });
    const bytes = decoded(frame);
    if (bytes) reveal(img, URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })));
    shown.push(bytes ? img : text("p", told.voice.words.noPicture, "wrong"));
  }
  shown.push(text("pre", JSON.stringify(element?.detect ?? element, null, 1).slice(0, 4000)));
  return shown;
}

function decoded(base64) {
  try {
    return Uint8Array.from(atob(base64.replace(/^data:[^,]*,/, "")), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}

$("large").addEventListener("close", () => $("large-shown").replaceChildren());
$("large").addEventListener("click", (event) => {
  if (event.target === $("large")) $("large").close();
});
$("large-close").addEventListener("click", () => $("large").close());

$("nth-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  // People count from 1.
  const n = Number($("nth").value);
  const { words } = told.voice;
  try {
    const { body } = await ask(`v1/snapshots/nth/${n - 1}?${bySource().slice(1)}`);
    put($("nth-wrong"), "");
    await open(body);
  } catch (error) {
    const none = error instanceof Refused && error.status === 404;
    put($("nth-wrong"), none ? words.noRecord(n) : error instanceof Refused ? error.message : words.tokenAway);
  }
});

const turn = (by) => {
  skip = Math.max(0, skip + by);
  refresh().catch(() => { skip = Math.max(0, skip - by); });
};
$("newer").addEventListener("click", () => turn(-SHOWN));
$("older").addEventListener("click", () => turn(SHOWN));
