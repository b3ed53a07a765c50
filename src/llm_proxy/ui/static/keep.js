// What was opened and filled in on a page is so again after a reload and when one comes back; a link shows it fresh.
"use strict";

(() => {
  const KEPT = `kept:${location.pathname}${location.search}`;
  const folded = () => [...document.querySelectorAll("main details")];
  // A key is not for keeping; what is hidden is the page's own.
  const fields = () =>
    [...document.querySelectorAll("form[data-keep] :is(input, textarea, select)")].filter(
      (field) => field.type !== "password" && field.type !== "hidden",
    );
  const ticks = (field) => field.type === "checkbox" || field.type === "radio";
  const valueOf = (field) => (ticks(field) ? field.checked : field.value);

  function restore() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    const [details, filled] = [folded(), fields()];
    // It is by their order, so it must be the same page still.
    if (kept?.open.length === details.length) for (const [place, open] of kept.open.entries()) details[place].open = open;
    if (kept?.filled.length !== filled.length) return;
    const changed = [];
    for (const [place, value] of kept.filled.entries()) {
      if (valueOf(filled[place]) === value) continue;
      if (ticks(filled[place])) filled[place].checked = value;
      else filled[place].value = value;
      changed.push(filled[place]);
    }
    // Once the other scripts listen, too.
    document.addEventListener("DOMContentLoaded", () => {
      for (const field of changed) for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
    });
  }

  const kind = performance.getEntriesByType("navigation")[0]?.type;
  if (kind === "navigate") sessionStorage.removeItem(KEPT);
  else restore();

  addEventListener("pagehide", () => {
    const [open, filled] = [folded().map((one) => one.open), fields().map(valueOf)];
    if (!open.includes(true) && !filled.length) return sessionStorage.removeItem(KEPT);
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ open, filled }));
    } catch {
      sessionStorage.removeItem(KEPT); // The browser keeps some megabytes and no more.
    }
  });
})();
