"""Measure everything that the page of benchmarks shows, or draw the page from what was measured; run it from the repository's root.

    python -m tests.benchmarks.page [--jax PYTHON] [--rounds 3]      measures, writes docs/data/benchmarks.json and docs/benchmarks.md
    python -m tests.benchmarks.page --draw                           writes docs/benchmarks.md from docs/data/benchmarks.json

PYTHON is that of an environment with jax; without it the columns of JAX stay empty. Everything runs on one core, so that what other
processes do counts less; a few minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

DATA, PAGE = Path("docs/data/benchmarks.json"), Path("docs/benchmarks.md")
SIZES = ((16, 16), (32, 32), (64, 32), (64, 128), (128, 128), (256, 128))
PLANE_RUNS, PLANE_STEPS = 32 * 32, 300
NAMES = {"fused": "lazyrich", "stack": "torch stack", "loop": "plain loop", "vmap": "torch.func vmap", "jax32": "JAX float32",
         "jax64": "JAX float64"}
SCALING = {"P, runs": [{"runs": p} for p in (4, 16, 64)], "T, steps": [{"steps": t} for t in (50, 200, 800)],
           "N, width": [{"width": n} for n in (32, 64, 128)], "B, batch": [{"batch": b} for b in (16, 32, 64)],
           "L, layers": [{"depth": depth} for depth in (2, 3, 5)]}


def measure_peak() -> float:
    """Return this core's float32 operations per second: the best of products whose factors lie in the first cache."""
    from numba import njit

    from deepnets.fused.layout import allocate
    from deepnets.fused.products import multiply

    @njit(error_model="numpy")
    def repeat(c, a, b, n):
        for _ in range(n):
            multiply(c.ctypes.data, 32, a.ctypes.data, 64, 1, b.ctypes.data, 32, 48, 32, 64, np.float32(1), False)

    c, a, b = allocate(48, 32), allocate(48, 64), allocate(64, 32)
    repeat(c, a, b, 1)
    best = np.inf
    for _ in range(300):
        begin = time.perf_counter()
        repeat(c, a, b, 20)
        best = min(best, time.perf_counter() - begin)
    return 20 * 2 * 48 * 32 * 64 / best


def measure_start() -> dict[str, float]:
    """Return the CPU seconds of processes: imports, help, and the first training, without and with cached machine code."""
    first = ("import numpy as np, deepnets as d; e = d.DeepExperiment(d.MLP(64, 16, 3, 10), d.tasks.digits(), steps=2, batch_size=16, "
             "device='cpu'); e.measure(np.ones(1), np.ones(1))")
    took = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, command in (("import deepnets", ["-c", "import deepnets"]), ("lazyrich --help", ["-m", "lazyrich", "--help"]),
                              ("first network, compiled", ["-c", first]), ("first network, from the cache", ["-c", first])):
            before = os.times()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "NUMBA_CACHE_DIR": cache})
            after = os.times()
            took[name] = round(after.children_user + after.children_system - before.children_user - before.children_system, 2)
    return took


def measure_memory() -> list[dict]:
    """Return kilobytes for each run, of each engine, as memory estimates them."""
    from dataclasses import replace

    from deepnets import MLP, DeepExperiment, memory, tasks

    rows = []
    for width, batch in SIZES:
        made = DeepExperiment(MLP(64, width, 3, 10), tasks.digits(), steps=PLANE_STEPS, batch_size=batch, device="cpu")
        module = made.theta_0(0)
        recipe = made.recipe(module)
        rows.append({"N": width, "B": batch, **{name: round(memory.estimate(module, replace(recipe, engine=engine)).run / 1e3)
                                               for name, engine in (("fused", "auto"), ("stack", "stack"))}})
    return rows


def measure(jax: str | None, rounds: int) -> dict:
    """Return everything that the page shows."""
    import torch

    from tests.benchmarks.network_contest import ByJAX, Case, by_lazyrich, by_loop, by_vmap, contest_in_turn
    from tests.benchmarks.toy_contest import measure_toys

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    peak = measure_peak()
    contestants = {"fused": by_lazyrich("auto"), "stack": by_lazyrich("stack"), "loop": by_loop, "vmap": by_vmap}
    versions = {name: version(name) for name in ("numpy", "torch", "numba", "llvmlite")} | {"python": platform.python_version()}
    other = ByJAX(jax) if jax else None
    if other:
        contestants |= {"jax32": other.of("float32"), "jax64": other.of("float64")}
    found: dict = {"peak": float(f"{peak:.4g}"), "networks": [], "scaling": []}
    for width, batch in SIZES:
        case = Case(width, batch)
        found["networks"].append({"N": width, "B": batch, "operations": case.operations, "us": contest_in_turn(case, contestants, rounds)})
        print(found["networks"][-1], flush=True)
    for name, changes in SCALING.items():
        cases = [Case(**{"width": 32, "batch": 32, "steps": 200} | change) for change in changes]
        took = [contest_in_turn(case, {"fused": contestants["fused"]}, rounds)["fused"][1] for case in cases]
        found["scaling"].append({"what": name, "values": [next(iter(change.values())) for change in changes], "us": took})
        print(found["scaling"][-1], flush=True)
    found["toys"] = measure_toys(peak / 4, rounds)      # float64, two operations each
    if other:
        versions["jax"] = other.version
        other.process.stdin.close()      # type: ignore[union-attr]
    found |= {"memory": measure_memory(), "start": measure_start()}
    load = round(os.getloadavg()[2], 1)      # the average of 15 minutes
    return {"measured": {"date": date.today().isoformat(), "cpu": _name_cpu(), "cores": 1, "load": load, "rounds": rounds,
                         "versions": versions}} | found


