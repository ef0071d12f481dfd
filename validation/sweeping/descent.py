"""The paper's protocol: at each gamma, train from the highest rate down to a few decades below the first that trains."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from validation.arguments import Misuse, axis, between, whole
from validation.experiment import Experiment, as_experiment, name_experiment
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import conform_answer, empty_like, read_failures
from validation.progress import bar
from validation.provenance import collect_provenance
from validation.storage.memory_store import describe_difference


def descend(experiment: Experiment, gamma: ArrayLike, eta: tuple[float, float] = (1e-12, 1e12), per_decade: int = 8, below: float = 3,
            rho: float | None = None, progress: bool = False) -> xr.Dataset:
    """Train from the highest rate down to the first that trains, and a number of decades further; lower rates stay unrun.

    Atanasov et al. (2024, Section 2 and Appendix A) do this, with two rates a decade and three decades below the first convergent one.
    Several rates are measured in one call: as many as a tile of the experiment is wide, at most a decade and at most `below`. This
    changes no run, for all rates within `below` of the first that trains are run anyway.

    Parameters
    ----------
    experiment : an `Experiment`.
    gamma : (n,), > 0, increasing.
    eta : (low, high), the range; a gamma where nothing trains is run down to its low end.
    per_decade : rates a decade, on the same lattice as `Plane.log`.
    below : decades > 0 to be run below the first rate that trains; with several seeds or horizons, below the lowest of their first
        rates.
    rho : the largest final excess of a run that has trained; None: the experiment's own.
    progress : whether to show a progress bar.

    Returns
    -------
    Dataset : a portrait of the whole plane, with attributes ``protocol``, ``below``, ``per_decade``, ``runs`` (their number) and
        ``share`` (of the flat grid).

    Raises
    ------
    Misuse : an argument is not allowed, or a measurement is no portrait.
    """
    experiment = as_experiment(experiment)
    plane = Plane(axis("gamma", gamma), Plane.log(eta=eta, per_decade=whole("per_decade", per_decade)).eta)
    between("below", below, 0, np.inf)
    if rho is not None:
        between("rho", rho, 0, 1)
    experiment.check()
    threshold = np.nan if rho is None else rho
    gammas, rates = plane.shape
    at_once = max(1, min(per_decade, experiment.tile[1], int(below * per_decade * (1 + 1e-9))))
    first: np.ndarray | None = None                     # (lines, n): the index of the first rate that trained, -1: none yet
    stop = np.zeros(gammas, int)                          # the lowest index to be run
    portrait: xr.Dataset | None = None
    runs, position, failures = 0, rates, []
    with bar(rates, "descending", "rates", progress) as advance:
        while position > stop.min():
            width = np.clip(position - stop, 0, at_once)
            for wide in np.unique(width[width > 0]):
                which, rows = np.flatnonzero(width == wide), slice(position - wide, position)
                part, etas = plane.gamma[which], plane.eta[rows]
                tile = conform_answer(experiment.measure(part, etas), part, etas)
                if portrait is None:
                    portrait = empty_like(plane, tile).assign_attrs(tile.attrs)
                    threshold = _rho(tile) if rho is None else rho
                elif difference := describe_difference(portrait.data_vars, tile, None, portrait):
                    raise Misuse(f"measure() must return the same variables for all rates, but {difference}")
                for name in portrait.data_vars:
                    portrait[name].values[..., which, rows] = tile[name].values
                failures += read_failures(tile.attrs)
                trained = ((tile["final_excess"] <= threshold) & (tile["outcome"] != Outcome.DIVERGED)).values.reshape(-1, len(which), wide)
                runs += trained.size
                if first is None:
                    first = np.full((len(trained), gammas), -1)
                here = np.where(trained.any(-1), position - 1 - trained[..., ::-1].argmax(-1), -1)
                first[:, which] = np.where(first[:, which] < 0, here, first[:, which])
            advance(min(position, at_once))
            position -= at_once
            assert first is not None     # the highest rates are run at every gamma
            lowest = first.min(0)
            stop = np.where(lowest < 0, 0, np.searchsorted(plane.eta, plane.eta[lowest] * 10.0**-below * (1 - 1e-9)))
    assert portrait is not None
    assert first is not None
    portrait.attrs.update(name_experiment(experiment.describe()) | {
        "plane": plane.digest, "protocol": "descending", "below": below, "per_decade": per_decade, "runs": runs,
        "share": runs / (len(first) * gammas * rates)} | collect_provenance())
    if failures:
        portrait.attrs["failures"] = json.dumps(failures)
    return portrait


def _rho(tile: xr.Dataset) -> float:
    """Return the experiment's own rho."""
    if "rho" not in tile.attrs:
        raise Misuse("rho must be given: the experiment's portraits do not hold one")
    return float(tile.attrs["rho"])
