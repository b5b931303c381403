"use strict";
// What all parts of the page share: elements, numbers as text, statistics over seeds, Pareto fronts.
// Texts of results reach the page as text nodes alone, and the pictures escaped.

const LP = { content: null };

/** Makes an element; `children` are elements, or texts. */
LP.make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().map((one) => (one instanceof Node ? one : String(one ?? ""))));
  return element;
};

LP.at = (id) => document.getElementById(id);

LP.fill = (id, ...children) => LP.at(id).replaceChildren(...children.flat());

/** Makes a labelled choice; `options` are pairs of a value and its text. */
LP.choice = (text, options, value, onChange) => {
  const select = LP.make("select", { "aria-label": text, onchange: () => onChange(select.value) },
    options.map(([key, shown]) => LP.make("option", { value: key, selected: key === value }, shown)));
  return LP.make("label", {}, text, select);
};

LP.check = (text, checked, onChange) => {
  const box = LP.make("input", { type: "checkbox", onchange: () => onChange(box.checked) });
  box.checked = checked;
  return LP.make("label", { class: "check" }, box, text);
};

LP.table = (caption, headers, rows, names = 1) => LP.make("table", {},
  LP.make("caption", {}, caption),
  LP.make("thead", {}, LP.make("tr", {}, headers.map((text, i) => LP.make("th", { scope: "col", class: i < names && "name" }, text)))),
  LP.make("tbody", {}, rows.map((row) => LP.make("tr", {}, row.map((cell, i) =>
    cell instanceof Element && cell.tagName === "TD" ? cell : LP.make("td", { class: i < names && "name" }, cell))))));

/** Escapes a text for Plotly, which reads a little HTML. */
LP.safe = (text) => String(text ?? "").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

LP.known = (value) => typeof value === "number" && Number.isFinite(value);

LP.number = (value, digits = 4) => {
  if (!LP.known(value)) return "";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US");
  return Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4) ? value.toExponential(digits - 1)
    : Number(value.toPrecision(digits)).toLocaleString("en-US", { maximumFractionDigits: 8 });
};

LP.bytes = (value) => {
  if (!LP.known(value)) return "";
  for (const [unit, scale] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (value >= scale * 0.9995) return `${Number((value / scale).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(value)} B`;
};

LP.fixed = (value, places) => (LP.known(value) ? value.toFixed(places).replace("-", "−") : "");

/** Says how a metric is shown: fractions in percent. */
LP.scale = (unit) => (unit === "%" ? { factor: 100, unit: "%" } : { factor: 1, unit });

LP.shown = (value, scale) =>
  !LP.known(value) ? "" : scale.unit === "%" ? LP.fixed(100 * value, 2) : LP.number(value, 5);

LP.mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;

/** Returns half the 95% interval of the mean over seeds (Student's t); null for fewer than three. */
LP.halfWidth = (values) => {
  const factor = LP.content.students_t[Math.min(values.length, LP.content.students_t.length - 1)];
  if (values.length < 3 || !LP.known(factor)) return null;
  const mean = LP.mean(values);
  const variance = values.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (values.length - 1);
  return factor * Math.sqrt(variance / values.length);
};

/** Marks the points that no other one is at most as large and at least as good as; equal ones stay. */
LP.front = (sizes, values) => {
  const order = sizes.map((_, i) => i).sort((a, b) => sizes[a] - sizes[b] || values[b] - values[a]);
  const optimal = new Array(sizes.length).fill(false);
  let best = -Infinity, bestSize = null;
  for (const i of order) {
    if (values[i] > best || (values[i] === best && sizes[i] === bestSize)) {
      optimal[i] = true;
      best = values[i];
      bestSize = sizes[i];
    }
  }
  return optimal;
};

LP.color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

LP.dark = () => document.documentElement.dataset.theme === "dark";

/** Returns the colour of a curve on today's ground. */
LP.curveColor = (curve) => {
  if (curve.color === null) return LP.color("--quiet");
  return LP.content.colors[LP.dark() ? "dark" : "light"][curve.color];
};

LP.MARKERS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"];
LP.DASHES = ["solid", "dashdot", "dot", "longdashdot", "longdash"];

/** Draws with Plotly in the page's colours; resolves once it is drawn. */
LP.draw = (id, traces, layout) => {
  const axis = { gridcolor: LP.color("--grid"), zerolinecolor: LP.color("--grid"), linecolor: LP.color("--line"), automargin: true };
  const whole = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: LP.color("--text"), size: 13 },
    margin: { l: 60, r: 15, t: 30, b: 45 }, hovermode: "closest", showlegend: false,
    ...layout, xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
  };
  return Plotly.react(LP.at(id), traces, whole, { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["sendDataToCloud"] });
};

LP.clear = (id) => { Plotly.purge(LP.at(id)); LP.at(id).replaceChildren(); };

/** Offers a text as a file. */
LP.download = (name, text, type) => {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = LP.make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};

LP.decode = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
