"use strict";
// The trade-off: its choices, and its picture.

LP.controls = () => {
  const state = LP.state, content = LP.content, about = content.tasks[state.task];
  const set = (name, after = LP.refresh) => (value) => { state[name] = value; after(); };
  const axes = Object.entries(LP.AXES).filter(([name]) => LP.trials.some((t) => t.task === state.task && LP.known(t[name])));
  const splits = (about.metrics[state.metric] || { splits: [] }).splits;
  const curves = [...new Set(LP.trials.filter((t) => t.task === state.task).map((t) => t.curve))];
  const parts = [
    LP.choice("Task", Object.keys(content.tasks).map((t) => [t, t]), state.task, (task) => { LP.setTask(task); LP.refresh(true); }),
    LP.choice("Across", axes.map(([name, axis]) => [name, axis.text]), state.x, set("x")),
    LP.choice("Up", Object.keys(about.metrics).map((m) => [m, m]), state.metric, (metric) => {
      state.metric = metric;
      const known = about.metrics[metric].splits;
      if (!known.includes(state.split)) state.split = known[0];
      LP.refresh(true);
    }),
    LP.choice("On", splits.map((s) => [s, s]), state.split, set("split")),
  ];
  const shows = LP.make("fieldset", {}, LP.make("legend", {}, "Shown"),
    LP.check("log size", state.logX, set("logX")), LP.check("log error", state.logY, set("logY")),
    LP.check("trials", state.trials, set("trials")), LP.check("intervals", state.intervals, set("intervals")),
    LP.check("fronts alone", state.onlyFronts, set("onlyFronts")),
    content.published.length ? LP.check("published", state.published, set("published")) : []);
  const filter = LP.make("fieldset", { id: "filter-curves" }, LP.make("legend", {}, "Curves"), curves.map((curve) =>
    LP.check(LP.curveName(curve), !state.hidden.has(curve), (on) => { state.hidden[on ? "delete" : "add"](curve); LP.refresh(); })));
  LP.fill("controls", ...parts, shows, ...settingFilters(), lmbdaFilter(), filter);

  function settingFilters() {
    const values = new Map();
    for (const trial of LP.trials) {
      if (trial.task !== state.task) continue;
      for (const [name, value] of Object.entries(trial.overrides)) {
        if (!values.has(name)) values.set(name, new Set());
        values.get(name).add(JSON.stringify(value));
      }
    }
    return [...values].filter(([, found]) => found.size <= 24).map(([name, found]) => LP.choice(name,
      [["", "any"], ["null", "not set"], ...[...found].sort().map((text) => [text, text])], state.settings[name] ?? "",
      (value) => { state.settings[name] = value; LP.refresh(); }));
  }

  function lmbdaFilter() {
    const found = [...new Set(LP.trials.filter((t) => t.task === state.task && !t.baseline).map((t) => t.lmbda))].sort((a, b) => a - b);
    if (found.length < 2) return [];
    const options = found.map((value) => [String(value), LP.number(value, 4)]);
    return [["λ from", "low", found[0]], ["to", "high", found[found.length - 1]]].map(([text, name, end]) =>
      LP.choice(text, options, String(state[name] ?? end), (value) => { state[name] = Number(value) === end ? null : Number(value); LP.refresh(); }));
  }
};

/** Lays out the axis of a metric: fractions and losses by their error, on a log axis, better up. */
LP.metricAxis = (values, about) => {
  const scale = LP.scale(about.unit), higher = about.direction !== "lower";
  const loss = (v) => (higher ? 1 - v : v);
  const log = LP.state.logY && (about.unit === "%" || !higher) && values.every((v) => loss(v) >= 0);
  if (!log) return { place: (v) => v, layout: { autorange: higher ? true : "reversed", tickformat: about.unit === "%" ? ".2%" : "" } };
  const losses = values.map(loss).filter((v) => v > 0);
  const floor = losses.length ? Math.min(...losses) / 2 : 1e-4;
  const worst = Math.max(floor * 2, ...losses), best = values.some((v) => loss(v) <= 0) ? floor : Math.min(worst, ...losses);
  const [low, high] = [best / 1.15, worst * 1.15];
  const ticks = LP.niceTicks(low, high);
  return {
    place: (v) => Math.max(loss(v), floor),
    layout: { type: "log", range: [Math.log10(high), Math.log10(low)], tickvals: ticks,
      ticktext: ticks.map((v) => LP.number(scale.factor * (higher ? 1 - v : v), 6)) },
  };
};

