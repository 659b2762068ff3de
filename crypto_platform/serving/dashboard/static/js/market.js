// One market: its candles, its order book, its trades, all of them live.

import "./ages.js";
import { PriceChart } from "./candles.js";
import { ago, amount, change, price, quantity } from "./format.js";
import { ask, fill, listen } from "./live.js";

const CANDLES = 300;
const TRADES = 50;
const LEVELS = 20;
const LEVELS_LISTED = 8;
const BOOK_EVERY_MS = 3000;
const STALE_S = 60;
const LENGTHS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "1d": 86400 };

const { venue, symbol } = document.querySelector("[data-market]").dataset;
const market = { venue, symbol };
const panel = (name) => document.querySelector(`[data-panel=${name}]`);

// Candles

const chartPanel = panel("candles");
const chartElement = chartPanel?.querySelector("[data-chart]");
let chart;

function bold(text) {
  return Object.assign(document.createElement("b"), { textContent: text });
}

function describe(candle) {
  if (!candle) return;
  const at = new Date(candle.time * 1000).toISOString();
  chartPanel.querySelector("[data-legend]").replaceChildren(
    Object.assign(document.createElement("span"), { textContent: `${at.slice(0, 10)} ${at.slice(11, 16)}` }),
    ...[["open", candle.open], ["high", candle.high], ["low", candle.low], ["close", candle.close], ["volume", candle.volume]].map(([name, value]) => {
      const figure = document.createElement("span");
      figure.append(`${name} `, bold((name === "volume" ? quantity : price)(value)));
      return figure;
    }),
  );
}

function chosenInterval() {
  return chartPanel.querySelector("[name=interval]:checked");
}

/** Of whole candles: what was traded before the first stored trade, nobody knows. */
function showChange(candles, interval) {
  const { tradesSince: begins } = candles[0];
  const note = chartPanel.querySelector("[data-since]");
  note.hidden = !begins;
  note.textContent = begins ? `trades are stored since ${begins.slice(0, 10)} ${begins.slice(11, 16)} UTC` : "";
  const whole = begins ? candles.slice(1) : candles;
  const element = document.querySelector("[data-change]");
  element.textContent = "";
  if (!whole.length) return;
  const moved = (100 * (whole.at(-1).close - whole[0].open)) / whole[0].open;
  element.className = moved < 0 ? "down" : "up";
  element.textContent = `${change(moved)} in ${whole.length} x ${interval}`;
}

async function readCandles() {
  const { value: interval, dataset } = chosenInterval();
  const { candles } = await ask("/v1/candles", { ...market, interval, limit: CANDLES, made_of: dataset.madeOf });
  if (!candles.length) return false;
  chartElement.hidden = false; // its size is asked for
  chart ??= new PriceChart(chartElement, describe);
  chart.show(candles, LENGTHS[interval]);
  describe(chart.candles.at(-1));
  showChange(chart.candles, interval);
  performance.mark("chart-visible");
  return true;
}

function showCandles() {
  const { value: interval } = chosenInterval();
  return fill(chartPanel, chartElement, readCandles, `No candles of ${interval} yet: one is stored when it has closed.`);
}

// Indicators

const APART = ["rsi", "macd"]; // no prices of this market: each in a pane of its own

// By kind and part: the number of its colour (dashboard.css), its own whatever else is drawn.
const COLOURS = { sma: 1, "bbands upper": 2, "bbands middle": 3, "bbands lower": 4, ema: 5, vwap: 6, rsi: 7, macd: 8, "macd signal": 9, "macd histogram": 10 };

/** A column's name (macd_12_26_9_signal): its kind and part, and what people call it. */
function parseColumn(name) {
  const [kind, ...words] = name.split("_");
  const numbers = words.filter((word) => !Number.isNaN(Number(word))).join(", ");
  const part = words.filter((word) => Number.isNaN(Number(word))).join(" ");
  const called = kind === "bbands" ? "Bollinger" : kind.toUpperCase();
  const join = (...parts) => parts.filter(Boolean).join(" ");
  return { kind, number: COLOURS[join(kind, part)] ?? 1, label: join(called, numbers, part) };
}

/** Lines of the API's rows: a column each, but for what says of which candle a row is. */
function buildLines(rows) {
  const { ts_event, close, is_closed, ...columns } = rows[0] ?? {};
  const lines = Object.keys(columns).map((name) => ({
    ...parseColumn(name),
    isKnown: rows.some((row) => row[name] !== null),
    points: rows.map((row) => [row.ts_event, row[name]]).reverse(),
  }));
  const panes = APART.filter((kind) => lines.some((line) => line.isKnown && line.kind === kind));
  return lines.map((line) => ({ ...line, pane: panes.indexOf(line.kind) + 1 }));
}

