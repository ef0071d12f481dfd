"""The measuring and judging apparatus: numpy, scipy, xarray; knows no model, needs zarr and matplotlib only where they are used.

Experiment -> sweep over a Plane -> portrait -> edges -> PowerLawFit -> Verdict -> figure, report
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# what bears the name of its room must be bound here, or importing the room would put the module in its place
from validation.combine import combine
from validation.descend import descend
from validation.edges import edges_from_brackets, locate
from validation.experiment import Experiment
from validation.misuse import Misuse
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import conform
from validation.prediction import Prediction
from validation.store import open_portrait, save_portrait
from validation.sweep import sweep
from validation.trace import trace

if TYPE_CHECKING:
    from validation.assessment import Assessment, assess, assess_curves
    from validation.collapse import CollapseFit, fit_collapse
    from validation.comparison import Optimum, compare, optimum
    from validation.figures import plot_portrait
    from validation.fits.broken import BrokenFit, fit_broken
    from validation.fits.horizons import fit_horizons
    from validation.fits.law import PowerLawFit
    from validation.fits.slope import fit_loss_slope
    from validation.powerlaw import fit
    from validation.storage.ledger import SweepStatus, sweep_status
    from validation.tiling.refinement import refined_sweep
    from validation.verdict import Verdict, VerdictOutcome, judge, judge_curve

__all__ = [
    "Assessment", "BrokenFit", "CollapseFit", "Experiment", "Misuse", "Optimum", "Outcome", "Plane", "PowerLawFit", "Prediction",
    "SweepStatus", "Verdict", "VerdictOutcome", "assess", "assess_curves", "combine", "compare", "conform", "descend",
    "edges_from_brackets", "fit", "fit_broken", "fit_collapse", "fit_horizons", "fit_loss_slope", "judge", "judge_curve", "locate",
    "open_portrait", "optimum", "plot_portrait", "refined_sweep", "save_portrait", "sweep", "sweep_status", "trace",
]

# scipy's optimizers and matplotlib take half a second each to import: whoever only sweeps or predicts does not wait for them
_LATER = {
    "assessment": ("Assessment", "assess", "assess_curves"), "collapse": ("CollapseFit", "fit_collapse"),
    "comparison": ("Optimum", "compare", "optimum"), "figures": ("plot_portrait",), "fits.broken": ("BrokenFit", "fit_broken"),
    "fits.horizons": ("fit_horizons",), "fits.law": ("PowerLawFit",), "fits.slope": ("fit_loss_slope",), "powerlaw": ("fit",),
    "storage.ledger": ("SweepStatus", "sweep_status"), "tiling.refinement": ("refined_sweep",),
    "verdict": ("Verdict", "VerdictOutcome", "judge", "judge_curve"),
}
_ROOM = {name: room for room, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what was not needed until now."""
    if name not in _ROOM:
        raise AttributeError(f"module 'validation' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"validation.{_ROOM[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
