// The page: the view and everything that shows or changes it.

import {buildAxis, decadesOf, format, formatRange, partOf, valueAt, zoomRange} from "./axes.js";
import {describeColours} from "./colours.js";
import {nameFile, saveNumbers, savePicture} from "./downloads.js";
import {readPortrait} from "./decode.js";
import {edges, exponents} from "./edges.js";
import {listen} from "./gestures.js";
import {Kernel} from "./kernel.js";
import {listBoxes, make, showColours, writeMath} from "./legend.js";
import {Picture, PlaneImage} from "./picture.js";
import {showPortrait} from "./portrait.js";
import {PRESETS} from "./presets.js";
import {describeRun, drawChart, drawPath, listCharts} from "./run.js";
import {COLOUR_BY, DEFAULT, LIMITS, NARROWEST, RESCALES, changeView, defaultPoints, defaultSteps, describeView, hasOrbits, orbitSteps, readFragment,
        writeCommand, writeFragment, writePython} from "./view.js";
import {Workers} from "./workers.js";
import {KERNEL, WORKER} from "./compiled.js";
import {OUTCOMES} from "./outcomes.js";

const get = id => document.getElementById(id);
const bytes = Uint8Array.from(atob(KERNEL), c => c.charCodeAt(0));
const kernel = startKernel();
const workers = new Workers(bytes, WORKER, Math.max(1, Math.min(16, navigator.hardwareConcurrency || 2)));
const picture = new Picture(get("plane"));
const hidden = new Set();                  // edges that are switched off
const NO_UNIT = "No ηₘₐₓ is predicted here, by which rates could be divided: choose other rates.";
const COARSE = 3.5e6;                      // pixel-steps of a coarse picture, about 20 ms on two cores
const LINE = 257;                          // points of a drawn edge

let view = changeView(DEFAULT, {}), home = view;
let plane = null;                          // what is computed: {view, gamma, eta, rates, values}
let computing = Promise.resolve(), coarse = Promise.resolve(), newest = 0;
let cursor = null, run = null, pointed = null;      // the cross and the pointer, in shares of the axes
let complaint = "";                        // about an address or a field
const units = new Map();                   // the range of rates in each unit that was shown of this part of the plane

function startKernel() {
  try {
    return new Kernel(bytes);
  } catch (error) {
    get("sentence").textContent = "This browser cannot run the page: it lacks WebAssembly with vectors, which Chrome has since 91, Firefox since 89 and Safari since 16.4.";
    throw error;
  }
}

// The unit of the rate at each gamma, by which the axis divides it.
function listUnits(view, gamma) {
  if (view.rescale === "none") return null;
  if (view.rescale === "gamma2") return gamma.map(g => g * g);
  return edges(view, gamma).eta_max ?? gamma.map(() => NaN);
}

// The axes of a picture of so many points, and the rates of all pixels.
function layOut(view, points) {
  const gamma = buildAxis(view.gamma, points), eta = buildAxis(view.eta, points), units = listUnits(view, gamma);
  if (!units) return {gamma, eta, rates: eta};
  const rates = new Float64Array(points * points);
  units.forEach((unit, i) => eta.forEach((e, j) => { rates[i * points + j] = unit * e; }));
  return {gamma, eta, rates};
}

async function computePlane(view, points, onColumns) {
  const axes = layOut(view, points), orbit = view.colour === "period" || view.colour === "lyapunov" ? orbitSteps(view) : null;
  const values = {};
  const keep = (first, found) => {
    for (const [name, block] of Object.entries(found)) {
      values[name] ??= new block.constructor(points * points);
      values[name].set(block, first * points);
    }
  };
  const mend = (first, found) => {      // where the axis has no unit nothing is trained
    const n = points, rates = axes.rates.length > n ? axes.rates.subarray(first * n) : null;
    if (rates) for (let k = 0; k < found[Object.keys(found)[0]].length; k++) if (!(rates[k] > 0))
      for (const [name, block] of Object.entries(found)) block[k] = name === "outcome" || name === "period" ? -1 : NaN;
  };
  const finished = await workers.compute({view, orbit, gamma: axes.gamma, eta: axes.rates, points}, (first, found) => {
    mend(first, found);
    keep(first, found);
    onColumns?.(first, found[view.colour]);
  });
  return finished ? {view, ...axes, values, points} : null;
}

