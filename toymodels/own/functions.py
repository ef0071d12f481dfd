"""Generate the functions of a model and a loss of one's own: output, gradient, slope and excess, as source, checked with many digits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toymodels.own.loss import Loss, Minimum, solve_minimum
from toymodels.own.model import GAMMAS, Model
from validation.arguments import Misuse
from validation.user_warnings import warn_user

DIGITS = 50
TOLERANCE = 1e-9      # relative, of generated output, gradient, slope and excess


@dataclass(frozen=True, eq=False)
class Generated:
    """Generated functions.

    Attributes
    ----------
    model, loss, minimum : what they are of.
    source : of ``evaluate_output(constants, x0, x1, ...)``, which returns f less its start and the gradient at the differences x of the
        parameters from their start, and of ``evaluate_slope(d)`` and ``evaluate_loss(d)``, l' and l less its least value at the distance d
        from the minimum.
    kernels : gamma -> the kernel at the minimum that gradient flow reaches, as far as it has been computed.
    constants : the expressions in gamma of the row of constants; two follow them, the distance from start to minimum and its inverse.
    """

    model: Model
    loss: Loss
    minimum: Minimum
    source: str
    constants: tuple[Any, ...]
    kernels: dict[float, float] = field(default_factory=dict)
    _rows: dict[float, tuple[float, ...]] = field(default_factory=dict)

    def __reduce__(self) -> Any:
        """Generate them anew in another process: functions of a source cannot be sent."""
        return generate, (self.model, self.loss)

    @cached_property
    def digest(self) -> int:
        """A number that identifies the source, and what it is inlined into."""
        from toymodels import arithmetic

        return int(hashlib.sha256(self.source.encode() + Path(arithmetic.__file__).read_bytes()).hexdigest()[:15], 16)

    @cached_property
    def numpy(self) -> dict[str, Any]:
        """The functions in numpy, by name."""
        return execute(self.source, numpy_names())

    @cached_property
    def _evaluate_constants(self) -> Any:
        import sympy

        from toymodels.own.differences import evaluate_exactly

        gamma = sympy.Symbol("gamma", positive=True)
        begin = self.model.output.xreplace(dict(self.model.start))
        return evaluate_exactly(gamma, [*self.constants, begin, *self.model.start.values()])

    def list_rows(self, gamma: np.ndarray) -> np.ndarray:
        """Return, for each gamma (n,), the constants, the distance from start to minimum, its inverse, f and parameters at the start."""
        import mpmath

        for value in {float(g) for g in gamma} - self._rows.keys():
            with mpmath.workdps(DIGITS):
                *found, = self._evaluate_constants(mpmath.mpf(value))
                count = len(self.constants)
                distance = self.minimum.value - found[count]
                if abs(distance) <= 1e-12 * max(abs(self.minimum.value), abs(found[count])):
                    raise Misuse(f"start must not be a minimum; at gamma = {value:g} the output starts at {float(found[count]):g}, where "
                                 "the loss is least")
                if not np.isfinite(self._evaluate_excess(-float(distance))):
                    raise Misuse(f"start must have a finite loss; at gamma = {value:g} the output starts at {float(found[count]):g}, where "
                                 "the loss overflows")
                self._rows[value] = tuple(float(x) for x in (*found[:count], distance, 1 / distance, *found[count:]))
        return np.array([self._rows[float(g)] for g in gamma]).reshape(len(gamma), -1)

    def _evaluate_excess(self, distance: float) -> float:
        """Return the loss at a distance from the minimum, less its least value."""
        with np.errstate(all="ignore"):
            return float(self.numpy["evaluate_loss"](np.float64(distance)))

    def constants_of(self, gamma: np.ndarray) -> np.ndarray:
        """Return the rows of constants (n, c) as the source expects them."""
        return np.ascontiguousarray(self.list_rows(gamma)[:, :len(self.constants) + 2])

    @cached_property
    def _evaluate_loss(self) -> Any:
        import sympy

        from toymodels.own.differences import rewrite_exponentials

        return sympy.lambdify((self.loss.f, self.loss.y), rewrite_exponentials(self.loss.formula), [numpy_names(), "numpy"])

    def loss_at(self, f: np.ndarray) -> np.ndarray:
        """Return the loss at outputs f."""
        return np.asarray(self._evaluate_loss(f, self.model.target), dtype=np.float64)

    def excess_at(self, z: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Return the excess fraction at z, which is 0 at the start and 1 at the minimum (shapes broadcast)."""
        with np.errstate(all="ignore"):
            above = self.numpy["evaluate_loss"]((z - 1.0) * distance) / self.numpy["evaluate_loss"](-distance)
        return np.where(z == 0.0, 1.0, above)


