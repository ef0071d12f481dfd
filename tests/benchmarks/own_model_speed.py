"""Measure the speed of models of one's own: `python tests/benchmarks/own_model_speed.py`.

Prints the CPU seconds of the first call (derivation and compilation, unless cached), the ratio of the time of `Model((w**3 - 1)/gamma)` to
that of `OneParameter(3)` over a plane, and the seconds that four parameters take over 256 x 256 runs of 1000 steps.
"""

from __future__ import annotations

import time

import numpy as np
import sympy

from toymodels import Model, OneParameter, ToyExperiment


def measure_seconds(experiment: ToyExperiment, gamma: np.ndarray, eta: np.ndarray, repeats: int = 3) -> tuple[float, float]:
    """Return the least CPU and wall seconds of a portrait."""
    cpu, wall = [], []
    for _ in range(repeats):
        begin = time.process_time(), time.perf_counter()
        experiment.measure(gamma, eta)
        cpu.append(time.process_time() - begin[0])
        wall.append(time.perf_counter() - begin[1])
    return min(cpu), min(wall)


def main() -> None:
    """Print the table."""
    a, b, c, d, gamma = sympy.symbols("a b c d gamma")
    cube = Model((a**3 - 1) / gamma, {a: 1})
    four = Model((a * b * c * d - 1) / gamma, {a: 1, b: 1, c: 1, d: 1})
    axes = np.geomspace(1e-5, 1e5, 256), np.geomspace(1e-9, 1e6, 256)
    for loss in ("mse", "cross_entropy"):
        seconds = []
        for model in (cube, OneParameter(3)):
            experiment = ToyExperiment(model, loss)
            begin = time.process_time()
            experiment.measure(axes[0][:2], axes[1][:8])
            print(f"{model!r}, {loss}: first call {time.process_time() - begin:.1f} s of CPU")
            seconds.append(measure_seconds(experiment, *axes)[0])
        print(f"  ratio to the built-in model: {seconds[0] / seconds[1]:.2f} ({seconds[0]:.3f} s, {seconds[1]:.3f} s)")
    begin = time.process_time()
    ToyExperiment(four).measure(axes[0][:2], axes[1][:8])
    print(f"four parameters: first call {time.process_time() - begin:.1f} s of CPU")
    cpu, wall = measure_seconds(ToyExperiment(four), *axes, repeats=1)
    print(f"four parameters, 256 x 256 x 1000: {cpu:.2f} s of CPU, {wall:.2f} s")


if __name__ == "__main__":
    main()
