"""Predicted exponents of networks' edges, in the lazy and in the rich regime.

The theory gives networks' edges up to a factor that depends on the task, so that it predicts exponents only. In a plain feed-forward
network of L weight matrices, without norms and with a nonlinearity that does not saturate, the weights must grow by ``gamma**(1/L)``.
Before a final norm they need not all grow, and skip connections mix depths: for such networks, and for user-defined modules, the theory
predicts lazy exponents only, and the "L" of their ``gamma**(2/L)`` is fitted. Of losses and optimizers that it does not cover (one's own,
weight decay, clipping, Nesterov's momentum, Lion, Muon) it claims nothing. Two of its claims come with a caveat: `OPEN`, `OVERSHOOT`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from deepnets.stored_description import check_description, check_name, check_network
from deepnets.titles import as_title
from validation.arguments import Misuse, choose, whole
from validation.prediction import REGIMES, Prediction, find_family

LAZY, RICH = (0.0, 1e-3), (10.0, 1e3)      # gammas: beyond these, finite width and T bend the laws of networks
LOSSES = ("mse", "cross_entropy")
OPTIMIZERS = ("sgd", "momentum", "signsgd", "adam")
SILENT = ("nesterov", "adamw", "lion", "muon")      # optimizers that no law covers
GROWING = ("relu", "gelu", "linear")       # a saturating nonlinearity bounds the activations
OPEN = "open: at L >= 4 the measured exponent is below 1 and rises with the width; it has not been measured over widths at one T"
OVERSHOOT = ("with cross-entropy this edge is the onset of overshoot, where the loss first exceeds 1.05 of its first value, on minibatches "
             "by the noise of the batches, and not where the kernel loses stability")


@dataclass(frozen=True)
class Exponents(Prediction):
    """Power laws of one edge, ``eta ~ gamma**exponent`` with an unknown factor in each regime; called, it takes 1 for the factor.

    Attributes
    ----------
    name, label, source : as of `Prediction`.
    lazy, rich : the exponents; None: none is predicted.
    rich_logarithm : whether ``log(c gamma)``, of unknown c, multiplies the rich law.
    lazy_criterion : "excess" or "accuracy": what decides in the lazy regime whether a run is trained, see `validation.locate`.
    closing_gamma : the gamma where the triangle of trainability closes; rich laws are fitted below a third of it.
    depth : L, None where the network has none.
    unit : the gamma that is muP's 1: sqrt(N) in the NTK and the standard parametrization, whose readout is larger by as much.
    remark : as of `Prediction`.
    open_rich : why the rich law is not judged; empty where it is.
    """

    name: str
    label: str
    source: str
    lazy: Fraction | None = None
    rich: Fraction | None = None
    rich_logarithm: bool = False
    lazy_criterion: str = "excess"
    closing_gamma: float = np.inf
    unit: float = 1.0
    remark: str = ""
    open_rich: str = ""
    depth: int | None = None

    free_prefactor: ClassVar[bool] = True     # type: ignore[misc]

    def __call__(self, gamma: ArrayLike, steps: int = 1000, rho: float = 0.5) -> np.ndarray:
        """Return ``gamma**exponent``, lazy up to `unit` and rich beyond, NaN where none is predicted (shape of `gamma`)."""
        gamma = np.asarray(gamma, dtype=np.float64)
        lazy, rich = (np.nan if e is None else float(e) for e in (self.lazy, self.rich))
        return gamma ** np.where(gamma <= self.unit, lazy, rich)

    def exponent(self, regime: str) -> Fraction:
        """Return the exponent in the regime "lazy" or "rich"; ValueError where none is predicted."""
        value = {"lazy": self.lazy, "rich": self.rich}[choose("regime", regime, REGIMES)]
        if value is None:
            raise ValueError(f"no exponent of {self.name} is predicted in the {regime} regime")
        return value

    def fraction(self, regime: str) -> Fraction:
        """Return `exponent`."""
        return self.exponent(regime)

    def family(self, regime: str) -> tuple[int, int] | None:
        """Return k and L where the exponent is 1/L or 2/L by the depth L, else None."""
        return find_family(self.exponent(regime), self.depth)

    def holds_by_construction(self, regime: str) -> bool:
        """Return whether runs depend on eta/gamma^exponent alone, as those of a lazy network do, which is linear in its parameters."""
        return choose("regime", regime, REGIMES) == "lazy" and self.lazy is not None and self.lazy_criterion == "excess"

    def logarithm(self, regime: str) -> bool:
        """Return whether a logarithm of gamma multiplies the power law in this regime."""
        return choose("regime", regime, REGIMES) == "rich" and self.rich_logarithm

    def explain_doubt(self, regime: str) -> str:
        """Return why no verdict is given in this regime; empty where one is."""
        return self.open_rich if choose("regime", regime, REGIMES) == "rich" else ""

    def closing_point(self, steps: int = 1000, rho: float = 0.5) -> float:
        """Return the gamma at which the triangle of trainability closes; infinity if no such gamma has been measured."""
        return self.closing_gamma

    def window(self, regime: str, steps: int = 1000, rho: float = 0.5, tolerance: float = 0.02) -> tuple[float, float] | None:
        """Return the gammas (low, high) on which networks follow the law; None where the triangle leaves none."""
        self.exponent(regime)
        return window(regime, self.closing_gamma, self.unit)


def window(regime: str, closing_gamma: float = np.inf, unit: float = 1.0) -> tuple[float, float] | None:
    """Return the gammas (low, high) on which networks follow power laws; None where the triangle of trainability closes before them."""
    low, high = (end * unit for end in (LAZY if choose("regime", regime, REGIMES) == "lazy" else RICH))
    high = high if regime == "lazy" else min(high, closing_gamma / 3)
    return (low, high) if low < high else None


def predict(network: Any, loss: Any = "mse", optimizer: Any = "sgd", width: int | None = None) -> dict[str, Exponents]:
    """Return the predicted exponents of a network's edges, by edge.

    Parameters
    ----------
    network : the depth L >= 2 of a plain feed-forward network; a specification such as `deepnets.MLP`, or what its ``describe()``
        returns; or a callable that builds user-defined modules, for which only lazy exponents are predicted.
    loss : "mse" or "cross_entropy", one of `deepnets.losses`, its description, or a callable.
    optimizer : "sgd", "momentum", "signsgd" or "adam", another name or one of `deepnets.optimizers`, or its description.
    width : N of a network of one's own, the inputs of its readout. Such networks are taken to have the standard parametrization (as torch
        initializes them), whose gammas are larger by sqrt(N). None: muP's windows for a depth; for a callable, the inputs of the last
        matrix of the module that it builds for seed 0. For one's own network in muP it is 1.

    Returns
    -------
    dict : empty where the theory does not cover loss or optimizer; `explain_silence` says so in a sentence.

    Raises
    ------
    Misuse : an argument that is not allowed.

    Examples
    --------
    >>> law = predict(3)["eta_max"]
    >>> str(law.exponent("lazy")), str(law.exponent("rich"))
    ('2', '2/3')
    """
    depth, unit = _depth(network), _unit(network, width)
    if explain_silence(loss, optimizer):
        return {}
    loss, optimizer = (part["name"] if isinstance(part, Mapping) else getattr(part, "name", part) for part in (loss, optimizer))
    if optimizer in ("signsgd", "adam"):
        # steps without the gradient's scale: a parameter moves by eta T, and must move by gamma, or by gamma**(1/L)
        return {"eta_max": Exponents("eta_max", r"$\eta_\mathrm{max}$", "Appendix F.1", Fraction(1), _over(1, depth), unit=unit,
                                     depth=depth)}
    slow = None if depth is None else Fraction(1)
    convex = loss == "mse"
    return {
        "eta_min": Exponents("eta_min", r"$\eta_\mathrm{min}$", "Section 3.1, eqs. 2 and 8, Table 1", Fraction(2), slow,
                             rich_logarithm=depth == 2, unit=unit, depth=depth,
                             open_rich=OPEN if depth is not None and depth >= 4 else ""),
        "eta_crit": Exponents("eta_crit", r"$\eta_\mathrm{crit}$", "Sections 3.3 and 4.1, Table 1", Fraction(2), unit=unit,
                              depth=depth) if convex else
                    Exponents("eta_crit", r"onset of overshoot, $\eta_\mathrm{crit}$", "Table 1; as gamma -> 0 a run depends on "
                              "eta/gamma^2 alone, whatever makes its loss overshoot", Fraction(2), unit=unit, depth=depth,
                              remark=OVERSHOOT),
        "eta_max": Exponents("eta_max", r"$\eta_\mathrm{max}$", "eqs. 6 and 7, Table 1" if convex else "Section 4.2, eq. 7, Table 1",
                             Fraction(2) if convex else Fraction(1), _over(2, depth),
                             lazy_criterion="excess" if convex else "accuracy", unit=unit, depth=depth),
    }


def explain_silence(loss: Any, optimizer: Any, centred: bool = True) -> str | None:
    """Return the sentence that says why the theory claims nothing, or None where it covers loss, optimizer and network.

    Parameters
    ----------
    loss, optimizer : as of `predict`.
    centred : whether the network is.

    Raises
    ------
    Misuse : an argument that is not allowed.
    """
    causes = [c for c in (_exclude_loss(loss), _exclude_optimizer(optimizer), None if centred else "networks that are not centred") if c]
    return f"the theory claims nothing of this portrait: it does not cover {' or '.join(causes)}" if causes else None


def _exclude_loss(loss: Any) -> str | None:
    """Return the loss in words if the theory does not cover it."""
    if isinstance(loss, str):
        choose("loss", loss, LOSSES)
        return None
    if isinstance(loss, Mapping):
        check_name("loss", loss)
    name = loss["name"] if isinstance(loss, Mapping) else getattr(loss, "name", getattr(loss, "__qualname__", type(loss).__name__))
    return None if getattr(loss, "closed_form", False) else f"the loss {name!r}"


def _exclude_optimizer(optimizer: Any) -> str | None:
    """Return the optimizer, or the setting of it, in words if the theory does not cover it."""
    if isinstance(optimizer, str):
        choose("optimizer", optimizer, (*OPTIMIZERS, *SILENT))
        settings: Mapping[str, Any] = {}
    elif isinstance(optimizer, Mapping):
        check_name("optimizer", optimizer)
        settings, optimizer = optimizer, optimizer["name"]
    else:
        settings, optimizer = {n: getattr(optimizer, n, None) for n in ("weight_decay", "clip")}, getattr(optimizer, "name", None)
        if not isinstance(optimizer, str):
            raise Misuse(f"optimizer must be one of {', '.join(map(repr, (*OPTIMIZERS, *SILENT)))}, or a deepnets optimizer, "
                         f"not {optimizer!r}")
    if optimizer not in OPTIMIZERS:
        return f"the optimizer {optimizer!r}"
    return "weight decay" if settings.get("weight_decay") else "clipping" if settings.get("clip") is not None else None


def explain_silence_of(description: Mapping[str, Any]) -> str | None:
    """Return `explain_silence` of a stored portrait, from the description of its experiment, or raise `Misuse` if it is none."""
    check_description(description)
    return explain_silence(description["loss"], description["optimizer"], description.get("centred", True))


def theory_of(description: Mapping[str, Any]) -> tuple[str, dict[str, Exponents]]:
    """Return the title and the predictions of a stored portrait, from its experiment's description, or raise `Misuse` if it is none."""
    if explain_silence_of(description):
        return as_title(description), {}
    shapes = description.get("fingerprint", {}).get("parameters", {})      # of a network of one's own
    return as_title(description), predict(description["network"], description["loss"], description["optimizer"],
                                          _readout_width(shapes.values()) if shapes else None)


