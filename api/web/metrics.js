// In which order metrics are shown, and in which colours.

/** Those with a colour of their own; others share five. */
const FIRST = ["lying", "standing", "total"];

/** The names, the first ones first. */
export const ordered = (names) => [...FIRST.filter((name) => names.includes(name)), ...names.filter((name) => !FIRST.includes(name)).sort()];

/** The class of a metric's colour among `names`. */
export function colours(names) {
  const others = ordered(names).filter((name) => !FIRST.includes(name));
  return (metric) => `metric-${FIRST.includes(metric) ? metric : Math.max(others.indexOf(metric), 0) % 5}`;
}
