"""The attractor of a toy model at a rate: its period, its Lyapunov exponent and its points, at one point of the plane or over all of it.

Above eta_crit runs do not settle at the minimum. They oscillate with period 2, 4, 8, ..., become chaotic, and escape. For one parameter of
depth 2 under squared error the update is a cubic map, whose phases Chen, Balasubramanian, Ghosal and Agrawalla describe
(arXiv 2310.01687).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from toymodels import losses, models, optimizers
from toymodels.own.loss import Loss as OwnLoss
from toymodels.simulate import ToyExperiment, compile_toy
from toymodels.threads import run_in_threads
from validation.arguments import Misuse, axis, positive, whole
from validation.estimates import MOST_STEPS, check_memory

FOLLOWED = ("sgd", "momentum")
ROW = 4096        # rates that a thread follows at once


def orbit(model: models.AnyModel, loss: str | losses.Loss | OwnLoss = "mse", optimizer: str | optimizers.Optimizer = "sgd",
          gamma: float | Sequence[float] | np.ndarray = 1.0, eta: float | Sequence[float] | np.ndarray = 0.1, settle: int = 10_000,
          length: int = 10_000, points: int = 128) -> xr.Dataset:
    """Return what runs do in the long run, at one point or over a plane.

    Parameters
    ----------
    model, loss : as for `ToyExperiment`.
    optimizer : "sgd", "momentum" or a `HeavyBall`. SignSGD's map is neither contracting nor expanding, and Adam's depends on the time.
    gamma : one number above zero, or (n,), increasing.
    eta : one number above zero, or (m,), increasing.
    settle : steps that are taken before anything is measured. Close to a change of period runs settle slowly, in about 1/distance steps.
    length : steps on which the exponent, the bands and the points are measured; 128 or more.
    points : how many of the last points of the attractor are returned; 0 for none.

    Returns
    -------
    Dataset without dimensions for two numbers, else over ``gamma`` and ``eta`` where they are axes:

    - ``period``: 1 at a minimum, 2, 4, ...; up to 64. 0: chaotic. -1: diverged. -2: not settled after so many steps.
    - ``bands``: the number of separate intervals of the parameter (of f where there are several) that a chaotic run visits in turn; the
      period of a periodic one.
    - ``lyapunov``: the largest Lyapunov exponent, per step: positive for chaos, 0 along a curve of minima, NaN if diverged.
    - ``attractor``: f at the last `points` points (..., point); of a periodic run one period, the last ones, and NaN before.
    - ``w``, or ``u1`` and ``u2``, or one's own: the parameters at the same points.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """
    from toymodels import kernels
    from toymodels.orbit_kernels import compile_orbits

    experiment = choose_map(model, loss, optimizer)
    axes = {name: _read_axis(name, value) for name, value in (("gamma", gamma), ("eta", eta))}
    settle, length = whole("settle", settle, most=MOST_STEPS), whole("length", length, most=MOST_STEPS)
    if length < 128:
        raise Misuse(f"length must be at least 128, two of the longest period, not {length}")
    points = whole("points", points, least=0)
    if points > length:
        raise Misuse(f"points must be at most length, {length}, not {points}")
    shape = tuple(map(len, axes.values()))
    code = kernels.OPTIMIZER_CODE[experiment.optimizer.name]
    toy = compile_toy(experiment, code)
    last = max(points, 1)
    check_memory("points", points, 8.0 * np.prod(shape) * last * (1 + toy.parameters))
    follow = compile_orbits(toy.name, toy.functions, code, toy.parameters, toy.start)
    numbers = np.array([getattr(experiment.optimizer, "beta", 0.0)])
    constants = toy.list_constants(axes["gamma"])[0]
    rates = np.ascontiguousarray(toy.scale_rate(code, axes["gamma"][:, None], axes["eta"] * np.ones(shape)))
    period, bands = np.empty(shape, np.int16), np.empty(shape, np.int16)
    lyapunov, f = np.empty(shape), np.empty((*shape, last))
    states = np.empty((*shape, last, toy.parameters))

    def run(i: int, some: slice) -> None:
        follow(constants[i], rates[i, some], numbers, settle, length, period[i, some], bands[i, some], lyapunov[i, some],
               states[i, some], f[i, some])

    tasks = [(i, slice(a, a + ROW)) for i in range(shape[0]) for a in range(0, shape[1], ROW)]
    run_in_threads(run, tasks)
    data: dict[str, Any] = {
        "period": (("gamma", "eta"), period, {"long_name": "period (0 chaotic, -1 diverged, -2 not settled)", "units": "1"}),
        "bands": (("gamma", "eta"), bands, {"long_name": "number of bands", "units": "1"}),
        "lyapunov": (("gamma", "eta"), lyapunov, {"long_name": "largest Lyapunov exponent", "units": "1/step"})}
    named: dict[str, list[np.ndarray]] = {}
    if points:
        output = np.stack([toy.output_of(g, row) for g, row in zip(axes["gamma"], f, strict=True)])
        for g, some in zip(axes["gamma"], states, strict=True):
            for name, values in toy.parameters_of(g, some).items():
                named.setdefault(name, []).append(values)
        data |= {name: (("gamma", "eta", "point"), np.stack(rows), {"long_name": f"{name} on the attractor", "units": "1"})
                 for name, rows in named.items()}
        data["attractor"] = ("gamma", "eta", "point"), output, {"long_name": "f on the attractor", "units": "1"}
    attrs = {"settle": settle, "length": length, "steps": settle + length, "dtype": "float64", "device": "cpu"}
    found = xr.Dataset(data, dict(axes), attrs)
    return found.squeeze([name for name, value in (("gamma", gamma), ("eta", eta)) if np.ndim(value) == 0])


def choose_map(model: models.AnyModel, loss: Any, optimizer: Any) -> ToyExperiment:
    """Return the experiment whose step is the map; `Misuse` for an optimizer whose step is no smooth map of the state."""
    experiment = ToyExperiment(model, loss, optimizer, 1)
    if experiment.optimizer.name not in FOLLOWED:
        raise Misuse(f"optimizer must be 'sgd', 'momentum' or a HeavyBall for an orbit, not {experiment.optimizer.name!r}")
    return experiment


def _read_axis(name: str, value: Any) -> np.ndarray:
    """Return an axis (n,) of one number or of several."""
    if np.ndim(value) == 0:
        return np.array([float(positive(name, value))])
    return np.asarray(axis(name, value), dtype=float)
