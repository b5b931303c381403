"use strict";
// Two trials side by side: per class, example by example, weight by weight.

LP.renderPair = () => {
  const state = LP.state, done = LP.trials.filter((t) => t.task === state.task && t.status === "ok");
  const said = (LP.content.examples || {})[state.task];
  const options = done.slice(0, 1000).map((t) => [t.identity, `${LP.trialName(t)}, ${LP.bytes(t.size_bytes)}${said && said.predicted[t.identity] ? "" : " (no examples here)"}`]);
  if (options.length < 2) { LP.fill("pair-choice"); LP.fill("pair-body", LP.make("p", {}, "Two finished trials of a task can be compared.")); return; }
  LP.fill("pair-choice",
    LP.choice("A", options, state.a, (v) => { state.a = v; LP.renderPair(); }),
    LP.choice("B", options, state.b, (v) => { state.b = v; LP.renderPair(); LP.renderTrial(); }),
    LP.make("button", { type: "button", onclick: () => { [state.a, state.b] = [state.b, state.a]; LP.renderPair(); LP.renderTrial(); } }, "Swap"));
  const a = LP.byIdentity.get(state.a), b = LP.byIdentity.get(state.b);
  const parts = [facts(a, b)];
  if (said && said.predicted[a.identity] && said.predicted[b.identity]) parts.push(...flips(said, a, b));
  else if (said) parts.push(LP.make("p", { class: "note" }, `What models said of single examples is here for ${Object.keys(said.predicted).length} trials: the Pareto-optimal ones first. `
    + "lambdapress compare A B has it for any two."));
  parts.push(weights(a, b));
  LP.fill("pair-body", parts);
  drawClasses(said, a, b);

  function facts(a, b) {
    const rows = [["size (bytes)", LP.number(a.size_bytes), LP.number(b.size_bytes), b.size_bytes <= a.size_bytes ? `${LP.number(a.size_bytes / b.size_bytes, 3)}× smaller` : `${LP.number(b.size_bytes / a.size_bytes, 3)}× larger`]];
    for (const [name, one] of Object.entries(LP.content.tasks[state.task].metrics)) {
      for (const split of one.splits) {
        const [v, w] = [a, b].map((t) => t.values[`${name}:${split}`]), scale = LP.scale(one.unit);
        if (LP.known(v) && LP.known(w)) rows.push([`${name}${one.unit ? ` (${one.unit})` : ""}, ${split}`, LP.shown(v, scale), LP.shown(w, scale), LP.shown(w - v, scale)]);
      }
    }
    return LP.make("div", { class: "scroll" }, LP.table("A and B", ["", "A", "B", "B − A"], rows));
  }

  function unpack(said, trial) { return { predicted: LP.decode(said.predicted[trial.identity]), probability: said.probability[trial.identity] ? LP.decode(said.probability[trial.identity]) : null }; }

  function flips(said, a, b) {
    const labels = LP.decode(said.labels), x = unpack(said, a), y = unpack(said, b);
    let lost = 0, won = 0;
    labels.forEach((label, i) => { const before = x.predicted[i] === label, after = y.predicted[i] === label; lost += before && !after; won += !before && after; });
    const parts = [LP.make("p", { id: "flips" }, `Of ${LP.number(labels.length)} examples ${LP.number(lost)} are right in A and wrong in B, and ${LP.number(won)} wrong in A and right in B.`),
      LP.make("h3", { id: "pair-classes-title" }, "Change of each class's accuracy, B − A, in points"), LP.make("div", { id: "pair-classes", class: "figure", role: "img", "aria-labelledby": "pair-classes-title" })];
    if (said.pictures) {
      const shown = said.pictures.examples.map((example, i) => [example, i]).filter(([example]) => (x.predicted[example] === labels[example]) !== (y.predicted[example] === labels[example]));
      parts.push(LP.make("h3", {}, "Examples on which they disagree"));
      parts.push(shown.length ? pictures(said.pictures, shown.slice(0, 32), labels, x, y) : LP.make("p", { class: "note" }, "None of the pictures that are here."));
      if (shown.length < lost + won) parts.push(LP.make("p", { class: "note" }, `${shown.length} of ${lost + won} have a picture here.`));
    }
    return parts;
  }

  function pictures(sheet, shown, labels, x, y) {
    const list = LP.make("ul", { class: "pictures" });
    const image = new Image();
    image.src = sheet.sheet;
    for (const [example, i] of shown) {
      const canvas = LP.make("canvas", { width: sheet.width, height: sheet.height, role: "img", "aria-label": `example ${example}, class ${labels[example]}` });
      image.decode().then(() => canvas.getContext("2d").drawImage(image, (i % sheet.across) * sheet.width, Math.floor(i / sheet.across) * sheet.height,
        sheet.width, sheet.height, 0, 0, sheet.width, sheet.height), () => {});
      const say = (one) => `${one.predicted[example]}${one.probability ? ` (${Math.round((100 * one.probability[example]) / 255)}%)` : ""}`;
      list.append(LP.make("li", {}, canvas, LP.make("div", {}, `#${example}: class ${labels[example]}`),
        LP.make("div", { class: x.predicted[example] === labels[example] ? "better" : "worse" }, `A: ${say(x)}`),
        LP.make("div", { class: y.predicted[example] === labels[example] ? "better" : "worse" }, `B: ${say(y)}`)));
    }
    return list;
  }

  function drawClasses(said, a, b) {
    if (!LP.at("pair-classes")) return;
    const labels = LP.decode(said.labels), x = unpack(said, a), y = unpack(said, b);
    const rows = Array.from({ length: said.classes }, (_, label) => ({ label, count: 0, change: 0, lost: 0, won: 0 }));
    labels.forEach((label, i) => {
      const row = rows[label], before = x.predicted[i] === label, after = y.predicted[i] === label;
      row.count += 1; row.change += after - before; row.lost += before && !after; row.won += !before && after;
    });
    const known = rows.filter((row) => row.count);
    const values = known.map((row) => (100 * row.change) / row.count);
    LP.draw("pair-classes", [{ type: "bar", x: known.map((row) => String(row.label)), y: values, marker: { color: values.map((v) => LP.color(v < 0 ? "--bad" : "--good")) },
      text: known.map((row) => `−${row.lost} +${row.won}`), textposition: "outside", cliponaxis: false, hovertemplate: "class %{x}: %{y:.2f} points (%{text})<extra></extra>" }],
    { xaxis: { type: "category", title: { text: "class" } }, yaxis: { title: { text: "points" } }, height: 300 });
  }

  function weights(a, b) {
    const [first, second] = [a, b].map((t) => new Map(LP.weightsOf(t)));
    const shared = [...first.keys()].filter((path) => second.has(path));
    if (!shared.length) return LP.make("p", { class: "note" }, "Bytes by weight are not here for both.");
    const rows = shared.slice(0, 300).map((path) => [path, LP.number(first.get(path)), LP.number(second.get(path)),
      second.get(path) ? `${LP.number(first.get(path) / second.get(path), 3)}×` : ""]);
    return LP.make("details", { open: rows.length <= 12 }, LP.make("summary", {}, "Weight by weight"), LP.make("div", { class: "scroll" }, LP.table("Bytes", ["weight", "A", "B", "A to B"], rows)));
  }
};
