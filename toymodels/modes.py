"""The modes of a deep linear network: independent models of one parameter, each with its own target and curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from validation.arguments import Misuse, positive, whole

MOST = 64
MOST_DEPTH = 1000


@dataclass(frozen=True)
class Modes:
    """A deep linear network in the basis of its task: ``f_k = (w_k**L - 1)/gamma``, each ``w_k = 1`` at the start.

    The loss is ``sum_k lambda_k (f_k - s_k)**2/2``, with the strengths s_k of the teacher (its singular values) and the curvatures
    lambda_k of the data (eigenvalues of their covariance). Modes do not interact: mode k is `OneParameter(L)` at richness ``gamma s_k``
    and rate ``eta lambda_k s_k**2``. So its stairs and edges follow from those of one parameter (Saxe, McClelland and Ganguli,
    arXiv 1312.6120, for the stairs of deep linear networks).

    Attributes
    ----------
    depth : L, from 1 to 1000.
    strengths : s_k > 0, from 1 to 64 of them.
    curvatures : lambda_k > 0, as many; one number stands for all.
    """

    depth: int
    strengths: tuple[float, ...]
    curvatures: tuple[float, ...] = (1.0,)

    name: ClassVar[str] = "modes"
    is_standard: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", whole("depth", self.depth, most=MOST_DEPTH))
        strengths = _read("strengths", self.strengths)
        curvatures = _read("curvatures", self.curvatures)
        if len(curvatures) == 1:
            curvatures *= len(strengths)
        if len(curvatures) != len(strengths):
            raise Misuse(f"curvatures must be one number or as many as strengths, {len(strengths)}, not {len(curvatures)}")
        object.__setattr__(self, "strengths", strengths)
        object.__setattr__(self, "curvatures", curvatures)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, w1, w2, ..."""
        return tuple(f"w{k + 1}" for k in range(len(self.strengths)))

    @property
    def shares(self) -> np.ndarray:
        """Each mode's share ``lambda_k s_k**2/sum`` of the first loss (k,)."""
        parts = np.array(self.curvatures) * np.array(self.strengths) ** 2
        return parts / parts.sum()

    @property
    def speeds(self) -> np.ndarray:
        """``lambda_k s_k**2`` (k,), by which a mode's rate exceeds eta."""
        return np.array(self.curvatures) * np.array(self.strengths) ** 2

    def describe(self) -> dict[str, Any]:
        """Return the model as JSON."""
        return {"name": "modes", "depth": self.depth, "strengths": list(self.strengths), "curvatures": list(self.curvatures)}


def _read(name: str, values: float | Sequence[float]) -> tuple[float, ...]:
    """Return numbers above zero, one or several."""
    array = np.atleast_1d(positive(name, values))
    if array.ndim != 1 or not 1 <= array.size <= MOST:
        raise Misuse(f"{name} must be from 1 to {MOST} numbers, not an array of shape {array.shape}")
    return tuple(map(float, array))
