"""`lazyrich orbit`: what runs do above the largest rate that converges, at one gamma: periods, chaos, escape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from cyclopts import Parameter

from validation.arguments import Misuse, choose, positive, whole
from validation.cli_options import Whole, check_range
from validation.plotting.figure_options import FigureOptions

if TYPE_CHECKING:
    import xarray as xr

    from toymodels.simulate import ToyExperiment

HIGHEST = 1e3      # times the rate at which the minimum becomes unstable: up to here the end of all attractors is sought


def orbit(
    *,
    model: str = "one",
    depth: Whole | None = None,
    loss: str = "mse",
    optimizer: Literal["sgd", "momentum"] = "sgd",
    gamma: float = 1.0,
    eta: tuple[float, float] | None = None,
    points: Whole = 1500,
    settle: Whole = 5000,
    out: Path | None = None,
    drawing: Annotated[FigureOptions, Parameter(name="*")] = FigureOptions(),  # noqa: B008 - frozen
) -> int:
    """Draw the orbit diagram of a toy model at one gamma, and print where its period doubles.

    Parameters
    ----------
    model
        one: one parameter, at any depth; two: two parameters; or one's own, a toymodels.Model in a Python file, as in
        mine.py:attention.
    depth
        L, the depth of the one-parameter model, whose output is a power of its weight, w^L; 2 if not given.
    loss
        mse or cross_entropy; or one's own, a toymodels.Loss in a Python file, as in mine.py:huber.
    optimizer
        The optimizer, with its default hyperparameters.
    gamma
        The feature-learning strength.
    eta
        First and last learning rate; if not given, from 0.9 of the predicted eta_max or eta_crit to where all runs escape.
    points
        The number of learning rates.
    settle
        Steps taken before anything is recorded.
    out
        The folder to write orbit.png to; if not given, lazyrich-orbit/.
    """
    from toymodels.cli import choose_losses, choose_model
    from toymodels.orbit_diagram import draw_orbits
    from toymodels.orbits import orbit as follow
    from toymodels.period_changes import find_period_changes, predict_instability
    from toymodels.simulate import ToyExperiment
    from validation.plotting.figures import image
    from validation.printable import print_text
    from validation.reporting.folder import publish_picture, refuse_picture
    from validation.storage.atomic import expand_home
    from validation.storage.files import check_writable

    if loss == "both":
        raise Misuse("loss must be one loss: mse, cross_entropy or one's own, not 'both'")
    choose("optimizer", optimizer, ("sgd", "momentum"))
    toy, [chosen] = choose_model(model, 2 if depth is None and model == "one" else depth), choose_losses(loss)
    whole("points", points, least=8)
    g = float(positive("gamma", gamma))
    experiment = ToyExperiment(toy, chosen, optimizer, 1)
    stable = predict_instability(experiment, g)
    unit, label = _choose_unit(experiment, g, stable, drawing)
    folder = expand_home("out", out or Path("lazyrich-orbit"))
    for ending in {"png", drawing.format}:
        refuse_picture(folder / f"orbit.{ending}")
    check_writable(folder)
    low, high = check_range("eta", eta) if eta is not None else _choose_range(experiment, g, stable)
    found = follow(toy, chosen, optimizer, g, np.linspace(low, high, points), settle, max(settle, 128))
    changes = None
    if len(toy.parameters) == 1 and np.isfinite(stable):
        changes = find_period_changes(toy, chosen, optimizer, g)
        _print_changes(changes)
    variable = toy.parameters[0] if len(toy.parameters) == 1 else "attractor"
    if bool((found["period"] == -1).all()):
        print(f"Every run from the start escapes, at rates from {low:g} to {high:g}.")
    figure = draw_orbits(found, changes, variable, unit, drawing.width, label)
    folder.mkdir(parents=True, exist_ok=True)
    for ending in sorted({"png", drawing.format}):
        print_text(f"Written to {publish_picture(folder / f'orbit.{ending}', image(figure, ending))}")
    return 0


def _choose_unit(experiment: ToyExperiment, gamma: float, stable: float, drawing: FigureOptions) -> tuple[float, str | None]:
    """Return what the rates are divided by at this gamma, and their label: by default the rate at which the minimum becomes unstable."""
    from toymodels.cli import predictions
    from validation.plotting.rate_units import find_unit

    edges = predictions(experiment)
    drawing.check(edges)
    if drawing.rescale is None:
        return (stable, None) if np.isfinite(stable) else (1.0, None)
    unit = find_unit(drawing.rescale, edges, 1000, 0.01)
    value = float(unit.values(np.array([gamma]))[0]) if unit.values else 1.0
    if not np.isfinite(value):
        raise Misuse(f"rescale must be an edge that is predicted at gamma = {gamma:g}, not {drawing.rescale!r}")
    return value, unit.label


def _choose_range(experiment: ToyExperiment, gamma: float, stable: float) -> tuple[float, float]:
    """Return the rates from below the minimum's instability to where every run escapes."""
    from toymodels.orbits import orbit as follow

    if not np.isfinite(stable):
        raise Misuse(f"eta must be given at gamma = {gamma:g}, where the stability of the minimum is not predicted")
    rates = stable * np.geomspace(1, HIGHEST, 400)
    period = follow(experiment.model, experiment.loss, experiment.optimizer, gamma, rates, 1000, 128,  # type: ignore[arg-type]
                    0)["period"].values
    bounded = rates[period != -1]
    return check_range("eta", (0.9 * stable, 1.02 * max(stable, bounded[-1]) if bounded.size else 1.1 * stable))


def _print_changes(changes: xr.Dataset) -> None:
    """Print the rates at which periods begin, also in units of the first."""
    rates = changes["eta"].values
    print(f"{'period':>12} {'from eta':>14} {'over the first':>16}")
    for period, rate in zip(changes["period"].values, rates, strict=True):
        print(f"{period:>12} {rate:>14.9g} {rate / rates[0]:>16.9g}" if np.isfinite(rate) else f"{period:>12} {'-':>14} {'-':>16}")
    if "accumulation" in changes and np.isfinite(changes["accumulation"]):
        print(f"{'chaos':>12} {float(changes['accumulation']):>14.9g} {float(changes['accumulation']) / rates[0]:>16.9g}")
