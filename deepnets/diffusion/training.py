"""Train the denoiser, with a running mean of its weights, and save and resume the state of the training."""

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
from deepnets.diffusion.noise import TURN, add_noise
from deepnets.diffusion.training_images import CLASSES, TrainingImages, as_numbers
from deepnets.precision import arithmetic
from deepnets.run_arguments import MOST_SEED
from deepnets.tasks.task import generator, place_like
from validation.arguments import Misuse, between, whole
from validation.estimates import MOST_STEPS
from validation.progress import Progress, bar
from validation.storage.atomic import publish

FORMAT = "lazyrich denoiser 2"
FORMER = "lazyrich denoiser 1"      # the same tensors in the same order; some had other names
KEYS = ("format", "description", "step", "denoiser", "mean", "optimizer")
UNTOLD = 0.1            # share of samples without their class, so that guidance can be chosen later
DECAY = 0.999           # of the running mean of the weights
WARM_UP = 100           # steps over which the rate rises linearly
EVERY = 30.0            # seconds between saved states
MOST_WIDTH = 2**20
_BATCH = 61             # first word of the keys: independent streams

ProgressDisplay = bool | Callable[[Progress], None]


@dataclass(frozen=True)
class Training:
    """How a denoiser is trained: by Adam, at a constant rate after a warm-up of 100 steps.

    Attributes
    ----------
    steps : in all.
    batch_size : images in a step, drawn with replacement.
    width : of the `Denoiser`, in channels.
    rate : of Adam.
    seed : of the initial weights and of all random numbers.

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it.
    """

    steps: int = 20_000
    batch_size: int = 256
    width: int = 64
    rate: float = 5e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            whole(name, getattr(self, name), most=MOST_STEPS)
        whole("seed", self.seed, 0, MOST_SEED)
        whole("width", self.width, most=MOST_WIDTH)
        between("rate", self.rate, 0, 1)
        with torch.device("meta"):
            Denoiser(4, self.width)      # checks the width

    def build_denoiser(self, side: int) -> Denoiser:
        """Return the denoiser at initialization, the same on every machine; `side` is the images'."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)       # torch.manual_seed would seed a GPU's too
            return Denoiser(side, self.width, CLASSES)

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON, without the number of steps: a longer training begins like a shorter one."""
        return {name: value for name, value in asdict(self).items() if name != "steps"} | {"untold": UNTOLD, "decay": DECAY,
                                                                                         "warm_up": WARM_UP}


def train(images: TrainingImages, training: Training, path: Path | None = None, device: str = "cpu",
          progress: ProgressDisplay = False) -> Denoiser:
    """Train a denoiser, resuming from a saved state if there is one; return the denoiser with the mean weights.

    A step is a function of the seed and its number alone: on a CPU, an interrupted and resumed training is bit for bit the same as one
    without interruption.

    Parameters
    ----------
    images, training : training images and settings.
    path : file of the state, written atomically; None: it is not saved.
    device : a torch device name.
    progress : how progress is displayed, as of `validation.progress.bar`.

    Raises
    ------
    Misuse : the file is not a state, or one of another training; or the training diverges (its state is then not saved).
    """
    description = {"originals": images.describe(), "training": training.describe()}
    state = _TrainingState(training, images.side, device)
    if path is not None and path.exists():
        state.load(_read_state(path, description, training.steps))
    x, y = as_numbers(images.x), torch.from_numpy(images.y)
    written = time.monotonic()
    with (arithmetic("tf32", device), threads_for(_count_parameters(state.denoiser), training.batch_size, device),
          bar(training.steps, "training", "steps", progress, state.step) as advance):
        while state.step < training.steps:
            state.take_step(x, y)
            advance()
            if path is not None and time.monotonic() - written >= EVERY and state.step < training.steps:
                state.save(path, description)
                written = time.monotonic()
    state.check()
    if path is not None:
        state.save(path, description)
    return state.mean.eval().requires_grad_(False)


