"""The command `lazyrich` and its subcommands.

Commands are registered by their import path, so that `lazyrich --help` imports none of them.
"""

from __future__ import annotations

import sys


def refuse_other_modules() -> None:
    """End the program with a sentence if Python finds another module for one of the packages: a distribution's, or a file of the user's."""
    from importlib.util import find_spec
    from pathlib import Path

    for name in ("validation", "toymodels", "deepnets"):
        found = find_spec(name)
        place = None if found is None else found.origin or found.submodule_search_locations
        if not isinstance(place, str) or Path(place).resolve().parent.parent != Path(__file__).resolve().parent:
            print(f"lazyrich: Python finds {place} for lazyrich's package {name!r}: rename that, start from another folder, or install "
                  "lazyrich in an environment of its own", file=sys.stderr)
            sys.exit(2)
        if "attach(__name__, __file__)" not in Path(place).read_text(encoding="utf-8"):
            print(f"lazyrich: another distribution{_name_distributions(name)} has overwritten lazyrich's package {name!r} in "
                  f"{Path(place).parent}: install lazyrich in an environment of its own", file=sys.stderr)
            sys.exit(2)


def _name_distributions(package: str) -> str:
    """Return the names of the other distributions that install a package of this name."""
    from importlib.metadata import packages_distributions

    names = sorted(set(packages_distributions().get(package, ())) - {"lazyrich"})
    return f" ({', '.join(names)})" if names else ""


try:
    from validation.interrupts import handle_interrupts
except KeyboardInterrupt:
    sys.exit(130)
except ImportError:
    refuse_other_modules()
    raise

let_go = handle_interrupts("lazyrich")
refuse_other_modules()

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from validation.plotting.figure_options import FigureOptions
from validation.reporting.streams import CONTRADICTED, DONE, MISUSE, catch_errors, run_program
from validation.runs.run_options import RunOptions
from validation.whole_numbers import Whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from validation.judging.verdict import Verdict
    from validation.prediction import Prediction


def _version() -> str:
    from importlib.metadata import version

    return version("lazyrich")


