"""What the compiled loops need of a built-in model and loss: codes, rows of constants, units of the rate, and gradient flow's kernel."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit

from toymodels import kernels
from toymodels.losses import Loss
from toymodels.models import Model, TwoParameter


@cache
def build_excess(loss: int) -> Any:
    """Return `measure_excess` of a built-in loss, for the noisy runs of `kernels.compile_loops`."""
    from toymodels.run_outcomes import evaluate_excess

    @njit(forceinline=True)
    def measure_excess(f, units):
        return evaluate_excess(loss, f, units)

    return measure_excess


class BuiltInToy:
    """A built-in model with a built-in loss.

    Attributes
    ----------
    name, functions, parameters : as in `kernels.compile_loops`.
    start : of the first parameter; every other one starts at 0.
    summary : the first arguments of the function of `run_outcomes.compile_summary`.
    """

    def __init__(self, model: Model, loss: Loss, optimizer: int, noisy: int = 0) -> None:
        self.model, self.loss = model, loss
        self.two = isinstance(model, TwoParameter)
        code = kernels.LOSS_CODE[loss.name]
        self.name = f"{model.name}{model.depth}.{code}"
        self.functions = kernels.build_lanes(model.depth, code, optimizer, int(self.two), noisy)
        if noisy:
            self.functions += (build_excess(code),)
        self.parameters, self.start = 1 + self.two, float(self.two)
        self.summary = code, model.depth, int(self.two), 0

    def list_constants(self, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `kernels.list_constants` of the model."""
        return kernels.list_constants(self.model.depth, self.two, gamma)

    def scale_rate(self, optimizer: int, gamma: Any, eta: Any) -> Any:
        """Return eta in the units of the kernel's state."""
        return kernels.scale_rate(self.two, optimizer, gamma, eta)

    def flow_end(self, gamma: np.ndarray) -> np.ndarray:
        """Return w*, or with two parameters u1^2 + u2^2, at the minimum that gradient flow reaches (n,)."""
        return np.hypot(1.0, gamma) if self.two else np.exp(np.log1p(gamma) / self.model.depth)

    def units(self, gamma: np.ndarray) -> np.ndarray:
        """Return ones (n, 2): the compiled f and excess need no units."""
        return np.ones((len(gamma), 2))

    def excess(self, gamma: float, f: np.ndarray) -> np.ndarray:
        """Return the excess fraction at the outputs `f`."""
        return self.loss.excess(f)

    def output_of(self, gamma: float, f: np.ndarray) -> np.ndarray:
        """Return the model's outputs at the compiled outputs `f`: the same."""
        return f

    def parameters_of(self, gamma: float, states: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters by name, from the kernel's states (..., parameters)."""
        return {"u1": states[..., 0], "u2": states[..., 1]} if self.two else {"w": 1.0 + gamma * states[..., 0]}

    def observe(self, gamma: float, states: np.ndarray, f: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `trajectory` records, by name, from the kernel's states (T + 1, parameters) and f (T + 1,)."""
        loss, L = self.loss, self.model.depth
        with np.errstate(all="ignore"):
            first, second = loss.slope(f), loss.curvature(f)
            if self.two:
                u, v = states[:, 0], states[:, 1]
                state = {"u1": u, "u2": v}
                kernel = 2 * (u**2 + v**2) / gamma**2
                # eigenvalues of half the Hessian of l(f(u1, u2)): [[h u2^2, h u1 u2 + r], [h u1 u2 + r, h u1^2]]
                h, r = 2 * second / gamma**2, first / gamma
                sharpness = h * (u**2 + v**2) / 2 + np.hypot(h * (u**2 - v**2) / 2, h * u * v + r)
            else:
                u = states[:, 0]
                w = 1.0 + gamma * u
                state = {"w": w, "u": u}
                kernel = (L * w ** (L - 1) / gamma) ** 2
                sharpness = second * kernel
                if L > 1:
                    sharpness = sharpness + first * L * (L - 1) * w ** (L - 2) / gamma
            return {"f": f, "loss": loss.value(f), "excess": loss.excess(f), "sharpness": sharpness, "kernel": kernel} | state
