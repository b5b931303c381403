"use strict";
// One trial: its config, training, bytes and integers, and how to load it.

LP.choose = (identity) => {
  if (!LP.byIdentity.has(identity)) return;
  LP.state.b = identity;
  LP.renderTrial();
  LP.renderPair();
  LP.renderTable();
  LP.at("trial").scrollIntoView({ behavior: "auto", block: "start" });
};

/** Returns a trial's bytes by weight, as pairs. */
LP.weightsOf = (trial) => {
  const detail = LP.content.details[trial.identity];
  if (!detail) return [];
  return Array.isArray(detail.weights) ? detail.weights.map((bytes, i) => [LP.content.paths[trial.task][i], bytes]) : Object.entries(detail.weights);
};

LP.renderTrial = () => {
  const trial = LP.byIdentity.get(LP.state.b);
  if (!trial) { LP.fill("trial-body", LP.make("p", {}, "No trial of this task has finished.")); return; }
  const detail = LP.content.details[trial.identity];
  const about = LP.content.tasks[trial.task];
  const facts = [["trial", LP.trialName(trial)], ["identity", trial.identity], ["folder", trial.directory], ["status", trial.status + (trial.stale ? ", by older code" : "")]];
  if (trial.error) facts.push(["why", trial.error]);
  if (LP.known(trial.size_bytes)) {
    facts.push(["size", `${LP.number(trial.size_bytes)} bytes, ${LP.number(trial.ratio, 3)}× smaller than 32-bit floats`],
      ["weights", `${LP.number(trial.num_params)}, of which ${LP.number(trial.nonzeros)} are not 0`]);
  }
  for (const [name, one] of Object.entries(about.metrics)) {
    const values = one.splits.map((split) => `${LP.shown(trial.values[`${name}:${split}`], LP.scale(one.unit))} ${split}`);
    facts.push([`${name}${one.unit ? ` (${one.unit})` : ""}`, values.join(", ")]);
  }
  if (trial.parent) facts.push(["started from", LP.byIdentity.has(trial.parent)
    ? LP.make("button", { type: "button", onclick: () => LP.choose(trial.parent) }, LP.trialName(LP.byIdentity.get(trial.parent))) : trial.parent]);
  const columns = LP.make("div", { class: "columns" });
  const left = LP.make("div", {}, LP.make("dl", {}, facts.flatMap(([name, value]) => [LP.make("dt", {}, name), LP.make("dd", {}, value)])), ...usage(trial));
  const right = LP.make("div", {});
  if (detail) {
    right.append(...configText(trial, detail));
    for (const [id, title] of [["trial-epochs", "Training"], ["trial-bytes", "Bytes of each weight"], ["trial-integers", "Coded integers"]]) {
      (id === "trial-epochs" ? right : left).append(LP.make("h3", { id: `${id}-title` }, title), LP.make("div", { id, class: "figure", role: "img", "aria-labelledby": `${id}-title` }));
    }
  } else if (trial.status === "ok") {
    right.append(LP.make("p", { class: "note" }, "This page left out this trial's training, config and bytes by weight, to stay small. They are in its folder."));
  }
  columns.append(left, right);
  LP.fill("trial-body", columns);
  if (detail) { training(detail); bytes(trial); integers(trial); }

  function usage(one) {
    if (one.status !== "ok") return [];
    const folder = `${LP.content.folder}/${one.directory}`.replace(/\/\.$/, "");
    const code = `from lambdapress.framework import load, to_plain\nfrom lambdapress.sweeps import trial_model\n\n`
      + `with trial_model(${JSON.stringify(folder)}) as (task, model):\n    print(task.evaluate(model).values)\n    floats = to_plain(model)  # an ordinary Keras model`;
    const shell = `lambdapress export ${quoted(folder)} --format tflite --decode during --out model.tflite\n`
      + `lambdapress export ${quoted(folder)} --format savedmodel --out served\nlambdapress benchmark ${quoted(folder)}`;
    return [["Load it in Python", code], ["Export it", shell]].flatMap(([title, text]) => [LP.make("h3", {}, title), LP.make("pre", {}, text),
      LP.make("button", { type: "button", class: "copy", onclick: (event) => copy(text, event.target) }, "Copy")]);
  }

  function quoted(text) { return /^[\w./=-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`; }

  function copy(text, button) {
    navigator.clipboard?.writeText(text).then(() => { button.textContent = "Copied"; }, () => { button.textContent = "Select the text and copy it"; });
  }

  function configText(one, found) {
    const others = LP.trials.filter((t) => t.task === one.task && t !== one && LP.content.details[t.identity]).map((t) => new Set(LP.content.details[t.identity].config));
    const differs = (line) => others.some((lines) => !lines.has(line));
    const lines = found.config.map((line) => [LP.content.lines[line], differs(line)]);
    const own = lines.filter(([, other]) => other);
    const pre = (shown) => LP.make("pre", {}, shown.flatMap(([text, other]) => [other ? LP.make("mark", {}, text) : text, "\n"]));
    return [LP.make("h3", {}, "Config"), own.length ? [LP.make("p", { class: "note" }, "What other trials of the task do not share:"), pre(own)] : [],
      LP.make("details", {}, LP.make("summary", {}, "The whole config"), pre(lines))].flat();
  }

  function training(found) {
    const epochs = found.epochs.epoch;
    const names = Object.keys(found.epochs).filter((name) => name !== "epoch" && found.epochs[name].some(LP.known));
    if (!epochs || !names.length) { LP.fill("trial-epochs", LP.make("p", { class: "note" }, "It was not trained.")); return; }
    const count = names.length, layout = { grid: { rows: count, columns: 1, pattern: "independent", roworder: "top to bottom" }, height: 110 + 110 * count, margin: { l: 70, r: 10, t: 10, b: 40 } };
    const traces = names.map((name, i) => {
      const n = i === 0 ? "" : String(i + 1);
      layout[`yaxis${n}`] = { title: { text: LP.safe(name), font: { size: 11 } }, gridcolor: LP.color("--grid"), automargin: true, ...(name === "rate" ? { type: "log" } : {}) };
      layout[`xaxis${n}`] = { gridcolor: LP.color("--grid"), ...(i === count - 1 ? { title: { text: "epoch" } } : { showticklabels: false }) };
      return { type: "scatter", mode: "lines+markers", x: epochs, y: found.epochs[name], xaxis: `x${n}`, yaxis: `y${n}`, marker: { size: 4 }, line: { color: LP.color("--accent") },
        hovertemplate: `epoch %{x}: %{y}<extra></extra>` };
    });
    LP.draw("trial-epochs", traces, layout);
  }

  function bytes(one) {
    const weights = LP.weightsOf(one).sort((a, b) => a[1] - b[1]).slice(-40);
    if (!weights.length) return;
    LP.draw("trial-bytes", [{ type: "bar", orientation: "h", y: weights.map(([path]) => LP.safe(path)), x: weights.map(([, b]) => b), marker: { color: LP.color("--accent") },
      hovertemplate: "%{y}: %{x} bytes<extra></extra>" }], { height: 80 + 20 * weights.length, xaxis: { title: { text: "bytes" } }, margin: { l: 10, r: 10, t: 10, b: 40 } });
  }

  function integers(one) {
    const found = (LP.content.integers || {})[one.identity];
    if (!found) { LP.fill("trial-integers", LP.make("p", { class: "note" }, "Not counted for this trial, or its weights are not integers.")); return; }
    const counts = Object.values(found), size = counts[0].length, far = (size - 3) / 2;
    const sums = counts[0].map((_, i) => counts.reduce((sum, one) => sum + one[i], 0));
    const names = sums.map((_, i) => (i === 0 ? `below −${far}` : i === size - 1 ? `above ${far}` : String(i - far - 1)));
    LP.draw("trial-integers", [{ type: "bar", x: names, y: sums, marker: { color: LP.color("--accent") }, hovertemplate: "%{x}: %{y} weights<extra></extra>" }],
      { xaxis: { type: "category", title: { text: "integer" } }, yaxis: { type: "log", title: { text: "weights" } }, height: 300 });
  }
};
