"""Toys: `ToyExperiment`, plain numpy over the whole grid, and C where a compiler is, each measured in turn, in CPU seconds of all threads.

The C program steps blocks of 128 pixels and keeps the last output alone: neither peaks nor tails, nor when a run diverged.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.toy_speed import CASES
from tests.toymodels.reference import outcomes_numpy
from toymodels import ToyExperiment, TwoParameter

POINTS, STEPS, NUMPY_STEPS = 512, 1000, 4
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
SOURCE = """
#include <math.h>
void plane(const double *gamma, const double *eta, int n, int steps, int entropy, double *out) {
    const double p1 = 1 / (1 + exp(-1.0));
    for (int i = 0; i < n; i++) for (int j = 0; j < n; j += 128) {
        double w[128], inverse = 1 / gamma[i];
        for (int k = 0; k < 128; k++) w[k] = 1;
        for (int t = 0; t < steps; t++) {
            if (entropy) for (int k = 0; k < 128; k++) {
                double f = (w[k] * w[k] - 1) * inverse;
                w[k] -= eta[j + k] * (1 / (1 + exp(-f)) - p1) * 2 * w[k] * inverse;
            } else for (int k = 0; k < 128; k++) {
                double f = (w[k] * w[k] - 1) * inverse;
                w[k] -= eta[j + k] * (f - 1) * 2 * w[k] * inverse;
            }
        }
        for (int k = 0; k < 128; k++) out[i * n + j + k] = (w[k] * w[k] - 1) * inverse;
    }
}
"""


def compile_c(folder: str):
    """Return the C function, or None where there is no compiler."""
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None:
        return None
    source, library = Path(folder) / "plane.c", Path(folder) / "plane.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, *FLAGS, str(source), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library)).plane


def measure_toys(peak: float, rounds: int) -> list[dict]:
    """Return nanoseconds of CPU a pixel-step of each case by each contestant, and the floor's at `peak` fused multiply-adds a second."""
    gamma, eta = np.geomspace(1e-5, 1e5, POINTS), np.geomspace(1e-12, 1e12, POINTS)
    rows, pixels = [], POINTS**2
    with tempfile.TemporaryDirectory() as folder:
        plane = compile_c(folder)
        for name, model, loss, optimizer, operations in CASES:
            experiment, two = ToyExperiment(model, loss, optimizer, STEPS), isinstance(model, TwoParameter)
            contestants = {
                "lazyrich": (lambda e=experiment: e.measure(gamma, eta), STEPS),
                "numpy": (lambda m=model, o=loss, p=optimizer, two=two: outcomes_numpy(m.depth, two, o, p == "signsgd", gamma, eta,
                                                                                      NUMPY_STEPS), NUMPY_STEPS)}
            if plane is not None and not two and model.depth == 2 and optimizer == "sgd":
                out = np.empty((POINTS, POINTS))
                pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (gamma, eta, out)]
                contestants["C"] = (lambda p=pointers, o=loss: plane(*p[:2], POINTS, STEPS, int(o != "mse"), p[2]), STEPS)
            experiment.measure(gamma[:2], eta)
            best = dict.fromkeys(contestants, np.inf)
            for _ in range(rounds):
                for contestant, (work, steps) in contestants.items():
                    begin = time.process_time()
                    work()
                    best[contestant] = min(best[contestant], (time.process_time() - begin) / pixels / steps * 1e9)
            rows.append({"case": name, "floor": float(f"{operations / peak * 1e9:.3g}"), **{n: float(f"{t:.3g}") for n, t in best.items()}})
    return rows
