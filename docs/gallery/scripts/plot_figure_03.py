r"""
Figure 3: the Hessian of lazy and of rich networks
==================================================

The paper claims that the sharpness at the end of training goes as :math:`\gamma^{-2}` where a network is lazy and as :math:`\gamma^{-2/L}`
where it is rich; that a lazy network's Hessian does not change, and has as many outliers as there are classes; and that in a rich network
many eigenvalues grow, and at the end no small group of them stands out. Its network is an MLP on CIFAR-5M; here it is an MLP of ReLUs on
scikit-learn's digits, whose pixels keep their mean: without it the outliers are weak.
"""

import numpy as np
import xarray as xr

import deepnets
import validation
from deepnets import phenomena, tasks
from gallery import Findings, cache_on_disk, keep, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
width, steps, seeds, samples = {"small": (64, 800, 3, 256), "paper": (512, 10_000, 3, 512)}[scale]
found = Findings()

# %%
# The runs lie on one line, :math:`\eta = 14 \gamma^2` below :math:`\gamma = 1`, half of what is stable there, and
# :math:`24 \gamma^{2/L}` above, where the final loss is least on a grid of factors 2 around it. All eigenvalues are of the loss on the
# same 256 digits, in :math:`\theta`-units, by Lanczos in float64 with residuals below a hundredth of the largest: a largest eigenvalue is
# wrong by about the square of that.


def measure(depth, width, steps, samples, seed, gamma, rate, at, k, every=1):
    """Train on a line, and return the largest eigenvalues after some steps: k[1] at the end, k[0] of some runs on the way."""
    task = tasks.digits(raw=True)
    experiment = deepnets.DeepExperiment(deepnets.MLP(64, width, depth, 10), task, steps=steps, batch_size=64)
    gamma = np.asarray(gamma)
    eta = np.where(gamma < 1, 14 * gamma**2, rate * gamma ** (2 / depth))

    def largest(snapshot):
        last = snapshot.step == at[-1]
        some = np.flatnonzero(last | (snapshot.which % every == 0))
        u, batch = {n: d[some] for n, d in snapshot.u.items()}, (snapshot.x, snapshot.y)
        spectrum = deepnets.spectra(snapshot.module, u, snapshot.gamma[some], batch, "mse", k[last], precision="float64", tolerance=1e-2)
        eigenvalues = np.full((len(snapshot.which), k[1]), np.nan)
        eigenvalues[some, :k[last]] = spectrum.eigenvalues.values / snapshot.gamma[some, None] ** 2
        return eigenvalues

    return phenomena.watch(experiment, gamma, eta, at, {"largest": largest}, seed, samples=task.batch(10**6, 0, samples))


def train(depth, width, steps, samples, seed, *more):
    """Measure the first seed while this page is built; the results of the others are kept in ``docs/data/kept``."""
    return (cache_on_disk(measure) if seed == 0 else keep(measure))(depth, width, steps, samples, seed, *more)


