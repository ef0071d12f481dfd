"""Train a module of the zoo by the package and by plain float64 training of two copies, and compare the final excess losses."""

from __future__ import annotations

import json
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
from tests.deepnets.zoo.rates import train_reference
from tests.deepnets.zoo.reference import BATCH, STEPS
from validation import Misuse

GAMMAS = (1e-6, 1e-3, 1.0, 100.0)
ALLOWED = 1e-4        # of the movement


@dataclass(frozen=True)
class Result:
    """How a module was trained with one loss.

    Attributes
    ----------
    entry, loss : what was trained.
    how : "pairs", "copies", "refused" or "error".
    difference : the largest |excess - reference| over the movement |1 - reference|; None where nothing was trained.
    why : the sentence of a refusal, an error or a fall back.
    """

    entry: Entry
    loss: str
    how: str
    difference: float | None
    why: str = ""

    @property
    def silent(self) -> bool:
        """Whether another network was trained."""
        return self.difference is not None and not self.difference <= ALLOWED

    @property
    def refused_by_name(self) -> bool:
        """Whether it was refused with the word that the entry names."""
        return self.how == "refused" and self.entry.refusal is not None and self.entry.refusal in self.why

    @property
    def right(self) -> bool:
        """Whether the network was trained, or refused where it must be."""
        return self.refused_by_name if self.difference is None else not self.silent

    def __str__(self) -> str:
        outcome = "" if self.difference is None else f"{self.difference:.1e}"
        return f"{'' if self.right else 'WRONG '}{self.entry.name} [{self.loss}]: {self.how} {outcome} {self.why[:300]}"


def compare(entry: Entry, loss: str, method: str = "auto", gammas: Sequence[float] = GAMMAS) -> Result:
    """Train an entry on a plane of one rate a gamma, by both."""
    gamma = np.array(gammas)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        experiment = DeepExperiment(entry.network, entry.task, loss, steps=STEPS, batch_size=BATCH, device="cpu", method=method)
        try:
            if entry.refusal is not None:
                experiment.check()
            eta, expected = train_reference(entry, loss, gammas)
            portrait = experiment.measure(gamma, eta[:, None])
        except Misuse as error:
            return Result(entry, loss, "refused", None, str(error))
        except Exception as error:
            return Result(entry, loss, "error", None, f"{type(error).__name__}: {error}")
    if "failures" in portrait.attrs:
        return Result(entry, loss, "error", None, json.loads(portrait.attrs["failures"])[0]["traceback"].strip().splitlines()[-1])
    off = np.abs(portrait["final_excess"].values[0, :, 0] - expected) / np.abs(1 - expected)
    fell = next((str(w.message) for w in caught if w.category.__name__ == "FellBack"), "")
    return Result(entry, loss, portrait.attrs["method"], float(off.max()), fell)


def run(entries: Iterable[tuple[Entry, str]]) -> list[Result]:
    """Compare entries, each with a loss, in one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [compare(entry, loss) for entry, loss in entries]
    finally:
        torch.set_num_threads(threads)


def list_all() -> list[tuple[Entry, str]]:
    """Return every entry that is installed, with each of its losses."""
    return [(entry, loss) for entry in ZOO.values() if entry.installed for loss in entry.losses]


def list_once() -> list[tuple[Entry, str]]:
    """Return every entry that is installed, with one loss, in turn."""
    installed = [entry for entry in ZOO.values() if entry.installed]
    return [(entry, entry.losses[i % len(entry.losses)]) for i, entry in enumerate(installed)]


def list_part() -> list[tuple[Entry, str]]:
    """Return a part of it: of each family the first and then every 16th entry, with one loss, in turn; the page compares all."""
    part, seen = [], {}
    for entry in ZOO.values():
        count = seen[entry.family] = seen.get(entry.family, -1) + 1
        if entry.installed and count % 16 == 0:
            part.append((entry, entry.losses[len(part) % len(entry.losses)]))
    return part