class _TrainingState:
    """The state of a training between two steps: weights, their running mean, optimizer and step."""

    def __init__(self, training: Training, side: int, device: str) -> None:
        self.training, self.step = training, 0
        self.denoiser, self.mean = training.build_denoiser(side).to(device), training.build_denoiser(side).to(device)
        self.optimizer = torch.optim.Adam(self.denoiser.parameters(), lr=training.rate)

    def take_step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Take one step on a batch of the images (n, 1, side, side) and labels (n,)."""
        like, n = next(self.denoiser.parameters()), self.training.batch_size
        source = generator(_BATCH, self.training.seed, self.step)
        chosen = torch.from_numpy(source.integers(0, len(images), n))
        phi = place_like(torch.from_numpy(source.random(n, "float32")) * TURN, like)
        known = torch.from_numpy(source.random(n, "float32")) >= UNTOLD
        e = place_like(torch.from_numpy(source.standard_normal((n, *images.shape[1:]), "float32")), like)
        x, y = place_like(images[chosen], like), place_like(torch.where(known, labels[chosen], CLASSES), like)
        z, v = add_noise(x, e, phi)
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.rate * min(1.0, (self.step + 1) / WARM_UP)
        self.optimizer.zero_grad()
        nn.functional.mse_loss(self.denoiser(z, phi, y), v).backward()
        self.optimizer.step()
        decay = min(DECAY, (1 + self.step) / (10 + self.step))       # the initial weights are forgotten soon
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.denoiser.parameters()), 1 - decay)
        self.step += 1

    def check(self) -> None:
        """Raise `Misuse` if the weights are not finite: they would draw black images without an error."""
        if not all(bool(p.isfinite().all()) for p in self.mean.parameters()):
            raise Misuse(f"rate must be smaller than {self.training.rate:g}: by step {self.step} the training has diverged")

    def save(self, path: Path, description: dict[str, Any]) -> None:
        """Save the state atomically."""
        self.check()
        stream = io.BytesIO()
        values = (FORMAT, description, self.step, self.denoiser.state_dict(), self.mean.state_dict(), self.optimizer.state_dict())
        torch.save(dict(zip(KEYS, values, strict=True)), stream)
        publish(path, stream.getvalue())

    def load(self, stored: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.step = stored["step"]
        for name in ("denoiser", "mean"):
            module = getattr(self, name)
            tensors = stored[name] if stored["format"] == FORMAT else dict(zip(module.state_dict(), stored[name].values(), strict=True))
            module.load_state_dict(tensors)
        self.optimizer.load_state_dict(stored["optimizer"])


def _count_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _read_state(path: Path, description: dict[str, Any], steps: int) -> dict[str, Any]:
    """Return the state in a file; raise `Misuse` if it is of another training, or of more than `steps` steps."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:       # torch raises many kinds, none of which names the file
        raise Misuse(f"{path} is not a saved denoiser, or a damaged one ({type(error).__name__}); remove it, or choose another "
                     "folder") from None
    if not isinstance(stored, dict) or stored.get("format") not in (FORMAT, FORMER):
        raise Misuse(f"{path} is not a saved denoiser in the format {FORMAT!r}; choose another folder")
    stored = dict(zip(KEYS, stored.values(), strict=True))
    if other := describe_difference(description, stored["description"]):
        raise Misuse(f"{path} is of another training: {other}; choose another folder")
    if stored["step"] > steps:
        raise Misuse(f"steps must be at least the {stored['step']} that {path} has taken, not {steps}; choose another folder")
    return stored


def describe_difference(given: dict[str, Any], stored: dict[str, Any]) -> str:
    """Return the first difference between two descriptions in words; an empty string if they are equal."""
    for name in {**given, **stored}:
        a, b = given.get(name), stored.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            if inner := describe_difference(a, b):
                return inner
        elif a != b:
            return f"{name}: given {a}, stored {b}"
    return ""
