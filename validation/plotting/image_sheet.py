"""Draw a sheet of small grey-scale images in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from validation.arguments import Misuse
from validation.plotting.figures import blank

SIZE = 0.42      # inches of a picture
Figure = Any     # matplotlib's; only validation.plotting.figures may name it


def plot_sheet(pictures: Any, headings: Sequence[Any] = (), title: str = "") -> Figure:
    """Return a figure of pictures in rows and columns, black on white, each pixel shown as it is.

    Parameters
    ----------
    pictures : bytes, or numbers from 0 to 255, (rows, columns, height, width).
    headings : one for each column, or none.
    title : above them.

    Raises
    ------
    Misuse : no pictures, or a number of headings that is not that of the columns.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or 0 in pictures.shape:
        raise Misuse(f"pictures must be numbers (rows, columns, height, width), not of shape {pictures.shape}")
    rows, columns, height, width = pictures.shape
    if len(headings) not in (0, columns):
        raise Misuse(f"headings must be one for each of {columns} columns, not {len(headings)}")
    gap = max(1, width // 14)
    page = np.zeros((rows, height + gap, columns, width + gap))
    page[:, :height, :, :width] = pictures.transpose(0, 2, 1, 3)
    page = page.reshape(rows * (height + gap), columns * (width + gap))[:-gap, :-gap]
    figure = blank(columns * SIZE, rows * SIZE * height / width + 0.25 * bool(len(headings)) + 0.25 * bool(title))
    ax = figure.add_subplot()
    ax.imshow(page, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    ax.xaxis.tick_top()
    ax.set_xticks([i * (width + gap) + (width - 1) / 2 for i in range(len(headings))], [str(h) for h in headings])
    ax.tick_params(length=0)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, fontsize="medium")
    return figure
