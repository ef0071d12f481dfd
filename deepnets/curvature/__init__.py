"""Curvature: eigenvalues, trace and spectral density of the Hessian of the loss in u."""

from deepnets.curvature.eigenvalues import spectra, spectrum
from deepnets.curvature.hessian_trace import trace, traces
from deepnets.curvature.spectral_density import density

__all__ = ["density", "spectra", "spectrum", "trace", "traces"]
