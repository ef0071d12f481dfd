"""Say why edges are not predicted: a sentence for each edge that is absent."""

from __future__ import annotations

from typing import Any

from toymodels.losses import MSE, CrossEntropy
from toymodels.models import AnyModel, OneParameter, OwnModel, is_own
from toymodels.optimizers import SGD, Adam, HeavyBall, Optimizer
from toymodels.own.loss import Loss as OwnLoss
from toymodels.schedules import CONSTANT, Constant, Schedule
from toymodels.theory import own_edges
from toymodels.theory.losses import as_formulas
from toymodels.theory.noise_edges import explain_noise


def explain_absence(model: AnyModel, loss: MSE | CrossEntropy | OwnLoss, optimizer: Optimizer, schedule: Schedule = CONSTANT,
                    noise: float = 0.0, batch: int | None = None) -> list[str]:
    """Return a sentence for each edge that is not predicted.

    Parameters
    ----------
    model, loss, optimizer, schedule : objects of the package, or a model or a loss of one's own.
    noise, batch : as of `predict`.
    """
    if isinstance(schedule, Constant) and (reasons := explain_noise(model, loss, optimizer, noise, batch)):
        return reasons
    if not isinstance(model, OwnModel | OneParameter) and is_own(model) and isinstance(loss, MSE) and isinstance(optimizer, SGD):
        return [] if isinstance(schedule, Constant) else [own_edges.NO_UPPER_EDGE]
    if is_own(model) or isinstance(loss, OwnLoss):
        return own_edges.explain_absence(*as_formulas(model, loss), optimizer, schedule)
    if isinstance(optimizer, Adam):
        return ["eta_crit, eta_max and eta_div are not predicted for Adam: they depend on the transient of the second moment."]
    if not isinstance(schedule, Constant):
        return [own_edges.NO_UPPER_EDGE]
    return _explain_momentum(model, loss) if isinstance(optimizer, HeavyBall) else []


def _explain_momentum(model: Any, loss: Any) -> list[str]:
    if isinstance(model, OneParameter):
        return [] if isinstance(loss, MSE) else ["eta_max is not predicted for momentum with cross-entropy: stable cycles exist below the "
                                                 "rate at which the minimum loses its stability."]
    crit = "" if isinstance(loss, MSE) else "eta_crit is not predicted for momentum with cross-entropy: the kernel falls before the " \
                                            "minimum loses its stability."
    return [*filter(None, [crit]), "eta_max and eta_div are not predicted for momentum with two parameters: the invariant that bounds "
                                   "the runs of SGD does not exist with it."]
