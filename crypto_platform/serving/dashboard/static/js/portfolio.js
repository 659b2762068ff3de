// One's own: wallets with their value, open orders, transactions. The session's cookie says whose.

import "./ages.js";
import { amount, price, quantity } from "./format.js";
import { ask, fill, listen } from "./live.js";

const EVERY_MS = 5000;
const TRANSACTIONS = 20;

const panel = (name) => document.querySelector(`[data-panel=${name}]`);

function show(name, read, empty) {
  const own = panel(name);
  return fill(own, own.querySelector("[data-content]"), () => read(own), empty);
}

function buildRow(cells) {
  const row = document.createElement("tr");
  for (const [content, className] of cells) {
    const cell = row.insertCell();
    cell.className = className ?? "";
    cell.append(content ?? "-");
  }
  return row;
}

function keepWhole(text) {
  return Object.assign(document.createElement("span"), { className: "whole", textContent: text });
}

function buildTime(iso) {
  const time = Object.assign(document.createElement("time"), { dateTime: iso, title: iso });
  const [day, clock] = [iso.slice(0, 10), iso.slice(11, 19)].map(keepWhole);
  time.append(day, " ", clock);
  return time;
}

// Wallets

function buildShare(share) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "bars");
  svg.setAttribute("aria-hidden", "true"); // the text beside it says it
  for (const width of [100, share]) {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    bar.setAttribute("width", `${width}%`);
    bar.setAttribute("height", "100%");
    bar.setAttribute("rx", "3");
    svg.append(bar);
  }
  const cell = document.createDocumentFragment();
  cell.append(keepWhole(`${share.toFixed(1)} %`), svg);
  return cell;
}

async function readHoldings(own) {
  const { holdings, value, value_currency: currency, unpriced } = await ask("/v1/me/portfolio", {});
  const total = Number(value);
  document.querySelector("[data-value]").replaceChildren(amount(value, `${price(value)} ${currency}`));
  const note = document.querySelector("[data-unpriced]");
  note.hidden = !unpriced.length;
  note.textContent = `Without ${unpriced.join(", ")}, whose price nobody tells.`;
  const held = holdings.filter((each) => Number(each.quantity) !== 0).sort((one, other) => Number(other.value) - Number(one.value));
  const rows = held.map((each) => {
    const row = buildRow([
      [each.currency],
      [amount(each.quantity, quantity(each.quantity)), "number"],
      [amount(each.locked, quantity(each.locked)), "number wide"],
      [amount(each.price, price(each.price)), "number wide"],
      [amount(each.value, price(each.value)), "number"],
      [each.value === null || !total ? "-" : buildShare((100 * Number(each.value)) / total), "share"],
    ]);
    row.dataset.currency = each.currency;
    return row;
  });
  own.querySelector("tbody").replaceChildren(...rows);
  return held.length > 0;
}

// Open orders

async function readOrders(own) {
  const { orders } = await ask("/v1/me/orders", {});
  const rows = orders.map((order) =>
    buildRow([
      [order.venue_symbol],
      [order.side, order.side === "buy" ? "up" : "down"],
      [amount(order.limit_price, price(order.limit_price)), "number"],
      [amount(order.order_quantity, quantity(order.order_quantity)), "number"],
      [amount(order.filled_quantity, quantity(order.filled_quantity)), "number"],
      [(order.order_status ?? "").replace("_", " "), "wide"],
      [buildTime(order.ts_created), "wide"],
    ]),
  );
  own.querySelector("tbody").replaceChildren(...rows);
  return orders.length > 0;
}

// Transactions, page by page

let next = null;
const seen = new Set();

function buildChange(exact) {
  const number = Number(exact);
  const tone = number < 0 ? "down" : number > 0 ? "up" : "muted";
  return amount(exact, `${number > 0 ? "+" : ""}${quantity(exact)}`, tone);
}

/** What one can dispose of, and, where its column has no room, what an order holds. */
function buildChanges(each) {
  const cell = document.createDocumentFragment();
  cell.append(buildChange(each.available_change));
  if (Number(each.locked_change) === 0) return cell;
  const held = Object.assign(document.createElement("span"), { className: "slim" });
  held.append("locked ", buildChange(each.locked_change));
  cell.append(held);
  return cell;
}

function buildTransaction(each) {
  return buildRow([
    [buildTime(each.ts_event)],
    [each.kind.replaceAll("_", " ")],
    [each.currency],
    [buildChanges(each), "number"],
    [buildChange(each.locked_change), "number wide"],
    [amount(each.available, quantity(each.available)), "number wide"],
  ]);
}

/** Those that are not there yet: a page of the list and the stream may give the same. */
function buildNew(transactions) {
  return transactions
    .filter(({ sequence, currency }) => !seen.has(`${sequence} ${currency}`))
    .map((each) => {
      seen.add(`${each.sequence} ${each.currency}`);
      return buildTransaction(each);
    });
}

async function readTransactions(own) {
  const cursor = next === null ? {} : { cursor: next };
  const page = await ask("/v1/me/transactions", { limit: TRANSACTIONS, ...cursor });
  next = page.next;
  const body = own.querySelector("tbody");
  body.append(...buildNew(page.transactions));
  own.querySelector("[data-older]").hidden = next === null;
  return body.rows.length > 0;
}

const showTransactions = () => show("transactions", readTransactions, "There is no transaction yet.");
panel("transactions").querySelector("[data-older]").addEventListener("click", showTransactions);

// The value of past days

let history;

async function readHistory(own) {
  const count = own.querySelector("[name=days]:checked").value;
  const from = new Date(Date.now() - count * 86_400_000).toISOString().slice(0, 10);
  const { days } = await ask("/v1/me/portfolio/history", { from });
  if (!days.length) return false;
  own.querySelector("[data-content]").hidden = false; // its size is asked for
  const { ValueChart } = await import("./value.js");
  history ??= new ValueChart(own.querySelector("[data-chart]"));
  history.show(days);
  return true;
}

const showHistory = () => show("history", readHistory, "There is nothing to value in these days.");
if (panel("history")) {
  panel("history").querySelector("[data-days]").addEventListener("change", showHistory);
  showHistory();
}

// The tax report: a file, or in words why there is none

const tax = document.querySelector("[data-tax]");

async function download(event) {
  event.preventDefault();
  const problem = document.querySelector("[data-tax-problem]");
  const button = tax.querySelector("button");
  problem.hidden = true;
  button.disabled = true;
  try {
    const answer = await fetch(`${tax.action}?${new URLSearchParams(new FormData(tax))}`);
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `tax-report-${tax.elements.year.value}.${tax.elements.format.value}`;
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
  button.disabled = false;
}

tax?.addEventListener("submit", download);

// All of it; what changes, again and again

function showWallets() {
  return Promise.all([
    show("holdings", readHoldings, "There is no wallet yet."),
    show("orders", readOrders, "No order is open."),
  ]);
}

async function keep() {
  await showWallets(); // prices move also where nothing happens
  setTimeout(keep, EVERY_MS);
}

function take({ transactions }) {
  panel("transactions").querySelector("tbody").prepend(...buildNew(transactions).reverse());
  showWallets();
}

keep();
showTransactions();
listen("/v1/me/events", "transactions", take, () => location.reload());
