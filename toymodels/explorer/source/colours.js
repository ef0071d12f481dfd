// The colours of the plane: outcomes as in the figures, excesses, periods and exponents on scales that survive a grey printer.

import {powerOfTen} from "./axes.js";
import {OUTCOMES} from "./outcomes.js";

const parse = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
const DIVERGED = OUTCOMES.find(o => o.name === "diverged"), GREY = parse(DIVERGED.colour);
// from dark to light, of equal steps in lightness; and from blue through white to red
export const RAMP = ["#081d58", "#243a8f", "#2d62a3", "#2c89a0", "#3faf95", "#7fcf7f", "#c9e56b", "#fdf3a0"].map(parse);
const SIDES = ["#08306b", "#3b78b5", "#a6c8e4", "#ffffff", "#f7b58a", "#d95f1e", "#7a2a06"].map(parse);
const PERIODS = {1: "#1a5fa3", 2: "#4f94cd", 4: "#8fc1e3", 8: "#b8dcc0", 16: "#e3e8a6", 32: "#f2d27a", 64: "#eeb93c"};
const OTHER_PERIOD = "#7b3fa0", CHAOS = "#c2410c", UNSETTLED = "#f3e9d2";

// [red, green, blue] at the share t of a ramp.
export function mix(ramp, t) {
  const x = Math.max(0, Math.min(1, t)) * (ramp.length - 1), i = Math.min(ramp.length - 2, Math.floor(x));
  return ramp[i].map((c, k) => Math.round(c + (ramp[i + 1][k] - c) * (x - i)));
}

// The ends of the scales: log10 of the excess, and the exponent per step.
export const ENDS = {final: [-8, 2], tail: [-8, 2], peak: [0, 8], lyapunov: [-1, 1]};

function paintValue(colour, value) {
  if (colour === "lyapunov") return Number.isNaN(value) ? GREY : mix(SIDES, (value + 1) / 2);
  if (value === Infinity) return GREY;
  if (Number.isNaN(value)) return [255, 255, 255];      // no rate, so that nothing was trained
  const [low, high] = ENDS[colour];
  return mix(RAMP, (Math.log10(Math.max(value, 1e-300)) - low) / (high - low));
}

function paintPeriod(period) {
  return parse(period === -1 ? DIVERGED.colour : period === -2 ? UNSETTLED : period === 0 ? CHAOS
    : PERIODS[period] ?? OTHER_PERIOD);
}

const outcomeColours = new Map(OUTCOMES.map(o => [o.code, parse(o.colour)]));

// [red, green, blue] of a pixel's value.
export function paint(colour, value) {
  return colour === "outcome" ? outcomeColours.get(value) : colour === "period" ? paintPeriod(value) : paintValue(colour, value);
}

export const EXCESS = "Excess: the loss above its least, in units of what it is at the start. Tail: the last T/10 steps, over which the largest excess counts. "
  + "Peak: the largest excess of the run.";

// What a legend shows: {entries: [{colour, label, meaning}], about: a sentence}, and of numbers {ramp: colours, low, high}.
export function describeColours(colour, values) {
  if (colour !== "outcome" && colour !== "period") {
    const [low, high] = ENDS[colour], [ramp, ends] = colour === "lyapunov" ? [SIDES, [`−${high}`, `${high} per step`]] : [RAMP, [powerOfTen(low), powerOfTen(high)]];
    return {ramp, low: ends[0], high: ends[1], about: colour === "lyapunov" ? "" : EXCESS, entries: [{colour: DIVERGED.colour, label: DIVERGED.name, meaning: DIVERGED.sentence}]};
  }
  const present = new Set(values);
  if (colour === "outcome") return {about: EXCESS, entries: OUTCOMES.filter(o => present.has(o.code)).map(({colour, name, sentence}) => ({colour, label: name, meaning: sentence}))};
  const entries = Object.entries(PERIODS).filter(([p]) => present.has(Number(p)))
    .map(([p, c]) => ({colour: c, label: p, meaning: p === "1" ? "settled at a fixed point" : `a cycle of ${p} steps`}));
  if ([...present].some(p => p > 0 && !(p in PERIODS))) entries.push({colour: OTHER_PERIOD, label: "other", meaning: "a cycle of another length up to 64"});
  if (present.has(0)) entries.push({colour: CHAOS, label: "chaos", meaning: "a positive Lyapunov exponent"});
  if (present.has(-2)) entries.push({colour: UNSETTLED, label: "not settled", meaning: "no cycle up to 64 and no chaos after T steps: the run still moves on"});
  if (present.has(-1)) entries.push({colour: DIVERGED.colour, label: DIVERGED.name, meaning: DIVERGED.sentence});
  return {entries};
}
