// Draw the plane: pixels, edges, axes and the marks of the cursor and of the run.

import {decadesOf, listTicks, shareOf, valueAt} from "./axes.js";
import {paint} from "./colours.js";

export const EDGE_NAMES = {eta_min: "min", eta_crit: "crit", eta_settle: "settle", eta_max: "max", eta_div: "div", eta_opt: "opt"};
// of a measured edge, about its middle
export const MARKERS = {eta_min: "M-4 3H4L0-4Z", eta_crit: "M-3-3H3V3H-3Z", eta_settle: "M-4-1.5H-1.5V-4H1.5V-1.5H4V1.5H1.5V4H-1.5V1.5H-4Z",
                        eta_max: "M-4-3H4L0 4Z", eta_div: "M0-4.5L4 0L0 4.5L-4 0Z", eta_opt: "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0Z"};
export const DASHES = {eta_min: [7, 3], eta_crit: [2, 3], eta_settle: [8, 3, 2, 3], eta_max: [], eta_div: [4, 2], eta_opt: [1, 2]};

const LEFT = 58, TICKS = "12px system-ui, sans-serif";

// An image of computed values (gamma slow), with the ranges that it covers: pixel centres lie on the ranges' ends.
export class PlaneImage {
  constructor(view, columns, rows) {
    this.gamma = view.gamma, this.eta = view.eta;
    this.canvas = Object.assign(document.createElement("canvas"), {width: columns, height: rows});
    this.context = this.canvas.getContext("2d");
  }

  // Paint columns from `first` on.
  paint(first, values, colour) {
    const rows = this.canvas.height, columns = values.length / rows, pixels = this.context.createImageData(columns, rows), seen = new Map();
    for (let i = 0; i < columns; i++) for (let j = 0; j < rows; j++) {
      const value = values[i * rows + j];
      let c = seen.get(value);
      if (!c) {
        c = paint(colour, value);
        if (seen.size < 5000) seen.set(value, c);
      }
      const at = 4 * ((rows - 1 - j) * columns + i);
      pixels.data[at] = c[0], pixels.data[at + 1] = c[1], pixels.data[at + 2] = c[2], pixels.data[at + 3] = 255;
    }
    this.context.putImageData(pixels, first, 0);
  }

  draw(picture, view) {
    const {width, height} = this.canvas, half = [0.5 / Math.max(1, width - 1), 0.5 / Math.max(1, height - 1)];
    const a = picture.x(view, valueAt(this.gamma, -half[0])), b = picture.x(view, valueAt(this.gamma, 1 + half[0]));
    const low = picture.y(view, valueAt(this.eta, -half[1])), high = picture.y(view, valueAt(this.eta, 1 + half[1]));
    if ([a, b, low, high].every(v => Math.abs(v) < 1e7)) picture.context.drawImage(this.canvas, a, high, b - a, low - high);
  }
}

export class Picture {
  // `fixed`: {width, height, scale, ink} of a picture for a file; null: those that the page gives it.
  constructor(canvas, fixed = null) {
    this.canvas = canvas, this.context = canvas.getContext("2d"), this.fixed = fixed;
    this.images = [], this.lines = {}, this.points = {}, this.cursor = null, this.mark = null, this.left = LEFT;
    this.resize();
  }

  resize() {
    const {width, height} = this.fixed ?? this.canvas.getBoundingClientRect(), scale = this.fixed?.scale ?? (window.devicePixelRatio || 1);
    this.width = Math.max(160, width), this.height = Math.max(160, height);
    this.canvas.width = Math.round(this.width * scale), this.canvas.height = Math.round(this.height * scale);
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.top = 8, this.right = this.width - 12, this.bottom = this.height - 44;
  }

  // A place of the window as shares of the axes, [0, 1] within the plot.
  toShares(x, y) {
    const box = this.canvas.getBoundingClientRect();
    return [(x - box.left - this.left) / (this.right - this.left), (this.bottom - (y - box.top)) / (this.bottom - this.top)];
  }

  x(view, gamma) { return this.left + shareOf(view.gamma, gamma) * (this.right - this.left); }
  y(view, eta) { return this.bottom - shareOf(view.eta, eta) * (this.bottom - this.top); }

  draw(view, unitName) {
    const c = this.context, ink = this.fixed?.ink ?? getComputedStyle(this.canvas).color, high = this.bottom - this.top;
    c.clearRect(0, 0, this.width, this.height);
    const rows = listTicks(view.eta, Math.max(2, high / 34));
    c.font = TICKS, this.left = Math.max(LEFT, ...rows.ticks.map(({label}) => c.measureText(label).width + 34));
    const wide = this.right - this.left, columns = listTicks(view.gamma, Math.max(2, wide / 62));
    c.save();
    c.beginPath();
    c.rect(this.left, this.top, wide, high);
    c.clip();
    c.fillStyle = "#ffffff";
    c.fillRect(this.left, this.top, wide, high);
    c.imageSmoothingEnabled = false;
    for (const image of this.images) image.draw(this, view);
    for (const [name, line] of Object.entries(this.lines)) this.drawLine(view, name, line);
    for (const [name, places] of Object.entries(this.points)) this.drawPoints(view, name, places);
    this.labelEdges(view);
    if (this.mark) this.drawMark(view, this.mark, "#ffffff", "#000000");
    if (this.cursor) this.drawCursor(view, this.cursor);
    c.restore();
    c.strokeStyle = ink, c.lineWidth = 1;
    c.strokeRect(this.left + 0.5, this.top + 0.5, wide - 1, high - 1);
    this.drawAxes(view, unitName, ink, columns, rows);
  }

