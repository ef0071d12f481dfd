"""An experiment for the tests of sweeps: it sleeps, logs which process measured what, and on demand raises or kills its process."""

from __future__ import annotations

import os
import signal
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from validation import Misuse, Plane, sweep
from validation.portrait import empty

PLANE = Plane.log((1e-2, 1e2), (1e-4, 1e2), per_decade=(5, 7))     # 21 x 43: 7 x 11 tiles, the last ones not whole


@dataclass(frozen=True)
class Sleeper:
    """A portrait that is a function of gamma, eta and seed, with a long mantissa.

    `log` gets a line "pid points" a measurement; `ill` is a range of gammas whose tiles raise, die or are misused, as `how` says, while
    the file `cure` is not there.
    """

    pause: float = 0.0
    log: str = ""
    ill: tuple[float, float] = (np.inf, np.inf)
    how: str = "raise"
    cure: str = ""
    scale: float = 1.0

    tile: ClassVar[tuple[int, int]] = (3, 4)

    def describe(self) -> dict[str, Any]:
        return {"witness": "sleeper", "model": {"scale": self.scale, "rho": 0.5}}

    def rules(self) -> dict[str, Any]:
        return {"rho": 0.5, "dtype": "float64", "device": "cpu"}

    def measure(self, gamma, eta):
        plane = Plane(gamma, eta)
        if self.log:
            with open(self.log, "ab", buffering=0) as log:
                log.write(f"{os.getpid()} {np.prod(plane.shape)}\n".encode())
        time.sleep(self.pause)
        if ((gamma >= self.ill[0]) & (gamma <= self.ill[1])).any() and not (self.cure and Path(self.cure).exists()):
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            raise Misuse("the sleeper is misused") if self.how == "misuse" else RuntimeError("the sleeper is ill")
        return self._portrait(plane, 0)

    def _portrait(self, plane, seed):
        portrait = empty(plane, {}, ("outcome", "final_excess", "tail_excess", "peak_excess", "steps", "rose"))
        z = np.log(self.scale * np.broadcast_to(plane.eta, plane.shape) / plane.gamma[:, None] ** 2 * (1 + seed / 7))
        portrait["final_excess"].values[...] = np.abs(np.sin(z)) + 0.3 * (z > 0)
        portrait["tail_excess"].values[...] = portrait["final_excess"] * 1.1
        portrait["peak_excess"].values[...] = 1 / 3 + portrait["final_excess"]
        portrait["steps"].values[...] = 1000
        portrait["rose"].values[...] = z > 1
        portrait["outcome"].values[...] = np.where(z > 3, 6, np.where(portrait["tail_excess"] <= 0.5, 2, 4))
        return portrait.assign_attrs(self.rules())


@dataclass(frozen=True)
class Seeded(Sleeper):
    """The same, with seeds, and a curve."""

    seeds: tuple[int, ...] = (0,)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"seeds": list(self.seeds)}

    def measure(self, gamma, eta):
        one = replace(self, seeds=())
        Sleeper.measure(one, gamma, eta)
        portrait = xr.concat([self._portrait(Plane(gamma, eta), s) for s in self.seeds], dim="seed", data_vars="all", coords="minimal",
                             compat="override", join="exact", combine_attrs="override")
        portrait = portrait.assign_coords(seed=list(self.seeds))
        curve = np.stack([portrait["final_excess"].values * k for k in (3.0, 2.0, 1.0)], axis=1)
        return portrait.assign(train_loss=(("seed", "step", "gamma", "eta"), curve)).assign_coords(step=[1, 10, 100])


def lines(log):
    """The measurements in a log: (pid, points) of each."""
    return [tuple(map(int, line.split())) for line in Path(log).read_text().splitlines()] if Path(log).exists() else []


def executor(name, folder):
    """An executor by name, for a process of its own."""
    from validation import executors

    if name == "processes":
        return executors.processes(2)
    if name == "dask":
        return executors.dask(workers=2)
    if name == "submitit":
        return executors.slurm(Path(folder) / "jobs", tiles_per_job=39, jobs=2, cluster="local", timeout_min=5)
    return None


def run(store, log, name, pause=0.015):
    """Sweep in a process that may be killed."""
    warnings.simplefilter("ignore")
    sweep(Sleeper(pause, log), PLANE, store=store, executor=executor(name, Path(store).parent), retry_failed=True)
