// One source's series as SVG.
//
// Time runs by the clock and not by the row: a window without pictures is a
// hole in the line, hatched, and never a zero.

const SVG = "http://www.w3.org/2000/svg";
const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const TICKS = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160].map((m) => m * MINUTE);

const HEIGHT = 210;
const INSET = { top: 12, right: 12, bottom: 42, left: 30 };
const COVERAGE_HEIGHT = 12;

/** What a window without a row of a metric says of it: it saw none. */
export const NONE = { mean: 0, min: 0, max: 0, q1: 0, median: 0, q3: 0, std: 0 };

/** What a window says of a metric that is one number. */
export const exactly = (value) => ({ mean: value, min: value, max: value, q1: value, median: value, q3: value, std: 0 });

let charts = 0;
/** Of what each host was drawn last. */
const drawn = new WeakMap();

/**
 * Draws what `plan` says into `host`, unless that was drawn there from the same `body` under the
 * same `view` at the same width; nothing where it says null.
 */
export function drawAnew(host, body, view, plan, label) {
  const of = JSON.stringify([view, host.clientWidth]);
  const last = drawn.get(host);
  if (host.hasChildNodes() && last?.body === body && last.of === of) return;
  drawn.set(host, { body, of });
  const planned = host.clientWidth === 0 ? null : plan();
  if (planned === null) return host.replaceChildren();
  draw(host, planned);
  host.setAttribute("aria-label", label);
}

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A whole step that cuts 0 to `most` into at most four. */
function wholeStep(most) {
  for (let power = 1; ; power *= 10) {
    for (const step of [1, 2, 5]) if (most <= 4 * step * power) return step * power;
  }
}

/** Runs of windows that follow one another without a hole. */
function runs(windows) {
  const found = [];
  for (const window of windows) {
    const run = found.at(-1);
    if (run && run.at(-1).end === window.start) run.push(window);
    else found.push([window]);
  }
  return found;
}

/** The holes of `[from, to)` behind the first window. */
function holes(windows, known) {
  const found = [];
  windows.forEach((window, at) => {
    const next = at + 1 < windows.length ? windows[at + 1].start : known;
    if (window.end < next) found.push([window.end, next]);
  });
  return found;
}

/**
 * Draws `windows` (ascending) into `host`.
 *
 * `plan`: { windows, shown (metric names), banded (the one that is shown with its spread;
 * if not said, the only one), from, to, known (up to when a hole is one), voice,
 * colour (metric → class) }
 *
 * A metric that a window does not name was seen in none of its pictures; one that is
 * null there is a hole. A metric may have a status of its own.
 */
