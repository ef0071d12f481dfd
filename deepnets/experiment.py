"""DeepExperiment: a network, a task, a loss, an optimizer, trained over a whole plane at once; the shell around training.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from torch import nn

from deepnets import losses, optimizers, precision, schedules
from deepnets.difference import Centered
from deepnets.judging import CATAPULT_PEAK, judged
from deepnets.precision import DTYPES, arithmetic, as_precision
from deepnets.slots import trainable
from deepnets.stacks import MLPStack, stack_of
from deepnets.tasks import Task, as_task
from deepnets.training import Recipe, rates, train
from validation.misuse import Misuse, between, choose, whole
from validation.plane import Plane
from validation.portrait import REQUIRED, empty

ON_A_CORE = 32       # runs trained at once on a CPU: more of them leave the cache
ON_A_GPU = 512


@dataclass(frozen=True)
class DeepExperiment:
    """A network and its task: an experiment for `validation.sweep` and `validation.trace`.

    The losses are those of fresh batches before each step, their excess the mean of ten over that of the zero output.

    Attributes
    ----------
    network : a specification such as `deepnets.MLP`, or a callable seed -> torch.nn.Module.
    task : one of `deepnets.tasks`, or anything that gives batches as they do.
    loss : "mse" (half the squared error, averaged over samples and outputs) or "cross_entropy".
    optimizer : "sgd", "signsgd", "momentum", "adam", or one of `deepnets.optimizers` with its numbers.
    schedule : "constant", "warmup_cosine", or one of `deepnets.schedules`.
    steps : T >= 1.
    batch_size : samples a step.
    seeds : of weights and stream; the portrait's dim ``seed``.
    precision : "auto" and "float32" propagate differences in float32, "float64" in float64; "tf32" (on CUDA) and "bf16" in float32, the
        operands of products rounded, which costs a relative 4e-4 and 2e-3 of the function, at every gamma.
    device : "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:<number>".
    width : N of the rate N eta; None: the specification's own, and 1 of a callable.
    rho : the excess in (0, 1) at which a run counts as trained.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    Unsupported : from `measure`: the network's operation that differences cannot be propagated through.
    """

    network: Any
    task: Task
    loss: Any = "mse"
    optimizer: Any = "sgd"
    schedule: Any = "constant"
    steps: int = 1000
    batch_size: int = 256
    seeds: Sequence[int] = (0,)
    precision: str = "auto"
    device: str = "auto"
    width: int | None = None
    rho: float = 0.5

    tile: ClassVar[tuple[int, int]] = (4, 16)

    def __post_init__(self) -> None:
        if isinstance(self.network, type | nn.Module) or not (hasattr(self.network, "scalings") or callable(self.network)):
            raise Misuse("network must be a specification such as deepnets.MLP(...), or a callable seed -> torch.nn.Module, "
                         f"not {self.network!r}")
        as_task(self.task)
        for name, made in (("loss", losses.as_loss(self.loss)), ("optimizer", optimizers.as_optimizer(self.optimizer)),
                           ("schedule", schedules.as_schedule(self.schedule)), ("steps", whole("steps", self.steps)),
                           ("batch_size", whole("batch_size", self.batch_size)), ("rho", between("rho", self.rho, 0, 1)),
                           ("seeds", _seeds(self.seeds))):
            object.__setattr__(self, name, made)
        object.__setattr__(self, "device", _device(self.device))
        as_precision(self.precision, self.device)
        if self.width is not None:
            whole("width", self.width)
        if self.loss.name == "cross_entropy" and self.task.classes is None:
            raise Misuse("loss 'cross_entropy' needs a task with classes; the targets of this one are numbers")
        if hasattr(self.network, "scalings"):
            for name, has, wants in (("in_features", self.network.in_features, int(np.prod(self.task.in_shape))),
                                     ("out_features", self.network.out_features, self.task.out_features)):
                if has != wants:
                    raise Misuse(f"network must have {name}={wants}, as the task has, not {has}")

    @property
    def rate_width(self) -> int:
        """The N of the rate N eta."""
        return self.width if self.width is not None else getattr(self.network, "width", 1)

    def describe(self) -> dict[str, Any]:
        """Return the experiment as JSON, at full precision; where it runs is not part of it."""
        network = self.network
        return {
            "witness": "deep",
            "network": network.describe() if hasattr(network, "describe") else {
                "name": f"{getattr(network, '__module__', '')}.{getattr(network, '__qualname__', type(network).__qualname__)}"},
            "task": self.task.describe(),
            "loss": self.loss.name,
            "optimizer": optimizers.describe(self.optimizer),
            "schedule": schedules.describe(self.schedule),
            "steps": self.steps,
            "batch_size": self.batch_size,
            "seeds": list(self.seeds),
            "precision": self.precision,
            "width": self.rate_width,
            "rho": self.rho,
        }

    def rules(self) -> dict[str, Any]:
        """Return the attributes by which `validation.locate` reads this witness's edges."""
        return {"rho": self.rho, "steps": self.steps, "catapult_peak": CATAPULT_PEAK,
                "eta_max_of": "lowest" if self.optimizer.name == "signsgd" else "highest",
                "device": self.device, **precision.describe(self.precision, self.device)}

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Train at every (gamma, eta) with every seed and return the portrait.

        Parameters
        ----------
        gamma : (n,), > 0, increasing.
        eta : (m,), the same, or (n, m), one axis per gamma.

        Returns
        -------
        Dataset : a portrait with dims (seed, gamma, eta); `final_accuracy` on held-out samples where the task has classes.
        """
        plane = Plane(gamma, eta)
        variables = (*REQUIRED, "final_accuracy") if self.task.classes is not None else REQUIRED
        portrait = empty(plane, {"seed": list(self.seeds)}, variables)
        written = {name: portrait[name].values.reshape(len(self.seeds), -1) for name in variables}
        gammas = np.repeat(plane.gamma, plane.shape[1])                              # (n m,)
        etas = np.broadcast_to(plane.eta, plane.shape).reshape(-1)
        recipe_of = self._recipe()
        with torch.random.fork_rng(devices=[self.device] if self.device.startswith("cuda") else []):
            for s, seed in enumerate(self.seeds):
                module = self._built(seed)
                stack, recipe = stack_of(module), recipe_of(module)
                for chunk in self._chunks(gammas):
                    with arithmetic(self.precision, self.device):
                        trained = train(module, stack, recipe, gammas[chunk], etas[chunk], seed)
                    found = judged(trained.losses, trained.at_rest, trained.dead, self.rho)
                    if trained.accuracy is not None:
                        found["final_accuracy"] = trained.accuracy
                    for name, values in found.items():
                        written[name][s, chunk] = values
        portrait.attrs.update(self.rules())
        return portrait

    def _chunks(self, gammas: np.ndarray) -> list[slice]:
        """Return the runs in pieces of about equal size."""
        most = ON_A_CORE if self.device == "cpu" else ON_A_GPU
        ends = np.linspace(0, len(gammas), -(-len(gammas) // most) + 1).astype(int)
        return [slice(a, b) for a, b in pairwise(ends)]

    def _recipe(self) -> Callable[[nn.Module], Recipe]:
        factors = self.schedule.factors(self.steps)
        told = self.network.scalings() if hasattr(self.network, "scalings") and self.width is None else None
        return lambda module: Recipe(self.task, self.loss, self.optimizer, factors,
                                     rates(told, self.optimizer, list(trainable(module)), self.rate_width), self.batch_size)

    def _built(self, seed: int) -> nn.Module:
        """Return theta_0 of a seed, of this experiment's dtype and on its device, known to let differences through."""
        made = self.network.build(seed) if hasattr(self.network, "build") else self.network(seed)
        if not isinstance(made, nn.Module):
            raise Misuse(f"network must give a torch.nn.Module, but for seed {seed} it gave {made!r}")
        module = made.to(device=self.device, dtype=DTYPES[self.precision])
        if not isinstance(stack_of(module), MLPStack):
            x, _ = self.task.batch(seed, 0, 2)
            x = x.to(module_dtype(module)) if x.is_floating_point() else x
            Centered(module, 1e-3, "pairs")(x.to(self.device))          # names what cannot be propagated, before hours of training
        return module


def module_dtype(module: nn.Module) -> torch.dtype:
    """Return the dtype of a module's parameters."""
    return next(module.parameters()).dtype


def _seeds(seeds: Any) -> tuple[int, ...]:
    """Return seeds as a tuple of distinct whole numbers, or raise `Misuse`."""
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Sequence | np.ndarray | range) or len(seeds) == 0:
        raise Misuse(f"seeds must be a sequence of whole numbers, such as (0, 1, 2), not {seeds!r}")
    made = tuple(whole("seeds", s, 0) for s in seeds)
    if len(set(made)) < len(made):
        raise Misuse(f"seeds must differ from one another, not {seeds!r}")
    return made


def _device(device: Any) -> str:
    """Return the name of a device that is there, or raise `Misuse`."""
    count = torch.cuda.device_count()
    there = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if device == "auto":
        return "cuda" if count else "cpu"
    return str(choose("device", device, ["auto", *there]))
