"""Train a toy model over a plane of gamma and eta, or once with every step recorded (`kernels.py` has the compiled loops)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from toymodels import losses, models, optimizers, randomness, schedules
from toymodels.modes import Modes
from toymodels.own.loss import Loss as OwnLoss
from toymodels.own.model import Model as OwnModel
from toymodels.threads import count_cores, run_in_threads
from validation.arguments import Misuse, axis, between, positive, refuse_subclass, whole
from validation.estimates import MOST_STEPS, check_memory
from validation.experiment import Experiment
from validation.plane import Plane
from validation.portrait import empty
from validation.printable import shorten

if TYPE_CHECKING:
    from toymodels.built_in import BuiltInToy
    from toymodels.own_kernels import OwnToy

WORK = 5e7       # pixel-steps a task: about 0.1 s, so that an interrupt takes effect soon; one at depth L counts as L/5 from L = 5 on
RATE = 5e8       # pixel-steps a second on one core, about
FACTORS, RECORD = 56, 200        # bytes a step: of the factors of a training, their temporary arrays included; and of a trajectory
NOISE = 80                       # bytes a step: of noise and batches
CATAPULT_KERNEL = 0.9       # a catapult with cross-entropy leaves the kernel below this share of gradient flow's
VARIABLES = ("outcome", "final_excess", "tail_excess", "peak_excess", "steps", "kernel_ratio", "rose")


@dataclass(frozen=True)
class ToyExperiment(Experiment):
    """A toy model, a loss and an optimizer: an experiment for `validation.sweep` and `validation.trace`.

    Attributes
    ----------
    model : `OneParameter(depth)`, `TwoParameter()`, one's own, `Model(output, start)`, or `Modes(depth, strengths, curvatures)`.
    loss : "mse", "cross_entropy" or one's own, `Loss(expression, f, y)`.
    optimizer : "sgd", "signsgd", "momentum", "adam", or one of `toymodels.optimizers` with its hyperparameters.
    steps : T >= 1, or an increasing sequence of them; the portrait then has a dimension ``horizon``.
    schedule : "constant", "warmup_cosine", one of `toymodels.schedules`, or an array of factors, one for each step of the last horizon,
        over which the others are stretched.
    rho : the excess in (0, 1) at which a run counts as converged.
    noise : sigma of the label noise: at each step the target is the model's plus or minus sigma, for all pixels alike. With noise or
        batches the tail excess is the mean over the tail, of the loss without noise; the attribute ``tail_is`` says so.
    batch : B, the number of Gaussian inputs whose mean gradient each step takes: the gradient times a factor m of mean 1 and variance
        2/B; None: all inputs, m = 1.
    seed : of noise and batches, whose values are a pure function of it and of the step.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; a subclass of a model, a loss or an optimizer, which the compiled loops
        would train as its parent.
    """

    model: models.AnyModel | Modes
    loss: Any = "mse"
    optimizer: Any = "sgd"
    steps: int | Sequence[int] = 1000
    schedule: Any = "constant"
    rho: float = 0.01
    noise: float = 0.0
    batch: int | None = None
    seed: int = 0

    variables = VARIABLES
    sections = 7     # rates that `trace` measures inside a bracket at once: eight lanes cost little more than one

    def __post_init__(self) -> None:
        if not isinstance(self.model, Modes):
            models.as_model(self.model)
        refuse_subclass("optimizer", self.optimizer, tuple(optimizers.OPTIMIZERS.values()))
        object.__setattr__(self, "loss", losses.as_loss(self.loss))
        object.__setattr__(self, "optimizer", optimizers.as_optimizer(self.optimizer))
        object.__setattr__(self, "schedule", schedules.as_schedule(self.schedule))
        object.__setattr__(self, "rho", between("rho", self.rho, 0, 1))
        self._check_noise()
        if np.ndim(self.steps) == 0:
            object.__setattr__(self, "steps", whole("steps", self.steps, most=MOST_STEPS))
        else:
            if np.asarray(self.steps).dtype.kind not in "iu":
                raise Misuse(f"steps must be a whole number, or an increasing sequence of them, not {self.steps!r}")
            axis("steps", self.steps)
            object.__setattr__(self, "steps", tuple(int(t) for t in self.steps))    # type: ignore[union-attr]
        if isinstance(self.schedule, schedules.Factors):
            self.schedule.factors(self.horizons[-1])      # refuses another number of factors

    def _check_noise(self) -> None:
        """Raise `Misuse` where noise, batch or seed is not allowed, or what the modes of a network are not trained by."""
        if isinstance(self.model, Modes) and (self.loss.name, self.optimizer.name, self.noise, self.batch) != ("mse", "sgd", 0, None):
            raise Misuse("loss must be 'mse' and optimizer 'sgd', without noise and batch, for Modes: with others the modes are not "
                         "independent")
        if self.noise != 0:
            if isinstance(self.noise, bool) or not isinstance(self.noise, Real) or not 0 < self.noise <= sys.float_info.max:
                raise Misuse(f"noise must be 0 or a finite number above zero, not {self.noise!r}")
            if isinstance(self.loss, OwnLoss):
                raise Misuse(f"noise must be 0 for a loss of one's own, not {self.noise!r}: it is of the labels of 'mse' and "
                             "'cross_entropy'")
        object.__setattr__(self, "noise", float(self.noise))
        if self.batch is not None:
            object.__setattr__(self, "batch", whole("batch", self.batch, most=10**9))
        object.__setattr__(self, "seed", whole("seed", self.seed, least=0, most=2**63))
        if self.seed and not self.is_noisy:
            raise Misuse(f"seed must be 0 where there is neither noise nor batch, not {self.seed!r}")

    @property
    def is_noisy(self) -> bool:
        """Whether runs depend on the seed."""
        return self.noise > 0 or self.batch is not None

    @property
    def horizons(self) -> tuple[int, ...]:
        """The numbers of steps after which the runs are judged."""
        return self.steps if isinstance(self.steps, tuple) else (int(self.steps),)  # type: ignore[arg-type]

    @property
    def tile(self) -> tuple[int, int]:      # type: ignore[override]
        """Whole rows: a thread takes a few of them at a time anyway. The longer the runs, the fewer, as an interrupt loses a tile."""
        return max(64, min(256, 256_000 // self.horizons[-1])), 1 << 20

    def check(self) -> None:
        """Raise `Misuse` if the factors of so many steps do not fit into memory."""
        check_memory("steps", self.horizons[-1], (FACTORS + NOISE * self.is_noisy) * self.horizons[-1])

    def estimate_time(self, runs: int) -> float:
        """Return about how many seconds so many runs take on this machine's cores, if none diverges."""
        return runs * self._work / RATE / min(count_cores(), runs)

    @property
    def _work(self) -> float:
        """The pixel-steps of one run, at the depths up to 5; deeper ones count as more, since a step takes L multiplications."""
        length = len(self.model.parameters) if isinstance(self.model, OwnModel) else self.model.depth / 5
        if isinstance(self.model, Modes):
            length *= len(self.model.strengths)
        return self.horizons[-1] * max(1.0, length)

    @property
    def scan_per_decade(self) -> int:      # type: ignore[override]
        """The least number of rates a decade at which edges may be scanned.

        SignSGD trains in periodic windows of eta. At rho = 0.01 the first gap between them, between steps of 0.11 and of 1/9 in f, is
        0.0044 decades wide. A scan at 200 a decade misses it at some gammas and not at others, and the edge then jumps by a window, a
        tenth of itself.
        """
        return 500 if self.optimizer.name == "signsgd" else 1

    def describe(self) -> dict[str, Any]:
        """Return the experiment as JSON, at full precision."""
        return {
            "witness": "toy",
            "model": self.model.describe(),
            "loss": self.loss.describe() if isinstance(self.loss, OwnLoss) else self.loss.name,
            "optimizer": optimizers.describe(self.optimizer),
            "schedule": schedules.describe(self.schedule),
            "steps": list(self.steps) if isinstance(self.steps, tuple) else self.steps,
            "rho": self.rho,
        } | ({"noise": self.noise} if self.noise else {}) | ({"batch": self.batch} if self.batch is not None else {}) | (
            {"seed": self.seed} if self.is_noisy else {})

    @classmethod
    def of(cls, description: dict[str, Any]) -> ToyExperiment:
        """Return the experiment that a description, as `describe` returns it, describes.

        Raises
        ------
        Misuse : it is not the description of a toy model, or that of another version.
        """
        try:
            if description["witness"] != "toy":
                raise KeyError("witness")
            loss = description["loss"]
            optimizer, schedule = dict(description["optimizer"]), dict(description["schedule"])
            steps = description["steps"]
            return cls(_read_model(description["model"]), OwnLoss.of(loss) if isinstance(loss, dict) else loss,
                       optimizers.OPTIMIZERS[optimizer.pop("name")](**optimizer),
                       tuple(steps) if isinstance(steps, list) else steps,
                       schedules.SCHEDULES[schedule.pop("name")](**schedule), description["rho"],
                       description.get("noise", 0.0), description.get("batch"), description.get("seed", 0))
        except Misuse:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            what = shorten(repr(description), 500) if not isinstance(error, RecursionError) else "one that is nested so deeply"
            raise Misuse(f"description must be that of a ToyExperiment, not {what}") from error

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Train at every (gamma, eta) and return the portrait.

        Parameters
        ----------
        gamma : (n,), > 0, strictly increasing.
        eta : (m,), > 0, strictly increasing; or (n, m), one axis per gamma.

        Returns
        -------
        A Dataset of `VARIABLES` over (gamma, eta), with a leading ``horizon`` where `steps` is a sequence.
        """
        plane = Plane(gamma, eta)
        leading = {"horizon": np.asarray(self.steps)} if isinstance(self.steps, tuple) else {}
        if isinstance(self.model, Modes):
            from toymodels.mode_experiment import measure_modes

            self.check()
            tails = [tail_start(T) for T in self.horizons]
            factors = self.schedule.factors(self.horizons[-1])
            return measure_modes(self.model, plane, self.horizons, tails, factors, self.rho, leading).assign_attrs(self.rules())
        portrait = empty(plane, leading, VARIABLES)
        written = {name: np.asarray(portrait[name].values).reshape(-1, *plane.shape) for name in VARIABLES}
        train = _Trainer(self)
        tasks = list(_split_plane(plane.shape, self._work))
        workers = min(len(tasks), count_cores())
        if workers == 1 and plane.shape[0] * plane.shape[1] * self._work <= WORK:
            for task in tasks:
                train(plane, *task, written)
        else:
            run_in_threads(train, [(plane, *task, written) for task in tasks])
        portrait.attrs.update(self.rules())
        if self.is_noisy:
            portrait["tail_excess"].attrs["long_name"] = "mean excess loss over the last T/10 steps"
        return portrait

    def rules(self) -> dict[str, Any]:
        """Return the portrait's attributes, by which `validation.locate` finds this model's edges."""
        rules: dict[str, Any] = {
            "rho": self.rho,
            "steps": list(self.steps) if isinstance(self.steps, tuple) else self.steps,
            "catapult_peak": 1.0,
            "eta_max_of": "lowest" if self.optimizer.name == "signsgd" else "highest",
            "dtype": "float64",
            "device": "cpu",
        }
        if self.is_noisy:
            rules["tail_is"] = "mean"
        if not _catapults_by_loss_alone(self):
            rules["catapult_kernel_ratio"] = CATAPULT_KERNEL
        return rules


def _read_model(description: dict[str, Any]) -> models.AnyModel | Modes:
    """Return the model of a description."""
    if description["name"] == "modes":
        return Modes(description["depth"], description["strengths"], description["curvatures"])
    return models.read_model(description)


class _Trainer:
    """The compiled training of one experiment with its numbers, called with a block of the plane."""

    def __init__(self, experiment: ToyExperiment) -> None:
        from toymodels import kernels, training_kernels  # numba only where it is used

        optimizer = experiment.optimizer
        self.experiment = experiment
        self.optimizer = kernels.OPTIMIZER_CODE[optimizer.name]
        self.noisy = int(experiment.is_noisy)
        toy = self.toy = compile_toy(experiment, self.optimizer, self.noisy)
        recurs = int(optimizer.name != "adam" and experiment.schedule.name == "constant" and not self.noisy)
        self.train = training_kernels.compile_training()
        self.advance, self.survive = kernels.compile_loops(toy.name, toy.functions, self.optimizer, toy.parameters, recurs, self.noisy)
        moments = kernels.count_moments(self.optimizer)
        # Adam's states never recur
        self.layout = toy.parameters * (1 + moments), toy.parameters * (1 + min(moments, 1)), toy.start, recurs, self.noisy
        experiment.check()
        self.factors, self.numbers = _build_factors(experiment)
        horizons = experiment.horizons
        self.tails = [tail_start(T) for T in horizons]
        times = {*self.tails, *(t - 1 for t in self.tails if t > 1), *horizons}
        self.boundaries = np.array(sorted(times), dtype=np.int64)

    def __call__(self, plane: Plane, rows: slice, columns: slice, written: dict[str, np.ndarray]) -> None:
        """Train a block of the plane and write its part of the portrait's arrays, each (horizon, gamma, eta)."""
        from toymodels import run_outcomes

        experiment, toy = self.experiment, self.toy
        gamma, eta = plane.part(rows, columns)
        eta = np.broadcast_to(eta, (len(gamma), eta.shape[-1]))
        rates = np.ascontiguousarray(toy.scale_rate(self.optimizer, gamma[:, None], eta))
        size = (len(self.boundaries), *rates.shape)
        high, low, f_at, w_at = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
        sums = np.empty(size if self.noisy else (0, 0, 0))
        died = np.empty(rates.shape, np.int64)
        flow, units = toy.flow_end(plane.gamma)[rows], toy.units(gamma)
        self.train(self.advance(), self.survive(), *self.layout, *toy.list_constants(gamma), rates, self.boundaries, self.factors,
                   self.numbers, units, high, low, sums, f_at, w_at, died)
        summarise = run_outcomes.compile_summary()
        bound = np.inf if _catapults_by_loss_alone(experiment) else CATAPULT_KERNEL
        for h, T in enumerate(experiment.horizons):
            tail, at = np.searchsorted(self.boundaries, (self.tails[h], T))
            prior = np.searchsorted(self.boundaries, self.tails[h] - 1) if self.tails[h] > 1 else -1
            block = {name: array[h, rows, columns] for name, array in written.items()}
            count = T + 1 - self.tails[h] if self.noisy else 0
            summarise(*toy.summary, experiment.rho, bound, flow, units, prior, tail, at, T, count,
                      high, low, sums, f_at, w_at, died,
                      block["outcome"], block["final_excess"], block["tail_excess"], block["peak_excess"],
                      block["steps"], block["kernel_ratio"], block["rose"])
            for a, i in np.argwhere(block["outcome"] == run_outcomes.AMBIGUOUS):
                block["outcome"][a, i] = self._replay(gamma[a], rates[a, i], T, bool(block["rose"][a, i]))

    def record(self, gamma: float, rate: float, T: int) -> tuple[np.ndarray, np.ndarray]:
        """Train one pixel for T steps and return its states (T + 1, parameters) and f (T + 1,)."""
        from toymodels import training_kernels

        toy, at = self.toy, np.array([gamma])
        states, f = np.empty((T + 1, toy.parameters)), np.empty(T + 1)
        [constants], [units] = toy.list_constants(at)[0], toy.units(at)
        training_kernels.compile_recorder()(self.advance(), self.layout[0], toy.start, self.noisy, constants, rate, self.factors[:T],
                                            self.numbers, units, states, f)
        return states, f

    def _replay(self, gamma: float, rate: float, T: int, rose: bool) -> int:
        """Train one pixel again and return its outcome: untrained if its excess never came near 0, else oscillating or partial."""
        from validation.outcome import Outcome

        if self.toy.excess(gamma, self.record(gamma, rate, T)[1]).min() >= 1 - min(self.experiment.rho, 0.05):
            return int(Outcome.UNTRAINED)
        return int(Outcome.OSCILLATING if rose else Outcome.PARTIAL)


