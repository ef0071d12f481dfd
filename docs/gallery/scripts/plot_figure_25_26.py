r"""
Figures 25 and 26: depth of residual networks
=============================================

The paper trains residual ConvNets of growing depth on CIFAR-5M. Under muP (Figure 25), where a residual branch is added as it is, the
scaling of the learning rate changes as blocks are added; under Depth-muP (Figure 26), where it is multiplied by
:math:`1/\sqrt{\text{blocks}}`, it "remains much more stable".

Here the network is a residual MLP with one layer per branch, on scikit-learn's digits. We measure :math:`\eta_{\max}` over
:math:`\gamma`, with a low threshold: the largest rate at which the loss falls by a fifth and stays there. In so few steps deep networks
under muP get no further.
"""

import numpy as np
import xarray as xr

import deepnets
import validation
from gallery import Findings, keep, over_seeds, shades
from gallery.campaign_files import draw_campaign
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
width, blocks, steps, batch, per_decade = {"small": (24, (1, 3, 9), 50, 32, 4), "paper": (128, (2, 4, 8, 16), 2000, 128, 10)}[scale]
seeds = 3
gamma = (1e-2, 1.0, 10.0)
found = Findings()

# %%
# The rates span three decades below a line, :math:`\gamma^2` where lazy and :math:`\gamma^{2/3}` where rich; under muP
# the line falls with the number of blocks.


@keep
def measure(parametrization, width, blocks, steps, batch, seeds, gamma, top, decades, per_decade):
    """Return the bracket of eta_max, (seed, gamma, bound), NaN where it is outside the rates."""
    gamma = np.asarray(gamma)
    line = top * np.where(gamma < 1, gamma**2, gamma ** (2 / 3))
    eta = line[:, None] * np.logspace(-decades, 0, round(decades * per_decade) + 1)
    network = deepnets.ResidualMLP(64, width, blocks, 10, parametrization=parametrization)
    e = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=steps, batch_size=batch, seeds=tuple(range(seeds)),
                                rho=0.8)
    edges = validation.locate(e.measure(gamma, eta))
    return xr.Dataset({"eta": edges["eta"].sel(edge="eta_max", drop=True).transpose("seed", "gamma", "bound").drop_vars("bound")})


tops = {("mup", n): 10 ** max(3 - 0.18 * n, 1.0) for n in blocks} | {("depth_mup", n): 10**3 for n in blocks}
decades = 3.0
runs = {key: measure(key[0], width, key[1], steps, batch, seeds, gamma, float(top), decades, per_decade) for key, top in tops.items()}
edge = {key: np.log10(run.eta.values).mean(-1) for key, run in runs.items()}                # (seed, gamma)

# %%
# How far :math:`\eta_{\max}` moves with each doubling of the blocks, and how much its exponent in :math:`\gamma`, from 1 to 10, differs
# between the deepest network and the shallowest.

doublings = np.log2(blocks)
figure_of = {"mup": "25", "depth_mup": "26"}
label_of = {"mup": "muP", "depth_mup": "Depth-muP"}
rich = np.asarray(gamma) >= 1
for parametrization, number in figure_of.items():
    edges = np.stack([edge[parametrization, n] for n in blocks])                               # (blocks, seed, gamma)
    for k, g in enumerate(gamma):
        moved = np.polyfit(doublings, edges[..., k], 1)[0]
        found.check_interval(number, f"eta_max, decades a doubling of the blocks, {label_of[parametrization]}, gamma = {g:g}",
                             *over_seeds(moved),
                             **({"high": -0.1} if parametrization == "mup" else {"low": -0.1, "high": 0.1}))
    exponents = [np.polyfit(np.log10(gamma)[rich], one[:, rich].T, 1)[0] for one in edges]    # (blocks, seed)
    found.check_interval(number, f"rich exponent, deepest less shallowest, {label_of[parametrization]}",
                         *over_seeds(exponents[-1] - exponents[0]),
                         **({"low": 0.1} if parametrization == "mup" else {"low": -0.1, "high": 0.1}))

# %%
# Under muP the largest rate falls with the depth at every richness, least at the largest, so that its exponent in :math:`\gamma` changes
# too. Under Depth-muP it is constant within the brackets of a quarter of a decade.

assert all(row.verdict == "SUPPORTED" for row in found.rows if row.figure == "25")
assert found.rows[2].interval[0] > found.rows[1].measured
assert not any(row.verdict == "CONTRADICTED" for row in found.rows if row.figure == "26")

# %%

figure = figures.blank(9, 3.8)
figure.set_label("Largest rate that trains over richness for several depths: it falls with the depth under muP and not under Depth-muP")
axes = figure.subplots(1, 2, sharey=True)
for ax, (parametrization, number) in zip(axes, figure_of.items(), strict=True):
    for n, colour, mark in zip(blocks, shades(len(blocks)), "os^Dv", strict=False):
        ax.loglog(gamma, 10 ** edge[parametrization, n].mean(0), mark + "-", color=colour, ms=5, lw=1.3, label=f"{n} block{'s' * (n > 1)}")
    ax.set(title=f"Figure {number}: {label_of[parametrization]}", xlabel=r"richness $\gamma$")
    label_decades(ax, "x", "y")
axes[0].set_ylabel(r"$\eta_{\max}$")
axes[1].legend(frameon=False, loc="lower right")

# %%
# At full size, on a GPU and on Fashion-MNIST, where :doc:`the campaign </campaign>` has measured it.

figure = draw_campaign("25", "26")
