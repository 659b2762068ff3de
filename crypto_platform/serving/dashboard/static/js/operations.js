// The page reads itself again: what it shows is the server's own HTML, replaced in place.

const EVERY_MS = 5000;

async function refresh() {
  const badge = document.querySelector("[data-fresh]");
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) throw new Error();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["[data-refresh]", "[data-fresh]"]) {
      document.querySelector(part).replaceWith(page.querySelector(part));
    }
  } catch {
    badge.classList.add("warn");
    badge.textContent = `${badge.textContent.split(",")[0]}, not answering`;
  }
  setTimeout(refresh, EVERY_MS);
}

setTimeout(refresh, EVERY_MS);
