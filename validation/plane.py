"""The plane: a grid of (gamma, eta), logarithmic or along an edge, with its tiles and refinement."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from validation.arguments import Misuse, axis, between, numbers, whole

GOLDEN = 0.618   # near the golden ratio, the least commensurate shift: gamma i's axis is moved by h frac(0.618 i)


@dataclass(frozen=True, eq=False)
class Plane:
    """A grid of feature-learning strengths gamma and learning rates eta.

    Attributes
    ----------
    gamma : (n,), > 0, strictly increasing.
    eta : (m,), the same; or (n, m), one axis per gamma.

    Raises
    ------
    Misuse : an axis is empty, unsorted, not finite or not above zero.
    """

    gamma: np.ndarray
    eta: np.ndarray

    def __post_init__(self) -> None:
        gamma, eta = axis("gamma", self.gamma), axis("eta", self.eta, ndim=2)
        if eta.ndim == 2 and len(eta) != len(gamma):
            raise Misuse(f"eta must hold one axis per gamma: {len(gamma)} rows, not {len(eta)}")
        for name, values in (("gamma", gamma), ("eta", eta)):
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    @classmethod
    def log(cls, gamma: tuple[float, float] = (1e-5, 1e5), eta: tuple[float, float] = (1e-12, 1e12),
            per_decade: int | tuple[int, int] = 8, stagger: bool = False) -> Plane:
        """Return a logarithmic plane with its ends included.

        Parameters
        ----------
        gamma, eta : the first and the last value of each axis.
        per_decade : points a decade, of both axes or of each. If the range is no whole number of steps, the steps are made smaller.
        stagger : shift gamma i's axis upwards by ``frac(0.618 i)`` of a cell, so that an edge whose slope is rational does not
            cross every cell at the same place. Without it, more gammas do not sharpen such an edge's exponent.
        """
        many = per_decade if isinstance(per_decade, tuple) else (per_decade, per_decade)
        if len(many) != 2:
            raise Misuse(f"per_decade must be a whole number or two of them, for gamma and eta, not {per_decade!r}")
        g = _build_axis("gamma", gamma, whole("per_decade", many[0]))
        e = _build_axis("eta", eta, whole("per_decade", many[1]))
        if not stagger:
            return cls(g, e)
        step = np.log10(e[-1] / e[0]) / max(1, len(e) - 1) if len(e) > 1 else 1.0 / many[1]
        return cls(g, e[None, :] * 10.0 ** (step * ((GOLDEN * np.arange(len(g))) % 1.0))[:, None])

    @classmethod
    def around(cls, prediction: Callable[..., ArrayLike] | ArrayLike, gamma: ArrayLike, decades: float = 1, per_decade: int = 20) -> Plane:
        """Return a plane whose rates follow an edge, up to `decades` on each side.

        Parameters
        ----------
        prediction : a `Prediction`, any callable gamma -> eta, or an array of shape (n,).
        gamma : (n,).
        """
        g = axis("gamma", gamma)
        centre = numbers("prediction", prediction(g) if callable(prediction) else prediction)
        if centre.shape != g.shape or not (np.isfinite(centre) & (centre > 0)).all():
            missing = g[~(np.isfinite(centre) & (centre > 0))] if centre.shape == g.shape else g
            raise Misuse(f"prediction must return one eta above zero for every gamma; it returns none at gamma = {missing[0]:g}")
        side = round(between("decades", decades, 0, 300) * whole("per_decade", per_decade))
        offsets = np.arange(-side, side + 1) / per_decade
        return cls(g, centre[:, None] * 10.0**offsets)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of gammas and of rates."""
        return len(self.gamma), self.eta.shape[-1]

    @property
    def digest(self) -> str:
        """The hash of the plane: a SHA-256 of its axes, to the last bit."""
        mark = hashlib.sha256(repr(self.eta.shape).encode())
        for values in (self.gamma, self.eta):
            mark.update(np.ascontiguousarray(values).tobytes())
        return mark.hexdigest()[:16]

    def tiles(self, rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
        """Yield the plane cut into tiles of at most `rows` by `columns`, as pairs of slices."""
        n, m = self.shape
        for a in range(0, n, rows):
            for b in range(0, m, columns):
                yield slice(a, min(a + rows, n)), slice(b, min(b + columns, m))

    def part(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the gammas and the rates of a tile, as `Experiment.measure` takes them."""
        return self.gamma[rows], self.eta[rows, columns] if self.eta.ndim == 2 else self.eta[columns]

    def refine(self, edges: xr.Dataset, edge: str, per_decade: int, margin: float = 0.1) -> Plane:
        """Return a plane that follows a located edge with finer rates; a sweep over it narrows the brackets.

        Parameters
        ----------
        edges : as `locate` returns them; gammas whose bracket is censored or absent are left out.
        edge : its name.
        per_decade : the new number of rates a decade.
        margin : decades by which the new axes exceed the widest bracket.
        """
        if edge not in edges["edge"].values:
            raise Misuse(f"edge must be one of {', '.join(map(repr, edges['edge'].values.tolist()))}, not {edge!r}")
        bracket = edges["eta"].sel(edge=edge)
        whole("per_decade", per_decade)
        keep = np.isfinite(bracket.values).all(axis=-1)
        bracket = bracket.isel(gamma=np.flatnonzero(keep))
        if bracket.sizes["gamma"] == 0:
            raise Misuse(f"{edge} has no complete bracket in these edges: there is nothing to refine around")
        low, high = bracket.sel(bound="lower").values, bracket.sel(bound="upper").values
        side = float(np.log10(high / low).max()) / 2 + margin
        return Plane.around(np.sqrt(low * high), bracket["gamma"].values, side, per_decade)


def _build_axis(name: str, ends: Any, per_decade: int) -> np.ndarray:
    """Return an equally spaced logarithmic axis; a point has the same float whatever the range."""
    low, high = axis(name, ends) if np.size(ends) == 2 else (np.nan, np.nan)
    if not np.isfinite(low):
        raise Misuse(f"{name} must be two increasing numbers above zero, its first and last value, not {ends!r}")
    first, last = np.log10(low) * per_decade, np.log10(high) * per_decade
    if abs(first - round(first)) < 1e-9 and abs(last - round(last)) < 1e-9:
        values = 10.0 ** (np.arange(round(first), round(last) + 1) / per_decade)
    else:
        values = np.geomspace(low, high, int(np.ceil(last - first - 1e-9)) + 1)
    values[0], values[-1] = low, high
    return values
