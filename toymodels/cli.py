"""`lazyrich toy`: sweep a toy model over the plane, trace its edges, fit and judge them against the theory, draw and report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from toymodels.background import run_in_child
from toymodels.models import Model, OneParameter, TwoParameter
from toymodels.optimizers import HeavyBall
from toymodels.simulate import ToyExperiment
from validation.arguments import Misuse, between, whole
from validation.cli_options import SweepOptions, Whole, check_range, report_failed_tiles
from validation.estimates import announce
from validation.plane import Plane

MOST_POINTS = 10_000      # along an axis
SHARED = ("toymodels.kernels", "toymodels.run_outcomes", "validation.judging.assessment", "validation.plotting.edge_axes", "zarr.codecs",
          "jinja2")
LONG = 30_000             # T of figure 9: runs in the catapult triangle settle slowly
TRACED_PER_DECADE = 8     # gammas at which edges are bisected for the exponents


def toy(
    *,
    model: Literal["one", "two"] = "one",
    depth: Whole | None = None,
    loss: Literal["both", "mse", "cross_entropy"] = "both",
    optimizer: Literal["sgd", "signsgd", "momentum", "adam"] = "sgd",
    schedule: Literal["constant", "warmup_cosine"] = "constant",
    steps: Whole | None = None,
    rho: float = 0.01,
    gamma: tuple[float, float] = (1e-5, 1e5),
    eta: tuple[float, float] | None = None,
    points: Whole = 512,
    tolerance: float | None = None,
    out: Path | None = None,
    strict: bool = False,
    quiet: bool = False,
    sweeping: Annotated[SweepOptions, Parameter(name="*")] = SweepOptions(),  # noqa: B008 - frozen
) -> int:
    """Simulate a toy model over the plane of gamma and eta, find its edges, fit, judge against the theory, draw.

    Parameters
    ----------
    model
        One parameter, at any depth, or two parameters, which can catapult.
    depth
        L, the depth of the one-parameter model, whose output is a power of its weight, w^L; 5 if not given.
    loss
        One loss, or both.
    optimizer
        The optimizer, with its default hyperparameters; for others use `toymodels` in Python.
    schedule
        The schedule of the learning rate.
    steps
        T, the number of steps; 1000 if not given, 30000 for two parameters with cross-entropy.
    rho
        The fraction of the excess loss at which a run counts as trained.
    gamma
        First and last feature-learning strength.
    eta
        First and last learning rate; if not given, a range around all predicted edges.
    points
        Points along each axis of the portrait.
    tolerance
        The largest difference from the predicted exponent that still supports it; if not given, half the gap to the nearest
        rival exponent, at most 0.05.
    out
        The folder to write to; if not given, lazyrich-toy/ and the model's name.
    strict
        Exit with 1 if a verdict is CONTRADICTED.
    quiet
        Print no progress bar and no table.
    """
    from validation.plotting import figures
    from validation.printable import print_text
    from validation.reporting.folder import refuse_foreign, write_folder
    from validation.reporting.summary import print_curves, print_table
    from validation.storage.atomic import expand_home

    if model == "two" and depth not in (None, 2):
        raise Misuse(f"depth must be 2, or left out, for the two-parameter model, not {depth!r}")
    chosen: Model = TwoParameter() if model == "two" else OneParameter(5 if depth is None else depth)
    names = ["mse", "cross_entropy"] if loss == "both" else [loss]
    experiments = [ToyExperiment(chosen, name, optimizer, _default_steps(chosen, name) if steps is None else steps, schedule, rho)
                   for name in names]
    for experiment in experiments:
        experiment.check()
    whole("points", points, least=8)
    if points > MOST_POINTS:
        raise Misuse(f"points must be at most {MOST_POINTS} (a portrait of that many squared takes 5 GB of memory), not {points}")
    if tolerance is not None:
        between("tolerance", tolerance, 0, np.inf)
    planes = [_choose_plane(experiment, gamma, eta, points) for experiment in experiments]
    folder = expand_home("out", out or Path("lazyrich-toy") / _slug(experiments[0], with_loss=False))
    targets = [folder / f"{_slug(e)}.zarr" for e in experiments]
    for experiment, target in zip(experiments, targets, strict=True):
        sweeping.check(experiment, target)
    refuse_foreign(folder, [target.stem for target in targets])
    announce("the sweep", sum(e.estimate_time(points**2) for e, t in zip(experiments, targets, strict=True) if not t.exists()))
    work = list(zip(experiments, planes, targets, strict=True))
    if len(work) == 1 or sweeping.uses_other_processes:
        results = [_run_one_loss(*w, sweeping, tolerance, not quiet) for w in work]
    else:
        # the first loss in a child: the progress bar is that of the second, which may be the long one
        for module in SHARED:      # imported once for both processes; drawing an empty figure imports the rest of matplotlib
            import_module(module)
        figures.image(figures.blank(1, 1))
        with run_in_child(_run_one_loss, *work[0], sweeping, tolerance, False) as wait_for_first:
            last = _run_one_loss(*work[1], sweeping, tolerance, not quiet)
            results = [wait_for_first(), last]
    if not quiet:
        for result in results:
            print_table(result.title, result.assessments)
            print_curves(result.curves)
    sections = [result.section for result in results]
    provenance = results[-1].provenance
    title = f"lazyrich toy: {words(experiments[0])}"
    write_folder(folder, title, sections, provenance)
    if not quiet:
        print_text(f"Written to {folder}: " + ", ".join(sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))))
    contradicted = any(v.outcome == "CONTRADICTED" for r in results for v in (*(a.verdict for a in r.assessments), *r.curves))
    return 1 if (strict and contradicted) or any(r.failed for r in results) else 0


@dataclass(frozen=True)
class _Result:
    """The results of one loss: titles and tables to print, a section for the report."""

    title: str
    assessments: list[Any]
    curves: list[Any]
    section: Any
    provenance: dict[str, Any]
    failed: bool


def _run_one_loss(experiment: ToyExperiment, plane: Plane, target: Path, sweeping: SweepOptions, tolerance: float | None,
                  progress: bool) -> _Result:
    """Sweep, trace, judge and draw one experiment."""
    from validation.judging.assessment import assess, assess_curves
    from validation.reporting.folder import identify, name_section
    from validation.reporting.summary import build_section, draw, provenance_of
    from validation.tracing import nearest_gammas, trace

    predicted, title = predictions(experiment), words(experiment)
    portrait = sweeping.run(experiment, plane, target, progress)
    decades = np.log10(plane.gamma[-1] / plane.gamma[0])
    gammas = np.geomspace(plane.gamma[0], plane.gamma[-1], max(2, round(decades * TRACED_PER_DECADE) + 1))
    gammas = nearest_gammas(gammas, portrait["gamma"].values)
    edges = trace(experiment, gammas, list(predicted), known=portrait) if predicted else None
    assessments = assess(edges, predicted, tolerance) if edges is not None else []
    curves = assess_curves(edges, predicted) if edges is not None else []
    variables = ("outcome", "final_excess", "peak_excess") if isinstance(experiment.model, TwoParameter) else ("outcome",)
    pictures = draw(target.with_suffix(""), title, portrait, edges, predicted, assessments, variables)
    notes = [] if predicted else ["The theory predicts no edges for this optimizer and schedule, so nothing is judged."]
    part = name_section(build_section(title, portrait, pictures, assessments, curves, notes), target.stem, identify(target, portrait))
    return _Result(title, assessments, curves, part, provenance_of(portrait), report_failed_tiles(portrait, target))


def theory_of(description: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the title and the predicted edges of the toy that a portrait describes."""
    experiment = ToyExperiment.of(description)
    return words(experiment), predictions(experiment)


