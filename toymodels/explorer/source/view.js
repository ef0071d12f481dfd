// The view: what is shown, as a plain object; its fragment of the address, its command line and its lines of Python.

export const LIMITS = [1e-290, 1e290];
export const NARROWEST = 1e-12;      // relative width of a view
const NOISIEST = 1000;               // in units of the target
export const COLOUR_BY = {outcome: "outcome", final: "final excess", tail: "tail excess", peak: "peak excess", period: "period",
                          lyapunov: "Lyapunov exponent"};
export const RESCALES = {none: "η", gamma2: "η/γ²", eta_max: "η/ηₘₐₓ"};

export const DEFAULT = {
  model: "one", depth: 5, loss: "mse", optimizer: "sgd", momentum: 0.9, steps: 1000, rho: 0.01, noise: 0,
  gamma: [1e-5, 1e5], eta: [1e-15, 100], points: 512, colour: "outcome", rescale: "none",
};

const whole = (low, high) => x => Number.isInteger(x) && x >= low && x <= high;
const oneOf = names => x => names.includes(x);
const range = x => Array.isArray(x) && x.length === 2 && x.every(Number.isFinite) && x[0] >= LIMITS[0] && x[1] <= LIMITS[1]
  && x[1] / x[0] - 1 >= 0.99 * NARROWEST;
const RANGE = `two increasing numbers from ${LIMITS[0]} to ${LIMITS[1]}, a relative width of at least ${NARROWEST}`.replace("e+", "e");
const RULES = {
  model: [oneOf(["one", "two"]), "'one' or 'two'"],
  depth: [whole(1, 12), "a whole number from 1 to 12"],
  loss: [oneOf(["mse", "cross_entropy"]), "'mse' or 'cross_entropy'"],
  optimizer: [oneOf(["sgd", "signsgd", "momentum"]), "'sgd', 'signsgd' or 'momentum'"],
  momentum: [x => Number.isFinite(x) && x >= 0 && x < 1, "a number from 0 to below 1"],
  steps: [whole(1, 1e6), "a whole number from 1 to 1000000"],
  rho: [x => x > 0 && x < 1, "a number between 0 and 1"],
  noise: [x => x >= 0 && x <= NOISIEST, `a number from 0 to ${NOISIEST}`],
  gamma: [range, RANGE],
  eta: [range, RANGE],
  points: [whole(8, 2048), "a whole number from 8 to 2048"],
  colour: [oneOf(Object.keys(COLOUR_BY)), Object.keys(COLOUR_BY).join(", ")],
  rescale: [oneOf(Object.keys(RESCALES)), Object.keys(RESCALES).join(", ")],
};

// A view with some keys changed; an Error says which is not allowed, and what is, which `allowed` repeats.
export function changeView(view, changes) {
  const next = {...view};
  for (const [key, value] of Object.entries(changes)) {
    if (!(key in RULES)) throw new Error(`a view has no '${key}'; it has ${Object.keys(RULES).join(", ")}`);
    const [holds, allowed] = RULES[key];
    if (!holds(value)) throw Object.assign(new Error(`${key} must be ${allowed}, not ${[value].flat().join(" to ") || "empty"}`), {allowed});
    next[key] = Array.isArray(value) ? [...value] : value;
  }
  if (!hasOrbits(next) && (next.colour === "period" || next.colour === "lyapunov")) next.colour = "outcome";
  return next;
}

// Whether periods and Lyapunov exponents are measured: SignSGD's map neither contracts nor expands, and noise has no cycles.
export const hasOrbits = view => view.optimizer !== "signsgd" && view.noise === 0;

const number = x => String(x).replace("e+", "e");

// T and the points where none are given, as of `lazyrich toy` and `lazyrich explore`: catapults under cross-entropy settle slowly.
export const defaultSteps = view => view.model === "two" && view.loss === "cross_entropy" ? 30000 : 1000;
export const defaultPoints = view => view.steps > 5000 ? 256 : 512;

// The address of a view: what differs from its start, whose name is given, else all that `readFragment` needs.
export function writeFragment(view, start, name, hidden) {
  const always = name ? [] : ["model", "loss", "gamma", "eta"];
  const changed = Object.entries(view).filter(([key, value]) => always.includes(key) || JSON.stringify(value) !== JSON.stringify(start[key]));
  const parts = changed.map(([key, value]) => `${key}=${[value].flat().map(number).join(",")}`);
  if (name) parts.unshift(`preset=${name}`);
  if (hidden.length) parts.push(`without=${hidden.join(",")}`);
  return "#" + parts.join("&");
}

