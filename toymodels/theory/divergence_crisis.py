"""crisis(): where the one-parameter model of depth 2 diverges, at any gamma, for a loss that is straight far out; as numbers.

A finding beyond `predict`, which gives this edge for gamma < 1 alone: there it is ``gamma/l'(oo)``, (1 + e) gamma for cross-entropy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toymodels.losses import CrossEntropy, as_loss
from validation.arguments import Misuse, positive


def crisis(gamma: Any, loss: Any = "cross_entropy") -> np.ndarray:
    """Return the eta at which the bounded runs of OneParameter(2) meet the border of divergence.

    The map is ``w <- g(w) = w (1 - 2 (eta/gamma) l'(f))``. Beyond the weight w_b at which ``g(w_b) = -w_b``, that is
    ``l'(f_b) = gamma/eta``, every step grows. A bounded run gets no farther than the maximum of g below w_b: it ends where that
    maximum is w_b (for MSE, in the same words, at ``eta l''(w*) = 4``). From 3.718 gamma = (1 + e) gamma when lazy to 5.411 gamma when
    rich, for cross-entropy; the traced edge agrees to 1e-5.

    Parameters
    ----------
    gamma : richness, any shape, > 0.
    loss : "cross_entropy".

    Returns
    -------
    eta, float64, shape of `gamma`.
    """
    loss = as_loss(loss)
    if not isinstance(loss, CrossEntropy):
        raise Misuse(f"loss must be 'cross_entropy', the one that is straight far out, not {loss.name!r}")
    gamma = positive("gamma", gamma)
    return np.array([_crisis(float(g), loss) for g in gamma.ravel()]).reshape(gamma.shape)


def _crisis(gamma: float, loss: CrossEntropy) -> float:
    """Return eta at one gamma, by a root in f_b of the logarithm of (maximum/border)."""
    from scipy.optimize import brentq, minimize_scalar

    def slope(f: float) -> float:
        return float(loss.slope(np.full((), f)))

    def gap(border: float) -> float:
        # in y = w^2/gamma, f = y - 1/gamma; the maximum lies where the run still climbs, f < 1
        steepness = slope(border)

        def height(log_y: float) -> float:
            y = np.exp(log_y)
            return -(0.5 * log_y + np.log(max(1 - 2 * slope(y - 1 / gamma) / steepness, 1e-300)))

        top = np.log(1 + 1 / gamma)
        best = minimize_scalar(height, bounds=(top - 12.0, top), method="bounded", options={"xatol": 1e-10})
        return float(-best.fun - 0.5 * np.log(border + 1 / gamma))

    high = 2.0
    while gap(high) > 0 and high < 700:
        high *= 2
    border = brentq(gap, 1 + 1e-6, high, xtol=1e-12) if gap(high) < 0 else np.inf
    return gamma / (slope(float(border)) if np.isfinite(border) else slope(700.0))
