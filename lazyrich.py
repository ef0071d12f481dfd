"""The front door: the command line, and the only file that knows every room.

Every command is registered by its place as a string, so that `lazyrich --help` imports none of them.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Literal

from cyclopts import App, CycloptsError, Parameter

DONE, CONTRADICTED, MISUSE, BUG, INTERRUPTED = 0, 1, 2, 70, 130


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
figure 11. Written are, for each loss, the portrait (zarr) and its figures, and for all of them report.html and verdicts.json.

Example: lazyrich toy --depth 3 --loss mse --gamma 1e-3 1e3 --out three""")
app.command("deepnets.cli:deep", name="deep", help="""\
Train a network over the plane, find its edges, fit, judge against the theory's exponents, draw.

The same as `toy`, for networks. By default an MLP of L = 3 and width 32 on scikit-learn's digits, about a minute on two cores. The edges \
are read off a coarse portrait and traced where exponents are claimed. Needs the extra: pip install 'lazyrich[deep]'. A machine with \
torch, numpy, scipy and xarray alone runs the same as `python -m deepnets`.

Example: lazyrich deep --network cnn --loss cross_entropy --steps 1000 --seeds 3 --out cnn""")
app.command("deepnets.diffusion.cli:make_mnist1m", name="make-mnist1m", help="""\
Train a diffusion model on digits and draw MNIST-1M of it: a million images, or as many as wanted.

Needs the extra: pip install 'lazyrich[deep]', and for a million a GPU. Interrupted at any moment, the same command goes on.

Example: lazyrich make-mnist1m --digits --count 1000 --steps 300 --width 16 --out tried""")
app.command("toymodels.predict_cli:predict", name="predict", help="""\
The predicted edges and exponents of a model, as a table, LaTeX or JSON.

Without --model, the paper's Table 1 and Appendix F, with prefactors.

Example: lazyrich predict --model one --depth 3 --loss mse --derive""")


@app.command
def judge(path: Path, *, rho: float | None = None, tolerance: float | None = None, out: Path | None = None) -> int:
    """Hold a stored portrait against the theory that its own attributes name: verdicts, figure, report.

    Of a toy or of networks; nothing is trained. The edges are read off the portrait's own grid. Exits with 1 if a verdict is CONTRADICTED.

    Example: lazyrich judge lazyrich-toy/one-L5-sgd/one-L5-mse-sgd-T1000.zarr --out judged

    Parameters
    ----------
    path
        The portrait, a zarr folder or a netCDF file.
    rho
        The excess loss at which a run counts as trained; if not given, the portrait's own.
    tolerance
        How far from the predicted exponent still counts as the predicted exponent; if not given, 0.05, and 0.1 for networks.
    out
        A folder for report.html, verdicts.json and the figures; if not given, only the table is printed.
    """
    from validation.arguments import Misuse
    from validation.judging.assessment import assess, assess_curves
    from validation.judging.verdict import VerdictOutcome
    from validation.reporting.html import refuse_foreign
    from validation.reporting.summary import print_curves, print_table, write
    from validation.storage.files import check_writable, open_portrait

    portrait = open_portrait(path)
    title, edges, predictions, usual = _theory(portrait, rho)
    tolerance = usual if tolerance is None else tolerance
    if out is not None:
        check_writable(out)
        refuse_foreign(out)
    if not predictions:
        raise Misuse(f"the theory has no edges for the portrait at {path} ({title}): there is nothing to judge")
    assessments, curves = assess(edges, predictions, tolerance), assess_curves(edges, predictions)
    print_table(title, assessments)
    print_curves(curves)
    if not (assessments or curves):
        print("No regime has four gammas inside its window: nothing was judged.")
    if out is not None:
        write(out, title, portrait, edges, predictions, assessments, curves)
        print(f"Written to {out}: " + ", ".join(sorted(p.name for p in out.iterdir())))
    verdicts = [*(a.verdict for a in assessments), *curves]
    return CONTRADICTED if any(v.outcome is VerdictOutcome.CONTRADICTED for v in verdicts) else DONE


sweeps = App(name="sweep", help="What is stored of a sweep.", help_format="plaintext", default_parameter=Parameter(negative=()))
app.command(sweeps)


@sweeps.command
def status(path: Path) -> int:
    """Tell what is done, failed and left of a sweep, and which of its tiles are damaged.

    Exits with 1 if tiles have failed or are damaged. The command that swept goes on with what is left.

    Example: lazyrich sweep status lazyrich-deep/mlp/mlp.zarr

    Parameters
    ----------
    path
        The store, a zarr folder.
    """
    from validation.storage.status import sweep_status

    told = sweep_status(path)
    print(told)
    return CONTRADICTED if told.failed or told.damaged else DONE