def execute(source: str, names: dict[str, Any]) -> dict[str, Any]:
    """Return the functions of a source that this package has written, run with these names."""
    scope = dict(names)
    exec(compile(source, "<generated>", "exec"), scope)      # our own text, made from an expression
    return scope


def numpy_names() -> dict[str, Any]:
    """Return numpy's functions by the names that the source uses."""
    from scipy.special import erf, expit

    same = ("exp", "log", "log1p", "sqrt", "sin", "cos", "tanh", "sinh", "cosh", "where", "sign", "nan", "abs")
    return {name: getattr(np, name) for name in same} | {
        "expm1": lambda x: np.expm1(np.minimum(x, 709.0)), "sigmoid": expit, "softplus": lambda x: np.logaddexp(0.0, x),
        "atan": np.arctan, "erf": erf}


@cache
def generate(model: Model, loss: Loss) -> Generated:
    """Return the functions of a model and a loss; where they lose digits, one warning says at which gammas.

    Raises
    ------
    Misuse : the loss has no minimum for the model's target.
    """
    import sympy

    from toymodels.own.differences import Differences, differentiate, rewrite_exponentials
    from toymodels.own.source import Hoist, write_function

    minimum = solve_minimum(loss, model.target)
    output = rewrite_exponentials(model.output)
    moves = [sympy.Symbol(f"x{k}", real=True) for k in range(len(model.start))]
    moved = {s: v + x for (s, v), x in zip(model.start.items(), moves, strict=True)}
    pairs = Differences(model.start, moved)
    hoist = Hoist(moves)
    gradient = [pairs.value(_simplify(differentiate(output, s))) for s in model.start]
    results = [hoist.replace(e) for e in (pairs.difference(output), *gradient)]
    constants = [str(s) for s in hoist.constants.values()]
    unpack = f"{', '.join([*constants, 'distance', 'inverse'])} = constants"
    source = write_function("evaluate_output", ", ".join(["constants", *map(str, moves)]), results, [unpack])
    source += "\n\n" + _write_loss(loss, minimum, model.target)
    generated = Generated(model, loss, minimum, source, tuple(hoist.constants))
    _check(generated)
    return generated


def _simplify(gradient: Any) -> Any:
    """Return the gradient as a product, where that is shorter."""
    import sympy

    if gradient.has(sympy.Piecewise, sympy.Abs, sympy.sign) or sympy.count_ops(gradient) > 100:
        return gradient
    product = sympy.factor(sympy.together(gradient))
    return product if sympy.count_ops(product) < sympy.count_ops(gradient) else gradient


def _write_loss(loss: Loss, minimum: Minimum, target: float) -> str:
    """Return the source of slope and excess, as differences from the minimum."""
    import mpmath
    import sympy

    from toymodels.own.differences import Differences, differentiate, rewrite_exponentials
    from toymodels.own.source import Hoist, write_function

    d, least = sympy.Symbol("d", real=True), sympy.Symbol("least", real=True)
    begin = loss.y if minimum.at_target else least
    formula = rewrite_exponentials(loss.formula)
    fixed = {"y": mpmath.mpf(target), "least": minimum.value}
    pairs = Differences({loss.f: begin}, {loss.f: begin + d}, fixed)
    functions = []
    for name, e in (("evaluate_slope", differentiate(formula, loss.f)), ("evaluate_loss", formula)):
        hoist = Hoist([d])
        written = hoist.replace(pairs.difference(e))
        numbers = hoist.numbers({loss.y: fixed["y"], least: fixed["least"]})
        functions.append(write_function(name, "d", [written], numbers=numbers))
    direct = "\n\n".join(functions)
    if _loss_error(direct, loss, minimum, target) < TOLERANCE:
        return direct
    # near the minimum the terms of first order cancel: there the integral of the slope
    nodes, weights = np.polynomial.legendre.leggauss(5)
    total = " + ".join(f"{float(w / 2)!r} * evaluate_slope(d * {float((1 + x) / 2)!r})" for x, w in zip(nodes, weights, strict=True))
    near = (f"{functions[0]}\n\n{functions[1].replace('evaluate_loss', 'evaluate_far')}\n\ndef evaluate_loss(d):\n"
            f"    near = where(abs(d) < 0.03, d, 0.0)\n    d_near = near\n"
            f"    inner = d_near * ({total.replace('(d *', '(near *')})\n    return where(abs(d) < 0.03, inner, evaluate_far(d))\n")
    if _loss_error(near, loss, minimum, target) > TOLERANCE:
        warn_user(f"the excess of the loss {loss.formula} loses digits near its minimum: {_loss_error(near, loss, minimum, target):.0e} of "
                  "it within 1e-6 of the minimum", RuntimeWarning)
        return direct
    return near


