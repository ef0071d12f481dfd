// One run: its charts over steps, its path in the (u1, u2) plane, and its outcome in a sentence.

import {format, listBentTicks, listLinearTicks, powerOfTen} from "./axes.js";
import {OUTCOMES} from "./outcomes.js";

// A run's outcome: the sentence that the page reads out. `place` names its gamma and eta.
export function describeRun(place, {outcome, final, tail, peak}, view) {
  const {name, sentence} = OUTCOMES.find(o => o.code === outcome);
  const numbers = outcome === 6 ? "" : ` The excess ends at ${format(final)}; its tail is ${format(tail)}, its peak ${format(peak)}.`;
  return `${place}, ${view.steps} steps: ${name} (${sentence}).${numbers}`;
}

// The charts that a run has: title, values, and how they are drawn.
export function listCharts(view, run, eta) {
  const end = run.f.findIndex((f, t) => !(Math.abs(f) < 1e100 && Math.abs(run.u[t]) <= 1e30 && Math.abs(run.v[t]) <= 1e30));
  const cut = values => end < 0 ? values : values.subarray(0, Math.max(2, end));      // a diverged run up to where it leaves
  const share = view.optimizer === "momentum" ? 2 * (1 + view.momentum) : 2;
  const edge = view.optimizer === "momentum" ? "sharpness × η/(2(1 + β))" : "sharpness × η/2";
  const charts = [{title: "excess loss; dashed: ρ", values: cut(run.excess), log: true, marks: [view.rho]},
                  {title: "output f; dashed: the target 1", values: cut(run.f), marks: [1]}];
  if (view.optimizer !== "signsgd") charts.push({title: `${edge}; dashed: 1`, values: cut(run.sharpness).map(s => s * eta / share), marks: [1]});
  return charts;
}

function prepare(canvas) {
  const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1, c = canvas.getContext("2d");
  canvas.width = Math.round(box.width * scale), canvas.height = Math.round(box.height * scale);
  c.setTransform(scale, 0, 0, scale, 0, 0);
  const style = getComputedStyle(canvas);
  return {c, width: box.width, height: box.height, ink: style.getPropertyValue("--ink"), mark: style.getPropertyValue("--accent")};
}

// The least and largest of the finite values that a chart shows, marks included.
function frame(values, marks, log) {
  let low = Infinity, high = -Infinity;
  for (const v of [...marks, ...values]) if (Number.isFinite(v) && (!log || v > 0)) low = Math.min(low, v), high = Math.max(high, v);
  if (log) return [Math.max(low, 1e-32) / 1.5, Math.min(high, 1e300) * 1.5];
  const room = (high - low) * 0.06 || 1;
  return [low - room, high + room];
}

// Draw a chart of values over steps: the span of each pixel's steps where there are more steps than pixels.
export function drawChart(canvas, {title, values, log, marks, logSteps}) {
  const {c, width, height, ink, mark} = prepare(canvas), left = 66, right = width - 10, top = 24, bottom = height - 30;
  let [low, high] = frame(values, marks, log);
  // a linear chart that spans too many sizes shows their order instead
  const bent = !log && high - low > 1e4;
  const scale = log ? Math.log10 : bent ? Math.asinh : v => v, [a, b] = [scale(low), scale(high)];
  const last = Math.max(1, values.length - 1), x = t => left + (right - left) * (logSteps ? Math.log1p(t) / Math.log1p(last) : t / last);
  const y = v => bottom - (bottom - top) * (scale(v) - a) / (b - a);
  c.clearRect(0, 0, width, height);
  c.fillStyle = ink, c.strokeStyle = ink, c.lineWidth = 1, c.font = "13px system-ui, sans-serif";
  c.textAlign = "left", c.textBaseline = "alphabetic", c.fillText(title, left, 15);
  c.strokeRect(left + 0.5, top + 0.5, right - left - 1, bottom - top - 1);
  c.font = "12px system-ui, sans-serif", c.textAlign = "right", c.textBaseline = "middle";
  let ticks = [];
  if (log) {
    const every = Math.max(1, Math.ceil((b - a) / 5));
    for (let n = Math.ceil(a); n <= b; n++) if (n % every === 0) ticks.push({value: 10 ** n, label: powerOfTen(n)});
  } else {
    ({ticks} = (bent ? listBentTicks : listLinearTicks)([low, high], 4));
  }
  for (const {value, label} of ticks) c.fillText(label, left - 6, Math.max(top + 6, Math.min(bottom - 6, y(value))));
  c.textBaseline = "top";
  const decades = Math.floor(Math.log10(last) - 0.3);
  for (const t of logSteps ? [0, ...Array.from({length: Math.max(0, decades + 1)}, (_, n) => 10 ** n), last] : new Set([0, Math.round(last / 2), last])) {
    c.textAlign = t === 0 ? "left" : t === last ? "right" : "center";
    c.fillText(format(t, 6) + (t === last ? t > 1 ? " steps" : " step" : ""), x(t), bottom + 6);
  }
  c.save(), c.beginPath(), c.rect(left, top, right - left, bottom - top), c.clip();
  c.strokeStyle = mark, c.lineWidth = 1.3, c.setLineDash([5, 4]);
  for (const m of marks) c.beginPath(), c.moveTo(left, y(m)), c.lineTo(right, y(m)), c.stroke();
  c.setLineDash([]), c.strokeStyle = ink, c.lineWidth = 1.2, c.lineJoin = "round", c.beginPath();
  const per = Math.max(1, Math.floor(values.length / (2 * (right - left))));
  let pen = false;
  const to = (t, v) => {
    if (!Number.isFinite(v)) return void (pen = false);
    const place = [x(t), Math.max(-1e4, Math.min(1e4, y(log ? Math.max(v, low) : v)))];
    if (pen) c.lineTo(...place); else c.moveTo(...place);
    pen = true;
  };
  for (let t = 0, many; t < values.length; t += many) {
    many = logSteps ? Math.max(1, Math.floor(t / (2 * (right - left)) * Math.log1p(last))) : per;
    const some = values.subarray(t, t + many);
    if (many === 1) to(t, some[0]);
    else to(t, some.reduce((m, v) => Math.min(m, v), Infinity)), to(t, some.reduce((m, v) => Math.max(m, v), -Infinity));
  }
  c.stroke(), c.restore();
}

