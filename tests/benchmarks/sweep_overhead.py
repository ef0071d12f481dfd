"""What a store and an executor cost a tile, and what a second Dask worker brings.

python tests/benchmarks/sweep_overhead.py          (with the extra cluster; a few minutes)

The overhead is that of tiles that take no time; the ratio is of 1000 tiles of 20 ms on a local Dask cluster of two workers and of one.
"""

import tempfile
import time
from pathlib import Path

from tests.validation.sleepers import Sleeper
from validation import Plane, sweep
from validation.executors import dask, processes

TILES = Plane.log((1e-3, 1e3), (1e-4, 1e4), per_decade=(10, 16))       # 61 x 129: 21 x 33 tiles of 3 x 4
THOUSAND = Plane.log((1e-3, 1e3), (1e-4, 1e4), per_decade=(20, 12))    # 121 x 97: 41 x 25 tiles, a thousand and some


def milliseconds_a_tile(executor, stored):
    tiles = 21 * 33
    with tempfile.TemporaryDirectory() as folder:
        started, worked = time.perf_counter(), time.process_time()
        first = []
        sweep(Sleeper(), TILES, store=Path(folder) / "p.zarr" if stored else None, executor=executor,
              progress=lambda state: first.append(time.perf_counter()))
        wall, work = time.perf_counter() - started, time.process_time() - worked
    return 1e3 * (first[-1] - first[0]) / (tiles - 1), 1e3 * work / tiles, wall


def seconds(workers):
    with tempfile.TemporaryDirectory() as folder:
        told = []
        sweep(Sleeper(0.02), THOUSAND, store=Path(folder) / "p.zarr", executor=dask(workers=workers),
              progress=lambda state: told.append((time.perf_counter(), state.done)))
    return told[-1][0] - told[0][0], told[-1][1] - told[0][1]


if __name__ == "__main__":
    bare = milliseconds_a_tile(None, False)
    for name, executor, stored in (("memory", None, False), ("store", None, True), ("store, one process", processes(1), True),
                                   ("store, two processes", processes(2), True)):
        wall, work, whole = milliseconds_a_tile(executor, stored)
        print(f"{name:22}: {wall:6.2f} ms a tile (this process works {work:5.2f} ms); {whole:5.1f} s in all", flush=True)
    one, two = seconds(1), seconds(2)
    print(f"dask, one worker  : {one[1]} tiles of 20 ms in {one[0]:.1f} s")
    print(f"dask, two workers : {two[1]} tiles of 20 ms in {two[0]:.1f} s: {(two[1] / two[0]) / (one[1] / one[0]):.2f} times as fast")
