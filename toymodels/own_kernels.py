"""What the compiled loops need of a model or a loss of one's own: the functions generated from the expressions, compiled by numba."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from toymodels import arithmetic, kernels, losses, models
from toymodels.compilation import EXCESS, compile_loop
from toymodels.kernels import measure_excess, with_functions
from toymodels.own.flow import kernel_at_minimum
from toymodels.own.functions import Generated, execute, generate
from toymodels.own.loss import Loss, as_formula


@njit(forceinline=True)
def _where(condition, a, b):
    return a if condition else b


@njit(forceinline=True)
def _tanh(x):
    e = arithmetic.expm1(min(max(2.0 * x, -100.0), 100.0))
    return e / (e + 2.0) if x == x else x


@njit(forceinline=True)
def _softplus(x):
    return max(x, 0.0) + math.log1p(arithmetic.exp(-abs(x)))


@njit(forceinline=True)
def _sinh(x):
    return 0.5 * (arithmetic.expm1(x) - arithmetic.expm1(-x))


@njit(forceinline=True)
def _cosh(x):
    return 0.5 * (arithmetic.exp(x) + arithmetic.exp(-x))


NUMBA = {"exp": arithmetic.exp, "expm1": arithmetic.expm1, "sigmoid": arithmetic.sigmoid, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
         "sin": np.sin, "cos": np.cos, "tanh": _tanh, "sinh": _sinh, "cosh": _cosh, "softplus": _softplus, "atan": np.arctan,
         "erf": math.erf, "abs": np.abs, "sign": kernels._sign, "where": _where, "nan": math.nan, "inf": math.inf}


@cache
def compile_functions(generated: Generated, optimizer: int, noisy: int = 0) -> tuple[Any, ...]:
    """Return `load_constants`, `step_lane` and `measure_lane` of a model of one's own, for `kernels.compile_loops`; see there."""
    # Adam's epsilon has a unit, which follows the row's constants
    count, parameters = len(generated.constants) + 2, len(generated.model.start)
    adam = optimizer == kernels.ADAM
    own = f"constants[:{count}]" if adam else "constants"
    epsilon = f"epsilon * constants[{count}]" if adam else "epsilon"
    moments = kernels.count_moments(optimizer)
    arguments = ", ".join(f"block[{k}, i]" for k in range(parameters))
    gradient = ", ".join(f"g{k}" for k in range(parameters))
    lines = ["def load_constants(row):", f"    return ({' '.join(f'row[{k}],' for k in range(count + adam))})", "",
             "def measure_lane(block, i, constants):",
             f"    f, {gradient} = evaluate_output({own}, {arguments})",
             "    size = 0.0"]
    # the start is in the row's constants where it is not a number; the increment alone says whether a run has diverged
    lines += [f"    size = max(size, abs(block[{k}, i])) if block[{k}, i] == block[{k}, i] else inf" for k in range(parameters)]
    lines += [f"    return f * constants[{count - 1}], size, {' + '.join(f'g{k} * g{k}' for k in range(parameters))}", "",
              "def step_lane(block, i, constants, e, c1, c2, beta1, beta2, epsilon, shift, share):",
              f"    f, {gradient} = evaluate_output({own}, {arguments})",
              f"    slope = evaluate_slope(f - constants[{count - 2}])"]
    lines += ["    slope = (slope + shift) * share"] * noisy
    for k in range(parameters):
        m, s = (f"block[{n * parameters + k}, i]" if moments >= n else "0.0" for n in (1, 2))
        lines.append(f"    x{k}, m{k}, s{k} = move(optimizer, block[{k}, i], {m}, {s}, slope * g{k}, e, c1, c2, beta1, beta2, {epsilon})")
    for k in range(parameters):
        lines.append(f"    block[{k}, i] = x{k}")
        lines += [f"    block[{n * parameters + k}, i] = {name}{k}" for n, name in ((1, "m"), (2, "s")) if moments >= n]
    lines.append(f"    return f * constants[{count - 1}]")
    found = execute("\n".join(lines), NUMBA | _compile_evaluations(generated) | {"move": kernels._move, "optimizer": optimizer})
    # only the step is in the innermost loop, where it must be inlined
    lanes = njit(found["load_constants"]), njit(forceinline=True)(found["step_lane"]), njit(found["measure_lane"])
    return lanes + (build_excess(generated),) * noisy


@cache
def _compile_evaluations(generated: Generated) -> dict[str, Any]:
    """Return the source's functions, compiled where they are called."""
    scope = execute(generated.source, NUMBA)
    functions = {name: njit(forceinline=True)(f) for name, f in scope.items() if name.startswith("evaluate_")}
    scope.update(functions)      # they call each other
    return functions


