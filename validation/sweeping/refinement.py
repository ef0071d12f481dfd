"""Sweep a coarse plane and refine it near the edges only."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import between, whole
from validation.edges import Rules, rows
from validation.executors import Executor
from validation.experiment import Experiment, name_experiment
from validation.outcome import Outcome
from validation.plane import Plane
from validation.progress import Progress
from validation.storage.atomic import resolve_target
from validation.storage.attributes import as_json
from validation.storage.resume import is_other
from validation.storage.zarr_store import ZarrStore
from validation.sweeping.run_sweep import sweep


def refined_sweep(experiment: Experiment, plane: Plane, levels: int = 2, store: str | os.PathLike[str] | None = None,
                  executor: Executor | Callable[[], Executor] | None = None,
                  progress: bool | Callable[[Progress], None] = False, retry_failed: bool = False, rho: float | None = None,
                  overwrite: bool = False) -> xr.Dataset:
    """Sweep a coarse plane, then double its resolution again and again, each time only where an edge passes.

    A cell of the plane contains an edge if its four corners do not all train, or diverge, or catapult alike. Such a cell and its
    neighbours along eta are measured at twice the resolution of both axes, and so on. Where an edge jumps over several cells, the jump
    is bisected. An island or a gap narrower than a coarse cell is not found. ``eta_opt``, where no class changes, is resolved as
    coarsely as the coarse plane.

    Parameters
    ----------
    experiment, store, executor, progress, retry_failed : see `validation.sweep`. The store is that of the finest plane;
        interrupted, the same call resumes.
    plane : the coarse plane.
    levels : the number of times the resolution is doubled.
    rho : the excess in (0, 1) at which a run counts as trained, by which edges are found; None: the experiment's own.
    overwrite : whether a portrait of another experiment in `store` is replaced, as `validation.sweep` does it.

    Returns
    -------
    Dataset : a portrait of the finest plane; points far from edges are unrun, so that `locate` reads each edge from the nearest
        runs. Attributes ``resolution_far`` and ``resolution_near`` (points a decade of gamma and of eta), ``resolution``
        (the same in words), ``refinement_levels`` and ``share_of_full_grid`` (of its points that were measured).

    Raises
    ------
    Misuse : an argument is not allowed; see `validation.sweep`.
    """
    whole("levels", levels, least=0)
    if rho is not None:
        between("rho", rho, 0, 1)
    target = None if store is None else resolve_target("store", store)
    overwrite = overwrite and target is not None and target.exists() and is_other(target, name_experiment(experiment.describe()), None)
    fine, wanted, portrait = plane, None, None
    for level in range(levels + 1):
        if portrait is not None:
            wanted = _select_near_edges(portrait, rho, None if level == 1 else wanted)
            fine = double(fine)
        known = portrait if store is None else None
        portrait = sweep(experiment, fine, store, executor, progress, retry_failed, wanted, known, overwrite and level == 0)
    assert portrait is not None
    while levels and (gaps := _bisect_jumps(portrait, rho)).any():
        wanted = gaps if wanted is None else wanted | gaps
        portrait = sweep(experiment, fine, store, executor, progress, retry_failed, wanted, portrait if store is None else None)
    attrs = _describe_resolution(plane, fine, levels) | {"share_of_full_grid": float((portrait["outcome"] != Outcome.UNRUN).mean())}
    if target is not None:
        existing = ZarrStore(target)
        if existing.attrs | as_json(attrs) != existing.attrs:
            existing.add(as_json(attrs))
    return portrait.assign_attrs(attrs)


def double(plane: Plane) -> Plane:
    """Return the plane with the geometric mean inserted between every two neighbours of both axes."""
    eta = plane.eta if plane.eta.ndim == 1 else _insert_means(plane.eta, 0)
    return Plane(_insert_means(plane.gamma, 0), _insert_means(eta, -1))


def _insert_means(values: np.ndarray, axis: int) -> np.ndarray:
    values = np.moveaxis(values, axis, 0)
    found = np.empty((2 * len(values) - 1, *values.shape[1:]))
    found[::2] = values
    found[1::2] = np.sqrt(values[:-1]) * np.sqrt(values[1:])
    return np.moveaxis(found, 0, axis)


def classify(portrait: xr.Dataset, rules: Rules) -> np.ndarray:
    """Return a class of every run, equal for runs that `locate` treats alike; -1 where nothing was run: (lines, gamma, eta)."""
    n, m = portrait.sizes["gamma"], portrait.sizes["eta"]
    outcome = portrait["outcome"].values.reshape(-1, n, m)
    found = np.full(outcome.shape, -1, np.int8)
    ran = (outcome != Outcome.UNRUN) & (outcome != Outcome.FAILED)
    for s, line in enumerate(rows(portrait, rules)):
        for g, row in enumerate(line):
            found[s, g, ran[s, g]] = row.trained + 2 * row.reached + 4 * row.catapulted + 8 * row.diverged
    return found


def _select_near_edges(portrait: xr.Dataset, rho: float | None, wanted: np.ndarray | None) -> np.ndarray:
    """Return the points of the doubled plane to be measured: those measured before, and the cells that contain an edge."""
    classes = classify(portrait, Rules.of(portrait.attrs, rho))
    corners = np.stack([classes[:, i:classes.shape[1] - 1 + i, j:classes.shape[2] - 1 + j] for i in (0, 1) for j in (0, 1)])
    known = (corners >= 0).all(axis=0)
    mixed = (known & (corners != corners[0]).any(axis=0)).any(axis=0)            # (n - 1, m - 1) cells
    near = mixed.copy()
    near[:, 1:] |= mixed[:, :-1]
    near[:, :-1] |= mixed[:, 1:]
    n, m = classes.shape[1:]
    found = np.zeros((2 * n - 1, 2 * m - 1), bool)
    found[::2, ::2] = True if wanted is None else wanted
    for i in range(3):
        for j in range(3):
            block = found[i:i + 2 * (n - 1):2, j:j + 2 * (m - 1):2]
            block |= near
    found[:, [0, -1]] = True        # the first and last rates, so that an edge beyond them is censored there and not at the nearest run
    return found


def _bisect_jumps(portrait: xr.Dataset, rho: float | None) -> np.ndarray:
    """Return the midpoints of the unrun stretches across which the class of runs changes, where an edge jumps between gammas."""
    classes = classify(portrait, Rules.of(portrait.attrs, rho))
    unrun = (portrait["outcome"].values.reshape(classes.shape) == Outcome.UNRUN).any(axis=0)
    found = np.zeros(unrun.shape, bool)
    for line in classes:
        for g, row in enumerate(line):
            known = np.flatnonzero(row >= 0)
            for a, b in pairwise(known):
                if row[a] != row[b] and (between_them := a + 1 + np.flatnonzero(unrun[g, a + 1:b])).size:
                    found[g, between_them[len(between_them) // 2]] = True
    return found


def _describe_resolution(coarse: Plane, fine: Plane, levels: int) -> dict[str, Any]:
    def a_decade(plane: Plane) -> list[float]:
        axes = (plane.gamma, plane.eta if plane.eta.ndim == 1 else plane.eta[0])
        return [round((len(a) - 1) / float(np.log10(a[-1] / a[0])), 6) if len(a) > 1 else 0.0 for a in axes]

    far, near = a_decade(coarse), a_decade(fine)
    words = f"{near[0]:g} x {near[1]:g} points a decade of gamma and eta near edges, {far[0]:g} x {far[1]:g} elsewhere"
    return {"resolution_far": far, "resolution_near": near, "resolution": words, "refinement_levels": levels}
