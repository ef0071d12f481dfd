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
    from deepnets.observables import Runs as Runs
    from deepnets.observables import activation_movement as activation_movement
    from deepnets.observables import agreement as agreement
    from deepnets.observables import cka as cka
    from deepnets.observables import correlation_in_time as correlation_in_time
    from deepnets.observables import density as density
    from deepnets.observables import effective_rank as effective_rank
    from deepnets.observables import infinite_width_kernels as infinite_width_kernels
    from deepnets.observables import kernel_alignment as kernel_alignment
    from deepnets.observables import layer_kernels as layer_kernels
    from deepnets.observables import ntk as ntk
    from deepnets.observables import ntk_product as ntk_product
    from deepnets.observables import ntk_spectrum as ntk_spectrum
    from deepnets.observables import spectra as spectra
    from deepnets.observables import spectrum as spectrum
    from deepnets.observables import trace as trace
    from deepnets.observables import weight_movement as weight_movement
    from deepnets.observed import observe as observe
    from deepnets.pairs import Unsupported as Unsupported
    from deepnets.scaling import predict as predict

_ROOMS = {"Centered": "difference", "FellBack": "difference", "Unsupported": "pairs", "DeepExperiment": "experiment",
          "predict": "scaling", "observe": "observed",
          **dict.fromkeys(("CNN", "MLP", "ResNet", "ResidualCNN", "ResidualMLP", "Transformer", "ViT", "parametrization_table"),
                          "networks"),
          **dict.fromkeys(("Runs", "activation_movement", "agreement", "cka", "correlation_in_time", "density", "effective_rank",
                           "infinite_width_kernels", "kernel_alignment", "layer_kernels", "ntk", "ntk_product", "ntk_spectrum", "spectra",
                           "spectrum", "trace", "weight_movement"),
                          "observables"),
          **dict.fromkeys(("coordinate_check", "depth_check", "transfer_check"), "checks")}

__all__ = ["CNN", "MLP", "Centered", "DeepExperiment", "FellBack", "ResNet", "ResidualCNN", "ResidualMLP", "Runs", "Transformer",
           "Unsupported", "ViT", "activation_movement", "agreement", "cka", "coordinate_check", "correlation_in_time", "density",
           "depth_check", "effective_rank", "infinite_width_kernels", "kernel_alignment", "layer_kernels", "ntk", "ntk_product",
           "ntk_spectrum", "observe", "parametrization_table", "phenomena", "predict", "spectra", "spectrum", "tasks", "trace",
           "transfer_check", "weight_movement"]


def __getattr__(name: str) -> Any:
    """Import torch when the first name is asked for."""
    if name in _ROOMS:
        return getattr(import_module(f"deepnets.{_ROOMS[name]}"), name)
    if name in ("tasks", "phenomena"):
        return import_module(f"deepnets.{name}")
    raise AttributeError(f"module 'deepnets' has no attribute {name!r}")
