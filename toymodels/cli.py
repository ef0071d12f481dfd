"""`lazyrich toy`: sweep a toy model over the plane, trace its edges, fit and judge them against the theory, draw and report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from toymodels.background import run_in_child
from toymodels.default_rates import find_rates
from toymodels.models import AnyModel, OneParameter, OwnModel, TwoParameter
from toymodels.modes import Modes
from toymodels.optimizers import Adam, HeavyBall
from toymodels.own.files import load_own
from toymodels.own.loss import Loss as OwnLoss
from toymodels.schedules import Schedule, WarmupCosine
from toymodels.schedules import describe as describe_schedule
from toymodels.simulate import ToyExperiment
from validation.arguments import Misuse, between, choose, whole
from validation.cli_options import SweepOptions, Whole, check_range, report_failed_tiles
from validation.estimates import announce
from validation.experiment import hash_json
from validation.plane import Plane
from validation.plotting.figure_options import FigureOptions
from validation.printable import shorten

MOST_POINTS = 10_000      # along an axis
SHARED = ("toymodels.kernels", "toymodels.run_outcomes", "validation.judging.assessment", "validation.plotting.edge_axes", "zarr.codecs",
          "jinja2")
LONG = 30_000             # T of figure 9: runs in the catapult triangle settle slowly
TRACED_PER_DECADE = 8     # gammas at which edges are bisected for the exponents


def toy(
    *,
    model: str = "one",
    depth: Whole | None = None,
    loss: str = "both",
    optimizer: Literal["sgd", "signsgd", "momentum", "adam"] = "sgd",
    beta: float | None = None,
    epsilon: float | None = None,
    schedule: Literal["constant", "warmup_cosine"] = "constant",
    warmup: float | None = None,
    start: tuple[float, ...] | None = None,
    target: float | None = None,
    noise: float = 0.0,
    batch: Whole | None = None,
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
    drawing: Annotated[FigureOptions, Parameter(name="*")] = FigureOptions(),  # noqa: B008 - frozen
) -> int:
    """Simulate a toy model over the plane of gamma and eta, find its edges, fit, judge against the theory, draw.

    Parameters
    ----------
    model
        one: one parameter, at any depth; two: two parameters, which can catapult; or one's own, a toymodels.Model in a Python
        file, as in mine.py:attention.
    depth
        L, the depth of the one-parameter model, whose output is a power of its weight, w^L; 5 if not given.
    loss
        mse, cross_entropy or both; or one's own, a toymodels.Loss in a Python file, as in mine.py:huber.
    optimizer
        The optimizer.
    beta
        The momentum of `--optimizer momentum`; 0.9 if not given.
    epsilon
        Adam's epsilon, in units of 1/gamma; 1e-8 if not given.
    schedule
        The schedule of the learning rate.
    warmup
        The share of the steps in which the rate of `--schedule warmup_cosine` rises; 0.05 if not given.
    start
        The weight at the start, or with two parameters both; 1, or 1 0, if not given. The output is not centred anew.
    target
        The output at which the loss is least; 1 if not given.
    noise
        Sigma of the label noise: at each step the target is its own plus or minus sigma.
    batch
        The number of Gaussian inputs of a batch; if not given, the gradient is the mean over all.
    steps
        T, the number of steps; 1000 if not given, 30000 for two parameters with cross-entropy.
    rho
        The fraction of the excess loss at which a run counts as trained.
    gamma
        First and last feature-learning strength.
    eta
        First and last learning rate; if not given, a range around all edges, from a coarse simulation where none is predicted.
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

    chosen, names = choose_model(model, depth, start, target), choose_losses(loss)
    rule, plan = choose_optimizer(optimizer, beta, epsilon), _choose_schedule(schedule, warmup)
    experiments = [ToyExperiment(chosen, name, rule, default_steps(chosen, name) if steps is None else steps, plan, rho, noise, batch)
                   for name in names]
    for experiment in experiments:
        experiment.check()
        drawing.check(predictions(experiment))
    whole("points", points, least=8)
    if points > MOST_POINTS:
        raise Misuse(f"points must be at most {MOST_POINTS} (a portrait of that many squared takes 5 GB of memory), not {points}")
    if tolerance is not None:
        between("tolerance", tolerance, 0, np.inf)
    planes = [choose_plane(experiment, gamma, eta, points) for experiment in experiments]
    folder = expand_home("out", out or Path("lazyrich-toy") / name_files(experiments[0], with_loss=False))
    targets = [folder / f"{name_files(e)}.zarr" for e in experiments]
    for experiment, store in zip(experiments, targets, strict=True):
        sweeping.check(experiment, store)
    refuse_foreign(folder, [store.stem for store in targets])
    announce("the sweep", sum(e.estimate_time(points**2) for e, t in zip(experiments, targets, strict=True) if not t.exists()))
    work = list(zip(experiments, planes, targets, strict=True))
    if len(work) == 1 or sweeping.uses_other_processes:
        results = [_run_one_loss(*w, sweeping, tolerance, not quiet, drawing) for w in work]
    else:
        # the first loss in a child: the progress bar is that of the second, which may be the long one
        for module in SHARED:      # imported once for both processes; drawing an empty figure imports the rest of matplotlib
            import_module(module)
        figures.image(figures.blank(1, 1))
        with run_in_child(_run_one_loss, *work[0], sweeping, tolerance, False, drawing) as wait_for_first:
            last = _run_one_loss(*work[1], sweeping, tolerance, not quiet, drawing)
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
                  progress: bool, drawing: FigureOptions) -> _Result:
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
    several = not isinstance(experiment.model, OneParameter) and len(experiment.model.parameters) > 1
    variables = ("outcome", "final_excess", "peak_excess") if several else ("outcome",)
    pictures = draw(target.with_suffix(""), title, portrait, edges, predicted, assessments, variables, curves=curves, **asdict(drawing))
    notes = [] if predicted else ["The theory predicts no edges for these settings, so nothing is judged."]
    notes += explain_absent_edges(experiment)
    part = name_section(build_section(title, portrait, pictures, assessments, curves, notes), target.stem, identify(target, portrait))
    return _Result(title, assessments, curves, part, provenance_of(portrait), report_failed_tiles(portrait, target))


