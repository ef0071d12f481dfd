"""Kernels: tangent kernels, layer Gram matrices, alignment with the targets, movement since initialization."""

from deepnets.kernels.infinite_width import infinite_width_kernels
from deepnets.kernels.layer_grams import layer_kernels
from deepnets.kernels.moved_networks import Runs
from deepnets.kernels.movement import activation_movement, weight_movement
from deepnets.kernels.similarity import agreement, cka, correlation_in_time
from deepnets.kernels.tangent_kernel import ntk, ntk_product, ntk_spectrum
from deepnets.kernels.target_alignment import centre, effective_rank, kernel_alignment, kernel_norm

__all__ = ["Runs", "activation_movement", "agreement", "centre", "cka", "correlation_in_time", "effective_rank", "infinite_width_kernels",
           "kernel_alignment", "kernel_norm", "layer_kernels", "ntk", "ntk_product", "ntk_spectrum", "weight_movement"]
