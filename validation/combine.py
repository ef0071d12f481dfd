"""Several portraits of one experiment as one: a coarse sweep and the finer ones around its edges; knows no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from validation.misuse import Misuse
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import VARIABLES, attributes, conform, coordinates, rates


def combine(*portraits: xr.Dataset) -> xr.Dataset:
    """Return one portrait with all the runs of several portraits of the same experiment.

    Every gamma gets the union of its rates as an axis of its own; axes that are shorter than the longest one go on with unrun
    pixels, which `locate` leaves out. Where two portraits have the same run, the first one that was run is kept.

    Parameters
    ----------
    portraits : two or more, with the same digest, variables and leading coordinates.

    Raises
    ------
    Misuse : portraits of different experiments, or with different variables.
    """
    if len(portraits) < 2:
        raise Misuse(f"portraits must be two or more, not {len(portraits)}")
    parts = [conform(p) for p in portraits]
    first = parts[0]
    names = [n for n in first.data_vars if n != "eta_value"]
    others = [d for d in first.dims if d not in ("gamma", "eta")]
    for other in parts[1:]:
        if other.attrs.get("digest") != first.attrs.get("digest"):
            raise Misuse("portraits must be of one experiment, but their digests are "
                         f"{first.attrs.get('digest')!r} and {other.attrs.get('digest')!r}")
        if {n for n in other.data_vars if n != "eta_value"} != set(names):
            raise Misuse(f"portraits must have the same variables: {', '.join(map(str, names))}")
        if any(not np.array_equal(other[d], first[d]) for d in others):
            raise Misuse(f"portraits must have the same {' and '.join(map(str, others))}")
    gamma = np.unique(np.concatenate([p["gamma"].values for p in parts]))
    axes = [np.unique(np.concatenate([rates(p)[p["gamma"].values == g].ravel() for p in parts])) for g in gamma]
    longest = max(len(a) for a in axes)
    eta = np.stack([np.concatenate([a, a[-1] * 10.0 ** (0.1 * np.arange(1, longest - len(a) + 1))]) for a in axes])
    plane = Plane(gamma, eta)
    data = {}
    for name in names:
        known = VARIABLES.get(str(name))
        blank = known[1] if known else 0
        data[name] = np.full((*first[name].shape[:-2], *plane.shape), blank, first[name].dtype)
    for part in reversed(parts):       # the first one is laid on last
        own = rates(part)
        ran = {n: _ran(part, n) for n in names}
        for i, g in enumerate(part["gamma"].values):
            row = int(np.searchsorted(gamma, g))
            at = np.searchsorted(axes[row], own[i])
            for name in names:
                target = data[name][..., row, :]
                target[..., at] = np.where(ran[name][..., i, :], part[name].values[..., i, :], target[..., at])
    return xr.Dataset(
        {n: (first[n].dims, x, attributes(str(n)) if n in VARIABLES else first[n].attrs) for n, x in data.items()},
        coords={**{d: first[d] for d in others}, **coordinates(plane)}, attrs=dict(first.attrs))


def _ran(part: xr.Dataset, name: Any) -> np.ndarray:
    """Return which entries of a variable are those of runs; a curve belongs to its run whatever the horizon."""
    variable, ran = part[name], part["outcome"] != Outcome.UNRUN
    ran = ran.any([d for d in ran.dims if d not in variable.dims])
    return ran.broadcast_like(variable).transpose(*variable.dims).values
