r"""
Is richer better?
=================

Not everybody answers alike:

- **The richest is the best.** Given time, networks at a larger :math:`\gamma` generalise as well or better, with diminishing returns
  (Atanasov, Meterez, Simon and Pehlevan, arXiv 2410.04642, Figure 2b). Features are what makes pretraining and transfer possible (Yang and
  Hu, arXiv 2011.14522), and what learns few directions from few samples.
- **Lazy is best.** Fully connected networks on images generalise better where they are lazy (Geiger, Spigler, Jacot and Wyart, arXiv
  1906.08034; Lee et al., arXiv 2007.15801), because sparse features do not fit a smooth target (Petrini, Cagnetta, Vanden-Eijnden and
  Wyart, arXiv 2206.12314).
- **The best lies between.** Where the kernel's bias and the rich one both err, a finite richness is best (diagonal networks: Woodworth et
  al., arXiv 2002.09277).

This page compares them in one experiment: six tasks, endless and repeated data, ten seeds, the rate and the stopping time tuned at each
:math:`\gamma` on validation data, and a test on data that no choice has used.
"""

import numpy as np
import xarray as xr

from gallery import Findings, cache_on_disk, keep
from gallery.best_richness import bound_regrets, find_best
from gallery.richness_trials import NAMES, Training, find_edges, train_seed
from validation.progress import bar

scale = globals().get("scale", "small")
found = Findings()

# %%
# The limits were written down before the runs:
#
# - Nine :math:`\gamma` over six decades. Ten rates at each, :math:`2^{-8}` to 2 times the edge: the largest rate at which a run of a seed
#   that is not used again stays bounded. Thirteen stopping times from 1 to T. The best of the 130 on validation data is tested.
# - An MLP of ReLUs, muP, L = 3, N = 128, B = 32, T = 1000, mean squared error (sparse means: the network below, L = 2, B = 8).
# - Repeated data are 512 samples (sparse means: 8). Endless data are T B samples, each used once. Of digits and MNIST there are too few
#   images (900 and 3500): there every sample is an image newly warped.
# - A seed stands for the initialization and for all samples: training, validation and test.
# - Losses count as equal within 5%: TOLERANCE in decades.
# - At very large :math:`\gamma` a network may not have begun to learn after T steps, and no one claims that it is good then. A
#   :math:`\gamma` counts as trained if its best run on endless data, of the seed of the edges, has gained at least half of what the best
#   :math:`\gamma` gains. The claims are judged up to the largest one that is trained, **the richest**.

TOLERANCE = float(np.log10(1.05))
how = Training() if scale == "small" else Training(width=512, steps=5000, batch=128)
gamma, powers, seeds = (10 ** np.linspace(-3, 3, 9)).tolist(), list(range(-8, 2)), 10


@cache_on_disk
def run_edges(name, gamma, how):
    """Return the edges of a task (`gallery.richness_trials.find_edges`)."""
    return find_edges(name, gamma, how)


@cache_on_disk
def run_seed(name, seed, endless, gamma, edge, powers, how):
    """Return the tuned and tested runs of a seed (`gallery.richness_trials.train_seed`)."""
    return train_seed(name, seed, endless, gamma, edge, powers, how)


@keep
def measure(name, endless, gamma, powers, seeds, how):
    """Return the runs of all seeds, with the edges; finished seeds are cached, so that an interrupted measurement is resumed."""
    edges = run_edges(name, gamma, how)
    with bar(seeds, f"{name}, {'endless' if endless else 'repeated'}", "seeds") as advance:
        rows = []
        for seed in range(seeds):
            rows.append(run_seed(name, seed, endless, gamma, edges.edge.values.tolist(), powers, how))
            advance()
    return xr.concat(rows, "seed").assign(edge=edges.edge, gain=edges.gain, seconds_of_edges=edges.seconds)


cases = [(name, endless) for name in NAMES for endless in (True, False)]
runs = {case: measure(*case, gamma, powers, seeds, how) for case in cases}
spent = sum(float(run.seconds.sum()) + float(run.seconds_of_edges) * endless for (_, endless), run in runs.items())
print(f"{len(cases) * seeds * len(gamma) * (len(powers) + 1)} runs, {spent / 60:.0f} minutes on one core")

# %%
# Each :math:`\gamma` is compared with every other one by paired differences of :math:`\log_{10}` of the loss over the ten seeds, with
# Bonferroni's correction (`gallery.best_richness`). The **regret** of a :math:`\gamma` is its mean less that of the best; the bounds on
# it hold with probability 0.95 each. The best :math:`\gamma` lies in the set of those whose regret may be within the tolerance. On
# planted curves this set covers the best one at its rate, where a bootstrap of the least point of a smooth curve does not
# (:doc:`the judge </judge>`).


def judge(name, endless, run):
    """Add the verdicts of one task, and return the richest that trains and the set of best gammas."""
    gain = run.gain.values
    richest = int(np.flatnonzero(gain >= gain.max() / 2)[-1])
    losses = np.log10(run.loss.transpose("seed", "gamma").values)
    trained = losses[:, :richest + 1]
    regret = trained.mean(0) - trained.mean(0).min()
    lower, upper = bound_regrets(trained)
    where = f"{name}, {'endless' if endless else 'repeated'}"
    for claim, i in (("the richest", -1), ("lazy", 0)):
        found.check_interval("richer", f"{where}: regret of {claim}, decades of the loss", regret[i], (lower[i], upper[i]), high=TOLERANCE)
    ends = [0, -1]
    found.check_interval("richer", f"{where}: the lesser regret of both ends", regret[ends].min(), (lower[ends].min(), upper[ends].min()),
                         low=TOLERANCE)
    return richest, find_best(trained, TOLERANCE)


judged = {case: judge(*case, run) for case, run in runs.items()}
