"""Options of the command lines for figures: format, width, unit of the rate. A command's help imports nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FigureOptions:
    """How portraits are drawn for a paper; a report shows them as PNG.

    Parameters
    ----------
    format
        Write the figures as PDF or SVG too.
    width
        The width of a portrait's figure in inches; up to 5 its letters are small and its legend stands beneath.
    rescale
        Divide the rates by gamma2, gamma squared, or by a predicted edge such as eta_max.
    """

    format: Literal["png", "pdf", "svg"] = "png"
    width: float = 7.6
    rescale: str | None = None

    def check(self, predictions: Iterable[str]) -> None:
        """Raise `Misuse` if a figure cannot be drawn in this way, with these predicted edges."""
        from validation.arguments import between, choose

        choose("format", self.format, ("png", "pdf", "svg"))
        between("width", self.width, 2, 40)
        if self.rescale is not None:
            choose("rescale", self.rescale, ("gamma2", *predictions))


@dataclass(frozen=True)
class NetworkFigureOptions:
    """How portraits of networks are drawn for a paper, where `width` is the network's.

    Parameters
    ----------
    format
        Write the figures as PDF or SVG too.
    figure_width
        The width of a portrait's figure in inches; up to 5 its letters are small and its legend stands beneath.
    rescale
        Divide the rates by gamma2, gamma squared, or by a predicted edge such as eta_max, at its measured prefactor.
    """

    format: Literal["png", "pdf", "svg"] = "png"
    figure_width: float = 7.6
    rescale: str | None = None

    def drawing(self, predictions: Iterable[str]) -> FigureOptions:
        """Return the options of the figures; `Misuse` if they cannot be drawn in this way, with these predicted edges."""
        from validation.arguments import between

        between("figure_width", self.figure_width, 2, 40)
        options = FigureOptions(self.format, self.figure_width, self.rescale)
        options.check(predictions)
        return options
