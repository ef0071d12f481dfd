"""Call the explorer's compiled kernel from Python, by wasmtime."""

from __future__ import annotations

import numpy as np
import wasmtime

from toymodels.explorer.build import FOLDER
from toymodels.kernels import LOSS_CODE, OPTIMIZER_CODE


class Kernel:
    """The kernel's functions, with arrays copied into its memory and out of it."""

    def __init__(self):
        self.store = wasmtime.Store()
        module = wasmtime.Module(self.store.engine, (FOLDER / "kernel.wasm").read_bytes())
        assert not module.imports       # nothing but its own memory
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.memory, self.base = self.exports["memory"], self.exports["__heap_base"].value(self.store)

    def call(self, name, *arguments):
        """Call a function; an array among the arguments is read and written, and its address passed."""
        at, places = (self.base + 15) & ~15, []
        for x in arguments:
            places.append(at if isinstance(x, np.ndarray) else x)
            at += (x.nbytes + 15) & ~15 if isinstance(x, np.ndarray) else 0
        lacking = at - self.memory.data_len(self.store)
        if lacking > 0:
            self.memory.grow(self.store, -(-lacking // 65536))
        for x, place in zip(arguments, places, strict=True):
            if isinstance(x, np.ndarray):
                self.memory.write(self.store, x.tobytes(), place)
        self.exports[name](self.store, *places)
        for x, place in zip(arguments, places, strict=True):
            if isinstance(x, np.ndarray):
                x[:] = np.frombuffer(self.memory.read(self.store, place, place + x.nbytes), x.dtype)

    def draw_signs(self, steps):
        signs = np.empty(steps)
        self.call("draw_signs", steps, signs)
        return signs

    def _shifts(self, loss, noise, steps):
        labels = noise * self.draw_signs(steps)
        return -labels if loss == "mse" else np.tanh(0.5) / 2 - np.tanh((1 + labels) / 2) / 2

    def train(self, depth, two, loss, optimizer, gamma, eta, steps, rho=0.01, beta=0.9, noise=0.0):
        """Return outcome, final, tail and peak excess, each (gamma, eta)."""
        shifts = self._shifts(loss, noise, steps) if noise else 0
        rows = []
        for g in gamma:
            flow = np.hypot(1, g) if two else np.exp(np.log1p(g) / depth)
            row = [np.empty(len(eta), kind) for kind in (np.int8, float, float, float)]
            self.call("train", depth, int(two), LOSS_CODE[loss], OPTIMIZER_CODE[optimizer], beta, steps, rho, float(g), float(flow),
                      shifts, len(eta), eta.copy(), *row)
            rows.append(row)
        return [np.array(column) for column in zip(*rows, strict=True)]

    def record(self, depth, two, loss, optimizer, gamma, eta, steps, beta=0.9, noise=0.0):
        """Return f, loss, excess, both parameters and the sharpness, each (steps + 1,)."""
        found = [np.empty(steps + 1) for _ in range(6)]
        shifts = self._shifts(loss, noise, steps) if noise else 0
        self.call("record", depth, int(two), LOSS_CODE[loss], OPTIMIZER_CODE[optimizer], beta, steps, gamma, shifts, eta, *found)
        return found

    def follow(self, depth, two, loss, optimizer, gamma, eta, settle, length, beta=0.9):
        """Return the periods and the Lyapunov exponents at one gamma, each (eta,)."""
        period, lyapunov = np.empty(len(eta), np.int8), np.empty(len(eta))
        self.call("follow", depth, int(two), LOSS_CODE[loss], OPTIMIZER_CODE[optimizer], beta, settle, length, gamma, len(eta), eta.copy(),
                  period, lyapunov)
        return period, lyapunov
