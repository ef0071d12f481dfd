r"""
Figures 25 and 26: depth of residual networks
=============================================

The paper trains residual ConvNets of growing depth on CIFAR-5M. Under muP (Figure 25), where a residual branch is added as it is, the
scaling of the learning rate changes as blocks are added; under Depth-muP (Figure 26), where it is multiplied by
:math:`1/\sqrt{\text{blocks}}`, it "remains much more stable".

Here the network is a residual MLP with one layer per branch, on scikit-learn's digits: 50 steps, and further down 1000 steps at nine
:math:`\gamma`. We measure :math:`\eta_{\max}` over :math:`\gamma`, first with a low threshold: the largest rate at which the loss falls by
a fifth and stays there. In 50 steps deep networks under muP get no further.
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

open_rows = ["Depth-muP, gamma = 0.01", "Depth-muP, gamma = 10", "rich exponent, deepest less shallowest, Depth-muP"]
found.demand(undecided=open_rows, stored=[""])
assert found.rows[2].interval[0] > found.rows[1].measured

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
# More steps, nine :math:`\gamma` and five seeds, :math:`T = 1000`, measured once (``lazyrich figure 25 --scale measured``). A rate now
# counts as trained where it halves the loss. A coarse scan on a seed that is not used again finds the level of the edge at each
# :math:`\gamma`; then 0.4 decades on each side of it are swept at ten rates a decade. For the very rich networks of many blocks under muP
# the paper speaks of a "flat" scaling.
#
# **Limits, set before the run.** Very rich is :math:`\gamma = 10` to :math:`10^{2.5}`: 300 steps of that other seed trained nine blocks
# no further than 100. A flat edge has the exponent :math:`0 \pm 0.09`, half the gap to :math:`2/L = 2/11`, where :math:`L` is the number
# of weight matrices on the longest path. The scaling is the same across depths where the exponent of nine blocks differs from that of one
# by at most 0.1, and changes where it is flatter by more than 0.1; the same holds of the shift of the edge with each doubling of the
# blocks, the worst over :math:`\gamma` that all depths train. An edge outside of the swept rates leaves its :math:`\gamma` out for that
# seed.


@keep
def measure_longer(parametrization, width, blocks, steps, batch, seeds, gamma):
    """Return log10 of eta_max, (seed, gamma), the middle of its bracket, NaN where there is none, and that of the scan, (gamma)."""
    def locate_edge(seeds, gamma, eta):
        network = deepnets.ResidualMLP(64, width, blocks, 10, parametrization=parametrization)
        experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=steps, batch_size=batch, seeds=seeds, device="cpu")
        return np.log10(validation.locate(experiment.measure(gamma, eta))["eta"].sel(edge="eta_max").values).mean(-1)

    gamma = np.asarray(gamma)
    line = np.where(gamma < 1, gamma**2, np.sqrt(gamma))
    level = locate_edge((100,), gamma, line[:, None] * np.logspace(-1.5, 2.5, 17))[0]
    some = np.flatnonzero(np.isfinite(level))
    edge = np.full((seeds, len(gamma)), np.nan)
    edge[:, some] = locate_edge(tuple(range(seeds)), gamma[some], 10 ** (level[some, None] + np.linspace(-0.4, 0.4, 9)))
    return xr.Dataset({"edge": (("seed", "gamma"), edge), "level": ("gamma", level)}, {"gamma": gamma})


nine = np.r_[1e-2, 1e-1, 1, np.geomspace(10, 10**3.5, 6)]
longer = {(p, n): measure_longer(p, 24, n, 1000, 32, 5, nine.tolist()) for p, n in (("mup", 1), ("mup", 3), ("mup", 9), ("depth_mup", 3),
                                                                                   ("depth_mup", 9))}
longer["depth_mup", 1] = longer["mup", 1]        # one block is multiplied by one


def very_rich_exponent(key):
    """Return the exponent over gamma = 10 to 10^2.5 of each seed with at least three points."""
    x, rows = np.log10(nine[3:7]), longer[key].edge.values[:, 3:7]
    return np.array([np.polyfit(x[at], row[at], 1)[0] for row, at in ((row, np.isfinite(row)) for row in rows) if at.sum() >= 3])


for parametrization, number in figure_of.items():
    label, deep = label_of[parametrization], very_rich_exponent((parametrization, 9))
    found.check(number, f"T = 1000: very rich exponent of nine blocks, {label}, claimed flat", deep, -0.09, 0.09)
    found.check(number, f"T = 1000: very rich exponent of nine blocks, {label}, claimed 2/L", deep, 2 / 11 - 0.09, 2 / 11 + 0.09)
    apart = deep - very_rich_exponent((parametrization, 1))
    found.check(number, f"T = 1000: very rich exponent, nine blocks less one, {label}", apart,
                **({"high": -0.1} if parametrization == "mup" else {"low": -0.1, "high": 0.1}))
    edges = np.stack([longer[parametrization, n].edge.values for n in (1, 3, 9)])                 # (blocks, seed, gamma)
    trained = np.isfinite(edges).all((0, 1))
    shift = np.polyfit(np.log2([1, 3, 9]), edges[..., trained].reshape(3, -1), 1)[0].reshape(5, -1)      # (seed, gamma)
    worst = (shift.mean(0) if parametrization == "mup" else abs(shift.mean(0))).argmax()
    print(f"{label}: the worst gamma is {nine[trained][worst]:.3g} of {', '.join(f'{g:.3g}' for g in nine[trained])}")
    found.check(number, f"T = 1000: eta_max, decades a doubling of the blocks, {label}, the worst gamma", shift[:, worst],
                **({"high": -0.1} if parametrization == "mup" else {"low": -0.1, "high": 0.1}))


# %%
# Where very rich, the exponent falls with the depth as :math:`2/L`: the means are 0.68 with one block and 0.39 with three under either
# parametrization (2/3 and 2/5), 0.15 with nine under muP and 0.19 under Depth-muP (2/11). So the rich line of a deep network is nearly
# flat, as the paper says of muP, but not quite: under Depth-muP a flat one is contradicted and :math:`2/L` is supported; under muP five
# seeds do not decide between them. That the scaling be the same at all depths under Depth-muP is contradicted where very rich: there the
# edge falls by up to 0.4 decades a doubling of the blocks, while up to :math:`\gamma = 10` it moves by less than 0.1. What Depth-muP
# repairs is the lazy regime and :math:`\gamma` about 1, where nine blocks under muP hardly train in 1000 steps. The shorter runs above end
# at :math:`\gamma = 10` and show none of this.

found.demand(
    undecided=[*open_rows, "very rich exponent of nine blocks, muP"], stored=[""],
    contradicted=["nine blocks, Depth-muP, claimed flat", "nine blocks less one, Depth-muP", "Depth-muP, the worst gamma"])

figure = figures.blank(9, 3.8)
figure.set_label("Largest rate that halves the loss over richness: where very rich its slope falls with the depth, also under Depth-muP")
for ax, (parametrization, number) in zip(axes := figure.subplots(1, 2, sharey=True), figure_of.items(), strict=True):
    for n, colour, mark in zip((1, 3, 9), shades(3), "os^", strict=True):
        rows = longer[parametrization, n].edge.values
        some = np.isfinite(rows).any(0)
        at, middle = nine[some], np.nanmean(rows[:, some], 0)
        ax.loglog(at, 10**middle, mark + "-", color=colour, ms=5, lw=1.3, label=f"{n} block{'s' * (n > 1)}")
        ax.loglog(nine[3:7], 10 ** middle[at > 9][0] * (nine[3:7] / 10) ** (2 / (n + 2)), "--", color="0.4", lw=1)
    ax.set(title=f"Figure {number}: {label_of[parametrization]}, $T = 1000$", xlabel=r"richness $\gamma$")
    label_decades(ax, "x", "y")
axes[0].set_ylabel(r"$\eta_{\max}$")
axes[1].plot([], [], "--", color="0.4", lw=1, label=r"$\gamma^{2/L}$")
axes[1].legend(frameon=False, loc="lower right")

# %%
# At full size, on a GPU and on Fashion-MNIST, where :doc:`the campaign </campaign>` has measured it.

figure = draw_campaign("25", "26")