function coarsePoints(view) {
  const steps = view.colour === "period" || view.colour === "lyapunov" ? view.steps + 1024 : view.steps;
  return Math.max(24, Math.min(view.points, 128, Math.floor(Math.sqrt(COARSE / steps))));
}

// Compute the view, coarse first. Resolves once the newest view's fine picture is drawn.
function refresh(delay = 0) {
  const mine = ++newest, target = view;
  const lost = target.rescale === "eta_max" && !("eta_max" in edges(target, target.gamma));
  get("error").textContent = lost ? NO_UNIT : complaint;
  announce(lost ? "" : "Computing …");
  drawEdges();
  redraw();
  showState();
  showHover();
  computing = (async () => {
    const points = coarsePoints(target);
    if (points < target.points) {
      await coarse;                        // one that is being computed is shown: a drag would never see any
      if (mine !== newest) return computing;
      const image = new PlaneImage(target, points, points);
      coarse = computePlane(target, points, (first, values) => image.paint(first, values, target.colour));
      const found = await coarse;
      if (found && isSameToy(target, view)) picture.images = [image], redraw(), mark("coarse");
      if (mine !== newest) return computing;
      plane = found, showLegend(), showHover();
    }
    if (delay) await new Promise(resolve => setTimeout(resolve, delay));
    if (mine !== newest) return computing;
    const image = new PlaneImage(target, target.points, target.points), progress = get("progress");
    picture.images.push(image);
    let done = 0, at = performance.now();
    const fine = await computePlane(target, target.points, (first, values) => {
      image.paint(first, values, target.colour);
      progress.value = (done += values.length) / target.points ** 2;
      if (performance.now() - at > 60) at = performance.now(), progress.hidden = false, redraw();
    });
    if (mine !== newest || !fine) return computing;
    progress.hidden = true;
    picture.images = [image];
    plane = fine;
    redraw();
    saveAddress();
    mark("fine");
    showLegend();
    showHover();
    if (!lost) announce(`Computed: ${describeView(target)}; γ ${formatRange(target.gamma)}, ${RESCALES[target.rescale]} ${formatRange(target.eta)}.`);
  })();
  return computing;
}

const isSameToy = (a, b) => Object.keys(a).every(key => key === "gamma" || key === "eta" || a[key] === b[key]);

// For who measures the page's speed.
const mark = name => performance.mark(`lazyrich ${name}`);

let frame = 0;
function redraw() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(drawNow);
}

function drawNow() {
  picture.cursor = document.activeElement === picture.canvas ? cursor ?? [0.5, 0.5] : null;
  picture.mark = run && {gamma: run.gamma, eta: run.eta / unitAt(run.gamma)};
  picture.draw(view, RESCALES[view.rescale]);
}

const unitAt = gamma => listUnits(view, Float64Array.of(gamma))?.[0] ?? 1;

// Edges.

function drawEdges() {
  const gamma = buildAxis(view.gamma, LINE), units = listUnits(view, gamma), lines = {};
  for (const [name, eta] of Object.entries(edges(view, gamma)))
    if (!hidden.has(name)) lines[name] = {gamma, eta: units ? eta.map((e, i) => e / units[i]) : eta};
  picture.lines = lines;
}

let listed = "";
function listEdges() {
  const names = Object.keys(edges(view, Float64Array.of(1))), powers = exponents(view), key = JSON.stringify([names, powers, [...hidden]]);
  if (key === listed) return;
  listed = key;
  get("edges").hidden = !names.length;
  const describe = ({gamma, exponent}, i) => {
    const regime = gamma[0] < 1e-3 && gamma[1] < 1e3 ? " lazy" : gamma[1] > 1e3 && gamma[0] > 1e-3 ? " rich" : "";
    return [i ? ", γ" : " ∝ γ", make("sup", {}, exponent === "1" ? "" : exponent), regime];
  };
  listBoxes(get("edge-list"), names.map(name => ({name, kind: "line", text: (powers[name] ?? []).flatMap(describe)})), hidden, () => {
    drawEdges(), redraw(), saveAddress();
  });
}

// Legend, hover, state.