@cache
def build_excess(generated: Generated) -> Any:
    """Return ``measure_excess(f, units)`` of a loss of one's own; see `OwnToy.units`."""
    text = """def measure_excess(f, units):
    if f == 0.0:
        return 1.0
    return evaluate_loss((f - 1.0) * units[0]) / units[1]
"""
    return njit(execute(text, _compile_evaluations(generated))["measure_excess"])


def evaluate_excess(f, units):      # in a file, beside which numba caches its machine code
    """Return the excess at f, by the `measure_excess` that `with_functions` provides."""
    return measure_excess(f, units)


@cache
def compile_excess(generated: Generated) -> Any:
    """Return what returns the address of the compiled excess of a loss of one's own, for `run_outcomes.compile_summary`."""
    return compile_loop(with_functions(evaluate_excess, (build_excess(generated),), f"own{generated.digest}"), EXCESS)


class OwnToy:
    """A model or a loss of one's own, with the attributes of `built_in.BuiltInToy`.

    The compiled output is ``z = (f - f_0)/(f* - f_0)``, which is 0 at the start and 1 at the minimum, as f of the built-in models is.
    """

    start = 0.0

    def __init__(self, model: models.AnyModel, loss: losses.Loss | Loss, optimizer: int, noisy: int = 0) -> None:
        self.adam = optimizer == kernels.ADAM
        # of the scaled parameters of `as_formula`, in which the gradient is as many times larger
        self.scale = math.sqrt(2) if isinstance(model, models.TwoParameter) else 1.0
        self.model, self.loss = models.as_formula(model), as_formula(loss)
        self.generated = generate(self.model, self.loss)
        self.name, self.parameters = f"own{self.generated.digest}", len(self.model.start)
        self.functions = compile_functions(self.generated, optimizer, noisy)
        self.summary = 0, 0, 1, compile_excess(self.generated)()

    def list_constants(self, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of constants (n, c), and the largest number: a larger output has overflowed."""
        rows, most = self.generated.constants_of(gamma), np.full(len(gamma), np.finfo(float).max)
        return (np.hstack([rows, (self.scale / gamma)[:, None]]) if self.adam else rows), most

    def scale_rate(self, optimizer: int, gamma: Any, eta: Any) -> Any:
        """Return eta in the shape of gamma and eta, in units of the parameters where steps are not proportional to the gradient."""
        return eta * np.ones_like(gamma) * (1.0 if optimizer in (kernels.SGD, kernels.HEAVY_BALL) else self.scale)

    def flow_end(self, gamma: np.ndarray) -> np.ndarray:
        """Return the kernel at the minimum that gradient flow reaches (n,)."""
        return kernel_at_minimum(self.generated, gamma)

    def units(self, gamma: np.ndarray) -> np.ndarray:
        """Return the distance from the start to the minimum, and the excess loss at the start (n, 2)."""
        distance = self.generated.list_rows(gamma)[:, len(self.generated.constants)]
        return np.stack([distance, np.broadcast_to(self.generated.numpy["evaluate_loss"](-distance), distance.shape)], axis=1)

    def excess(self, gamma: float, f: np.ndarray) -> np.ndarray:
        """Return the excess fraction at the compiled outputs `f`."""
        return self.generated.excess_at(f, self.units(np.array([gamma]))[0, 0])

    def output_of(self, gamma: float, f: np.ndarray) -> np.ndarray:
        """Return the model's outputs at the compiled outputs `f`."""
        row, count = self.generated.list_rows(np.array([gamma]))[0], len(self.generated.constants)
        return row[count + 2] + f * row[count]

    def parameters_of(self, gamma: float, states: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters by name, from the kernel's states (..., parameters)."""
        starts = self.generated.list_rows(np.array([gamma]))[0][len(self.generated.constants) + 3:]
        return dict(zip(self.model.parameters, np.moveaxis(states + starts, -1, 0), strict=True))

    def observe(self, gamma: float, states: np.ndarray, f: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `trajectory` records, by name, from the kernel's states (T + 1, parameters) and f (T + 1,)."""
        from toymodels.own.hessian import evaluate_sharpness

        row = self.generated.list_rows(np.array([gamma]))[0]
        count = len(self.generated.constants)
        distance, begin, starts = row[count], row[count + 2], row[count + 3:]
        parameters = states + starts
        with np.errstate(all="ignore"):
            gradient = self.generated.numpy["evaluate_output"](row[:count + 2], *states.T)[1:]
            kernel = sum(np.broadcast_to(g, f.shape) ** 2 for g in gradient)
            output = begin + f * distance
            return {"f": output, "loss": self.generated.loss_at(output), "excess": self.excess(gamma, f),
                    "sharpness": evaluate_sharpness(self.model, self.loss, gamma, parameters, output), "kernel": kernel} | dict(
                        zip(self.model.parameters, parameters.T / self.scale, strict=True))
