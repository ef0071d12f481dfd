"""Command-line options of `--observe`: which observables, after which steps, on how many samples."""

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
    "sharpness": "N eta lambda/2: SGD on a quadratic loss trains below 1",
    "kernel": "norms of the tangent kernel (nuclear, Frobenius, operator), and its change since initialization",
    "alignment": "alignment of the last hidden kernel with the targets in three norms, plain and centred",
    "rank": "effective rank of the last hidden kernel",
    "weights": "change of each weight matrix since initialization, in three norms",
    "activations": "change of each layer's inputs and outputs since initialization",
    "agreement": "correlations of the runs' outputs with one another",
}
USUAL = ("hessian", "sharpness", "alignment", "weights")
PER_DECADE = 2      # snapshots per decade of steps, and gammas per decade of the plane


@dataclass(frozen=True)
class ObserveOptions:
    """What is observed of runs along the best rates of a portrait.

    Parameters
    ----------
    observe
        Observables with commas, or all: hessian, gauss-newton, residual, sharpness, kernel, alignment, rank, ...
    observe_at
        Numbers of steps after which to measure, with commas, T for the last; if not given, 0 and two a decade up to T.
    observe_samples
        Samples of the batch on which observables are measured; if not given, 128, or the batch size if that is larger.
    """

    observe: str | None = None
    observe_at: str | None = None
    observe_samples: Whole | None = None

    def __post_init__(self) -> None:
        if self.observe is None:
            if self.observe_at is not None or self.observe_samples is not None:
                raise Misuse("observe_at and observe_samples go with observe, which names what is observed: " + ", ".join(NAMES))
            return
        order_names(self.names)
        if self.observe_samples is not None:
            whole("observe_samples", self.observe_samples, 2)
        if self.observe_at is not None and not re.fullmatch(r"(\d+|T)(,(\d+|T))*,?", self.observe_at):
            raise Misuse(f"observe_at must be numbers of steps with commas, such as 0,10,100,T, not {self.observe_at!r}")

    @property
    def names(self) -> list[str]:
        """The observables as they were entered; empty if `observe` is None."""
        return [] if self.observe is None else [n.strip() for n in self.observe.split(",") if n.strip()]

    def at(self, T: int) -> tuple[int, ...]:
        """Return the numbers of steps after which runs of T steps are measured."""
        if self.observe_at is None:
            return usual_steps(T)
        steps = sorted({T if word == "T" else int(word) for word in self.observe_at.split(",") if word})
        if steps[-1] > T:
            raise Misuse(f"observe_at must be at most T = {T} steps, not {steps[-1]}")
        return tuple(steps)


def order_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return observables in the order of `NAMES`, each once; "all" stands for every one.

    Raises
    ------
    Misuse : an unknown name, with the list of the known ones; no name.
    """
    entered = [str(n).strip() for n in names]
    for name in entered:
        choose("observe", name, ["all", *NAMES])
    if not entered:
        raise Misuse(f"observe must name at least one of {', '.join(NAMES)}")
    return tuple(n for n in NAMES if n in entered or "all" in entered)


def usual_steps(T: int) -> tuple[int, ...]:
    """Return 0 and two numbers of steps a decade up to T."""
    count = int(np.ceil(np.log10(T) * PER_DECADE)) + 1
    return (0, *sorted({round(t) for t in np.geomspace(1, T, count)}))
