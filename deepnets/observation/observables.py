"""The observables that can be named: what a look gives of each, with the dims and units of its numbers; knows no file and no figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr

from deepnets.batched.state import RunningStatistics
from deepnets.curvature.eigenvalues import spectra
from deepnets.curvature.hessian_trace import traces
from deepnets.experiment import DeepExperiment
from deepnets.kernels.moved_networks import Runs
from deepnets.kernels.movement import activation_movement, weight_movement
from deepnets.kernels.tangent_kernel import ntk
from deepnets.kernels.target_alignment import NORMS, RANKS, effective_rank, kernel_alignment, kernel_norm
from deepnets.phenomena.measures import TOLERANCE, sharpness
from deepnets.phenomena.recorder import Look, Observable

CLOSE = 1e-4      # Lanczos' tolerance where eigenvalues are told one by one: their errors are about its square
IN_U = "loss per u^2; times gamma^-2: loss per theta^2"
OF_LARGEST = "1 (of the largest |eigenvalue|)"
Measured = dict[str, xr.DataArray]      # by variable, the first dim is the run


def _array(values: Any, dims: tuple[str, ...], long_name: str, units: str = "1", **coords: Any) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, dtype=np.float64), dims=("run", *dims), coords={n: list(c) for n, c in coords.items()},
                        attrs={"long_name": long_name, "units": units})


def _extreme(look: Look, part: str, k: int, which: str, tolerance: float) -> xr.Dataset:
    """Return extreme eigenvalues; each look starts afresh, as former eigenvectors save no products between looks that lie far apart."""
    return spectra(look.module, look.u, look.gamma, (look.x, look.y), look.experiment.loss, k=k, part=part, which=which,
                   precision="float64", tolerance=tolerance, running=look.running)


def _hessian(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    def measure(look: Look) -> Measured:
        least = _extreme(look, "hessian", 1, "smallest", TOLERANCE)
        summed = traces(look.module, look.u, look.gamma, (look.x, look.y), look.experiment.loss, precision="float64", running=look.running)
        return _told("hessian", "eigenvalues of the Hessian", _extreme(look, "hessian", k, "largest", CLOSE)) | {
            "hessian_smallest": _array(least.eigenvalues[:, 0], (), "smallest eigenvalue of the Hessian", IN_U),
            "hessian_smallest_residual": _array(least.residuals[:, 0], (), "its residual |H v - l v|", OF_LARGEST),
            "hessian_trace": _array(summed.trace, (), "trace of the Hessian", IN_U),
            "hessian_trace_error": _array(summed.error, (), "its standard error over the probes, 0 where it is exact", IN_U)}
    return measure


def _gauss_newton(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    return lambda look: _told("gauss_newton", "eigenvalues of the Gauss-Newton part", _extreme(look, "gauss_newton", k, "largest", CLOSE))


def _told(name: str, words: str, found: xr.Dataset) -> Measured:
    ranks = range(1, found.sizes["eigenvalue"] + 1)
    return {name: _array(found.eigenvalues, ("eigenvalue",), f"{words}, largest first", IN_U, eigenvalue=ranks),
            f"{name}_residual": _array(found.residuals, ("eigenvalue",), "their residuals |H v - l v|", OF_LARGEST, eigenvalue=ranks)}


def _residual(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    def measure(look: Look) -> Measured:
        found = _extreme(look, "residual", 1, "both", TOLERANCE)
        both = {name: found[name].values[:, [0, -1]] for name in ("eigenvalues", "residuals")}
        ends = ("largest", "smallest")
        return {"residual_part": _array(both["eigenvalues"], ("extreme",), "extreme eigenvalues of the residual part", IN_U, extreme=ends),
                "residual_part_residual": _array(both["residuals"], ("extreme",), "their residuals |R v - l v|", OF_LARGEST, extreme=ends)}
    return measure


def _sharpness(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    measured = sharpness()
    return lambda look: {"sharpness": _array(measured(look), (), "eta lambda/2, lambda the Hessian's largest eigenvalue in theta times N")}


def _kernel(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    def measure(look: Look) -> Measured:
        # theta_0 beside its own running statistics of this step: what has changed is what u changed
        still = Runs(look.module, {n: torch.zeros_like(d[:1]) for n, d in look.u.items()}, torch.ones(1),
                     RunningStatistics(look.running.frozen, {n: torch.zeros_like(d[:1]) for n, d in look.running.drift.items()}))
        now, start = ntk(look.runs, look.x, blocks="trace"), ntk(still, look.x, blocks="trace")
        sizes = np.stack([kernel_norm(now, norm) for norm in NORMS], -1) / now.shape[-1]
        change = kernel_norm(now - start, "frobenius") / kernel_norm(start[0], "frobenius")
        return {"kernel": _array(sizes, ("norm",), "norm of the tangent kernel, its trace over outputs, over the number of samples",
                                 "f^2 per u^2", norm=NORMS),
                "kernel_change": _array(change, (), "|K - K_0| over |K_0|, in the Frobenius norm")}
    return measure


def _alignment(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    def measure(look: Look) -> Measured:
        made = {centred: np.stack([kernel_alignment(look.readout_kernel, look.y, norm, centred) for norm in NORMS], -1)
                for centred in (False, True)}
        words = "alignment of the last hidden kernel with the targets"
        return {"alignment": _array(made[False], ("norm",), words, norm=NORMS),
                "alignment_centred": _array(made[True], ("norm",), f"{words}, both centred", norm=NORMS)}
    return measure


def _rank(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    return lambda look: {"rank": _array(np.stack([effective_rank(look.readout_kernel, kind) for kind in RANKS], -1), ("kind",),
                                        "effective rank of the last hidden kernel", kind=RANKS)}


def _weights(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    def measure(look: Look) -> Measured:
        found = weight_movement(look.runs).transpose("run", "parameter", "norm")
        where = {"parameter": found.parameter.values, "norm": NORMS}
        return {"weights": _array(found.absolute, ("parameter", "norm"), "|W - W_0|", "theta", **where),
                "weights_relative": _array(found.relative, ("parameter", "norm"), "|W - W_0| over |W_0|", **where)}
    return measure


def _activations(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    def measure(look: Look) -> Measured:
        found = activation_movement(look.runs, look.x).transpose("run", "layer", "end")
        where = {"layer": found.layer.values, "end": found.end.values}
        return {"activations": _array(found.absolute, ("layer", "end"), "rms change of what a layer reads or makes", "activation", **where),
                "activations_relative": _array(found.relative, ("layer", "end"), "the same over its rms at theta_0", **where)}
    return measure


def _agreement(experiment: DeepExperiment, k: int) -> Callable[[Look], Measured]:
    # runs are held against one another when all of them have been trained
    def measure(look: Look) -> Measured:
        made = look.runs.outputs(look.x).double().cpu().numpy()
        return {"outputs": _array(made.reshape(len(made), len(look.x), -1), ("sample", "output"), "outputs f~")}
    return measure


MAKERS: Mapping[str, Callable[[DeepExperiment, int], Callable[[Look], Measured]]] = {
    "hessian": _hessian, "gauss-newton": _gauss_newton, "residual": _residual, "sharpness": _sharpness, "kernel": _kernel,
    "alignment": _alignment, "rank": _rank, "weights": _weights, "activations": _activations, "agreement": _agreement}
PARTS = {"hessian": "hessian", "sharpness": "hessian", "gauss-newton": "gauss_newton", "residual": "residual"}


class Measuring:
    """Several numbers of a look that are found together, each given to `watch` under its own name.

    `watch` asks for numbers; their dims and attributes are kept here until all looks have been taken.
    """

    def __init__(self, names: tuple[str, ...], experiment: DeepExperiment, k: int, advance: Callable[[], Any]) -> None:
        self.measures = {name: MAKERS[name](experiment, k) for name in names}
        self.advance = advance
        self.kept: dict[str, list[tuple[int, np.ndarray, xr.DataArray]]] = {}

    def __call__(self, look: Look) -> np.ndarray:
        """Take one look; what `watch` is given tells nothing but that it was taken."""
        for measure in self.measures.values():
            for name, values in measure(look).items():
                self.kept.setdefault(name, []).append((look.step, look.which, values))
        self.advance()
        return np.ones(len(look.which))

    @property
    def observe(self) -> dict[str, Observable]:
        """What `watch` is to call."""
        return {"seen": self}

    def told(self, at: tuple[int, ...], runs: int) -> dict[str, xr.DataArray]:
        """Return what was seen, each over (step, run, ...), NaN where a run had diverged."""
        made = {}
        for name, looks in self.kept.items():
            like = looks[0][2]
            values = np.full((len(at), runs, *like.shape[1:]), np.nan)
            for step, which, seen in looks:
                values[at.index(step), which] = seen.values
            made[name] = xr.DataArray(values, dims=("step", *like.dims), coords=like.coords, attrs=like.attrs)
        return made
