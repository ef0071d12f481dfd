"""What a command line says of observables: which, after which steps, on how many samples; torch is imported when they are measured."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from validation.arguments import Misuse, choose, whole
from validation.cli_options import Whole

# name: what it measures; in the order in which they are measured and drawn
NAMES: dict[str, str] = {
    "hessian": "the largest eigenvalues of the Hessian in u, the smallest, and the trace",
    "gauss-newton": "the largest eigenvalues of the Hessian's Gauss-Newton part in u",
    "residual": "the largest and the smallest eigenvalue of the Hessian's residual part in u",
    "sharpness": "eta lambda/2: SGD on a quadratic trains below 1",
    "kernel": "the tangent kernel's size in three norms, and how far it is from its start",
    "alignment": "the alignment of the last hidden kernel with the targets in three norms, plain and centred",
    "rank": "the effective rank of the last hidden kernel",
    "weights": "how far each weight has moved from its start, in three norms",
    "activations": "how far what each layer reads and makes has moved from its start",
    "agreement": "correlations of the runs' outputs with one another",
}
USUAL = ("hessian", "sharpness", "alignment", "weights")
A_DECADE = 2      # looks a decade of steps, and gammas a decade of the plane


@dataclass(frozen=True)
class ObserveOptions:
    """What is observed of runs along the best rates of a portrait.

    Parameters
    ----------
    observe
        Observables with commas, or all: hessian, gauss-newton, residual, sharpness, kernel, alignment, rank, ...
    observe_at
        Numbers of steps after which to look, with commas, T for the last; if not given, 0 and two a decade up to T.
    observe_samples
        Samples of the batch on which all looks are taken; if not given, 128, or the batch size if that is larger.
    """

    observe: str | None = None
    observe_at: str | None = None
    observe_samples: Whole | None = None

    def __post_init__(self) -> None:
        if self.observe is None:
            if self.observe_at is not None or self.observe_samples is not None:
                raise Misuse("observe_at and observe_samples go with observe, which names what is observed: " + ", ".join(NAMES))
            return
        named(self.names)
        if self.observe_samples is not None:
            whole("observe_samples", self.observe_samples, 2)
        if self.observe_at is not None and not re.fullmatch(r"(\d+|T)(,(\d+|T))*,?", self.observe_at):
            raise Misuse(f"observe_at must be numbers of steps with commas, such as 0,10,100,T, not {self.observe_at!r}")

    @property
    def names(self) -> list[str]:
        """What is to be observed, as it was named; nothing where nothing was."""
        return [] if self.observe is None else [n.strip() for n in self.observe.split(",") if n.strip()]

    def at(self, T: int) -> tuple[int, ...]:
        """Return the numbers of steps after which to look, of runs of T steps."""
        if self.observe_at is None:
            return usual_steps(T)
        told = sorted({T if word == "T" else int(word) for word in self.observe_at.split(",") if word})
        if told[-1] > T:
            raise Misuse(f"observe_at must be at most T = {T} steps, not {told[-1]}")
        return tuple(told)


def named(names: Iterable[str]) -> tuple[str, ...]:
    """Return the observables of these names, in their own order, each once; "all" names every one.

    Raises
    ------
    Misuse : a name that none has, with the list of those there are; no name.
    """
    told = [str(n).strip() for n in names]
    for name in told:
        choose("observe", name, ["all", *NAMES])
    if not told:
        raise Misuse(f"observe must name at least one of {', '.join(NAMES)}")
    return tuple(n for n in NAMES if n in told or "all" in told)


def usual_steps(T: int) -> tuple[int, ...]:
    """Return 0 and two numbers of steps a decade up to T."""
    many = int(np.ceil(np.log10(T) * A_DECADE)) + 1
    return (0, *sorted({round(t) for t in np.geomspace(1, T, many)}))
