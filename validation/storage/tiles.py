"""Cut a plane into tiles, once for each seed, and find the points of a tile that are not measured yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from validation.arguments import Misuse, whole
from validation.plane import Plane


class Status(IntEnum):
    """How far the measurement of a tile is."""

    TODO = 0        # some of its points may have been measured, on a smaller plane or in larger tiles
    DONE = 1        # every point
    FAILED = 2      # not measured again unless requested; its note holds the traceback
    SPARSE = 3      # all points that were requested: a refinement leaves out those far from edges


class Key(NamedTuple):
    """A tile, by the number of its seed (0 where seeds are not measured one by one) and of its row and column of tiles."""

    seed: int
    row: int
    column: int

    def __str__(self) -> str:
        return f"{self.seed}.{self.row}.{self.column}"


class Piece(NamedTuple):
    """Points of a tile that are measured in one call: r rows, and in each of them c columns, which may differ from row to row."""

    rows: np.ndarray        # (r,)
    columns: np.ndarray     # (r, c)
    gamma: np.ndarray       # (r,)
    eta: np.ndarray         # (c,) or (r, c)

    def select(self) -> tuple[slice, slice] | tuple[np.ndarray, np.ndarray]:
        """Return the index of the points in a tile's variables: of a rectangle without gaps as slices, which are copied faster."""
        (r, c), first, left = self.columns.shape, self.rows[0], self.columns[0, 0]
        if self.rows[-1] - first == r - 1 and (self.columns == np.arange(left, left + c)).all():
            return slice(first, first + r), slice(left, left + c)
        return self.rows[:, None], self.columns


@dataclass(frozen=True, eq=False)
class Layout:
    """A plane cut into tiles, once for every seed.

    Attributes
    ----------
    plane : the grid.
    tile : rows and columns of a tile; the last ones may be smaller.
    seeds : the seeds that are measured one at a time; None: a tile is measured once, with all its seeds.

    Raises
    ------
    Misuse : `tile` is no pair of whole numbers.
    """

    plane: Plane
    tile: tuple[int, int]
    seeds: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        try:
            rows, columns = self.tile
        except (TypeError, ValueError):
            raise Misuse(f"tile must be a pair of whole numbers (rows, columns), not {self.tile!r}") from None
        n, m = self.plane.shape
        object.__setattr__(self, "tile", (min(whole("tile", rows), n), min(whole("tile", columns), m)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """The numbers of seeds measured one by one (else 1), of rows and of columns of tiles."""
        (n, m), (r, c) = self.plane.shape, self.tile
        return 1 if self.seeds is None else len(self.seeds), -(-n // r), -(-m // c)

    def __iter__(self) -> Iterator[Key]:
        """Yield every tile, row by row."""
        for at in np.ndindex(*self.shape):
            yield Key(*at)

    def slices(self, key: Key) -> tuple[slice, slice]:
        """Return the rows and columns of the plane that a tile holds."""
        (n, m), (r, c) = self.plane.shape, self.tile
        return slice(key.row * r, min((key.row + 1) * r, n)), slice(key.column * c, min((key.column + 1) * c, m))

    def extent(self, key: Key) -> str:
        """Return in words which part of the plane a tile holds."""
        gamma, eta = self.plane.part(*self.slices(key))
        seed = "" if self.seeds is None else f"seed {self.seeds[key.seed]}, "
        return f"tile {key} ({seed}gamma {gamma[0]:g} to {gamma[-1]:g}, eta {eta.min():g} to {eta.max():g})"

    def pieces(self, key: Key, missing: np.ndarray) -> list[Piece]:
        """Return the missing points of a tile, with one piece for each number of points a row."""
        gamma, eta = self.plane.part(*self.slices(key))
        found = []
        for rows, columns in find_rectangles(missing):
            if eta.ndim == 1 and (columns == columns[0]).all():
                rates = eta[columns[0]]
            else:
                rates = np.take_along_axis(np.broadcast_to(eta, missing.shape)[rows], columns, axis=1)
            found.append(Piece(rows, columns, gamma[rows], rates))
        return found


def find_rectangles(missing: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the true entries of a mask as (rows (r,), columns (r, c)), one pair for each number of true entries a row."""
    if missing.all():
        return [(np.arange(len(missing)), np.broadcast_to(np.arange(missing.shape[1]), missing.shape))]
    counts = missing.sum(axis=1)
    found = []
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        found.append((rows, np.nonzero(missing[rows])[1].reshape(len(rows), count)))
    return found


def locate_points(inner: Plane, outer: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (n,) and, of every row, the columns (n, m) of a plane's points in another plane that contains them."""
    rows = np.searchsorted(outer.gamma, inner.gamma)
    if outer.eta.ndim == inner.eta.ndim == 1:
        return rows, np.broadcast_to(np.searchsorted(outer.eta, inner.eta), inner.shape)
    axes, rates = np.broadcast_to(outer.eta, outer.shape), np.broadcast_to(inner.eta, inner.shape)
    columns = np.stack([np.searchsorted(axes[i], own) for i, own in zip(rows, rates, strict=True)])
    return rows, columns


def find_absent(inner: Plane, outer: Plane) -> tuple[float, float] | None:
    """Return the first point (gamma, eta) of a plane that another plane lacks, compared bit by bit; None if it lacks none."""
    axes, rates = np.broadcast_to(outer.eta, outer.shape), np.broadcast_to(inner.eta, inner.shape)
    for gamma, own in zip(inner.gamma, rates, strict=True):
        i = int(np.searchsorted(outer.gamma, gamma))
        present = np.isin(own, axes[i]) if i < len(outer.gamma) and outer.gamma[i] == gamma else np.zeros(len(own), bool)
        if not present.all():
            return float(gamma), float(own[~present][0])
    return None