def _loss_error(source: str, loss: Loss, minimum: Minimum, target: float) -> float:
    """Return the largest relative error of slope and excess at distances of 1e-6 to 10 from the minimum."""
    import mpmath

    from toymodels.own.differences import differentiate, evaluate_exactly, rewrite_exponentials

    scope = execute(source, numpy_names())
    formula = rewrite_exponentials(loss.formula)
    value, slope = (evaluate_exactly((loss.f, loss.y), e) for e in (formula, differentiate(formula, loss.f)))
    worst = 0.0
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        y = mpmath.mpf(target)
        begin = value(minimum.value, y)
        for d in (s * x for x in (1e-6, 1e-4, 1e-2, 0.029, 0.4, 10.0, 1e6) for s in (-1, 1)):
            f = minimum.value + mpmath.mpf(d)
            for exact, found in ((value(f, y) - begin, scope["evaluate_loss"](np.float64(d))),
                                 (slope(f, y), scope["evaluate_slope"](np.float64(d)))):
                if 1e-300 < abs(exact) < 1e300:
                    worst = max(worst, abs(float((mpmath.mpf(float(found)) - exact) / exact)) if np.isfinite(found) else np.inf)
    return worst


def _check(generated: Generated) -> None:
    """Compare output and gradient with many digits at random states, and warn where they lose digits.

    An error is allowed that a change of the state by its own rounding makes as well.
    """
    import mpmath
    import sympy

    from toymodels.own.differences import evaluate_exactly

    model, count, bad, minima = generated.model, len(generated.constants), [], []
    gamma = sympy.Symbol("gamma", positive=True)
    exact = evaluate_exactly((gamma, *model.start), [model.output, *(sympy.diff(model.output, s).replace(sympy.DiracDelta, lambda *_: 0)
                                                                   for s in model.start)])
    rng = np.random.default_rng(0)
    for g in GAMMAS:
        moves = rng.normal(size=(6, len(model.start))) * np.array([0.01, 0.1, 1, 1, 0.1, 1])[:, None]
        try:
            [row] = generated.list_rows(np.array([g]))
        except Misuse as error:
            minima.append(error)
            continue
        with np.errstate(all="ignore"), mpmath.workdps(DIGITS):
            begin = _starts(generated, g)
            first, *slopes = exact(mpmath.mpf(g), *begin)
            norm = float(mpmath.norm(slopes))
            moves[:3] *= abs(row[count]) / norm if norm > 0 else 1.0
            for x in moves:
                values, near = (exact(mpmath.mpf(g), *(s + mpmath.mpf(float(k)) * stretch for s, k in zip(begin, x, strict=True)))
                                for stretch in (1, 1 + mpmath.mpf(2) ** -50))
                if any(isinstance(v, mpmath.mpc) or not abs(v) < 1e150 for v in values):
                    continue
                found = [float(np.ravel(v)[0]) for v in generated.numpy["evaluate_output"](row[:count + 2], *x)]
                scale = abs(values[0] - first) + sum(abs(s * float(k)) for s, k in zip(values[1:], x, strict=True))
                allowed = [TOLERANCE * s + 100 * abs(a - b) + 1e-290
                           for s, a, b in zip([scale] + [max(map(abs, values[1:]))] * len(x), values, near, strict=True)]
                if not np.isfinite(found).all() or any(abs(a - b) > most for a, b, most in
                                                       zip(found, [values[0] - first, *values[1:]], allowed, strict=True)):
                    bad.append(g)
    if len(minima) == len(GAMMAS):
        raise minima[0]
    if bad:
        where = f"at gamma <= {max(bad):g}" if max(bad) <= 1 else f"at gamma from {min(bad):g} to {max(bad):g}"
        warn_user(f"the output {model.output} loses digits {where}, where it is the difference of nearly equal numbers; another form of it "
                  "may not", RuntimeWarning)


def _starts(generated: Generated, gamma: float) -> list[Any]:
    """Return the parameters at the start, with many digits."""
    import mpmath

    with mpmath.workdps(DIGITS):
        return list(generated._evaluate_constants(mpmath.mpf(gamma))[len(generated.constants) + 1:])
