"use strict";
// What the reader has chosen, and the trials and means that follow from it.

LP.state = {
  task: null, x: "size_bytes", metric: null, split: null, logX: true, logY: true, trials: true, intervals: true,
  onlyFronts: false, published: true, hidden: new Set(), settings: {}, low: null, high: null, a: null, b: null,
  means: true, sort: { key: null, down: false }, shown: 200, curve: null,
};

LP.AXES = {
  size_bytes: { text: "compressed size", show: LP.bytes, log: true },
  ratio: { text: "ratio to 32-bit floats", show: (v) => `${LP.number(v, 3)}×`, log: true, more: true },
  bits_per_weight: { text: "bits per weight", show: (v) => LP.number(v, 3), log: true },
  coded_bytes: { text: "bytes of coded weights", show: LP.bytes, log: true },
  nonzeros: { text: "weights that are not 0", show: (v) => LP.number(v, 3), log: true },
  multiply_adds: { text: "multiply-adds of an example", show: (v) => LP.number(v, 3), log: true },
  latency: { text: "latency, batch 1 (s)", show: (v) => `${LP.number(v * 1000, 3)} ms`, log: true },
  train_seconds: { text: "training (s)", show: (v) => LP.number(v, 3), log: true },
  all_train_seconds: { text: "training, parents' as well (s)", show: (v) => LP.number(v, 3), log: true },
};

/** Turns columns into objects, once. */
LP.prepare = (content) => {
  LP.content = content;
  const columns = content.trials || { identity: [], metrics: {} };
  const count = columns.identity.length;
  const names = Object.keys(columns).filter((name) => name !== "metrics");
  LP.trials = [];
  for (let i = 0; i < count; i++) {
    const trial = { values: {} };
    for (const name of names) trial[name] = columns[name][i];
    for (const [name, values] of Object.entries(columns.metrics)) trial.values[name] = values[i];
    trial.latency = (content.latencies || {})[trial.identity] ?? null;
    LP.trials.push(trial);
  }
  LP.byIdentity = new Map(LP.trials.map((trial) => [trial.identity, trial]));
};

/** Returns what a task's metric is: its direction, unit, and splits. */
LP.about = (task, metric) => (LP.content.tasks[task].metrics || {})[metric] || { direction: "higher", unit: "" };

LP.value = (trial, metric = LP.state.metric, split = LP.state.split) => trial.values[`${metric}:${split}`];

LP.setTask = (task) => {
  const state = LP.state, about = LP.content.tasks[task];
  state.task = task;
  state.metric = about.main;
  state.split = about.split;
  state.hidden = new Set();
  state.settings = {};
  state.low = state.high = null;
  state.shown = 200;
  const own = LP.trials.filter((trial) => trial.task === task && trial.status === "ok");
  if (!LP.byIdentity.has(state.a) || LP.byIdentity.get(state.a).task !== task) {
    state.a = (own.find((trial) => trial.baseline) || own[0] || {}).identity ?? null;
    state.b = (own.find((trial) => !trial.baseline) || own[1] || {}).identity ?? null;
  }
  state.curve = own.length ? (own.find((trial) => !trial.baseline) || own[0]).curve : null;
};

/** Returns the trials of the chosen task that no filter leaves out. */
LP.filtered = () => {
  const { task, hidden, settings, low, high } = LP.state;
  return LP.trials.filter((trial) =>
    trial.task === task && !hidden.has(trial.curve)
    && Object.entries(settings).every(([name, value]) => value === "" || trial.baseline || JSON.stringify(trial.overrides[name] ?? null) === value)
    && (trial.baseline || ((low === null || trial.lmbda >= low) && (high === null || trial.lmbda <= high))));
};

/** Returns a mean over seeds for each λ and setting of each curve. */
LP.means = (trials) => {
  const { x, metric, split } = LP.state;
  const groups = new Map();
  for (const trial of trials) {
    const key = `${trial.curve} ${trial.lmbda} ${JSON.stringify(trial.overrides)}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(trial);
  }
  const higher = LP.about(LP.state.task, metric).direction !== "lower";
  const chosenOn = LP.content.tasks[LP.state.task].chosen_on;
  const means = [];
  for (const members of groups.values()) {
    const done = members.filter((trial) => trial.status === "ok");
    const first = done[0] || members[0];
    const mean = { key: first.identity, curve: first.curve, algorithm: first.algorithm, lmbda: first.lmbda,
      overrides: first.overrides, baseline: first.baseline, members, n: done.length, lost: members.length - done.length };
    for (const [name, read] of Object.entries({
      x: (t) => t[x], y: (t) => LP.value(t), chosen: (t) => LP.value(t, metric, chosenOn), size_bytes: (t) => t.size_bytes,
      ratio: (t) => t.ratio, bits_per_weight: (t) => t.bits_per_weight, train_seconds: (t) => t.train_seconds,
      validation: (t) => LP.value(t, metric, "validation"), reported: (t) => LP.value(t, metric, LP.content.tasks[t.task].split),
    })) {
      const values = done.map(read).filter(LP.known);
      mean[name] = values.length ? LP.mean(values) : null;
      mean[`${name}_ci`] = LP.halfWidth(values);
    }
    mean.good = mean.chosen === null ? null : higher ? mean.chosen : -mean.chosen;
    means.push(mean);
  }
  const shown = means.filter((mean) => LP.known(mean.size_bytes) && LP.known(mean.good));
  const optimal = LP.front(shown.map((mean) => mean.size_bytes), shown.map((mean) => mean.good));
  shown.forEach((mean, i) => { mean.front = optimal[i]; });
  return means;
};

LP.curveName = (index) => LP.content.curves[index].label;

/** Returns a short text of the settings that a trial has. */
LP.settingsText = (overrides) =>
  Object.entries(overrides).map(([name, value]) => `${name.split(/[./]/).pop()}=${value}`).join(", ");

LP.trialName = (trial) => {
  const settings = LP.settingsText(trial.overrides);
  return `${trial.algorithm} λ=${LP.number(trial.lmbda, 4)} seed ${trial.seed}${settings && ` (${settings})`}`;
};
