"""Training a denoiser, with a mean of its weights over the last steps, in a file that it goes on from; knows no shard."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepnets.device import threads_for
from deepnets.diffusion.denoiser import Denoiser
from deepnets.diffusion.noise import TURN, noised
from deepnets.diffusion.training_images import CLASSES, Originals, as_numbers
from deepnets.precision import arithmetic
from deepnets.tasks.task import generator, place_like
from validation.arguments import Misuse, between, whole
from validation.progress import Progress, bar
from validation.storage.atomic import publish

FORMAT = "lazyrich denoiser 1"
UNTOLD = 0.1            # of the samples the class is withheld, so that guidance can be chosen later
DECAY = 0.999           # of the mean of the weights
WARM_UP = 100           # steps over which the rate rises
EVERY = 30.0            # seconds between writings
_BATCH = 61             # first word of the keys: the streams never meet

Shown = bool | Callable[[Progress], None]


@dataclass(frozen=True)
class Training:
    """How a denoiser is trained: by Adam, at a constant rate after a warm-up of 100 steps.

    Attributes
    ----------
    steps : taken in all.
    batch_size : images a step, drawn with replacement.
    width : of the `Denoiser`.
    rate : of Adam.
    seed : of the first weights, and of all that is drawn.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """

    steps: int = 20_000
    batch_size: int = 256
    width: int = 64
    rate: float = 5e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            whole(name, getattr(self, name))
        whole("seed", self.seed, 0)
        between("rate", self.rate, 0, 1)
        Denoiser(4, self.width)      # refuses a strange width

    def denoiser(self, side: int) -> Denoiser:
        """Return the denoiser as it begins: the same on every machine."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)       # torch.manual_seed would seed a GPU's too
            return Denoiser(side, self.width, CLASSES)

    def describe(self) -> dict[str, Any]:
        """Return the training as JSON, but for its length: what is trained longer was trained the same until then."""
        return {name: value for name, value in asdict(self).items() if name != "steps"} | {"untold": UNTOLD, "decay": DECAY,
                                                                                         "warm_up": WARM_UP}


def train(originals: Originals, training: Training, path: Path | None = None, device: str = "cpu",
          shown: Shown = False) -> Denoiser:
    """Return a denoiser of the mean weights, trained on the originals; it goes on from the file of an earlier call.

    A step is a function of seed and number alone, so that on a CPU what was interrupted ends bit for bit as what was not.

    Parameters
    ----------
    originals, training : what is learnt, and how.
    path : where the state is kept, whole or not at all; None: nowhere.
    device : a name as torch takes it.
    shown : how progress is, as of `validation.progress.bar`.

    Raises
    ------
    Misuse : the file is no state of a denoiser, or that of another training; the training diverges, of which nothing is kept.
    """
    told = {"originals": originals.describe(), "training": training.describe()}
    state = _State(training, originals.side, device)
    if path is not None and path.exists():
        state.load(_read(path, told, training.steps))
    x, y = as_numbers(originals.x), torch.from_numpy(originals.y)
    written = time.monotonic()
    with (arithmetic("tf32", device), threads_for(_numbers(state.denoiser), training.batch_size, device),
          bar(training.steps, "training", "steps", shown, state.step) as advance):
        while state.step < training.steps:
            state.take(x, y)
            advance()
            if path is not None and time.monotonic() - written >= EVERY and state.step < training.steps:
                state.write(path, told)
                written = time.monotonic()
    state.check()
    if path is not None:
        state.write(path, told)
    return state.mean.eval().requires_grad_(False)


class _State:
    """All that a training consists of between two steps."""

    def __init__(self, training: Training, side: int, device: str) -> None:
        self.training, self.step = training, 0
        self.denoiser, self.mean = training.denoiser(side).to(device), training.denoiser(side).to(device)
        self.optimizer = torch.optim.Adam(self.denoiser.parameters(), lr=training.rate)

    def take(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Take one step."""
        like, n = next(self.denoiser.parameters()), self.training.batch_size
        source = generator(_BATCH, self.training.seed, self.step)
        chosen = torch.from_numpy(source.integers(0, len(images), n))
        phi = place_like(torch.from_numpy(source.random(n, "float32")) * TURN, like)
        known = torch.from_numpy(source.random(n, "float32")) >= UNTOLD
        e = place_like(torch.from_numpy(source.standard_normal((n, *images.shape[1:]), "float32")), like)
        x, y = place_like(images[chosen], like), place_like(torch.where(known, labels[chosen], CLASSES), like)
        z, v = noised(x, e, phi)
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.rate * min(1.0, (self.step + 1) / WARM_UP)
        self.optimizer.zero_grad()
        nn.functional.mse_loss(self.denoiser(z, phi, y), v).backward()
        self.optimizer.step()
        decay = min(DECAY, (1 + self.step) / (10 + self.step))       # the first weights are forgotten soon
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.denoiser.parameters()), 1 - decay)
        self.step += 1

    def check(self) -> None:
        """Raise `Misuse` where the weights are not finite: bytes of what they draw would be black images, and nobody told."""
        if not all(bool(p.isfinite().all()) for p in self.mean.parameters()):
            raise Misuse(f"rate must be smaller than {self.training.rate:g}: by step {self.step} the training has diverged")

    def write(self, path: Path, told: dict[str, Any]) -> None:
        """Write the state, whole or not at all."""
        self.check()
        stream = io.BytesIO()
        torch.save({"format": FORMAT, "told": told, "step": self.step, "denoiser": self.denoiser.state_dict(),
                    "mean": self.mean.state_dict(), "optimizer": self.optimizer.state_dict()}, stream)
        publish(path, stream.getvalue())

    def load(self, kept: dict[str, Any]) -> None:
        """Go on from what was written."""
        self.step = kept["step"]
        for name in ("denoiser", "mean", "optimizer"):
            getattr(self, name).load_state_dict(kept[name])


def _numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _read(path: Path, told: dict[str, Any], steps: int) -> dict[str, Any]:
    """Return the state in a file, if it is of the training `told`, and no longer than `steps`."""
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:       # torch raises many things, of which none says which file
        raise Misuse(f"{path} is no state of a denoiser, or a damaged one ({type(error).__name__}); remove it, or choose another "
                     "folder") from None
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise Misuse(f"{path} is no state of a denoiser in the format {FORMAT!r}; choose another folder")
    if other := difference(told, kept["told"]):
        raise Misuse(f"{path} is of another training: {other}; choose another folder")
    if kept["step"] > steps:
        raise Misuse(f"steps must be at least the {kept['step']} that {path} has taken, not {steps}; choose another folder")
    return kept


def difference(given: dict[str, Any], stored: dict[str, Any]) -> str:
    """Return the first thing in which two descriptions differ, in words; nothing where they are the same."""
    for name in {**given, **stored}:
        a, b = given.get(name), stored.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            if inner := difference(a, b):
                return inner
        elif a != b:
            return f"{name}: given {a}, stored {b}"
    return ""
