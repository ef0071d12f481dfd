r"""
Figure 45: how far the weights move
===================================

The paper claims that weights move by :math:`\gamma^{1/L}` in the rich regime, in the Frobenius, spectral and nuclear norms alike, and
hardly at all where the network is lazy. The paper's network is a CNN on CIFAR-5M; here it is an MLP of ReLUs on scikit-learn's digits.
"""

import numpy as np
import xarray as xr

import deepnets
import validation
from deepnets import phenomena
from gallery import Findings, kept, shades
from validation import figures
from validation.palette import label_decades

scale = globals().get("scale", "small")
width, steps, seeds = {"small": (64, 300, 3), "paper": (512, 10_000, 3)}[scale]
found = Findings()

# %%
# Every run is trained on its optimal line, :math:`\eta \propto \gamma^2` where lazy and :math:`\gamma^{2/L}` where rich. The movement of
# the hidden weights is read at the end.


def moved(look):
    """The movement of each weight matrix in three norms, (run, norm, parameter)."""
    return deepnets.weight_movement(look.runs).absolute.transpose("run", "norm", "parameter").values


def measure(depth, width, steps, seeds, gamma, rate):
    """Return the movement at the end over gamma and seeds."""
    experiment = deepnets.DeepExperiment(deepnets.MLP(64, width, depth, 10), deepnets.tasks.digits(), steps=steps, batch_size=64)
    gamma = np.asarray(gamma)
    eta = rate * np.where(gamma < 1, gamma**2, gamma ** (2 / depth))
    runs = [phenomena.watch(experiment, gamma, eta, at=(steps,), observe={"moved": moved}, seed=seed) for seed in range(seeds)]
    return xr.concat(runs, "seed")


gamma = np.logspace(-4, 4, 17)
runs = {depth: kept(measure, depth, width, steps, seeds, gamma.tolist(), 0.2) for depth in (2, 3, 4)}

# %%
# The exponents are fitted over the rich gammas, with seeds for the interval.

for depth, run in runs.items():
    for norm, name in ((1, "Frobenius"), (2, "spectral"), (0, "nuclear")):
        size = run.moved.isel(step=0, moved_0=norm, moved_1=1).values           # of the second weight matrix, (seed, run)
        law = validation.fit(validation.edges_from_brackets(np.tile(gamma, seeds), size.ravel() * 0.99, size.ravel() * 1.01, "movement",
                                                            np.repeat(np.arange(seeds), len(gamma))), "movement", window=(10, 1e4))
        found.judged("45", f"|dW|, {name} norm, rich, L = {depth}", validation.judge(law, 1 / depth, tolerance=0.05))

# %%

figure = figures.blank(9, 3.8)
figure.set_label("Weight movement over richness for three depths: slope one where lazy, one over the depth where rich")
axes = figure.subplots(1, 3, sharex=True, sharey=True)
for ax, (depth, run), colour in zip(axes, runs.items(), shades(3), strict=True):
    for norm, name, style in ((1, "Frobenius", "o-"), (2, "spectral", "s--"), (0, "nuclear", "^:")):
        ax.loglog(gamma, run.moved.isel(step=0, moved_0=norm, moved_1=1).mean("seed"), style, color=colour, ms=3.5, lw=1.2, label=name)
    guide = gamma[gamma >= 3]
    ax.loglog(guide, 60 * guide ** (1 / depth), color="0.35", lw=1)
    ax.annotate(rf"$\gamma^{{1/{depth}}}$", (guide[4], 90 * guide[4] ** (1 / depth)), ha="right")
    ax.set(title=f"$L = {depth}$", xlabel=r"$\gamma$")
    label_decades(ax, "x", "y")
axes[0].set_ylabel(r"$|W_2(T) - W_2(0)|$")
axes[0].legend(frameon=False, loc="upper left")
