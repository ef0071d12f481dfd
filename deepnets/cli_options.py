"""Options of `lazyrich deep` and `python -m deepnets` for the experiment and its plane."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepnets.own_options import SYNTHETIC
from validation.arguments import Misuse, between, whole
from validation.cli_options import Whole, check_range
from validation.plane import Plane

if TYPE_CHECKING:
    from deepnets.experiment import DeepExperiment

# network: its own arguments, with their defaults
NETWORKS: dict[str, dict[str, int]] = {
    "mlp": {"width": 32, "depth": 3},
    "cnn": {"width": 8, "depth": 4},
    "resnet": {"width": 8, "blocks": 2},
    "residual-mlp": {"width": 32, "blocks": 4},
    "residual-cnn": {"width": 8, "blocks": 4},
    "vit": {"width": 16, "blocks": 2, "heads": 2, "patch": 4},
    "transformer": {"width": 32, "blocks": 2, "heads": 2},
}
LARGEST, WIDEST, DEEPEST, FINEST = 2**30, 2**20, 1000, 1000      # width; dim; depth and blocks; points per decade
FROM_FILES = ("fashion-mnist", "mnist", "mnist-1m", "cifar5m", "cifar10", "tiny-imagenet", "text")
SCALELESS = ("signsgd", "adam", "adamw", "lion", "muon")      # optimizers whose steps have no scale of the gradient
MANY = 10_000       # seeds at most: a larger number is meant as one seed
EXTRA = "networks need torch and scikit-learn: pip install 'lazyrich[deep]'"


@dataclass(frozen=True)
class DeepOptions:
    """A network, its task, its training, its plane and how it is judged.

    Parameters
    ----------
    network
        Which kind of network.
    width
        N, the width of the hidden layers; of convolutions, the channels.
    depth
        L, the number of weight matrices of an MLP (3 if not given) or a CNN (4: two convolutions).
    blocks
        Residual blocks of the other networks; of a ResNet, the blocks in each of its four stages.
    heads
        Attention heads of a ViT or a Transformer.
    patch
        Side of a ViT's patches, in pixels.
    parametrization
        How widths and depths are scaled; if not given, muP, or Depth-muP for residual-mlp and residual-cnn.
    task
        What the network learns.
    dim
        The number of inputs of the synthetic tasks (16 if not given). The target of single-index is of degree 2.
    data
        Folder or file of the task's data, for tasks that are read from files.
    loss
        The loss; mse is half the squared error.
    optimizer
        The optimizer, with its default hyperparameters; for others use `deepnets` in Python.
    weight_decay
        Decoupled weight decay towards the origin; if not given, the optimizer's default.
    clip
        The largest norm of a run's gradient; if not given, gradients are not clipped.
    schedule
        The learning rate's schedule.
    steps
        T, the number of steps.
    batch_size
        The number of fresh samples in each step.
    seeds
        How many seeds (3 means 0,1,2), or which, with commas.
    device
        auto (a GPU if there is one), cpu, cuda or cuda:1.
    precision
        The precision of matrix products and convolutions; auto is float32.
    rho
        The excess loss at which a run counts as trained.
    accuracy
        The held-out accuracy at which a run counts as trained, for the lazy eta_max of cross-entropy.
    gamma
        First and last feature-learning strength.
    eta
        First and last learning rate; if not given, a range around the predicted edges.
    per_decade
        Points per decade along each axis of the portrait.
    no_trace
        Fit the edges read from the portrait's grid, without tracing them more finely.
    tolerance
        The largest difference from the predicted exponent that still supports it; if not given, half the gap to the nearest
        rival exponent, at most 0.05.
    """

    network: Literal["mlp", "cnn", "resnet", "residual-mlp", "residual-cnn", "vit", "transformer"] = "mlp"
    width: Whole | None = None
    depth: Whole | None = None
    blocks: Whole | None = None
    heads: Whole | None = None
    patch: Whole | None = None
    parametrization: Literal["mup", "depth_mup", "ntk", "standard"] | None = None
    task: Literal["digits", "fashion-mnist", "mnist", "mnist-1m", "cifar5m", "cifar10", "tiny-imagenet", "photographs",
                  "text", "single-index", "multi-index", "teacher"] = "digits"
    dim: Whole | None = None
    data: Path | None = None
    loss: Literal["mse", "cross_entropy"] = "mse"
    optimizer: Literal["sgd", "signsgd", "momentum", "nesterov", "adam", "adamw", "lion", "muon"] = "sgd"
    weight_decay: float | None = None
    clip: float | None = None
    schedule: Literal["constant", "warmup_cosine", "warmup_stable_decay"] = "constant"
    steps: Whole = 300
    batch_size: Whole = 32
    seeds: str = "1"
    device: str = "auto"
    precision: Literal["auto", "float32", "float64", "tf32", "bf16"] = "auto"
    rho: float = 0.5
    accuracy: float = 0.8
    gamma: tuple[float, float] = (1e-5, 1e5)
    eta: tuple[float, float] | None = None
    per_decade: Whole = 4
    no_trace: bool = False
    tolerance: float | None = None

    def __post_init__(self) -> None:
        own = NETWORKS[self.network]
        for name in ("width", "depth", "blocks", "heads", "patch"):
            value = getattr(self, name)
            if value is not None and name not in own:
                others = ", ".join(n for n, has in NETWORKS.items() if name in has)
                raise Misuse(f"{name} is an option of the networks {others}, not of {self.network}")
            if value is not None:
                whole(name, value, most=DEEPEST if name in ("depth", "blocks") else LARGEST)
        if self.data is not None and self.task not in FROM_FILES:
            raise Misuse(f"data is for tasks that are read from files ({', '.join(FROM_FILES)}), not for {self.task}")
        if self.dim is not None:
            if self.task not in SYNTHETIC:
                raise Misuse(f"dim is for the synthetic tasks ({', '.join(SYNTHETIC)}), not for {self.task}")
            whole("dim", self.dim, most=WIDEST)
        if (self.task == "text") != (self.network == "transformer"):
            raise Misuse(f"the network transformer and the task text need each other; {self.network} with {self.task} was given")
        if self.task == "text" and (self.data is None or self.loss != "cross_entropy"):
            raise Misuse("the task text needs its file, as --data PATH, and --loss cross_entropy")
        between("accuracy", self.accuracy, 0, 1)
        if self.tolerance is not None:
            between("tolerance", self.tolerance, 0, np.inf)
        whole("per_decade", self.per_decade, most=FINEST)
        check_range("gamma", self.gamma)
        if self.eta is not None:
            check_range("eta", self.eta)
        seeds_of(self.seeds)

    def experiment(self) -> DeepExperiment:
        """Return the experiment.

        Raises
        ------
        Misuse : torch is not installed, or what the experiment itself refuses.
        """
        try:
            from deepnets.experiment import DeepExperiment
        except ImportError as error:
            raise Misuse(f"{EXTRA} ({error})") from None
        task = self._task()
        return DeepExperiment(self._network(task), task, self.loss, self._optimizer(), self.schedule, self.steps, self.batch_size,
                              seeds_of(self.seeds), self.precision, self.device, rho=self.rho)

    def plane(self) -> Plane:
        """Return the plane to sweep; if no rates are given, it extends about two decades beyond the expected edges.

        The rates of neighbouring gammas are staggered: on a straight grid, an edge of slope 2 would run along the lattice.
        """
        return Plane.log(self.gamma, self.eta or self._rates(), self.per_decade, stagger=True)

    def _rates(self) -> tuple[float, float]:
        """Return the first and the last rate, from eta_min ~ 5 gamma**2 and eta_max ~ 60 gamma**(2/L) as measured on digits."""
        width = self.width or NETWORKS[self.network]["width"]
        # outside of muP gamma is larger by sqrt(N), and under NTK eta is larger by N
        unit = np.sqrt(width) if self.parametrization in ("ntk", "standard") else 1.0
        low, high = (g / unit for g in self.gamma)
        depth = self.depth or NETWORKS[self.network].get("depth", 3)
        slow = 300 / max(self.steps, 300)
        if self.optimizer in SCALELESS:
            bottom = 1e-3 * slow * min(low, low ** (1 / depth))
            top = 30 * (high if high < 1 else high ** (1 / depth))
        else:
            bottom = 0.3 * slow * min(low**2, low)
            top = 1e3 * (high ** (2 / depth) if high > 1 else high**2 if self.loss == "mse" else high)
        if self.parametrization == "ntk" and self.optimizer not in SCALELESS:
            bottom, top = bottom * width, top * width
        return float(10.0 ** np.floor(np.log10(bottom))), float(10.0 ** np.ceil(np.log10(top)))

    def _optimizer(self) -> Any:
        """Return the optimizer with its weight decay and clipping."""
        from deepnets.optimizers import SGD, as_optimizer

        settings = {name: getattr(self, name) for name in ("weight_decay", "clip") if getattr(self, name) is not None}
        optimizer: Any = SGD(momentum=0.9) if self.optimizer == "momentum" and settings else as_optimizer(self.optimizer)
        if settings and self.optimizer in ("signsgd", "adam"):
            raise Misuse(f"{next(iter(settings))} is an option of sgd, momentum, nesterov, adamw, lion and muon, not of {self.optimizer}")
        return replace(optimizer, **settings) if settings else optimizer

    def _task(self) -> Any:
        """Return the task of that name."""
        from deepnets import tasks

        build = getattr(tasks, self.task.replace("-", "_"))
        if self.task in SYNTHETIC:
            return build(16 if self.dim is None else self.dim, *SYNTHETIC[self.task])
        return build(self.data) if self.data is not None else build()

    def _network(self, task: Any) -> Any:
        """Return the specification that fits the task."""
        import deepnets

        own: dict[str, Any] = {k: v if getattr(self, k) is None else getattr(self, k) for k, v in NETWORKS[self.network].items()}
        if self.parametrization is not None:
            own["parametrization"] = self.parametrization
        width, inputs = own.pop("width"), int(np.prod(task.in_shape))
        if self.network in ("mlp", "residual-mlp"):
            plain: Any = deepnets.MLP if self.network == "mlp" else deepnets.ResidualMLP
            return plain(in_features=inputs, width=width, out_features=task.out_features, **own)
        if self.network == "transformer":
            return deepnets.Transformer(vocabulary=task.out_features, context=inputs, width=width, **own)
        if self.network == "cnn":
            depth = whole("depth", own.pop("depth"), 2)
            own["convolutions"] = min(2, depth - 1)
            own["dense"] = depth - own["convolutions"]
        if self.network == "resnet":
            own["blocks"] = (own["blocks"],) * 4
        kind: Any = {"cnn": deepnets.CNN, "resnet": deepnets.ResNet, "residual-cnn": deepnets.ResidualCNN,
                     "vit": deepnets.ViT}[self.network]
        return kind(in_shape=self._image(task), width=width, out_features=task.out_features, **own)

    def _image(self, task: Any) -> tuple[int, ...]:
        """Return the task's inputs as (channels, height, width); a square number of inputs is a grey image."""
        shape = tuple(task.in_shape)
        side = int(np.sqrt(shape[0]))
        if len(shape) == 1 and side * side == shape[0] and self.task not in SYNTHETIC:
            return 1, side, side
        if len(shape) not in (2, 3):      # among them the inputs of synthetic tasks, which are no images
            raise Misuse(f"network {self.network} needs images, and the inputs of the task {self.task} have the shape {shape}")
        return (1,) * (3 - len(shape)) + shape


def seeds_of(text: str) -> tuple[int, ...]:
    """Return the seeds that a text names: "3" is 0, 1, 2, and "4,7" or "4," are themselves."""
    if not re.fullmatch(r"\d+|(\d+,)+\d*", text) or text == "0":
        raise Misuse(f"seeds must be how many, such as 3, or which, such as 0,4,7, not {text!r}")
    if text.isdigit() and int(text) > MANY:
        raise Misuse(f"seeds must be at most {MANY} in number, not {text}; for the single seed {text} write {text},")
    chosen = tuple(range(int(text))) if text.isdigit() else tuple(int(s) for s in text.split(",") if s)
    for seed in chosen:
        whole("seeds", seed, 0, 2**63 - 1)
    return chosen