const describeLegend = () => ({...describeColours(view.colour, plane.values[view.colour]), name: COLOUR_BY[view.colour]});
function showLegend() { showColours(get("legend"), get("meanings"), describeLegend()); }

// The pixel of the computed plane at shares of the axes of its view, or null.
function pixelAt([s, t]) {
  if (!plane || s < 0 || s > 1 || t < 0 || t > 1 || plane.view !== view) return null;
  const n = plane.points, i = Math.round(s * (n - 1)), j = Math.round(t * (n - 1)), k = i * n + j;
  return {gamma: plane.gamma[i], eta: plane.rates.length > n ? plane.rates[k] : plane.rates[j],
          values: Object.fromEntries(Object.entries(plane.values).map(([name, array]) => [name, array[k]]))};
}

// A place in numbers: the rate, and what the axis shows of it.
function describePlace(gamma, eta, digits) {
  const parts = [`γ = ${format(gamma, digits)}`, `η = ${format(eta, digits)}`];
  if (view.rescale !== "none") parts.push(`${RESCALES[view.rescale]} = ${format(eta / unitAt(gamma), digits)}`);
  return parts.join(", ");
}

// The numbers under the pointer, or else under the cross of the keyboard.
function showHover() {
  const at = pointed ?? (document.activeElement === picture.canvas ? cursor : null);
  if (!at || at.some(share => share < 0 || share > 1)) return void (get("hover").textContent = "Point at the plane for its numbers; click for a run.");
  const pixel = pixelAt(at), digits = decadesOf(view.gamma) < 0.01 || decadesOf(view.eta) < 0.01 ? 15 : 5;
  if (!pixel) {
    const gamma = valueAt(view.gamma, at[0]);
    return void (get("hover").textContent = `${describePlace(gamma, valueAt(view.eta, at[1]) * unitAt(gamma), digits)}, computing …`);
  }
  const {gamma, eta, values} = pixel, {outcome, final, tail, peak, period, lyapunov} = values, parts = [describePlace(gamma, eta, digits)];
  if (outcome !== undefined) parts.push(OUTCOMES.find(o => o.code === outcome).name);
  if (outcome !== undefined && outcome !== 6 && outcome >= 0) parts.push(`excess ${format(final)}, tail ${format(tail)}, peak ${format(peak)}`);
  if (period !== undefined) parts.push({0: "chaos", "-1": "diverged", "-2": "not settled"}[period] ?? `period ${period}`);
  if (lyapunov !== undefined && period !== -1) parts.push(`exponent ${format(lyapunov)}`);
  get("hover").textContent = parts.join(" · ");
}

function announce(text) { get("live").textContent = text; }

let saving, address = location.hash;      // the fragment that has been read or written
function showState() {
  const form = get("controls"), preset = PRESETS.find(p => p.name === get("preset").value);
  const started = preset && startView(preset.name);
  if (started && ["model", "depth", "loss", "optimizer", "steps", "rho", "noise"].some(key => started[key] !== view[key]))
    namePreset("");
  for (const [key, value] of Object.entries(view)) {
    const field = form.elements[key];
    if (!field) continue;
    if (key === "points" && ![...field.options].some(o => o.value === String(value))) field.add(new Option(value));
    if (document.activeElement !== field || field.tagName === "SELECT") field.value = value;
  }
  for (const name of ["gamma", "eta"]) for (const k of [0, 1]) {
    const field = form.elements[name + k];
    if (document.activeElement !== field) field.value = view[name][k];
  }
  document.querySelector("[data-for=depth]").hidden = view.model === "two";
  document.querySelector("[data-for=momentum]").hidden = view.optimizer !== "momentum";
  for (const option of form.elements.colour.options) option.disabled = !hasOrbits(view) && ["period", "lyapunov"].includes(option.value);
  get("rate-name").textContent = RESCALES[view.rescale];
  get("command").textContent = command();
  get("command-note").hidden = view.rescale === "none";
  get("plane").setAttribute("aria-label", `Plane: ${describeView(view)}`);
  listEdges();
  clearTimeout(saving);
  saving = setTimeout(saveAddress, 200);
}

function writeAddress() {
  const name = get("preset").value;
  return writeFragment(view, name ? startView(name) : DEFAULT, name, [...hidden]);
}