def plain_depth(description: Mapping[str, Any]) -> int | None:
    """Return the L of a network from its description, None where it has none (norms, skip connections, a saturating nonlinearity)."""
    if description.get("nonlinearity") not in GROWING:
        return None
    counts = {"mlp": ("depth",), "cnn": ("convolutions", "dense")}.get(str(description.get("name")), ())
    return sum(int(description[c]) for c in counts) or None


def _depth(network: Any) -> int | None:
    """Return the L of a plain network and None for another, or raise `Misuse`."""
    if isinstance(network, Integral):
        return whole("network", network, 2)
    if isinstance(network, Mapping):
        check_network(network)
        return plain_depth(network)
    if not isinstance(network, type) and callable(getattr(network, "describe", None)):
        return plain_depth(network.describe())
    if isinstance(network, type) or not callable(network):
        raise Misuse("network must be a depth of at least 2, a specification such as deepnets.MLP(...), its description, or a callable "
                     f"that builds modules, not {network!r}")
    return None


def _unit(network: Any, width: int | None) -> float:
    """Return the gamma of a network at which a muP network would have gamma = 1."""
    if width is not None:
        if hasattr(network, "scalings") or (isinstance(network, Mapping) and "parametrization" in network):
            raise Misuse(f"width must be left out for a specification, which has its own, not {width!r}")
        return float(np.sqrt(whole("width", width)))
    if callable(network) and not hasattr(network, "describe"):
        from deepnets.network_factory import FINGERPRINT_SEED, build_network

        return float(np.sqrt(_readout_width(tuple(p.shape) for p in build_network(network, FINGERPRINT_SEED).parameters())))
    description = network if isinstance(network, Mapping) else network.describe() if callable(getattr(network, "describe", None)) else {}
    if description.get("parametrization") not in ("ntk", "standard"):
        return 1.0
    stages = len(description["blocks"]) if description.get("name") == "resnet" else 1       # each has twice the channels of the one before
    return float(np.sqrt(description["width"] * 2 ** (stages - 1)))


def _readout_width(shapes: Iterable[Sequence[int] | None]) -> int:
    """Return the inputs of the last matrix among parameters of these shapes; 1 if there is none."""
    matrices = [shape for shape in shapes if shape is not None and len(shape) > 1]
    return int(np.prod(matrices[-1][1:])) if matrices else 1


def _over(numerator: int, depth: int | None) -> Fraction | None:
    return None if depth is None else Fraction(numerator, depth)
