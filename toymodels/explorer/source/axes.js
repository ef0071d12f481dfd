// Logarithmic axes, exact at relative widths down to 1e-12: a place is its distance from the axis's low end.

const logRatio = (x, low) => x > 0.5 * low && x < 2 * low ? Math.log1p((x - low) / low) : Math.log(x) - Math.log(low);

// The value at the share t of an axis; t may lie outside of [0, 1].
export function valueAt([low, high], t) {
  if (t === 0) return low;
  if (t === 1) return high;
  const width = logRatio(high, low), [start, s] = t > 0.5 ? [high, (t - 1) * width] : [low, t * width];
  return Math.abs(s) < 0.5 ? start + start * Math.expm1(s) : start * Math.exp(s);
}

// The share of an axis at which a value lies.
export function shareOf([low, high], x) {
  return logRatio(x, low) / logRatio(high, low);
}

export function decadesOf([low, high]) {
  return logRatio(high, low) / Math.LN10;
}

export function buildAxis(range, points) {
  return Float64Array.from({length: points}, (_, i) => valueAt(range, points > 1 ? i / (points - 1) : 0.5));
}

// The range between two shares of an axis, no narrower than `least` and within `limits`.
export function partOf(range, from, to, limits, least) {
  let low = valueAt(range, from), high = valueAt(range, to);
  if (!(high / low - 1 >= least)) {
    const middle = valueAt(range, (from + to) / 2);
    low = middle * (1 - least / 2), high = middle * (1 + least / 2);
  }
  return [Math.max(limits[0], low), Math.min(limits[1], high)];
}

// The range zoomed about one of its shares. At the least width it stays as it is, and so does what lies there.
export function zoomRange(range, at, factor, limits, least) {
  const share = Math.max(factor, Math.min(1, least / (range[1] / range[0] - 1)));
  return factor < 1 && share > 0.999 ? range : partOf(range, at - at * share, at + (1 - at) * share, limits, least);
}

const superscript = n => String(n).replace(/[-0-9]/g, c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
export const powerOfTen = n => "10" + superscript(n);

// A number for people: three digits unless more are wanted.
export function format(x, digits = 3) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "–" : x > 0 ? "∞" : "−∞";
  const size = Math.abs(x), text = Number(x.toPrecision(digits));
  if (x !== 0 && (size >= 1e5 || size < 1e-3)) {
    const [mantissa, exponent] = text.toExponential().split("e");
    return `${mantissa === "1" ? "" : mantissa + "·"}${powerOfTen(Number(exponent))}`.replace("-", "−");
  }
  return String(text).replace("-", "−");
}

function roundStep(x) {
  const power = 10 ** Math.floor(Math.log10(x)), m = x / power;
  return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * power;
}

// Ticks of an axis about `count` of which fit: {ticks: [{value, label}], offset: text to be added to the axis's name}.
export function listTicks(range, count) {
  const [low, high] = range, decades = decadesOf(range);
  if (decades > Math.max(1.5, count / 4)) {
    const every = Math.ceil(decades / count), ticks = [];
    for (let n = Math.ceil(Math.log10(low) - 1e-9); n <= Math.log10(high) + 1e-9; n++)
      if (every < 10 || n % every === 0) ticks.push({value: 10 ** n, label: n % every === 0 ? powerOfTen(n) : ""});
    return {ticks, offset: ""};
  }
  if (decades > 0.35) {
    const ticks = [], most = decades > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
    for (let n = Math.floor(Math.log10(low)); n <= Math.log10(high); n++)
      for (const m of most) if (m * 10 ** n >= low && m * 10 ** n <= high) ticks.push({value: m * 10 ** n, label: format(m * 10 ** n)});
    return {ticks, offset: ""};
  }
  return listLinearTicks(range, count);
}

// Ticks of a linear axis, as `listTicks` returns them: about `count`, and at least three.
export function listLinearTicks([low, high], count) {
  let step = roundStep((high - low) / count);
  while (Math.floor(high / step) - Math.ceil(low / step) < 2) step = roundStep(step / 2.5);
  const digits = Math.ceil(Math.log10(Math.max(Math.abs(low), Math.abs(high)) / step)) + 1, ticks = [];
  if (digits < 6) {
    for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push({value: k * step, label: format(k * step, digits)});
    return {ticks, offset: ""};
  }
  const base = Number(((low + high) / 2).toPrecision(Math.min(digits - 1, 16))), exponent = Math.floor(Math.log10(step));
  for (let j = Math.ceil((low - base) / step); base + j * step <= high; j++)
    ticks.push({value: base + j * step, label: j ? `${j > 0 ? "+" : "−"}${Math.abs(Math.round(j * step / 10 ** exponent))}` : "0"});
  return {ticks, offset: ` = ${base} + ticks × ${powerOfTen(exponent)}`};
}

// Ticks of an axis that is linear about 0 and logarithmic beyond: 0 and powers of ten, about `count`.
export function listBentTicks([low, high], count) {
  const [below, above] = [-low, high].map(x => Math.log10(Math.max(1, x))), every = Math.max(1, Math.ceil((below + above) / count));
  const ticks = [{value: 0, label: "0"}];
  for (let n = every; n <= Math.max(below, above); n += every) {
    if (n <= above) ticks.push({value: 10 ** n, label: powerOfTen(n)});
    if (n <= below) ticks.push({value: -(10 ** n), label: `−${powerOfTen(n)}`});
  }
  return {ticks, offset: ""};
}

// A range for people: its ends, or its middle and relative width where these would be the same.
export function formatRange([low, high]) {
  const width = high / low - 1;
  return width > 0.02 ? `from ${format(low)} to ${format(high)}` : `about ${(low + (high - low) / 2).toPrecision(Math.min(17, 4 - Math.floor(Math.log10(width))))}, `
    + `${format(width)} wide`;
}
