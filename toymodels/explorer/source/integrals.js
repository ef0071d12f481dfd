// Evaluate the printed edges of `edges.js`: quadrature of gradient flow's time, roots, and the numbers that have no closed form.

const GAUSS = gaussLegendre(16);
const remembered = new Map();

// Nodes and weights on (-1, 1).
function gaussLegendre(n) {
  const nodes = [], weights = [];
  for (let i = 0; i < n; i++) {
    let x = Math.cos(Math.PI * (i + 0.75) / (n + 0.5)), slope = 1;
    for (let step = 0; step < 20; step++) {
      let before = 1, value = x;
      for (let k = 2; k <= n; k++) [before, value] = [value, ((2 * k - 1) * x * value - (k - 1) * before) / k];
      slope = n * (x * value - before) / (x * x - 1);
      x -= value / slope;
    }
    nodes.push(x);
    weights.push(2 / ((1 - x * x) * slope * slope));
  }
  return {nodes, weights};
}

// The integral from a to b, by panels of 16 nodes that are no longer than 1.
function integrate(f, a, b) {
  const count = Math.ceil(Math.abs(b - a)) + 1, half = (b - a) / count / 2;
  let total = 0;
  for (let panel = 0; panel < count; panel++) {
    const middle = a + (2 * panel + 1) * half;
    GAUSS.nodes.forEach((x, i) => { total += GAUSS.weights[i] * f(middle + half * x); });
  }
  return total * half;
}

// S = Int_0^f1 df/(K r), x = 1 - f: in v = log(1 + gamma f) up to f = 1/2, which spreads a rich run's start, then in -log x.
function flowTime(kernel, residual, g, d1) {
  const early = integrate(v => {
    const f = Math.expm1(v) / g;
    return Math.exp(v) / (g * kernel(g, f) * residual(1 - f));
  }, 0, Math.log1p(g * Math.min(0.5, 1 - d1)));
  return d1 >= 0.5 ? early : early + integrate(y => {
    const x = Math.exp(-y);
    return x / (kernel(g, 1 - x) * residual(x));
  }, Math.LN2, -Math.log(d1));
}

// The x of that sign at which the excess, Int_0^x r / Int_0^1 r, is rho.
function excessRoot(residual, rho, sign) {
  const target = rho * integrate(residual, 0, 1);
  return sign * bisect(u => integrate(residual, 0, sign * Math.exp(u)) < target, 0.5 * Math.log(rho) - 20, 3);
}

// exp(u) at the u up to which the condition holds.
function bisect(holds, low, high, rounds = 64) {
  for (let i = 0; i < rounds; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle; else high = middle;
  }
  return Math.exp((low + high) / 2);
}

// The eta at which a rising function is g.
export function invert(rising, g) {
  return bisect(u => rising(Math.exp(u)) < g, Math.log(g) - 300, Math.log(g) + 300, 70);
}

// The branch -1 of Lambert's W for z in [-1/e, 0): y - log y = -log(-z), by Newton's method from above.
export function lambertW(z) {
  const right = -Math.log(-z);
  let y = right + Math.sqrt(2 * (right - 1));
  for (let i = 0; i < 60 && y > 1; i++) y -= (y - Math.log(y) - right) / (1 - 1 / y);
  return -y;
}

// Heavy ball's least kappa = eta K(0) that brings the linear problem to x = d1 in T steps.
function leastRate(residual, steps, beta, d1) {
  const left = kappa => {
    let x = 1, m = 0;
    for (let t = 0; t < steps && x > 0; t++) { m = beta * m + residual(x); x -= kappa * m; }
    return x - d1;
  };
  const least = Math.log((1 - d1) / (residual(1) * Math.min(steps * (steps + 1) / 2, steps / (1 - beta))));
  return left(Math.exp(least + 6)) > 0 ? NaN : bisect(u => left(Math.exp(u)) > 0, least, least + 6, 40);
}

// Heavy ball's least kappa at which a run of MSE's linear problem ever has |x| > 1.
function overshootRate(beta) {
  const swings = kappa => {
    let x = 1, before = 1, most = 1;
    for (let t = 0; t < 40 / Math.sqrt(1 - beta); t++) {
      [x, before] = [Math.max(-9, Math.min(9, (1 + beta - kappa) * x - beta * before)), x];
      most = Math.max(most, Math.abs(x));
    }
    return most > 1;
  };
  let low = Math.log(1e-3 * (1 - beta)), high = Math.log(2.1 * (1 + beta));
  for (let round = 0; round < 4; round++) {
    const gap = (high - low) / 512;
    let k = 1;
    while (k < 512 && !swings(Math.exp(low + k * gap))) k++;
    [low, high] = [low + (k - 1) * gap, low + k * gap];
  }
  return Math.exp((low + high) / 2);
}

