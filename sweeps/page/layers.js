"use strict";
// Along λ: what each weight takes, and where the network gives way first.

LP.renderLayers = () => {
  const state = LP.state;
  const curves = [...new Set(LP.trials.filter((t) => t.task === state.task && t.status === "ok" && !t.baseline && LP.content.details[t.identity]).map((t) => t.curve))];
  LP.fill("layers-table");
  if (!curves.length) {
    LP.fill("layers-choice", LP.make("p", {}, "No curve of this task has bytes by weight on this page."));
    LP.clear("layers-bytes"); LP.clear("layers-bits");
    return;
  }
  if (!curves.includes(state.curve)) state.curve = curves[0];
  LP.fill("layers-choice", LP.choice("Curve", curves.map((c) => [String(c), LP.curveName(c)]), String(state.curve), (v) => { state.curve = Number(v); LP.renderLayers(); }));
  const groups = new Map();
  for (const trial of LP.trials) {
    if (trial.curve !== state.curve || trial.status !== "ok" || !LP.content.details[trial.identity]) continue;
    const key = `${trial.lmbda} ${JSON.stringify(trial.overrides)}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(trial);
  }
  const several = new Set([...groups.values()].map(([t]) => JSON.stringify(t.overrides))).size > 1;
  const points = [...groups.values()].map((own) => ({
    lmbda: own[0].lmbda, size: LP.mean(own.map((t) => t.size_bytes)), weights: new Map(meanWeights(own)),
    name: LP.number(own[0].lmbda, 4), settings: several ? LP.settingsText(own[0].overrides) : "",
  })).sort((a, b) => a.lmbda - b.lmbda || b.size - a.size).slice(0, 60);
  const names = unique(points.map((point) => point.name));
  const paths = [...new Set(points.flatMap((point) => [...point.weights.keys()]))];
  const total = (path) => points.reduce((sum, point) => sum + (point.weights.get(path) ?? 0), 0);
  const largest = [...paths].sort((a, b) => total(b) - total(a)).slice(0, 12);
  const rest = paths.filter((path) => !largest.includes(path));
  const palette = LP.content.colors[LP.dark() ? "dark" : "light"];
  const stacks = largest.map((path, i) => bar(path, points.map((p) => p.weights.get(path) ?? 0), palette[i % palette.length], ["", "/", "x", "."][Math.floor(i / palette.length)]));
  if (rest.length) stacks.push(bar(`${rest.length} others`, points.map((p) => rest.reduce((sum, path) => sum + (p.weights.get(path) ?? 0), 0)), LP.color("--quiet"), "-"));
  stacks.push(bar("container", points.map((p) => Math.max(0, p.size - [...p.weights.values()].reduce((x, y) => x + y, 0))), LP.color("--line"), ""));
  LP.draw("layers-bytes", stacks, { barmode: "stack", showlegend: true, legend: { orientation: "h", y: -0.25 }, height: 460,
    xaxis: { type: "category", title: { text: "λ" } }, yaxis: { title: { text: "bytes, mean over seeds" } } });
  const sizes = new Map((LP.content.paths[state.task] || []).map((path, i) => [path, (LP.content.elements[state.task] || [])[i]]));
  const counted = paths.filter((path) => LP.known(sizes.get(path)) && sizes.get(path) > 0);
  if (!counted.length) { LP.clear("layers-bits"); return; }
  const bits = counted.map((path) => points.map((p) => (p.weights.has(path) ? (8 * p.weights.get(path)) / sizes.get(path) : null)));
  LP.draw("layers-bits", [{ type: "heatmap", x: names, y: counted.map(LP.safe), z: bits.map((row) => row.map((v) => (v > 0 ? Math.log2(v) : null))), text: bits.map((row) => row.map((v) => LP.number(v, 3))),
    texttemplate: points.length * counted.length <= 400 ? "%{text}" : "", hovertemplate: "%{y}, λ %{x}: %{text} bits<extra></extra>", colorscale: "Viridis", showscale: false }],
  { title: { text: "bits per element", font: { size: 13 } }, height: 110 + 24 * counted.length, xaxis: { type: "category", title: { text: "λ" } }, yaxis: { autorange: "reversed" }, margin: { l: 10, r: 10, t: 40, b: 45 } });
  LP.fill("layers-table", LP.make("details", {}, LP.make("summary", {}, "The same as a table"), LP.make("div", { class: "scroll" },
    LP.table("Bits per element", ["weight", ...points.map((point) => `λ ${point.name} ${point.settings}`)], counted.map((path, i) => [path, ...bits[i].map((v) => LP.number(v, 3))])))));

  function bar(name, values, color, shape) {
    return { type: "bar", name: LP.safe(name), x: names, y: values, marker: { color, pattern: { shape } }, hoverinfo: "text", textposition: "none",
      text: values.map((v, i) => LP.safe(`${name}: ${LP.number(Math.round(v))} bytes at λ = ${points[i].name} ${points[i].settings}`)) };
  }
  function meanWeights(own) {
    const all = own.map((trial) => new Map(LP.weightsOf(trial)));
    return [...all[0].keys()].map((path) => [path, LP.mean(all.map((one) => one.get(path) ?? 0))]);
  }
  function unique(texts) {
    const seen = new Map();
    return texts.map((text) => { const n = (seen.get(text) ?? 0) + 1; seen.set(text, n); return LP.safe(n > 1 ? `${text} (${n})` : text); });
  }
};
