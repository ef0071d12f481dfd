"""Draw several portraits side by side in one figure, with one legend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from validation.plotting.figures import blank, plot_portrait

if TYPE_CHECKING:
    import xarray as xr

ACROSS, WIDTH, LEGEND = 3, 4.4, 1.6       # most panels in a row; inches of a panel, and of the legend beside maps of outcomes


def draw_portraits(panels: Mapping[str, tuple[xr.Dataset, Mapping[str, Any]]], variable: str | None = None, height: float = 4.4) -> Any:
    """Return a figure, free of pyplot, with one portrait in each panel.

    Parameters
    ----------
    panels : title -> (portrait, predicted edges), both as of `plot_portrait`.
    variable : as of `plot_portrait`; the legend stands below where a variable is drawn, else on the right.
    height : of a row of at most three panels, in inches.
    """
    down = -(-len(panels) // ACROSS)
    across = -(-len(panels) // down)
    figure = blank(WIDTH * across + (0 if variable else LEGEND), height * down)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for spare in axes[len(panels):]:
        spare.remove()
    entries: dict[str, Any] = {}
    for ax, (title, (portrait, predictions)) in zip(axes, panels.items(), strict=False):
        plot_portrait(portrait, predictions, variable, ax)
        ax.set_title(title)
        if legend := ax.get_legend():
            entries |= dict(zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=True))
            legend.remove()
    figure.legend(entries.values(), entries.keys(), frameon=False,
                  **({"loc": "outside lower center", "ncols": len(entries)} if variable else {"loc": "outside right center"}))
    return figure