// What an address holds: the values of a view's keys, whether they are all that it needs, a start's name, hidden edges, and other keys.
export function readFragment(text) {
  const parameters = new URLSearchParams(text.replace(/^#/, "")), values = {}, others = [];
  for (const [key, value] of parameters) {
    const kind = DEFAULT[key];
    if (["preset", "without"].includes(key)) continue;
    if (!(key in RULES)) others.push(key);
    else values[key] = Array.isArray(kind) ? value.split(",").map(Number) : typeof kind === "number" ? Number(value || NaN) : value;
  }
  return {values, others, complete: "model" in values && "gamma" in values && "eta" in values, preset: parameters.get("preset"),
          hidden: parameters.get("without")?.split(",") ?? []};
}

// The `lazyrich toy` line of a view; `rates` are the first and last eta of all its pixels, which a rescaled view does not share.
export function writeCommand(view, rates = view.eta) {
  const words = ["lazyrich toy", "--model", view.model];
  if (view.model === "one") words.push("--depth", view.depth);
  words.push("--loss", view.loss, "--optimizer", view.optimizer);
  if (view.optimizer === "momentum") words.push("--beta", number(view.momentum));
  if (view.noise) words.push("--noise", number(view.noise));
  words.push("--steps", view.steps, "--rho", number(view.rho), "--gamma", ...view.gamma.map(number), "--eta", ...rates.map(number),
             "--points", view.points);
  if (view.rescale !== "none") words.push("--rescale", view.rescale);
  return words.join(" ");
}

// The lines of Python that compute and draw what a view shows, and those of a run where one is given.
export function writePython(view, run = null) {
  const model = view.model === "two" ? "toymodels.TwoParameter()" : `toymodels.OneParameter(${view.depth})`;
  const optimizer = view.optimizer === "momentum" ? `toymodels.HeavyBall(${number(view.momentum)})` : `"${view.optimizer}"`;
  const noise = view.noise ? `, noise=${number(view.noise)}` : "", toy = `${model}, "${view.loss}", ${optimizer}`;
  const axis = name => `np.geomspace(${view[name].map(number).join(", ")}, ${view.points})`;
  const lines = ["import numpy as np", "import toymodels", "import validation", ""];
  lines.push(`edges = toymodels.predict(${toy}${noise})`, `gamma, eta = ${axis("gamma")}, ${axis("eta")}`);
  if (view.rescale === "gamma2") lines.push("eta = gamma[:, None]**2 * eta");
  if (view.rescale === "eta_max")
    lines.push(`largest = edges["eta_max"](gamma, ${view.steps}, ${number(view.rho)})`, "gamma, eta = gamma[largest > 0], largest[largest > 0, None] * eta");
  if (view.colour === "period" || view.colour === "lyapunov") {
    const {settle, length} = orbitSteps(view);
    if (view.rescale === "none")
      lines.push(`orbits = toymodels.orbit(${toy}, gamma, eta, settle=${settle}, length=${length}, points=0)`, `validation.plot_portrait(orbits, edges, "${view.colour}")`);
    else
      lines.push(`orbits = [toymodels.orbit(${toy}, g, e, settle=${settle}, length=${length}, points=0)["${view.colour}"] for g, e in zip(gamma, eta)]`);
  } else {
    const variable = view.colour === "outcome" ? "" : `, "${view.colour}_excess"`, rescale = view.rescale === "none" ? "" : `, rescale="${view.rescale}"`;
    lines.push(`experiment = toymodels.ToyExperiment(${toy}, ${view.steps}, rho=${number(view.rho)}${noise})`,
               "portrait = experiment.measure(gamma, eta)", `validation.plot_portrait(portrait, edges${variable}${rescale})`);
  }
  if (run) lines.push(`run = toymodels.trajectory(${toy}, ${number(run.gamma)}, ${number(run.eta)}, ${view.steps}${noise})`);
  return lines.join("\n") + "\n";
}

// The steps before periods and exponents are measured, and those on which they are.
export const orbitSteps = view => ({settle: view.steps, length: 256});

// What is shown, in a sentence.
export function describeView(view) {
  const model = view.model === "two" ? "two parameters" : `one parameter, depth ${view.depth}`;
  const loss = {mse: "squared error", cross_entropy: "cross-entropy"}[view.loss];
  const optimizer = {sgd: "SGD", signsgd: "SignSGD", momentum: `heavy ball ${view.momentum}`}[view.optimizer];
  const noise = view.noise ? `, label noise ${view.noise}` : "";
  return `${model}, ${loss}, ${optimizer}${noise}, ${view.steps} steps, ρ = ${view.rho}`;
}
