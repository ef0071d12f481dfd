r"""
Figures 27 and 28: batch size
=============================

The paper claims that online the batch size :math:`B` hardly matters: the mean path of the loss is the same across orders of magnitude of
:math:`B`, smaller batches only make it noisier; in the plane the exponents are identical and the lazy regime does not change, while at
large :math:`\gamma` smaller batches lower the largest rate, and with it shrink the triangle. The paper's networks are MLPs on MNIST-1M;
here they are MLPs of ReLUs, :math:`L = 3`, on scikit-learn's digits.
"""

import numpy as np
import xarray as xr

import deepnets
import validation
from deepnets import phenomena
from gallery import Findings, keep_slow, shades
from gallery.lazy_levels import load_rows, ratios, select
from gallery.network_exponents import load_brackets, measured_exponents, read_edges
from gallery.portraits import WINDOWS, draw_side_by_side, judge_slope, plane_above, plane_around
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
if scale == "small":
    network, task = deepnets.MLP(64, 32, 3, 10), deepnets.tasks.digits()
    steps, batches, sizes, per_decade = 200, (8, 32, 128), (16, 128), 3
else:
    network, task = deepnets.MLP(64, 512, 3, 10), deepnets.tasks.digits(elastic=True)
    steps, batches, sizes, per_decade = 1000, (1, 4, 16, 64, 256), (16, 256), 8
found = Findings()

# %%
# Figure 27: the loss over time at :math:`\gamma = 1` and one rate, far below the largest of Figure 28. The initial weights are the same for
# every :math:`B`. Left: single steps. Right: means of 25 steps and three seeds.


@keep_slow
def curves(network, task, steps, batch, gamma, eta, seeds):
    """Return the losses over that of the zero output, (seed, time)."""
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch)
    runs = [phenomena.watch(experiment, gamma, eta, at=(0,), observe={}, seed=seed) for seed in range(seeds)]
    return xr.concat([xr.Dataset({"excess": (run["loss"] / run["zero_output_loss"]).isel(run=0)}) for run in runs], "seed")


losses = {batch: curves(network, task, 3 * steps, batch, 1.0, 5.0, 3)["excess"] for batch in batches}
mean = {batch: excess.coarsen(time=25, boundary="trim").mean() for batch, excess in losses.items()}
figure = figures.blank(9, 3.8)
figure.set_label("Loss over steps for three batch sizes: noisier where batches are small, and the same path on average")
axes = figure.subplots(1, 2, sharex=True, sharey=True)
middles = np.arange(12.5, 3 * steps, 25)
for batch, colour, mark in zip(batches, shades(len(batches)), "os^vD", strict=False):
    axes[0].loglog(np.arange(1, 3 * steps + 2), losses[batch].isel(seed=0), color=colour, lw=0.8, label=f"$B = {batch}$")
    axes[1].loglog(middles, mean[batch].mean("seed"), f"{mark}-", color=colour, ms=3.5, lw=1.5)
for ax, title in zip(axes, ("one seed, every step", "means of 25 steps and three seeds"), strict=True):
    ax.set(title=title, xlabel="steps  $t$", xlim=(10, 3 * steps), ylim=(0.03, 1.3))
    label_decades(ax, "y")
axes[0].set_ylabel("loss over the loss at the start")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)

# %%
# How far the mean paths of smaller batches lie from that of the largest while the loss falls, and how much noisier they are. The path of
# :math:`B = 32` is the same; that of :math:`B = 8` is higher by some 10% of the loss, while its single steps scatter over most of a decade.

small, middle, large = batches[0], batches[-2], batches[-1]
for batch in (middle, small):
    off = np.log10(mean[batch] / mean[large]).mean("time").values
    found.check("27", f"decades between the mean losses of B = {batch} and B = {large}, over time", off, -0.05, 0.05)
assert found.rows[0].verdict == "SUPPORTED"
assert 0 < found.rows[1].measured < 0.1
noise = {batch: np.log10(excess).diff("time").std("time") for batch, excess in losses.items()}
found.check("27", f"noise of the loss from step to step, B = {small} over B = {large}", (noise[small] / noise[large]).values, low=1)

# %%
# Figure 28: two batch sizes. The lines have the predicted slopes, at the level of the edges of each.


