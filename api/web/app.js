// The page: asks the server every two seconds what is new, and shows it.
//
// This is the frame: the language, the choices, who looks, and whether the server
// answers. What is shown in it is one of the pages, a file each: it has `choices`
// (the ids of those that concern it), `refresh` (asks, and shows) and `show`.

import { Gone, Refused, TokenWanted, ask, forgetAnswers } from "./ask.js";
import { $, put, text } from "./dom.js";
import * as headcounts from "./headcounts.js";
import * as herd from "./herd.js";
import { carrying, forget, leave, logIn } from "./login.js";
import * as pictures from "./pictures.js";
import * as prices from "./prices.js";
import { ORIGINS, PAGES, SPANS, day, readAddress, remember, serverNow, speakOther, told, view, wanted } from "./state.js";
import * as statistics from "./statistics.js";
import { LANGUAGES, Voice, knownZone } from "./words.js";

const POLL_MS = 2_000;
const POLL_MAX_MS = 15_000;

const pages = { statistics, herd, pictures, headcounts, prices };
let zone = "UTC";
let lastAnswer = null;
let failures = 0;
let timer = null;
/** Grows with each choice: an answer to an earlier one is not shown any more. */
let rounds = 0;

async function round() {
  clearTimeout(timer);
  if (document.hidden) return;
  const mine = ++rounds;
  told.staleMs = 0;
  try {
    if (lastAnswer === null) await introduce();
    told.sources = (await ask("v1/sources")).body.items;
    $("leave").hidden = !carrying();
    showChoices();
    await pages[view.page].refresh();
    if (mine !== rounds) return;
    failures = 0;
    lastAnswer = serverNow() - told.staleMs;
    // The server gives what it last knew while its tables are away.
    link(told.staleMs ? "lost" : "live");
  } catch (error) {
    if (mine !== rounds || error instanceof Gone) return;
    if (error instanceof TokenWanted) return askForToken();
    // It answers, and does not tell this: a source that is not for this person.
    const refused = error instanceof Refused && error.status < 500;
    failures = refused ? 0 : failures + 1;
    if (refused) lastAnswer = serverNow();
    link(refused ? "live" : "lost", error instanceof Refused ? error.message : null);
  }
  showAges();
  showEmpty();
  timer = setTimeout(round, Math.min(POLL_MS * 2 ** Math.min(failures, 4), failures ? POLL_MAX_MS : POLL_MS));
}

async function introduce() {
  const { body } = await ask("v1/site");
  zone = knownZone(body.zone);
  $("version").dataset.version = body.version;
  speak();
}

function link(state, detail = null) {
  $("link").dataset.state = state;
  $("link-text").textContent = told.voice.words[state];
  const lost = state === "lost";
  document.body.classList.toggle("stale", lost);
  const words = told.voice.words;
  const notice = detail !== null ? (lost ? words.refusedNotice(detail) : detail) : !lost ? ""
    : lastAnswer === null ? words.neverNotice : words.lostNotice(told.voice.time(lastAnswer, "second"));
  put($("notice"), notice);
  $("notice").hidden = notice === "";
}

/** Puts every fixed text into the language of the page. */
function speak() {
  told.voice = new Voice(view.language, zone);
  const { words } = told.voice;
  document.documentElement.lang = view.language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
  $("language").textContent = words.other;
  $("language").lang = LANGUAGES.find((other) => other !== view.language);
  $("language").setAttribute("aria-label", words.otherLabel);
  $("zone").textContent = zone;
  $("link-text").textContent = words[$("link").dataset.state];
  if ($("version").dataset.version) $("version").textContent = words.version($("version").dataset.version);
  showPage();
}

// ---- the choices ----

