"""Networks as frozen specifications, and their parametrizations; knows no training."""

from deepnets.networks.cnn import CNN
from deepnets.networks.mlp import MLP
from deepnets.networks.parametrization import parametrization_table
from deepnets.networks.residual import ResidualCNN, ResidualMLP
from deepnets.networks.resnet import ResNet
from deepnets.networks.transformer import Transformer
from deepnets.networks.vit import ViT

__all__ = ["CNN", "MLP", "ResNet", "ResidualCNN", "ResidualMLP", "Transformer", "ViT", "parametrization_table"]
