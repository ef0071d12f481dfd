"""descend(): the paper's protocol, each gamma's rates from the top down to a few decades below the first that trains; knows no model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, axis, between, whole
from validation.experiment import as_experiment, digest
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import conform, unrun
from validation.progress import bar
from validation.provenance import provenance


def descend(experiment: Any, gamma: Any, eta: tuple[float, float] = (1e-12, 1e12), per_decade: int = 8, below: float = 3,
            rho: float | None = None, progress: bool = False) -> xr.Dataset:
    """Train from the highest rate down until the first that trains, and so many decades further; what is below stays unrun.

    So do Atanasov et al. (2024, Section 2 and Appendix A), with two rates a decade and three decades below the first convergent one.
    Of an experiment with a ``tile``, all gammas are asked for as many rates at once as a tile is wide, a decade at most; that changes
    no run, only how many are asked for together: what lies below the first rate that trains is among the decades to be run anyway.

    Parameters
    ----------
    experiment : an `Experiment`.
    gamma : (n,), > 0, increasing.
    eta : (low, high), the range; it ends at the low end for a gamma where nothing trains.
    per_decade : rates a decade, on the same lattice as `Plane.log`.
    below : decades > 0 to be run below the first rate that trains; of several seeds (horizons ...), below the last one's first.
    rho : a run has trained if its final excess is at most this; None: the experiment's own.
    progress : whether to show a progress bar.

    Returns
    -------
    Dataset : a portrait, of the whole plane; attributes ``protocol``, ``below``, ``per_decade``, ``runs`` (how many were run) and
        ``share`` (of the flat grid).

    Raises
    ------
    Misuse : an argument that is not allowed, or a measurement that breaks the portrait's contract.
    """
    as_experiment(experiment)
    plane = Plane(axis("gamma", gamma), Plane.log(eta=eta, per_decade=whole("per_decade", per_decade)).eta)
    between("below", below, 0, np.inf)
    if rho is not None:
        between("rho", rho, 0, 1)
    threshold = np.nan if rho is None else rho
    many, rates = plane.shape
    at_once = min(per_decade, getattr(experiment, "tile", (1, 1))[1])
    first: np.ndarray | None = None                     # (lines, n): the index of the first rate that trained, -1: none yet
    stop = np.zeros(many, int)                          # the lowest index to be run
    portrait: xr.Dataset | None = None
    runs, position, failures = 0, rates, []
    with bar(rates, "descending", "rates", progress) as advance:
        while position > stop.min():
            width = np.clip(position - stop, 0, at_once)
            for wide in np.unique(width[width > 0]):
                which, rows = np.flatnonzero(width == wide), slice(position - wide, position)
                tile = conform(experiment.measure(plane.gamma[which], plane.eta[rows]))
                if portrait is None:
                    portrait = unrun(plane, tile).assign_attrs(tile.attrs)
                    threshold = _rho(tile) if rho is None else rho
                for name in portrait.data_vars:
                    portrait[name].values[..., which, rows] = tile[name].values
                failures += json.loads(tile.attrs.get("failures", "[]"))
                trained = ((tile["final_excess"] <= threshold) & (tile["outcome"] != Outcome.DIVERGED)).values.reshape(-1, len(which), wide)
                runs += trained.size
                if first is None:
                    first = np.full((len(trained), many), -1)
                here = np.where(trained.any(-1), position - 1 - trained[..., ::-1].argmax(-1), -1)
                first[:, which] = np.where(first[:, which] < 0, here, first[:, which])
            advance(min(position, at_once))
            position -= at_once
            assert first is not None     # every gamma is asked for the highest rates
            lowest = first.min(0)
            stop = np.where(lowest < 0, 0, np.searchsorted(plane.eta, plane.eta[lowest] * 10.0**-below * (1 - 1e-9)))
    assert portrait is not None
    assert first is not None
    description = experiment.describe()
    portrait.attrs.update({"description": json.dumps(description, sort_keys=True), "digest": digest(description), "plane": plane.digest,
                           "protocol": "descending", "below": below, "per_decade": per_decade, "runs": runs,
                           "share": runs / (len(first) * many * rates)} | provenance())
    if failures:
        portrait.attrs["failures"] = json.dumps(failures)
    return portrait


def _rho(tile: xr.Dataset) -> float:
    """Return the experiment's own rho."""
    if "rho" not in tile.attrs:
        raise Misuse("rho must be given: the experiment's portraits do not hold one")
    return float(tile.attrs["rho"])
