"""Measure tiles in a worker: call the experiment for each piece of a tile, seed by seed, and return crashes as tracebacks."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.experiment import Experiment
from validation.portrait import conform_answer


class Request(NamedTuple):
    """The points of one tile: its seed, if seeds are measured one by one, and (gamma, eta) of each of its pieces."""

    seed: int | None
    pieces: list[tuple[np.ndarray, np.ndarray]]


class Raised(NamedTuple):
    """The traceback of a tile that raised, and the error itself where it is a `Misuse`, which ends the sweep."""

    text: str
    error: Misuse | None = None


def measure_tiles(experiment: Experiment, requests: Sequence[Request]) -> list[list[xr.Dataset]]:
    """Return the portraits of every request's pieces; raise what the experiment raises."""
    answers = []
    for seed, pieces in requests:
        one = experiment if seed is None else experiment.with_seeds((seed,))
        answers.append([_measure(one, seed, gamma, eta) for gamma, eta in pieces])
    return answers


def try_tiles(experiment: Experiment, requests: Sequence[Request]) -> list[list[xr.Dataset] | Raised]:
    """Return, for every request, the portraits of its pieces or what was raised."""
    answers: list[list[xr.Dataset] | Raised] = []
    for request in requests:
        try:
            answers += measure_tiles(experiment, [request])
        except Misuse as error:
            answers.append(Raised(str(error), _as_picklable(error)))
        except Exception:
            answers.append(Raised(traceback.format_exc()))
    return answers


def pack(experiment: Experiment) -> bytes:
    """Return an experiment as bytes, for workers.

    Raises
    ------
    Misuse : it cannot be pickled.
    """
    try:
        try:
            import cloudpickle
        except ImportError:
            return pickle.dumps(experiment)
        return cloudpickle.dumps(experiment)
    except Exception as error:
        raise Misuse(f"experiment must be one that can be sent to another process (pickled), but: {error}") from error


def unpack_and_measure(packed: bytes, requests: Sequence[Request]) -> list[list[xr.Dataset]]:
    """Do what `measure_tiles` does, in another process."""
    return measure_tiles(_unpack(packed), requests)


def unpack_and_try(packed: bytes, requests: Sequence[Request]) -> list[list[xr.Dataset] | Raised]:
    """Do what `try_tiles` does, in another process."""
    try:
        experiment = _unpack(packed)
    except Exception as error:
        misuse = Misuse(f"experiment must be one that the workers can load, but: {type(error).__name__}: {error}")
        return [Raised(str(misuse), misuse)] * len(requests)
    return try_tiles(experiment, requests)


@lru_cache(maxsize=2)
def _unpack(packed: bytes) -> Experiment:
    """Unpack once for all tiles, so that an experiment keeps what it has loaded or compiled."""
    experiment: Experiment = pickle.loads(packed)
    return experiment


def _measure(experiment: Experiment, seed: int | None, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
    try:
        answer = experiment.measure(gamma, eta)
    except SystemExit as error:         # which would end the sweep, or the worker, as if it had been meant
        raise RuntimeError(f"measure() called sys.exit({error.code!r})") from error
    portrait = conform_answer(answer, gamma, eta)
    if seed is not None and (found := portrait["seed"].values.tolist() if "seed" in portrait.dims else None) not in (None, [seed]):
        raise Misuse(f"measure() must return a portrait of the seed it was given, not of others: seed {seed} was requested, and {found} "
                     "are in the answer")
    return portrait


def _as_picklable(error: Misuse) -> Misuse:
    """Return the error if pickling preserves it, else a plain `Misuse` with its message."""
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:
        pass
    return Misuse(str(error))
