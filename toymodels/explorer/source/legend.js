// What stands beside a plane: the colours and what they mean, boxes that switch edges, the theory's letters in a sentence.

import {DASHES, EDGE_NAMES, MARKERS} from "./picture.js";

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A legend as `describeColours` describes it, and the meanings of its entries, for `place` and for the list `meanings`.
export function showColours(place, meanings, {entries, ramp, low, high, name, about}) {
  const square = colour => make("i", {style: `background:${colour}`});
  place.replaceChildren(...entries.map(({colour, label}) => make("span", {}, square(colour), label)));
  if (ramp) place.prepend(make("span", {}, `${name}: ${low}`,
    make("i", {class: "ramp", style: `background:linear-gradient(to right,${ramp.map(c => `rgb(${c.join()})`).join()})`}), high));
  meanings.replaceChildren(...entries.flatMap(({label, meaning}) => [make("dt", {}, label), make("dd", {}, ...writeMath(meaning))]), ...(about ? [make("dd", {}, about)] : []));
}

// Boxes for edges [{name, kind: "line" or "points", text}]; `hidden` is the set of those that are off.
export function listBoxes(place, edges, hidden, onChange) {
  place.replaceChildren(...edges.map(({name, kind, text = []}) => {
    const box = make("input", {type: "checkbox"});
    box.checked = !hidden.has(name);
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(name); else hidden.add(name);
      onChange();
    });
    return make("label", {}, box, swatch(name, kind), make("span", {}, ...writeMath(name), ...text));
  }));
}

function swatch(name, kind) {
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg"), mark = document.createElementNS(space, kind === "points" ? "path" : "line");
  const set = (element, values) => Object.entries(values).forEach(([key, value]) => element.setAttribute(key, value));
  set(svg, {width: 34, height: 12, "aria-hidden": true});
  if (kind === "points") set(mark, {d: MARKERS[name] ?? MARKERS.eta_opt, transform: "translate(17 6)", fill: "#fff", stroke: "#000"});
  else set(mark, {x1: 1, x2: 33, y1: 6, y2: 6, stroke: "#000", "stroke-width": 2, "stroke-dasharray": (DASHES[name] ?? [5, 2]).join(" ")});
  svg.append(mark);
  return svg;
}

const GREEK = {eta: "η", gamma: "γ", rho: "ρ"};

const SIGNS = {"+-": "±", "<=": "≤", ">=": "≥"};

// A sentence with eta_max, gamma^2, rho, +-, ... in letters and signs, as nodes.
export function writeMath(text) {
  return text.replace(/\+-|[<>]=/g, sign => SIGNS[sign]).split(/\b((?:eta|gamma|rho)(?:_[a-z]+)?(?:\^[-\d./]*\d)?)(?![\w])/).map((part, i) => {
    if (i % 2 === 0) return part;
    const [, letter, below, above] = /^([a-z]+)(?:_([a-z]+))?(?:\^(.*))?$/.exec(part);
    return make("span", {}, make("i", {}, GREEK[letter]), ...(below ? [make("sub", {}, EDGE_NAMES[`eta_${below}`] ?? below)] : []),
                ...(above ? [make("sup", {}, above)] : []));
  });
}
