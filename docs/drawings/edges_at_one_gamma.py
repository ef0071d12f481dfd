"""Draws the edges of one gamma: tail excess over the learning rate, with the sets, the gap between them, and the six edges."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb

import toymodels
import validation
from validation.outcome import Outcome
from validation.plotting.style import COLOURS, SYMBOLS

GAMMA, STEPS, RHO = 1e-3, 30_000, 0.01
FLOOR, CEILING = 1e-5, 1e3

experiment = toymodels.ToyExperiment(toymodels.TwoParameter(), loss="cross_entropy", steps=STEPS, rho=RHO)
portrait = validation.sweep(experiment, validation.Plane([GAMMA], np.logspace(-11, -1, 401)))
edges = validation.locate(portrait)["eta"].isel(gamma=0)
column = portrait.isel(gamma=0)
eta = column["eta"].values
edge = {str(name): float(np.exp(np.log(edges.sel(edge=name)).mean())) for name in edges["edge"].values}
assert edge["eta_min"] < edge["eta_crit"] < edge["eta_settle"] < edge["eta_max"] == edge["eta_div"]

figure, (ax, strip) = plt.subplots(2, 1, sharex=True, height_ratios=(9, 1), figsize=(5.0, 3.7), layout="constrained")
figure.get_layout_engine().set(h_pad=0.01, hspace=0)

ax.loglog(eta, np.clip(column["tail_excess"], FLOOR / 10, CEILING), color="black", lw=1.4)
ax.axhline(RHO, color="0.35", lw=0.8, ls="--")
ax.text(1.4e-11, RHO / 1.25, r"$\rho = 0.01$", va="top", fontsize=8)
for first, last, name in (("eta_min", "eta_crit", "lowest set"), ("eta_settle", "eta_max", "highest\nset")):
    ax.axvspan(edge[first], edge[last], ymax=np.log(RHO / FLOOR) / np.log(CEILING / FLOOR), color="0.85", lw=0)
    ax.text(np.sqrt(edge[first] * edge[last]), 2.6e-3, name, ha="center", va="top", fontsize=9, linespacing=1)
ax.annotate("", (edge["eta_crit"], 4e-3), (edge["eta_settle"], 4e-3), arrowprops={"arrowstyle": "<->", "lw": 0.8})
ax.text(np.sqrt(edge["eta_crit"] * edge["eta_settle"]), 2.6e-3, "gap", ha="center", va="top", fontsize=9)
for name, side in {"eta_min": "center", "eta_crit": "right", "eta_settle": "center", "eta_max": "left"}.items():
    ax.axvline(edge[name], color="black", lw=0.8, ls=":")
    label = f"{SYMBOLS['eta_max']}, {SYMBOLS['eta_div']}" if name == "eta_max" else SYMBOLS[name]      # here they share a bracket
    ax.text(edge[name], CEILING * 1.5, label, ha=side, fontsize=11)
ax.plot(edge["eta_opt"], FLOOR, marker="^", color="black", ms=7, clip_on=False, zorder=5)
ax.text(edge["eta_opt"] * 1.8, FLOOR * 1.5, SYMBOLS["eta_opt"], va="bottom", fontsize=11)
ax.set(ylim=(FLOOR, CEILING), xlim=(eta[0], eta[-1]), ylabel="tail excess  (fraction of the first)")

codes = column["outcome"].values
starts = np.flatnonzero(np.diff(codes, prepend=-99))
for start, end in zip(starts, [*starts[1:], codes.size], strict=True):
    outcome, left, right = Outcome(codes[start]), eta[start], eta[min(end, eta.size - 1)]
    strip.axvspan(left, right, color=COLOURS[outcome], lw=0)
    if right > 10 * left:
        dark = np.dot(to_rgb(COLOURS[outcome]), (0.3, 0.6, 0.1)) < 0.5
        strip.text(np.sqrt(left * right), 0.5, outcome.label, ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
strip.set(xscale="log", yticks=[], xlabel="learning rate  η", xlim=(eta[0], eta[-1]))
