r"""
Open question: where does training end under noise?
===================================================

The paper's toys train on all data without noise. What do label noise of size :math:`\sigma`, and batches of :math:`B` Gaussian inputs, do
to :math:`\eta_{\max}`?

Ours: **label noise lowers it to** :math:`\frac{2}{h}\frac{\rho}{\rho + \sigma^2}`, **at every** :math:`\gamma` **as long as** :math:`\rho`
**is small, with h the sharpness at the minimum. Batches do not lower it to where the mean square grows,** :math:`2/(1 + 2/B)`, **but move
it to where almost every run ceases to shrink,** :math:`E\log|1 - \eta h m| = 0`, **which for one parameter lies above 2.**
"""

import numpy as np

import toymodels
import validation
from gallery import Findings, shades
from toymodels.theory.noise_edges import almost_sure_edge, mean_square_edge, noisy_factor
from toymodels.theory.stability import numeric_sharpness
from validation.plotting import figures
from validation.plotting.style import label_decades

found = Findings()
steps, seeds = {"small": (20_000, 8), "paper": (100_000, 64)}[globals().get("scale", "small")]
linear, rich = toymodels.OneParameter(1), toymodels.OneParameter(5)


def trace_edge(model, gamma, rho=0.01, reach=3.0, many=seeds, **noise):
    """Return eta_max times the sharpness at the minimum, for each stream."""
    h = numeric_sharpness(model, gamma)
    middle = noisy_factor(rho, noise.get("noise", 0.0), noise.get("batch")) / h
    ends = [validation.trace(toymodels.ToyExperiment(model, steps=steps, rho=rho, seed=seed, **noise), [gamma], "eta_max", rtol=1e-2,
                             eta=(middle / reach, middle * reach), per_decade=20)["eta"].mean().item() for seed in range(many)]
    return np.array(ends) * h


# %%
# Left: label noise, at :math:`\rho = 0.01`. Right: batches. Points are means over streams, with their standard deviations.

sigmas, batches = np.array([0.01, 0.03, 0.1, 0.3, 1.0]), np.array([1, 2, 4, 16, 64])
cases = (r"$L = 1$", linear, 1.0, seeds), (r"$L = 5$, rich", rich, 1e3, seeds // 2)
# at sigma = 1 the steps are short, and a stream has few independent times: eight times as many streams
with_noise = {name: [trace_edge(model, gamma, many=8 * many if s == 1 else many, noise=s) for s in sigmas]
              for name, model, gamma, many in cases}
with_batch = {name: [trace_edge(model, gamma, many=many, batch=int(b)) for b in batches] for name, model, gamma, many in cases}
figure = figures.blank(10, 3.8)
figure.set_label("Upper edge times sharpness: falling with label noise along the formula; with batches along the almost-sure edge, above "
                 "2, far from the mean-square edge")
left, right = figure.subplots(1, 2)
line = np.geomspace(0.005, 2, 200)
left.loglog(line, 2 * 0.01 / (0.01 + line**2), "-", color="0.4", lw=1, label=r"$2\rho/(\rho + \sigma^2)$")
fine = np.unique(np.round(np.geomspace(1, 300, 60)).astype(int))
right.semilogx(fine, [almost_sure_edge(int(b)) for b in fine], "-", color="0.4", lw=1, label=r"$E\log|1 - \eta h m| = 0$")
right.semilogx(fine, [mean_square_edge(int(b)) for b in fine], "--", color="0.4", lw=1, label=r"$2/(1 + 2/B)$")
for ax, x, lines in ((left, sigmas, with_noise), (right, batches, with_batch)):
    for (name, values), colour, mark in zip(lines.items(), shades(2), "os", strict=True):
        ax.errorbar(x, [v.mean() for v in values], [v.std(ddof=1) for v in values], fmt=mark, color=colour, ms=4, lw=0.8, label=name)
    ax.set_ylabel(r"$\eta_{\max}\, h$")
    ax.legend(frameon=False)
left.set_xlabel(r"$\sigma$")
right.set(xlabel=r"$B$", ylim=(0, 3))
label_decades(left, "x")

# %%
# One step of L = 1 is the recursion of the derivation itself, whatever gamma. The edges are those that were derived, within the scatter of
# the streams. The excess of a stream is proportional to :math:`\eta` where :math:`\eta h` is small, so that the mean of one over the edge
# is compared.

for s, values in zip(sigmas, with_noise[r"$L = 1$"], strict=True):
    ratio = noisy_factor(0.01, float(s), None) / values
    error = max(0.03, 2.5 * ratio.std(ddof=1) / np.sqrt(len(ratio)))
    found.check_interval("noise", f"prediction over eta_max, L = 1, sigma = {s:g}", ratio.mean(), (ratio.mean(), ratio.mean()),
                         1 - error, 1 + error)
for b, values in zip(batches, with_batch[r"$L = 1$"], strict=True):
    ratio = values / almost_sure_edge(int(b))
    error = max(0.03, 2.5 * ratio.std(ddof=1) / np.sqrt(seeds))
    found.check_interval("batches", f"eta_max over the almost-sure edge, L = 1, B = {b}", ratio.mean(), (ratio.mean(), ratio.mean()),
                         1 - error, 1 + error)
found.demand()

# %%
# Where the rich side departs: the edge of L = 5 over that of L = 1 for the same stream. A larger :math:`\rho` allows larger displacements,
# along which f is curved.

gammas = np.geomspace(1e-2, 1e4, 7)
figure = figures.blank(6.5, 3.8)
figure.set_label("Edge of L = 5 over that of L = 1: one where lazy, and where rich above one for label noise, more so at larger rho")
ax = figure.subplots()
for rho, colour, mark in zip((0.01, 0.1, 0.3), shades(3), "os^", strict=True):
    sigma = float(np.sqrt(rho))
    still = trace_edge(linear, 1.0, rho, noise=sigma, many=4)
    departure = [(trace_edge(rich, g, rho, noise=sigma, many=4) / still).mean() for g in gammas]
    ax.semilogx(gammas, departure, f"{mark}-", color=colour, ms=4, lw=0.8, label=rf"$\rho = \sigma^2 = {rho:g}$")
    found.check("noise", f"edge of L = 5 over that of L = 1, gamma = 0.01, rho = sigma^2 = {rho:g}", departure[0], 0.99, 1.01)
    found.check("noise", f"the same, gamma = 10000, rho = sigma^2 = {rho:g}", departure[-1], 0.9, 1.5)
ax.axhline(1, color="0.4", lw=0.8, ls=":")
ax.set(xlabel=r"$\gamma$", ylabel=r"$\eta_{\max}$ over that of $L = 1$")
ax.legend(frameon=False)
label_decades(ax, "x")
found.demand()