function saveAddress() {
  clearTimeout(saving);
  if (location.hash !== address || complaint) return;      // one that is about to be read, or that could not be read in full
  history.replaceState(null, "", writeAddress());
  address = location.hash;
}

// Changes.

function change(changes, delay = 0) {
  view = changeView(view, changes);
  complaint = "";
  if (Object.keys(changes).some(key => !["colour", "points", "rescale"].includes(key))) units.clear();
  return refresh(delay);
}

function move(gamma, eta) {
  if (plane) change({gamma, eta}, 120);
}

const part = (range, from, to) => partOf(range, from, to, LIMITS, NARROWEST);
const act = {
  zoom(factor, at) {
    const [s, t] = at ?? cursor ?? [0.5, 0.5];
    move(zoomRange(view.gamma, s, factor, LIMITS, NARROWEST), zoomRange(view.eta, t, factor, LIMITS, NARROWEST));
  },
  pan(ds, dt) {
    const gamma = part(view.gamma, ds, 1 + ds), eta = part(view.eta, dt, 1 + dt);
    // at the limits of the numbers the plane stops
    const whole = (range, before) => range[0] > LIMITS[0] && range[1] < LIMITS[1] ? range : before;
    move(whole(gamma, view.gamma), whole(eta, view.eta));
  },
  press(at) {
    const [s, t] = at ?? cursor ?? [0.5, 0.5];
    if (s < 0 || s > 1 || t < 0 || t > 1) return;
    // the run of the pixel, whose numbers are those above; where there is none yet, of the place itself
    const exact = valueAt(view.gamma, s), {gamma, eta} = pixelAt([s, t]) ?? {gamma: exact, eta: valueAt(view.eta, t) * unitAt(exact)};
    cursor = [s, t];
    if (eta > 0) showRun({gamma, eta});
  },
  hover(at) {
    pointed = at;
    if (at) showHover();
  },
  moveCursor(ds, dt) {
    cursor = [ds, dt].map((d, k) => Math.max(0, Math.min(1, (cursor ?? [0.5, 0.5])[k] + d))), pointed = null;
    showHover();
    if (pixelAt(cursor)) announce(get("hover").textContent);
    redraw();
  },
  reset() { change({gamma: home.gamma, eta: home.eta, rescale: home.rescale}); },
};

function showRun(place) {
  run = place;
  const found = kernel.record(view, run.gamma, run.eta), pixel = kernel.train(view, Float64Array.of(run.gamma), Float64Array.of(run.eta), 1);
  const judged = {outcome: pixel.outcome[0], final: pixel.final[0], tail: pixel.tail[0], peak: pixel.peak[0]};
  const sentence = describeRun(describePlace(run.gamma, run.eta, 5), judged, view), charts = listCharts(view, found, run.eta);
  get("outcome").replaceChildren(...writeMath(sentence));
  get("charts").replaceChildren(...charts.map(chart => chartCanvas(`${chart.title} over the steps. ${sentence}`, "")),
                                ...(view.model === "two" ? [chartCanvas(`The path of u1 and u2. ${sentence}`, "path")] : []));
  get("log-part").hidden = false;
  const canvases = [...get("charts").children];
  charts.forEach((chart, i) => drawChart(canvases[i], {...chart, logSteps: get("log-steps").checked}));
  if (view.model === "two") drawPath(canvases.at(-1), found, run.gamma);
  redraw();
}

function chartCanvas(label, className) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img"), canvas.setAttribute("aria-label", label), canvas.className = className;
  return canvas;
}

// The view in another unit of the rate: a decade about the edges, or the same rates where there are none or the unit is 1.
function rescale(name) {
  const gamma = buildAxis(view.gamma, 65), unit = listUnits({...view, rescale: name}, gamma), before = listUnits(view, gamma);
  if (unit && !unit.some(u => u > 0)) throw new Error(NO_UNIT);
  units.set(view.rescale, view.eta);
  const positive = rates => rates.filter(e => e > 0 && e < Infinity);
  const shown = positive(Array.from(gamma, (_, i) => view.eta.map(e => e * (before?.[i] ?? 1) / (unit?.[i] ?? 1))).flat());
  const near = positive(Object.values(edges(view, gamma)).flatMap(eta => Array.from(eta, (e, i) => e / (unit?.[i] ?? 1))));
  const [all, margin] = near.length && (unit || !shown.length) ? [near, 10] : [shown.length ? shown : DEFAULT.eta, 1];
  view = changeView(view, {rescale: name, eta: units.get(name) ?? [Math.max(LIMITS[0], Math.min(...all) / margin), Math.min(LIMITS[1], Math.max(...all) * margin)]});
  return refresh();
}