LP.niceTicks = (low, high) => {
  for (const steps of [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const step of steps) {
        const tick = Number((step * 10 ** power).toPrecision(3));
        if (tick >= low && tick <= high) ticks.push(tick);
      }
    }
    if (ticks.length <= 9) return ticks.length > 1 ? ticks : [low, high].map((v) => Number(v.toPrecision(3)));
  }
  return [low, high];
};

LP.tradeoff = () => {
  const state = LP.state, about = LP.about(state.task, state.metric), axis = LP.AXES[state.x];
  const scale = LP.scale(about.unit), unit = about.unit ? ` (${about.unit})` : "";
  const trials = LP.filtered().filter((t) => t.status === "ok" && LP.known(t[state.x]) && LP.known(LP.value(t)));
  const means = LP.means(LP.filtered()).filter((m) => LP.known(m.x) && LP.known(m.y));
  const theirs = state.published && state.x === "size_bytes"
    ? LP.content.published.filter((p) => p.task === state.task && p.metric_name === state.metric && LP.known(p.size_bytes)) : [];
  if (!means.length) {
    LP.clear("figure");
    LP.fill("figure-text", "No trial that the filters let through has both numbers.");
    return;
  }
  const metric = LP.metricAxis([...trials.map((t) => LP.value(t)), ...theirs.map((p) => p.metric)], about);
  const traces = [], baseline = means.filter((m) => m.baseline), others = means.filter((m) => !m.baseline);
  const place = (v) => metric.place(v);
  for (const curve of [...new Set(others.map((m) => m.curve))]) {
    const look = LP.content.curves[curve], color = LP.curveColor(look), marker = LP.MARKERS[look.marker ?? 0];
    let own = others.filter((m) => m.curve === curve).sort((a, b) => a.lmbda - b.lmbda);
    if (state.onlyFronts) own = own.filter((m) => m.front);
    const single = new Set(own.map((m) => JSON.stringify(m.overrides))).size === 1;
    const line = single ? own : own.filter((m) => ownFront(own).has(m)).sort((a, b) => a.size_bytes - b.size_bytes);
    if (state.trials && trials.length <= 3000) {
      const dots = trials.filter((t) => t.curve === curve);
      traces.push({ type: "scatter", mode: "markers", x: dots.map((t) => t[state.x]), y: dots.map((t) => place(LP.value(t))),
        customdata: dots.map((t) => t.identity), marker: { color, size: 5, opacity: 0.45 }, hoverinfo: "text",
        text: dots.map((t) => LP.safe(`${LP.trialName(t)}: ${axis.show(t[state.x])}, ${LP.shown(LP.value(t), scale)}${unit}`)), showlegend: false });
    }
    traces.push({ type: "scatter", mode: "lines", x: line.map((m) => m.x), y: line.map((m) => place(m.y)), hoverinfo: "skip", showlegend: false,
      line: { color, width: 1.6, dash: LP.DASHES[look.line ?? 0] } });
    traces.push({ type: "scatter", mode: "markers", name: LP.safe(look.label), x: own.map((m) => m.x), y: own.map((m) => place(m.y)),
      customdata: own.map((m) => m.key), hoverinfo: "text", showlegend: true,
      text: own.map((m) => LP.safe(`${look.label} λ=${LP.number(m.lmbda, 4)}, ${m.n} seeds: ${axis.show(m.x)}, ${LP.shown(m.y, scale)}${unit}`)),
      marker: { symbol: own.map((m) => (m.front ? marker : `${marker}-open`)), color, size: own.map((m) => (m.front ? 11 : 8)), line: { width: 1.5, color } },
      ...(state.intervals ? { error_x: bars(own, "x", (v) => v), error_y: bars(own, "y", place) } : {}) });
  }
  // The uncompressed model is far off the axis: a line at its height, which says how large it is.
  const xs = [...(others.length ? others : means).map((m) => m.x), ...(state.trials ? trials.filter((t) => !t.baseline || !others.length).map((t) => t[state.x]) : []), ...theirs.map((p) => p.size_bytes)];
  const logX = state.logX && xs.every((v) => v > 0), left = Math.min(...xs), right = Math.max(...xs);
  const span = logX ? [left / 1.15, right * 1.15] : [left - 0.05 * (right - left || 1), right + 0.05 * (right - left || 1)];
  baseline.forEach((m, i) => {
    const text = LP.safe(`uncompressed: ${LP.shown(m.y, scale)}${about.unit === "%" ? "%" : ""}, ${axis.show(m.x)}`);
    traces.push({ type: "scatter", mode: "lines", name: text, showlegend: i < 3, x: span, y: span.map(() => place(m.y)), customdata: span.map(() => m.key),
      hoverinfo: "text", text: [text, text], line: { color: LP.color("--text"), width: 1.2, dash: "dash" } });
  });
  if (theirs.length) {
    traces.push({ type: "scatter", mode: "markers", name: "published", showlegend: true, x: theirs.map((p) => p.size_bytes), y: theirs.map((p) => place(p.metric)),
      hoverinfo: "text", text: theirs.map((p) => LP.safe(`${p.algorithm}, ${p.source} [${p.grade}]: ${LP.bytes(p.size_bytes)}, ${LP.shown(p.metric, scale)}${unit}`)),
      marker: { symbol: "hexagon", size: 9, color: LP.color("--quiet") } });
  }
  const ticks = logX ? LP.niceTicks(...span) : null;
  LP.draw("figure", traces, {
    xaxis: { title: { text: LP.safe(axis.text) }, type: logX ? "log" : "linear", range: logX ? span.map(Math.log10) : span, ...(ticks ? { tickvals: ticks, ticktext: ticks.map(axis.show) } : {}) },
    yaxis: { title: { text: LP.safe(`${state.split} ${state.metric}${unit}`) }, ...metric.layout },
    showlegend: true, legend: { orientation: "h", y: -0.2 }, margin: { l: 70, r: 15, t: 10, b: 50 },
  }).then((figure) => {
    figure.removeAllListeners("plotly_click");
    figure.on("plotly_click", (event) => LP.choose(event.points[0].customdata));
  });
  const lost = LP.filtered().filter((t) => t.status !== "ok").length;
  LP.fill("figure-text", `${trials.length} trials in ${means.length} points${lost ? `; ${lost} without a model are below` : ""}. Filled: Pareto-optimal on `
    + `${LP.content.tasks[state.task].chosen_on}, by size. Bars: 95% intervals over three seeds or more. A click on a point opens its trial.`);

  function bars(own, name, to) {
    const ends = own.map((m) => [m[name] - (m[`${name}_ci`] ?? 0), m[name] + (m[`${name}_ci`] ?? 0)].map((v) => to(name === "x" ? Math.max(v, m.x / 50) : v)));
    const centre = own.map((m) => to(m[name]));
    return { type: "data", symmetric: false, thickness: 0.8, width: 3, color: `${LP.curveColor(LP.content.curves[own[0].curve])}99`, array: ends.map((e, i) => Math.max(...e) - centre[i]),
      arrayminus: ends.map((e, i) => centre[i] - Math.min(...e)) };
  }

  function ownFront(own) {
    const known = own.filter((m) => LP.known(m.good) && LP.known(m.size_bytes));
    const optimal = LP.front(known.map((m) => m.size_bytes), known.map((m) => m.good));
    return new Set(known.filter((_, i) => optimal[i]));
  }
};
