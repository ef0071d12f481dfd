"""A file of the trials of a search: written after each batch of runs, read by the same search when it is called again."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from validation.arguments import Misuse
from validation.experiment import FINGERPRINT, are_of_one_experiment, name_experiment
from validation.storage.atomic import publish, resolve_target
from validation.storage.files import check_writable

KIND, VERSION = "lazyrich tune", 3


@dataclass(frozen=True)
class Trial:
    """One run of the search.

    Attributes
    ----------
    gamma, eta : the point.
    steps : that were taken.
    losses : held out, of each seed; infinite where it diverged.
    early : held out, after the steps of a short run, the mean over the seeds.
    """

    gamma: float
    eta: float
    steps: int
    losses: tuple[float, ...]
    early: float

    @property
    def loss(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.losses))


class TrialStore:
    """The trials and the start of one search, in a JSON file, or in memory.

    Parameters
    ----------
    path : of the file; None: nothing is written.
    description : of the experiment; a file of another one is refused.

    Raises
    ------
    Misuse : the file is none of a search, is damaged, or is that of another experiment; the folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None, description: dict[str, Any]) -> None:
        self.path = None if path is None else resolve_target("store", path)
        self.named = name_experiment(description) | {"seeds": list(description["seeds"])}
        self.start: dict[str, Any] | None = None
        self.trials: list[Trial] = []
        if self.path is None:
            return
        check_writable(self.path.parent)
        if self.path.exists():
            self._read(self.path)

    def find(self, gamma: float, eta: float, steps: int) -> Trial | None:
        """Return the trial at a point that was made before, or None."""
        return next((t for t in self.trials if (t.gamma, t.eta, t.steps) == (gamma, eta, steps)), None)

    def add(self, trials: Sequence[Trial]) -> None:
        """Add trials and write the file."""
        self.trials += trials
        self.write()

    def write(self) -> None:
        """Write the file, the whole of it or none."""
        if self.path is None:
            return
        content = {"kind": KIND, "version": VERSION, **self.named, "start": self.start,
                   "trials": [{"gamma": t.gamma, "eta": t.eta, "steps": t.steps,
                               "losses": [x if np.isfinite(x) else None for x in t.losses],
                               "early": t.early if np.isfinite(t.early) else None} for t in self.trials]}
        publish(self.path, json.dumps(content, allow_nan=False, indent=1).encode())

    def _read(self, path: Path) -> None:
        try:
            content = json.loads(path.read_bytes())
            if content["kind"] != KIND:
                raise ValueError("of another kind")
            if content["version"] != VERSION:
                raise ValueError(f"of version {content['version']} of the search, and this one is {VERSION}")
            trials = [Trial(float(t["gamma"]), float(t["eta"]), int(t["steps"]), tuple(map(_as_loss, t["losses"])), _as_loss(t["early"]))
                      for t in content["trials"]]
            start = None if content["start"] is None else dict(content["start"])
            seeds = list(content["seeds"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Misuse(f"store must be free or a file that `tune` wrote, and {path} is none, or damaged "
                         f"({type(error).__name__}: {error}); it is left as it is") from None
        if not are_of_one_experiment(self.named, content):
            raise Misuse(f"store {path} belongs to another experiment ({_find_differences(self.named, content)}); choose another store")
        if seeds != self.named["seeds"]:
            raise Misuse(f"store {path} belongs to the seeds {seeds}, not {self.named['seeds']}; choose another store")
        self.trials, self.start = trials, start


def _as_loss(stored: float | None) -> float:
    """Return a loss that was stored; JSON has no infinity."""
    return np.inf if stored is None else float(stored)


def _find_differences(given: dict[str, Any], stored: dict[str, Any]) -> str:
    """Return the names of the entries in which two descriptions differ."""
    one, other = (json.loads(d["description"]) for d in (given, stored))
    names = [n for n in {**one, **other} if one.get(n) != other.get(n) and n != "seeds"]
    return ", ".join("the network's weights" if n == FINGERPRINT else n for n in names)