const startView = name => changeView(DEFAULT, PRESETS.find(p => p.name === name).view);

// The start that a view is, if any: written by other programs, its ranges may differ in the last digit.
function findPreset(view) {
  const near = (a, b) => Array.isArray(a) ? a.every((x, k) => Math.abs(x / b[k] - 1) < 1e-9) : a === b;
  return PRESETS.find(({name}) => Object.entries(startView(name)).every(([key, value]) => key === "points" || near(value, view[key])))?.name ?? "";
}

function choosePreset(name) {
  view = home = startView(name);
  namePreset(name);
  forgetRun();
}

function namePreset(name) {
  get("preset").value = name, get("sentence").replaceChildren(...writeMath(PRESETS.find(p => p.name === name)?.sentence ?? ""));
}

function forgetRun() {
  run = null, cursor = null;
  get("log-part").hidden = true;
  get("charts").replaceChildren();
  get("outcome").textContent = "Click in the plane, or press Enter on it.";
}

// The first and last rate of the view's pixels.
function rateRange() {
  const units = listUnits(view, buildAxis(view.gamma, 65));
  if (!units) return view.eta;
  const known = [...units].filter(u => u > 0);
  if (!known.length) return view.eta;
  return [view.eta[0] * Math.min(...known), view.eta[1] * Math.max(...known)];
}

const command = () => writeCommand(view, rateRange());

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`Copied: ${what}.`);
  } catch {
    // without permission for the clipboard, the selection can still be copied
    const area = Object.assign(document.createElement("textarea"), {value: text});
    document.body.append(area), area.select();
    announce(document.execCommand("copy") ? `Copied: ${what}.` : `The browser does not allow copying: ${text}`);
    area.remove();
  }
}

// Wiring.

// Do what a field wants, or say beside it why not; `given` is what was typed into the field of this label.
function attempt(action, label = "", given = "") {
  try {
    complaint = get("error").textContent = "";
    action();
  } catch (error) {
    complaint = error.allowed ? `${label} must be ${error.allowed}, not ${given || "empty"}.` : error.message;
    get("error").textContent = complaint;
  }
}