@app.command
def figure(name: str | None = None, *, scale: Literal["small", "paper"] = "small", out: Path | None = None) -> int:
    """Redraw a figure of the paper with the code of its page in the gallery; without a name, list them.

    Its runs are kept in ~/.cache/lazyrich, or where the environment variable LAZYRICH_CACHE says, and made again only where something
    that they depend on has changed. Exits with 1 if an assertion of the page does not hold.

    Example: lazyrich figure 6 --out figures

    Parameters
    ----------
    name
        Its number in the paper, or its name in the list.
    scale
        small: minutes at most on two cores; paper: the paper's widths, data and steps, for a GPU.
    out
        The folder to write to; if not given, lazyrich-figures.
    """
    from importlib import import_module

    from validation.plotting.figures import image
    from validation.reporting.html import publish
    from validation.storage.files import check_writable

    place = next(p for p in (Path(__file__).parent / "docs", Path(__file__).parent / "lazyrich_gallery") if (p / "gallery").is_dir())
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    shown = import_module("gallery.exhibit")
    if name is None:
        for path in dict.fromkeys(shown.names().values()):
            print(f"{', '.join(n for n, p in shown.names().items() if p == path):>24}  {shown.title(path)}")
        return DONE
    shown.script(name)
    folder = out or Path("lazyrich-figures")
    check_writable(folder)
    made = shown.exhibit(name, scale)
    written = [publish(folder / f"{made.name}-{n}.png", image(f)).name for n, f in enumerate(made.figures, start=1)]
    print(f"Written to {folder}: {', '.join(written)}")
    if made.broken:
        print(f"lazyrich: {made.broken}", file=sys.stderr)
    return CONTRADICTED if made.broken else DONE


@app.command
def campaign(*, scale: Literal["full", "tiny"] = "full", device: str = "auto", data: Path | None = None, out: Path | None = None,
             only: tuple[str, ...] = (), minutes: float = float("inf"), dry_run: bool = False) -> int:
    """Measure the paper's planes again on a GPU, in pieces of minutes; what is measured is kept in docs/data/campaign.

    Belongs to a clone of the repository. The same as `python docs/data/campaign.py`, which a bare machine can run. Exits with 1 if a
    piece fails; the others are measured all the same.

    Example: lazyrich campaign --dry-run

    Parameters
    ----------
    scale
        full: for a GPU, some hours in all; tiny: shows on two cores in minutes that all of it works.
    device
        auto (a GPU if there is one), cpu, cuda or cuda:1.
    data
        The folder of Fashion-MNIST's four files; if not given, the usual places.
    out
        Where results go; if not given, docs/data/campaign.
    only
        Pieces whose names begin so, such as b or b-mlp-L3.
    minutes
        Begin no part after so many.
    dry_run
        Estimates of time and memory; nothing is run.
    """
    from importlib import import_module

    from validation.arguments import Misuse

    place = Path(__file__).parent / "docs" / "data"
    if not (place / "campaign.py").exists():
        raise Misuse("the campaign belongs to a clone of the repository, and this is an installation without one")
    sys.path.insert(0, str(place))
    return int(import_module("campaign").campaign(scale, device, data, out, only, minutes, dry_run))


def _theory(portrait: Any, rho: float | None) -> tuple[str, Any, dict[str, Any], float]:
    """Return a portrait's title, its edges, the predictions that its own description calls for, and the tolerance usual with them."""
    import json

    from validation.arguments import Misuse
    from validation.edges import locate

    try:
        description = json.loads(portrait.attrs["description"])
        witness = description["witness"]
    except (KeyError, TypeError, ValueError):
        raise Misuse("the portrait's attributes must hold the JSON description of its experiment, with its witness; "
                     f"they hold {', '.join(map(str, portrait.attrs)) or 'nothing'}") from None
    if witness == "toy":
        from toymodels.cli import theory_of

        title, predictions = theory_of(description)
        return title, locate(portrait, rho=rho), predictions, 0.05
    if witness == "deep":
        from deepnets import network_edges

        title, claims = network_edges.theory_of(description)
        return title, *network_edges.read(portrait, claims, rho), network_edges.TOLERANCE
    raise Misuse(f"the portrait's witness must be 'toy' or 'deep', not {witness!r}: no theory is known for it")


def main(words: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 CONTRADICTED (`judge`, or `--strict`), 2 misuse, 70 a bug, 130 interrupted."""
    code = run(words)
    sys.stdout.flush()
    sys.stderr.flush()
    if code == INTERRUPTED:
        gc.collect()        # what pools of processes hold of the system is given back, or its keeper complains of a leak
        os._exit(code)      # a kernel may still be running in another thread; nothing on disk waits for it
    sys.exit(code)


def run(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        result: Any = app(words, exit_on_error=False, print_error=True)
    except CycloptsError:
        return MISUSE       # cyclopts has printed what was given and what is allowed
    except KeyboardInterrupt:
        print("lazyrich: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is left to print has no reader
        return DONE
    except Exception as error:
        # told by name, so that `lazyrich --help` need not import the room it is defined in
        if type(error).__name__ == "Misuse":
            print(f"lazyrich: {error}", file=sys.stderr)
            return MISUSE
        traceback.print_exc()
        print("lazyrich: this is a mistake of the program, not of yours; the lines above say where", file=sys.stderr)
        return BUG
    return result if isinstance(result, int) else DONE


if __name__ == "__main__":
    main()
