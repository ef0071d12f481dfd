"""`lazyrich deep`: train networks over the plane, find edges, fit, judge, draw. Puts the rooms together, computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from deepnets.cli_options import Setting
from deepnets.network_edges import plan, read, slug, theory_of, traced, unclaimed
from deepnets.observation.scaling_laws import laws
from deepnets.observation.selection import Observing
from validation.arguments import Misuse
from validation.cli_options import Sweeping, failed_tiles


def deep(
    setting: Annotated[Setting, Parameter(name="*")] = Setting(),  # noqa: B008 - frozen
    sweeping: Annotated[Sweeping, Parameter(name="*")] = Sweeping(),  # noqa: B008 - frozen
    observing: Annotated[Observing, Parameter(name="*")] = Observing(),  # noqa: B008 - frozen
    *,
    out: Path | None = None,
    strict: bool = False,
    quiet: bool = False,
) -> int:
    """Train a network over the plane, find its edges, fit, judge against the theory's exponents, draw.

    Parameters
    ----------
    out
        The folder to write to; if not given, lazyrich-deep/ and the experiment's name.
    strict
        Exit with 1 if a verdict is CONTRADICTED.
    quiet
        No progress bar, no table.
    """
    from validation.executors import cores
    from validation.judging.assessment import assess
    from validation.progress import bar
    from validation.reporting.html import refuse_foreign, verdicts_json, write_report
    from validation.reporting.summary import draw, draw_observed, print_table, provenance_of, section

    experiment, plane = setting.experiment(), setting.plane()
    description = experiment.describe()
    title, claims = theory_of(description)
    folder = out or Path("lazyrich-deep") / slug(description)
    target, beside = folder / f"{slug(description)}.zarr", folder / f"{slug(description)}-observed.nc"
    if observing.names:
        from deepnets.observation import best_rates

        best_rates.check(experiment, observing, beside, sweeping.overwrite)
    sweeping.check(experiment, target)
    refuse_foreign(folder)
    refused: Misuse | None = None

    workers = cores() if experiment.device == "cpu" else 1      # a GPU has one
    portrait = sweeping.run(experiment, plane, target, not quiet, workers, {"accuracy": setting.accuracy})
    edges, found = read(portrait, claims)
    regimes = [] if setting.no_trace else plan(portrait, claims)
    if regimes:
        with bar(sum(r.runs(len(experiment.seeds)) for r in regimes), "tracing", "runs", not quiet) as advance:
            edges, found = traced(experiment, regimes, claims, advance)
    assessments, notes = assess(edges, found, setting.tolerance), unclaimed(edges, found)
    pictures = draw(target.with_suffix(""), title, portrait, edges, found, assessments, _drawn(portrait))
    if observing.names:
        try:
            seen, said = best_rates.along(portrait, experiment, observing, beside, not quiet, sweeping.overwrite)
        except Misuse as error:      # a portrait that has grown may have other best rates than those observed before: the rest is told
            refused, seen, said = error, None, [f"nothing is observed: {error}"]
        notes += said
        pictures += draw_observed(target.with_suffix(""), title, seen, laws(description)) if seen is not None else []
    parts, provenance = [section(title, portrait, pictures, assessments, notes=notes)], provenance_of(portrait)
    write_report(folder / "report.html", f"lazyrich deep: {title}", parts, provenance)
    verdicts_json(folder / "verdicts.json", f"lazyrich deep: {title}", parts, provenance)
    if not quiet:
        print_table(title, assessments)
        print("\n".join([*notes, f"Written to {folder}: " + ", ".join(sorted(p.name for p in folder.iterdir() if p.name[0] != "."))]))
    if refused is not None:
        raise refused
    failed = failed_tiles(portrait, target)
    return 1 if failed or (strict and any(a.verdict.outcome == "CONTRADICTED" for a in assessments)) else 0


def _drawn(portrait: Any) -> tuple[str, ...]:
    """Return the variables that are drawn, one figure each."""
    return ("outcome", "final_excess", *(["final_accuracy"] if "final_accuracy" in portrait else []))
