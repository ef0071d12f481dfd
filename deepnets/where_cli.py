"""`lazyrich where`: the place of a network in the plane, the highest rate at which it trains, a rate to use, and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deepnets.own_options import OwnOptions
from validation.reporting.figure_file import FileOptions
from validation.whole_numbers import Whole

FIGURE = "place"        # the stem of the figure's name


def where(
    options: Annotated[OwnOptions, Parameter(name="*")],
    *,
    drawing: Annotated[FileOptions, Parameter(name="*")] = FileOptions(),  # noqa: B008 - frozen
    eta: float | None = None,
    seeds: str = "3",
    steps: Whole = 200,
    out: Path | None = None,
) -> int:
    """Measure where a network lies between lazy and rich, the highest rate at which it trains, and a rate to use.

    Parameters
    ----------
    eta
        Your learning rate, to be compared with the highest.
    seeds
        How many seeds (3 means 0,1,2), or which, with commas.
    steps
        The number of steps that the rate is for.
    out
        A folder for the figure place.png: the plane around the network; it takes two brackets more.
    """
    from deepnets.place.placement import where as place_network
    from validation.printable import print_text

    given = options.arguments(seeds)
    folder = None if out is None else drawing.prepare(out, FIGURE)
    place = place_network(**given, eta=eta, steps=steps, progress=not options.quiet)
    options.print_answer(place)
    if folder is not None:
        from deepnets.place.neighbourhood import survey_neighbourhood
        from validation.plotting.place_plane import draw_place

        around = survey_neighbourhood(place, progress=not options.quiet, steps=steps, **given)
        figure = draw_place(around.brackets, around.crossing, around.interval, around.levels, around.lazy_below, around.given, around.eta,
                            drawing.width)
        written = drawing.write(figure, folder, FIGURE)
        if not options.json:
            print_text("\n".join([*around.notes, f"Written to {written}"]))
    return 0