// The least and the largest of some values.
const extent = values => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);

// Draw the path in the (u1, u2) plane, in equal units, over the curve of minima, u1 u2 = gamma/2.
export function drawPath(canvas, {u, v}, gamma) {
  const {c, width, height, ink, mark} = prepare(canvas), left = 66, right = width - 10, top = 24, bottom = height - 30;
  const far = 100 * Math.hypot(1, gamma), end = u.findIndex((x, t) => !(Math.abs(x) < far && Math.abs(v[t]) < far));
  const us = end < 0 ? u : u.subarray(0, end), vs = v.subarray(0, us.length), ranges = [extent(us), extent(vs)];
  const [middle, reach] = [ranges.map(([a, b]) => (a + b) / 2), ranges.map(([a, b]) => b - a)];
  // of a pixel: the path fills three quarters, unless its steps are as small as the rounding of u
  const unit = Math.max(reach[0] / (right - left) / 0.75, reach[1] / (bottom - top) / 0.75, 1e-14 * Math.hypot(...middle));
  const x = a => (left + right) / 2 + (a - middle[0]) / unit, y = b => (top + bottom) / 2 - (b - middle[1]) / unit;
  const spans = [right - left, bottom - top].map((pixels, k) => [middle[k] - unit * pixels / 2, middle[k] + unit * pixels / 2]);
  const [columns, rows] = [listLinearTicks(spans[0], 4), listLinearTicks(spans[1], 4)];
  c.clearRect(0, 0, width, height);
  c.fillStyle = ink, c.strokeStyle = ink, c.font = "13px system-ui, sans-serif", c.textAlign = "left", c.textBaseline = "alphabetic";
  c.fillText(`u₂${rows.offset} over u₁${columns.offset}; dashed: minima`, left, 15, right - left);
  c.lineWidth = 1, c.strokeRect(left + 0.5, top + 0.5, right - left - 1, bottom - top - 1);
  c.font = "12px system-ui, sans-serif", c.textBaseline = "middle", c.textAlign = "right";
  for (const {value, label} of rows.ticks) c.fillText(label, left - 6, y(value));
  c.textAlign = "center", c.textBaseline = "top";
  for (const {value, label} of columns.ticks) c.fillText(label, x(value), bottom + 6);
  c.save(), c.beginPath(), c.rect(left, top, right - left, bottom - top), c.clip();
  c.globalAlpha = 0.25;
  for (const [p, q, r, s] of [[left, y(0), right, y(0)], [x(0), top, x(0), bottom]]) c.beginPath(), c.moveTo(p, q), c.lineTo(r, s), c.stroke();
  c.globalAlpha = 1, c.strokeStyle = mark, c.lineWidth = 1.6, c.setLineDash([5, 4]);
  for (const sign of [1, -1]) {
    const [near, most] = [...spans[0]].map(a => sign * a).sort((a, b) => a - b), least = gamma / 2 / Math.max(...spans[1].map(Math.abs));
    const from = Math.max(near, least);
    c.beginPath();
    for (let k = 0; k <= 200 && most > from; k++) {
      const a = from * (most / from) ** (k / 200);
      c.lineTo(x(sign * a), y(sign * gamma / 2 / a));
    }
    c.stroke();
  }
  c.setLineDash([]), c.strokeStyle = ink, c.lineWidth = 1.1, c.beginPath();
  const drawn = Math.min(us.length, 20000);
  for (let t = 0; t < drawn; t++) c.lineTo(x(us[t]), y(vs[t]));
  c.stroke();
  for (const [t, fill] of [[0, "#ffffff"], [us.length - 1, mark]]) {
    c.beginPath(), c.arc(x(us[t]), y(vs[t]), 4.5, 0, 2 * Math.PI), c.fillStyle = fill, c.fill(), c.strokeStyle = ink, c.stroke();
  }
  c.restore();
}
