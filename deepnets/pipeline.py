"""The pipeline behind `lazyrich deep` and `python -m deepnets`: sweep, find edges, fit, predict levels, judge, observe, draw, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from deepnets.cli_options import DeepOptions
from deepnets.netcdf_sweep import open_earlier, sweep_into_netcdf
from deepnets.network_edges import FEWEST, close_triangle, describe_further_laws, plan_tracing, read_edges, trace_edges
from deepnets.observation.scaling_laws import Laws, predict_laws
from deepnets.observation.selection import ObserveOptions
from deepnets.theory import Exponents, explain_silence, predict, window
from deepnets.titles import as_file_name, as_title
from validation.arguments import Misuse
from validation.cli_options import SweepOptions, add_attrs, report_failed_tiles
from validation.estimates import announce
from validation.executors import count_cores
from validation.judging.assessment import Assessment, assess, assess_curves
from validation.judging.verdict import Verdict
from validation.plane import Plane
from validation.plotting.figure_options import FigureOptions, NetworkFigureOptions
from validation.printable import print_text
from validation.progress import bar
from validation.reporting.folder import identify, name_section, refuse_foreign, write_folder
from validation.reporting.html import Picture
from validation.reporting.summary import build_section, draw, draw_observables, print_curves, print_table, provenance_of
from validation.storage.atomic import expand_home
from validation.storage.files import check_writable, save_portrait

if TYPE_CHECKING:
    from deepnets.experiment import DeepExperiment
    from deepnets.lazy_edges.level import LazyLevel, Levels

NETCDF = ".nc"
DRAWN = ("outcome", "final_excess", "final_accuracy")      # variables, one figure each


@dataclass(frozen=True)
class Place:
    """Where results are written.

    Attributes
    ----------
    portrait : a zarr folder, or a netCDF file.
    folder : of figures and report; None: the portrait is written alone.
    """

    portrait: Path
    folder: Path | None

    @classmethod
    def choose(cls, out: Path | None, name: str) -> Place:
        """Return the place that a command line names: a folder, or a file that ends in .nc for the portrait alone.

        In a folder the portrait is a zarr store; it is a netCDF file if zarr is not installed, or if an earlier sweep has begun one.
        """
        if out is not None:
            out = expand_home("out", out)
        if out is not None and out.suffix == NETCDF:
            return cls(out, None)
        folder = Path("lazyrich-deep") / name if out is None else out
        store, file = folder / f"{name}.zarr", folder / f"{name}{NETCDF}"
        return cls(store if _has("zarr") and (store.exists() or not file.exists()) else file, folder)

    @property
    def observables(self) -> Path:
        """The file of observables."""
        return self.portrait.with_name(f"{self.portrait.stem}-observed{NETCDF}")

    @property
    def stem(self) -> Path:
        """The beginning of the figures' names."""
        return self.portrait.with_suffix("")


def run_pipeline(options: DeepOptions, sweep_options: SweepOptions, observe_options: ObserveOptions,
                 figure_options: NetworkFigureOptions = NetworkFigureOptions(),  # noqa: B008 - frozen
                 out: Path | None = None, strict: bool = False, quiet: bool = False) -> int:
    """Run the whole pipeline, print the table, and return the exit code: 1 if tiles failed, or with `strict` if a verdict is CONTRADICTED.

    Parameters
    ----------
    options, sweep_options, observe_options, figure_options : of the command line.
    out : see `Place.choose`; None: lazyrich-deep/ and the experiment's name.
    strict : whether a CONTRADICTED verdict makes the exit code 1.
    quiet : whether to print neither progress nor table.

    Raises
    ------
    Misuse : what cannot be trained, observed or written, before anything is trained.
    """
    experiment, plane = options.experiment(), options.plane()
    title = as_title(experiment.describe())
    place = Place.choose(out, as_file_name(title))
    predictions = predict(experiment.network, experiment.loss, experiment.optimizer)
    drawing = figure_options.drawing(predictions)
    if observe_options.names:
        from deepnets.observation.best_rate_runs import check_request

        check_request(experiment, observe_options, place.observables, sweep_options.overwrite)
    if place.folder is not None:
        refuse_foreign(place.folder, [place.stem.name])

    portrait = sweep_plane(experiment, plane, place.portrait, sweep_options, options.accuracy, not quiet)
    edges, predictions = find_edges(experiment, portrait, predictions, options, not quiet)
    silence = explain_silence(experiment.loss, experiment.optimizer)
    assessments = assess(edges, predictions, options.tolerance)
    levels, absences = predict_levels(experiment, edges, predictions)
    if levels is not None:
        portrait = store_levels(levels, portrait, place.portrait)
    curves = assess_curves(edges, levels or {})
    notes = [*([silence] if silence else []), *absences, *describe_further_laws(edges, predictions)]
    observed, refusal = None, None
    if observe_options.names:
        from deepnets.observation.best_rate_runs import observe_portrait

        try:
            observed, sentences = observe_portrait(portrait, experiment, observe_options, place.observables, not quiet,
                                                   sweep_options.overwrite)
        except Misuse as error:      # a portrait that has grown may have other best rates than those observed before: report the rest
            refusal, sentences = error, [f"nothing is observed: {error}"]
        notes += sentences
    written = report(place, title, portrait, edges, predictions, assessments, curves, notes, observed, predict_laws(experiment), drawing,
                     levels)
    if not quiet:
        print_table(title, assessments)
        print_curves(curves)
        print_text("\n".join([*notes, written]))
    if refusal is not None:
        raise refusal
    failed = report_failed_tiles(portrait, place.portrait)
    verdicts = [*(a.verdict for a in assessments), *curves]
    return 1 if failed or (strict and any(v.outcome == "CONTRADICTED" for v in verdicts)) else 0


