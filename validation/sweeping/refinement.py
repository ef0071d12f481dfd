"""refined_sweep(): coarse everywhere, fine near the edges only; knows no model."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import between, whole
from validation.edges import Rules, rows
from validation.outcome import Outcome
from validation.plane import Plane
from validation.storage.zarr_metadata import plain
from validation.storage.zarr_store import Growing
from validation.sweeping.run_sweep import sweep_points


def refined_sweep(experiment: Any, plane: Plane, levels: int = 2, store: str | os.PathLike[str] | None = None, executor: Any = None,
                  progress: bool | Callable[..., None] = False, retry_failed: bool = False, rho: float | None = None) -> xr.Dataset:
    """Sweep a coarse plane, then double its resolution again and again, each time only where an edge passes.

    A cell of the plane whose four corners do not all train, or diverge, or catapult alike holds an edge; it and its neighbours along
    eta are measured at twice the resolution of both axes, and so on; where an edge leaps over several cells, the leap is bisected.
    What no coarse cell shows is not found: an island, or a gap, narrower than a cell. ``eta_opt``, where nothing changes, is as coarse
    as the coarse plane.

    Parameters
    ----------
    experiment, store, executor, progress, retry_failed : see `validation.sweep`. The store is that of the finest plane; killed, the same
        call goes on.
    plane : the coarse plane.
    levels : how often the resolution is doubled.
    rho : the excess in (0, 1) at which a run counts as trained, by which edges are told; None: the experiment's own.

    Returns
    -------
    Dataset : a portrait of the finest plane; what is far from edges is unrun, so that `locate` reads each edge from the nearest runs
        that there are. Attributes ``resolution_far`` and ``resolution_near`` (points a decade of gamma and of eta), ``resolution``
        (the same in words), ``refinement_levels`` and ``share_of_full_grid`` (of its points that were measured).

    Raises
    ------
    Misuse : an argument that is not allowed; see `validation.sweep`.
    """
    whole("levels", levels, least=0)
    if rho is not None:
        between("rho", rho, 0, 1)
    fine, wanted, portrait = plane, None, None
    for level in range(levels + 1):
        if portrait is not None:
            wanted = _near(portrait, rho, None if level == 1 else wanted)
            fine = doubled(fine)
        portrait = sweep_points(experiment, fine, wanted, store, executor, progress, retry_failed, portrait if store is None else None)
    assert portrait is not None
    while levels and (gaps := _gaps(portrait, rho)).any():
        wanted = gaps if wanted is None else wanted | gaps
        portrait = sweep_points(experiment, fine, wanted, store, executor, progress, retry_failed, portrait if store is None else None)
    told = _resolution(plane, fine, levels) | {"share_of_full_grid": float((portrait["outcome"] != Outcome.UNRUN).mean())}
    if store is not None:
        kept = Growing(Path(store))
        if kept.attrs | plain(told) != kept.attrs:
            kept.add(plain(told))
    return portrait.assign_attrs(told)


def doubled(plane: Plane) -> Plane:
    """Return the plane with a point between every two neighbours of both axes, the geometric mean; its own points come first and last."""
    eta = plane.eta if plane.eta.ndim == 1 else _between(plane.eta, 0)
    return Plane(_between(plane.gamma, 0), _between(eta, -1))


def _between(values: np.ndarray, axis: int) -> np.ndarray:
    values = np.moveaxis(values, axis, 0)
    found = np.empty((2 * len(values) - 1, *values.shape[1:]))
    found[::2] = values
    found[1::2] = np.sqrt(values[:-1]) * np.sqrt(values[1:])
    return np.moveaxis(found, 0, axis)


def classes(portrait: xr.Dataset, rules: Rules) -> np.ndarray:
    """Return a number for what `locate` sees of every run, equal for equal ones; -1 where nothing was run: (lines, gamma, eta)."""
    n, m = portrait.sizes["gamma"], portrait.sizes["eta"]
    outcome = portrait["outcome"].values.reshape(-1, n, m)
    found = np.full(outcome.shape, -1, np.int8)
    ran = (outcome != Outcome.UNRUN) & (outcome != Outcome.FAILED)
    for s, line in enumerate(rows(portrait, rules)):
        for g, row in enumerate(line):
            found[s, g, ran[s, g]] = row.trained + 2 * row.reached + 4 * row.catapulted + 8 * row.diverged
    return found


def _near(portrait: xr.Dataset, rho: float | None, wanted: np.ndarray | None) -> np.ndarray:
    """Return which points of the doubled plane are to be measured: those that were, and the cells that hold an edge."""
    seen = classes(portrait, Rules.of(portrait.attrs, rho))
    corners = np.stack([seen[:, i:seen.shape[1] - 1 + i, j:seen.shape[2] - 1 + j] for i in (0, 1) for j in (0, 1)])
    known = (corners >= 0).all(axis=0)
    mixed = (known & (corners != corners[0]).any(axis=0)).any(axis=0)            # (n - 1, m - 1) cells
    beside = mixed.copy()
    beside[:, 1:] |= mixed[:, :-1]
    beside[:, :-1] |= mixed[:, 1:]
    n, m = seen.shape[1:]
    found = np.zeros((2 * n - 1, 2 * m - 1), bool)
    found[::2, ::2] = True if wanted is None else wanted
    for i in range(3):
        for j in range(3):
            block = found[i:i + 2 * (n - 1):2, j:j + 2 * (m - 1):2]
            block |= beside
    found[:, [0, -1]] = True        # the rims, so that an edge beyond them is censored there and not at the nearest run
    return found


def _gaps(portrait: xr.Dataset, rho: float | None) -> np.ndarray:
    """Return the middles of the gaps across which runs differ: what no cell showed, where an edge leaps. They close by bisection."""
    seen = classes(portrait, Rules.of(portrait.attrs, rho))
    unrun = (portrait["outcome"].values.reshape(seen.shape) == Outcome.UNRUN).any(axis=0)
    found = np.zeros(unrun.shape, bool)
    for line in seen:
        for g, row in enumerate(line):
            known = np.flatnonzero(row >= 0)
            for a, b in pairwise(known):
                if row[a] != row[b] and (between_them := a + 1 + np.flatnonzero(unrun[g, a + 1:b])).size:
                    found[g, between_them[len(between_them) // 2]] = True
    return found


def _resolution(coarse: Plane, fine: Plane, levels: int) -> dict[str, Any]:
    def a_decade(plane: Plane) -> list[float]:
        axes = (plane.gamma, plane.eta if plane.eta.ndim == 1 else plane.eta[0])
        return [round((len(a) - 1) / float(np.log10(a[-1] / a[0])), 6) if len(a) > 1 else 0.0 for a in axes]

    far, near = a_decade(coarse), a_decade(fine)
    words = f"{near[0]:g} x {near[1]:g} points a decade of gamma and eta near edges, {far[0]:g} x {far[1]:g} elsewhere"
    return {"resolution_far": far, "resolution_near": near, "resolution": words, "refinement_levels": levels}
