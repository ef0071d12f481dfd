// Show a stored portrait: its runs, measured and predicted edges, verdicts; each run under the pointer.

import {format, partOf, powerOfTen, shareOf, valueAt, zoomRange} from "./axes.js";
import {ENDS, EXCESS, RAMP, mix} from "./colours.js";
import {saveNumbers, savePicture} from "./downloads.js";
import {listen} from "./gestures.js";
import {listBoxes, make, showColours, writeMath} from "./legend.js";
import {Picture} from "./picture.js";

const LIMITS = [1e-300, 1e300], NARROWEST = 1e-6;
const NOT_RUN = -1, DIVERGED = 6;

const middle = (a, b) => Math.sqrt(a * b);

// The ends of each cell of an axis: in the middle between neighbours; of a single value a tenth about it.
function listCells(values) {
  const last = values.length - 1, between = Array.from({length: last}, (_, i) => middle(values[i], values[i + 1]));
  return Array.from(values, (v, i) => last ? [between[i - 1] ?? v * v / between[0], between[i] ?? v * v / between[last - 1]] : [v / 1.1, v * 1.1]);
}

// An image of cells: a column for each gamma, cells of one colour in one piece.
class CellImage {
  constructor(columns, cells, colours) {
    this.columns = columns, this.cells = cells, this.colours = colours;
  }

  draw(picture, view) {
    const c = picture.context, rows = this.cells.length / this.columns.length;
    this.columns.forEach(([first, last], i) => {
      const a = Math.floor(picture.x(view, first)), wide = Math.ceil(picture.x(view, last)) - a;
      if (a > picture.right || a + wide < picture.left) return;
      for (let j = i * rows, end; j < (i + 1) * rows; j = end) {
        for (end = j + 1; end < (i + 1) * rows && this.colours[end] === this.colours[j];) end++;
        const top = Math.floor(picture.y(view, this.cells[end - 1][1])), bottom = Math.ceil(picture.y(view, this.cells[j][0]));
        if (top > picture.bottom || bottom < picture.top) continue;
        c.fillStyle = this.colours[j];
        c.fillRect(a, top, wide, bottom - top);
      }
    });
  }
}

