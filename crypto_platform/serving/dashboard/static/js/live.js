// What comes from the API: answers, and streams with whether they flow, in words. A page without the
// place for these words has no stream.

const badge = document.querySelector("[data-live]");

function say(text, kind) {
  badge.textContent = text;
  badge.className = `badge ${kind}`;
}

function showSource(store) {
  const where = document.querySelector("[data-where]");
  if (!where) return;
  const isHome = store === where.dataset.home;
  where.textContent = `from ${{ postgres: "PostgreSQL", mongo: "MongoDB" }[store]}${isHome ? "" : ", its mirror"}`;
  where.classList.toggle("warn", !isHome);
}

/** Calls `take` with the content of each event of this name, and `reset` where some were missed; the
    browser connects again by itself. */
export function listen(url, name, take, reset = () => {}) {
  if (!badge) return;
  const stream = new EventSource(url);
  stream.addEventListener("open", () => say("live", "good"));
  stream.addEventListener("error", () => {
    say(stream.readyState === EventSource.CLOSED ? "not live" : "connecting again …", "warn");
  });
  stream.addEventListener(name, (event) => {
    const content = JSON.parse(event.data);
    say("live", "good");
    if (content.source) showSource(content.source);
    take(content);
  });
  stream.addEventListener("reset", reset);
  addEventListener("pagehide", () => stream.close());
}

// Whoever logs out has no session any more while the next page is on its way: what this one asked
// then would be refused, and lead to the log-in page instead.
let isLeaving = false;
document.querySelector("form[action='/logout']")?.addEventListener("submit", () => {
  isLeaving = true;
});

/** JSON of the API, or an Error in its own words; never an answer on a page that is being left. */
export async function ask(path, query) {
  if (isLeaving) return new Promise(() => {});
  let answer;
  try {
    answer = await fetch(`${path}?${new URLSearchParams(query)}`);
  } catch {
    throw new Error("the platform does not answer");
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.status === 401) location.assign(`/login?next=${location.pathname}`);
  if (!answer.ok) throw new Error(content.detail ?? `the platform answers ${answer.status}`);
  return content;
}

/** Shows a panel's content once `read` found some; else that there is none, or why not. */
export async function fill(panel, content, read, empty) {
  const state = panel.querySelector("[data-state]");
  try {
    const found = await read();
    state.textContent = empty;
    state.hidden = found;
    content.hidden = !found;
    content.dataset.filled = found;
    state.classList.remove("down");
  } catch (error) {
    state.textContent = error.message;
    state.classList.add("down");
    state.hidden = false;
    content.hidden = content.dataset.filled !== "true"; // what was there is better than nothing
  }
}
