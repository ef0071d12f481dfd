"""The heading and the file name of a network experiment, from its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOSSES = {"mse": "MSE", "cross_entropy": "cross-entropy"}
OPTIMIZERS = {"sgd": "SGD", "signsgd": "SignSGD", "momentum": "heavy ball", "adam": "Adam", "nesterov": "Nesterov", "adamw": "AdamW",
              "lion": "Lion", "muon": "Muon"}
SCHEDULES = {"constant": "", "warmup_cosine": "warm-up and cosine", "warmup_stable_decay": "warm-up, constant and decay"}
KINDS = {"mlp": "MLP", "cnn": "CNN", "resnet": "ResNet", "residual_mlp": "residual MLP", "residual_cnn": "residual CNN", "vit": "ViT",
         "transformer": "Transformer"}


def as_title(description: Mapping[str, Any]) -> str:
    """Return a heading that names network, task, loss, optimizer and T.

    Parameters
    ----------
    description : as from `DeepExperiment.describe`.
    """
    network, steps = description["network"], description["steps"]
    kind = KINDS.get(network["name"], network["name"])
    layers = network.get("depth") or network.get("convolutions", 0) + network.get("dense", 0)
    loss, optimizer = description["loss"], description["optimizer"]
    loss = LOSSES[loss] if isinstance(loss, str) else loss["name"]
    parts = [f"{kind}, L = {layers}" if layers else kind, description["task"]["name"].replace("_", " "), loss,
             OPTIMIZERS.get(optimizer["name"], optimizer["name"])]
    parts += [f"weight decay {optimizer['weight_decay']:g}"] if optimizer.get("weight_decay") else []
    parts += [f"clipped at {optimizer['clip']:g}"] if optimizer.get("clip") is not None else []
    parts += [SCHEDULES.get(description["schedule"]["name"], "own schedule")]
    return ", ".join([*filter(None, parts), f"T = {steps[-1] if isinstance(steps, list) else steps}"])


def as_file_name(title: str) -> str:
    """Return a heading as the stem of a file's name."""
    return "".join(c if c.isalnum() else "-" for c in title.replace(" = ", "").lower()).replace("--", "-").strip("-")
