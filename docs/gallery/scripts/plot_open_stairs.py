r"""
Open question: what is the smallest model with stairs?
======================================================

Rich networks learn in stairs: the loss stays on a plateau, drops, and stays on the next (figure 4 of the paper). Saxe, McClelland and
Ganguli (arXiv 1312.6120) explained the stairs of deep linear networks by their modes, which do not interact: one parameter
:math:`f_k = (w_k^L - 1)/\gamma` for each singular value :math:`s_k` of the teacher.

Ours: **the time of every stair follows from the gradient flow of one parameter at richness** :math:`\gamma s_k`, **exactly, at every**
:math:`\gamma`. **A deep linear network whose product starts on the teacher's orthogonal factor has the same stairs: exactly, if its first
matrix has orthonormal columns, and up to** :math:`1/\sqrt N` **if that is Gaussian.**
"""

import numpy as np
import torch
import xarray as xr

import deepnets
import toymodels
from deepnets import phenomena, tasks
from gallery import Findings, keep, shades
from toymodels.theory import mode_stairs
from validation.plotting import figures

found = Findings()
depth, strengths, gamma = 3, (1.0, 0.35, 0.12), 100.0
modes = toymodels.Modes(depth, strengths, (1 / 3,))       # the squared error of a network is a mean over its three outputs
rate = 0.05 * float(mode_stairs.find_stability(modes, gamma))
times = mode_stairs.find_stair_times(modes, gamma)
steps = int(1.4 * times.max() / rate)
order, plateaus = mode_stairs.find_plateaus(modes)
middles = (np.array([1, *plateaus[:-1]]) + plateaus) / 2      # the loss halfway down each stair
clock = rate * np.arange(steps + 1)

# %%
# A network of three matrices and width N learns a teacher with these singular values from 16 white inputs, full batch. Each of its L
# matrices moves by its own gradient, where the toy's single weight feels all L of them: the rate of the network is L times that of the
# toy. Its hidden matrix is orthogonal, and its readout is such that the product starts on the orthogonal factor of the teacher, so that
# every mode starts at 1.


@keep
def measure(width, gaussian, seeds, strengths, gamma, rate, steps):
    """Train three-layer linear networks; return the loss over its first value (seed, time)."""
    task = tasks.linear(strengths, samples=16)
    left, _, right = np.linalg.svd(task.matrix())

    def network(seed):
        source = torch.Generator().manual_seed(seed)
        first = torch.randn(width, len(strengths), generator=source) / width**0.5
        first = first if gaussian else torch.linalg.qr(first)[0]
        hidden = torch.linalg.qr(torch.randn(width, width, generator=source))[0]
        weights = first, hidden, torch.from_numpy(left @ right).float() @ (hidden @ first).T
        layers = [torch.nn.Linear(w.shape[1], w.shape[0], bias=False) for w in weights]
        for layer, w in zip(layers, weights, strict=True):
            layer.weight.data.copy_(w)
        return torch.nn.Sequential(*layers)

    experiment = deepnets.DeepExperiment(network, tasks.full_batch(task), steps=steps, batch_size=16, device="cpu")
    losses = [phenomena.watch(experiment, gamma, rate, (0,), {}, seed).loss.values[:, 0] for seed in range(seeds)]
    return xr.Dataset({"excess": (("seed", "time"), np.array([x / x[0] for x in losses], np.float32))})


def time_stairs(excess):
    """Return eta t at which a curve (time,) is halfway down each stair."""
    return np.array([np.interp(-middle, -excess, clock) for middle in middles])


def run_networks(width, gaussian, seeds):
    return measure(width, gaussian, seeds, strengths, gamma, depth * rate, steps).excess.values


flow = mode_stairs.follow_flow(modes, gamma, clock) @ modes.shares
toy = toymodels.trajectory(modes, gamma=gamma, eta=rate, steps=steps)
widths, seeds = (32, 64, 128, 256), 8
networks = {n: run_networks(n, True, seeds) for n in widths}
aligned = run_networks(128, False, 1)[0]
figure = figures.blank(10, 3.8)
figure.set_label("Left: the loss over time falls in three stairs, the same in prediction, toy and network. Right: time of the stairs of "
                 "Gaussian networks over the predicted one, whose scatter shrinks with the width")
left, right = figure.subplots(1, 2)
left.semilogy(clock, flow, "-", color="0.5", lw=3, label="gradient flow, predicted")
left.semilogy(clock, toy.total, "k-", lw=0.8, label="Modes")
left.semilogy(clock, aligned, "--", color=shades(2)[1], lw=1.5, label="network, N = 128, orthonormal")
for seed, curve in enumerate(networks[128][:4]):
    left.semilogy(clock, curve, ":", color="#d95f1e", lw=0.9, label=None if seed else "N = 128, Gaussian, four seeds")
