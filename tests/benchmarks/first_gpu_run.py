"""The first minutes on a GPU: is it right, how fast is it, and the exponents of planes of MLPs of width 512.

    python -m tests.benchmarks.first_gpu_run --out FOLDER [--data FOLDER] [--minutes 8]

Each entry of a stage catches its own errors and has a deadline, and its stage's file is written anew after each, by renaming: an
interruption loses at most one entry. The files: card.json, correctness.json, speed.json, a plane of each depth (L3.nc, L2.nc, L4.nc),
verdicts.json. If the MLP's step is wrong, nothing else is measured. The rows of a plane come in an order in which every part adds gammas
over the whole range.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from deepnets import MLP, DeepExperiment, tasks
from deepnets.device import describe_device
from deepnets.failed_runs import BrokenDevice
from deepnets.network_edges import close_triangle, read_edges
from deepnets.parts import read_data, write_data
from deepnets.theory import theory_of
from tests.benchmarks.gpu_correctness import Entry, list_correctness
from tests.benchmarks.gpu_sizes import FULL, TINY, Sizes
from tests.benchmarks.gpu_speed import list_ceilings, list_speed
from validation import Plane, sweep
from validation.arguments import Misuse
from validation.judging.assessment import assess
from validation.provenance import collect_provenance
from validation.storage.atomic import replace_path
from validation.storage.files import check_writable

# shares of the time at whose end a stage is over: of eight minutes, 10, 60, 150, 430 and 460 s
ENDS = {"card": 0.025, "correctness": 0.125, "speed": 0.31, "planes": 0.9, "verdicts": 0.96}


class TooLong(Exception):
    """A deadline has passed."""


class Run:
    """Entries of stages, with deadlines, and their files."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds, self.begin = check_writable(folder), seconds, time.monotonic()
        self.broken = False

    def left(self, stage: str) -> float:
        """Return the seconds until the end of a stage."""
        return self.begin + ENDS[stage] * self.seconds - time.monotonic()

    def measure(self, stage: str, entries: Iterable[Entry]) -> dict[str, Any]:
        """Return the numbers of a stage's entries by name, written to the stage's file after each."""
        found: dict[str, Any] = {}
        for name, act in entries:
            found[name] = self.try_entry(stage, name, act)
            self.write(stage, found)
        return found

    def try_entry(self, stage: str, name: str, act: Any) -> dict[str, Any]:
        """Return an entry's numbers, or why there are none."""
        if self.broken or self.left(stage) <= 0:
            return {"skipped": "the device has failed" if self.broken else "its time was up"}
        begin = time.monotonic()
        try:
            with limit_time(self.left(stage)):
                found = dict(act())
        except (BrokenDevice, Exception) as error:
            self.broken |= isinstance(error, BrokenDevice)
            found = {"error": traceback.format_exc()[-2000:]}
            print(f"{stage}, {name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr, flush=True)
        found["seconds"] = round(time.monotonic() - begin, 3)
        print(f"{stage}, {name}: {found['seconds']} s", flush=True)
        return found

    def write(self, stage: str, found: dict[str, Any]) -> None:
        """Write a stage's file, the whole file or none."""
        with replace_path(self.folder / f"{stage}.json") as draft:
            draft.write_text(json.dumps(found, indent=1, default=str))


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Raise TooLong within the context after so many seconds, between two instructions of Python."""
    def stop(*_: Any) -> None:
        raise TooLong("its time was up")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def choose_images(data: Path | None) -> Any:
    """Return Fashion-MNIST, or scikit-learn's digits where its files are missing."""
    try:
        return tasks.fashion_mnist(None if data is None else str(data))
    except Misuse as error:
        print(f"digits stand in for Fashion-MNIST: {error}", file=sys.stderr)
        return tasks.digits()


def order_rows(count: int, parts: int) -> list[np.ndarray]:
    """Return indices of rows in parts, of which each spreads over the whole range."""
    parts = min(parts, count)
    starts = sorted(range(parts), key=lambda i: f"{i:08b}"[::-1])
    return [np.arange(i, count, parts) for i in starts]


def measure_planes(run: Run, sizes: Sizes, task: Any, device: str, precision: str) -> None:
    """Measure the planes depth by depth, and judge each after its last part."""
    verdicts: dict[str, Any] = {}
    for depth in sizes.depths:
        network = MLP(int(np.prod(task.in_shape)), sizes.width, depth, task.out_features)
        experiment = DeepExperiment(network, task, steps=sizes.steps, batch_size=sizes.batch, seeds=sizes.seeds, device=device,
                                    precision=precision)
        decades, around = sizes.decades
        gamma = np.logspace(-decades, decades, round(2 * decades * sizes.gammas) + 1)
        middle = gamma ** np.where(gamma < 1, 2.0, (1 + 2 / depth) / 2)
        plane = Plane.around(middle, gamma, around, sizes.rates)
        path = run.folder / f"L{depth}.nc"
        path.unlink(missing_ok=True)

        def measure_rows(rows: np.ndarray, experiment: DeepExperiment = experiment, plane: Plane = plane,
                         path: Path = path) -> dict[str, Any]:
            part = sweep(experiment, Plane(plane.gamma[rows], plane.eta[rows]))
            if path.exists():
                part = xr.concat([read_data(path), part], "gamma", combine_attrs="override").sortby("gamma")
            write_data(part.assign_attrs(collect_provenance() | describe_device(device)), path)
            return {"gammas": int(part.sizes["gamma"])}

        for number, rows in enumerate(order_rows(len(gamma), sizes.blocks)):
            name = f"L = {depth}, part {number}"
            verdicts[name] = run.try_entry("planes", name, lambda rows=rows: measure_rows(rows))
        if path.exists():
            verdicts[f"L = {depth}"] = run.try_entry("verdicts", f"L = {depth}", lambda path=path: judge_plane(path))
        run.write("verdicts", verdicts)


def judge_plane(path: Path) -> dict[str, Any]:
    """Return the exponent, its interval, the prediction and the verdict of each edge of a file."""
    portrait = read_data(path)
    _, predictions = theory_of(json.loads(portrait.attrs["description"]))
    edges = read_edges(portrait, predictions)
    return {f"{a.edge}, {a.regime}": {"measured": a.verdict.measured, "interval": list(a.verdict.interval), "predicted": str(a.limit),
                                      "verdict": a.verdict.outcome.value} for a in assess(edges, close_triangle(predictions, edges))}


def main(arguments: list[str] | None = None) -> int:
    """Run all stages; return 0, or 1 if the MLP's step is wrong or the device has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="the folder of Fashion-MNIST's four files")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="float32", help="of the planes")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal in seconds, with digits")
    options = parser.parse_args(arguments)
    sizes, device = TINY if options.tiny else FULL, options.device
    run = Run(options.out, 60 * options.minutes)
    card = {"provenance": collect_provenance() | describe_device(device), "torch": torch.__version__, "sizes": sizes.__dict__}
    run.write("card", card)
    card |= run.measure("card", list_ceilings(sizes, device))
    run.write("card", card)
    correct = run.measure("correctness", list_correctness(sizes, device))
    if not all(correct[f"step {p}"].get("passed", False) for p in ("float32", "float64")):
        print("a step of the MLP is wrong or was not measured: nothing else is", file=sys.stderr)
        return 1
    run.measure("speed", list_speed(sizes, device))
    measure_planes(run, sizes, tasks.digits() if options.tiny else choose_images(options.data), device, options.precision)
    return int(run.broken)


if __name__ == "__main__":
    sys.exit(main())