def predictions(experiment: ToyExperiment) -> dict[str, Any]:
    """Return the predicted edges of an experiment by name; none under a schedule, since the theory is of a constant rate."""
    from toymodels.theory import predict

    if experiment.schedule.name != "constant":
        return {}
    return dict(predict(experiment.model, experiment.loss, experiment.optimizer))


def _default_steps(model: Model, loss: str) -> int:
    return LONG if isinstance(model, TwoParameter) and loss == "cross_entropy" else 1000


def _choose_plane(experiment: ToyExperiment, gamma: tuple[float, float], eta: tuple[float, float] | None, points: int) -> Plane:
    """Return the plane to sweep; where no rates are given, it reaches a decade beyond all predicted edges."""
    low, high = check_range("gamma", gamma)
    if eta is None:
        with np.errstate(all="ignore"):
            gammas = np.geomspace(low, high, 64)
            edges = [*predictions(experiment).values()]
            if edges and isinstance(experiment.optimizer, HeavyBall):      # SGD's, which are predicted wherever heavy ball's are not
                edges += predictions(replace(experiment, optimizer="sgd")).values()
            # also beyond the closing point, where nothing is predicted
            curves = [p.numeric(gammas, experiment.horizons[-1], experiment.rho) for p in edges]
            if edges and isinstance(experiment.optimizer, HeavyBall):
                curves += [(1 - experiment.optimizer.beta) * c for c in curves]
        finite = np.concatenate([c[np.isfinite(c)] for c in curves]) if curves else np.array([1e-10, 1e4])
        if not finite.size:
            raise Misuse(f"the theory predicts no edge for gamma from {low:g} to {high:g}, so that it chooses no rates; give eta, or other "
                         "gammas")
        if not 1e-300 < finite.min() < finite.max() < 1e300:
            raise Misuse(f"gamma from {low:g} to {high:g} puts the predicted edges out of the range of numbers; narrow it, or give eta")
        eta = 10.0 ** np.floor(np.log10(finite.min()) - 0.5), 10.0 ** np.ceil(np.log10(finite.max()) + 1)
    bottom, top = check_range("eta", eta)
    return Plane(np.geomspace(low, high, points), np.geomspace(bottom, top, points))


def _slug(experiment: ToyExperiment, with_loss: bool = True) -> str:
    """Return a name for files: model, loss, optimizer, T."""
    model = experiment.model
    parts = ["two" if isinstance(model, TwoParameter) else f"one-L{model.depth}"]
    parts += [experiment.loss.name] if with_loss else []
    parts += [experiment.optimizer.name]
    parts += [] if experiment.schedule.name == "constant" else [experiment.schedule.name]
    return "-".join(parts + ([f"T{experiment.horizons[-1]}"] if with_loss else []))


def words(experiment: ToyExperiment) -> str:
    """Return the experiment as a heading."""
    model = experiment.model
    name = "two parameters" if isinstance(model, TwoParameter) else f"one parameter, L = {model.depth}"
    loss = {"mse": "MSE", "cross_entropy": "cross-entropy"}[experiment.loss.name]
    optimizer = {"sgd": "SGD", "signsgd": "SignSGD", "momentum": "heavy ball", "adam": "Adam"}[experiment.optimizer.name]
    rest = "" if experiment.schedule.name == "constant" else ", warm-up and cosine"
    return f"{name}, {loss}, {optimizer}{rest}, T = {experiment.horizons[-1]}"


