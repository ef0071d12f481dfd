"""Experiment: the base class of everything that can be swept, traced and judged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import xarray as xr

from validation.arguments import Misuse

DEEPEST = 100       # nested dictionaries and lists in a description that is judged
FINGERPRINT = "fingerprint"      # an entry of descriptions, which older portraits lack


class Experiment(ABC):
    """Training runs at given (gamma, eta), with a description that names them.

    A subclass defines `describe` and `measure`; all else has a default. An object that is no subclass, but has these two methods, is
    accepted wherever an experiment is, with whatever it has of the rest.

    Attributes
    ----------
    tile : rows and columns of the piece of a plane that one call of `measure` gets from a sweep, at most.
    seeds : the seeds that can be measured one at a time, by `with_seeds`; None: every call of `measure` runs all there are.
    sections : the number of rates inside a bracket that `trace` measures in one call; 1 is bisection, the fewest runs.
    scan_per_decade : the least number of rates a decade at which `trace` scans, for experiments with narrow windows of rates that train.
    variables : of `validation.portrait.VARIABLES`, those that `measure` returns beside the required ones. A store is created with them, and
        created anew if the first tile has others.
    """

    tile: tuple[int, int] = (16, 16)
    seeds: Sequence[int] | None = None
    sections: int = 1
    scan_per_decade: int = 1
    variables: tuple[str, ...] = ()

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return all that determines the result, as JSON, at full precision; its digest names the experiment.

        An entry ``fingerprint`` holds what the rest only names, such as a network that a function builds. A description without one is that
        of the same experiment if the rest is equal.
        """

    @abstractmethod
    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Train at every pair and return a portrait.

        Parameters
        ----------
        gamma : (n,), > 0, increasing.
        eta : (m,), the same; or (n, m), one axis per gamma.
        """

    def check(self) -> None:    # noqa: B027
        """Raise `Misuse` if nothing can be trained.

        Called once before `sweep`, `trace` and `descend` measure anything or create a store, on the machine that measures.
        """

    def rules(self) -> dict[str, Any]:
        """Return the attributes by which `locate` reads the portrait's edges, as far as they are fixed before any run."""
        return {}

    def with_seeds(self, seeds: Sequence[int]) -> Self:
        """Return the same experiment with other seeds; to be defined by a class that has seeds and is no dataclass."""
        if dataclasses.is_dataclass(self):
            return dataclasses.replace(self, seeds=tuple(seeds))      # type: ignore[return-value]
        raise Misuse(f"an experiment with seeds must be a dataclass or define with_seeds(seeds), as {type(self).__name__} does not")


class AdaptedExperiment(Experiment):
    """An object with `describe` and `measure`, and any other attribute of `Experiment`, made an `Experiment`.

    Attributes
    ----------
    original : the object. Seeds that it cannot be given anew are not measured one at a time.
    """

    def __init__(self, original: Any) -> None:
        self.original = original
        for name in ("tile", "sections", "scan_per_decade", "variables"):
            if hasattr(original, name):
                setattr(self, name, getattr(original, name))
        if hasattr(original, "with_seeds") or dataclasses.is_dataclass(original):
            self.seeds = getattr(original, "seeds", None)

    def describe(self) -> dict[str, Any]:
        """Return the original's description."""
        description: dict[str, Any] = self.original.describe()
        return description

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> Any:
        """Return what the original measures."""
        return self.original.measure(gamma, eta)

    def check(self) -> None:
        """Call the original's ``check()``, if it has one."""
        if callable(check := getattr(self.original, "check", None)):
            check()

    def rules(self) -> dict[str, Any]:
        """Return the original's ``rules()``, if it has them."""
        rules = getattr(self.original, "rules", None)
        return rules() if callable(rules) else {}      # type: ignore[no-any-return]

    def with_seeds(self, seeds: Sequence[int]) -> Self:
        """Return the original with other seeds, adapted."""
        if hasattr(self.original, "with_seeds"):
            return type(self)(self.original.with_seeds(tuple(seeds)))
        return type(self)(dataclasses.replace(self.original, seeds=tuple(seeds)))


def as_experiment(experiment: Any) -> Experiment:
    """Return an `Experiment` as it is, and an object with its two methods adapted.

    Raises
    ------
    Misuse : the object lacks describe() or measure(gamma, eta).
    """
    if isinstance(experiment, Experiment):
        return experiment
    if isinstance(experiment, type) or not all(callable(getattr(experiment, name, None)) for name in ("describe", "measure")):
        raise Misuse(f"experiment must have describe() and measure(gamma, eta), as ToyExperiment has, not {experiment!r}")
    return AdaptedExperiment(experiment)


def read_rules(experiment: Experiment) -> dict[str, Any]:
    """Return the rules of an experiment.

    Raises
    ------
    Misuse : its rules() returns no dictionary.
    """
    rules = experiment.rules()
    if not isinstance(rules, Mapping):
        raise Misuse(f"rules() must return a dictionary, not {rules!r}")
    return dict(rules)


def hash_json(content: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of anything that is JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def drop_extensible(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description without seeds and plane, which a store may extend."""
    return {k: v for k, v in description.items() if k not in ("seed", "seeds", "plane")}


def digest(description: dict[str, Any]) -> str:
    """Return the name of an experiment: the hash of its description without seeds and plane."""
    return hash_json(drop_extensible(description))


def name_experiment(description: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a portrait that name its experiment: the description, as text, and its digest.

    Raises
    ------
    Misuse : it is no JSON object.
    """
    try:
        text = json.dumps(description, sort_keys=True, allow_nan=False)
        if not isinstance(described := json.loads(text), dict):
            raise TypeError(f"it is of type {type(description).__name__}")
    except (TypeError, ValueError, RecursionError) as error:
        raise Misuse(f"describe() must return a dictionary of texts, finite numbers, lists and dictionaries, but: {error}") from None
    return {"description": text, "digest": digest(described)}


def require_description(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description among a portrait's attributes, with its ``witness``, the kind of its model.

    Raises
    ------
    Misuse : there is none, it cannot be read, or it is nested more than `DEEPEST` times.
    """
    description = read_description(attrs)
    if description is None or "witness" not in description:
        raise Misuse("the portrait's attributes must hold the JSON description of its experiment, with the key 'witness'; "
                     f"they hold {', '.join(map(str, attrs)) or 'nothing'}")
    level: list[Any] = [description]
    for _ in range(DEEPEST):
        level = [v for part in level for v in (part.values() if isinstance(part, dict) else part) if isinstance(v, dict | list)]
    if level:
        raise Misuse(f"the portrait's description must be nested at most {DEEPEST} times")
    return description


def read_description(attrs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the description among a portrait's attributes; None where there is none that can be read."""
    try:
        description = json.loads(attrs["description"])
        json.dumps(description, allow_nan=False)
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return description if isinstance(description, dict) else None


def are_of_one_experiment(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Return whether the attributes of two portraits name the same experiment, up to seeds and plane.

    A fingerprint counts where both have one: portraits that were written before there were fingerprints have none.
    """
    if first.get("digest") == second.get("digest"):
        return True
    descriptions = [read_description(attrs) for attrs in (first, second)]
    if None in descriptions:
        return False
    one, other = (drop_extensible(d) for d in descriptions if d is not None)
    if (FINGERPRINT in one) != (FINGERPRINT in other):
        one, other = ({k: v for k, v in d.items() if k != FINGERPRINT} for d in (one, other))
    return hash_json(one) == hash_json(other)
