"""Draws the outcomes of the judge: intervals against a claim, its tolerance and its rivals, from measured edges of known exponents."""

from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np

import validation
from validation.plotting.style import INK

GAMMA = np.logspace(1, 3, 9)
CLAIM = Fraction(2, 5)


def measure(exponent, scatter, seeds, seed):
    """Return an edge with brackets of 0.02 decades."""
    rng = np.random.default_rng(seed)
    y = exponent * np.log10(GAMMA) + scatter * rng.standard_normal((seeds, GAMMA.size))
    return validation.edges_from_brackets(np.tile(GAMMA, seeds), 10 ** (y.ravel() - 0.01), 10 ** (y.ravel() + 0.01), "eta_max",
                                          np.repeat(np.arange(seeds), GAMMA.size) if seeds > 1 else None)


cases = [("true 2/5\n5 seeds", measure(0.4, 0.02, 5, 1)), ("true 2/5\n1 seed", measure(0.4, 0.05, 1, 2)),
         ("true 1/2\n5 seeds", measure(0.5, 0.02, 5, 3)), ("true 1/3\n5 seeds", measure(1 / 3, 0.02, 5, 4))]
figure, ax = plt.subplots(figsize=(5.0, 2.9), layout="constrained")
names = {"SUPPORTED": "SUPPORTED", "UNDECIDED": "UNDECIDED", "CONTRADICTED": "CONTRA-\nDICTED"}
for i, (_, edges) in enumerate(cases):
    found = validation.fit(edges, "eta_max")
    verdict = validation.judge(found, CLAIM)
    y = len(cases) - i
    ax.plot(found.interval, (y, y), color="black", lw=1.2, solid_capstyle="butt")
    ax.plot(found.interval90, (y, y), color="black", lw=4, solid_capstyle="butt")
    ax.plot(found.exponent, y, "o", color="white", mec="black", ms=5, zorder=3)
    ax.text(1.03, y, names[verdict.outcome], va="center", fontsize=9, color=INK[verdict.outcome], transform=ax.get_yaxis_transform())
ax.axvspan(float(CLAIM) - verdict.tolerance, float(CLAIM) + verdict.tolerance, color="0.86", lw=0)
ax.axvline(float(CLAIM), color="black", lw=1)
ax.text(float(CLAIM), len(cases) + 0.7, "claim 2/5\n± tolerance", ha="center", va="bottom", fontsize=9)
for rival in (r for r in verdict.rivals if 0.24 < r < 0.6):
    ax.axvline(float(rival), color="black", lw=1, ls=":")
    ax.text(float(rival), len(cases) + 0.7, f"rival\n{rival}", ha="center", va="bottom", fontsize=9)
ax.set(ylim=(0.4, len(cases) + 0.6), xlim=(0.24, 0.6), xlabel="exponent, with its 95% interval (thin) and 90% interval (thick)")
ax.set_yticks(range(len(cases), 0, -1), [label for label, _ in cases], fontsize=9)
ax.tick_params(left=False)
