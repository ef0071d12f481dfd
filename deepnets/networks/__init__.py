"""Networks as frozen specifications, and their parametrizations; knows no training."""

from deepnets.networks.cnn import CNN
from deepnets.networks.mlp import MLP
from deepnets.networks.parametrization import parametrization_table

__all__ = ["CNN", "MLP", "parametrization_table"]
