r"""
Open question: which edges are fractal, and of which dimension?
===============================================================

The border between networks that train and networks that diverge has been seen to be fractal (Sohl-Dickstein 2024). Of the toys, depth
:math:`L \ge 3` has edges that are crossed again and again. We measure their dimension D in the plane of :math:`(\log\gamma, \eta)`,
rates in units of the predicted :math:`\eta_{\max}`: a window is cut into n by n boxes, and those whose corners are not all on one side go
as :math:`n^D`.

Ours: **the border of what trains is a curve, of dimension 1. So is that of divergence for** :math:`L = 2`; **for** :math:`L \ge 3` **it is
fractal, with dimensions from 1.7 to 1.9 just above the edge, for either loss.**
"""

import numpy as np

import toymodels
import validation
from gallery import Findings, over_seeds, shades
from validation import Outcome, box_counts, box_dimension
from validation.plotting import figures

found = Findings()
boxes = {"small": 1024, "paper": 4096}[globals().get("scale", "small")]
coarsest = boxes // 16
windows = ((2, 6), (6, 20), (20, 60), (60, 200))      # of gamma: four places, whose dimensions give the intervals


def measure_window(loss, depth, gamma, height, steps=1000, points=None):
    """Return the portrait of a window: gamma between two values, eta over the predicted eta_max between two heights."""
    model, points = toymodels.OneParameter(depth), points or boxes + 1
    g = np.geomspace(*gamma, points)
    stable = toymodels.predict(model, loss)["eta_max"](g)
    return toymodels.ToyExperiment(model, loss, steps=steps).measure(g, stable[:, None] * np.linspace(*height, points))


def find_divergence(portrait):
    """Return which runs diverged, bool (gamma, eta)."""
    return portrait.outcome.values == Outcome.DIVERGED


# %%
# The edge of divergence for L = 3, and a part of it enlarged seventy times. Between the tongues of divergence lie tongues of runs that are
# parked at the saddle :math:`w = 0`, between any two of them there are more.

figure = figures.blank(12, 4.4)
figure.set_label("Left, tongues of runs stuck at the saddle reach into divergence above a band of trained runs; right, an enlarged part "
                 "shows finer tongues alike")
for ax, gamma, height in zip(figure.subplots(1, 2), ((1, 1e3), (3.0, 3.3)), ((0.5, 4), (2.40, 2.45)), strict=True):
    portrait = measure_window("mse", 3, gamma, height, points=400)
    picture = portrait.drop_vars("eta_value").assign_coords(eta=np.linspace(*height, 400))
    validation.plot_portrait(picture, ax=ax)
    ax.set(yscale="linear", ylabel=r"$\eta/\eta_{\max}$", title="L = 3, squared error")