def compile_toy(experiment: ToyExperiment, optimizer: int, noisy: int = 0) -> BuiltInToy | OwnToy:
    """Return what the compiled loops need of the experiment's model and loss."""
    if isinstance(experiment.model, Modes):
        raise Misuse(f"model must have one output, and {experiment.model!r} has {len(experiment.model.strengths)}")
    if isinstance(experiment.model, OwnModel) or not experiment.model.is_standard or isinstance(experiment.loss, OwnLoss):
        from toymodels.own_kernels import OwnToy

        return OwnToy(experiment.model, experiment.loss, optimizer, noisy)
    from toymodels.built_in import BuiltInToy

    return BuiltInToy(experiment.model, experiment.loss, optimizer, noisy)


def _catapults_by_loss_alone(experiment: ToyExperiment) -> bool:
    """Return whether a loss above the first is a catapult; with other losses than MSE a transient overshoot has one, too."""
    return bool(experiment.loss.name == "mse")


def tail_start(steps: int) -> int:
    """Return the first time of the tail, which is the last T/10 times, at least one, T included."""
    return steps + 1 - max(1, steps // 10)


def _build_factors(experiment: ToyExperiment) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernels' `factors` (T, 3), of noisy runs (T, 5), and `numbers` (3,)."""
    T, optimizer = experiment.horizons[-1], experiment.optimizer
    factors = np.ones((T, 5 if experiment.is_noisy else 3))
    if experiment.is_noisy:
        factors[:, 3] = _build_shifts(experiment, T)
        if experiment.batch is not None:
            factors[:, 4] = randomness.draw_batch_factors(experiment.seed, T, experiment.batch)
    factors[:, 0] = experiment.schedule.factors(T)
    numbers = np.zeros(3)
    if isinstance(optimizer, optimizers.HeavyBall):
        numbers[0] = optimizer.beta
    if isinstance(optimizer, optimizers.Adam):
        numbers[:] = optimizer.beta1, optimizer.beta2, optimizer.epsilon
        t = np.arange(1, T + 1)
        factors[:, 1] = 1 / -np.expm1(t * np.log(optimizer.beta1))
        factors[:, 2] = 1 / np.sqrt(-np.expm1(t * np.log(optimizer.beta2)))
    return factors, numbers


def _build_shifts(experiment: ToyExperiment, T: int) -> np.ndarray:
    """Return ``l'(f; y + noise) - l'(f; y)`` of each step (T,), which depends on f with neither of the losses."""
    labels = experiment.noise * randomness.draw_signs(experiment.seed, T) if experiment.noise else np.zeros(T)
    if experiment.loss.name == "mse":
        return -labels
    y = experiment.model.target      # type: ignore[union-attr]     # there is no noise with Modes
    return np.tanh(y / 2) / 2 - np.tanh((y + labels) / 2) / 2       # of sigmoids


def _split_plane(shape: tuple[int, int], work: float) -> Iterator[tuple[slice, slice]]:
    """Yield the plane in blocks of about `WORK`, a run taking `work`: whole rows, or parts of a row where one is longer."""
    from toymodels.kernels import LANES

    n, m = shape
    columns = m if m * work <= WORK else max(LANES, int(WORK / work) // LANES * LANES)
    rows = max(1, int(WORK / (min(columns, m) * work)))
    for a in range(0, n, rows):
        for b in range(0, m, columns):
            yield slice(a, min(a + rows, n)), slice(b, min(b + columns, m))


def trajectory(model: models.AnyModel | Modes, loss: str | losses.Loss | OwnLoss = "mse", optimizer: str | optimizers.Optimizer = "sgd",
               gamma: float = 1.0, eta: float = 0.1, steps: int = 1000,
               schedule: str | schedules.Schedule | Sequence[float] = "constant", noise: float = 0.0, batch: int | None = None,
               seed: int = 0) -> xr.Dataset:
    """Return one run of a toy model, step by step, in the same arithmetic as a sweep.

    Parameters
    ----------
    model, loss, optimizer, schedule, noise, batch, seed : as for `ToyExperiment`.
    gamma, eta : numbers above zero.
    steps : T >= 1.

    Returns
    -------
    Dataset with dimension ``step`` (0..T): ``f``, ``loss``, ``excess``, ``sharpness`` (the largest eigenvalue of the Hessian whose
    gradient the update follows: for `TwoParameter` that of half the loss, so that the edge of stability is at 2/eta), ``kernel``, and
    ``w`` or ``u1``, ``u2``. One parameter also has ``u = (w - 1)/gamma``, which stays exact where w rounds to 1. Numbers that have
    overflowed are infinite or NaN.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """
    experiment = ToyExperiment(model, loss, optimizer, whole("steps", steps, most=MOST_STEPS), schedule, noise=noise, batch=batch,
                               seed=seed)
    check_memory("steps", steps, RECORD * steps)
    g, rate = (float(positive(name, x)) if np.ndim(x) == 0 else _refuse(name, x) for name, x in (("gamma", gamma), ("eta", eta)))
    if isinstance(experiment.model, Modes):
        from toymodels.mode_experiment import follow_modes

        return follow_modes(experiment.model, g, rate, experiment.schedule.factors(steps))
    train = _Trainer(experiment)
    scaled = float(train.toy.scale_rate(train.optimizer, np.float64(g), np.float64(rate)))
    data = train.toy.observe(g, *train.record(g, scaled, steps))
    names = {"f": "centred, rescaled output", "loss": "loss", "excess": "excess loss", "kernel": "kernel K",
             "sharpness": "largest eigenvalue of the update's Hessian", "w": "weight", "u": "(w - 1)/gamma"}
    return xr.Dataset(
        {k: ("step", x, {"long_name": names.get(k, k), "units": "1"}) for k, x in data.items()},
        coords={"step": np.arange(steps + 1), "gamma": g, "eta": rate},
        attrs={k: v for k, v in experiment.rules().items() if k in ("steps", "dtype", "device")})


def _refuse(name: str, value: Any) -> float:
    raise Misuse(f"{name} must be one number above zero, not {value!r}")
