"""Parameter groups for torch's optimizers, with which a module trains outside of this package as a run at (gamma, eta) here."""

from __future__ import annotations

from typing import Any

from deepnets.centered.exported import Exported
from deepnets.optimizers import Adam, AdamW, as_optimizer
from deepnets.training import parameter_rates
from validation.arguments import Misuse, choose, positive

TRAINED = ("sgd", "momentum", "nesterov", "adam", "adamw")      # optimizers that torch has too


def parameter_groups(exported: Exported, eta: float, optimizer: str = "sgd", network: Any = None) -> list[dict[str, Any]]:
    """Return the groups of parameters with their rates, as an argument of torch's optimizers.

    Parameters
    ----------
    exported : as `Centered.export` returns it.
    eta : the rate, in units of `DeepExperiment`.
    optimizer : "sgd", "momentum" or "nesterov" for `torch.optim.SGD`, "adam" for `Adam`, "adamw" for `AdamW`.
    network : the specification whose module was exported, whose tensors have rates of their own; None: a module of one's own.

    Returns
    -------
    list of dict : one group for each rate, with "params", "lr", and the optimizer's other numbers.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import torch, deepnets
    >>> exported = deepnets.Centered(torch.nn.Linear(3, 1), gamma=0.5).export()
    >>> [group] = deepnets.parameter_groups(exported, 3e-4, "adam")
    >>> group["lr"], group["eps"]
    (0.0003, 2e-08)
    """
    if not isinstance(exported, Exported):
        raise Misuse(f"exported must be what Centered(...).export() returns, not {type(exported).__name__}")
    if network is not None and not hasattr(network, "scalings"):
        raise Misuse(f"network must be the specification whose module was exported, or None, not {network!r}")
    eta = float(positive("eta", eta))
    rule = as_optimizer(choose("optimizer", optimizer, TRAINED))
    parameters = {n: p for n, p in exported.network.named_parameters() if p.requires_grad}
    rates = parameter_rates(None if network is None else network.scalings(), rule, list(parameters))
    if set(rates) != set(parameters):
        raise Misuse(f"network must be the specification whose module was exported, but the parameters of {network!r} differ from its own")
    groups = []
    for rate in sorted(set(rates.values())):
        more: dict[str, Any] = {} if optimizer == "sgd" else {"momentum": 0.9, "nesterov": optimizer == "nesterov"}
        if isinstance(rule, Adam | AdamW):      # here weights decay by eta times weight_decay, whatever the tensor's own rate
            more = {"eps": rule.epsilon / exported.gamma, "betas": (rule.beta1, rule.beta2), "weight_decay": rule.weight_decay / rate}
        groups.append({"params": [p for n, p in parameters.items() if rates[n] == rate], "lr": eta * rate, **more})
    return groups