function showPage() {
  for (const name of PAGES) $(`page-${name}`).hidden = name !== view.page;
  for (const link of $("pages").querySelectorAll("a")) {
    if (link.dataset.page === view.page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  showChoices();
  pages[view.page].show();
  showAges();
  showEmpty();
}

function showChoices() {
  const { voice, sources } = told;
  const metrics = statistics.metrics();
  if (metrics.length && view.metric !== "all" && !metrics.includes(view.metric)) view.metric = "all";
  buttons("metrics", "metric", ["all", ...metrics], (name) => (name === "all" ? voice.words.all : voice.metric(name)));
  buttons("sizes", "size", Object.keys(SPANS), (size) => voice.words[size]);
  buttons("origins", "origin", ORIGINS, (origin) => voice.words.origins[origin]);
  // A source that no camera saw may have files of headcounts.
  const seen = sources.map(({ source }) => source);
  const numbers = [...new Set([...seen, ...headcounts.sources()])].sort((a, b) => a - b).map(String);
  if (view.source !== "all" && !numbers.includes(view.source)) numbers.push(view.source);
  const name = (number) => sources.find(({ source }) => String(source) === number)?.name;
  list($("source"), ["all", ...numbers], (number) => (number === "all" ? voice.words.allSources
    : name(number) ? `${number} · ${name(number)}` : voice.words.source(number)));
  $("source").value = view.source;
  for (const end of ["from", "to"]) if (document.activeElement !== $(end)) $(end).value = view[end];
  $("now").hidden = !view.from && !view.to;
  for (const element of $("choices").querySelectorAll("#sources, .pills")) {
    element.hidden = !pages[view.page].choices.includes(element.id);
  }
}

function showEmpty() {
  $("empty").hidden = lastAnswer === null || wanted().length !== 0;
  $("choices").hidden = view.page === "statistics" && lastAnswer !== null && told.sources.length === 0;
}

function buttons(id, name, values, label) {
  const fieldset = $(id);
  const wanted = JSON.stringify([values, view.language]);
  if (fieldset.dataset.shown !== wanted) {
    fieldset.dataset.shown = wanted;
    for (const old of fieldset.querySelectorAll("label")) old.remove();
    for (const value of values) {
      const input = Object.assign(document.createElement("input"), { type: "radio", name, value });
      const choice = document.createElement("label");
      choice.append(input, text("span", label(value)));
      fieldset.append(choice);
    }
  }
  for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === view[name];
}

function list(select, values, label) {
  const wanted = values.map((value) => [value, label(value)]);
  if (select.dataset.shown === JSON.stringify(wanted)) return;
  select.dataset.shown = JSON.stringify(wanted);
  select.replaceChildren(...wanted.map(([value, name]) => Object.assign(document.createElement("option"), { value, textContent: name })));
}

/** What grows older without anybody's doing. */
function showAges() {
  put($("clock"), told.voice.time(serverNow(), "second"));
  for (const element of document.querySelectorAll("[data-since]")) {
    put(element, told.voice.words.ago(told.voice.age(serverNow() - Number(element.dataset.since))));
  }
}

function chosen() {
  remember();
  showPage();
  round();
}

// ---- who looks ----

function askForToken() {
  wrong(carrying() ? told.voice.words.tokenWrong : "");
  forget();
  nobody();
  link("waiting");
  if (!$("ask").open) $("ask").showModal();
}

/** What the one before has seen is not for the next. */
function nobody() {
  rounds += 1;
  told.sources = [];
  lastAnswer = null;
  forgetAnswers();
  for (const page of Object.values(pages)) page.forget?.();
  $("leave").hidden = true;
  showPage();
}

function wrong(why) {
  $("ask-wrong").textContent = why;
  $("ask-wrong").hidden = why === "";
}

$("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, secret] = [$("name").value.trim(), $("token").value];
  $("token").value = "";
  const { words } = told.voice;
  const { status, minutes } = await logIn(name, secret);
  const said = { 401: words.tokenWrong, 404: words.tokenNone, 429: words.tokenTooOften(minutes) };
  wrong(status === 200 ? "" : said[status] ?? words.tokenAway);
  if (status !== 200) return;
  $("ask").close();
  round();
});
$("leave").addEventListener("click", async () => {
  await leave();
  // The next person may not be told of it.
  view.source = "all";
  remember();
  nobody();
  round();
});
// There is nothing to see without it.
$("ask").addEventListener("cancel", (event) => event.preventDefault());

$("choices").addEventListener("submit", (event) => event.preventDefault());
$("choices").addEventListener("change", ({ target }) => {
  const { name, value } = target;
  if (!(name in view)) return;
  view[name] = ["from", "to"].includes(name) ? day(value) : value;
  chosen();
});
$("now").addEventListener("click", () => {
  view.from = view.to = "";
  chosen();
  $("from").focus();
});
$("pages").addEventListener("click", (event) => {
  const page = event.target.closest("a")?.dataset.page;
  if (!page || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  view.page = page;
  chosen();
});
$("language").addEventListener("click", () => {
  speakOther();
  speak();
});

window.addEventListener("hashchange", () => {
  readAddress();
  speak();
  round();
});
document.addEventListener("visibilitychange", () => round());
setInterval(showAges, 1000);
speak();
round();
