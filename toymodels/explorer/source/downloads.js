// Files of what is shown: a picture and the numbers.

import {OUTCOMES} from "./outcomes.js";
import {Picture} from "./picture.js";

function save(name, blob) {
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export const nameFile = (view, end) => ["lazyrich", view.model === "two" ? "two" : `one-L${view.depth}`, view.loss, view.optimizer, `T${view.steps}`]
  .join("-") + end;

const SHEET = {width: 720, height: 520, scale: 2, ink: "#000000"}, LINE = 20;

// Save a picture for a paper: on white, in twice the pixels, with a title above and the legend beneath.
export function savePicture(shown, view, unitName, title, {entries, ramp, low, high, name: quantity}, name) {
  const picture = new Picture(document.createElement("canvas"), SHEET), {width, height, scale} = SHEET;
  Object.assign(picture, {images: shown.images, lines: shown.lines, points: shown.points}).draw(view, unitName);
  const sheet = Object.assign(document.createElement("canvas"), {width: width * scale, height: (height + 6 * LINE) * scale}), c = sheet.getContext("2d");
  c.scale(scale, scale), c.fillStyle = "#ffffff", c.fillRect(0, 0, sheet.width, sheet.height);
  c.drawImage(picture.canvas, 0, LINE * 1.2, width, height);
  c.fillStyle = "#000000", c.textBaseline = "middle", c.font = "bold 14px system-ui, sans-serif";
  c.fillText(title, picture.left, 14, picture.right - picture.left);
  c.font = "13px system-ui, sans-serif";
  let x = picture.left, y = height + 2.2 * LINE;
  const write = (text, before) => {
    const wide = c.measureText(text).width;
    if (x > picture.left && x + before + wide > picture.right) x = picture.left, y += LINE;
    c.fillStyle = "#000000", c.fillText(text, x + before, y);
    const start = x;
    x += before + wide + 16;
    return start;
  };
  const box = (start, wide, fill) => { c.fillStyle = fill, c.strokeStyle = "#707880", c.fillRect(start, y - 7, wide, 14), c.strokeRect(start, y - 7, wide, 14); };
  if (ramp) {
    write(`${quantity}: ${low}`, 0);
    const shades = c.createLinearGradient(x - 10, 0, x + 150, 0);
    ramp.forEach((colour, i) => shades.addColorStop(i / (ramp.length - 1), `rgb(${colour.join()})`));
    box(x - 10, 160, shades), x += 156, write(high, 0);
  }
  for (const {colour, label} of entries) box(write(label, 20), 14, colour);
  c.fillStyle = "#4d5762", c.font = "11px system-ui, sans-serif", c.fillText("lazyrich explore", picture.left, y + 1.3 * LINE);
  const whole = Object.assign(document.createElement("canvas"), {width: sheet.width, height: (y + 2 * LINE) * scale});      // as many lines as the legend has
  whole.getContext("2d").drawImage(sheet, 0, 0);
  whole.toBlob(blob => save(name, blob));
}

// The numbers of a plane, one pixel a line; eta is the rate itself, whatever the axis shows.
function writeNumbers({gamma, rates, values}, comment) {
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