const form = get("controls");
for (const [value, label] of Object.entries(COLOUR_BY)) form.elements.colour.add(new Option(label, value));
for (const [value, label] of Object.entries(RESCALES)) form.elements.rescale.add(new Option(label, value));
get("preset").add(new Option("another view", ""));
for (const {name, title} of PRESETS) get("preset").add(new Option(title, name));
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("change", ({target}) => {
  const {name} = target, value = target.value.trim(), label = target.labels[0].firstChild.textContent.trim();
  if (/^(gamma|eta)[01]$/.test(name)) {
    const key = name.slice(0, -1), texts = [0, 1].map(k => form.elements[key + k].value.trim());
    attempt(() => change({[key]: texts.map(text => Number(text || NaN))}), key === "gamma" ? "γ" : RESCALES[view.rescale], texts.map(text => text || "empty").join(" to "));
    return;
  }
  attempt(() => {
    if (name === "rescale") return rescale(value);
    const changes = {[name]: typeof DEFAULT[name] === "number" ? Number(value || NaN) : value}, next = {...view, ...changes};
    // the default T and points follow the model, unless others were chosen
    if (["model", "loss"].includes(name) && view.steps === defaultSteps(view)) changes.steps = next.steps = defaultSteps(next);
    if (view.points === defaultPoints(view) && next.steps !== view.steps) changes.points = defaultPoints(next);
    change(changes);
    if (run && name !== "colour" && name !== "points") showRun(run);
  }, label, value);
});
get("preset").addEventListener("change", ({target}) => {
  if (target.value) complaint = "", units.clear(), choosePreset(target.value), refresh();
});
get("log-steps").addEventListener("change", () => run && showRun(run));
get("zoom-in").addEventListener("click", () => act.zoom(1 / 2, null));
get("zoom-out").addEventListener("click", () => act.zoom(2, null));
get("reset").addEventListener("click", act.reset);
get("copy-command").addEventListener("click", () => copy(command(), view.rescale === "none" ? "the command" : "the command of a rectangle that holds this view"));
get("copy-python").addEventListener("click", () => copy(writePython(view, run), "the lines of Python"));
get("copy-link").addEventListener("click", () => copy(location.href.replace(/#.*/, "") + writeAddress(), "the link"));
get("save-picture").addEventListener("click", async () => {
  await computing;
  const name = nameFile(view, ".png");
  savePicture(picture, view, RESCALES[view.rescale], describeView(view), describeLegend(), name);
  announce(`The picture is saved as ${name}.`);
});
get("save-numbers").addEventListener("click", async () => {
  await computing;
  const name = nameFile(view, ".csv");
  saveNumbers({...plane, rates: spread(plane)}, name, command());
  announce(`The numbers are saved as ${name}.`);
});
for (const event of ["focus", "blur"]) picture.canvas.addEventListener(event, redraw);
window.addEventListener("hashchange", () => {
  if (location.hash === address) return;
  address = location.hash;
  readAddress(), refresh();
});
new ResizeObserver(() => { picture.resize(), drawNow(); }).observe(picture.canvas);
window.addEventListener("resize", () => run && showRun(run));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { redraw(), run && showRun(run); });
// within another page the wheel scrolls that one until the plane is chosen
listen(picture.canvas, (x, y) => picture.toShares(x, y), act, window.parent !== window);

// The rate of every pixel.
function spread({gamma, rates, points}) {
  return rates.length > points ? rates : Float64Array.from({length: gamma.length * points}, (_, k) => rates[k % points]);
}

// Take the view from the address, else from the page's own data. An address without a model or ranges changes what there is.
function readAddress() {
  const element = document.getElementById("view"), {values, others, complete, preset, hidden: off} = readFragment(location.hash);
  const problems = others.map(key => `The address has '${key}', which is no part of a view.`), known = PRESETS.some(p => p.name === preset);
  if (preset !== null && !known) problems.push(`There is no start '${preset}'; there are ${PRESETS.map(p => p.name).join(", ")}.`);
  const take = changes => {
    for (const [key, value] of Object.entries(changes)) try {
      view = changeView(view, {[key]: value});
    } catch (error) {
      problems.push(`The address is not followed in one point: ${error.message}.`);
    }
  };
  view = known ? startView(preset) : DEFAULT;
  if (element && !known && !complete) take(JSON.parse(element.textContent));
  home = view;
  take(values);
  if (!known && Object.keys(values).length) home = view;
  forgetRun();
  namePreset(known ? preset : findPreset(view));
  hidden.clear(), units.clear(), off.forEach(name => hidden.add(name));
  complaint = problems.join(" ");
}

// A stored portrait stands above the plane, which is left out where the page cannot train what was measured.
const stored = readPortrait(document), alone = Boolean(stored) && !document.getElementById("view") && !location.hash;
for (const part of document.querySelectorAll("main, header label, #sentence")) part.hidden = alone;
get("anew").hidden = !stored;
get("stored").classList.toggle("joined", !alone);
readAddress();
window.lazyrich = {
  ready: alone ? Promise.resolve() : refresh(),
  portrait: stored && showPortrait(stored, get("stored")),
  get view() { return structuredClone(view); },
  setView(changes) {
    view = changeView(view, changes);
    complaint = "", units.clear();
    forgetRun();
    return refresh();
  },
  outcomes() {
    if (alone) return {gamma: stored.gamma.slice(), eta: stored.eta.slice(), outcome: this.portrait.outcomes()};
    if (plane.values.outcome) return {gamma: plane.gamma.slice(), eta: plane.rates.slice(), outcome: plane.values.outcome.slice()};
    const {outcome} = kernel.train(plane.view, plane.gamma, plane.rates, plane.points);
    return {gamma: plane.gamma.slice(), eta: plane.rates.slice(), outcome};
  },
  edges: gamma => edges(view, typeof gamma === "number" ? Float64Array.of(gamma) : Float64Array.from(gamma)),
  trajectory({gamma, eta}) {
    const {f, loss, excess} = kernel.record(view, gamma, eta);
    return {f, loss, excess};
  },
  command,
};
