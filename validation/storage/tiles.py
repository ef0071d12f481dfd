"""Which tiles of a plane, for which seeds, and which points within a tile are still to be measured; touches no disk, knows no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from validation.arguments import Misuse, whole
from validation.plane import Plane


class Status(IntEnum):
    """What has become of a tile."""

    TODO = 0        # some of its points may have been measured: those of a smaller plane, or of coarser tiles
    DONE = 1        # every point
    FAILED = 2      # given up; the traceback is beside it
    SPARSE = 3      # as many points as were asked for: a refinement leaves out those far from edges


class Key(NamedTuple):
    """A tile by its numbers: of its seed (0 where seeds are not asked for one by one), of its row and column of tiles."""

    seed: int
    row: int
    column: int

    def __str__(self) -> str:
        return f"{self.seed}.{self.row}.{self.column}"


class Piece(NamedTuple):
    """Points of a tile that are asked for at once: r rows, and in each of them c columns, which may differ from row to row."""

    rows: np.ndarray        # (r,)
    columns: np.ndarray     # (r, c)
    gamma: np.ndarray       # (r,)
    eta: np.ndarray         # (c,) or (r, c)


@dataclass(frozen=True, eq=False)
class Layout:
    """A plane cut into tiles, once for every seed.

    Attributes
    ----------
    plane : the grid.
    tile : rows and columns of a tile, at most; those of the last ones may be fewer.
    seeds : the seeds that are asked for one at a time; None: a tile is asked for once, with all its seeds.

    Raises
    ------
    Misuse : a tile that is no pair of whole numbers.
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
        """The number of seeds asked for one by one (else 1), of rows and of columns of tiles."""
        (n, m), (r, c) = self.plane.shape, self.tile
        return 1 if self.seeds is None else len(self.seeds), -(-n // r), -(-m // c)

    def __iter__(self) -> Iterator[Key]:
        """Yield every tile, row by row."""
        for at in np.ndindex(*self.shape):
            yield Key(*at)

    def slices(self, key: Key) -> tuple[slice, slice]:
        """Return which rows and columns of the plane a tile holds."""
        (n, m), (r, c) = self.plane.shape, self.tile
        return slice(key.row * r, min((key.row + 1) * r, n)), slice(key.column * c, min((key.column + 1) * c, m))

    def extent(self, key: Key) -> str:
        """Return in words where a tile lies."""
        gamma, eta = self.plane.part(*self.slices(key))
        seed = "" if self.seeds is None else f"seed {self.seeds[key.seed]}, "
        return f"tile {key} ({seed}gamma {gamma[0]:g} to {gamma[-1]:g}, eta {eta.min():g} to {eta.max():g})"

    def pieces(self, key: Key, missing: np.ndarray) -> list[Piece]:
        """Return the points of a tile that are still to be measured, in as few pieces as rows of one length make."""
        gamma, eta = self.plane.part(*self.slices(key))
        found = []
        for rows, columns in rectangles(missing):
            if eta.ndim == 1 and (columns == columns[0]).all():
                rates = eta[columns[0]]
            else:
                rates = np.take_along_axis(np.broadcast_to(eta, missing.shape)[rows], columns, axis=1)
            found.append(Piece(rows, columns, gamma[rows], rates))
        return found


def rectangles(missing: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the true entries of a mask as (rows (r,), columns (r, c)): together the rows that miss the same number of points."""
    counts = missing.sum(axis=1)
    found = []
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        found.append((rows, np.nonzero(missing[rows])[1].reshape(len(rows), count)))
    return found


def places(inner: Plane, outer: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Return where the points of a plane lie in another that contains them: rows (n,) and, of every row, columns (n, m)."""
    rows = np.searchsorted(outer.gamma, inner.gamma)
    axes, rates = np.broadcast_to(outer.eta, outer.shape), np.broadcast_to(inner.eta, inner.shape)
    columns = np.stack([np.searchsorted(axes[i], own) for i, own in zip(rows, rates, strict=True)])
    return rows, columns


def absent(inner: Plane, outer: Plane) -> tuple[float, float] | None:
    """Return the first point (gamma, eta) of a plane that another one does not hold, to the last bit; None if it holds them all."""
    axes, rates = np.broadcast_to(outer.eta, outer.shape), np.broadcast_to(inner.eta, inner.shape)
    for gamma, own in zip(inner.gamma, rates, strict=True):
        i = int(np.searchsorted(outer.gamma, gamma))
        there = np.isin(own, axes[i]) if i < len(outer.gamma) and outer.gamma[i] == gamma else np.zeros(len(own), bool)
        if not there.all():
            return float(gamma), float(own[~there][0])
    return None
