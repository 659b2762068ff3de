// The overview's prices, live, and its search.

import "./ages.js";
import { ago, amount, change, money, price } from "./format.js";
import { listen } from "./live.js";

const body = document.querySelector("[data-quotes]");
const rows = new Map([...(body?.rows ?? [])].map((row) => [row.dataset.key, row]));

function put(row, field, element) {
  row.querySelector(`[data-field=${field}]`).replaceChildren(element);
}

function flash(cell, before, after) {
  if (before === null || before === after) return;
  cell.classList.remove("flash-up", "flash-down");
  void cell.offsetWidth; // starts the animation anew
  cell.classList.add(Number(after) > Number(before) ? "flash-up" : "flash-down");
}

function show(quote) {
  const row = rows.get(`${quote.source}:${quote.currency_id}`);
  if (!row || quote.price === null) return;
  const cell = row.querySelector("[data-field=price]");
  const before = cell.querySelector("data")?.value ?? null;
  const moved = quote.price_change_24h_pct;
  put(row, "price", amount(quote.price, price(quote.price)));
  put(row, "change", amount(moved, change(moved), Number(moved) < 0 ? "down" : "up"));
  put(row, "volume", amount(quote.quote_volume_24h, money(quote.quote_volume_24h)));
  put(row, "market_cap", amount(quote.market_cap, money(quote.market_cap)));
  const old = row.querySelector("time[data-age]");
  put(row, "age", ago(quote.ts_event ?? quote.ts_ingest, old?.dataset.staleS ?? 60));
  flash(cell, before, quote.price);
}

if (rows.size) listen("/v1/stream/quotes", "quotes", ({ quotes }) => quotes.forEach(show));

document.querySelector("[data-find]")?.addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  let found = 0;
  for (const row of rows.values()) {
    row.hidden = !row.dataset.names.includes(wanted);
    found += row.hidden ? 0 : 1;
  }
  document.querySelector("[data-none]").hidden = found > 0;
});
