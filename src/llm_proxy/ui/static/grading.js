// Grading without the mouse: digits answer, Enter saves. The form works without it.
"use strict";

(() => {
  const form = document.querySelector("form[data-grading]");
  const questions = [...form.querySelectorAll("[data-question]")];
  const comment = form.querySelector("#comment");
  const button = (act) => form.querySelector(`button[value="${act}"]`);
  const isOpen = (question) => {
    const choices = question.querySelectorAll("[data-digit], input[type=radio], input[type=checkbox]");
    return choices.length > 0 && ![...choices].some((choice) => choice.checked);
  };
  let here = Math.max(0, questions.findIndex(isOpen));

  function show() {
    questions.forEach((question, index) => question.toggleAttribute("data-here", index === here));
    questions[here]?.scrollIntoView({ block: "nearest" });
  }

  function go(step) {
    here = Math.min(Math.max(here + step, 0), questions.length - 1);
    const field = questions[here]?.querySelector("input, textarea");
    if (field && !field.matches("[type=radio], [type=checkbox]")) field.focus();
    else document.activeElement.blur();
    show();
  }

  function answer(digit) {
    const choice = questions[here]?.querySelector(`[data-digit="${digit}"]`);
    if (!choice) return;
    choice.checked = choice.type === "radio" || !choice.checked;
    if (choice.type !== "radio") return;
    const next = questions.findIndex((question, index) => index > here && isOpen(question));
    if (next >= 0) here = next;
    show();
  }

  form.addEventListener("focusin", (event) => {
    const at = questions.indexOf(event.target.closest("[data-question]"));
    if (at >= 0) here = at;
    show();
  });

  let saving = false;
  form.addEventListener("submit", (event) => {
    // A key that is held down saves once.
    if (saving) event.preventDefault();
    saving = true;
  });
  addEventListener("pageshow", () => (saving = false));

  const save = () => form.requestSubmit(button("save"));
  const KEYS = {
    j: () => go(1),
    k: () => go(-1),
    s: () => button("skip")?.click(),
    z: () => button("back")?.click(),
    c: () => comment.focus(),
    Enter: save,
  };

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches?.("textarea, select, input:not([type=radio]):not([type=checkbox])");
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "Enter" && event.target.matches?.("textarea")) save();
      return;
    }
    if (typing || event.target.matches?.("button, a, summary")) return;
    const act = /^[0-9]$/.test(event.key) ? () => answer(event.key) : KEYS[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  show();
})();
