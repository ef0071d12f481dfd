"""The measuring and judging apparatus: numpy, scipy, xarray; knows no model, needs zarr and matplotlib only where they are used.

Experiment -> sweep over a Plane -> portrait -> edges -> PowerLawFit -> Verdict -> figure, report
"""

from typing import Any

from validation.assessment import Assessment, assess
from validation.broken import BrokenFit, fit_broken
from validation.collapse import CollapseFit, fit_collapse
from validation.combine import combine
from validation.comparison import Optimum, compare, optimum
from validation.edges import edges_from_brackets, locate
from validation.experiment import Experiment
from validation.horizons import fit_horizons
from validation.misuse import Misuse
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import conform
from validation.powerlaw import PowerLawFit, fit
from validation.prediction import Prediction
from validation.slope import fit_loss_slope
from validation.store import open_portrait, save_portrait
from validation.sweep import sweep
from validation.trace import trace
from validation.verdict import Verdict, VerdictOutcome, judge, judge_curve

__all__ = [
    "Assessment", "BrokenFit", "CollapseFit", "Experiment", "Misuse", "Optimum", "Outcome", "Plane", "PowerLawFit", "Prediction",
    "Verdict", "VerdictOutcome", "assess", "combine", "compare", "conform", "edges_from_brackets", "fit", "fit_broken",
    "fit_collapse", "fit_horizons", "fit_loss_slope", "judge", "judge_curve", "locate", "open_portrait", "optimum", "plot_portrait",
    "save_portrait", "sweep", "trace",
]


def __getattr__(name: str) -> Any:
    """Import what draws when it is first asked for."""
    if name == "plot_portrait":
        from validation.figures import plot_portrait

        return plot_portrait
    raise AttributeError(f"module 'validation' has no attribute {name!r}")