// The constant of the settling time at the excess reached by the cycle of that amplitude.
function settlingConstant(settling, amplitude) {
  if (!(amplitude < settling.start)) return NaN;
  const split = Math.min(Math.max(amplitude, 1e-3), settling.start);      // below, differences of near numbers, and the limit is as good
  return settling.beyond + settling.small * Math.log(split / amplitude)
    + integrate(u => settling.rate(Math.exp(u)), Math.log(split), Math.log(settling.start));
}

// What the formulas take beside gamma, of one view.
function readNumbers(toys, losses, settling, view) {
  const beta = view.momentum ?? 0.9, {steps, rho} = view, depth = view.model === "two" ? 2 : view.depth;
  const key = [view.model, depth, view.loss, steps, rho, beta, view.noise].join();
  return remember(key, () => {
    const {residual, curvature} = losses[view.loss], {kernel} = toys[`${view.model} ${depth}`];
    const d1 = excessRoot(residual, rho, 1), d2 = -excessRoot(residual, rho, -1), times = new Map();
    const S = g => {
      if (times.size > 20000) times.clear();
      if (!times.has(g)) times.set(g, flowTime(kernel, residual, g, d1));
      return times.get(g);
    };
    const once = f => { let value; return () => (value ??= f()); };
    return {T: steps, rho, beta, sigma: view.noise ?? 0, h: curvature, r0: residual(1), c: settling.end, d1, d2, f1: 1 - d1, f2: 1 + d2, S,
            S0: once(() => flowTime(() => 1, residual, 1, d1)), kappa: once(() => leastRate(residual, steps, beta, d1)),
            overshoot: once(() => overshootRate(beta)), C: once(() => settlingConstant(settling, -residual(-d2)))};
  });
}

function remember(key, make) {
  if (!remembered.has(key)) {
    if (remembered.size > 40) remembered.clear();
    remembered.set(key, make());
  }
  return remembered.get(key);
}

// The edges of a view's model, loss and optimizer by name. With label noise only SGD's are predicted, and few of them.
function selectEdges(toys, view) {
  const stem = `${view.model} ${view.model === "two" ? 2 : view.depth} ${view.loss} `, edges = toys[stem + view.optimizer] ?? {};
  if (!view.noise) return edges;
  return view.optimizer === "sgd" ? {eta_min: edges.eta_min, ...toys[stem + "noise"]} : {};
}

function evaluate(edge, s, g) {
  return edge.closing && g > edge.closing(s) ? NaN : edge.eta(g, s);
}

// {name: Float64Array of eta}, NaN where nothing is predicted.
export function computeEdges(toys, losses, settling, view, gammas) {
  const chosen = Object.entries(selectEdges(toys, view));
  if (!chosen.length) return {};
  const s = readNumbers(toys, losses, settling, view);
  return Object.fromEntries(chosen.map(([name, edge]) => [name, Float64Array.from(gammas, g => evaluate(edge, s, g))]));
}

// {name: [{gamma: [low, high], exponent: "2/5"}, ...]}: where the local exponent is within 0.02 of its limit.
export function computeExponents(toys, losses, settling, view) {
  const chosen = Object.entries(selectEdges(toys, view));
  if (!chosen.length) return {};
  const s = readNumbers(toys, losses, settling, view);
  return Object.fromEntries(chosen.map(([name, edge]) => [name, remember(
    [name, view.model, view.depth, view.loss, view.optimizer, s.T, s.rho, s.beta, s.sigma].join(), () => listWindows(edge, s))]));
}

function listWindows(edge, s) {
  const found = [];
  for (const [regime, exponent] of Object.entries(edge.exponents)) {
    const [above, below = 1] = exponent.split("/").map(Number), limit = above / below, toward = regime === "rich" ? 1 : -1;
    const departs = decade => {
      const g = 10 ** decade, step = 10 ** 0.0005;
      return Math.abs(Math.log10(evaluate(edge, s, g * step) / evaluate(edge, s, g / step)) / 0.001 - limit);
    };
    const grid = Array.from({length: 161}, (_, i) => toward * (20 - i / 4)), values = grid.map(departs);
    const first = values.findIndex(Number.isFinite);
    if (first < 0 || values[first] > 0.02) continue;
    let last = first;
    while (last + 1 < grid.length && values[last + 1] <= 0.02) last++;
    let inner = last + 1 < grid.length ? grid[last] : -toward * Infinity, next = grid[last + 1];
    for (let i = 0; i < 8 && Number.isFinite(inner); i++) {
      const middle = (inner + next) / 2;
      if (departs(middle) <= 0.02) inner = middle; else next = middle;
    }
    const outer = first ? grid[first] : toward * Infinity, [low, high] = edge.unjudged ?? [Infinity, 0];
    const window = regime === "lazy" ? [10 ** outer, Math.min(10 ** inner, low)]
      : [Math.max(10 ** inner, high), Math.min(10 ** outer, edge.closing ? edge.closing(s) / 3 : Infinity)];
    if (window[0] < window[1]) found.push({gamma: window, exponent});
  }
  return found;
}