def sweep_plane(experiment: DeepExperiment, plane: Plane, target: Path, sweep_options: SweepOptions, accuracy: float,
                progress: bool) -> xr.Dataset:
    """Sweep the plane into `target`, resuming what is there, and return the portrait."""
    workers = count_cores() if experiment.device == "cpu" else 1      # one process for each GPU
    attrs = {"accuracy": accuracy}
    if target.suffix != NETCDF:
        fresh = not target.exists()
        sweep_options.check(experiment, target)
        if fresh:
            announce_time(experiment, plane)
        return sweep_options.run(experiment, plane, target, progress, workers, attrs)
    for name in ("refine", "retry_failed"):
        if getattr(sweep_options, name):
            raise Misuse(f"{name} must be left out where the portrait is a netCDF file, {target}: it needs a zarr folder "
                         "(pip install zarr, and a folder for --out)")
    executor = sweep_options.executor(workers)
    before = open_earlier(target, experiment, plane, sweep_options.overwrite)
    check_writable(target.parent)
    if before is None:
        experiment.check()
        announce_time(experiment, plane)
    return sweep_into_netcdf(experiment, plane, target, before, attrs, executor, progress)


def announce_time(experiment: DeepExperiment, plane: Plane) -> None:
    """Say on standard error how long a sweep takes, if that is more than a minute; an experiment that has been checked."""
    from deepnets.cost import estimate_training, find_machine

    runs = plane.shape[0] * plane.shape[1]
    announce("the sweep", estimate_training(find_machine(experiment.device), experiment, runs, len(experiment.seeds)).seconds)


def find_edges(experiment: DeepExperiment, portrait: xr.Dataset, predictions: Mapping[str, Exponents], options: DeepOptions,
               progress: bool) -> tuple[xr.Dataset, dict[str, Exponents]]:
    """Return the edges, traced where power laws can be fitted, and the predictions with the closing point that these edges show."""
    edges = read_edges(portrait, predictions)
    plans = [] if options.no_trace else plan_tracing(edges, predictions, options.accuracy)
    if plans:
        with bar(sum(p.count_runs(len(experiment.seeds), portrait) for p in plans), "tracing", "runs", progress) as advance:
            edges = trace_edges(experiment, plans, portrait, advance)
    return edges, close_triangle(predictions, edges)


def predict_levels(experiment: DeepExperiment, edges: xr.Dataset, predictions: Mapping[str, Exponents]) -> tuple[Levels | None,
                                                                                                              list[str]]:
    """Return the levels of the lazy edges, and why others are absent; neither where too few gammas are lazy for any to be judged."""
    lazy = window("lazy", unit=predictions["eta_max"].unit) if predictions else None
    if lazy is None or int((edges["gamma"] <= lazy[1]).sum()) < FEWEST:
        return None, []
    from deepnets.lazy_edges.lazy_levels import levels

    try:
        found = levels(experiment)
    except Misuse as error:      # the portrait is reported without them
        return None, [f"the levels of the lazy edges are not predicted: {error}"]
    return found, found.explain_absences()


def store_levels(levels: Levels, portrait: xr.Dataset, target: Path) -> xr.Dataset:
    """Add the levels to the attributes of a portrait and of its store, for who judges it without its network, and return the portrait."""
    attrs = levels.encode()
    if portrait.attrs | attrs == portrait.attrs:
        return portrait
    portrait = portrait.assign_attrs(attrs)
    if target.suffix == NETCDF:
        save_portrait(portrait, target, overwrite=True)
    else:
        add_attrs(target, attrs)
    return portrait


def report(place: Place, title: str, portrait: xr.Dataset, edges: xr.Dataset, predictions: Mapping[str, Exponents],
           assessments: Sequence[Assessment], curves: Sequence[Verdict], notes: Sequence[str], observed: xr.Dataset | None, laws: Laws,
           drawing: FigureOptions = FigureOptions(), levels: Mapping[str, LazyLevel] | None = None) -> str:  # noqa: B008 - frozen
    """Write figures, report.html and verdicts.json, those for which the libraries are installed, and return what was written where."""
    if place.folder is None:
        names = [place.portrait] if observed is None else [place.portrait, place.observables]
        return f"Written to {', '.join(map(str, names))}"
    missing = {"figures": "matplotlib", "report.html": "jinja2"}
    missing = {what: library for what, library in missing.items() if not _has(library)}
    pictures: list[Picture] = []
    if "figures" not in missing:
        pictures += draw(place.stem, title, portrait, edges, predictions, assessments, [v for v in DRAWN if v in portrait],
                         levels=levels, curves=curves, **asdict(drawing))
        if observed is not None:
            pictures += draw_observables(place.stem, title, observed, laws, drawing.format)
    part = name_section(build_section(title, portrait, pictures, assessments, curves, notes), place.stem.name,
                        identify(place.portrait, portrait))
    write_folder(place.folder, f"lazyrich deep: {title}", [part], provenance_of(portrait), "report.html" not in missing)
    lacking = [f"No {what}: {library} is not installed" for what, library in missing.items()]
    files = ", ".join(sorted(p.name for p in place.folder.iterdir() if p.name[0] != "."))
    return "\n".join([*lacking, f"Written to {place.folder}: {files}"])


def _has(library: str) -> bool:
    return find_spec(library) is not None
