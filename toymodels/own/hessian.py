"""Compute the sharpness of a model and a loss of one's own: the largest eigenvalue of the Hessian of the loss in the parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from toymodels.own.loss import Loss
from toymodels.own.model import Model


def evaluate_sharpness(model: Model, loss: Loss, gamma: float, parameters: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Return the largest eigenvalue of the Hessian of l(f) at each state (n,), for parameters (n, k) and outputs (n,).

    NaN where it overflows. The Hessian is     ``l'' grad f grad f^T + l' Hess f``.
    """
    derivatives, loss_derivatives = _lambdify(model, loss)
    size, n = parameters.shape[1], len(output)
    with np.errstate(all="ignore"):
        slope, curvature = (np.broadcast_to(np.asarray(x, float), n) for x in loss_derivatives(output, model.target))
        found = [np.broadcast_to(np.asarray(x, float), n) for x in derivatives(gamma, *parameters.T)]
        gradient, second = np.array(found[:size]), np.array(found[size:]).reshape(size, size, n)
        hessian = (curvature * gradient[:, None] * gradient[None] + slope * second).transpose(2, 0, 1)
    finite = np.isfinite(hessian).all(axis=(1, 2))
    sharpness = np.full(n, np.nan)
    sharpness[finite] = np.linalg.eigvalsh(hessian[finite])[:, -1]
    return sharpness


@cache
def _lambdify(model: Model, loss: Loss) -> tuple[Any, Any]:
    import sympy

    from toymodels.own.differences import differentiate, rewrite_exponentials
    from toymodels.own.expressions import make_symbol
    from toymodels.own.functions import numpy_names

    names = numpy_names()
    modules = [{k: names[k] for k in ("sigmoid", "softplus", "erf")}, "numpy"]
    output, formula = rewrite_exponentials(model.output), rewrite_exponentials(loss.formula)
    first = [differentiate(output, s) for s in model.start]
    second = [differentiate(g, s) for g in first for s in model.start]
    slope = differentiate(formula, loss.f)
    return (sympy.lambdify((make_symbol("gamma"), *model.start), [*first, *second], modules),
            sympy.lambdify((loss.f, loss.y), [slope, differentiate(slope, loss.f)], modules))
