"use strict";
// The table of all results, the matrix of curves, what has failed, and where it ran.

LP.COLUMNS = () => {
  const about = LP.about(LP.state.task, LP.state.metric), scale = LP.scale(about.unit), unit = about.unit ? ` (${about.unit})` : "";
  const text = (read) => ({ read, show: (v) => v ?? "", name: true });
  const number = (read, show) => ({ read, show });
  const reported = LP.content.tasks[LP.state.task].split;
  const common = {
    "algorithm": text((r) => r.algorithm),
    "settings": text((r) => LP.settingsText(r.overrides)),
    "λ": number((r) => r.lmbda, (v) => LP.number(v, 6)),
  };
  const numbers = {
    "size (bytes)": number((r) => r.size_bytes, (v) => LP.number(LP.known(v) ? Math.round(v) : v)),
    "ratio": number((r) => r.ratio, (v) => (LP.known(v) ? `${LP.number(v, 3)}×` : "")),
    "bits per weight": number((r) => r.bits_per_weight, (v) => LP.number(v, 3)),
    [`${LP.state.metric}${unit}, ${reported}`]: number((r) => (r.members ? r.reported : LP.value(r, LP.state.metric, reported)), (v) => LP.shown(v, scale)),
    [`${LP.state.metric}${unit}, validation`]: number((r) => (r.members ? r.validation : LP.value(r, LP.state.metric, "validation")), (v) => LP.shown(v, scale)),
    "training (s)": number((r) => r.train_seconds, (v) => LP.fixed(v, 1)),
  };
  if (LP.state.means) {
    return { "front": text((r) => (r.front ? "★" : "")), ...common, "n": number((r) => r.n, LP.number), ...numbers,
      "± size": number((r) => r.size_bytes_ci, (v) => LP.number(v, 3)), "± metric": number((r) => r.reported_ci, (v) => LP.shown(v, scale)) };
  }
  return { "status": text((r) => r.status + (r.stale ? " (older code)" : "")), ...common, "seed": number((r) => r.seed, LP.number), ...numbers,
    "identity": text((r) => r.identity), "folder": text((r) => r.directory) };
};

LP.rows = () => {
  const state = LP.state, columns = LP.COLUMNS();
  const rows = state.means ? LP.means(LP.filtered()) : LP.filtered();
  const column = columns[state.sort.key];
  if (!column) return { columns, rows };
  const sign = state.sort.down ? -1 : 1, missing = (v) => v === null || v === undefined || v === "";
  const sorted = rows.map((row) => [column.read(row), row]).sort(([a], [b]) =>
    missing(a) || missing(b) ? Number(missing(a)) - Number(missing(b)) : sign * (typeof a === "number" ? a - b : String(a).localeCompare(String(b))));
  return { columns, rows: sorted.map(([, row]) => row) };
};

LP.renderTable = () => {
  const state = LP.state, { columns, rows } = LP.rows(), names = Object.keys(columns);
  LP.fill("table-choice",
    LP.choice("Rows", [["means", "means over seeds"], ["trials", "single trials"]], state.means ? "means" : "trials",
      (value) => { state.means = value === "means"; state.sort = { key: null, down: false }; LP.renderTable(); }),
    LP.make("button", { type: "button", id: "csv", onclick: () => LP.download(`${LP.state.task}.csv`, LP.csv(), "text/csv") }, "Download as CSV"),
    LP.make("span", { class: "note" }, `${rows.length} rows of ${state.task}`));
  const header = (name) => {
    const sorted = state.sort.key === name;
    return LP.make("th", { scope: "col", class: columns[name].name && "name", "aria-sort": sorted ? (state.sort.down ? "descending" : "ascending") : "none" },
      LP.make("button", { type: "button", onclick: () => { state.sort = { key: name, down: sorted && !state.sort.down }; LP.renderTable(); } },
        name + (sorted ? (state.sort.down ? " ▼" : " ▲") : "")));
  };
  const body = rows.slice(0, state.shown).map((row) => {
    const key = row.key ?? row.identity;
    return LP.make("tr", { class: `${row.front ? "front" : ""} ${key === state.b ? "chosen" : ""}` },
      names.map((name) => LP.make("td", { class: columns[name].name && "name" }, columns[name].show(columns[name].read(row)))),
      LP.make("td", {}, LP.make("button", { type: "button", onclick: () => LP.choose(key), "aria-label": `Open ${row.algorithm}, λ ${row.lmbda}` }, "open")));
  });
  LP.fill("table", LP.make("table", {}, LP.make("thead", {}, LP.make("tr", {}, names.map(header), LP.make("th", { scope: "col" }, "trial"))), LP.make("tbody", {}, body)));
  if (rows.length > state.shown) {
    LP.at("table").append(LP.make("button", { type: "button", onclick: () => { state.shown += 1000; LP.renderTable(); } },
      `Show more (${rows.length - state.shown} are left)`));
  }
};

