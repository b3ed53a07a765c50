// The pictures of the dashboard. Each point leads to its calls; the tables have the same numbers without a picture.
"use strict";

(() => {
  const plots = document.querySelector("#plots");
  if (!plots) return;
  const series = JSON.parse(plots.dataset.series);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value, digits = 3) => (value == null ? "–" : value.toLocaleString("en", { maximumSignificantDigits: digits }));
  const seconds = (value) =>
    value == null ? "–" : value < 1 ? `${short(value * 1000)} ms` : value < 120 ? `${short(value)} s` : `${short(value / 60)} min`;
  const thousands = (value) =>
    value == null ? "–" : value >= 1e6 ? `${short(value / 1e6)} M` : value >= 1e4 ? `${short(value / 1e3)} k` : short(value);
  const dollars = (value) => (value == null ? "–" : `$${short(value)}`);
  const percentiles = (of) => [
    { label: "p50", values: of.p50, stroke: "--accent" },
    { label: "p95", values: of.p95, stroke: "--running" },
    { label: "p99", values: of.p99, stroke: "--bad" },
  ];
  const KINDS = {
    calls: {
      show: thousands,
      lines: [
        { label: "calls", values: series.calls, stroke: "--accent", bars: true },
        { label: "failed", values: series.failed, stroke: "--bad", bars: true },
        { label: "before", values: series.earlier, stroke: "--muted", dash: [4, 4] },
      ],
    },
    latency: { show: seconds, lines: percentiles(series.latency) },
    ttft: { show: seconds, lines: percentiles(series.ttft) },
    speed: { show: thousands, lines: percentiles(series.speed) },
    overhead: { show: seconds, lines: percentiles(series.overhead) },
    tokens: {
      show: thousands,
      lines: [
        { label: "in", values: series.input, stroke: "--accent" },
        { label: "out", values: series.output, stroke: "--good" },
      ],
    },
    cost: { show: dollars, lines: [{ label: "cost", values: series.cost, stroke: "--accent", bars: true }] },
  };
  const days = (series.times.at(-1) - series.times[0]) / 86400;
  const told = days < 2 ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { day: "numeric", month: "short" };
  const clock = (at) => new Date(at * 1000).toLocaleString("en-GB", told);
  const said = (at) => new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  const whole = `${said(series.times[0])} to ${said(series.times.at(-1))}`;
  const sync = uPlot.sync("dashboard");
  let drawn = [];

  function draw(place) {
    const kind = KINDS[place.dataset.plot];
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const plot = new uPlot(
      {
        width: place.clientWidth,
        height: 190,
        cursor: { sync: { key: sync.key }, drag: { x: false, y: false }, points: { size: 6 } },
        legend: { live: true },
        scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
        axes: [
          { ...axis, space: 70, size: 32, values: (_, ticks) => ticks.map(clock) },
          { ...axis, size: 62, values: (_, ticks) => ticks.map(kind.show) },
        ],
        series: [
          { label: "", value: (_, at) => (at == null ? whole : said(at)) },
          ...kind.lines.map((line) => ({
            label: line.label,
            stroke: colour(line.stroke),
            width: line.bars ? 1 : 1.5,
            dash: line.dash,
            fill: line.bars ? colour(line.stroke) : undefined,
            paths: line.bars ? uPlot.paths.bars({ size: [0.8, 40] }) : undefined,
            points: { show: !line.bars && line.values.filter((value) => value != null).length < 3, size: 5 },
            spanGaps: true,
            // Without a point under the pointer there is nothing to tell.
            value: (of, value) => (value === null && of.cursor.idx == null ? "" : kind.show(value)),
          })),
        ],
      },
      [series.times, ...kind.lines.map((line) => line.values)],
      place,
    );
    plot.over.addEventListener("click", () => {
      const at = plot.cursor.idx;
      if (at != null && series.calls[at]) location.assign(series.hrefs[at]);
    });
    return plot;
  }

  function drawAll() {
    for (const plot of drawn) plot.destroy();
    drawn = [...plots.querySelectorAll("[data-plot]")].map(draw);
    plots.dataset.drawn = String(drawn.length);
  }

  let width = 0;
  new ResizeObserver(() => {
    if (plots.clientWidth === width) return;
    width = plots.clientWidth;
    drawAll();
  }).observe(plots);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
