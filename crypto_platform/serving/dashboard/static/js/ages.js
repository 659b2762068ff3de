// Every <time data-age> says how long ago it was, once a second, and is marked once it is old.

import { age } from "./format.js";

function countAges() {
  const now = Date.now();
  for (const element of document.querySelectorAll("time[data-age]")) {
    const seconds = (now - Date.parse(element.dateTime)) / 1000;
    element.textContent = age(seconds);
    element.classList.toggle("stale", seconds > Number(element.dataset.staleS));
  }
}

setInterval(countAges, 1000);
