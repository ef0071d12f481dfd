"""The independent witness: deep networks in torch; may import validation, never toymodels.

Imported lazily: `import deepnets` costs nothing until a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepnets.checks import coordinate_check as coordinate_check
    from deepnets.checks import depth_check as depth_check
    from deepnets.checks import transfer_check as transfer_check
    from deepnets.difference import Centered as Centered
    from deepnets.difference import FellBack as FellBack
    from deepnets.experiment import DeepExperiment as DeepExperiment
    from deepnets.networks import CNN as CNN
    from deepnets.networks import MLP as MLP
    from deepnets.networks import ResidualCNN as ResidualCNN
    from deepnets.networks import ResidualMLP as ResidualMLP
    from deepnets.networks import ResNet as ResNet
    from deepnets.networks import Transformer as Transformer
    from deepnets.networks import ViT as ViT
    from deepnets.networks import parametrization_table as parametrization_table
    from deepnets.pairs import Unsupported as Unsupported
    from deepnets.scaling import predict as predict

_ROOMS = {"Centered": "difference", "FellBack": "difference", "Unsupported": "pairs", "DeepExperiment": "experiment",
          "predict": "scaling",
          **dict.fromkeys(("CNN", "MLP", "ResNet", "ResidualCNN", "ResidualMLP", "Transformer", "ViT", "parametrization_table"),
                          "networks"),
          **dict.fromkeys(("coordinate_check", "depth_check", "transfer_check"), "checks")}

__all__ = ["CNN", "MLP", "Centered", "DeepExperiment", "FellBack", "ResNet", "ResidualCNN", "ResidualMLP", "Transformer", "Unsupported",
           "ViT", "coordinate_check", "depth_check", "parametrization_table", "predict", "tasks", "transfer_check"]


def __getattr__(name: str) -> Any:
    """Import torch when the first name is asked for."""
    if name in _ROOMS:
        return getattr(import_module(f"deepnets.{_ROOMS[name]}"), name)
    if name == "tasks":
        return import_module("deepnets.tasks")
    raise AttributeError(f"module 'deepnets' has no attribute {name!r}")
