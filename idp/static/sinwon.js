// Keeps the sign-in page up to date and stops double sending. Every page is complete without it.
(() => {
  "use strict";
  const sent = new WeakSet();
  addEventListener("submit", (event) => {
    if (sent.has(event.target)) event.preventDefault();
    sent.add(event.target);
  });
  addEventListener("pageshow", (event) => event.persisted && location.reload());

  document.querySelector("form[data-send-at-once]")?.requestSubmit();

  const main = document.querySelector("main[data-status]");
  if (!main) return;
  const { state, events, status, page, seconds } = main.dataset;
  let wait = 1500, timer, away, streaming, leaving;

  const goOn = () => { if (!away) { leaving = true; location.replace(page); } };
  const hear = (text) => { if (JSON.parse(text).state !== state) goOn(); };

  const later = () => { clearTimeout(timer); timer = setTimeout(poll, wait); };
  const look = async () => {
    try {
      const answer = await fetch(status, { cache: "no-store" });
      if (answer.status === 200) hear(await answer.text());
      if (answer.status === 404 || answer.status === 410) goOn();
      wait = answer.ok ? Math.min(wait * 1.3, 5000) : Math.min(wait * 2, 60000);
    } catch {
      wait = Math.min(wait * 2, 60000);
    }
    later();
  };
  const poll = () => {
    clearTimeout(timer);
    if (!streaming && !leaving && !document.hidden) look();
  };

  // While a form is being answered, or a wallet that is a web address is on its way into this tab, going on
  // would call the browser back.
  const here = () => {
    clearTimeout(away);
    away = 0;
    if (!leaving) look();
  };
  const off = () => {
    clearTimeout(away);
    away = setTimeout(here, 20000);
  };
  addEventListener("submit", off);
  addEventListener("click", (event) => {
    if (event.target.closest("a")?.protocol.startsWith("http")) off();
  });
  document.addEventListener("visibilitychange", () => document.hidden || here());

  // The stream counts from its first message on: a proxy may open it and then hold everything back.
  if (window.EventSource) {
    const stream = new EventSource(events);
    stream.onmessage = (event) => { streaming = true; hear(event.data); };
    stream.onerror = () => { streaming = false; later(); };
  }
  later();

  // The minutes are corrected silently; only the last one is announced, once.
  const end = Date.now() + seconds * 1000;
  const notice = document.getElementById("notice");
  const tick = () => {
    const rest = (end - Date.now()) / 1000;
    document.getElementById("minutes").textContent = Math.max(1, Math.ceil(rest / 60));
    if (rest <= 60 && !notice.textContent) notice.textContent = notice.dataset.text;
    if (rest < -2 && seconds > 0) goOn();
  };
  setInterval(tick, 5000);
})();
