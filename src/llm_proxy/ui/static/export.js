// An export: how far it has come, asked beside the download, which the browser does by itself.
"use strict";

(() => {
  const find = (id) => document.getElementById(id);
  const form = find("export");
  const total = Number(form.dataset.total) || null;
  const bar = find("export-bar");
  const state = find("export-state");
  const number = new Intl.NumberFormat("en");

  function say(progress) {
    const out = progress.left_out.reduce((sum, one) => sum + one.count, 0);
    const parts = [`${number.format(progress.written)} written`];
    if (out) parts.push(`${number.format(out)} left out: ${progress.left_out.map((one) => `${one.reason} (${number.format(one.count)})`).join(", ")}`);
    state.textContent = `${progress.finished ? "Done: " : ""}${parts.join("; ")}`;
    if (total) bar.max = total;
    if (progress.finished) bar.value = bar.max;
    else if (total) bar.value = Math.min(progress.written + out, total);
  }

  async function watch(token) {
    while (find("export-token").value === token) {
      const answer = await fetch(`/export/progress?token=${token}`);
      const progress = answer.ok ? await answer.json() : null;
      if (progress) say(progress);
      if (progress?.finished) return;
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  }

  form.addEventListener("submit", () => {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const token = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    find("export-token").value = token;
    find("export-progress").hidden = false;
    state.textContent = "Begun";
    bar.removeAttribute("value");
    watch(token);
  });
})();
