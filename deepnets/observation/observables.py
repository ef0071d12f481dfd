"""The observables of `deepnets.observe`: what is measured in a snapshot, with dims and units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from deepnets.batched.state import RunningStatistics
from deepnets.curvature.eigenvalues import spectra
from deepnets.curvature.hessian_trace import traces
from deepnets.kernels.moved_networks import Runs
from deepnets.kernels.movement import activation_movement, weight_movement
from deepnets.kernels.tangent_kernel import ntk
from deepnets.kernels.target_alignment import NORMS, RANKS, effective_rank, kernel_alignment, kernel_norm
from deepnets.phenomena.measures import TOLERANCE, sharpness
from deepnets.phenomena.recorder import Snapshot, Variables

PRECISE = 1e-4      # Lanczos' tolerance for the eigenvalues themselves: their errors are about its square
IN_U = "loss per u^2; times gamma^-2: loss per theta^2"
OF_LARGEST = "1 (of the largest |eigenvalue|)"


def _array(values: ArrayLike, dims: tuple[str, ...], long_name: str, units: str = "1", **coords: Any) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, dtype=np.float64), dims=("run", *dims), coords={n: list(c) for n, c in coords.items()},
                        attrs={"long_name": long_name, "units": units})


def _extreme(snapshot: Snapshot, part: str, k: int, which: str, tolerance: float) -> xr.Dataset:
    """Return extreme eigenvalues, from random vectors: eigenvectors of an earlier snapshot save no products, as snapshots lie far apart."""
    return spectra(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), snapshot.experiment.loss, k=k, part=part,
                   which=which, precision="float64", tolerance=tolerance, running=snapshot.running)


def _largest(snapshot: Snapshot, k: int, part: str, words: str) -> Variables:
    """Return the k largest eigenvalues of a part of the Hessian and their residuals, named after the part."""
    found = _extreme(snapshot, part, k, "largest", PRECISE)
    ranks = range(1, found.sizes["eigenvalue"] + 1)
    return {part: _array(found.eigenvalues, ("eigenvalue",), f"{words}, largest first", IN_U, eigenvalue=ranks),
            f"{part}_residual": _array(found.residuals, ("eigenvalue",), "their residuals |H v - l v|", OF_LARGEST, eigenvalue=ranks)}


def _hessian(snapshot: Snapshot, k: int) -> Variables:
    least = _extreme(snapshot, "hessian", 1, "smallest", TOLERANCE)
    total = traces(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), snapshot.experiment.loss, precision="float64",
                   running=snapshot.running)
    return _largest(snapshot, k, "hessian", "eigenvalues of the Hessian") | {
        "hessian_smallest": _array(least.eigenvalues[:, 0], (), "smallest eigenvalue of the Hessian", IN_U),
        "hessian_smallest_residual": _array(least.residuals[:, 0], (), "its residual |H v - l v|", OF_LARGEST),
        "hessian_trace": _array(total.trace, (), "trace of the Hessian", IN_U),
        "hessian_trace_error": _array(total.error, (), "its standard error over the probes, 0 where it is exact", IN_U)}


def _gauss_newton(snapshot: Snapshot, k: int) -> Variables:
    return _largest(snapshot, k, "gauss_newton", "eigenvalues of the Gauss-Newton part")


def _residual(snapshot: Snapshot, k: int) -> Variables:
    found = _extreme(snapshot, "residual", 1, "both", TOLERANCE)
    values, residuals = (found[name].values[:, [0, -1]] for name in ("eigenvalues", "residuals"))
    ends = ("largest", "smallest")
    return {"residual_part": _array(values, ("extreme",), "extreme eigenvalues of the residual part", IN_U, extreme=ends),
            "residual_part_residual": _array(residuals, ("extreme",), "their residuals |R v - l v|", OF_LARGEST, extreme=ends)}


def _sharpness(snapshot: Snapshot, k: int) -> Variables:
    return {"sharpness": _array(sharpness()(snapshot), (), "eta lambda/2, lambda the Hessian's largest eigenvalue in theta times N")}


def _kernel(snapshot: Snapshot, k: int) -> Variables:
    # theta_0 with its own running statistics of this step: the change is that of u alone
    zero = {n: torch.zeros_like(d[:1]) for n, d in snapshot.u.items()}
    statistics = RunningStatistics(snapshot.running.frozen, {n: torch.zeros_like(d[:1]) for n, d in snapshot.running.drift.items()})
    initial = Runs(snapshot.module, zero, torch.ones(1), statistics)
    now, start = ntk(snapshot.runs, snapshot.x, blocks="trace"), ntk(initial, snapshot.x, blocks="trace")
    sizes = np.stack([kernel_norm(now, norm) for norm in NORMS], -1) / now.shape[-1]
    change = kernel_norm(now - start, "frobenius") / kernel_norm(start[0], "frobenius")
    return {"kernel": _array(sizes, ("norm",), "norm of the tangent kernel, its trace over outputs, over the number of samples",
                             "f^2 per u^2", norm=NORMS),
            "kernel_change": _array(change, (), "|K - K_0| over |K_0|, in the Frobenius norm")}


def _alignment(snapshot: Snapshot, k: int) -> Variables:
    plain, centred = (np.stack([kernel_alignment(snapshot.readout_kernel, snapshot.y, norm, c) for norm in NORMS], -1)
                      for c in (False, True))
    words = "alignment of the last hidden kernel with the targets"
    return {"alignment": _array(plain, ("norm",), words, norm=NORMS),
            "alignment_centred": _array(centred, ("norm",), f"{words}, both centred", norm=NORMS)}


def _rank(snapshot: Snapshot, k: int) -> Variables:
    ranks = np.stack([effective_rank(snapshot.readout_kernel, kind) for kind in RANKS], -1)
    return {"rank": _array(ranks, ("kind",), "effective rank of the last hidden kernel", kind=RANKS)}


def _weights(snapshot: Snapshot, k: int) -> Variables:
    found = weight_movement(snapshot.runs).transpose("run", "parameter", "norm")
    where = {"parameter": found.parameter.values, "norm": NORMS}
    return {"weights": _array(found.absolute, ("parameter", "norm"), "|W - W_0|", "theta", **where),
            "weights_relative": _array(found.relative, ("parameter", "norm"), "|W - W_0| over |W_0|", **where)}


def _activations(snapshot: Snapshot, k: int) -> Variables:
    found = activation_movement(snapshot.runs, snapshot.x).transpose("run", "layer", "end")
    where = {"layer": found.layer.values, "end": found.end.values}
    return {"activations": _array(found.absolute, ("layer", "end"), "rms change of what a layer reads or makes", "activation", **where),
            "activations_relative": _array(found.relative, ("layer", "end"), "the same over its rms at theta_0", **where)}


def _agreement(snapshot: Snapshot, k: int) -> Variables:
    # the outputs alone: runs can be correlated only when all of them have been trained
    f = snapshot.runs.outputs(snapshot.x).double().cpu().numpy()
    return {"outputs": _array(f.reshape(len(f), len(snapshot.x), -1), ("sample", "output"), "outputs f~")}


# by observable, what measures it: (snapshot, number of eigenvalues) -> variables
MEASURES: Mapping[str, Callable[[Snapshot, int], Variables]] = {
    "hessian": _hessian, "gauss-newton": _gauss_newton, "residual": _residual, "sharpness": _sharpness, "kernel": _kernel,
    "alignment": _alignment, "rank": _rank, "weights": _weights, "activations": _activations, "agreement": _agreement}
# the part of the Hessian that an observable takes products with
PARTS = {"hessian": "hessian", "sharpness": "hessian", "gauss-newton": "gauss_newton", "residual": "residual"}