gammas = np.logspace(-3, 3, 13)
rich = gammas[gammas >= 10]
times = np.unique(np.geomspace(1, steps, 9).astype(int)).tolist()
late = [steps * 3 // 4, steps * 7 // 8, steps]
ends = [train(3, width, steps, samples, 0, gammas.tolist(), 24, [0, *times[:-1], *late], (1, 20), 2)]
ends += [train(3, width, steps, samples, seed, [*gammas[gammas < 0.05], *rich], 24, late, (1, 1)) for seed in range(1, seeds)]
both = [train(3, width, steps, samples, seed, [1e-2, 1e2], 24, [0, *times] if seed == 0 else [0, steps], (20, 20))
        for seed in range(seeds)]

# %%
# The exponents, with seeds for the interval, from three late snapshots. On the line of best rates a rich network ends at the edge of
# stability, where :math:`N \eta \lambda_1/2` is about 1: sharpness and rate have the same exponent up to the sign. Each excludes the
# exponents of neighbouring depths. The lazy one holds by construction: in units of :math:`u` lazy networks have one Hessian.


def exponent(runs, low, high):
    """Fit the power of gamma of the largest eigenvalue, the geometric mean of its last three snapshots."""
    size = np.concatenate([np.exp(np.log(run.largest[:, :, 0]).isel(step=slice(-3, None)).mean("step")) for run in runs])
    where = np.concatenate([run.gamma.values for run in runs])
    which = np.repeat(np.arange(len(runs)), [run.sizes["run"] for run in runs])
    edges = validation.edges_from_brackets(where, size * 0.99, size * 1.01, "sharpness", which)
    return validation.fit(edges, "sharpness", window=(low, high))


law = exponent(ends, 1e-3, 10**-1.5)
found.add_verdict("3a", "sharpness at the end, lazy", validation.judge(law, -2), by_construction=True)
for depth in (2, 3, 4):
    runs = ends if depth == 3 else [train(depth, width, steps, samples, seed, rich.tolist(), 24, late, (1, 1))
                                    for seed in range(seeds)]
    verdict = validation.judge(exponent(runs, 10, 1e3), -2 / depth)
    found.add_verdict("3a", f"sharpness at the end, rich, L = {depth}", verdict)
    stable = [float((run.largest[-3:, :, 0] * run.eta * width / 2).where(run.gamma >= 10).mean()) for run in runs]
    found.check("3a", f"N eta lambda/2 at the end, rich, L = {depth}", stable, 0.5, 1.5)

# %%
# This exponent therefore reflects the rate as much as the landscape. At half of the best rates a network stays below the edge, and the
# exponents are flatter than :math:`-2/L`, perhaps because the largest :math:`\gamma` are the last to leave their plateau, and have not
# settled. They differ from it by about the tolerance, so that the judge decides neither; at :math:`L = 4` the measurement does not
# exclude :math:`-2/5`.

for depth in (3, 4):
    runs = [train(depth, width, steps, samples, seed, rich.tolist(), 12, late, (1, 1)) for seed in range(seeds)]
    verdict = validation.judge(exponent(runs, 10, 1e3), -2 / depth)
    row = found.add_verdict("3a", f"sharpness at the end, rich, L = {depth}, half the best rates", verdict)
    assert row.interval[0] > -2 / depth

# %%
# Away from the edge: full batches of 128 digits at a tenth of the best rates, ten times as many steps, measured once (``lazyrich figure 3
# --scale measured``). There the exponent is a property of the landscape, if it is one. **Limits, set before the run:** seven gammas from 10
# to :math:`10^3`, five seeds, the sharpness on the training samples after the last step; a row is judged like those above; it is away from
# the edge if :math:`N \eta \lambda_1/2` is below 0.8 at every gamma; and the run has arrived if less than a tenth of the loss is left at
# every gamma.


@keep
def measure_far_below(depth, width, steps, samples, seeds, gamma, rate):
    """Return the largest eigenvalue in theta-units and the loss over the zero output's at the end, (seed, run)."""
    task = tasks.full_batch(tasks.digits(raw=True))
    experiment = deepnets.DeepExperiment(deepnets.MLP(64, width, depth, 10), task, steps=steps, batch_size=samples)
    gamma = np.asarray(gamma)

    def largest(snapshot):
        spectrum = deepnets.spectra(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), "mse", 1, precision="float64",
                                    tolerance=1e-2)
        return spectrum.eigenvalues.values[:, 0] / snapshot.gamma**2

    runs = []
    for seed in range(seeds):
        run = phenomena.watch(experiment, gamma, rate * gamma ** (2 / depth), (steps,), {"largest": largest}, seed,
                              samples=task.batch(0, 0, samples))
        size = run.largest.values[0]
        runs.append(xr.Dataset({"largest": ("run", size), "edge": ("run", size * run.eta.values * width / 2),
                                "excess": ("run", (run.loss / run.zero_output_loss).values[-1])}, {"gamma": ("run", gamma)}))
    return xr.concat(runs, "seed")


for depth in (2, 3, 4):
    far = measure_far_below(depth, width, 10 * steps, 128, 5, np.geomspace(10, 1e3, 7).tolist(), 2.4)
    size = far.largest.values
    points = validation.edges_from_brackets(np.tile(far.gamma.values, 5), size.ravel() * 0.99, size.ravel() * 1.01, "sharpness",
                                            np.repeat(np.arange(5), size.shape[1]))
    verdict = validation.judge(validation.fit(points, "sharpness", window=(10, 1e3)), -2 / depth)
    what = f"rich, L = {depth}, full batch, a tenth of the best rates"
    found.add_verdict("3a", f"sharpness, {what}", verdict)
    found.check("3a", f"N eta lambda/2, {what}, at most", far.edge.max("run").values, high=0.8)
    found.check("3a", f"loss left, {what}, at most", far.excess.max("run").values, high=0.1)

# %%
# At :math:`L = 4` the runs end near the edge in spite of the small rate, so that the exponent that is supported there says nothing of the
# landscape. At :math:`L = 2` and 3 they are away from it, and five seeds do not decide.

# %%
# The largest eigenvalues at the end (the powers :math:`\gamma^2` and :math:`\gamma^{2/3}` beside them), and the largest in time.

