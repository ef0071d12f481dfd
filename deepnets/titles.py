"""The heading and the file name of a network experiment, from its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOSSES = {"mse": "MSE", "cross_entropy": "cross-entropy"}
OPTIMIZERS = {"sgd": "SGD", "signsgd": "SignSGD", "momentum": "heavy ball", "adam": "Adam"}
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
    parts = [f"{kind}, L = {layers}" if layers else kind, description["task"]["name"].replace("_", " "), LOSSES[description["loss"]],
             OPTIMIZERS[description["optimizer"]["name"]]]
    parts += [] if description["schedule"]["name"] == "constant" else ["warm-up and cosine"]
    return ", ".join([*parts, f"T = {steps[-1] if isinstance(steps, list) else steps}"])


def as_file_name(title: str) -> str:
    """Return a heading as the stem of a file's name."""
    return "".join(c if c.isalnum() else "-" for c in title.replace(" = ", "").lower()).replace("--", "-").strip("-")
