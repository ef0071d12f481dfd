"""Measure the speed of a sweep of the toy models, against plain numpy and against the arithmetic peak of the machine.

    python tests/benchmarks/toy_speed.py [--points 1024] [--steps 1000] [--numpy-steps 100]

Prints, for each case, the CPU seconds of all threads (best of three after a first call), the ratio of the time of numpy over the whole
grid (linear in the steps: `--numpy-steps` are measured and scaled), pixel-steps per second, and the share of the floor. The floor is the
time that the fused multiply-adds of every step of every pixel would take on one core, at the peak rate measured here. The share may exceed
100%, since diverged runs and exact cycles are not continued.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numba import njit

from tests.toymodels.reference import outcomes_numpy
from toymodels import OneParameter, ToyExperiment, TwoParameter
from toymodels.arithmetic import fma

# multiplications and fused multiply-adds of one step of one pixel (additions have pipes of their own)
CASES = [
    ("MSE, L = 2", OneParameter(2), "mse", "sgd", 4),
    ("cross-entropy, L = 2", OneParameter(2), "cross_entropy", "sgd", 19),
    ("MSE, L = 5", OneParameter(5), "mse", "sgd", 9),
    ("cross-entropy, L = 5", OneParameter(5), "cross_entropy", "sgd", 24),
    ("two parameters, MSE", TwoParameter(), "mse", "sgd", 4),
    ("two parameters, cross-entropy", TwoParameter(), "cross_entropy", "sgd", 20),
    ("SignSGD, MSE, L = 2", OneParameter(2), "mse", "signsgd", 4),
    ("SignSGD, cross-entropy, L = 2", OneParameter(2), "cross_entropy", "signsgd", 19),
]


@njit
def _multiply_adds(x, rounds):
    for _ in range(rounds):
        for i in range(x.shape[0]):
            y = x[i]
            for _ in range(32):
                y = fma(y, 0.999, 0.001)
            x[i] = y


def measure_peak() -> float:
    """Return this core's fused multiply-adds per second, on data in L1."""
    x = np.ones(128)
    _multiply_adds(x, 10)
    best = np.inf
    for _ in range(5):
        begin = time.process_time()
        _multiply_adds(x, 50_000)
        best = min(best, time.process_time() - begin)
    return 50_000 * 128 * 32 / best


def measure_seconds(work, repeats: int) -> tuple[float, float]:
    """Return the least CPU and wall seconds of `work()`."""
    cpu, wall = [], []
    for _ in range(repeats):
        a, b = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - a)
        wall.append(time.perf_counter() - b)
    return min(cpu), min(wall)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--numpy-steps", type=int, default=100)
    options = parser.parse_args()
    gamma, eta = np.geomspace(1e-5, 1e5, options.points), np.geomspace(1e-12, 1e12, options.points)
    pixel_steps = options.points**2 * options.steps
    rate = measure_peak()
    print(f"{options.points} x {options.points} pixels, {options.steps} steps; {rate:.3g} fused multiply-adds a second and core\n")
    print("| case | CPU s | wall s | numpy CPU s | numpy / ours | pixel-steps / CPU s | share of the floor |")
    print("|---|---|---|---|---|---|---|")
    for name, model, loss, optimizer, operations in CASES:
        experiment = ToyExperiment(model, loss, optimizer, options.steps)
        experiment.measure(gamma[:2], eta)
        cpu, wall = measure_seconds(lambda e=experiment: e.measure(gamma, eta), 3)
        steps = min(options.numpy_steps, options.steps)
        two = isinstance(model, TwoParameter)
        plain, _ = measure_seconds(lambda m=model, o=loss, p=optimizer, two=two, n=steps: outcomes_numpy(
            m.depth, two, o, p == "signsgd", gamma, eta, n), 1)
        plain *= options.steps / steps
        print(f"| {name} | {cpu:.3f} | {wall:.3f} | {plain:.1f} | {plain / cpu:.0f} | {pixel_steps / cpu:.2g} "
              f"| {operations * pixel_steps / rate / cpu:.0%} |", flush=True)


if __name__ == "__main__":
    main()
