// Copies, keeps what was typed when a session ends, and asks before it does. Every page is complete without it.
(() => {
  "use strict";
  document.addEventListener("click", async ({ target }) => {
    const id = target.dataset?.copy;
    if (!id) return;
    await navigator.clipboard.writeText(document.getElementById(id).textContent);
    target.textContent = target.dataset.copied || "✓";
  });

  // What was typed, in this tab alone and never a secret: kept under the page's address until the form is sent.
  const KEY = `typed:${location.pathname}`;
  const fields = () => [...document.querySelectorAll("main form[method=post] [name]:not([type=hidden], [data-secret])")];
  const value = (field) => field.type === "checkbox" || field.type === "radio" ? field.checked : field.value;
  const untouched = JSON.stringify(fields().map(value));
  const kept = sessionStorage.getItem(KEY);
  if (kept) {
    const values = JSON.parse(kept);
    const found = fields();
    if (values.length === found.length) {
      found.forEach((field, i) => {
        if (typeof values[i] === "boolean") field.checked = values[i]; else field.value = values[i];
      });
    }
    sessionStorage.removeItem(KEY);
  }
  const changed = () => JSON.stringify(fields().map(value)) !== untouched;
  const keep = () => changed() && sessionStorage.setItem(KEY, JSON.stringify(fields().map(value)));
  let sending = false;
  addEventListener("submit", () => { sending = true; });
  addEventListener("beforeunload", (event) => { if (!sending && changed()) event.preventDefault(); });

  const idle = Number(document.querySelector("main[data-idle]")?.dataset.idle);
  const dialog = document.getElementById("ending");
  if (!idle || !dialog) return;
  let ends;
  const more = () => { ends = Date.now() + idle * 1000; };
  more();
  const stay = dialog.querySelector("[data-stay]");
  stay.addEventListener("click", async () => {
    const answer = await fetch(stay.dataset.stay, { method: "POST", headers: { "X-CSRF-Token": stay.dataset.csrf } });
    if (answer.ok) more();
  });
  const watch = setInterval(() => {
    const left = ends - Date.now();
    if (left < 0) {
      clearInterval(watch); // once: on a slow link the next look would begin the way all over again
      keep();
      sending = true;
      location.reload();
    } else if (left < 120000 && !dialog.open) {
      dialog.showModal();
    }
  }, 5000);
})();
