"""Observables of centred networks: what is measured on one fixed batch, each number with a residual or an error; knows no training."""

from deepnets.observables.alignment import centre, effective_rank, kernel_alignment, kernel_norm
from deepnets.observables.eigenvalues import spectra, spectrum
from deepnets.observables.hutchinson import trace, traces
from deepnets.observables.infinite_width import infinite_width_kernels
from deepnets.observables.kernels import layer_kernels
from deepnets.observables.movement import activation_movement, weight_movement
from deepnets.observables.runs import Runs
from deepnets.observables.similarity import agreement, cka, correlation_in_time
from deepnets.observables.spectral_density import density
from deepnets.observables.tangent_kernel import ntk, ntk_product, ntk_spectrum

__all__ = ["Runs", "activation_movement", "agreement", "centre", "cka", "correlation_in_time", "density", "effective_rank",
           "infinite_width_kernels", "kernel_alignment", "kernel_norm", "layer_kernels", "ntk", "ntk_product", "ntk_spectrum", "spectra",
           "spectrum", "trace", "traces", "weight_movement"]