left, right = figure.axes
right.set(xscale="linear", title="a part of it")
right.legend(handles=left.get_legend().legend_handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
left.get_legend().remove()

# %%
# Dimensions, each from four windows. The controls are the border of what trains, at any depth, and that of divergence for L = 2.

cases = [("trained", "mse", 3, (0.8, 1.2)), ("trained", "mse", 5, (0.8, 1.2)), ("trained", "cross_entropy", 3, (0.7, 1.2)),
         ("diverged", "mse", 2, (1.8, 2.2)), ("diverged", "cross_entropy", 2, (1.8, 3.8)),
         ("diverged", "mse", 3, (2.5, 2.7)), ("diverged", "mse", 4, (2.5, 2.7)), ("diverged", "mse", 5, (2.7, 2.9)),
         ("diverged", "cross_entropy", 3, (2.8, 3.2)), ("diverged", "cross_entropy", 5, (3.2, 3.6))]
counted = {}
for what, loss, depth, height in cases:
    values = []
    for gamma in windows:
        portrait = measure_window(loss, depth, gamma, height)
        inside = find_divergence(portrait) if what == "diverged" else (portrait.tail_excess <= portrait.rho).values
        values.append(box_dimension(inside, coarsest).dimension)
        counted.setdefault((what, loss, depth), []).append(box_counts(inside, coarsest))
    smooth = what == "trained" or depth == 2
    found.check("fractal", f"dimension of the border, {what}, L = {depth}, {loss}", values, *((0.97, 1.03) if smooth else (1.3, 2)))
found.demand()
assert all(1.65 < row.measured < 1.95 for row in found.rows[-5:])

# %%
# Just above the edge the border of divergence nearly fills the window. Higher up it is thinner: its dimension falls.

heights = (2.2, 2.4, 2.7, 3.1, 3.6)
falling = [[box_dimension(find_divergence(measure_window("mse", 3, gamma, (low, 1.05 * low), points=boxes // 2 + 1)),
                          coarsest // 2).dimension for gamma in windows] for low in heights]
drop = np.array(falling[0]) - np.array(falling[-1])
found.check("fractal", "fall of the dimension from 2.2 to 3.6 eta_max, L = 3, mse", drop, 0)

# %%
# **Odd and even depths.** What survives above the edge is parked at the saddle, where a step is :math:`x^{L-1}` long. For odd L it comes
# to rest there from the side of negative weights: more steps change nothing. For even L it only passes slowly, in a time that goes as the
# distance to the power :math:`-(L-2)`, and diverges in the end: the share that survives goes as :math:`T^{-1/(L-2)}`.

times = (1000, 3000, 10_000, 30_000)
survived = {}
for depth in (3, 4):
    shares = np.array([[1 - find_divergence(measure_window("mse", depth, gamma, (2.6, 3.0), steps=T, points=151)).mean() for T in times]
                       for gamma in windows])
    survived[depth] = shares
    slopes = [np.polyfit(np.log(times), np.log(row), 1)[0] for row in shares]
    claim = -0.5 if depth == 4 else 0.0
    found.check("fractal", f"exponent over T of the share of survivors, L = {depth}, mse", slopes, claim - 0.1, claim + 0.1)
found.demand()

# %%

figure = figures.blank(12.5, 4)
figure.set_label("Left, box counts over n: level for smooth borders, rising for fractal ones; middle, the dimension falls with height; "
                 "right, survivors fade with T for depth 4, not for depth 3")
left, middle, right = figure.subplots(1, 3)
shown = [("trained", "mse", 3), ("diverged", "mse", 2), ("diverged", "mse", 3), ("diverged", "mse", 4), ("diverged", "cross_entropy", 5)]
for key, colour, mark in zip(shown, shades(5), "v^so*", strict=True):
    many, counts = counted[key][0][0], np.array([count for _, count in counted[key]])
    left.loglog(many, np.exp(np.log(counts).mean(0)) / many, f"{mark}-", color=colour, ms=7 if mark == "v" else 4, lw=1, mfc="none",
                label=f"{key[0]}, L = {key[2]}" + ", cross-entropy" * (key[1] != "mse"))
left.loglog(many, 0.3 * many, ":", color="0.4", lw=1, label="D = 2")
left.set(xlabel="n", ylabel="boxes on the border, over n", title=r"box counts, $n^{D-1}$")
left.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(-0.02, -0.2), ncols=2)
ends = np.array([over_seeds(values)[1] for values in falling])
means = np.mean(falling, axis=1)
middle.errorbar(heights, means, [means - ends[:, 0], ends[:, 1] - means], fmt="o-", color="0.15", ms=4, capsize=2)
middle.axhline(1, color="0.4", lw=1, ls=":")
middle.set(xlabel=r"$\eta/\eta_{\max}$", ylabel="dimension D", title="L = 3, squared error", ylim=(0.95, 2))
for (depth, shares), mark, colour in zip(survived.items(), "so", shades(3), strict=False):
    right.loglog(times, np.exp(np.log(shares).mean(0)), f"{mark}-", color=colour, ms=4, lw=1, label=f"L = {depth}")
right.loglog(times, survived[4].mean(0)[0] * (np.array(times) / times[0]) ** -0.5, ":", color="0.4", lw=1, label=r"$T^{-1/2}$")
right.set(xlabel="T", ylabel="share that did not diverge", title=r"$2.6 < \eta/\eta_{\max} < 3$")
right.legend(frameon=False, loc="center right")

# %%
# The edge of depth 3, computed in your browser wherever you zoom:
#
# .. explorer:: fractal-edge
