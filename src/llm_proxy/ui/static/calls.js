// Lists: suggestions for their filter and, over that of calls, a range of time that is drawn in the histogram.
"use strict";

(() => {
  const find = (id) => document.getElementById(id);

  // Suggestions: for the word at the cursor, of what is there; the keys are those of a combobox (ARIA practices).

  const input = find("filter");
  const list = find("suggestions");
  let asked = 0;
  let active = -1;
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", list.id);
  input.setAttribute("aria-expanded", "false");

  // A word ends at a space that is not within quotation marks.
  function wordAt(text, cursor) {
    let start = 0;
    let quoted = false;
    for (let place = 0; place < cursor; place++) {
      if (text[place] === '"' && text[place - 1] !== "\\") quoted = !quoted;
      else if (text[place] === " " && !quoted) start = place + 1;
    }
    return { start, text: text.slice(start, cursor) };
  }

  function close() {
    list.hidden = true;
    list.replaceChildren();
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function choose(text) {
    const word = wordAt(input.value, input.selectionStart);
    const rest = input.value.slice(input.selectionStart);
    const end = text.endsWith(":") ? "" : " ";
    input.value = input.value.slice(0, word.start) + text + end + rest.trimStart();
    const cursor = word.start + text.length + end.length;
    input.setSelectionRange(cursor, cursor);
    if (end) close();
    else suggest();
  }

  function mark(step) {
    const items = list.children;
    if (!items.length) return;
    active = (active + step + items.length + (active < 0 && step < 0 ? 1 : 0)) % items.length;
    for (const [place, item] of [...items].entries()) item.setAttribute("aria-selected", String(place === active));
    input.setAttribute("aria-activedescendant", items[active].id);
    items[active].scrollIntoView({ block: "nearest" });
  }

  async function suggest() {
    // What was marked was of the word as it was before: who types on and presses Enter has not chosen it.
    active = -1;
    input.removeAttribute("aria-activedescendant");
    for (const item of list.children) item.setAttribute("aria-selected", "false");
    const word = wordAt(input.value, input.selectionStart);
    const number = ++asked;
    const answer = await fetch(`${input.dataset.suggest}${encodeURIComponent(word.text)}`);
    const found = answer.ok ? await answer.json() : [];
    if (number !== asked || document.activeElement !== input) return;
    close();
    for (const [place, one] of found.entries()) {
      if (one.text === word.text) continue;
      const item = document.createElement("li");
      item.id = `suggestion-${place}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const code = document.createElement("code");
      code.textContent = one.text;
      item.append(code, one.about ? ` ${one.about}` : "");
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        choose(one.text);
      });
      item.dataset.text = one.text;
      list.append(item);
    }
    list.hidden = !list.children.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
  }

  input.addEventListener("input", suggest);
  input.addEventListener("click", suggest);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) suggest();
      else mark(event.key === "ArrowDown" ? 1 : -1);
    } else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) {
      event.preventDefault();
      choose(list.children[active].dataset.text);
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      close();
    }
  });

  // The range: pressed, drawn and let go.

  const shownAt = (share, since, until) => new Date(since + share * (until - since)).toISOString();
  document.addEventListener("pointerdown", (event) => {
    const picture = event.target.closest?.("#histogram");
    if (!picture || event.button) return;
    event.preventDefault();
    const range = find("histogram-range");
    const box = picture.getBoundingClientRect();
    const width = picture.viewBox.baseVal.width;
    const share = (move) => Math.min(Math.max((move.clientX - box.left) / box.width, 0), 1);
    const from = share(event);
    let to = from;
    picture.setPointerCapture(event.pointerId);
    const draw = (move) => {
      to = share(move);
      range.setAttribute("x", Math.min(from, to) * width);
      range.setAttribute("width", Math.abs(to - from) * width);
    };
    picture.addEventListener("pointermove", draw);
    const end = (up) => {
      picture.removeEventListener("pointermove", draw);
      // A press is no range.
      if (up.type === "pointercancel" || Math.abs(to - from) * box.width < 4) return range.setAttribute("width", 0);
      const [since, until] = [Date.parse(picture.dataset.since), Date.parse(picture.dataset.until)];
      const [first, last] = [Math.min(from, to), Math.max(from, to)].map((one) => shownAt(one, since, until));
      const words = [picture.dataset.base, `since:${first}`, `until:${last}`].filter(Boolean).join(" ");
      location.assign(`/?q=${encodeURIComponent(words)}`);
    };
    picture.addEventListener("pointerup", end, { once: true });
    picture.addEventListener("pointercancel", end, { once: true });
  });
})();
