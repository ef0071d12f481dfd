"""The portrait, a dataset of runs over (gamma, eta): its variables, how to create, check and combine portraits.

A portrait is an `xarray.Dataset` with dims ``gamma`` and ``eta``, after any of ``seed``, ``horizon``, ``width``, ``depth``. Where each
gamma has its own axis of rates, the coordinate ``eta`` counts them and ``eta_value(gamma, eta)`` holds their values. Curves have the
dim ``step`` before the last two; no edge is located from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, axis
from validation.experiment import are_of_one_experiment
from validation.outcome import Outcome
from validation.plane import Plane

# name: dtype, value where nothing has been run, long name; all are dimensionless
VARIABLES: dict[str, tuple[str, Any, str]] = {
    "outcome": ("int8", -1, "outcome of the run"),
    "final_excess": ("float64", np.nan, "excess loss after the last step"),
    "tail_excess": ("float64", np.nan, "largest excess loss over the last T/10 steps"),
    "peak_excess": ("float64", np.nan, "largest excess loss of the run"),
    "steps": ("int32", 0, "steps taken before it diverged, else T"),
    "kernel_ratio": ("float64", np.nan, "final kernel over its gradient-flow value"),
    "rose": ("bool", False, "whether the loss rose during the tail"),
    "final_accuracy": ("float64", np.nan, "accuracy after the last step"),
    "train_loss": ("float64", np.nan, "mean training loss over the ten steps up to this one"),
    "held_out_loss": ("float64", np.nan, "loss on the held-out samples"),
}
BOUNDED = [int(o) for o in (Outcome.UNTRAINED, Outcome.PARTIAL, Outcome.CONVERGED, Outcome.CATAPULTED, Outcome.OSCILLATING,
                            Outcome.STUCK)]
LONGEST = 200       # bytes of a variable's name
REQUIRED = ("outcome", "final_excess", "tail_excess", "peak_excess", "steps")


def flags() -> dict[str, Any]:
    """Return the CF attributes of ``outcome``: ``flag_values`` and ``flag_meanings``."""
    return {"flag_values": [int(o) for o in Outcome], "flag_meanings": " ".join(o.label for o in Outcome)}


def attributes(name: str) -> dict[str, Any]:
    """Return the attributes of a variable of the contract."""
    attrs: dict[str, Any] = {"long_name": VARIABLES[name][2], "units": "1"}
    if name == "outcome":
        attrs.update(flags())
    if name == "final_excess":
        attrs["comment"] = "(loss - least loss)/(first loss - least loss); infinite where it diverged"
    return attrs


def empty(plane: Plane, leading: dict[str, Any] | None = None, variables: tuple[str, ...] = REQUIRED,
          template: bool = False) -> xr.Dataset:
    """Return a portrait in which nothing has been run.

    Parameters
    ----------
    plane : the grid.
    leading : further dims with their coordinates, outermost first, e.g. ``{"seed": [0, 1]}``.
    variables : names from `VARIABLES`.
    template : whether the arrays are read-only and take no memory: for a store that is created with their shapes.
    """
    leading = leading or {}
    shape = (*(len(v) for v in leading.values()), *plane.shape)
    dims = (*leading, "gamma", "eta")
    values = {name: np.asarray(VARIABLES[name][1], VARIABLES[name][0]) for name in variables}
    data = {name: (dims, np.broadcast_to(v, shape) if template else np.full(shape, v), attributes(name)) for name, v in values.items()}
    return xr.Dataset(data, coords={**{k: np.asarray(v) for k, v in leading.items()}, **coordinates(plane)})


def coordinates(plane: Plane) -> dict[str, Any]:
    """Return the coordinates of a plane, as a portrait has them."""
    coords: dict[str, Any] = {"gamma": ("gamma", plane.gamma, {"long_name": "feature-learning strength", "units": "1"})}
    about = {"long_name": "learning rate", "units": "1"}
    if plane.eta.ndim == 1:
        return coords | {"eta": ("eta", plane.eta, about)}
    counts = {"long_name": "number of the rate on its gamma's own axis", "units": "1"}
    return coords | {"eta": ("eta", np.arange(plane.shape[1]), counts),
                     "eta_value": (("gamma", "eta"), plane.eta, about)}


def rates(portrait: xr.Dataset) -> np.ndarray:
    """Return the learning rates, shape (gamma, eta)."""
    if "eta_value" in portrait:
        return portrait["eta_value"].transpose("gamma", "eta").values
    return np.broadcast_to(portrait["eta"].values, (portrait.sizes["gamma"], portrait.sizes["eta"]))


def conform_answer(measured: Any, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
    """Return what an experiment has measured, with its dims in order.

    Raises
    ------
    Misuse : it is no portrait, or one of other gammas or rates than were requested.
    """
    portrait = conform(measured)
    expected = (len(gamma), eta.shape[-1])
    if (shape := (portrait.sizes["gamma"], portrait.sizes["eta"])) != expected:
        raise Misuse(f"measure() must return a portrait of the shape {expected} of its arguments, not {shape}")
    for name, given, found in (("gamma", gamma, portrait["gamma"].values), ("eta", np.broadcast_to(eta, expected), rates(portrait))):
        if (wrong := given != found).any():
            at = tuple(np.argwhere(wrong)[0])
            raise Misuse(f"measure() must return a portrait of the {name} it was given, not of others: {name} {float(given[at])!r} "
                         f"was requested, and {float(found[at])!r} is in the answer")
    return portrait


def conform(portrait: Any) -> xr.Dataset:
    """Return a portrait with its dims in order.

    Raises
    ------
    Misuse : it lacks a dim, coordinate or variable of the contract, or one of them has forbidden dims or values; the message names it.
    """
    if not isinstance(portrait, xr.Dataset):
        raise Misuse(f"portrait must be an xarray.Dataset, not {type(portrait).__name__}")
    _check_names(portrait)
    for dim in ("gamma", "eta"):
        if dim not in portrait.dims:
            raise Misuse(f"portrait must have the dim {dim!r}; its dims are {tuple(portrait.dims)}")
        if dim not in portrait.coords:
            raise Misuse(f"portrait must have the coordinate {dim!r}")
    axis("portrait's gamma", portrait["gamma"].values)
    if "eta_value" in portrait:
        if set(portrait["eta_value"].dims) != {"gamma", "eta"}:
            raise Misuse(f"portrait's eta_value must have dims (gamma, eta), not {portrait['eta_value'].dims}")
        axis("portrait's eta_value", portrait["eta_value"].transpose("gamma", "eta").values, ndim=2)
    else:
        axis("portrait's eta", portrait["eta"].values)
    for name in REQUIRED:
        if name not in portrait:
            raise Misuse(f"portrait must have the variable {name!r}; it has {', '.join(map(str, portrait.data_vars))}")
    leading = [d for d in portrait["outcome"].dims if d not in ("gamma", "eta")]
    for name in REQUIRED:
        variable = portrait.variables[name]
        if set(variable.dims) != {*leading, "gamma", "eta"}:
            raise Misuse(f"portrait's {name} must have dims {(*leading, 'gamma', 'eta')}, not {variable.dims}")
        if variable.dtype.kind not in "biuf":
            raise Misuse(f"portrait's {name} must hold numbers, not {variable.dtype}")
    codes = np.unique(portrait.variables["outcome"].values).tolist()
    strange = [c for c in codes if c not in {int(o) for o in Outcome}]
    if strange:
        raise Misuse(f"portrait's outcome holds {strange[0]!r}; the codes are {flags()['flag_values']} ({flags()['flag_meanings']})")
    if all((*v.dims[:len(leading)], *v.dims[-2:]) == (*leading, "gamma", "eta") for v in portrait.data_vars.values()):
        portrait = portrait.copy(deep=False)      # whose attributes may be changed
    else:
        portrait = portrait.transpose(*leading, ..., "gamma", "eta")
    for name in ("final_excess", "tail_excess", "peak_excess"):
        missing = np.isnan(portrait.variables[name].values)
        if missing.any() and np.isin(portrait.variables["outcome"].values[missing], BOUNDED).any():
            raise Misuse(f"portrait's {name} must be a number wherever the outcome is that of a bounded run; it is NaN there")
    return portrait


def read_failures(attrs: Mapping[str, Any]) -> list[Any]:
    """Return the descriptions of the runs that crashed, an attribute of portraits; none where it is no JSON list."""
    try:
        failures = json.loads(attrs.get("failures", "[]"))
    except (TypeError, ValueError, RecursionError):
        return []
    return failures if isinstance(failures, list) else []


def _check_names(portrait: xr.Dataset) -> None:
    """Raise `Misuse` for names that cannot be those of a file or folder: every variable is stored as one."""
    for name in portrait.variables.keys() | portrait.dims:
        if (not isinstance(name, str) or not name or name.startswith((".", "__")) or set(name) & set("/\\\0")
                or name == "zarr.json" or len(name.encode(errors="replace")) > LONGEST or not name.isprintable()):
            raise Misuse(f"portrait's variables and dims must have names of files, of at most {LONGEST} bytes, not {name!r}")


def fill_value(name: str, dtype: np.dtype) -> Any:
    """Return the value of a variable where nothing has been run."""
    if name in VARIABLES:
        return VARIABLES[name][1]
    return np.nan if dtype.kind == "f" else 0


def empty_like(plane: Plane, tile: xr.Dataset, seeds: tuple[int, ...] | None = None) -> xr.Dataset:
    """Return a portrait of a plane in which nothing has been run, with the variables and other dims of a tile.

    Parameters
    ----------
    plane : the grid.
    tile : a portrait of a part of it, for one of `seeds`.
    seeds : the coordinate ``seed``; None: the tile's own, if it has one.

    Raises
    ------
    Misuse : a variable lacks the plane's dims, or the dim ``seed`` if there are `seeds`, or holds no numbers.
    """
    others = {str(d): tile[d] for d in tile.dims if d not in ("gamma", "eta")}
    if seeds is not None:
        if "seed" not in tile["outcome"].dims:
            raise Misuse("measure() of an experiment with seeds must return a portrait with the dim 'seed', but outcome has "
                         f"{tile['outcome'].dims}")
        others["seed"] = xr.DataArray(list(seeds), dims="seed", attrs=tile["seed"].attrs)
    data = {}
    for name, variable in tile.data_vars.items():
        if name == "eta_value":
            continue
        if variable.dims[-2:] != ("gamma", "eta"):
            raise Misuse(f"measure() must return variables with dims (..., gamma, eta), but {name} has {variable.dims}")
        if variable.dtype.kind not in "biuf":
            raise Misuse(f"measure() must return numbers, but {name} holds {variable.dtype}")
        if seeds is not None and "seed" not in variable.dims:
            raise Misuse(f"measure() of an experiment with seeds must return variables with the dim 'seed', but {name} has {variable.dims}")
        shape = (*(others[str(d)].size for d in variable.dims[:-2]), *plane.shape)
        attrs = attributes(str(name)) if name in VARIABLES else variable.attrs
        data[name] = (variable.dims, np.full(shape, fill_value(str(name), variable.dtype), variable.dtype), attrs)
    return xr.Dataset(data, coords={**others, **coordinates(plane)})


def combine(*portraits: xr.Dataset) -> xr.Dataset:
    """Return one portrait with all the runs of several portraits of the same experiment.

    Every gamma gets the union of its rates as an axis of its own. Axes shorter than the longest are extended by unrun points, which
    `locate` leaves out. If several portraits have the same run, that of the first one is returned.

    Parameters
    ----------
    portraits : two or more, with the same digest, variables and leading coordinates.

    Raises
    ------
    Misuse : the portraits are of different experiments, or have different variables.
    """
    if len(portraits) < 2:
        raise Misuse(f"portraits must be two or more, not {len(portraits)}")
    parts = [conform(p) for p in portraits]
    first = parts[0]
    names = [n for n in first.data_vars if n != "eta_value"]
    others = [d for d in first.dims if d not in ("gamma", "eta")]
    for other in parts[1:]:
        if not are_of_one_experiment(other.attrs, first.attrs):
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
    for part in reversed(parts):       # the first one overwrites the others
        own = rates(part)
        ran = {n: _find_runs(part, n) for n in names}
        for i, g in enumerate(part["gamma"].values):
            row = int(np.searchsorted(gamma, g))
            at = np.searchsorted(axes[row], own[i])
            for name in names:
                target = data[name][..., row, :]
                target[..., at] = np.where(ran[name][..., i, :], part[name].values[..., i, :], target[..., at])
    return xr.Dataset(
        {n: (first[n].dims, x, attributes(str(n)) if n in VARIABLES else first[n].attrs) for n, x in data.items()},
        coords={**{d: first[d] for d in others}, **coordinates(plane)}, attrs=dict(first.attrs))


def _find_runs(part: xr.Dataset, name: Any) -> np.ndarray:
    """Return a mask of the entries of a variable that belong to runs; a curve belongs to its run at every horizon."""
    variable, ran = part[name], part["outcome"] != Outcome.UNRUN
    ran = ran.any([d for d in ran.dims if d not in variable.dims])
    return ran.broadcast_like(variable).transpose(*variable.dims).values
