// What web pages asked for products: their newest visit, or those of some days.

import { ask } from "./ask.js";
import { $, fill, put, table } from "./dom.js";
import { asked, told } from "./state.js";

/** Rows of the table. */
const SHOWN = 500;

export const choices = [];

/** The answer, and what was asked for. */
let prices = { of: "", body: null };

const where = () => `v1/prices?limit=${SHOWN}${asked()}`;

export async function refresh() {
  const of = where();
  const { body } = await ask(of);
  if (of !== where()) return;
  prices = { of, body };
  show();
}

export function show() {
  $("page-prices").classList.toggle("waiting", prices.of !== where());
  if (prices.of !== where()) return;
  const { voice } = told;
  const { items, next_cursor: more } = prices.body;
  const rows = items.map(({ taken_at, page, product, price, variation }) => ({
    product, price: price === null ? "–" : voice.number(price, "two"), variation: variation ?? "–",
    page, taken: voice.time(Date.parse(taken_at), "dated"),
  }));
  put($("prices-none"), rows.length ? "" : voice.words.noPrices);
  put($("prices-more"), more === null ? "" : voice.words.more(voice.number(rows.length, "whole")));
  fill($("prices"), table(voice.words.pricesCaption, voice.words.priceColumns, ["product", "page", "taken"], rows));
  $("prices").hidden = rows.length === 0;
}

export function forget() {
  prices = { of: "", body: null };
  $("prices").replaceChildren();
}