@keep_slow
def measure(network, task, steps, batch, seeds, gamma, eta):
    """Return a portrait."""
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch, seeds=tuple(range(seeds)))
    return validation.sweep(experiment, validation.Plane(gamma, eta))


def train(batch, plane, seeds):
    return measure(network, task, steps, batch, seeds, plane.gamma.tolist(), plane.eta.tolist())


claims = deepnets.predict(network)
plane = plane_above(np.logspace(-5, 5, 21), lambda g: np.minimum(g**2, 0.3 * g), 3.7, per_decade)
names = {batch: f"({panel}) $B = {batch}$" for panel, batch in zip("ab", sizes, strict=True)}
figure, lines = draw_side_by_side({names[batch]: (train(batch, plane, 1), claims) for batch in sizes}, "final_accuracy", height=4.8)
figure.set_label("Final accuracies for two batch sizes over richness and learning rate: alike, the rich triangle smaller for small batches")

# %%
# The exponents for both, from narrow bands around the upper edge with three seeds, and the distance of the two edges: hardly any in the
# lazy regime, a factor of nearly two in the rich one. The rich intervals contain the predicted exponent and exclude those of neighbouring
# depths, but are wider than the tolerance: a grid up to twice as dense would decide. The lazy law holds by construction.

for regime, low, high in (("lazy", -0.15, 0.15), ("rich", 0, np.inf)):
    near = plane_around(lines[names[sizes[1]]]["eta_max"], WINDOWS[regime], 0.6)
    tops = {}
    for panel, batch in zip("ab", sizes, strict=True):
        portrait = train(batch, near, 3)
        verdict = judge_slope(portrait, claims, "eta_max", regime)
        found.add_verdict(f"28{panel}", f"eta_max, {regime}, B = {batch}", verdict)
        assert verdict.interval[0] < verdict.claimed < verdict.interval[1]
        assert not verdict.not_excluded
        tops[batch] = np.log10(validation.locate(portrait)["eta"].sel(edge="eta_max")).mean("bound", skipna=False)
    apart = (tops[sizes[1]] - tops[sizes[0]]).mean("gamma").values
    found.check("28", f"decades by which eta_max, {regime}, is lower at B = {sizes[0]} than at B = {sizes[1]}", apart, low, high)
assert found.rows[-1].verdict == "SUPPORTED"
assert not any(row.verdict == "CONTRADICTED" for row in found.rows)

# %%
# The lazy exponents could not have failed; the level of the lazy edge could. The tangent kernel at initialization predicts
# :math:`\eta_{\mathrm{crit}} = 2\gamma^2/(N\lambda_1)` whatever the batch size. Below are measured over predicted levels, three seeds, of
# the MLP on scikit-learn's digits (:math:`N = 64`) and of one of width 128 on the digits of MNIST, from :doc:`the page on networks
# </networks>`. **Limits, set before the runs:** within 10% at :math:`B = 128`, within 25% at :math:`B = 32`. An edge beyond the trained
# rates, 0.6 to 1.5 of the prediction, leaves a row without an interval.

stored = load_rows()
for case, words in (("MLP, L = 3", "digits"), ("MLP, MNIST, L = 3", "MNIST")):
    for batch, within in ((128, 1.1), (32, 1.25)):
        levels = ratios(select(stored, "mse", batch, "eta_crit", case))
        seen = np.where(np.isinf(levels), np.nan, levels)
        found.check("28", f"{words}: eta_crit, lazy, B = {batch}, over the kernel's", seen, 1 / within, within)

# %%
# On MNIST, :math:`T = 1000`, five seeds, from ``docs/gallery/network_exponents.py``: the rich exponent for two batch sizes, and how far
# their edges lie apart. Networks of one seed share their initial weights, so that the difference is paired.

pictures = {row.batch: (row, verdict) for row, _, verdict in measured_exponents(task="mnist", loss="mse", depth=3, regime="rich")}
for batch, (_, verdict) in sorted(pictures.items()):
    found.add_verdict("28", f"MNIST: eta_max, rich, L = 3, B = {batch}", verdict)
tops = {batch: np.log10(read_edges(row, load_brackets())["eta"].sel(edge="eta_max")).mean("bound", skipna=False)
        for batch, (row, _) in pictures.items()}
lower = (tops[32] - tops[8]).mean("gamma").values
found.check("28", "MNIST: decades by which eta_max, rich, is lower at B = 8 than at B = 32", lower, low=0)
