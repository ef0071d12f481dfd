"""Network architectures as frozen specifications, with their parametrizations (muP, Depth-muP, NTK, standard).

A specification describes a network and builds it: ``specification.build(seed)`` returns a torch module.
"""

from deepnets.networks.cnn import CNN
from deepnets.networks.mlp import MLP
from deepnets.networks.parametrization import parametrization_table
from deepnets.networks.residual import ResidualCNN, ResidualMLP
from deepnets.networks.resnet import ResNet
from deepnets.networks.transformer import Transformer
from deepnets.networks.vit import ViT

__all__ = ["CNN", "MLP", "ResNet", "ResidualCNN", "ResidualMLP", "Transformer", "ViT", "parametrization_table"]
