"""What a store and an executor cost a tile, and what a second Dask worker brings.

    python tests/benchmarks/sweep_overhead.py [--folder FOLDER]          (with the extra cluster; two minutes)

Prints what one file costs in the folder; milliseconds a tile, from tile to tile, of tiles that take no time (what the experiment itself
takes in memory is not taken off); and how many tiles of 20 ms a second a local Dask cluster of two workers does, and of one, in turn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.validation.sweeping.sleepers import Sleeper
from validation import Plane, sweep
from validation.executors import dask, processes
from validation.storage.atomic import write_bytes

TILES = Plane.log((1e-3, 1e3), (1e-4, 1e4), per_decade=(10, 16))       # 61 x 129: 21 x 33 tiles of 3 x 4
THOUSAND = Plane.log((1e-3, 1e3), (1e-4, 1e4), per_decade=(20, 12))    # 121 x 97: 41 x 25 tiles, a thousand and some


def a_file(folder: Path) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    for i in range(1000):
        write_bytes(folder / "files" / str(i), b"x" * 100)
    return time.perf_counter() - started


def a_tile(executor, store) -> tuple[float, float]:
    """Milliseconds from tile to tile, and milliseconds of work of this process."""
    times = []
    sweep(Sleeper(), TILES, store=store, executor=executor, progress=lambda state: times.append((time.perf_counter(), time.process_time())))
    wall, work = (1e3 * (b - a) / (len(times) - 1) for a, b in zip(times[0], times[-1], strict=True))
    return wall, work


def tiles_a_second(workers: int, store: Path) -> tuple[int, float]:
    """Tiles, and how many a second."""
    times = []
    sweep(Sleeper(0.02), THOUSAND, store=store, executor=dask(workers=workers),
          progress=lambda state: times.append((time.perf_counter(), state)))
    state = times[-1][1]
    return state.done, (state.done - 1) / (times[-1][0] - times[0][0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where the stores are written; None: where temporary files are")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as made:
        folder = Path(made)
        print(f"a file in this folder     : {a_file(folder):6.2f} ms; a tile of this experiment has seven", flush=True)
        for name, executor, store in (("memory", None, None), ("store", None, "a"), ("store, one process", processes(1), "b"),
                                      ("store, two processes", processes(2), "c")):
            wall, work = a_tile(executor, store and folder / store)
            print(f"{name:26}: {wall:6.2f} ms a tile, of which this process works {work:5.2f}", flush=True)
        rates = [tiles_a_second(workers, folder / f"dask{i}") for i, workers in enumerate((1, 2, 1, 2))]
        one, two = max(rates[0][1], rates[2][1]), max(rates[1][1], rates[3][1])
        print(f"dask, {rates[0][0]} tiles of 20 ms : {one:.1f} a second with one worker, {two:.1f} with two: {two / one:.2f} times as many")


if __name__ == "__main__":
    main()
