"""What a worker does: measure the pieces of a tile, one seed at a time; a run that crashes is told, not raised. Knows no model."""

from __future__ import annotations

import dataclasses
import pickle
import traceback
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.portrait import conform


class Request(NamedTuple):
    """The points of one tile: its seed, if seeds are asked for one by one, and (gamma, eta) of each of its pieces."""

    seed: int | None
    pieces: list[tuple[np.ndarray, np.ndarray]]


class Raised(NamedTuple):
    """What came instead of a measurement: the traceback, and the error itself where it is for the caller and can travel."""

    text: str
    error: Exception | None = None


def seeds_of(experiment: Any) -> tuple[int, ...] | None:
    """Return the seeds of an experiment that can be asked for one at a time, else None."""
    seeds = getattr(experiment, "seeds", None)
    if seeds is None or not (hasattr(experiment, "with_seeds") or dataclasses.is_dataclass(experiment)):
        return None
    return tuple(int(s) for s in seeds)


def of_seed(experiment: Any, seed: int) -> Any:
    """Return the same experiment with one seed."""
    if hasattr(experiment, "with_seeds"):
        return experiment.with_seeds((seed,))
    return dataclasses.replace(experiment, seeds=(seed,))


def measured(experiment: Any, requests: Sequence[Request]) -> list[list[xr.Dataset]]:
    """Return the portraits of every request's pieces; whatever the experiment raises is raised."""
    answers = []
    for seed, pieces in requests:
        one = experiment if seed is None else of_seed(experiment, seed)
        answers.append([_checked(one.measure(gamma, eta), gamma, eta) for gamma, eta in pieces])
    return answers


def attempted(experiment: Any, requests: Sequence[Request]) -> list[list[xr.Dataset] | Raised]:
    """Return the portraits of every request's pieces, or what was raised instead of them."""
    answers: list[list[xr.Dataset] | Raised] = []
    for request in requests:
        try:
            answers += measured(experiment, [request])
        except Misuse as error:
            answers.append(Raised(str(error), _travelling(error)))
        except Exception:
            answers.append(Raised(traceback.format_exc()))
    return answers


def packed(experiment: Any) -> bytes:
    """Return an experiment as it is sent to workers.

    Raises
    ------
    Misuse : it cannot be sent.
    """
    try:
        try:
            import cloudpickle
        except ImportError:
            return pickle.dumps(experiment)
        return cloudpickle.dumps(experiment)
    except Exception as error:
        raise Misuse(f"experiment must be one that can be sent to another process (pickled), but: {error}") from error


def measured_there(parcel: bytes, requests: Sequence[Request]) -> list[list[xr.Dataset]]:
    """Do what `measured` does, in another process."""
    return measured(_unpacked(parcel), requests)


def attempted_there(parcel: bytes, requests: Sequence[Request]) -> list[list[xr.Dataset] | Raised]:
    """Do what `attempted` does, in another process."""
    try:
        experiment = _unpacked(parcel)
    except Exception as error:
        told = Misuse(f"experiment must be one that the workers can load, but: {type(error).__name__}: {error}")
        return [Raised(str(told), told)] * len(requests)
    return attempted(experiment, requests)


@lru_cache(maxsize=2)
def _unpacked(parcel: bytes) -> Any:
    """Unpack once for all the tiles, so that what an experiment has loaded or compiled stays with it."""
    return pickle.loads(parcel)


def _checked(answer: Any, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
    portrait = conform(answer)
    wanted = (len(gamma), eta.shape[-1])
    if (got := (portrait.sizes["gamma"], portrait.sizes["eta"])) != wanted:
        raise Misuse(f"measure() must return a portrait of the shape it was asked for, {wanted}, not {got}")
    return portrait


def _travelling(error: Misuse) -> Misuse:
    """Return the error if it comes out of a pickle as it went in, else one that does."""
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:
        pass
    return Misuse(str(error))
