r"""
Figures 38 and 39: other scalings of the rate
=============================================

The paper claims that in the rich regime other scalings than :math:`\eta \sim \gamma^{2/L}` are worse: along :math:`\gamma^{3/L}` training
diverges from some :math:`\gamma` on, whatever the number of steps, and along :math:`\gamma^{2/(L+1)}` it stays stable and trains less
far. The paper's networks are an MLP of :math:`L = 3` on MNIST-1M and a CNN of :math:`L = 4` on CIFAR-5M; here both are MLPs of ReLUs on
scikit-learn's digits.
"""

import numpy as np
import xarray as xr
from matplotlib.patheffects import withStroke

import deepnets
import toymodels
import validation
from deepnets import phenomena
from gallery import Findings, cache_on_disk, shades
from validation import Outcome
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
width, steps, batch, seeds = {"small": (32, 1000, 32, 3), "paper": (512, 10_000, 128, 3)}[scale]
found = Findings()

# %%
# Figure 38: the one-parameter model's portrait, :math:`L = 3`, with the three lines through one point at :math:`\gamma = 1`, half of the
# largest rate there.

depth = 3
powers = {"3/L": 3 / depth, "2/L": 2 / depth, "2/(L+1)": 2 / (depth + 1)}
names = {"3/L": r"$\gamma^{3/L}$", "2/L": r"$\gamma^{2/L}$", "2/(L+1)": r"$\gamma^{2/(L+1)}$"}
dashes = {"3/L": (0, (6, 2)), "2/L": "-", "2/(L+1)": (0, (1.2, 1.6))}
toy = toymodels.ToyExperiment(toymodels.OneParameter(depth), steps=(1000, 10_000, 100_000))
theory = toymodels.predict(toy.model, "mse")
start = 0.5 * theory["eta_max"](np.array([1.0]))[0]
portrait = validation.sweep(toy, validation.Plane.log(gamma=(1e-1, 1e9), eta=(1e-3, 1e6), per_decade=(20, 16)))
figure = figures.blank(12, 4.6)
figure.set_label("Toy portraits for two numbers of steps with lines of three scalings: one leaves the trained region upward, one downward")
for ax, horizon in zip(figure.subplots(1, 2), (1000, 100_000), strict=True):
    validation.plot_portrait(portrait.sel(horizon=[horizon]), {}, ax=ax)
    g = np.logspace(0, 9, 2)
    for line, power in powers.items():
        ax.plot(g, start * g**power, color="white", lw=3)
        ax.plot(g, start * g**power, color="black", lw=1.5, ls=dashes[line])
        at = 1e7 if power <= 1 / 2 else 3e6 if power < 1 else 3e4
        ax.annotate(names[line], (at, start * at**power), (-12, 6) if power == 1 else (4, -16), textcoords="offset points",
                    fontsize="large", ha="right" if power == 1 else "left", path_effects=[withStroke(linewidth=3, foreground="white")])
    ax.set(title=f"$T = 10^{np.log10(horizon):.0f}$", xlim=(0.1, 1e9), ylim=(1e-3, 1e6))
figure.axes[0].get_legend().remove()

# %%
# The toy along each line. On :math:`\gamma^{3/L}` nothing trains from the same :math:`\gamma` on, at every :math:`T`. On
# :math:`\gamma^{2/(L+1)}` nothing ever diverges, and in a given :math:`T` it trains up to a smaller :math:`\gamma` than on
# :math:`\gamma^{2/L}`.

g = np.logspace(0.5, 9, 69)
last, lost = {}, {}
for line, power in powers.items():
    runs = toy.measure(g, start * g[:, None] ** power).isel(eta=0)
    trains = runs["tail_excess"].values <= toy.rho                                                  # (horizon, gamma)
    last[line] = np.array([np.log10(g[t].max()) for t in trains])
    lost[line] = int((runs["outcome"] == Outcome.DIVERGED).sum("gamma").max())
    print(f"{line}: trains up to 10^{np.round(last[line], 2).tolist()} in T = 1e3, 1e4, 1e5; at most {lost[line]} of {len(g)} diverged")