def _name_cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line for line in lines if line.startswith("flags")), "")
    return f"{name}, {'AVX-512' if 'avx512f' in flags else 'AVX2' if 'avx2' in flags else 'without AVX2'}"


def _tabulate(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def draw(data: dict) -> str:
    """Return the page."""
    about, peak = data["measured"], data["peak"]
    names = [n for n in NAMES if n in data["networks"][0]["us"]]
    times = {(row["N"], row["B"]): {n: t[1] for n, t in row["us"].items()} for row in data["networks"]}
    network = _tabulate(["N, B", *(NAMES[n] for n in names), "of the peak"], [
        [f"{row['N']}, {row['B']}", *(f"{row['us'][n][1]:.0f}" if row["us"][n][1] > 100 else f"{row['us'][n][1]:.2g}" for n in names),
         f"{row['operations'] / row['us']['fused'][1] * 1e6 / peak:.0%}"] for row in data["networks"]])
    ratio = _tabulate(["N, B", *(NAMES[n] for n in names[1:])], [
        [f"{N}, {B}", *(f"{t[n] / t['fused']:.1f}" for n in names[1:])] for (N, B), t in times.items()])
    planes = _tabulate(["", *(NAMES[n] for n in names)],
                       [["planes per second", *(f"{1e6 / PLANE_RUNS / PLANE_STEPS / times[32, 32][n]:.2g}" for n in names)]])
    toys = _tabulate(["case", "lazyrich", "C", "numpy", "FMA floor", "numpy / lazyrich", "C / lazyrich"], [
        [row["case"], f"{row['lazyrich']:.2g}", f"{row['C']:.2g}" if "C" in row else "", f"{row['numpy']:.0f}", f"{row['floor']:.2g}",
         f"{row['numpy'] / row['lazyrich']:.0f}", f"{row['C'] / row['lazyrich']:.1f}" if "C" in row else ""] for row in data["toys"]])
    scaling = _tabulate(["", "values", "CPU µs a run-step"], [
        [row["what"], ", ".join(map(str, row["values"])), ", ".join(f"{t:.2g}" for t in row["us"])] for row in data["scaling"]])
    memory = _tabulate(["N, B", "lazyrich", "torch stack"], [
        [f"{row['N']}, {row['B']}", str(row["fused"]), str(row["stack"])] for row in data["memory"]])
    start = _tabulate(["process", "CPU s"], [[name, f"{t:.2g}"] for name, t in data["start"].items()])
    versions = ", ".join(f"{n} {v}" for n, v in about["versions"].items())
    return f"""# Benchmarks

Measured on one core of {about["cpu"]}, on {about["date"]}, with {versions}.
The load of the machine was {about["load"]:.0f}: where it is more than the cores, caches are shared with other
work, and shares of the peak are lower.
The contestants are measured in turn, {about["rounds"]} times each, and the least CPU time counts.
Ratios carry over to other machines better than times do.
`python -m tests.benchmarks.page --jax PYTHON` measures your machine and writes this page; PYTHON is that of an environment with jax.

## Networks

CPU microseconds a run-step: one step of one run of an MLP of three layers, 64-N-N-10, with MSE and SGD on batches of B, in stacks of 64
runs. The torch stack trains what the kernels do not, in stacks of 32. The others are what one would write without lazyrich: a plain
loop over runs in torch, `vmap` of `grad` in torch.func, and `vmap` within `scan` in JAX. They subtract two copies of the output in float32,
which leaves no digit below $\\gamma = 0.1$; lazyrich and JAX in float64 are accurate at every $\\gamma$. The last column is the
share of the {peak / 1e9:.0f} GFLOP/s that a product in the first cache reaches.

{network}

How many times longer the others take than lazyrich:

{ratio}

A plane, for comparisons: 32 × 32 runs in $(\\gamma, \\eta)$ of that MLP with N = 32 and B = 32, {PLANE_STEPS} steps each, all of them
to the end. On one core:

{planes}

### What a run-step costs

From P = 64, T = 200, N = 32, B = 32, L = 3, one of them changed:

{scaling}

### Memory

Kilobytes a run, at the peak, as `deepnets.memory` estimates them for {PLANE_STEPS} steps:

{memory}

## Toys

CPU nanoseconds a pixel-step, of planes of 512 × 512 and 1000 steps, all threads together. The C program, compiled by
`cc -O3 -march=native -ffast-math`, keeps the last output alone; lazyrich keeps peaks, tails and the step of divergence, and stops runs that
have diverged or repeat themselves: it may be below the floor, which is the time of the fused multiply-adds of every step. Signs,
comparisons and extremes are not in the floor, but take as long as multiply-adds: MSE, which has few of those, stays above it, and
SignSGD most.

{toys}

## Start-up

{start}
"""


def main() -> None:
    """Measure or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jax", metavar="PYTHON", help="the python of an environment with jax")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.draw:
        DATA.write_text(json.dumps(measure(options.jax, options.rounds), indent=1) + "\n")
    PAGE.write_text(draw(json.loads(DATA.read_text())))


if __name__ == "__main__":
    main()
