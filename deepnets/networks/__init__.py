"""Networks as frozen specifications, and their parametrizations; knows no training."""

from deepnets.networks.mlp import MLP
from deepnets.networks.parametrization import parametrization_table

__all__ = ["MLP", "parametrization_table"]