export function draw(host, plan) {
  const { windows, shown, from, to, known, voice, colour } = plan;
  const width = Math.max(host.clientWidth, 240);
  const area = {
    left: INSET.left, right: width - INSET.right, top: INSET.top, bottom: HEIGHT - INSET.bottom,
  };
  const banded = plan.banded ?? (shown.length === 1 ? shown[0] : null);
  const of = (window, metric) => window.metrics[metric] ?? NONE;
  const peak = (window, metric) => (metric === banded ? of(window, metric).max : of(window, metric).mean);
  const most = Math.max(1, ...windows.flatMap((w) => shown.map((m) => peak(w, m))));
  const step = wholeStep(most);
  const top = Math.ceil(most / step) * step;
  const x = (ms) => area.left + ((ms - from) / (to - from)) * (area.right - area.left);
  const y = (value) => area.bottom - (value / top) * (area.bottom - area.top);
  const middle = (window) => x((window.start + window.end) / 2);

  const root = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, "aria-hidden": "true" });
  const hatch = `hatch-${++charts}`;
  root.append(svg("defs", {},
    svg("pattern", { id: hatch, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 7 }))));

  // What is not known.
  for (const [begin, end] of holes(windows, known)) {
    const [left, right] = [x(Math.max(begin, from)), x(end)];
    if (right - left < 1) continue;
    root.append(svg("rect", { class: "hole", x: left, y: area.top, width: right - left, height: area.bottom - area.top, fill: `url(#${hatch})` }));
    if (72 < right - left) {
      const label = svg("text", { class: "hole-label", x: (left + right) / 2, y: (area.top + area.bottom) / 2 }, voice.words.noData);
      root.append(label);
    }
  }

  // The scale.
  for (let value = 0; value <= top; value += step) {
    root.append(svg("line", { class: value === 0 ? "base" : "grid", x1: area.left, x2: area.right, y1: y(value), y2: y(value) }));
    root.append(svg("text", { class: "tick", x: area.left - 8, y: y(value) + 4, "text-anchor": "end" }, voice.number(value, "whole")));
  }
  for (const tick of ticks(from, to, area.right - area.left, voice)) {
    const at = x(tick.ms);
    root.append(svg("text", { class: "tick", x: at, y: HEIGHT - 6, "text-anchor": anchor(at, width) }, tick.text));
    root.append(svg("line", { class: "grid", x1: at, x2: at, y1: area.bottom + COVERAGE_HEIGHT + 4, y2: area.bottom + COVERAGE_HEIGHT + 8 }));
  }

  // How much of each window was seen.
  for (const window of windows) {
    const share = Math.min(window.coverage ?? 1, 1);
    const [left, right] = [x(window.start), x(window.end)];
    const height = Math.max(share * COVERAGE_HEIGHT, 1);
    root.append(svg("rect", {
      class: share < 0.9 ? "seen partly" : "seen", x: left + 0.25, width: Math.max(right - left - 0.5, 0.5),
      y: area.bottom + 4 + COVERAGE_HEIGHT - height, height,
    }));
  }

  // The bands of one metric, then the lines.
  const has = (metric) => (window) => window.metrics[metric] !== null;
  if (banded) {
    for (const run of runs(windows.filter(has(banded)))) {
      const band = (low, high, name) => root.append(svg("path", {
        class: `${name} ${colour(banded)}`,
        d: outline(run.map((w) => [middle(w), y(of(w, banded)[high])]), run.map((w) => [middle(w), y(of(w, banded)[low])])),
      }));
      band("min", "max", "range");
      band("q1", "q3", "quartiles");
    }
  }
  for (const metric of shown) {
    for (const run of runs(windows.filter(has(metric)))) line(root, run, (w) => [middle(w), y(of(w, metric).mean)], colour(metric), (w) => of(w, metric).status ?? w.status);
  }

  const cross = svg("g", { class: "cross" });
  root.append(cross);
  host.replaceChildren(root);

  return {
    /** Marks the window that starts at `start`, or none. */
    mark(start) {
      const window = windows.find((w) => w.start === start);
      cross.replaceChildren();
      if (!window) return;
      const at = middle(window);
      cross.append(svg("line", { x1: at, x2: at, y1: area.top, y2: area.bottom + 4 + COVERAGE_HEIGHT }));
      for (const metric of shown.filter((name) => has(name)(window))) {
        cross.append(svg("circle", { class: colour(metric), cx: at, cy: y(of(window, metric).mean), r: 4 }));
      }
    },
    /** The window nearest to a place on the screen. */
    nearest(clientX) {
      const place = clientX - host.getBoundingClientRect().left;
      const distance = (w) => Math.abs(middle(w) - place);
      return windows.reduce((best, w) => (best && distance(best) <= distance(w) ? best : w), null);
    },
  };
}


function line(root, run, place, colour, status) {
  // A stretch that ends in an open window may still move.
  const stretches = [];
  for (let at = 1; at < run.length; at++) {
    const open = status(run[at]) === "open" || status(run[at - 1]) === "open";
    const last = stretches.at(-1);
    if (last && last.open === open) last.windows.push(run[at]);
    else stretches.push({ open, windows: [run[at - 1], run[at]] });
  }
  for (const { open, windows } of stretches) {
    root.append(svg("path", { class: `mean ${open ? "open " : ""}${colour}`, d: path(windows.map(place)) }));
  }
  run.forEach((window, at) => {
    const [cx, cy] = place(window);
    if (status(window) === "open") root.append(svg("circle", { class: `point hollow ${colour}`, cx, cy, r: 3 }));
    else if (status(window) === "corrected") root.append(svg("path", { class: `point corrected ${colour}`, d: `M${cx} ${cy - 4.5}l4.5 4.5-4.5 4.5-4.5-4.5z` }));
    else if (run.length === 1 && at === 0) root.append(svg("circle", { class: `point ${colour}`, cx, cy, r: 2 }));
  });
}

const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
const outline = (upper, lower) => `${path([...upper, ...lower.reverse()])}Z`;
const anchor = (x, width) => (x < 40 ? "start" : width - 30 < x ? "end" : "middle");

/** Round moments on the site's clocks, as many as there is room for. */
function ticks(from, to, width, voice) {
  const room = Math.max(2, Math.floor(width / 78));
  const step = TICKS.find((candidate) => (to - from) / candidate <= room) ?? TICKS.at(-1);
  const begin = voice.offset(from);
  const found = [];
  for (let wall = Math.ceil((from + begin) / step) * step; ; wall += step) {
    // The offset near the tick itself: the clocks may change on the way.
    const ms = wall - voice.offset(wall - begin);
    if (to < ms) return found;
    if (ms < from) continue;
    const midnight = wall % DAY === 0;
    found.push({ ms, text: DAY <= step ? voice.time(ms, "day") : midnight ? voice.time(ms, "weekday") : voice.time(ms, "minute") });
  }
}
