"""The cells of a portrait's picture: their borders on logarithmic axes, also where each gamma has its own rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def find_cells(centres: np.ndarray) -> np.ndarray:
    """Return the borders of the cells around `centres`, half-way on a logarithmic scale (last axis + 1)."""
    x = np.log10(centres)
    if x.shape[-1] == 1:
        return 10.0 ** np.concatenate([x - 0.05, x + 0.05], axis=-1)
    middle = (x[..., 1:] + x[..., :-1]) / 2
    first, last = 2 * x[..., :1] - middle[..., :1], 2 * x[..., -1:] - middle[..., -1:]
    return 10.0 ** np.concatenate([first, middle, last], axis=-1)


def build_mesh(picture: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the cells; where each gamma has its own eta axis, an empty column follows each."""
    x = find_cells(picture["gamma"].values.astype(float))
    if "eta_value" not in picture:
        return x, find_cells(picture["eta"].values.astype(float))
    y = find_cells(picture["eta_value"].transpose("gamma", "eta").values)            # (gamma, eta + 1)
    x = np.repeat(x, 2)[1:-1]                                                    # (2 gamma): left, right of each column
    y = np.repeat(y, 2, axis=0).T                                                # (eta + 1, 2 gamma)
    return np.broadcast_to(x, y.shape), y


def paint(ax: Any, mesh: tuple[np.ndarray, np.ndarray], values: np.ndarray, **style: Any) -> Any:
    """Draw `values` (gamma, eta) on the mesh; the empty columns between staggered ones have no width."""
    cells = values.T
    if mesh[0].ndim == 2:
        cells = np.repeat(cells, 2, axis=1)[:, :-1]
    return ax.pcolormesh(*mesh, cells, rasterized=True, shading="flat", **style)
