// Amounts as a person reads them, as domain/readable.py has them. An amount comes and stays as text;
// its float is for the eye alone, the exact digits are the <data>'s value and tip.

const UNKNOWN = "-";

function decimals(number, count) {
  return number.toLocaleString("en-US", { minimumFractionDigits: count, maximumFractionDigits: count });
}

export function price(exact) {
  if (exact === null || exact === undefined) return UNKNOWN;
  const number = Number(exact);
  const size = Math.abs(number);
  if (size >= 1 || size === 0) return decimals(number, 2);
  return decimals(number, Math.min(5 - Math.floor(Math.log10(size)), 20));
}

/** Without the zeros that only fill up; of thousands not every digit. */
export function quantity(exact) {
  if (exact === null || exact === undefined) return UNKNOWN;
  const number = Number(exact);
  return number.toLocaleString("en-US", { maximumFractionDigits: Math.abs(number) < 1000 ? 8 : 4 });
}

export function money(exact) {
  return exact === null || exact === undefined ? UNKNOWN : decimals(Number(exact), 0);
}

export function change(percent) {
  if (percent === null || percent === undefined) return UNKNOWN;
  const number = Number(percent);
  return `${number < 0 ? "" : "+"}${decimals(number, 2)} %`;
}

export function age(seconds) {
  if (seconds < 10) return `${(Math.floor(Math.max(seconds, 0) * 10) / 10).toFixed(1)} s`;
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * unit) return `${Math.floor(seconds / unit)} ${name}`;
  }
  return `${Math.floor(seconds)} s`;
}

/** The element of an amount: short to the eye, exact as its value. */
export function amount(exact, short, className = "") {
  const element = document.createElement("data");
  if (exact === null || exact === undefined) {
    element.textContent = UNKNOWN;
    element.className = "muted";
    return element;
  }
  element.value = exact;
  element.title = exact;
  element.textContent = short;
  element.className = className;
  return element;
}

/** How long ago; ages.js counts on. */
export function ago(iso, staleS) {
  const element = document.createElement("time");
  element.dateTime = iso;
  element.dataset.age = "";
  element.dataset.staleS = staleS;
  element.textContent = age((Date.now() - Date.parse(iso)) / 1000);
  return element;
}
