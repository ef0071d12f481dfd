"""Choose what the explorer shows first: from the options of the command line, or from a stored portrait's experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toymodels.cli import choose_model, choose_optimizer, choose_plane, default_steps, name_files, words
from toymodels.models import Model
from toymodels.optimizers import HeavyBall
from toymodels.schedules import CONSTANT
from toymodels.simulate import ToyExperiment
from validation.arguments import Misuse, choose, whole

DEEPEST = 12                # of the page's kernel
LOSSES = ("mse", "cross_entropy")
OPTIMIZERS = ("sgd", "signsgd", "momentum")
POINTS = (8, 2048)         # along an axis of the page
STEPS = 1_000_000
LONG = 5000                 # steps beyond which the first picture has fewer points
LIMITS = (1e-290, 1e290)    # of gamma and eta
NARROWEST = 1e-12           # relative width of an axis
NOISIEST = 1000.0           # sigma, in units of the target


def choose_view(model: str | None, depth: int | None, loss: str | None, optimizer: str | None, beta: float | None, noise: float | None,
                steps: int | None, rho: float | None, gamma: tuple[float, float] | None, eta: tuple[float, float] | None,
                points: int | None) -> tuple[dict[str, Any], str, str]:
    """Return the view that options ask for, its heading and a name for its file; None stands for the defaults of `lazyrich toy`.

    Raises
    ------
    Misuse : an option that is none, or that the page cannot show.
    """
    choose("model", model or "one", ("one", "two"))
    if model != "two" and depth is not None:
        whole("depth", depth, most=DEEPEST)
    toy = choose_model(model or "one", depth)
    chosen = choose("loss", loss or "mse", LOSSES)
    rule = choose_optimizer(choose("optimizer", optimizer or "sgd", OPTIMIZERS), beta)
    count = whole("steps", default_steps(toy, chosen) if steps is None else steps, most=STEPS)
    experiment = ToyExperiment(toy, chosen, rule, count, rho=0.01 if rho is None else rho, noise=noise or 0.0)
    if experiment.noise > NOISIEST:
        raise Misuse(f"noise must be at most {NOISIEST:g} in the explorer, not {experiment.noise:g}")
    plane = choose_plane(experiment, gamma or (1e-5, 1e5), eta, 8)
    for name, values in (("gamma", plane.gamma), ("eta", plane.eta)):
        if not _fits_axis(values[0], values[-1]):
            raise Misuse(f"{name} must lie between {LIMITS[0]:g} and {LIMITS[1]:g} in the explorer, with a relative width of at least "
                         f"{NARROWEST:g}, not from {values[0]:g} to {values[-1]:g}")
    view = describe_view(experiment, (plane.gamma[0], plane.gamma[-1]), (plane.eta[0], plane.eta[-1]))
    if points is not None:
        view["points"] = whole("points", points, least=POINTS[0], most=POINTS[1])
    return view, words(experiment), name_files(experiment)


def _fits_axis(low: float, high: float) -> bool:
    """Return whether the page can show an axis."""
    return bool(LIMITS[0] <= low and high <= LIMITS[1] and high / low - 1 >= NARROWEST)


def describe_view(experiment: ToyExperiment, gamma: tuple[float, float], eta: tuple[float, float]) -> dict[str, Any]:
    """Return an experiment on a range as `setView` of the page takes it."""
    model, optimizer = experiment.model, experiment.optimizer
    momentum = {"momentum": optimizer.beta} if isinstance(optimizer, HeavyBall) else {}
    return {"model": model.name, "depth": model.depth, "loss": experiment.loss.name,      # type: ignore[union-attr]
            "optimizer": optimizer.name, **momentum, "steps": experiment.horizons[-1], "rho": experiment.rho, "noise": experiment.noise,
            "gamma": [float(x) for x in gamma], "eta": [float(x) for x in eta],
            **({"points": 256} if experiment.horizons[-1] > LONG else {})}


def read_view(description: Mapping[str, Any], gamma: tuple[float, float], eta: tuple[float, float],
              rho: float | None = None) -> dict[str, Any] | None:
    """Return the view that computes a stored portrait of a toy anew, None where the page cannot: of a network, or of another toy.

    An axis of a single value becomes a decade to either side of it. `rho` takes the place of the portrait's own.
    """
    if description.get("witness") != "toy":
        return None
    experiment = ToyExperiment.of(dict(description))
    model, optimizer = experiment.model, experiment.optimizer
    shown = (isinstance(model, Model) and model.is_standard and model.depth <= DEEPEST and experiment.loss.name in LOSSES
             and optimizer.name in OPTIMIZERS and experiment.schedule == CONSTANT and experiment.batch is None
             and experiment.horizons[-1] <= STEPS and experiment.noise <= NOISIEST)
    wide = [(low, high) if high > low else (low / 10, high * 10) for low, high in (gamma, eta)]
    if not shown or not all(_fits_axis(low, high) for low, high in wide):
        return None
    return describe_view(experiment, *wide) | ({} if rho is None else {"rho": float(rho)})
