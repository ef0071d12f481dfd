// The compiled kernel: train rows of the plane, follow orbits, record one run.

const LOSS_CODES = {mse: 0, cross_entropy: 1}, OPTIMIZER_CODES = {sgd: 0, signsgd: 1, momentum: 2};

export class Kernel {
  constructor(bytes) {
    this.functions = new WebAssembly.Instance(new WebAssembly.Module(bytes), {}).exports;
    this.base = (this.functions.__heap_base.value + 15) & ~15;
    this.noise = {key: null, shifts: null};
  }

  // Arrays in the kernel's memory, one after another: [[length, kind], ...]. They are void as soon as the next are made.
  makeArrays(...wanted) {
    let end = this.base;
    const places = wanted.map(([length, kind]) => {
      const place = end;
      end += (length * kind.BYTES_PER_ELEMENT + 15) & ~15;
      return place;
    });
    const lacking = end - this.functions.memory.buffer.byteLength;
    if (lacking > 0) this.functions.memory.grow(Math.ceil(lacking / 65536));
    return wanted.map(([length, kind], i) => new kind(this.functions.memory.buffer, places[i], length));
  }

  // What label noise adds to l'(f) at each step, or null.
  listShifts({noise, steps, loss}) {
    if (!noise) return null;
    const key = [noise, steps, loss].join();
    if (this.noise.key !== key) {
      const [signs] = this.makeArrays([steps, Float64Array]);
      this.functions.draw_signs(steps, signs.byteOffset);
      const shift = loss === "mse" ? s => -noise * s : s => Math.tanh(0.5) / 2 - Math.tanh((1 + noise * s) / 2) / 2;
      this.noise = {key, shifts: signs.map(shift)};
    }
    return this.noise.shifts;
  }

  // Outcomes and excesses (gamma, eta) of some gammas; `eta` (n), or (gamma, n) one after another.
  train(view, gamma, eta, n) {
    const shifts = this.listShifts(view), m = gamma.length;
    const found = {outcome: new Int8Array(m * n), final: new Float64Array(m * n), tail: new Float64Array(m * n), peak: new Float64Array(m * n)};
    const [noise, rates, outcome, final, tail, peak] = this.makeArrays([shifts ? view.steps : 0, Float64Array], [n, Float64Array],
      [n, Int8Array], [n, Float64Array], [n, Float64Array], [n, Float64Array]);
    if (shifts) noise.set(shifts);
    for (let i = 0; i < m; i++) {
      rates.set(eta.length > n ? eta.subarray(i * n, (i + 1) * n) : eta);
      const flow = view.model === "two" ? Math.hypot(1, gamma[i]) : Math.exp(Math.log1p(gamma[i]) / view.depth);
      this.functions.train(...codes(view), view.steps, view.rho, gamma[i], flow, shifts ? noise.byteOffset : 0, n, rates.byteOffset,
                           outcome.byteOffset, final.byteOffset, tail.byteOffset, peak.byteOffset);
      for (const [name, row] of Object.entries({outcome, final, tail, peak})) found[name].set(row, i * n);
    }
    return found;
  }

  // Periods and Lyapunov exponents (gamma, eta).
  follow(view, {settle, length}, gamma, eta, n) {
    const m = gamma.length, found = {period: new Int8Array(m * n), lyapunov: new Float64Array(m * n)};
    const [rates, period, lyapunov] = this.makeArrays([n, Float64Array], [n, Int8Array], [n, Float64Array]);
    for (let i = 0; i < m; i++) {
      rates.set(eta.length > n ? eta.subarray(i * n, (i + 1) * n) : eta);
      this.functions.follow(...codes(view), settle, length, gamma[i], n, rates.byteOffset, period.byteOffset, lyapunov.byteOffset);
      found.period.set(period, i * n);
      found.lyapunov.set(lyapunov, i * n);
    }
    return found;
  }

  // One run: f, loss, excess, the parameters u1, u2 (one parameter: (w - 1)/gamma) and the sharpness, each (steps + 1).
  record(view, gamma, eta) {
    const shifts = this.listShifts(view), size = [view.steps + 1, Float64Array];
    const [noise, ...arrays] = this.makeArrays([shifts ? view.steps : 0, Float64Array], size, size, size, size, size, size);
    if (shifts) noise.set(shifts);
    this.functions.record(...codes(view), view.steps, gamma, shifts ? noise.byteOffset : 0, eta, ...arrays.map(a => a.byteOffset));
    const [f, loss, excess, u, v, sharpness] = arrays.map(a => a.slice());
    return {f, loss, excess, u, v, sharpness};
  }
}

const codes = view => [view.model === "two" ? 2 : view.depth, Number(view.model === "two"), LOSS_CODES[view.loss],
                       OPTIMIZER_CODES[view.optimizer], view.momentum];