// Show the portrait in its section, with a picker for every dim before gamma and eta.
export function showPortrait(portrait, section) {
  const {gamma, eta, variables} = portrait, rows = gamma.length, columns = eta.length / rows, get = name => document.getElementById(`stored-${name}`);
  const dims = Object.keys(portrait.picked), sizes = dims.map(d => portrait.picked[d].length);
  const picked = Object.fromEntries(dims.map((d, i) => [d, d === "horizon" ? sizes[i] - 1 : 0]));
  const hidden = {measured: new Set(), predicted: new Set()}, outcomes = new Map(portrait.outcomes.map(o => [o.code, o])), names = Object.keys(variables);
  const spans = listCells(gamma), cells = Array.from({length: rows}, (_, i) => listCells(eta.subarray(i * columns, (i + 1) * columns))).flat();
  const whole = {gamma: [spans[0][0], spans[rows - 1][1]], eta: [0, 1].map(k => cells.reduce((ends, cell) => Math[k ? "max" : "min"](ends, cell[k]), k ? 0 : Infinity))};
  const own = portrait.rho.outcomes ?? "a value that is not stored";
  let view = whole, quantity = "outcome", cursor = null, legend = null;

  section.hidden = false;
  const picture = new Picture(get("plane"));
  get("title").textContent = portrait.title;
  get("threshold").textContent = portrait.rho.edges === portrait.rho.outcomes ? `Outcomes, edges and verdicts are those at the threshold ρ = ${portrait.rho.edges}.`
    : `Edges and verdicts are those at the threshold ρ = ${portrait.rho.edges}. The outcomes in the picture were measured at ρ = ${own}.`;
  get("verdicts").replaceChildren(...[...portrait.verdicts.map(v => v.sentence), ...portrait.notes].map(text => make("li", {}, ...text.split(/\b([A-Z]{6,})\b/)
    .flatMap((part, i) => i % 2 ? make("strong", {}, part) : writeMath(part)))));

  const pick = (label, choices, chosen, change) => {
    const select = make("select", {"data-dim": label}, ...choices.map((c, i) => make("option", {value: i}, String(c))));
    select.value = chosen;
    select.addEventListener("change", () => { change(Number(select.value)), paint(); });
    get("pickers").append(make("label", {}, `${label} `, select));
  };
  pick("shown", names.map(n => variables[n].label), names.indexOf(quantity), i => { quantity = names[i]; });
  dims.forEach(d => { if (portrait.picked[d].length > 1) pick(d, portrait.picked[d], picked[d], i => { picked[d] = i; }); });

  // The index of a run in a variable's values, for the picked seed, horizon, ...
  const locate = (i, j, at = picked) => (dims.reduce((n, d, k) => n * sizes[k] + at[d], 0) * rows + i) * columns + j;
  const value = (name, i, j, at) => variables[name].values[locate(i, j, at)];
  const slice = name => variables[name].values.subarray(locate(0, 0), locate(0, 0) + rows * columns);

  // Choose the colours of the cells and what the legend says of them.
  function colourCells() {
    const codes = slice("outcome"), present = new Set(codes), entry = code => ({colour: outcomes.get(code).colour, label: outcomes.get(code).name, meaning: outcomes.get(code).sentence});
    if (quantity === "outcome") {
      legend = {about: EXCESS, entries: portrait.outcomes.filter(o => present.has(o.code)).map(o => entry(o.code))};
      return Array.from(codes, code => outcomes.get(code).colour);
    }
    const {logarithmic, label} = variables[quantity], counts = quantity === "steps";
    // the numbers of a diverged run are none, but for the steps that it took
    const values = Array.from(slice(quantity), (v, n) => codes[n] === NOT_RUN || codes[n] === DIVERGED && !counts ? NaN : counts ? Math.log10(v) : v), finite = values.filter(Number.isFinite);
    const [low, high] = logarithmic ? ENDS[quantity.split("_")[0]] : [finite.reduce((a, v) => Math.min(a, v), Infinity), finite.reduce((a, v) => Math.max(a, v), -Infinity)];
    const write = v => logarithmic ? powerOfTen(v) : format(counts ? 10 ** v : v), missing = values.some((v, n) => codes[n] !== NOT_RUN && (Number.isNaN(v) || v === Infinity));
    legend = {ramp: RAMP, low: write(low), high: write(high), name: label, about: logarithmic ? EXCESS : "",
              entries: [...(missing ? [{...entry(DIVERGED), label: "diverged or no number"}] : []), ...(present.has(NOT_RUN) ? [entry(NOT_RUN)] : [])]};
    return values.map((v, n) => codes[n] === NOT_RUN ? outcomes.get(NOT_RUN).colour : Number.isNaN(v) || v === Infinity ? outcomes.get(DIVERGED).colour
      : `rgb(${mix(RAMP, Math.round(60 * Math.max(0, Math.min(1, (v - low) / (high - low || 1)))) / 60).join()})`);
  }

  const bracketOf = (edge, i) => {
    const n = edge.picked.reduce((m, d) => m * portrait.picked[d].length + picked[d], 0) * rows + i;
    return middle(edge.values[2 * n], edge.values[2 * n + 1]);
  };
  function paint() {
    picture.images = [new CellImage(spans, cells, colourCells())];
    picture.lines = Object.fromEntries(portrait.predicted.filter(e => !hidden.predicted.has(e.name)).map(({name, at, values, picked: over}) =>
      [name, {gamma: at, eta: values.subarray(over.length ? picked.horizon * at.length : 0).subarray(0, at.length)}]));
    const found = portrait.edges.map(edge => [edge.name, {gamma, eta: Float64Array.from(gamma, (_, i) => bracketOf(edge, i))}]).filter(([, e]) => e.eta.some(x => x > 0 && x < Infinity));
    picture.points = Object.fromEntries(found.filter(([name]) => !hidden.measured.has(name)));
    const boxes = {measured: found.map(([name]) => name), predicted: portrait.predicted.map(e => e.name)};
    for (const [sort, all] of Object.entries(boxes)) {
      get(sort).hidden = !all.length;
      if (!get(sort).contains(document.activeElement)) listBoxes(get(sort).lastElementChild, all.map(name => ({name, kind: sort === "measured" ? "points" : "line"})), hidden[sort], paint);
    }
    showColours(get("legend"), get("meanings"), legend);
    draw();
  }

  let frame = 0;
  function draw() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      picture.draw(view, "η");
      if (cursor) outline(...cursor);
    });
    describe();
  }

  // A frame about a cell.
  function outline(i, j) {
    const c = picture.context, [low, high] = cells[i * columns + j], [x, y] = [picture.x(view, spans[i][0]), picture.y(view, high)];
    for (const [colour, width] of [["#ffffff", 3], ["#000000", 1.5]]) {
      c.strokeStyle = colour, c.lineWidth = width;
      c.strokeRect(x - 2, y - 2, picture.x(view, spans[i][1]) - x + 4, picture.y(view, low) - y + 4);
    }
  }

  // The run under the pointer or the arrow keys, and its outcome for every other seed, horizon, ...
  function describe() {
    if (!cursor) return void get("run").replaceChildren("Point at a run, or press the arrow keys in the plane. Wheel, pinch, + and − zoom; drag, or Shift with arrows, moves; 0 resets.");
    const [i, j] = cursor, outcome = outcomes.get(value("outcome", i, j)), at = portrait.rho.edges === portrait.rho.outcomes ? "" : `at ρ = ${own}: `;
    const write = (name, v) => v === Infinity ? "infinite" : short(variables[name].logarithmic ? 10 ** v : v);
    const lines = [`γ = ${short(gamma[i])}, η = ${short(eta[i * columns + j])}: ${outcome.name} (${at}${outcome.sentence}).`];
    if (outcome.code !== NOT_RUN)
      lines.push(...names.filter(n => n !== "outcome" && !Number.isNaN(value(n, i, j))).map(n => `${variables[n].label}: ${write(n, value(n, i, j))}`));
    for (const d of dims.filter(name => portrait.picked[name].length > 1)) {
      const others = portrait.picked[d].map((v, k) => {
        const at = {...picked, [d]: k};
        return `${v} ${outcomes.get(value("outcome", i, j, at)).name} (${write("final_excess", value("final_excess", i, j, at))})`;
      });
      lines.push(`Outcome and final excess by ${d}: ${others.join(", ")}.`);
    }
    get("run").replaceChildren(...lines.map(text => make("div", {}, ...writeMath(text))));
  }

  function go(i, j) {
    cursor = [Math.max(0, Math.min(rows - 1, i)), Math.max(0, Math.min(columns - 1, j))];
    draw();
  }
  const move = next => { view = next, draw(); };
  const act = {
    zoom(factor, at) {
      const [s, t] = at ?? (cursor ? [shareOf(view.gamma, gamma[cursor[0]]), shareOf(view.eta, eta[cursor[0] * columns + cursor[1]])] : [0.5, 0.5]);
      move({gamma: zoomRange(view.gamma, s, factor, LIMITS, NARROWEST), eta: zoomRange(view.eta, t, factor, LIMITS, NARROWEST)});
    },
    pan(ds, dt) { move({gamma: partOf(view.gamma, ds, 1 + ds, LIMITS, NARROWEST), eta: partOf(view.eta, dt, 1 + dt, LIMITS, NARROWEST)}); },
    reset() { move(whole); },
    press(at) { act.hover(at); },
    hover(at) {
      if (!at || at.some(share => share < 0 || share > 1)) return;
      const g = valueAt(view.gamma, at[0]), e = valueAt(view.eta, at[1]), within = x => ([low, high]) => x >= low && x <= high;
      const i = spans.findIndex(within(g)), j = i < 0 ? -1 : cells.slice(i * columns, (i + 1) * columns).findIndex(within(e));
      if (j >= 0 && (!cursor || cursor[0] !== i || cursor[1] !== j)) go(i, j);
    },
    moveCursor(ds, dt) { act.pan(5 * ds, 5 * dt); },
  };
  picture.canvas.addEventListener("keydown", event => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1]}[event.key];
    if (!step || event.shiftKey) return;
    event.preventDefault(), event.stopImmediatePropagation();
    const [i, j] = cursor ?? [rows >> 1, columns >> 1];
    go(i + step[0], j + step[1]);
  });
  listen(picture.canvas, (x, y) => picture.toShares(x, y), act, window.parent !== window);
  get("in").addEventListener("click", () => act.zoom(1 / 2, null));
  get("out").addEventListener("click", () => act.zoom(2, null));
  get("reset").addEventListener("click", act.reset);
  const describePicked = () => portrait.title + dims.filter(d => portrait.picked[d].length > 1).map(d => `, ${d} ${portrait.picked[d][picked[d]]}`).join("");
  const announce = name => { get("live").textContent = `Saved as ${name}.`; };
  get("picture").addEventListener("click", () => {
    savePicture(picture, view, "η", describePicked(), legend, "lazyrich-portrait.png"), announce("lazyrich-portrait.png");
  });
  get("numbers").addEventListener("click", () => {
    const values = Object.fromEntries(names.map(name => [name, variables[name].logarithmic ? Float64Array.from(slice(name), v => 10 ** v) : slice(name)]));
    saveNumbers({gamma, rates: eta, values}, "lazyrich-portrait.csv", describePicked()), announce("lazyrich-portrait.csv");
  });
  new ResizeObserver(() => { picture.resize(), draw(); }).observe(picture.canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  paint();
  return {outcomes: () => slice("outcome").slice()};
}

const short = v => Number.isNaN(v) ? "no number" : format(v, 4);
