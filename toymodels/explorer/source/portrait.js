// Read a stored portrait from the page and show it: its runs, measured and predicted edges, verdicts; each run under the pointer.

const STORED_MARGIN = {left: 62, right: 12, top: 10, bottom: 46};
const STORED_RAMP = ["#10224e", "#2f4d7d", "#5c6f7f", "#8a8a79", "#bda96b", "#ecd06f", "#fff3b0"];
const STORED_SHADES = Array.from({length: 61}, (_, n) => {      // the ramp, in ten steps between its colours
  const part = i => STORED_RAMP[Math.min(6, Math.floor(n / 10) + i)].match(/\w\w/g).map(x => parseInt(x, 16)), next = part(1);
  return `rgb(${part(0).map((c, k) => Math.round(c + (next[k] - c) * (n % 10) / 10)).join()})`;
});
const STORED_DASHES = [[], [8, 3], [2, 3], [8, 3, 2, 3], [4, 2], [12, 4]];
const STORED_KINDS = {i1: Int8Array, i4: Int32Array, f4: Float32Array, f8: Float64Array};

// The portrait that `lazyrich explore PORTRAIT` has put into the page, with its arrays decoded; null if there is none.
export function readPortrait(page) {
  const element = page.getElementById("portrait");
  if (!element) return null;
  const stored = JSON.parse(element.textContent);
  const gamma = decodeArray(stored.gamma).values, {shape, values} = decodeArray(stored.eta), columns = shape.at(-1);
  const eta = shape.length > 1 ? values : Float64Array.from({length: gamma.length * columns}, (_, n) => values[n % columns]);
  return {...stored, gamma, eta,
          variables: Object.fromEntries(Object.entries(stored.variables).map(([name, x]) => [name, {...x, ...decodeArray(x)}])),
          edges: stored.edges.map(x => ({...x, ...decodeArray(x)})),
          predicted: stored.predicted.map(x => ({...x, ...decodeArray(x), at: decodeArray(x.at).values}))};
}

function decodeArray({type, shape, data}) {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  return {shape, values: new STORED_KINDS[type](bytes.buffer)};      // as everywhere, the least significant byte first
}