  drawLine(view, name, {gamma, eta, colour}) {
    const c = this.context;
    c.beginPath();
    let pen = false;
    gamma.forEach((g, i) => {
      const y = this.y(view, eta[i]);
      if (!(y > -4e3 && y < 8e3)) pen = false;
      else if (pen) c.lineTo(this.x(view, g), y);
      else c.moveTo(this.x(view, g), y), pen = true;
    });
    c.lineJoin = "round";
    c.setLineDash([]), c.strokeStyle = "#ffffff", c.lineWidth = 4, c.stroke();
    c.setLineDash(DASHES[name] ?? [5, 2]), c.strokeStyle = colour ?? "#000000", c.lineWidth = 1.8, c.stroke();
    c.setLineDash([]);
  }

  // The places of a measured edge, as marks that do not overlap.
  drawPoints(view, name, {gamma, eta}) {
    const c = this.context, path = new Path2D(MARKERS[name] ?? MARKERS.eta_opt);
    let last = -Infinity;
    for (const [i, g] of gamma.entries()) {
      const x = this.x(view, g), y = this.y(view, eta[i]);
      if (!(x > last + 10 && Math.abs(x) < 1e5 && Math.abs(y) < 1e5)) continue;
      last = x;
      c.save(), c.translate(x, y), c.fillStyle = "#ffffff", c.strokeStyle = "#000000", c.lineWidth = 1.1;
      c.fill(path), c.stroke(path), c.restore();
    }
  }

  // Write each edge's name beside it, where no other name stands.
  labelEdges(view) {
    const c = this.context, places = [];
    const edges = Object.entries({...this.points, ...this.lines});
    for (const [k, [name, {gamma, eta}]] of edges.entries()) {
      const points = Array.from(gamma, (g, i) => [this.x(view, g), this.y(view, eta[i])])
        .filter(([x, y]) => x > this.left + 8 && x < this.right - 52 && y > this.top + 18 && y < this.bottom - 8);
      const free = ([x, y]) => places.every(([a, b]) => Math.abs(a - x) > 54 || Math.abs(b - y) > 20);
      const from = Math.floor(points.length * (0.3 + 0.5 * k / edges.length)), place = [...points.slice(from), ...points.slice(0, from)].find(free);
      if (!place) continue;
      places.push(place);
      const [x, y] = [place[0] + 4, place[1] - 7], below = EDGE_NAMES[name] ?? name;
      c.lineWidth = 3.5, c.strokeStyle = "#ffffff", c.fillStyle = "#000000", c.textAlign = "left", c.textBaseline = "alphabetic";
      for (const pen of ["strokeText", "fillText"]) {
        c.font = "italic 15px Georgia, 'DejaVu Serif', serif", c[pen]("η", x, y);
        c.font = "11px system-ui, sans-serif", c[pen](below, x + 9, y + 4);
      }
    }
  }

  drawMark(view, {gamma, eta}, inner, outer) {
    const c = this.context, x = this.x(view, gamma), y = this.y(view, eta);
    if (!(Math.abs(x) < 1e5 && Math.abs(y) < 1e5)) return;
    for (const [colour, width] of [[outer, 5], [inner, 2]]) {
      c.strokeStyle = colour, c.lineWidth = width;
      c.beginPath(), c.arc(x, y, 6, 0, 2 * Math.PI), c.stroke();
    }
  }

  drawCursor(view, [s, t]) {
    const c = this.context, x = this.left + s * (this.right - this.left), y = this.bottom - t * (this.bottom - this.top);
    for (const [colour, width] of [["#000000", 4], ["#ffffff", 1.6]]) {
      c.strokeStyle = colour, c.lineWidth = width;
      c.beginPath(), c.moveTo(x - 11, y), c.lineTo(x + 11, y), c.moveTo(x, y - 11), c.lineTo(x, y + 11), c.stroke();
    }
  }

  drawAxes(view, unitName, ink, columns, rows) {
    const c = this.context;
    c.fillStyle = ink, c.strokeStyle = ink, c.lineWidth = 1, c.font = TICKS;
    const line = (x, y, a, b) => { c.beginPath(), c.moveTo(x, y), c.lineTo(a, b), c.stroke(); };
    c.textAlign = "center", c.textBaseline = "top";
    let after = -Infinity;
    for (const {value, label} of columns.ticks) {
      const x = Math.round(this.x(view, value)) + 0.5, half = c.measureText(label).width / 2;
      line(x, this.bottom, x, this.bottom + (label ? 5 : 3));
      const middle = Math.min(x, this.width - half - 1);
      if (label && middle - half > after) c.fillText(label, middle, this.bottom + 8), after = middle + half + 8;
    }
    c.textAlign = "right", c.textBaseline = "middle";
    let above = Infinity;
    for (const {value, label} of rows.ticks) {
      const y = Math.round(this.y(view, value)) + 0.5;
      line(this.left, y, this.left - (label ? 5 : 3), y);
      if (label && y < above) c.fillText(label, this.left - 8, y), above = y - 14;
    }
    c.textAlign = "center", c.textBaseline = "alphabetic", c.font = "13px system-ui, sans-serif";
    c.fillText(`γ${columns.offset}${decadesOf(view.gamma) > 2 ? "  feature-learning strength" : ""}`, (this.left + this.right) / 2, this.height - 5);
    c.save();
    c.translate(13, (this.top + this.bottom) / 2), c.rotate(-Math.PI / 2);
    c.fillText(`${unitName}${rows.offset}${decadesOf(view.eta) > 2 && unitName === "η" ? "  learning rate" : ""}`, 0, 0);
    c.restore();
  }
}
