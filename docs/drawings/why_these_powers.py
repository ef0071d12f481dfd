"""Draws why the edges are powers of gamma: the loss over the weight of a lazy and of a rich model, and the two edges over gamma."""

import matplotlib.pyplot as plt
import numpy as np

import toymodels
from validation.plotting.style import SYMBOLS, label_decades

DEPTH, LAZY, RICH, STEPS = 3, 0.1, 100.0, 1000

figure, axes = plt.subplot_mosaic("ab;cc", figsize=(5.0, 5.0), height_ratios=(4, 5), layout="constrained")
for name, gamma, span, title in (("a", LAZY, (0.93, 1.12), "lazy:  γ = 0.1"), ("b", RICH, (0.0, 6.2), "rich:  γ = 100")):
    ax = axes[name]
    w, target = np.linspace(*span, 400), (1 + gamma) ** (1 / DEPTH)
    loss = 0.5 * ((w**DEPTH - 1) / gamma - 1) ** 2
    sharpness = (DEPTH * target ** (DEPTH - 1) / gamma) ** 2
    ax.plot(w, loss, color="black", lw=1.6)
    ax.plot(w, 0.5 * sharpness * (w - target) ** 2, color="0.45", lw=1.2, ls="--")
    ax.plot(1, 0.5, "o", color="black", ms=6)
    ax.plot(target, 0, "s", color="black", ms=5, clip_on=False, zorder=5)
    ax.annotate("start", (1, 0.5), (7, 4), textcoords="offset points", fontsize=9)
    ax.annotate("$w_*$", (target, 0), (0, 8), textcoords="offset points", fontsize=10, ha="center")
    ax.set(xlabel="weight  w", ylim=(0, 1.15), xlim=span)
    ax.set_title(title, fontsize=10)
axes["a"].set_ylabel("loss")
axes["b"].text(2.8, 1.1, "parabola of the\nsame curvature", fontsize=8, va="top", color="0.3")

ax, gamma = axes["c"], np.logspace(-4, 4, 200)
predictions = toymodels.predict(toymodels.OneParameter(DEPTH), "mse")
low, high = (predictions[edge](gamma, STEPS, 0.01) for edge in ("eta_min", "eta_max"))
ax.loglog(gamma, high, color="black", lw=1.6)
ax.loglog(gamma, low, color="black", lw=1.6, ls=(0, (6, 2)))
ax.fill_between(gamma, low, high, color="0.88", lw=0)
for at, curve, text, shift, side in ((-2.5, high, "slope 2", (-4, 6), "right"), (2.5, high, "slope 2/L", (0, 6), "right"),
                                     (-2.5, low, "slope 2", (6, -12), "left"), (2.5, low, "slope 1", (6, -12), "left")):
    height = 10 ** np.interp(at, np.log10(gamma), np.log10(curve))
    ax.annotate(text, (10**at, height), shift, textcoords="offset points", fontsize=9, ha=side)
ax.text(2e-4, 2e2, f"{SYMBOLS['eta_max']}: the minimum is just stable", fontsize=9.5, va="top")
ax.text(5e3, 1e-11, f"{SYMBOLS['eta_min']}: just enough time in $T$ steps", fontsize=9.5, ha="right")
ax.text(1, np.sqrt(low[100] * high[100]), "trains", fontsize=10, ha="center", va="center")
ax.set(xlabel="richness  γ", ylabel="learning rate  η", xlim=(gamma[0], gamma[-1]), ylim=(1e-12, 1e3))
label_decades(ax, "x", "y")
