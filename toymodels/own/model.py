"""A model of one's own: its output in sympy, the start of its parameters, and the output that it is trained towards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from validation.arguments import Misuse, between

if TYPE_CHECKING:
    import sympy

MOST_PARAMETERS = 8
TAKEN = ("f", "loss", "excess", "sharpness", "kernel", "step", "gamma", "eta")      # names in trajectories
GAMMAS = 10.0 ** np.arange(-8, 9)      # at which a model is checked


@dataclass(frozen=True)
class Model:
    """A model of one's own, ``theta_k <- theta_k - eta l'(f) df/dtheta_k``, with the output f as it is written: nothing is re-centred.

    Attributes
    ----------
    output : f, a sympy expression in the parameters and the symbol named gamma.
    start : a mapping from each parameter (a sympy symbol, up to 8) to where it starts, a number or an expression in gamma.
    target : y of the loss; the losses of the package are least at f = y.

    Raises
    ------
    Misuse : a model without gamma, parameters without a start or more than 8, an output or gradient at the start that is not finite, or
        not real, or a gradient that vanishes there; a name that cannot be stored.

    Examples
    --------
    >>> import sympy
    >>> w, v, gamma = sympy.symbols("w v gamma", positive=True)
    >>> model = Model(output=(w * v - 1)/gamma, start={w: 1, v: 1})
    >>> model.describe()["output"]
    '(v*w - 1)/gamma'
    """

    output: sympy.Expr
    start: Mapping[Any, Any]
    target: float = 1.0

    name: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        from toymodels.own.expressions import is_name, make_symbol, normalise_symbols

        output = normalise_symbols("output", self.output)
        try:
            start = dict(self.start)
        except (TypeError, ValueError):
            raise Misuse(f"start must map each parameter, a sympy symbol, to its value, not {self.start!r}") from None
        names = [str(getattr(s, "name", s)) for s in start]
        if not all(map(is_name, names)) or len(set(names)) < len(names):
            raise Misuse(f"start must map each parameter, a sympy symbol, to its value, not {self.start!r}")
        if not 1 <= len(names) <= MOST_PARAMETERS:
            raise Misuse(f"start must hold 1 to {MOST_PARAMETERS} parameters, not {len(names)}")
        taken = [n for n in names if n in TAKEN]
        if taken:
            raise Misuse(f"parameters must not be named {', '.join(TAKEN)}, which have meanings of their own; one is {taken[0]!r}")
        free = {s.name for s in output.free_symbols}
        if free - {"gamma", *names}:
            raise Misuse(f"output must have no symbols but gamma and the parameters in start; it also has {min(free - {'gamma', *names})}")
        if set(names) - free:
            raise Misuse(f"start must hold only parameters of the output, which has no {min(set(names) - free)}")
        values = [normalise_symbols(f"start of {n}", v) for n, v in zip(names, start.values(), strict=True)]
        for n, value in zip(names, values, strict=True):
            if {s.name for s in value.free_symbols} - {"gamma"}:
                raise Misuse(f"start of {n} must be a number or an expression in gamma, not {value}")
        if "gamma" not in free | {s.name for v in values for s in v.free_symbols}:
            raise Misuse(f"output must depend on the symbol gamma, the feature-learning strength; it is {output}")
        object.__setattr__(self, "output", output)
        object.__setattr__(self, "start", dict(zip(map(make_symbol, names), values, strict=True)))
        object.__setattr__(self, "target", between("target", self.target, -np.inf, np.inf))
        self._check_start()

    def __hash__(self) -> int:
        return hash((self.output, tuple(self.start.items()), self.target))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self._key() == other._key()

    def _key(self) -> tuple[Any, ...]:
        return self.output, tuple(self.start.items()), self.target

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of `start`."""
        return tuple(s.name for s in self.start)

    def describe(self) -> dict[str, Any]:
        """Return the model as JSON: expressions as text."""
        return {"name": "own", "output": str(self.output), "start": [[s.name, str(v)] for s, v in self.start.items()],
                "target": self.target}

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Model:
        """Return the model of a description, as `describe` returns it; its text is read as data.

        Raises
        ------
        Misuse : it has other entries, or a text that is no such expression.
        """
        from toymodels.own.expressions import is_name, make_symbol, read_expression

        try:
            names = [str(n) for n, _ in description["start"]]
            if description.keys() != {"name", "output", "start", "target"}:
                raise KeyError
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Misuse("description of a model must have a name, an output, a start (pairs of a parameter and its value) and a target, "
                         f"not {description!r}") from None
        if not 1 <= len(names) <= MOST_PARAMETERS or len(set(names)) < len(names) or not all(map(is_name, names)):
            raise Misuse(f"start must hold 1 to {MOST_PARAMETERS} parameters with names of their own, not {names!r}")
        start = {make_symbol(n): read_expression(f"start of {n}", v, ["gamma"]) for n, v in description["start"]}
        return cls(read_expression("output", description["output"], [*names, "gamma"]), start, description["target"])

    def _check_start(self) -> None:
        """Raise `Misuse` where output or gradient at the start are not finite and real, or the gradient vanishes."""
        import sympy

        from toymodels.own.differences import differentiate, evaluate_exactly, rewrite_exponentials
        from toymodels.own.expressions import make_symbol

        gamma = make_symbol("gamma")
        expressions = [self.output, *(sympy.diff(self.output, s).replace(sympy.DiracDelta, lambda *_: 0) for s in self.start)]
        begin = [*self.start.values(), *(e.xreplace(dict(self.start)) for e in expressions)]
        if any(e.has(sympy.zoo, sympy.nan, sympy.oo) for e in begin):
            raise Misuse("output and its gradient must be finite at the start; they are not")
        evaluate = sympy.lambdify(gamma, begin, "numpy")
        for value in GAMMAS:
            found = _evaluate(evaluate, value)
            if not np.isfinite(found).all():
                at = f"at gamma = {value:g}"
                if np.abs(_evaluate(evaluate, complex(value)).imag).max() > 0:
                    raise Misuse(f"output and its gradient must be real at the start; {at} they are complex")
                raise Misuse(f"output and its gradient must be finite at the start; {at} they are not")
        output = rewrite_exponentials(self.output)
        slopes = evaluate_exactly(gamma, [differentiate(output, s).xreplace(dict(self.start)) for s in self.start])     # as runs have them
        if not any(slope != 0 for value in GAMMAS for slope in slopes(value)):
            raise Misuse("start must be a point at which the output has a gradient; there it vanishes, so that no run would move")


def _evaluate(function: Any, gamma: Any) -> np.ndarray:
    """Return the function's numbers at one gamma, NaN where they do not exist."""
    with np.errstate(all="ignore"):
        try:
            return np.array([complex(x) for x in function(gamma)]) if isinstance(gamma, complex) else np.array(function(gamma), float)
        except (TypeError, ZeroDivisionError, OverflowError, AttributeError):
            return np.array([np.nan])
