"""The unit of the learning rate in a portrait's picture: 1, gamma^2, or a predicted edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.arguments import Misuse
from validation.plotting.style import SYMBOLS

if TYPE_CHECKING:
    import xarray as xr

MARGIN = 10.0      # a picture in units of an edge shows a decade beyond the predicted edges


@dataclass(frozen=True)
class Unit:
    """A unit of the rate.

    Attributes
    ----------
    label : of the axis.
    values : gamma -> the unit at each gamma, NaN where there is none; None for 1.
    steps, rho : T and rho, at which predictions are taken.
    """

    label: str
    values: Callable[[np.ndarray], np.ndarray] | None
    steps: int
    rho: float

    def divide(self, predict: Any, gamma: np.ndarray) -> np.ndarray:
        """Return a predicted edge in this unit at each gamma (n,)."""
        eta = np.asarray(predict(gamma, self.steps, self.rho), dtype=float)
        return eta if self.values is None else eta / self.values(gamma)

    def frame(self, rates: np.ndarray, predictions: Mapping[str, Any], gamma: np.ndarray) -> tuple[float, float]:
        """Return the least and largest rate of a picture: a decade around the predicted edges, as far as there are runs (any shape)."""
        low, high = float(np.nanmin(rates)), float(np.nanmax(rates))
        with np.errstate(all="ignore"):
            curves = [self.divide(p, gamma) for p in predictions.values()]
        seen = np.concatenate([c[np.isfinite(c) & (c > 0)] for c in curves]) if curves else np.array([])
        if not seen.size:
            return low, high
        return max(low, float(seen.min()) / MARGIN), min(high, float(seen.max()) * MARGIN)


def find_unit(name: str | None, predictions: Mapping[str, Any], steps: int, rho: float) -> Unit:
    """Return the unit of this name: None, "gamma2" or a predicted edge.

    Raises
    ------
    Misuse : another name.
    """
    if name is None:
        return Unit("learning rate  η", None, steps, rho)
    if name == "gamma2":
        return Unit("learning rate  η/γ²", np.square, steps, rho)
    if name in predictions:
        edge = predictions[name]

        def values(gamma: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                found = np.asarray(edge(gamma, steps, rho), dtype=float)
            return np.where(np.isfinite(found) & (found > 0), found, np.nan)

        return Unit(rf"$\eta$ / {SYMBOLS.get(name, name)}", values, steps, rho)
    allowed = ", ".join(map(repr, ("gamma2", *predictions)))
    raise Misuse(f"rescale must be None or one of {allowed}, not {name!r}")


def divide_rates(picture: xr.Dataset, unit: Unit) -> xr.Dataset:
    """Return a picture with its rates in this unit, without the gammas at which there is none.

    Raises
    ------
    Misuse : there is none at any gamma.
    """
    if unit.values is None:
        return picture
    gamma = picture["gamma"].values.astype(float)
    sizes = unit.values(gamma)
    known = np.isfinite(sizes)
    if not known.any():
        raise Misuse("rescale must be an edge that is predicted at some gamma of the portrait")
    rates = picture["eta_value"].transpose("gamma", "eta").values if "eta_value" in picture else picture["eta"].values[None]
    scaled = np.broadcast_to(rates, (gamma.size, rates.shape[1])) / sizes[:, None]
    return picture.isel(gamma=known).assign_coords(eta=np.arange(rates.shape[1])).assign(eta_value=(("gamma", "eta"), scaled[known]))
