// The keys, the live tail and the copy buttons. Every page works without it.
"use strict";

(() => {
  const MAX_ROWS = 300;
  const find = (selector) => document.querySelector(selector);
  document.documentElement.classList.add("scripted");

  // Lists: the call that is gone to has the focus, so that Enter opens it and the back button finds it again.

  const links = () => [...document.querySelectorAll("#rows a.open")];
  const place = `place:${location.pathname}${location.search}`;

  function go(step) {
    const all = links();
    const here = all.indexOf(document.activeElement);
    const next = all[here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + step, 0), all.length - 1)];
    if (next) {
      next.focus({ preventScroll: true });
      next.closest("tr").scrollIntoView({ block: "nearest" });
    }
  }

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.("#rows tr");
    if (row) sessionStorage.setItem(place, row.id);
  });
  const left = sessionStorage.getItem(place);
  const kind = performance.getEntriesByType("navigation")[0]?.type;
  if (left && kind !== "navigate") document.getElementById(left)?.querySelector("a.open")?.focus();

  // Two calls to compare: the one that is marked first is kept, and the second one leads on.

  const MARK = "compare";
  const idOf = (row) => row?.id.replace(/^call-/, "");
  const showMark = () => {
    for (const row of document.querySelectorAll("#rows tr"))
      row.classList.toggle("marked", idOf(row) === sessionStorage.getItem(MARK));
  };
  function compare() {
    const row = document.activeElement?.closest("#rows tr");
    const id = row?.querySelector("a.open[href^='/calls/']") && idOf(row);
    const other = sessionStorage.getItem(MARK);
    if (!id) return;
    if (other && other !== id) {
      sessionStorage.removeItem(MARK);
      location.assign(`/compare?a=${encodeURIComponent(other)}&b=${encodeURIComponent(id)}`);
    } else {
      if (other) sessionStorage.removeItem(MARK);
      else sessionStorage.setItem(MARK, id);
      showMark();
    }
  }
  showMark();
  // It is in the URL, so that it is still so after a reload and for whoever gets the link.
  const only = find("#only-differences");
  if (only) {
    const url = new URL(location.href);
    const show = () => document.body.classList.toggle("only-differences", only.checked);
    only.checked = url.searchParams.has("only");
    show();
    only.addEventListener("change", () => {
      if (only.checked) url.searchParams.set("only", "differences");
      else url.searchParams.delete("only");
      history.replaceState(history.state, "", url);
      show();
    });
  }

  // What this page has nothing for is left out of the help.
  function help() {
    for (const line of document.querySelectorAll("#keys [data-needs]")) line.hidden = !find(line.dataset.needs);
    find("#keys").showModal();
  }

  const follow = (selector) => find(selector)?.click();
  const KEYS = {
    j: () => go(1),
    k: () => go(-1),
    "/": () => find("#filter")?.select(),
    "?": help,
    p: () => follow("#live-button"),
    o: () => follow(".paging:not([hidden]) #older:not([hidden])"),
    i: () => follow("[data-newer]"),
    n: () => follow("[data-newest]"),
    "[": () => follow("[data-before]"),
    "]": () => follow("[data-after]"),
    u: () => follow("[data-up]"),
    r: () => follow("#replay-button"),
    d: () => follow("[data-compare]"),
    x: compare,
    e: () => follow("[data-again]"),
    Escape: () => document.activeElement.blur(),
  };

  // A first key, after which a second one says to which page.
  let going = false;

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, textarea, select");
    if (event.ctrlKey || event.metaKey || event.altKey || find("#keys").open) return;
    if (typing && event.key !== "Escape") return;
    const to = going && find(`[data-go="${CSS.escape(event.key)}"]`);
    going = event.key === "g" && !going;
    const act = to ? () => to.click() : KEYS[event.key];
    if (act) {
      event.preventDefault();
      // What a page has on this key besides is not meant.
      if (to) event.stopImmediatePropagation();
      act();
    }
  });
  find("[data-keys]").addEventListener("click", KEYS["?"]);

  // Copying.

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // Without HTTPS and not on this machine a browser has no clipboard for pages; one key is left to press.
        getSelection().selectAllChildren(source);
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }

  // The live tail: what comes is put in by htmx, and this keeps the list short and says how it stands.

  const template = find("#live-tail");
  if (!template) return;
  const state = find("#live-state");
  const button = find("#live-button");
  const say = (name, text) => {
    state.dataset.state = name;
    state.textContent = text;
  };
  let focused = null;

  function start() {
    document.body.append(template.content.cloneNode(true));
    const tail = find("#tail");
    tail.addEventListener("htmx:sse:after:connection", () => say("live", "live"));
    tail.addEventListener("htmx:sse:error", () => say("waiting", "connection lost; trying again"));
    tail.addEventListener("full", () => say("waiting", "too many live lists; trying again"));
    tail.addEventListener("htmx:sse:before:message", () => {
      focused = document.activeElement?.closest("#rows tr")?.id ?? null;
    });
    tail.addEventListener("htmx:sse:after:message", settle);
    htmx.process(tail);
  }

  function settle() {
    if (focused) document.getElementById(focused)?.querySelector("a.open")?.focus({ preventScroll: true });
    const rows = find("#rows").children;
    if (rows.length <= MAX_ROWS) return;
    while (rows.length > MAX_ROWS) rows[rows.length - 1].remove();
    const older = find("#older");
    const url = new URL(older.dataset.base, location.href);
    url.searchParams.set("after", rows[rows.length - 1].dataset.key);
    older.href = url;
    find(".paging").hidden = false;
  }

  button.addEventListener("click", () => {
    const tail = find("#tail");
    if (tail) {
      htmx.swap({ text: "", target: tail, swap: "delete", sourceElement: tail });
      say("held", "held");
      button.textContent = "Go on";
    } else {
      say("waiting", "connecting");
      button.textContent = "Hold";
      start();
    }
  });
  // After htmx has gone through the page by itself.
  document.addEventListener("DOMContentLoaded", start);
  // A page that the browser had kept whole comes back without its connection: what it missed comes with a new one.
  addEventListener("pageshow", (event) => {
    if (!event.persisted || !find("#tail")) return;
    button.click();
    button.click();
  });
})();
