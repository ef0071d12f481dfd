r"""
Figure 10: warm-up and cosine decay
===================================

The paper claims that a learning rate that is warmed up over the first 5% of the steps and then falls along a cosine leaves the scaling
relationships as they are. The paper's network is a CNN of three convolutions and a readout on CIFAR-5M; here it is an MLP of as many
weight matrices, and others, on scikit-learn's digits.
"""

import numpy as np

import deepnets
import validation
from gallery import Findings, cache_on_disk
from gallery.campaign_files import draw_campaign
from gallery.network_exponents import measured_exponents
from gallery.portraits import WINDOWS, draw_side_by_side, judge_slope, plane_above, plane_around
from validation.plotting import figures
from validation.plotting.style import SYMBOLS

scale = globals().get("scale", "small")
if scale == "small":
    network, task, steps, batch, per_decade = deepnets.MLP(64, 32, 3, 10), deepnets.tasks.digits(), 300, 32, 4
else:
    network = deepnets.CNN((3, 32, 32), 64, 10, convolutions=3, dense=1)
    task, steps, batch, per_decade = deepnets.tasks.photographs(), 10_000, 128, 8
found = Findings()

# %%
# Portraits under the schedule for both losses. The lines have the exponents of a constant rate, at the level of the measured edges.


@cache_on_disk
def measure(network, task, loss, schedule, steps, batch, seeds, gamma, eta):
    """Return a portrait."""
    experiment = deepnets.DeepExperiment(network, task, loss, "sgd", schedule, steps, batch, tuple(range(seeds)))
    return validation.sweep(experiment, validation.Plane(gamma, eta))


def train_with_warmup(loss, plane, seeds):
    return measure(network, task, loss, "warmup_cosine", steps, batch, seeds, plane.gamma.tolist(), plane.eta.tolist())


gamma, names = np.logspace(-5, 5, 21), {"mse": "(a) squared error", "cross_entropy": "(b) cross-entropy"}
claims = {loss: deepnets.predict(network, loss) for loss in names}
portraits = {loss: train_with_warmup(loss, plane_above(gamma, lambda g: np.minimum(g**2, 0.3 * g), decades, per_decade), 1)
             for loss, decades in (("mse", 3.75), ("cross_entropy", 6.5))}
figure, lines = draw_side_by_side({names[loss]: (portraits[loss], claims[loss]) for loss in names})
figure.set_label("Two phase portraits of networks trained with warm-up and cosine decay, with the slopes predicted for a constant rate")

# %%
# The exponents of three edges of the right portrait, from narrow bands with ten rates a decade and three seeds. All three intervals exclude
# the exponents of the prediction's rivals; they are wider than the tolerance, and do not decide. Under cross-entropy
# :math:`\eta_{\mathrm{crit}}` is the onset of overshoot, where the loss first exceeds its first value: on minibatches it does so by their
# noise, and not where the kernel loses stability (:doc:`networks </networks>`). The rich :math:`\eta_{\max}` is
# somewhat too steep: where the plateau is long, the warm-up takes a relevant part of 300 steps. Longer runs of the same network under
# squared error do not show this (below).

for edge, regime in (("eta_crit", "lazy"), ("eta_max", "lazy"), ("eta_max", "rich")):
    name = "onset of overshoot (eta_crit)" if edge == "eta_crit" else edge
    near = train_with_warmup("cross_entropy", plane_around(lines[names["cross_entropy"]][edge], WINDOWS[regime]), 3)
    found.add_verdict("10b", f"{name}, {regime}, cross-entropy, MLP, L = 3, warm-up and cosine",
                      judge_slope(near, claims["cross_entropy"], edge, regime))
assert all(low < row.interval[0] < row.interval[1] < high for row, low, high in zip(found.rows, (1, 2 / 3, 1 / 2), (4, 2, 1), strict=True))
assert found.rows[2].measured > 2 / 3

# %%
# The exponents for squared error, from runs of 1000 steps in a narrow band around each edge, with five seeds
# (``docs/gallery/network_exponents.py``): under the schedule each is judged against the prediction, and the rich ones against what a
# constant rate gave, too. The lazy ones are identities under either, except for :math:`L = 4`: there two of the five seeds overshoot below
# the swept band, and what is left of them does not decide.

under = measured_exponents(schedule="warmup_cosine")
constant = {(row.depth, row.edge, row.regime): law for row, law, _ in measured_exponents(loss="mse", optimizer="sgd", schedule="constant")
            if row.steps == 1000 and row.width == 32 and row.window[1] <= 1e3}
for row, law, verdict in under:
    found.add_verdict("10a", f"{row.edge}, {row.regime}, MSE, MLP, L = {row.depth}, warm-up and cosine", verdict)
    if row.regime == "lazy":
        continue
    plain = constant[row.depth, row.edge, row.regime]
    half = np.hypot(np.ptp(law.interval), np.ptp(plain.interval)) / 2
    off, what = law.exponent - plain.exponent, f"{row.edge}, {row.regime}, L = {row.depth}: exponent less that of a constant rate"
    found.check_interval("10a", what, off, (off - half, off + half), -0.05, 0.05)
found.demand(identity=[f"10a: eta_crit, lazy, MSE, MLP, L = {depth}" for depth in (2, 3)],
             undecided=["10b", "10a: eta_crit, lazy, MSE, MLP, L = 4"], stored=["10a"])

# %%

figure = figures.blank(9, 3.6)
figure.set_label("Exponents under a constant rate and under warm-up with cosine decay: the same within their intervals, for three depths")
for ax, edge in zip(figure.subplots(1, 2), ("eta_crit", "eta_max"), strict=True):
    for row, law, verdict in under:
        if row.edge == edge:
            for at, one, mark, colour in ((-0.1, constant[row.depth, edge, row.regime], "o", "0.45"), (0.1, law, "s", "#1a5fa3")):
                ax.plot([row.depth + at] * 2, one.interval, color=colour, lw=1.6)
                ax.plot(row.depth + at, one.exponent, mark, color=colour, ms=5)
            ax.plot([row.depth - 0.35, row.depth + 0.35], [verdict.claimed] * 2, color="black", lw=1, ls=(0, (6, 2)))
    ax.set(title=f"{SYMBOLS[edge]}, {'lazy' if edge == 'eta_crit' else 'rich'}", xlabel="depth  $L$", xticks=(2, 3, 4), xlim=(1.5, 4.5))
figure.axes[0].set(ylim=(1.9, 2.1), ylabel="exponent in $\\gamma$")
for mark, colour, label in (("o", "0.45", "constant rate"), ("s", "#1a5fa3", "warm-up and cosine")):
    figure.axes[0].plot([], [], mark, color=colour, ms=5, label=label)
figure.axes[0].plot([], [], color="black", lw=1, ls=(0, (6, 2)), label="predicted")
figure.legend(loc="outside lower center", ncols=3, frameon=False)

# %%
# At full size, on a GPU and on Fashion-MNIST, where :doc:`the campaign </campaign>` has measured it.

figure = draw_campaign("10")
