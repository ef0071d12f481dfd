"""Train a network on a task over a plane of gamma and eta, all runs of a tile at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
import xarray as xr
from torch import nn

from deepnets import losses, optimizers, precision, schedules
from deepnets.batched.graph import as_compile
from deepnets.batched.state import TOO_FAR, reference_tensor
from deepnets.bound_copies import refuse_bound_copies
from deepnets.centered.functional import trainable
from deepnets.centered.pair import Operand
from deepnets.centered.source_line import name_source_line
from deepnets.device import SMALL, as_device, threads_for
from deepnets.failed_runs import Failure
from deepnets.fused.engine import choose_engine
from deepnets.memory import count_fitting_runs, estimate, split_held_out, train_in_pieces
from deepnets.module_state import find_difference, read_state
from deepnets.network_check import METHODS, choose_method, place_module, try_out
from deepnets.network_factory import FINGERPRINT_SEED, build_network, compute_fingerprint, copy_module
from deepnets.own_loss import describe_own_loss
from deepnets.precision import DTYPES, arithmetic, as_precision
from deepnets.preflight import check_samples, check_size, check_steps, check_weights, count_recorded_runs
from deepnets.run_arguments import as_seeds, as_steps, check_together
from deepnets.run_outcomes import CATAPULT_PEAK, choose_curve_steps
from deepnets.run_variables import compute_variables, make_blank
from deepnets.tasks import Task, as_task
from deepnets.training import Recipe, batch, held_out, parameter_rates, rate_width, train
from validation.arguments import Misuse, between, choose, whole
from validation.experiment import Experiment
from validation.outcome import Outcome
from validation.plane import Plane
from validation.user_warnings import warn_user

ON_A_CORE = 32       # runs trained at once on a CPU: more do not fit into its cache


@dataclass(frozen=True)
class DeepExperiment(Experiment):
    """A network and its task: an experiment for `validation.sweep` and `validation.trace`.

    The loss of a step is that of its fresh batch, before the update. The excess is the mean of ten such losses, divided by the loss of the
    zero output.

    To find an edge within 0.1 decade at the least cost, use ``trace(experiment, gamma, edge, rtol=0.25, per_decade=2)``: a scan in half
    decades, then bisection, about a tenth of the runs of a grid of ten rates a decade from 1e-12 to 1e12. The default 20 rates a
    decade, which resolve fringes, would cost two thirds of that grid.

    Attributes
    ----------
    network : a specification such as `deepnets.MLP`, or a callable seed -> torch.nn.Module. The random states of torch, numpy and Python
        are set to the seed before it is called, and restored; its module is copied and stays as it is. It is called with seed 0 as well,
        whatever the seeds, for the fingerprint in the description.
    task : one of `deepnets.tasks`, or an object with their methods.
    loss : "mse" (half the squared error, averaged over samples and outputs), "cross_entropy", one of torch's loss modules, any callable
        (output, target) -> loss, or one's own, see `deepnets.losses.Loss`. Subclasses of the package's losses, optimizers and schedules
        are refused.
    optimizer : "sgd", "signsgd", "momentum", "nesterov", "adam", "adamw", "lion", "muon", one of `deepnets.optimizers` with its numbers,
        or one's own, see `deepnets.optimizers.Optimizer`.
    schedule : "constant", "warmup_cosine", "warmup_stable_decay", one of `deepnets.schedules`, factors of eta as an array (T,), or a
        callable (step, T) -> factor.
    steps : T >= 1; or several T, increasing, with a constant schedule: the runs are judged after each, and the portrait has a dim
        ``horizon``.
    batch_size : samples a step.
    seeds : of weights and batches; the portrait's dim ``seed``.
    precision : "auto" and "float32" propagate differences in float32, "float64" in float64; "tf32" (on CUDA) and "bf16" in float32 with
        rounded operands of products, a relative error of the function of 4e-4 and 2e-3 at every gamma.
    device : "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:<number>".
    width : N of the rate N eta of SGD and momentum; None: the specification's own (in muP the width that its readout sums over, 1 in NTK
        and standard parametrization), and 1 for a callable. SignSGD's and Adam's rates do not scale with N.
    rho : the excess in (0, 1) at which a run counts as trained.
    curves : the number of points of the portrait's loss curves, log-spaced from step 1 to the last T (fewer where they coincide); 0: no
        curves. `train_loss` is the mean over the ten steps up to a point, `held_out_loss` the loss on the held-out samples, both infinite
        once a run has diverged.
    compile : "auto" records the training step of a network that is propagated under `vmap` as a graph and replays it, on a GPU compiled
        where the steps left take so long that it pays; True compiles at once (a minute or more for each size of a stack); False does
        neither. Results differ by rounding only.
    method : how a callable's network is trained. "auto" propagates differences ("pairs") if that passes a comparison with float64 copies,
        in value and gradient; otherwise it trains float64 copies ("copies"), whatever the precision, with a `FellBack` warning. "pairs"
        refuses instead. "copies" trains whatever torch trains, one run after the other. A specification has pairs unless copies are
        chosen. The portrait's attribute ``method`` is the one that ran, for a callable.
    centred : False trains f/gamma in place of f~. At gamma = 1 that is ordinary training, in float64 up to rounding of 1e-16 a step; at
        small gamma f(theta_0)/gamma is large. No theory is compared with it.

    The portrait's attribute ``engine`` is what trained the runs: "fused", compiled kernels on a CPU; "folded", on a GPU, products with the
    step of SGD in them (see `deepnets.fused.engine` for both); or "stack", torch. Their results differ by rounding only.

    A run that raises (other than `Misuse` and lack of memory) is trained again by itself; if it raises again, its outcome is ``failed``,
    and its traceback is in the portrait's attribute ``failures``, a JSON list.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    Unsupported : from `check` and `measure`, naming the network's operation that differences cannot be propagated through, and its line.
    """

    network: Any
    task: Task
    loss: Any = "mse"
    optimizer: Any = "sgd"
    schedule: Any = "constant"
    steps: int | Sequence[int] = 1000
    batch_size: int = 256
    seeds: Sequence[int] = (0,)
    precision: str = "auto"
    device: str = "auto"
    width: int | None = None
    rho: float = 0.5
    curves: int = 0
    compile: bool | str = "auto"
    method: str = "auto"
    centred: bool = True
    _computed: ClassVar[dict[str, Any]]      # what the check and the fingerprint have found; shared by `with_seeds`

    def __post_init__(self) -> None:
        object.__setattr__(self, "_computed", {})
        if isinstance(self.network, type | nn.Module) or not (hasattr(self.network, "scalings") or callable(self.network)):
            raise Misuse("network must be a specification such as deepnets.MLP(...), or a callable seed -> torch.nn.Module, "
                         f"not {self.network!r}")
        as_task(self.task)
        for name, value in (("loss", losses.as_loss(self.loss)), ("optimizer", optimizers.as_optimizer(self.optimizer)),
                           ("schedule", schedules.as_schedule(self.schedule)), ("steps", as_steps(self.steps)),
                           ("batch_size", whole("batch_size", self.batch_size)), ("rho", between("rho", self.rho, 0, 1)),
                           ("seeds", as_seeds(self.seeds)), ("curves", whole("curves", self.curves, 0)),
                           ("compile", as_compile(self.compile)), ("method", choose("method", self.method, METHODS))):
            object.__setattr__(self, name, value)
        if isinstance(self.schedule, schedules.OwnSchedule):
            self.schedule.factors(self.horizons[-1])      # which checks them
        object.__setattr__(self, "device", as_device(self.device))
        as_precision(self.precision, self.device)
        if not isinstance(self.centred, bool):
            raise Misuse(f"centred must be True or False, not {self.centred!r}")
        if self.width is not None:
            whole("width", self.width)
        check_together(self)

    @property
    def tile(self) -> tuple[int, int]:     # type: ignore[override]
        """The rows and columns of a plane to be measured at once; a GPU trains whole rows together, or as many of their runs as fit."""
        return (4, 16) if self.device == "cpu" else (32, 4096)

    @property
    def rate_width(self) -> int:
        """The N of the rate N eta."""
        if self.width is not None:
            return self.width
        return rate_width(self.network.scalings()) if hasattr(self.network, "scalings") else 1

    @property
    def horizons(self) -> tuple[int, ...]:
        """The numbers of steps after which the runs are judged."""
        return self.steps if isinstance(self.steps, tuple) else (int(self.steps),)  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """Return the experiment as JSON at full precision, without device, tile and compilation.

        `curves` is part of it although it changes no run: a store cannot be extended by portraits with other variables. For a callable,
        ``fingerprint`` holds the names and shapes of parameters and buffers, and a digest of their values for seed 0, whatever the seeds.
        """
        network = self.network
        chosen = ({"method": self.method} if self.method == "copies" else {}) | ({} if self.centred else {"centred": False})
        return self._describe_fingerprint() | chosen | {
            "witness": "deep",
            "network": network.describe() if hasattr(network, "describe") else {
                "name": f"{getattr(network, '__module__', '')}.{getattr(network, '__qualname__', type(network).__qualname__)}"},
            "task": self.task.describe(),
            "loss": self.loss.name if self.loss.closed_form else self._describe_loss(),
            "optimizer": optimizers.describe(self.optimizer),
            "schedule": schedules.describe(self.schedule, self.horizons[-1]),
            "steps": self._list_steps(),
            "batch_size": self.batch_size,
            "seeds": list(self.seeds),
            "precision": self.precision,
            "width": self.rate_width,
            "rho": self.rho,
            "curves": self.curves,
        }

    def _list_steps(self) -> int | list[int]:
        return list(self.steps) if isinstance(self.steps, tuple) else int(self.steps)     # type: ignore[arg-type]

    def _describe_fingerprint(self) -> dict[str, Any]:
        """Return the fingerprint of a callable's network, computed once, as an entry of the description; a specification needs none."""
        if hasattr(self.network, "scalings"):
            return {}
        if "fingerprint" not in self._computed:
            self._computed["fingerprint"] = compute_fingerprint(build_network(self.network, FINGERPRINT_SEED, self.device))
        return {"fingerprint": self._computed["fingerprint"]}

    def _describe_loss(self) -> dict[str, Any]:
        """Return the description of a loss of one's own, computed once."""
        if "loss" not in self._computed:
            specified = hasattr(self.network, "scalings")
            self._computed["loss"] = describe_own_loss(self.loss, self.task, None if specified else lambda: build_network(
                self.network, FINGERPRINT_SEED, self.device))
        return dict(self._computed["loss"])

    def with_seeds(self, seeds: Sequence[int]) -> Self:
        """Return the same experiment with other seeds; what has been checked is not checked again."""
        other = replace(self, seeds=tuple(seeds))
        object.__setattr__(other, "_computed", self._computed)
        return other

    def rules(self) -> dict[str, Any]:
        """Return the attributes by which `validation.locate` reads the edges of networks."""
        ran = self._computed.get("method")
        engine = {"engine": self._computed["engine"]} if "engine" in self._computed else {}      # once it has been checked
        copies = {"dtype": "float64", "tf32": 0} if ran == "copies" else {}
        return {"rho": self.rho, "steps": self._list_steps(), "catapult_peak": CATAPULT_PEAK,
                "eta_max_of": "lowest" if self.optimizer.name == "signsgd" else "highest",
                "device": self.device, **precision.describe(self.precision, self.device), **copies, **engine,
                **({"method": ran} if ran else {})}

    def check(self) -> None:
        """Refuse what cannot be trained, before anything is trained or written; it takes time only when it is first called.

        `measure` calls it, and so do `validation.sweep`, `trace`, `descend` and the command lines.

        Raises
        ------
        Misuse : a batch, a network or the losses of so many steps do not fit into memory; what `measure` refuses of network and task.
        Unsupported : naming the network's operation that differences cannot be propagated through.
        """
        if "checked" in self._computed:
            return
        check_samples("batch_size", self.batch_size, self.task, self.loss)
        check_steps("steps", self.horizons[-1])
        if hasattr(self.network, "scalings"):
            check_weights(self.network, DTYPES[self.precision], self.device)
        with torch.random.fork_rng(devices=[self.device] if self.device.startswith("cuda") else []):
            self._count_fitting_runs(self.theta_0(self.seeds[0]))
        self._computed["checked"] = True

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Train at every (gamma, eta) with every seed and return the portrait.

        Parameters
        ----------
        gamma : (n,), > 0, increasing.
        eta : (m,), the same, or (n, m), one axis per gamma.

        Returns
        -------
        Dataset : a portrait with dims (seed, gamma, eta), or (seed, horizon, gamma, eta); `final_accuracy` on held-out samples where the
            task has classes; with `curves`, `train_loss` and `held_out_loss` over (seed, step, gamma, eta).
        """
        plane = Plane(gamma, eta)
        least = torch.finfo(DTYPES[self.precision]).tiny
        if plane.gamma[0] < least or plane.gamma[-1] > TOO_FAR:
            outside = plane.gamma[0] if plane.gamma[0] < least else plane.gamma[-1]
            raise Misuse(f"gamma must lie between {least:.2g} and {TOO_FAR:g} in {DTYPES[self.precision]}, not {outside:g}")
        self.check()
        portrait = make_blank(plane, self.seeds, self.steps, self.curves, self.task.classes is not None)      # type: ignore[arg-type]
        runs = plane.shape[0] * plane.shape[1]
        arrays = {str(n): v.values.reshape(len(self.seeds), -1, runs) for n, v in portrait.data_vars.items() if n != "eta_value"}
        gammas = np.repeat(plane.gamma, plane.shape[1])                              # (runs,)
        etas = np.broadcast_to(plane.eta, plane.shape).reshape(-1)
        failures: list[dict[str, Any]] = []
        with torch.random.fork_rng(devices=[self.device] if self.device.startswith("cuda") else []):
            for s, seed in enumerate(self.seeds):
                for which, result in train_in_pieces(*self._trainer(seed, gammas, etas)):
                    if isinstance(result, Failure):
                        failures.append({"seed": seed, "gamma": float(gammas[which[0]]), "eta": float(etas[which[0]]),
                                         "traceback": result.traceback})
                        result = {"outcome": np.full((len(self.horizons), 1), Outcome.FAILED)}
                    for name, values in result.items():
                        arrays[name][s][:, which] = values
        portrait.attrs.update(self.rules())
        if failures:
            portrait.attrs["failures"] = json.dumps(failures)
            warn_user(f"{len(failures)} of {runs * len(self.seeds)} runs failed, the first with "
                      f"{failures[0]['traceback'].strip().splitlines()[-1]}; the tracebacks are in the portrait's attribute 'failures'")
        return portrait

    def _trainer(self, seed: int, gammas: np.ndarray, etas: np.ndarray) -> tuple[Callable[[np.ndarray], dict[str, np.ndarray]], int, int]:
        """Return a function that trains runs, given their indices, how many runs there are, and how many may be trained at once."""
        module = self.theta_0(seed)
        most = self._count_fitting_runs(module)
        recipe = self.recipe(module)
        stack = recipe.choose_stack(module, self.compile)
        own = not hasattr(self.network, "scalings")
        state, untouched = (read_state(module, (Operand,)), copy_module(module)) if own else ({}, module)
        # a fault of the task is raised before training, and not for every run
        batch(recipe, seed, 0, reference_tensor(module))
        held_out(recipe, reference_tensor(module))

        parameters = sum(p.numel() for p in module.parameters())
        small = 0 if self._computed["engine"] == "fused" else SMALL      # its threads train runs of their own

        def train_runs(which: np.ndarray) -> dict[str, np.ndarray]:
            nonlocal module, stack
            if own and find_difference(state, read_state(module, (Operand,))):      # what runs before have left
                module = copy_module(untouched)
                stack = recipe.choose_stack(module, self.compile)
            with arithmetic(self.precision, self.device), threads_for(parameters, self.batch_size, self.device, small), name_source_line():
                result = train(module, stack, recipe, gammas[which], etas[which], seed)
            return compute_variables(result, self.loss, self.horizons, self.curves, self.task.classes is not None, self.rho)
        return train_runs, len(gammas), most

    def _count_fitting_runs(self, module: nn.Module) -> int:
        """Return how many runs are trained at once, or raise `Misuse` if not even one fits."""
        recipe = self.recipe(module)
        with arithmetic(self.precision, self.device), name_source_line():
            if "need" not in self._computed:      # the same for all seeds and tiles
                self._computed["engine"] = choose_engine(module, recipe.choose_stack(module), recipe)
                self._computed["need"] = estimate(module, recipe)
            recipe, need = split_held_out(module, recipe, self.device, self._computed["need"])
            self._computed.update(need=need, held_out_samples=recipe.held_out_samples)
            fit = count_fitting_runs(module, recipe, self.device, need)
        fit = min(fit, count_recorded_runs(self.horizons[-1]))
        return min(fit, ON_A_CORE) if self.device == "cpu" and self._computed["engine"] != "fused" else fit

    def recipe(self, module: nn.Module) -> Recipe:
        """Return how a stack of a network is trained."""
        scalings = self.network.scalings() if hasattr(self.network, "scalings") else None
        T = self.horizons[-1]
        return Recipe(self.task, self.loss, self.optimizer, self.schedule.factors(T),
                      parameter_rates(scalings, self.optimizer, list(trainable(module)), self.width), self.batch_size, self.horizons,
                      choose_curve_steps(T, self.curves), self._computed.get("held_out_samples"), self._computed.get("method", "pairs"),
                      self.centred, DTYPES[self.precision])

    def theta_0(self, seed: int) -> nn.Module:
        """Return the network of a seed at theta_0, in this experiment's dtype and on its device, after it has been tried out."""
        first, dtype = "method" not in self._computed and not hasattr(self.network, "scalings"), DTYPES[self.precision]

        def examine(module: nn.Module) -> None:
            check_size(module, dtype, self.device)
            refuse_bound_copies(module, self.task, seed, self.batch_size, self.loss)

        network = build_network(self.network, seed, self.device, examine if first else None)
        check_size(network, dtype, self.device)
        if first or (self.method == "copies" and "method" not in self._computed):
            trial = place_module(copy_module(network), self.device, dtype)
            try_out(trial, self.task, seed, self.loss)
            self._computed["method"] = choose_method(trial, self.task, self.loss, seed, self.method, self.batch_size, self.compile,
                                                     self.centred, self.device)
        module = place_module(network, self.device, torch.float64 if self._computed.get("method") == "copies" else dtype)
        try_out(module, self.task, seed, self.loss)
        return module