app = App(
    name="lazyrich",
    help="Which learning rates eta train at which feature-learning strength gamma, why, and with which exponents.",
    version=_version,
    result_action="return_value",
    default_parameter=Parameter(negative=()),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
app.command("toymodels.cli:toy", name="toy", help="""\
Simulate a toy model over the plane, find its edges, fit, judge against the theory, draw.

By default the paper's figure 6: one parameter, L = 5, T = 1000, both losses. --model two gives figures 8 and 9, --optimizer signsgd \
figure 11. It writes the portrait (zarr) and the figures of each loss, and one report.html and one verdicts.json.

Example: lazyrich toy --depth 3 --loss mse --gamma 1e-3 1e3 --out three""")
app.command("deepnets.cli:deep", name="deep", help="""\
Train a network over the plane, find its edges, fit, judge against the predicted exponents and levels, draw.

The same as `toy`, for networks. By default an MLP of L = 3 and width 32 on scikit-learn's digits: about 20 seconds on two free cores. \
The edges are read from a coarse portrait, then traced where power laws can be fitted. Needs the extra: pip install 'lazyrich[deep]'. \
Where only torch, numpy, scipy and xarray are installed, `python -m deepnets` is the same command.

Example: lazyrich deep --network cnn --loss cross_entropy --steps 1000 --seeds 3 --out cnn""")
app.command("deepnets.where_cli:where", name="where", help="""\
Where your own network lies between lazy and rich, the highest rate at which it trains, and a rate to use.

Seconds for small networks. With --out it draws the plane around the network. Needs the extra: pip install 'lazyrich[deep]'.

Example: lazyrich where mine.py:Net --data mine.py:loaders --loss cross_entropy --optimizer adam --eta 3e-4 --out place""")
app.command("deepnets.tune_cli:tune", name="tune", help="""\
Richness and rate together: where your own network trains best, in a given number of runs.

Short runs on both sides of the crossing between lazy and rich come first, then a search in full runs. Safe to interrupt: rerun the same \
command to resume. Needs the extra: pip install 'lazyrich[deep]'.

Example: lazyrich tune mine.py:Net --data mine.py:loaders --loss cross_entropy --optimizer adam --runs 12 --steps 500""")
app.command("deepnets.diffusion.cli:make_mnist1m", name="make-mnist1m", help="""\
Train a diffusion model on digits and sample MNIST-1M from it: a million images, or as many as --count says.

Needs the extra: pip install 'lazyrich[deep]', and a GPU for a million images. Safe to interrupt: rerun the same command to resume.

Example: lazyrich make-mnist1m --digits --count 1000 --steps 500 --width 16 --batch-size 64 --rate 2e-3 --out tried""")
app.command("toymodels.predict_cli:predict", name="predict", help="""\
The predicted edges and exponents of a model, as a table, LaTeX or JSON.

Without --model, the paper's Table 1 and Appendix F, with prefactors.

Example: lazyrich predict --model one --depth 3 --loss mse --derive""")

app.command("toymodels.orbit_cli:orbit", name="orbit", help="""\
What runs do above the largest rate that converges: the orbit diagram at one gamma, and the rates at which the period doubles.

By default one parameter, L = 2, squared error at gamma = 1, from the end of convergence through periods 2, 4, 8, ... and chaos to escape.

Example: lazyrich orbit --depth 3 --loss cross_entropy --gamma 0.1 --out cycles""")


@app.command
def judge(path: Path, *, rho: float | None = None, tolerance: float | None = None, out: Path | None = None,
          table: Annotated[RunOptions, Parameter(name="*")] = RunOptions(),  # noqa: B008 - frozen
          figures: Annotated[FigureOptions, Parameter(name="*")] = FigureOptions()) -> int:  # noqa: B008 - frozen
    """Judge a stored portrait against the theory of its model, or a table of runs that exist against a claim.

    A portrait is of a toy model or of networks. Nothing is trained: the edges are read from its grid.

    A table of runs is a CSV or JSON file, a database of Optuna or MLflow, or a folder of TensorBoard: with --x, --eta and --loss, the \
best rate is bracketed at each x, with a threshold the highest rate that trains too; their exponents over x are fitted and judged.

    With --out, figures and a report are written. Exits with 1 if a verdict is CONTRADICTED.

    Example: lazyrich judge lazyrich-toy/one-L5-sgd/one-L5-mse-sgd-T1000.zarr --out judged

    Example: lazyrich judge runs.csv --x width --eta lr --loss val_loss --claim -1 --out judged

    Example: lazyrich judge runs.csv --x params --x2 tokens --eta lr --loss val_loss --claim -1/2 --claim2 1/4

    Parameters
    ----------
    path
        The portrait, a zarr folder or a netCDF file; or the table of runs.
    rho
        The excess loss at which a run of a portrait counts as trained; if not given, the portrait's own.
    tolerance
        The largest difference from the predicted exponent that still supports it; if not given, half the gap to the nearest
        rival exponent, at most 0.05.
    out
        A folder for report.html, verdicts.json and the figures; if not given, only the table is printed.
    """
    if _holds_runs(path, table):
        return _judge_table(path, table, figures, rho, tolerance, out)
    return _judge_portrait(path, table, figures, rho, tolerance, out)


def _holds_runs(path: Path, table: RunOptions) -> bool:
    """Return whether there is a table of runs at a path: any file but netCDF, or a folder of event files that is no store."""
    from validation.runs.event_folder import is_event_source
    from validation.storage.atomic import expand_home
    from validation.storage.files import METADATA, NETCDF
    from validation.storage.netcdf import is_netcdf

    path = expand_home("path", path)
    if path.is_dir():
        return not any((path / name).exists() for name in METADATA) and is_event_source(path)
    if path.is_file():
        return path.suffix != NETCDF and not is_netcdf(path)
    return bool(table.given)


def _judge_table(path: Path, table: RunOptions, figures: FigureOptions, rho: float | None, tolerance: float | None,
                 out: Path | None) -> int:
    """Judge a table of runs, and return the exit code."""
    from validation.arguments import Misuse
    from validation.printable import print_text
    from validation.reporting.folder import refuse_foreign, refuse_namesake
    from validation.reporting.runs_summary import identify_runs, list_pictures
    from validation.storage.atomic import expand_home
    from validation.storage.files import check_writable, refuse_inside_store

    for name, value in (("rho", rho), ("rescale", figures.rescale)):
        if value is not None:
            raise Misuse(f"{name} belongs to a portrait, not to the runs of {path}")
    figures.check(())
    path = expand_home("path", path)
    table.check_scales()
    runs = table.read(path)
    judged, show, write = _judge_two_scales(runs, table, tolerance) if table.x2 is not None else _judge_one_scale(runs, table, tolerance)
    stem = f"{path.stem}-judged"
    if out is not None:
        out = expand_home("out", out)
        refuse_inside_store("out", out)
        names = list_pictures(stem, judged)
        refuse_foreign(out, names)
        for name in names:
            refuse_namesake(out, name, identify_runs(path, runs))
        check_writable(out)
    show(judged)
    if out is not None:
        write(out / stem, path, runs, judged, figures.format, figures.width)
        print_text(f"Written to {out}: " + ", ".join(sorted(p.name for p in out.iterdir())))
    return CONTRADICTED if any(one.contradicted for one in judged) else DONE


def _judge_one_scale(runs: Any, table: RunOptions, tolerance: float | None) -> tuple[Any, Any, Any]:
    """Return runs judged over x, and the functions that print and write them."""
    from validation.judging.runs_that_exist import judge_runs
    from validation.reporting.runs_summary import print_judged_runs, write_runs

    judged = judge_runs(runs, table.claim, table.theory, trained_below=table.trained_below, accuracy_above=table.accuracy_above,
                        tolerance=tolerance, rivals=table.rival or None, window=table.window, shared=table.shared, bins=table.bins)
    return judged, print_judged_runs, write_runs


def _judge_two_scales(runs: Any, table: RunOptions, tolerance: float | None) -> tuple[Any, Any, Any]:
    """Return runs judged over x and x2, and the functions that print and write them."""
    from validation.judging.runs_over_two_scales import judge_two_scales
    from validation.reporting.two_scales_summary import print_judged_planes, write_planes

    judged = judge_two_scales(runs, table.claim, table.claim2, accuracy=table.accuracy_above is not None, tolerance=tolerance,
                              rivals=table.rival or None)
    return judged, print_judged_planes, write_planes


def _judge_portrait(path: Path, table: RunOptions, figures: FigureOptions, rho: float | None, tolerance: float | None,
                    out: Path | None) -> int:
    """Judge a stored portrait, and return the exit code."""
    from validation.arguments import Misuse
    from validation.judging.assessment import assess, assess_curves
    from validation.judging.verdict import VerdictOutcome
    from validation.printable import print_text
    from validation.reporting.folder import identify, refuse_foreign, refuse_namesake
    from validation.reporting.summary import print_curves, print_table, write
    from validation.storage.atomic import expand_home
    from validation.storage.files import check_writable, open_portrait

    portrait, name = open_portrait(path), f"{path.stem}-judged"
    if table.given:
        raise Misuse(f"{table.given[0]} belongs to a table of runs, not to the portrait at {path}")
    title, edges, predictions, levels, notes = _read_with_theory(portrait, rho)
    if not (predictions or notes):
        raise Misuse(f"the theory predicts no edge for the portrait at {path} ({title}): there is nothing to judge")
    figures.check(predictions)
    assessments, curves = assess(edges, predictions, tolerance), assess_curves(edges, {**predictions, **levels})
    if out is not None:
        out = expand_home("out", out)
        refuse_foreign(out, [name])
        refuse_namesake(out, name, identify(path, portrait))
        check_writable(out)
    print_table(title, assessments)
    print_curves(curves)
    verdicts = [*(a.verdict for a in assessments), *curves]
    notes = [*notes, *_explain_indecision(portrait, verdicts)]
    if rho is not None and rho != (own := portrait.attrs.get("rho")):
        notes.append(f"Edges and verdicts are those at rho = {rho:g}. The outcomes in pictures were measured at rho = {own}.")
    if notes:
        print_text("\n".join(notes))
    if not (assessments or curves):
        print("Nothing was judged.")
    if out is not None:
        write(out / name, path, title, portrait, edges, predictions, assessments, curves, notes, levels=levels, **asdict(figures))
        print_text(f"Written to {out}: " + ", ".join(sorted(p.name for p in out.iterdir())))
    return CONTRADICTED if any(v.outcome is VerdictOutcome.CONTRADICTED for v in verdicts) else DONE


@app.command
def explore(portrait: Path | None = None, *, model: str | None = None, depth: Whole | None = None, loss: str | None = None,
            optimizer: str | None = None, beta: float | None = None, noise: float | None = None, steps: Whole | None = None,
            rho: float | None = None, gamma: tuple[float, float] | None = None, eta: tuple[float, float] | None = None,
            points: Whole | None = None, out: Path | None = None, no_open: bool = False) -> int:
    """Write a page that computes the plane of a toy anew wherever one zooms, with its predicted edges, and open it in the browser.

    With a portrait, a page that shows the stored runs of a toy or a network, with their measured edges and verdicts.

    The page is one HTML file, which needs no network and no server.

    Example: lazyrich explore --model two --loss mse --gamma 1e-3 1e3

    Parameters
    ----------
    portrait
        A stored portrait, a zarr folder or a netCDF file.
    model
        one: one parameter, at any depth up to 12; two: two parameters.
    depth
        L, the depth of the one-parameter model; 5 if not given.
    loss
        mse, the default, or cross_entropy.
    optimizer
        sgd, the default, signsgd or momentum.
    beta
        The momentum of `--optimizer momentum`; 0.9 if not given.
    noise
        Sigma of the label noise; 0 if not given.
    steps
        T, the number of steps; 1000 if not given, 30000 for two parameters with cross-entropy.
    rho
        The fraction of the excess loss at which a run counts as trained; 0.01 if not given, or the portrait's own.
    gamma
        First and last feature-learning strength; 1e-5 and 1e5 if not given.
    eta
        First and last learning rate; if not given, a range around all predicted edges.
    points
        Points along each axis.
    out
        The file to write; if not given, lazyrich-explore- and what it shows, in the current folder.
    no_open
        Write the page, and do not open it.
    """
    import webbrowser

    from toymodels.explorer.choose_view import choose_view
    from toymodels.explorer.page import check_target, write_page
    from validation.arguments import Misuse
    from validation.printable import print_text

    options = {"model": model, "depth": depth, "loss": loss, "optimizer": optimizer, "beta": beta, "noise": noise,
               "steps": steps, "gamma": gamma, "eta": eta, "points": points}
    if portrait is None:
        view, title, name = choose_view(rho=rho, **options)      # type: ignore[arg-type]
        target = check_target(out or f"lazyrich-explore-{name}.html")
        written = write_page(target, title, view=view)
    else:
        if extra := [key for key, value in options.items() if value is not None]:
            raise Misuse(f"{extra[0]} belongs to a plane that is computed, not to the portrait at {portrait}")
        target = check_target(out or f"lazyrich-explore-{portrait.stem}.html")
        title, parts = _prepare_portrait(portrait, rho)
        written = write_page(target, title, **parts)
    print_text(f"Written to {written}")
    if not no_open and not webbrowser.open(written.resolve().as_uri()):
        print_text(f"No browser could be opened; open {written} in one")
    return DONE


def _prepare_portrait(path: Path, rho: float | None) -> tuple[str, dict[str, Any]]:
    """Return a stored portrait's title, and what the explorer's page shows of it."""
    from toymodels.explorer.choose_view import read_view
    from toymodels.explorer.stored_portrait import encode_portrait
    from validation.experiment import require_description
    from validation.judging.assessment import assess, assess_curves
    from validation.plotting.anchored_laws import anchor_laws
    from validation.portrait import rates
    from validation.storage.files import open_portrait

    portrait = open_portrait(path)
    title, edges, predictions, levels, notes = _read_with_theory(portrait, rho)
    assessments = assess(edges, predictions)
    verdicts = [*(a.verdict for a in assessments), *assess_curves(edges, {**predictions, **levels})]
    notes = _list_notes(portrait, verdicts, notes)
    encoded = encode_portrait(portrait, title, edges, anchor_laws(predictions, assessments, levels), verdicts, notes)
    gamma, eta = portrait["gamma"].values, rates(portrait)
    view = read_view(require_description(portrait.attrs), (gamma[0], gamma[-1]), (eta.min(), eta.max()), rho)
    return title, {"view": view, "portrait": encoded}


def _list_notes(portrait: xr.Dataset, verdicts: Sequence[Verdict], notes: Sequence[str]) -> list[str]:
    """Return sentences about the verdicts on a stored portrait: why there are none, and what they were read from."""
    from validation.reporting.summary import NOTHING

    notes = [*([] if verdicts else [f"Nothing was judged: {NOTHING}."]), *notes, *_explain_indecision(portrait, verdicts)]
    if "refinement_levels" in portrait.attrs:
        notes.append(f"The sweep was refined: {portrait.attrs['resolution']}; the points in white were left out.")
    return notes


def _explain_indecision(portrait: xr.Dataset, verdicts: Sequence[Verdict]) -> list[str]:
    """Return why verdicts on a toy's portrait may be UNDECIDED where those of `lazyrich toy` are not."""
    from validation.experiment import require_description
    from validation.judging.verdict import VerdictOutcome

    undecided = any(v.outcome is VerdictOutcome.UNDECIDED for v in verdicts)
    if not undecided or require_description(portrait.attrs)["witness"] != "toy":
        return []
    return ["These edges were read from the portrait's grid. lazyrich toy bisects them further before it judges, and so decides more."]


sweeps = App(name="sweep", help="The state of a stored sweep.", help_format="plaintext", default_parameter=Parameter(negative=()))
app.command(sweeps)


@sweeps.command
def status(path: Path) -> int:
    """Print how many tiles of a sweep are done, failed and left, and which are damaged.

    Exits with 1 if tiles have failed or are damaged. To measure what is left, rerun the command that made the store.

    Example: lazyrich sweep status lazyrich-deep/mlp/mlp.zarr

    Parameters
    ----------
    path
        The store, a zarr folder.
    """
    from validation.printable import print_text
    from validation.storage.status import sweep_status

    state = sweep_status(path)
    print_text(state)
    return CONTRADICTED if state.failed or state.damaged else DONE


@app.command
def figure(name: str | None = None, *, scale: Literal["small", "measured", "missing", "paper"] = "small", out: Path | None = None) -> int:
    """Redraw a figure of the paper by the code of its gallery page; without a name, list the figures.

    Its runs are cached in ~/.cache/lazyrich, or in the folder that the environment variable LAZYRICH_CACHE names.

    They are made again when the code that they depend on changes. Exits with 1 if an assertion of the page does not hold.

    Example: lazyrich figure 6 --out figures

    Parameters
    ----------
    name
        The figure's number in the paper, or the page's name in the list.
    scale
        small: minutes at most on two cores; measured: measure again what is kept in files; missing: measure what is not kept yet, to resume
        after an interruption; paper: the paper's widths, data and steps.
    out
        The folder to write to; if not given, lazyrich-figures.
    """
    from validation.plotting.figures import image
    from validation.printable import print_text
    from validation.reporting.folder import publish_picture, refuse_picture
    from validation.storage.files import check_writable

    pages = _import_gallery("pages")
    if name is None:
        for path in dict.fromkeys(pages.names().values()):
            print(f"{', '.join(n for n, p in pages.names().items() if p == path):>24}  {pages.title(path)}")
        return DONE
    stem = pages.page_name(pages.script(name))
    folder = check_writable(out or Path("lazyrich-figures"))
    for path in folder.glob("*.png"):
        if re.fullmatch(rf"{re.escape(stem)}-\d+\.png", path.name):
            refuse_picture(path)
    page = pages.run_page(name, scale)
    written = [publish_picture(folder / f"{page.name}-{n}.png", image(f)).name for n, f in enumerate(page.figures, start=1)]
    print_text(f"Written to {folder}: {', '.join(written)}")
    if page.broken:
        print(f"lazyrich: {page.broken}", file=sys.stderr)
    return CONTRADICTED if page.broken else DONE


def _import_gallery(module: str) -> Any:
    """Return a module of the gallery: of a clone, or of what is installed with the packages."""
    from importlib import import_module

    place = next(p for p in (Path(__file__).parent / "docs", Path(__file__).parent / "lazyrich_gallery") if (p / "gallery").is_dir())
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    return import_module(f"gallery.{module}")


@app.command
def findings(*words: str, verdict: Literal["SUPPORTED", "CONTRADICTED", "UNDECIDED", "IDENTITY"] | None = None, json: bool = False) -> int:
    """Print what was found: each claim of the gallery's pages with the predicted and the measured number, its interval and the verdict.

    Example: lazyrich findings eta_max rich --verdict UNDECIDED

    Parameters
    ----------
    words
        Print only claims in whose page, figure or name each of these words stands.
    verdict
        Print only claims with this verdict.
    json
        Print JSON for a program, with the code and the stored data of each page; docs/findings.schema.json describes it.
    """
    import json as encoder

    from validation.printable import print_text

    claims = _import_gallery("claims")
    accepted = claims.read_claims()
    chosen = claims.choose_claims(accepted["claims"], accepted["pages"], words, verdict)
    if json:
        pages = {name: page for name, page in accepted["pages"].items() if any(claim["page"] == name for claim in chosen)}
        print(encoder.dumps(accepted | {"pages": pages, "claims": chosen}, indent=1))
    else:
        print_text(claims.format_claims(chosen, accepted["pages"]))
    return DONE


@app.command
def campaign(*, scale: Literal["full", "tiny"] = "full", device: str = "auto", data: Path | None = None, out: Path | None = None,
             only: tuple[str, ...] = (), minutes: float = float("inf"), dry_run: bool = False) -> int:
    """Measure the paper's planes on a GPU, in pieces of a few minutes; results are stored in docs/data/campaign.

    Needs a clone of the repository. The same as `python docs/data/campaign.py`, which needs no installation.

    Exits with 1 if a piece fails; the remaining pieces are measured nevertheless.

    Example: lazyrich campaign --dry-run

    Parameters
    ----------
    scale
        full: for a GPU, a few hours in all; tiny: a test of the whole campaign, minutes on two cores.
    device
        auto (a GPU if there is one), cpu, cuda or cuda:1.
    data
        The folder with Fashion-MNIST's four files; if not given, $LAZYRICH_DATA, ./data and /usr/share/datasets are searched.
    out
        The folder to write to; if not given, docs/data/campaign.
    only
        Run only pieces whose names begin with this, such as b or b-mlp-L3.
    minutes
        Start no further part after this many minutes.
    dry_run
        Print estimates of time and memory, and run nothing.
    """
    from importlib import import_module

    from validation.arguments import Misuse

    place = Path(__file__).parent / "docs" / "data"
    if not (place / "campaign.py").exists():
        raise Misuse("the campaign needs a clone of the repository, and lazyrich was installed without one")
    sys.path.insert(0, str(place))
    return int(import_module("campaign").campaign(scale, device, data, out, only, minutes, dry_run))


def _read_with_theory(portrait: xr.Dataset, rho: float | None) -> tuple[str, xr.Dataset, Mapping[str, Prediction],
                                                                       Mapping[str, Prediction], list[str]]:
    """Return a portrait's title and edges, the predictions for its model, levels stored with it, and notes on what is not predicted."""
    from validation.arguments import Misuse
    from validation.edges import locate
    from validation.experiment import require_description

    description = require_description(portrait.attrs)
    kind = description["witness"]
    if kind == "toy":
        from toymodels import cli

        title, predictions = cli.theory_of(description)
        return title, locate(portrait, rho=rho), predictions, {}, []
    if kind == "deep":
        from deepnets import network_edges, theory
        from deepnets.lazy_edges.level import Levels

        title, exponents = theory.theory_of(description)
        edges = network_edges.read_edges(portrait, exponents, rho)
        silence, levels = theory.explain_silence_of(description), Levels.decode(portrait.attrs)
        notes = ([silence] if silence else []) + (levels.explain_absences(edges.attrs["rho"]) if levels is not None else [])
        return title, edges, network_edges.close_triangle(exponents, edges), levels or {}, notes
    raise Misuse(f"the description's 'witness' must be 'toy' or 'deep', not {kind!r}: there is no theory for another model")


def main(words: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 CONTRADICTED (`judge`, or `--strict`), 2 misuse, 70 a bug, 130 interrupted."""
    run_program("lazyrich", lambda: run(words))


def run(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    def call() -> Any:
        try:
            return app(words, exit_on_error=False, print_error=True)
        except CycloptsError:
            return MISUSE       # cyclopts has printed the error

    return catch_errors("lazyrich", call, _explain_missing)


def _explain_missing(error: Exception) -> str | None:
    """Return how to install the library whose absence is the cause of an error, or None."""
    missing = _missing_library(error)
    if missing is None:
        return None
    from deepnets.cli_options import EXTRA

    return f"{EXTRA} (no module named {missing!r})"


def _missing_library(error: BaseException | None) -> str | None:
    """Return the library of the extra `deep` whose absence is the cause of an error, or None."""
    while error is not None:
        if isinstance(error, ImportError) and error.name in ("torch", "sklearn"):
            return error.name
        error = error.__cause__
    return None


if __name__ == "__main__":
    main()
let_go()
