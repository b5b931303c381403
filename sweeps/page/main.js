"use strict";
// Starts the page, and shows everything anew after a choice.

LP.refresh = (controls = false) => {
  if (controls) LP.controls();
  LP.tradeoff();
  LP.renderTable();
  if (controls) {
    for (const part of [LP.renderTrial, LP.renderPair, LP.renderLayers, LP.renderCurves]) part();
  }
};

LP.header = () => {
  const content = LP.content, counts = {};
  LP.fill("title", content.title);
  if (!content.version) { LP.fill("about", content.problem || "There is no result yet."); return; }
  for (const trial of LP.trials) counts[trial.status] = (counts[trial.status] ?? 0) + 1;
  LP.fill("about", `${Object.entries(counts).map(([status, n]) => `${n.toLocaleString("en-US")} ${status}`).join(", ")}; written ${content.written} by lambdapress ${content.version}.`
    + (content.left_out ? ` To stay small, this page leaves out the details of ${content.left_out} trials.` : ""));
};

LP.setTheme = (dark) => {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  LP.at("theme").textContent = dark ? "Light" : "Dark";
  LP.at("theme").setAttribute("aria-pressed", String(dark));
};

LP.start = (content) => {
  LP.prepare(content);
  LP.header();
  const tasks = Object.keys(content.tasks);
  if (!tasks.length) {
    document.querySelector("main").hidden = true;
    document.body.dataset.ready = "true";
    return;
  }
  document.querySelector("main").hidden = false;
  LP.setTask(LP.state.task && tasks.includes(LP.state.task) ? LP.state.task : tasks[0]);
  LP.refresh(true);
  LP.renderProblems();
  LP.renderPlaces();
  document.body.dataset.ready = "true";
};

/** Takes new results into the page, and keeps what the reader has chosen. */
LP.update = (content) => {
  const state = LP.state, { a, b, metric, split, settings } = state;
  const name = (curve) => JSON.stringify([curve.task, curve.algorithm, curve.label]);
  const hidden = new Set([...state.hidden].map((index) => name(LP.content.curves[index])));
  const was = state.curve === null ? null : name(LP.content.curves[state.curve]);
  if (!state.task || !content.tasks[state.task]) { LP.start(content); return; }
  LP.prepare(content);
  LP.header();
  LP.setTask(state.task);
  const at = (index) => name(content.curves[index]);
  content.curves.forEach((_, index) => {
    if (hidden.has(at(index))) state.hidden.add(index);
    if (at(index) === was) state.curve = index;
  });
  Object.assign(state, { metric, split, settings });
  if (LP.byIdentity.has(a)) state.a = a;
  if (LP.byIdentity.has(b)) state.b = b;
  LP.refresh(true);
  LP.renderProblems();
  LP.renderPlaces();
};

window.addEventListener("beforeprint", () => LP.setTheme(false));
document.addEventListener("DOMContentLoaded", () => {
  LP.setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
  LP.at("theme").addEventListener("click", () => { LP.setTheme(!LP.dark()); LP.refresh(true); });
  LP.start(JSON.parse(LP.at("content").textContent));
  if (LP.content.live) LP.watch();
});
