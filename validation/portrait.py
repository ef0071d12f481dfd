"""The portrait: the dataset contract, its dims, variables, units and flags; empty(), conform(); knows no model, touches no disk.

A portrait is an `xarray.Dataset` with dims ``gamma`` and ``eta``, after any of ``seed``, ``horizon``, ``width``, ``depth``. Where each
gamma has its own axis of rates, the coordinate ``eta`` counts and the variable ``eta_value(gamma, eta)`` tells the rates. Curves, which
no edge is read from, have the dim ``step`` before the last two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from validation.misuse import Misuse, axis
from validation.outcome import Outcome
from validation.plane import Plane

# name: dtype, what an unrun pixel holds, long name; every one is dimensionless but `steps`
VARIABLES: dict[str, tuple[str, Any, str]] = {
    "outcome": ("int8", -1, "what became of the run"),
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


def empty(plane: Plane, leading: dict[str, Any] | None = None, variables: tuple[str, ...] = REQUIRED) -> xr.Dataset:
    """Return a portrait in which nothing has been run.

    Parameters
    ----------
    plane : the grid.
    leading : further dims with their coordinates, outermost first, e.g. ``{"seed": [0, 1]}``.
    variables : which of `VARIABLES` it holds.
    """
    leading = leading or {}
    shape = (*(len(v) for v in leading.values()), *plane.shape)
    dims = (*leading, "gamma", "eta")
    data = {name: (dims, np.full(shape, VARIABLES[name][1], VARIABLES[name][0]), attributes(name)) for name in variables}
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


def conform(portrait: Any) -> xr.Dataset:
    """Return `portrait` with its dims in order, or raise `Misuse` saying which part breaks the contract and what it should be."""
    if not isinstance(portrait, xr.Dataset):
        raise Misuse(f"portrait must be an xarray.Dataset, not {type(portrait).__name__}")
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
        variable = portrait[name]
        if set(variable.dims) != {*leading, "gamma", "eta"}:
            raise Misuse(f"portrait's {name} must have dims {(*leading, 'gamma', 'eta')}, not {variable.dims}")
        if variable.dtype.kind not in "biuf":
            raise Misuse(f"portrait's {name} must hold numbers, not {variable.dtype}")
    codes = np.unique(portrait["outcome"].values)
    strange = [c for c in codes.tolist() if c not in {int(o) for o in Outcome}]
    if strange:
        raise Misuse(f"portrait's outcome holds {strange[0]!r}; the codes are {flags()['flag_values']} ({flags()['flag_meanings']})")
    portrait = portrait.transpose(*leading, ..., "gamma", "eta")
    bounded = np.isin(portrait["outcome"].values, BOUNDED)
    for name in ("final_excess", "tail_excess", "peak_excess"):
        if np.isnan(portrait[name].values[bounded]).any():
            raise Misuse(f"portrait's {name} must be a number wherever the outcome is that of a bounded run; it is NaN there")
    return portrait