LP.csv = () => {
  const { columns, rows } = LP.rows();
  const quoted = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // spreadsheets would run it
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const lines = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((column) => column.read(row)))];
  return lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n";
};

LP.renderCurves = () => {
  const tables = [];
  const signed = (value, half, places) => (LP.known(value) ? `${value > 0 ? "+" : ""}${LP.fixed(value, places)}${LP.known(half) ? ` ±${LP.fixed(half, places)}` : ""}` : "");
  const found = LP.content.comparisons.map((one) => ({ anchor: one.anchor, rows: one.rows.filter((row) => row.task === LP.state.task) }));
  const names = [...new Set(found.flatMap((one) => one.rows.map((row) => row.name)))];
  const anchors = found.filter((one) => one.rows.length);
  if (anchors.length) {
    const cell = (row) => {
      if (!row) return "";
      if (row.problem) return LP.make("td", { title: row.problem }, "–");
      const text = `${signed(100 * row.rate, LP.known(row.rate_ci) ? 100 * row.rate_ci : null, 1)}%`;
      return LP.make("td", { class: row.rate < 0 ? "better" : "worse", title: `${signed(row.metric * (row.unit === "%" ? 100 : 1), null, 2)} in the metric; ${row.n} seeds` }, text);
    };
    tables.push(LP.table("BD-rate: bytes more (+) or fewer (−) at equal metric, of the row against the column; ± half a 95% interval over seeds",
      ["curve", ...anchors.map((one) => `against ${one.anchor}`)], names.map((name) => [name, ...anchors.map((one) => cell(one.rows.find((row) => row.name === name)))])));
  }
  const volumes = Object.entries(LP.content.tasks[LP.state.task].hypervolume);
  if (volumes.length) tables.push(LP.table("Hypervolume: metric × decades of size, of models that are useful; larger is better", ["algorithm", "hypervolume"],
    volumes.map(([name, value]) => [name, LP.number(value, 3)])));
  LP.fill("curves-body", tables.length ? tables : LP.make("p", {}, "There are no two curves of this task to compare."));
};

LP.renderProblems = () => {
  const lost = LP.trials.filter((trial) => trial.status !== "ok");
  LP.at("problems").hidden = !lost.length;
  LP.fill("problems-body", LP.table(`${lost.length} trials have no model`, ["trial", "status", "why", "folder"], lost.slice(0, 500).map((trial) => [
    `${trial.task} ${LP.trialName(trial)}`, trial.status, LP.make("td", { class: "text" }, trial.error ?? ""), trial.directory])));
};

LP.renderPlaces = () => {
  const counts = LP.content.environments.map((_, i) => LP.trials.filter((trial) => trial.environment === i).length);
  const names = [...new Set(LP.content.environments.flatMap(Object.keys))];
  LP.fill("places-body", LP.table("Hosts, processors and versions", ["trials", ...names],
    LP.content.environments.map((place, i) => [String(counts[i]), ...names.map((name) => place[name] ?? "")])));
};
