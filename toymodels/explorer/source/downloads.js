// Files of what is shown: a picture and the numbers.

import {OUTCOMES} from "./outcomes.js";

function save(name, blob) {
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export const nameFile = (view, end) => ["lazyrich", view.model === "two" ? "two" : `one-L${view.depth}`, view.loss, view.optimizer, `T${view.steps}`]
  .join("-") + end;

// The picture on the page's ground, which may be dark.
export function savePicture(canvas, name) {
  const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height}), c = copy.getContext("2d");
  c.fillStyle = getComputedStyle(document.body).backgroundColor;
  c.fillRect(0, 0, copy.width, copy.height);
  c.drawImage(canvas, 0, 0);
  copy.toBlob(blob => save(name, blob));
}

// The numbers of a plane, one pixel a line; eta is the rate itself, whatever the axis shows.
export function writeNumbers({gamma, rates, values}, comment) {
  const names = Object.keys(values), n = rates.length / gamma.length, lines = [`# ${comment}`, ["gamma", "eta", ...names].join(",")];
  const labels = new Map(OUTCOMES.map(o => [o.code, o.name]));
  for (let i = 0; i < gamma.length; i++) for (let j = 0; j < n; j++) {
    const k = i * n + j;
    lines.push([gamma[i], rates[k], ...names.map(name => name === "outcome" ? labels.get(values.outcome[k]) : values[name][k])].join(","));
  }
  return lines.join("\n") + "\n";
}

export function saveNumbers(plane, name, comment) {
  save(name, new Blob([writeNumbers(plane, comment)], {type: "text/csv"}));
}
