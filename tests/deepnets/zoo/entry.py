"""An entry of the zoo: a small module as people write or import them, with the samples that it is trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from tests.deepnets.zoo.samples import SAMPLES, Samples

ZOO: dict[str, Entry] = {}


@dataclass(frozen=True)
class Entry:
    """A module and its samples.

    Attributes
    ----------
    name, family : of the module, as the page of compatibility prints them.
    build : returns the module; random states are seeded before.
    kind : a key of `SAMPLES`.
    library : that must be installed, or None.
    refusal : a word of the sentence that refuses the module, where it must be refused: the operation or the property.
    """

    name: str
    family: str
    build: Callable[[], nn.Module]
    kind: str
    library: str | None = None
    refusal: str | None = None

    @property
    def task(self) -> Samples:
        """The samples."""
        return SAMPLES[self.kind]

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that the samples allow."""
        return ("mse", "cross_entropy") if self.task.classes else ("mse",)

    @property
    def installed(self) -> bool:
        """Whether the library is there."""
        return self.library is None or find_spec(self.library) is not None

    def network(self, seed: int) -> nn.Module:
        """Return the module of a seed, as a user's factory does."""
        torch.manual_seed(seed)
        return self.build()


def add(name: str, family: str, kind: str, build: Callable[[], nn.Module], **more: Any) -> None:
    """Add a module to the zoo."""
    if name in ZOO:
        raise ValueError(f"two entries are named {name!r}")
    ZOO[name] = Entry(name, family, build, kind, **more)


def register(name: str, family: str, kind: str, **more: Any) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Add the decorated class of modules, which is built without arguments, to the zoo."""
    def store(build: type[nn.Module]) -> type[nn.Module]:
        add(name, family, kind, build, **more)
        return build
    return store
