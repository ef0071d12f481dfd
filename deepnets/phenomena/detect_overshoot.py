"""The cross-entropy triangle: whether a loss that rises and then trains is a kernel catapult or linear overshoot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from deepnets.phenomena.loss_curves import as_loss
from deepnets.run_outcomes import CATAPULT_PEAK
from validation.arguments import between, choose, positive

LINEARISED = 1e-10      # the gamma that stands for 0: as differences are propagated, no digits are lost
FELL = 0.9              # of its first size: a smaller kernel has fallen, as in the toys
ALIKE = 0.1             # in log10, of the peaks


class Kind(StrEnum):
    """What a peak of the loss is."""

    NONE = "none"                          # the loss did not rise, or the run did not train
    LINEAR = "linear overshoot"            # the linearised network has the same peak and trains; the kernel has not fallen
    KERNEL = "kernel catapult"             # the kernel fell, and the linearised network did not train or had another peak
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Overshoot:
    """A peak of the loss, and its cause.

    Attributes
    ----------
    kind : none, linear overshoot, kernel catapult, undecided.
    peak, final : the largest and the last excess.
    linear_peak, linear_final : those of the linearised network at the same ``eta/gamma^2``; infinite where it diverged.
    kernel : the kernel's last size over its first.
    fired : whether there is a peak: the excess exceeds 1.05, and the run trained.
    """

    kind: Kind
    peak: float
    final: float
    linear_peak: float
    linear_final: float
    kernel: float
    fired: bool

    @property
    def sentence(self) -> str:
        """The peak in one line."""
        return (f"{self.kind}: the excess peaks at {self.peak:.3g} and ends at {self.final:.3g}, the linearised network's at "
                f"{self.linear_peak:.3g} and {self.linear_final:.3g}; the kernel ends at {self.kernel:.3g} of its first size")


def overshoot(loss: ArrayLike, linear: ArrayLike, kernel: float, zero_output_loss: ArrayLike | None = None, rho: float = 0.5,
              least: float = 0.0) -> Overshoot:
    """Detect the cause of a peak of the loss, by that of the linearised network (gamma to 0 at the same ``eta/gamma^2``) and by the kernel.

    For separable classes the loss has no minimum: logits overshoot, the loss peaks, and logits go on growing in the right direction while
    the kernel stays as it was. In a catapult the kernel falls until eta is stable; the linearised network, whose kernel cannot fall, does
    not train.

    Parameters
    ----------
    loss, linear : (T + 1,), of the run and of the linearised one on the same batches (`add_linearised_runs`), full batches or not.
    kernel : the tangent kernel's last size over its first, as of `measures.kernel_size`.
    zero_output_loss : (T + 1,), of the same batches, where they differ: the excess is then of ten-step means; None: full batches.
    rho : the excess at which a run counts as trained.
    least : the least possible loss: for targets that are probabilities, their mean entropy.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> from deepnets.phenomena import overshoot
    >>> print(overshoot([1.0, 5.0, 0.1], [1.0, 5.1, 0.1], kernel=1.0).kind)
    linear overshoot
    >>> print(overshoot([1.0, 5.0, 0.1], [1.0, 9.0, 81.0], kernel=0.5).kind)
    kernel catapult
    """
    between("rho", rho, 0, 1)
    ratio = float(positive("kernel", kernel))
    (_, run), (_, straight) = as_loss(loss, zero_output_loss, least), as_loss(linear, zero_output_loss, least)
    peak, final, linear_peak, linear_final = (float(v) for e in (run, straight) for v in (e.max(), e[-1]))
    fired = peak > CATAPULT_PEAK and final <= rho
    same = linear_final <= rho and abs(np.log10(linear_peak / peak)) <= ALIKE
    kind = (Kind.NONE if not fired else Kind.LINEAR if same and ratio >= FELL else
            Kind.KERNEL if not same and ratio < FELL else Kind.UNDECIDED)
    return Overshoot(kind, peak, final, linear_peak, linear_final, ratio, bool(fired))


def add_linearised_runs(gamma: ArrayLike, eta: ArrayLike, power: Literal[1, 2] = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return gammas and etas of P runs, followed by those of the linearised ones: gamma = 1e-10 at the same ``eta/gamma^power``.

    Parameters
    ----------
    gamma, eta : (P,) or numbers, > 0.
    power : 2 for SGD and momentum, 1 for SignSGD and Adam.

    Returns
    -------
    gamma, eta : (2 P,) each.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """
    choose("power", power, (1, 2))
    g, rate = np.broadcast_arrays(np.atleast_1d(positive("gamma", gamma)), np.atleast_1d(positive("eta", eta)))
    return np.r_[g, np.full(g.shape, LINEARISED)], np.r_[rate, rate * (LINEARISED / g) ** power]
