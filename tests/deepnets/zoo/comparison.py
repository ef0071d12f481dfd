"""Train a module of the zoo by the package and by plain float64 training of two copies, and compare the final excess losses."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from deepnets import DeepExperiment
from tests.deepnets.zoo import (  # noqa: F401 - each adds its modules
    attention,
    complex_numbers,
    convolutional,
    data_dependent,
    gradients,
    interfaces,
    libraries,
    randomness,
    recurrent,
    vector_layers,
    writes,
)
from tests.deepnets.zoo.entry import ZOO, Entry
from tests.deepnets.zoo.reference import BATCH, LOSSES, STEPS, choose_rates
from validation import Misuse

GAMMAS = (1e-6, 1e-3, 1.0, 100.0)
ALLOWED = 1e-4        # of the movement


@dataclass(frozen=True)
class Result:
    """How a module was trained with one loss.

    Attributes
    ----------
    name, loss : of the module and the loss.
    how : "pairs", "copies", "refused" or "error".
    difference : the largest |excess - reference| over the movement |1 - reference|; None where nothing was trained.
    why : the sentence of a refusal, an error or a fall back.
    """

    name: str
    loss: str
    how: str
    difference: float | None
    why: str = ""

    @property
    def silent(self) -> bool:
        """Whether another network was trained."""
        return self.difference is not None and not self.difference <= ALLOWED


def compare(entry: Entry, loss: str, method: str = "auto", gammas: Sequence[float] = GAMMAS) -> Result:
    """Train an entry on a plane of one rate a gamma, by both."""
    gamma = np.array(gammas)
    module = entry.network(0)
    eta, expected = choose_rates(module, entry.task, LOSSES[loss], gamma)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            experiment = DeepExperiment(entry.network, entry.task, loss, steps=STEPS, batch_size=BATCH, device="cpu")
            portrait = experiment.measure(gamma, eta[:, None])
        except Misuse as error:
            return Result(entry.name, loss, "refused", None, str(error))
        except Exception as error:
            return Result(entry.name, loss, "error", None, f"{type(error).__name__}: {error}")
    if "failures" in portrait.attrs:
        return Result(entry.name, loss, "error", None, str(portrait.attrs["failures"])[-300:])
    found = portrait["final_excess"].values[0, :, 0]
    fell = [str(w.message) for w in caught if w.category.__name__ == "FellBack"]
    off = np.abs(found - expected) / np.abs(1 - expected)
    return Result(entry.name, loss, "copies" if fell else "pairs", float(off.max()), fell[0] if fell else "")


def run(entries: Iterable[tuple[Entry, str]]) -> list[Result]:
    """Compare entries, each with a loss."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [compare(entry, loss) for entry, loss in entries]
    finally:
        torch.set_num_threads(threads)


def pairs_of_losses(entries: Iterable[Entry] | None = None) -> list[tuple[Entry, str]]:
    """Return every installed entry with each of its losses."""
    return [(e, loss) for e in (entries or ZOO.values()) if e.installed for loss in e.losses]