def theory_of(description: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the title and the predicted edges of the toy that a portrait describes."""
    experiment = ToyExperiment.of(description)
    return words(experiment), predictions(experiment)


def explain_absent_edges(experiment: ToyExperiment) -> list[str]:
    """Return why edges are not predicted, a sentence each."""
    from toymodels.theory.absence import explain_absence

    if isinstance(experiment.model, Modes):
        return []
    return explain_absence(experiment.model, experiment.loss, experiment.optimizer, experiment.schedule, experiment.noise,
                           experiment.batch)


def predictions(experiment: ToyExperiment) -> dict[str, Any]:
    """Return the predicted edges of an experiment by name."""
    from toymodels.theory import predict

    return dict(predict(experiment.model, experiment.loss, experiment.optimizer, experiment.schedule, experiment.noise,
                        experiment.batch))


def choose_model(model: str, depth: int | None, start: tuple[float, ...] | None = None, target: float | None = None) -> AnyModel:
    """Return the model that the command line names: "one", "two", or FILE.py:NAME."""
    if ":" in model:
        if depth is not None:
            raise Misuse(f"depth belongs to the one-parameter model, not to --model {model}; {depth!r} was given")
        if start is not None or target is not None:
            raise Misuse(f"start and target belong to the models 'one' and 'two', not to --model {model}, which has its own")
        found: AnyModel = load_own("model", model, OwnModel)
        return found
    aim = 1 if target is None else target
    if choose("model", model, ("one", "two")) == "two":
        if depth not in (None, 2):
            raise Misuse(f"depth must be 2, or left out, for the two-parameter model, not {depth!r}")
        return TwoParameter((1, 0) if start is None else start, aim)      # type: ignore[arg-type]
    if start is not None and len(start) != 1:
        raise Misuse(f"start must be one number for the one-parameter model, not {' '.join(f'{u:g}' for u in start)}")
    return OneParameter(5 if depth is None else depth, 1 if start is None else start[0], aim)


def choose_optimizer(name: str, beta: float | None = None, epsilon: float | None = None) -> str | HeavyBall | Adam:
    """Return the optimizer with the hyperparameters that are given."""
    if beta is not None and name != "momentum":
        raise Misuse(f"beta belongs to --optimizer momentum, not to {name!r}; {beta!r} was given")
    if epsilon is not None and name != "adam":
        raise Misuse(f"epsilon belongs to --optimizer adam, not to {name!r}; {epsilon!r} was given")
    if beta is not None:
        return HeavyBall(beta)
    return name if epsilon is None else Adam(epsilon=epsilon)


def _choose_schedule(name: str, warmup: float | None) -> str | WarmupCosine:
    """Return the schedule with the share that is given."""
    if warmup is not None and name != "warmup_cosine":
        raise Misuse(f"warmup belongs to --schedule warmup_cosine, not to {name!r}; {warmup!r} was given")
    return name if warmup is None else WarmupCosine(warmup)


def choose_losses(loss: str) -> list[str | OwnLoss]:
    """Return the losses that the command line names: "both", "mse", "cross_entropy", or FILE.py:NAME."""
    if ":" in loss:
        return [load_own("loss", loss, OwnLoss)]
    choose("loss", loss, ("both", "mse", "cross_entropy"))
    return ["mse", "cross_entropy"] if loss == "both" else [loss]


def default_steps(model: AnyModel, loss: str | OwnLoss) -> int:
    """Return T where none is given."""
    return LONG if isinstance(model, TwoParameter) and loss == "cross_entropy" else 1000


def choose_plane(experiment: ToyExperiment, gamma: tuple[float, float], eta: tuple[float, float] | None, points: int) -> Plane:
    """Return the plane to sweep; where no rates are given, it reaches a decade beyond all edges."""
    low, high = check_range("gamma", gamma)
    if eta is None:
        finite = find_rates(experiment, low, high)
        if not finite.size:
            raise Misuse(f"no run trains for gamma from {low:g} to {high:g}, so that no rates can be chosen; give eta, or other gammas")
        if not 1e-300 < finite.min() < finite.max() < 1e300:
            raise Misuse(f"gamma from {low:g} to {high:g} puts the predicted edges out of the range of numbers; narrow it, or give eta")
        eta = 10.0 ** np.floor(np.log10(finite.min()) - 0.5), 10.0 ** np.ceil(np.log10(finite.max()) + 1)
    bottom, top = check_range("eta", eta)
    return Plane(np.geomspace(low, high, points), np.geomspace(bottom, top, points))


def name_files(experiment: ToyExperiment, with_loss: bool = True) -> str:
    """Return a name for files: model, loss, optimizer, T."""
    model = experiment.model
    if isinstance(model, OwnModel):
        parts = [f"own-{hash_json(model.describe())[:8]}"]
    else:
        parts = ["two" if isinstance(model, TwoParameter) else f"one-L{model.depth}"]
    if with_loss:
        own = isinstance(experiment.loss, OwnLoss)
        parts.append(f"own-{hash_json(experiment.loss.describe())[:8]}" if own else experiment.loss.name)
    parts += [experiment.optimizer.name]
    parts += [] if experiment.schedule.name == "constant" else [_slug_of_schedule(experiment.schedule)]
    parts += [f"{name}{text}".replace(" ", "_") for name, text in list_settings(experiment).items()]
    return "-".join(parts + ([f"T{experiment.horizons[-1]}"] if with_loss else []))


def list_settings(experiment: ToyExperiment) -> dict[str, str]:
    """Return the settings that are not the default ones, by name, as text."""
    model, optimizer, found = experiment.model, experiment.optimizer, {}
    if not isinstance(model, OwnModel) and not model.is_standard:
        moved = {key: value for key, value in model.describe().items() if key in ("start", "target")}
        found = {key: " ".join(f"{x:g}" for x in np.atleast_1d(value)) for key, value in moved.items()}
    if isinstance(optimizer, HeavyBall) and optimizer != HeavyBall():
        found["beta"] = f"{optimizer.beta:g}"
    if isinstance(optimizer, Adam) and optimizer != Adam():
        found["epsilon"] = f"{optimizer.epsilon:g}"
    if experiment.noise:
        found["noise"] = f"{experiment.noise:g}"
    if experiment.batch is not None:
        found["batch"] = str(experiment.batch)
    return found


def _slug_of_schedule(schedule: Schedule) -> str:
    """Return the schedule's name, with a digest where it is not one of the command line's."""
    return schedule.name if schedule == WarmupCosine() else f"{schedule.name}-{hash_json(describe_schedule(schedule))[:8]}"


def words(experiment: ToyExperiment) -> str:
    """Return the experiment as a heading."""
    model = experiment.model
    if isinstance(model, Modes):
        name = f"{len(model.strengths)} modes, L = {model.depth}"
    elif isinstance(model, OwnModel):
        name = f"f = {shorten(str(model.output), 80)}"
    else:
        name = "two parameters" if isinstance(model, TwoParameter) else f"one parameter, L = {model.depth}"
    own = isinstance(experiment.loss, OwnLoss)
    loss = f"l = {shorten(str(experiment.loss.formula), 80)}" if own else {
        "mse": "MSE", "cross_entropy": "cross-entropy"}[experiment.loss.name]
    optimizer = {"sgd": "SGD", "signsgd": "SignSGD", "momentum": "heavy ball", "adam": "Adam"}[experiment.optimizer.name]
    rest = {"constant": "", "warmup_cosine": ", warm-up and cosine", "factors": ", a schedule"}[experiment.schedule.name]
    names = {"noise": "label noise", "batch": "batches of"}
    rest += "".join(f", {names.get(key, key)} {text}" for key, text in list_settings(experiment).items())
    return f"{name}, {loss}, {optimizer}{rest}, T = {experiment.horizons[-1]}"