function drawLines(lines) {
  chart?.showLines(lines.filter((line) => line.isKnown));
  const names = chartPanel.querySelector("[data-lines]");
  names.hidden = !lines.length;
  const spans = lines.map(({ label, number, isKnown }) =>
    Object.assign(document.createElement("span"), { textContent: isKnown ? label : `${label}: not known yet`, className: isKnown ? `c${number}` : "muted" }),
  );
  names.replaceChildren(...spans);
}

async function showIndicators() {
  const chosen = [...chartPanel.querySelectorAll("[name=indicator]:checked")].map((each) => each.value);
  const problem = chartPanel.querySelector("[data-indicators-problem]");
  problem.hidden = true;
  if (!chosen.length || !chart) return drawLines([]);
  const names = chartPanel.querySelector("[data-lines]");
  names.hidden = false;
  names.replaceChildren("Loading indicators …");
  try {
    const { value: interval, dataset } = chosenInterval(); // of the candles that are drawn
    const { indicators } = await ask("/v1/indicators", { ...market, interval, made_of: dataset.madeOf, names: chosen.join(","), limit: CANDLES });
    drawLines(buildLines(indicators));
  } catch (error) {
    drawLines([]);
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

// Trades

const tradesPanel = panel("trades");

function buildRow(trade) {
  const row = document.createElement("tr");
  const side = { buy: "up", sell: "down" }[trade.taker_side] ?? "";
  for (const className of ["", side, "number", "number"]) row.insertCell().className = className;
  const time = Object.assign(document.createElement("time"), { dateTime: trade.ts_event, textContent: trade.ts_event.slice(11, 19) });
  row.cells[0].append(time);
  row.cells[1].append(trade.taker_side ?? "-");
  row.cells[2].append(amount(trade.price, price(trade.price), side));
  row.cells[3].append(amount(trade.quantity, quantity(trade.quantity)));
  return row;
}

const seen = new Set();

/** Trades, the oldest first; those that are there already are left out. */
function takeTrades(trades) {
  const fresh = trades.filter((trade) => !seen.has(trade.trade_id));
  if (!fresh.length) return;
  for (const trade of fresh) {
    seen.add(trade.trade_id);
    chart?.take(trade);
  }
  const body = tradesPanel.querySelector("tbody");
  body.prepend(...fresh.slice(-TRADES).map(buildRow).reverse());
  while (body.rows.length > TRADES) body.lastElementChild.remove();
  const newest = fresh.at(-1);
  document.querySelector("[data-last]").replaceChildren(amount(newest.price, price(newest.price)));
  document.querySelector("[data-last-age]").replaceChildren("last trade ", ago(newest.ts_event, STALE_S), " ago");
}

async function readTrades() {
  const { trades } = await ask("/v1/trades", { ...market, limit: TRADES });
  tradesPanel.querySelector("tbody").replaceChildren();
  seen.clear();
  takeTrades(trades.reverse());
  return trades.length > 0;
}

function showTrades() {
  return fill(tradesPanel, tradesPanel.querySelector("[data-tape]"), readTrades, "No trade of this market is stored yet.");
}

// Order book

const bookPanel = panel("book");
let depth;

async function readBook() {
  const book = await ask("/v1/book", { ...market, levels: LEVELS });
  bookPanel.querySelector("[data-book]").hidden = false; // its size is asked for
  depth ??= new (await import("./depth.js")).DepthChart(bookPanel.querySelector("[data-depth]"));
  depth.show(book);
  for (const side of ["bids", "asks"]) {
    const rows = book[side].slice(0, LEVELS_LISTED).map((level) => {
      const row = document.createElement("tr");
      row.insertCell().append(amount(level.price, price(level.price)));
      row.insertCell().append(amount(level.quantity, quantity(level.quantity)));
      row.cells[1].className = "number";
      return row;
    });
    bookPanel.querySelector(`[data-side=${side}]`).replaceChildren(...rows);
  }
  bookPanel.querySelector("[data-book-age]").replaceChildren("as of ", ago(book.ts_event, STALE_S), " ago");
  return true;
}

async function keepBook() {
  await fill(bookPanel, bookPanel.querySelector("[data-book]"), readBook, "No order book of this market is stored.");
  setTimeout(keepBook, BOOK_EVERY_MS);
}

// All of it, the chart first

async function start() {
  if (chartPanel) {
    const hasIndicators = chartPanel.querySelector("[data-indicators]") !== null;
    const show = () => showCandles().then(() => hasIndicators && showIndicators());
    chartPanel.querySelector("[data-intervals]").addEventListener("change", show);
    chartPanel.querySelector("[data-indicators]")?.addEventListener("change", showIndicators);
    await show(); // a browser remembers what was chosen
  }
  if (bookPanel) keepBook();
  if (!tradesPanel) return;
  // the stream first, so that nothing is missed between the two
  let read;
  listen(`/v1/stream/trades?${new URLSearchParams(market)}`, "trades", async ({ trades }) => {
    await read;
    takeTrades(trades);
  }, () => (read = showTrades()));
  read = showTrades();
}

start();