// Show the portrait in `place`, with a picker for every dim before gamma and eta.
export function showPortrait(portrait, place) {
  const page = place.ownerDocument, {gamma, eta} = portrait, rows = gamma.length, columns = eta.length / rows;
  const dims = Object.keys(portrait.picked), sizes = dims.map(d => portrait.picked[d].length);
  const picked = Object.fromEntries(dims.map((d, i) => [d, d === "horizon" ? sizes[i] - 1 : 0]));
  const hidden = new Set();
  let quantity = "outcome", cursor = null;
  const outcomes = new Map(portrait.outcomes.map(o => [o.code, o]));

  const make = (tag, attributes = {}, ...children) => {
    const element = page.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const canvas = make("canvas", {tabindex: "0", role: "img", id: "stored-plane", style: "width:100%;display:block;touch-action:none",
                                 "aria-describedby": "stored-run", "aria-label":
    `Stored runs over gamma, from ${short(gamma[0])} to ${short(gamma[rows - 1])}, and eta. Arrow keys go from run to run.`});
  const readout = make("output", {id: "stored-run", "aria-live": "polite", style: "display:block;min-height:4.2em"});
  const legend = make("p", {class: "stored-legend"}), pickers = make("p", {class: "stored-pickers"});

  const pick = (label, choices, chosen, change) => {
    const select = make("select", {"aria-label": label, "data-dim": label}, ...choices.map((c, i) => make("option", {value: i}, String(c))));
    select.value = chosen;
    select.addEventListener("change", () => { change(Number(select.value)); draw(); });
    pickers.append(make("label", {}, `${label} `, select), " ");
  };
  const names = Object.keys(portrait.variables);
  pick("shown", names.map(n => portrait.variables[n].label), names.indexOf(quantity), i => { quantity = names[i]; });
  dims.forEach(d => { if (portrait.picked[d].length > 1) pick(d, portrait.picked[d], picked[d], i => { picked[d] = i; }); });
  const curves = [...portrait.edges.map(e => `measured ${e.name}`), ...portrait.predicted.map(e => `predicted ${e.name}`)];
  curves.forEach(name => {
    const box = make("input", {type: "checkbox", checked: ""});
    box.addEventListener("change", () => { if (box.checked) hidden.delete(name); else hidden.add(name); draw(); });
    pickers.append(make("label", {style: "white-space:nowrap"}, box, ` ${name}`), " ");
  });

  const verdicts = make("ul", {}, ...portrait.verdicts.map(v => make("li", {}, make("strong", {}, v.outcome), ` ${v.sentence}`)),
                        ...portrait.notes.map(n => make("li", {}, n)));
  const numbers = make("div", {style: "flex:1 1 18rem;max-width:40rem"}, make("h3", {}, "The run under the pointer"), readout,
                       make("h3", {}, "Verdicts"),
                       portrait.verdicts.length + portrait.notes.length ? verdicts : make("p", {}, "Nothing was judged."));
  const left = make("div", {style: "flex:1 1 26rem;max-width:46rem;min-width:0"}, pickers, canvas, legend);
  place.append(make("section", {id: "stored", "aria-label": "Stored portrait"}, make("h2", {}, portrait.title),
                    make("div", {style: "display:flex;flex-wrap:wrap;gap:0 2rem"}, left, numbers)));

  // The index of a run in a variable's values, for the picked seed, horizon, ...
  const locate = (i, j, at = picked) => (dims.reduce((n, d, k) => n * sizes[k] + at[d], 0) * rows + i) * columns + j;
  const value = (name, i, j, at) => portrait.variables[name].values[locate(i, j, at)];
  const middle = (a, b) => Math.sqrt(a * b);
  const bounds = (values, i, first, last) => [i > first ? middle(values[i - 1], values[i]) : values[i] / Math.sqrt(ratio(values, first)),
                                              i < last ? middle(values[i], values[i + 1]) : values[i] * Math.sqrt(ratio(values, last - 1))];
  const ratio = (values, i) => values[i + 1] / values[i] || 1.1;
  const spans = Array.from({length: rows}, (_, i) => bounds(gamma, i, 0, rows - 1));
  const heights = Array.from({length: rows * columns}, (_, n) => {
    const first = Math.floor(n / columns) * columns;
    return bounds(eta, n, first, first + columns - 1);
  });
  const [first, last] = [spans[0][0], spans[rows - 1][1]];
  const bottom = heights.reduce((least, h) => Math.min(least, h[0]), Infinity), top = heights.reduce((most, h) => Math.max(most, h[1]), 0);
  const picture = make("canvas");      // without the mark of the run under the pointer
  let scale = {};

  function draw() {
    const width = Math.max(280, canvas.clientWidth || 640), height = Math.round(Math.min(0.75 * width, 480));
    const dense = page.defaultView.devicePixelRatio || 1, context = picture.getContext("2d");
    canvas.width = picture.width = width * dense;
    canvas.height = picture.height = height * dense;
    canvas.style.height = `${height}px`;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    const {left: x0, top: y0} = STORED_MARGIN, x1 = width - STORED_MARGIN.right, y1 = height - STORED_MARGIN.bottom;
    const x = g => x0 + (x1 - x0) * Math.log(g / first) / Math.log(last / first);
    const y = e => y1 - (y1 - y0) * Math.log(e / bottom) / Math.log(top / bottom);
    scale = {x, y, x0, x1, y0, y1};
    const colour = chooseColours();
    for (let i = 0; i < rows; i++) {
      const a = Math.floor(x(spans[i][0])), b = Math.ceil(x(spans[i][1]));
      for (let j = 0; j < columns; j++) {
        const [low, high] = heights[i * columns + j], c = Math.floor(y(high));
        context.fillStyle = colour(value(quantity, i, j), value("outcome", i, j));
        context.fillRect(a, c, b - a, Math.ceil(y(low)) - c);
      }
    }
    const ink = page.defaultView.getComputedStyle(place).color;
    drawAxes(context, ink);
    context.save();
    context.beginPath();
    context.rect(x0, y0, x1 - x0, y1 - y0);
    context.clip();
    portrait.predicted.forEach((edge, k) => {
      if (hidden.has(`predicted ${edge.name}`)) return;
      const start = (edge.picked.length ? picked.horizon : 0) * edge.at.length;
      line(context, Array.from(edge.at, (g, i) => [x(g), y(edge.values[start + i])]), STORED_DASHES[k % STORED_DASHES.length]);
    });
    portrait.edges.forEach(edge => { if (!hidden.has(`measured ${edge.name}`)) drawBrackets(context, edge); });
    context.restore();
    labelEdges(context);
    mark();
  }

  function mark() {
    const context = canvas.getContext("2d"), dense = page.defaultView.devicePixelRatio || 1, {x, y} = scale;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(picture, 0, 0);
    context.setTransform(dense, 0, 0, dense, 0, 0);
    if (cursor) {
      const [i, j] = cursor, [low, high] = heights[i * columns + j];
      context.lineWidth = 3;
      context.strokeStyle = "#fff";
      const box = [x(spans[i][0]) - 2, y(high) - 2, x(spans[i][1]) - x(spans[i][0]) + 4, y(low) - y(high) + 4];
      context.strokeRect(...box);
      context.lineWidth = 1.5;
      context.strokeStyle = "#000";
      context.strokeRect(...box);
    }
    describe();
  }

  // The colour of a value; the legend is written on the way.
  function chooseColours() {
    const {values, logarithmic, label} = portrait.variables[quantity], from = locate(0, 0), shown = values.subarray(from, from + rows * columns);
    legend.replaceChildren();
    if (quantity === "outcome") {
      portrait.outcomes.filter(o => shown.includes(o.code)).forEach(o => legend.append(entry(o.colour, o.name), " "));
      return code => outcomes.get(code).colour;
    }
    const finite = shown.filter(Number.isFinite), clip = logarithmic ? v => Math.max(-6, Math.min(2, v)) : v => v;
    const low = finite.reduce((a, v) => Math.min(a, clip(v)), Infinity), high = finite.reduce((a, v) => Math.max(a, clip(v)), -Infinity);
    const write = v => short(logarithmic ? 10 ** v : v), step = (high - low) / (STORED_RAMP.length - 1) || 1;
    STORED_RAMP.forEach((c, i) => legend.append(entry(c, i % 2 ? "" : write(low + i * step)), " "));
    legend.append(`${label} `, entry(outcomes.get(6).colour, "diverged or no number"));
    return (v, code) => !Number.isFinite(v) && !(v < 0) || code === 6 ? outcomes.get(6).colour
      : STORED_SHADES[Math.round(Math.min(60, Math.max(0, 10 * (clip(v) - low) / step)))];
  }

  function entry(colour, text) {
    const swatch = make("span", {style: `display:inline-block;width:1em;height:1em;margin-right:.3em;vertical-align:-.1em;border:1px solid;background:${colour}`});
    return make("span", {style: "white-space:nowrap;margin-right:.6em"}, swatch, text);
  }

  function drawAxes(context, ink) {
    const {x, y, x0, x1, y0, y1} = scale;
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.strokeRect(x0 + 0.5, y0 + 0.5, x1 - x0 - 1, y1 - y0 - 1);
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    for (const g of storedDecades(first, last, (x1 - x0) / 52)) {
      context.fillRect(x(g) - 0.5, y1, 1, 5);
      context.fillText(storedPower(g), x(g), y1 + 18);
    }
    context.fillText("feature-learning strength γ", (x0 + x1) / 2, y1 + 38);
    context.textAlign = "right";
    for (const e of storedDecades(bottom, top, (y1 - y0) / 30)) {
      context.fillRect(x0 - 5, y(e) - 0.5, 5, 1);
      context.fillText(storedPower(e), x0 - 8, y(e) + 4);
    }
    context.save();
    context.translate(14, (y0 + y1) / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText("learning rate η", 0, 0);
    context.restore();
  }

  // Black with a white rim: it shows on every colour.
  function line(context, points, dash) {
    for (const [width, colour] of [[4, "#fff"], [1.8, "#000"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.setLineDash(width > 2 ? [] : dash);
      context.beginPath();
      let on = false;
      for (const [a, b] of points) {
        if (Number.isFinite(b)) on ? context.lineTo(a, b) : context.moveTo(a, b);
        on = Number.isFinite(b);
      }
      context.stroke();
    }
    context.setLineDash([]);
  }

  const bracket = (edge, i) => {
    const n = edge.picked.reduce((m, d) => m * portrait.picked[d].length + picked[d], 0) * rows + i;
    return [edge.values[2 * n], edge.values[2 * n + 1]];
  };

  // The middles of brackets, as dots that do not overlap.
  function drawBrackets(context, edge) {
    let last = -Infinity;
    for (let i = 0; i < rows; i++) {
      const [low, high] = bracket(edge, i);
      if (!(low > 0 && Number.isFinite(high)) || scale.x(gamma[i]) < last + 6) continue;
      last = scale.x(gamma[i]);
      context.beginPath();
      context.arc(scale.x(gamma[i]), scale.y(middle(low, high)), 2.6, 0, 2 * Math.PI);
      context.fillStyle = "#fff";
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = "#000";
      context.stroke();
    }
  }

  // The name of each edge beside a point of it that no earlier name is near.
  function labelEdges(context) {
    const taken = [], {x, y, x0, x1, y0, y1} = scale;
    context.font = "bold 12px system-ui, sans-serif";
    context.textAlign = "left";
    const all = [...new Set([...portrait.edges, ...portrait.predicted].map(e => e.name))];
    for (const [k, name] of all.entries()) {
      if (hidden.has(`measured ${name}`) && hidden.has(`predicted ${name}`)) continue;
      const edge = portrait.edges.find(e => e.name === name), curve = portrait.predicted.find(e => e.name === name);
      const start = curve && curve.picked.length ? picked.horizon * curve.at.length : 0;
      const points = edge ? Array.from(gamma, (g, i) => [x(g), y(middle(...bracket(edge, i)))])
        : Array.from(curve.at, (g, i) => [x(g), y(curve.values[start + i])]);
      const wanted = x0 + (x1 - x0) * (k + 0.3) / all.length;
      points.sort((p, q) => Math.abs(p[0] - wanted) - Math.abs(q[0] - wanted));
      const free = points.find(([a, b]) => a > x0 + 6 && a < x1 - 66 && b > y0 + 18 && b < y1 - 8
        && taken.every(([c, d]) => Math.abs(a - c) > 64 || Math.abs(b - d) > 16));
      if (!free) continue;
      taken.push(free);
      context.lineWidth = 3.5;
      context.strokeStyle = "#fff";
      context.strokeText(name.replace("eta", "η"), free[0], free[1] - 6);
      context.fillStyle = "#000";
      context.fillText(name.replace("eta", "η"), free[0], free[1] - 6);
    }
  }

  // The run under the pointer or the arrow keys, and its outcome for every other seed, horizon, ...
  function describe() {
    if (!cursor) {
      readout.textContent = "Point at a run, or press the arrow keys in the plane.";
      return;
    }
    const [i, j] = cursor;
    const written = names.filter(n => n !== "outcome").map(n => {
      const {label, logarithmic} = portrait.variables[n], v = value(n, i, j);
      return Number.isNaN(v) ? null : `${label} ${short(logarithmic ? 10 ** v : v)}`;
    }).filter(Boolean);
    const outcome = outcomes.get(value("outcome", i, j));
    const lines = [`γ = ${short(gamma[i])}, η = ${short(eta[i * columns + j])}: ${outcome.name} (${outcome.sentence}).`,
                   `${written.join("; ")}.`];
    for (const d of dims.filter(name => portrait.picked[name].length > 1)) {
      const others = portrait.picked[d].map((v, k) => {
        const at = {...picked, [d]: k}, excess = short(10 ** value("final_excess", i, j, at));
        return `${v} ${outcomes.get(value("outcome", i, j, at)).name} (${excess})`;
      });
      lines.push(`Outcome and final excess by ${d}: ${others.join(", ")}.`);
    }
    readout.replaceChildren(...lines.map(text => make("div", {}, text)));
  }

  function go(i, j) {
    cursor = [Math.max(0, Math.min(rows - 1, i)), Math.max(0, Math.min(columns - 1, j))];
    mark();
  }
  canvas.addEventListener("pointermove", event => {
    const box = canvas.getBoundingClientRect(), {x0, x1, y0, y1} = scale, a = event.clientX - box.left, b = event.clientY - box.top;
    if (a < x0 || a > x1 || b < y0 || b > y1) return;
    const g = first * (last / first) ** ((a - x0) / (x1 - x0)), e = bottom * (top / bottom) ** ((y1 - b) / (y1 - y0));
    const i = spans.findIndex(s => g <= s[1]), j = heights.slice(i * columns, (i + 1) * columns).findIndex(h => e >= h[0] && e <= h[1]);
    if (j >= 0 && (!cursor || cursor[0] !== i || cursor[1] !== j)) go(i, j);
  });
  canvas.addEventListener("keydown", event => {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1]}[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const [i, j] = cursor ?? [rows >> 1, columns >> 1];
    go(i + move[0], j + move[1]);
  });
  page.defaultView.addEventListener("resize", draw);
  page.defaultView.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  return {outcomes: () => portrait.variables.outcome.values.slice(locate(0, 0), locate(0, 0) + rows * columns)};
}

function short(v) {
  if (!Number.isFinite(v)) return v > 0 ? "infinite" : v < 0 ? "0" : "no number";
  return v === 0 ? "0" : Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5 ? v.toExponential(3).replace(/\.?0+e/, "e") : String(Number(v.toPrecision(4)));
}

// Powers of ten between two values, so few that there are at most `most` of them.
function storedDecades(low, high, most) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9), step = Math.max(1, Math.ceil((last - first + 1) / most));
  return Array.from({length: Math.max(0, Math.floor((last - first) / step) + 1)}, (_, k) => 10 ** (first + k * step));
}

function storedPower(v) {
  return `10${String(Math.round(Math.log10(v))).replace(/[-0-9]/g, c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`;
}
