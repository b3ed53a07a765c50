// One call: its answer once more, piece by piece, at the times that were recorded.
"use strict";

(() => {
  const find = (id) => document.getElementById(id);
  const button = find("replay-button");
  if (!button) return;
  const [panel, stage, play, place, time, speed] = ["", "-stage", "-play", "-place", "-time", "-speed"].map((end) =>
    find(`replay${end}`),
  );
  let beats = null;
  let shown = 0;
  let at = 0;
  let total = 0;
  let then = null;
  let frame = 0;

  // Pieces of one kind that follow each other are one element, however many they are.
  function show(beat) {
    const last = stage.lastElementChild;
    if (last?.dataset.kind === beat.kind) {
      last.append(beat.text);
      return;
    }
    const piece = document.createElement("span");
    piece.dataset.kind = beat.kind;
    piece.append(beat.text);
    stage.append(piece);
  }

  function draw() {
    const toEnd = stage.scrollHeight - stage.scrollTop - stage.clientHeight < 40;
    if (shown && beats[shown - 1].at_s > at) {
      stage.replaceChildren();
      shown = 0;
    }
    while (shown < beats.length && beats[shown].at_s <= at) show(beats[shown++]);
    if (toEnd) stage.scrollTop = stage.scrollHeight;
    place.value = total ? Math.round((at / total) * 1000) : 0;
    const text = `${at.toFixed(2)} s of ${total.toFixed(2)} s`;
    time.textContent = text;
    place.setAttribute("aria-valuetext", text);
  }

  function tick(now) {
    at = Math.min(at + ((now - (then ?? now)) / 1000) * Number(speed.value), total);
    then = now;
    draw();
    if (at < total) frame = requestAnimationFrame(tick);
    else hold();
  }

  function hold() {
    cancelAnimationFrame(frame);
    frame = 0;
    then = null;
    play.textContent = at < total ? "Play" : "Again";
  }

  function go() {
    if (at >= total) at = 0;
    play.textContent = "Pause";
    then = null;
    frame = requestAnimationFrame(tick);
  }

  button.addEventListener("click", async () => {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (panel.hidden) return hold();
    if (!beats) {
      play.disabled = place.disabled = true;
      const answer = await fetch(button.dataset.from);
      beats = answer.ok ? await answer.json() : [];
      total = beats.at(-1)?.at_s ?? 0;
    }
    play.disabled = place.disabled = !beats.length;
    if (beats.length) go();
    else stage.textContent = "Nothing that was said in pieces is recorded of this call.";
  });
  play.addEventListener("click", () => (frame ? hold() : beats.length && go()));
  place.addEventListener("input", () => {
    hold();
    at = (Number(place.value) / 1000) * total;
    draw();
    hold();
  });
})();
