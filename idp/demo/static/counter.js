// Keeps the officer's screen current: asks what has changed, swaps those parts of the page, counts down the time.
"use strict";

const ASK_EVERY_MS = 2000;
const news = document.getElementById("news");
let version = shownVersion(document);
let deadlines = new Map();

function shownVersion(page) {
  return page.getElementById("tickets")?.dataset.version;
}

function remember() {
  deadlines = new Map();
  for (const item of document.querySelectorAll("[data-left]")) {
    deadlines.set(item, performance.now() + Number(item.dataset.left) * 1000);
  }
}

function countDown() {
  for (const [item, until] of deadlines) {
    const seconds = Math.max(0, Math.floor((until - performance.now()) / 1000));
    item.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
}

function states() {
  return new Map([...document.querySelectorAll("[data-ticket]")].map((row) => [row.dataset.ticket, row.dataset.state]));
}

/** What a part says, the time left apart. */
function essence(part) {
  const copy = part.cloneNode(true);
  for (const item of copy.querySelectorAll("[data-left]")) {
    item.replaceWith();
  }
  return copy.innerHTML;
}

function swap(page) {
  const before = states();
  const focused = document.activeElement?.closest("[data-live]") ? document.activeElement.getAttribute("href") : null;
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    // A button under the finger must not move away only because time has passed.
    if (fresh && essence(fresh) !== essence(part)) {
      part.replaceChildren(...fresh.childNodes);
    }
  }
  document.title = page.title;
  if (focused) {
    [...document.querySelectorAll("[data-live] a")].find((link) => link.getAttribute("href") === focused)?.focus();
  }
  const changed = [...document.querySelectorAll("[data-ticket]")].filter(
    (row) => before.has(row.dataset.ticket) && before.get(row.dataset.ticket) !== row.dataset.state,
  );
  if (changed.length) {
    news.textContent = changed.map((row) => row.dataset.news).join(" ");
  }
  remember();
}

async function ask() {
  try {
    const known = await fetch("/counter/version", { cache: "no-store" });
    const now = String((await known.json()).version);
    if (now !== version) {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.redirected) {
        location.assign(answer.url);
        return;
      }
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      version = now;
    }
  } catch {
    // Not reachable just now; the next turn asks again.
  }
  setTimeout(ask, ASK_EVERY_MS);
}

remember();
setInterval(countDown, 1000);
setTimeout(ask, ASK_EVERY_MS);