found.check("38", "gamma^(3/L): decades of gamma that 100 times more steps gain", last["3/L"][-1] - last["3/L"][0], 0, 0)
found.check("38", "gamma^(3/L): gammas that diverged, of 69", lost["3/L"], low=1)
found.check("38", "gamma^(2/(L+1)): gammas that diverged, of 69", lost["2/(L+1)"], 0, 0)
found.check("38", "decades of gamma that gamma^(2/L) trains more than gamma^(2/(L+1)), T = 1000",
            last["2/L"][0] - last["2/(L+1)"][0], low=0.5)

# %%
# Figure 39: networks on the three lines, from one rate at :math:`\gamma = 1`, a third of the largest there. A curve ends where the run
# diverges; ReLU networks may also die instead, and then stay at the loss of the start.


@cache_on_disk
def curves(width, depth, steps, batch, gamma, eta, seeds):
    """Return the losses over that of the zero output, (seed, time, run)."""
    experiment = deepnets.DeepExperiment(deepnets.MLP(64, width, depth, 10), deepnets.tasks.digits(), steps=steps, batch_size=batch)
    runs = [phenomena.watch(experiment, gamma, eta, at=(0,), observe={}, seed=seed) for seed in range(seeds)]
    return xr.concat([xr.Dataset({"excess": run["loss"] / run["zero_output_loss"]}) for run in runs], "seed")


gamma = np.logspace(0, 5, 6)
losses = {}
for depth in (3, 4):
    eta = 15 * np.concatenate([gamma ** (3 / depth), gamma ** (2 / (depth + 1)), gamma ** (2 / depth)])
    runs = curves(width, depth, steps, batch, np.tile(gamma, 3).tolist(), eta.tolist(), seeds)
    means = runs["excess"].rolling(time=10).mean().isel(time=slice(9, None)).values
    losses[depth] = means.reshape(seeds, -1, 3, len(gamma))                                         # (seed, time, line, gamma)

figure = figures.blank(12, 5)
figure.set_label("Loss curves on three scalings of the rate for two depths: the steepest fails at large richness, the flattest lags")
panels = figure.subplots(2, 3, sharex=True, sharey=True)
for row, depth in zip(panels, (3, 4), strict=True):
    for k, (ax, line) in enumerate(zip(row, ("3/L", "2/(L+1)", "2/L"), strict=True)):
        for i, colour in enumerate(shades(len(gamma))):
            ax.loglog(np.arange(10, steps + 2), losses[depth][0, :, k, i], color=colour, lw=1.2, ls=("-", "--")[i % 2],
                      label=f"$10^{i}$")
        ax.set(title=f"({'acebdf'[k + 3 * (depth == 4)]}) $\\eta \\sim$ {names[line]}, $L = {depth}$", ylim=(0.008, 2))
        label_decades(ax, "y")
    row[0].set_ylabel("loss over that at the start")
for ax in panels[1]:
    ax.set_xlabel("steps  $t$")
figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False, title="$\\gamma$")

# %%
# On :math:`\gamma^{3/L}` no network of :math:`\gamma \geq 10^3` trains. On :math:`\gamma^{2/(L+1)}` those that train end at a larger loss
# than on :math:`\gamma^{2/L}`. That the latter lets arbitrarily large :math:`\gamma` train holds of stability; in a given number of steps
# it ends at the triangle's closing point, which at :math:`L = 4` and this :math:`T` lies below :math:`10^5`.

for depth, (steep, flat) in {3: "ac", 4: "bd"}.items():
    final = np.where(np.isfinite(losses[depth][:, -1]), losses[depth][:, -1], np.inf)              # (seed, line, gamma)
    fell = int((final[:, 0, 3:] < 0.5).sum())
    found.check(f"39{steep}", f"gamma^(3/L), L = {depth}: runs of gamma >= 1e3 that lose half of the loss", fell, 0, 0)
    behind = np.log10(final[:, 1, 1:4] / final[:, 2, 1:4]).mean(-1)
    found.check(f"39{flat}", f"gamma^(2/(L+1)), L = {depth}, gamma 10 to 1e3: decades of final loss behind gamma^(2/L)", behind, low=0)
    print(f"L = {depth}: on gamma^(2/L), {(final[:, 2] < 0.5).mean(0).sum():.3g} of {len(gamma)} gammas lose half of the loss")
found.demand()
assert scale == "paper" or (final[:, 2, -1] > 0.5).all()       # L = 4, gamma = 1e5
