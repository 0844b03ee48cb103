// Keeps the sign-in page up to date, asks wallets through the browser where it can, and stops double sending. Every
// page is complete without it.
(() => {
  "use strict";
  const sent = new WeakSet(), offline = document.getElementById("offline");
  // Without a connection a step would end at a page of the browser's own: the page keeps what it has, and says so.
  const missing = (yes) => {
    if (offline && yes !== !!offline.textContent) offline.textContent = yes ? offline.dataset.text : "";
    return yes;
  };
  const cut = () => missing(!navigator.onLine);
  let insisted; // some systems say “offline” for ever: the same step a second time is let through
  const stepping = (event) => {
    if (offline && cut() && event.target !== insisted) {
      insisted = event.target;
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  };
  addEventListener("offline", cut);
  addEventListener("online", cut);
  addEventListener("submit", stepping);
  addEventListener("click", (event) => event.target.closest("a")?.protocol.startsWith("http") && stepping(event));
  cut();
  addEventListener("submit", (event) => {
    if (sent.has(event.target)) event.preventDefault();
    sent.add(event.target);
  });
  addEventListener("pageshow", (event) => event.persisted && navigator.onLine && location.reload());

  for (const button of document.querySelectorAll("[data-copy]")) {
    const field = document.getElementById(button.dataset.copy), said = button.nextElementSibling;
    button.hidden = false;
    button.addEventListener("click", () => {
      field.select();
      navigator.clipboard?.writeText(field.value).then(() => { said.textContent = said.dataset.copied; }, () => {});
    });
  }

  // Korean time is on the page; whoever lives elsewhere reads their own beside it.
  for (const place of document.querySelectorAll("[data-local]")) {
    const at = new Date(place.dataset.local), short = "short" in place.dataset;
    if (at.getTimezoneOffset() === -540) continue;
    const time = at.toLocaleString(document.documentElement.lang, {
      dateStyle: short ? undefined : "medium", timeStyle: "short" });
    place.textContent = `· ${place.dataset.text} ${time}`;
    place.hidden = false;
  }

  document.querySelector("form[data-send-at-once]")?.requestSubmit();

  const main = document.querySelector("main[data-status]");
  if (!main) return;
  const { events, status, page, seconds } = main.dataset;
  let { state } = main.dataset, wait = 1500, timer, away, streaming, leaving;
  let asking; // "asking": the browser's window is open; "checking": its answer is on the way

  // A QR code is replaced where it stands: a page that is loaded anew loses the reader's place. The page was given all
  // that have their turn while it lives, and draws them without asking anybody.
  const qr = document.getElementById("qr");
  const coming = JSON.parse(qr?.dataset.later || "[]");
  let freshUntil = Date.now() + 1000 * qr?.dataset.fresh;
  const renew = async () => {
    if (!coming.length || Date.now() < freshUntil || cut()) return;
    const { draw } = await import(qr.dataset.draw).catch(() => ({}));
    if (!draw) qr.dataset.draw += "&"; // some browsers remember what could not be loaded
    let next;
    while (draw && coming.length && Date.now() >= freshUntil) {
      next = coming.shift();
      freshUntil += 1000 * qr.dataset.each;
    }
    if (!next) return;
    const [code, link] = next, drawn = draw(code);
    qr.firstElementChild.setAttribute("viewBox", drawn.viewBox);
    drawn.paths.forEach((path, at) => qr.firstElementChild.children[at].setAttribute("d", path));
    Object.assign(qr.dataset, { link, code });
    document.getElementById("qr-link")?.setAttribute("href", link);
    document.getElementById("qr-copy")?.setAttribute("value", link);
  };

  const goOn = () => { if (!away && !cut()) { leaving = true; location.replace(page); } };
  // Leaving would close the browser's window: then only a sign-in that came through another way counts. An answer on
  // its way is waited for, since it says where to go.
  const held = (next) => asking === "checking" || asking && /^(waiting|fetched)/.test(next);
  const hear = (text) => {
    const next = JSON.parse(text).state;
    // The stream knows that something changed, and not what: it may be what the page itself was told just now.
    if (next === "changed" && asking !== undefined) {
      if (asking !== "checking") look();
    } else if (next !== state && !held(next)) goOn();
  };

  const later = () => { clearTimeout(timer); timer = setTimeout(poll, wait); };
  const look = async () => {
    const known = state; // what is told after a change here may be from before it
    try {
      const answer = await fetch(status, { cache: "no-store" });
      missing(false);
      if (answer.status === 200 && known === state) hear(await answer.text());
      if (!asking && (answer.status === 404 || answer.status === 410)) goOn();
      wait = answer.ok ? Math.min(wait * 1.3, 5000) : Math.min(wait * 2, 60000);
    } catch {
      missing(!leaving);
      wait = Math.min(wait * 2, 60000);
    }
    later();
  };
  const poll = () => {
    clearTimeout(timer);
    if (!streaming && !leaving && !document.hidden && !cut()) look();
  };

  // While a form is being answered, or a wallet that is a web address is on its way into this tab, going on
  // would call the browser back.
  const here = () => {
    clearTimeout(away);
    away = 0;
    if (!leaving && !cut()) look();
  };
  const off = () => {
    clearTimeout(away);
    away = setTimeout(here, 20000);
  };
  addEventListener("submit", off);
  addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link?.protocol.startsWith("http") && !link.target) off();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    here();
    renew();
  });

  // The stream counts from its first message on: a proxy may open it and then hold everything back.
  let stream;
  const listen = () => {
    if (!window.EventSource) return;
    stream = new EventSource(events);
    stream.onmessage = (event) => { streaming = true; missing(false); hear(event.data); };
    stream.onerror = () => { streaming = false; later(); };
  };
  addEventListener("offline", () => { stream?.close(); streaming = false; });
  addEventListener("online", () => { wait = 1500; listen(); here(); });
  if (navigator.onLine) listen();
  later();

  // The minutes are corrected silently; only the last one is announced, once.
  const end = Date.now() + seconds * 1000;
  const notice = document.getElementById("notice");
  const tick = () => {
    const rest = (end - Date.now()) / 1000;
    document.getElementById("minutes").textContent = Math.max(1, Math.ceil(rest / 60));
    if (rest <= 60 && !notice.textContent) notice.textContent = notice.dataset.text;
    renew();
    if (rest < -2 && seconds > 0 && !asking) goOn();
  };
  setInterval(tick, 5000);

  // The browser's own way to a wallet (W3C Digital Credentials API).
  const digital = document.getElementById("digital");
  const requests = digital && window.DigitalCredential?.userAgentAllowsProtocol
    ? JSON.parse(digital.dataset.requests).filter((one) => DigitalCredential.userAgentAllowsProtocol(one.protocol))
    : [];
  if (!requests.length) return;
  const words = document.getElementById("digital-status");
  const say = (...lines) => words.replaceChildren(...lines.map((line) => {
    const p = document.createElement("p");
    p.textContent = line;
    return p;
  }));

  const answered = async ({ protocol, data }) => {
    asking = "checking";
    say(words.dataset.checking);
    const answer = await fetch(digital.dataset.answer, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": document.querySelector("[name=csrf]").value },
      body: JSON.stringify({ protocol, data }),
    });
    const told = await answer.json();
    if (!told.location && !told.title) throw new Error("not ours");
    return told;
  };
  const problem = ({ name }) =>
    asking === "checking" ? "lost" : name === "NotAllowedError" || name === "AbortError" ? "closed" : "unable";
  const show = async () => {
    if (asking || leaving) return;
    asking = "asking";
    say(words.dataset.asking);
    try {
      const answer = await answered(await navigator.credentials.get({ digital: { requests } }));
      if (answer.location) {
        leaving = true;
        location.replace(answer.location);
        return;
      }
      if (answer.state?.startsWith("waiting")) state = answer.state; // the page says it now
      say(answer.title, answer.message, answer.advice, answer.code);
    } catch (error) {
      say(words.dataset[problem(error)]);
    }
    asking = "";
    here();
  };
  document.getElementById("show").addEventListener("click", show);
  digital.hidden = false;
})();