figure = figures.blank(11, 4.4)
figure.set_label("Twenty largest eigenvalues at the end over richness, slopes -2 and -2/3; the largest over time for seven richnesses")
left, right = figure.subplots(1, 2)
for i, colour in enumerate(shades(20)):
    left.loglog(gammas, ends[0].largest.values[-1, :, i], "o-" if i == 0 else "-", color=colour, ms=3.5, lw=1)
top = ends[0].largest.values[-1, :, 0]
left.loglog(gammas[:6], 4 * top[0] * (gammas[:6] / gammas[0]) ** -2.0, "--", color="0.3")
left.loglog(gammas[7:], 4 * top[-1] * (gammas[7:] / gammas[-1]) ** (-2 / 3), "--", color="0.3")
left.annotate(r"$\gamma^{-2}$", (gammas[3], 6 * top[3]))
left.annotate(r"$\gamma^{-2/3}$", (gammas[10], 6 * top[10]))
left.set(title="(a)", xlabel=r"richness $\gamma$", ylabel=r"$\lambda_1 \ldots \lambda_{20}$ at the end")
for i, g, colour in zip(range(0, len(gammas), 2), gammas[::2], shades(7), strict=True):
    right.loglog(ends[0].step + 1, ends[0].largest.values[:, i, 0], "o-", color=colour, ms=3, lw=1)
    right.annotate(rf"$\gamma = 10^{{{np.log10(g):.0f}}}$", (steps * 1.25, ends[0].largest.values[-1, i, 0]), va="center", color=colour)
right.set(title="(b)", xlabel="step + 1", ylabel=r"$\lambda_1$", xlim=(0.9, steps * 6))
label_decades(left, "x", "y")
label_decades(right, "x", "y")

# %%
# A lazy Hessian does not change; it has ten outliers. In a rich network all twenty eigenvalues grow severalfold, the largest for a while
# more than tenfold. On the way ten of them stand out; at the end there is no gap.

lazy_ratio = [float(run.largest[-1, 0, 9] / run.largest[-1, 0, 10]) for run in both]
rich_ratio = [float(run.largest[-1, 1, 9] / run.largest[-1, 1, 10]) for run in both]
change = [float(run.largest[-1, 0, 0] / run.largest[0, 0, 0]) for run in both]
gaps = [int(np.argmax(run.largest.values[-1, 0, :-1] / run.largest.values[-1, 0, 1:])) + 1 for run in both]
grown = [float((run.largest[-1, 1] / run.largest[0, 1]).min()) for run in both]
large = [int((run.largest[-1, 1] > run.largest[-1, 1, 0] / 10).sum()) for run in both]
found.check("3c", "lazy: the 10th eigenvalue over the 11th", lazy_ratio, low=2)
found.check("3c", "lazy: after which eigenvalue the gap is widest", gaps, 10, 10)
found.check("3c", "lazy: largest eigenvalue, end over start", change, 0.9, 1.1)
found.check("3d", "rich: the 10th eigenvalue over the 11th", rich_ratio, high=2)
found.check("3d", "rich: how many of 20 exceed a tenth of the largest", large, low=11)
found.check("3d", "rich: end over start, of the eigenvalue that grows least", grown, low=1)
# three seeds are few: five rows are so near the border of their range that they may be UNDECIDED on another processor
found.demand(identity=["sharpness at the end, lazy"],
             undecided=["half the best rates", "sharpness, rich, L = 2, full batch", "sharpness, rich, L = 3, full batch"],
             contradicted=["N eta lambda/2, rich, L = 4, full batch"], stored=["full batch"])
assert both[0].largest[:, 1, 0].max() > 10 * both[0].largest[0, 1, 0]

# %%

second = figures.blank(11, 4.2)
second.set_label("Twenty largest eigenvalues over time: lazy, flat, ten above a gap; rich, all grow and at the end none stands out")
for ax, which, name in zip(second.subplots(1, 2), (0, 1), (r"(c) lazy, $\gamma = 10^{-2}$", r"(d) rich, $\gamma = 10^2$"), strict=True):
    for i, colour in enumerate(shades(20)):
        ax.loglog(both[0].step + 1, both[0].largest.values[:, which, i], "-" if i < 10 else "--", color=colour, lw=1.2)
    ax.set(title=name, xlabel="step + 1", ylabel=r"$\lambda_1 \ldots \lambda_{10}$ (lines), $\lambda_{11} \ldots \lambda_{20}$ (dashes)")
    label_decades(ax, "x", "y")