left.set(xlabel=r"$\eta t$", ylabel="loss over its first value", ylim=(1e-3, 1.5))
left.legend(frameon=False, fontsize="small", loc="lower left")
expected = time_stairs(flow)
ratios = {n: np.array([time_stairs(curve) for curve in curves]) / expected for n, curves in networks.items()}
for k, (colour, mark) in enumerate(zip(shades(3), "os^", strict=True)):
    right.errorbar(np.array(widths) * 1.04 ** (k - 1), [r[:, k].mean() for r in ratios.values()],
                   [r[:, k].std(ddof=1) for r in ratios.values()], fmt=mark, color=colour, ms=4, lw=0.9,
                   label=rf"$s_{k + 1} = {strengths[k]:g}$")
right.axhline(1, color="0.4", lw=0.8, ls=":")
right.set(xscale="log", xlabel="width N", ylabel="time of a stair over the predicted one", xticks=widths, xticklabels=widths)
right.minorticks_off()
right.legend(frameon=False, fontsize="small")
for k, s in enumerate(strengths):
    found.check("stairs", f"time of the stair of s = {s:g} over the predicted one, Modes", time_stairs(toy.total.values)[k] / expected[k],
                0.98, 1.02)
    found.check("stairs", f"the same of s = {s:g}, network with orthonormal columns over Modes, N = 128",
                time_stairs(aligned)[k] / time_stairs(toy.total.values)[k], 0.99, 1.01)
    found.check("stairs", f"the same of s = {s:g}, Gaussian networks over the predicted one, N = 128, mean of {seeds} seeds",
                ratios[128][:, k], 0.95, 1.05)
scatter = {n: float(np.sqrt(r.var(axis=0, ddof=1).mean())) for n, r in ratios.items()}
slope = np.polyfit(np.log(widths), np.log(list(scatter.values())), 1)[0]
found.check("stairs", "power of N by which the scatter of Gaussian networks falls", slope, -0.8, -0.2)

# %%
# A Gaussian first matrix has columns whose lengths and overlaps are off by :math:`1/\sqrt N`: each seed's stairs scatter by 5% to 8% at
# :math:`N = 128`, and eight seeds do not decide whether the means are within 5%. The weakest mode tends to come late.

# %%
# Leaving its plateau, a mode of depth :math:`L \ge 3` grows as :math:`(1 - L(L-2) s \tau)^{-1/(L-2)}`, with
# :math:`\tau = \eta\lambda t/\gamma` (:doc:`errata </errata>`, 2). The power is measured along the flow at :math:`\gamma = 10^6`. On the
# right, silent alignment: the kernel turns to the mode that is learnt first while the loss is still on its plateau. Both collapse in
# :math:`\tau` for every large :math:`\gamma`.

figure = figures.blank(10, 3.8)
figure.set_label("Left: the weight of a mode over the time left until its escape, straight lines of slopes -1, -1/2, -1/3. Right: loss and "
                 "alignment over tau, the same for three gammas; the alignment rises before the loss falls")
left, right = figure.subplots(1, 2)
for L, colour, mark in zip((3, 4, 5), shades(3), "os^", strict=True):
    one = toymodels.Modes(L, (1.0,))
    remaining = np.geomspace(0.02, 0.5, 20)
    tau = (1 - remaining) / (L * (L - 2))
    f = 1 - np.sqrt(mode_stairs.follow_flow(one, 1e6, tau * 1e6)[:, 0])
    w = (1 + 1e6 * f) ** (1 / L)
    power = np.polyfit(np.log(remaining), np.log(w), 1)[0]
    left.loglog(remaining, w, mark, color=colour, ms=4, label=f"L = {L}: power {power:.3f}")
    left.loglog(remaining, remaining ** (-1 / (L - 2)), "-", color=colour, lw=0.9)
    found.check("escape", f"power of the escape, L = {L}, claimed -1/{L - 2}", power, -1 / (L - 2) - 0.02, -1 / (L - 2) + 0.02)
for axis, ticks in ((left.xaxis, (0.02, 0.05, 0.1, 0.2, 0.5)), (left.yaxis, (1, 2, 5, 10, 20, 50))):
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
left.minorticks_off()
left.set(xlabel=r"$1 - \tau/\tau_*$", ylabel="weight $w$")
left.legend(frameon=False)
for g, colour in zip((1e3, 1e4, 1e5), shades(3), strict=True):
    two = toymodels.Modes(3, (1.0, 0.3))
    eta = 0.02 * float(mode_stairs.find_stability(two, g))
    run = toymodels.trajectory(two, gamma=g, eta=eta, steps=int(2 * g / eta))
    tau = run.step * eta / g
    right.plot(tau, run.total, "-", color=colour, lw=1.2, label=rf"$\gamma = 10^{{{np.log10(g):.0f}}}$")
    right.plot(tau, run.alignment, "--", color=colour, lw=1.2)
    early = int(np.argmax(run.total.values < 0.9))
    found.check("alignment", f"alignment when a tenth of the loss is gone, gamma = {g:g}", float(run.alignment[early]), low=0.9)
right.plot([], [], "k-", label="loss")
right.plot([], [], "k--", label="alignment of the kernel")
right.set(xlabel=r"$\tau = \eta t/\gamma$", ylabel="loss; alignment", xlim=(0, 2), ylim=(0, 1.05))
right.legend(frameon=False, fontsize="small", loc="center right")
found.demand(undecided=["mean of 8 seeds"], stored=["mean of 8 seeds"])
