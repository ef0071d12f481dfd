r"""
Figure 29: the lazy limit is reached
====================================

The paper takes :math:`\eta = \gamma^2` and finds the loss curves of CNNs and ViTs on top of each other at arbitrarily small
:math:`\gamma`, under both losses: the lazy limit is reached in practice, often from :math:`\gamma = 10^{-3}` on. The paper needs
float64 below :math:`10^{-3}`. Here differences are propagated, and float32 suffices at any :math:`\gamma`.

The data are scikit-learn's digits with elastic warps in place of CIFAR-5M, and :math:`\eta = c\,\gamma^2` with a :math:`c` at which these
small networks train.
"""

import numpy as np
import xarray as xr

import deepnets
from deepnets import phenomena
from gallery import Findings, keep_slow, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
channels, width, blocks, batch, steps, seeds = {"small": (16, 16, 1, 16, (100, 60), 3), "paper": (64, 192, 3, 128, (10_000,) * 2, 3)}[scale]
found = Findings()

smooth = deepnets.CNN((1, 8, 8), channels, 10, nonlinearity="tanh")
vit = deepnets.ViT((1, 8, 8), width, 10, blocks=blocks, patch=4)
panels = {"CNN, tanh, squared error": (smooth, "mse", steps[0], 50.0),
          "CNN, tanh, cross-entropy": (smooth, "cross_entropy", steps[0], 50.0),
          "ViT, squared error": (vit, "mse", steps[1], 1.0), "ViT, cross-entropy": (vit, "cross_entropy", steps[1], 1.0),
          "CNN, ReLU, squared error": (deepnets.CNN((1, 8, 8), channels, 10), "mse", steps[0], 50.0)}


@keep_slow
def measure(network, loss, steps, batch, factor, gamma, seeds):
    """Return the losses over the first one, of every seed, step and gamma."""
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(elastic=True), loss, steps=steps, batch_size=batch)
    gamma = np.asarray(gamma)
    runs = [phenomena.watch(experiment, gamma, factor * gamma**2, at=(0,), observe={}, seed=seed).loss for seed in range(seeds)]
    return xr.concat([loss / loss[0] for loss in runs], "seed").to_dataset(name="loss")


gamma = np.logspace(-6, 0, 7)
losses = {name: measure(network, loss, steps, batch, factor, gamma.tolist(), seeds).loss
          for name, (network, loss, steps, factor) in panels.items()}

# %%
# The curves of one seed, dark to light in :math:`\gamma`. All runs of a seed see the same batches: what differs between them is
# :math:`\gamma` alone.

figure = figures.blank(13, 4.2)
figure.set_label("Loss over time at seven richnesses for CNN and ViT under both losses: all curves up to 0.01 lie on top of each other")
for ax, name in zip(figure.subplots(1, 4), list(panels)[:4], strict=True):
    for i, (g, colour) in enumerate(zip(gamma, shades(len(gamma)), strict=True)):
        ax.plot(losses[name][0, :, i], color=colour, lw=3.2 - 0.4 * i, ls=("-", "--")[i % 2], label=rf"$10^{{{np.log10(g):.0f}}}$")
    ax.set(title=name, xlabel=r"steps $t$", ylim=(0.9 * float(losses[name][0, :, :5].min()), 1.15))
figure.axes[0].set_ylabel(r"loss $\mathcal{L}(t)/\mathcal{L}(0)$")
figure.legend(*figure.axes[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", title=r"$\gamma$", ncols=7)

# %%
# The distance of a run from the lazy limit: the largest difference, over time, of its loss from that at :math:`\gamma = 10^{-6}`. For
# smooth networks it is proportional to :math:`\gamma`. With ReLUs some sample crosses a kink at any :math:`\gamma`: the distance falls more
# slowly, and is below 2% of the first loss at :math:`10^{-3}` all the same.

distances = {}
for name, loss in losses.items():
    records = [phenomena.lazy_consistency(one.values, gamma) for one in loss]
    distances[name] = np.array([one.deviations for one in records])
    exponents = [phenomena.lazy_consistency(one.values[:, :4], gamma[:4]).exponent for one in loss]
    if "ReLU" not in name:
        found.check("29", f"{name}: power of gamma in the distance from the limit", exponents, 0.9, 1.1)
    found.check("29", f"{name}: distance from the limit at gamma = 1e-3", distances[name][:, 2], high=0.02)
found.demand()
assert all(far[:, -1].min() > 0.01 for far in distances.values())

second = figures.blank(9, 4.2)
second.set_label("Distance from the lazy limit over richness: a line of slope one for smooth networks, a flatter one for ReLUs")
ax = second.subplots()
for (name, far), colour, mark in zip(distances.items(), shades(5), "os^Dv", strict=True):
    ax.loglog(gamma[1:], far.mean(0), mark + ("--" if "ReLU" in name else "-"), color=colour, ms=5, lw=1.2, label=name)
    ax.fill_between(gamma[1:], far.min(0), far.max(0), color=colour, alpha=0.2, lw=0)
ax.loglog(gamma[1:5], 8 * gamma[1:5], color="0.35", lw=0.8)
ax.annotate(r"$\propto\gamma$", (gamma[3], 9 * gamma[3]), ha="right", va="bottom")
ax.set(xlabel=r"richness $\gamma$", ylabel=r"$\max_t|\mathcal{L}_\gamma - \mathcal{L}_{10^{-6}}|/\mathcal{L}(0)$", ylim=(None, 10))
label_decades(ax, "x", "y")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
