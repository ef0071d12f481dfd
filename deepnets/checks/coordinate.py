"""The coordinate check: the change of every layer's activation in a few steps, over the width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepnets.checks.movement import measure_movement
from deepnets.checks.size_checks import Check, assemble_check, build_experiments
from deepnets.tasks import Task
from validation.arguments import Misuse, between, whole
from validation.judging.slopes_over_seeds import judge_flat

NO_CHANGE = "training diverged or changed nothing"


def coordinate_check(network_of_width: Callable[[int], Any], task: Task, widths: Sequence[int] = (32, 64, 128, 256), gamma: float = 1.0,
                     eta: float = 1.0, early: int = 5, tolerance: float = 0.15, rate_width: Callable[[int], int] | None = None,
                     **training: Any) -> Check:
    """Measure how the change of every layer's activation in a few steps depends on the width: not at all under muP.

    For each layer the slope of log10 of the root mean square change (over samples and units) on log10 width; under the NTK
    parametrization those of hidden layers are near -1/2 (Yang & Hu, arXiv 2011.14522; the paper, Appendix B). A slope of zero means that
    features change equally at all widths; it does not imply that the best rate transfers (`transfer_check`).

    Parameters
    ----------
    network_of_width : width -> a specification, such as ``lambda n: deepnets.MLP(64, n, 3, 10)``, or a callable seed ->
        torch.nn.Module. A layer is a module that itself holds trained parameters.
    task : one of `deepnets.tasks`.
    widths : at least four, increasing.
    gamma, eta : > 0; far below gamma = 1 nothing is learned at any width.
    early : steps after which the activations are compared with the initial ones, on a fresh batch.
    tolerance : the slope that still counts as none.
    rate_width : width -> the N of the rate N eta; None: a specification's own, and 1 of a module.
    training : further fields of `DeepExperiment`; ``seeds`` are 0 to 7 and ``batch_size`` is 64 unless given.

    Returns
    -------
    Check : a verdict for each layer, named by its module; SUPPORTED if the 90% interval over the seeds lies within the tolerance,
        CONTRADICTED if the 95% interval lies outside. Its `data` holds the changes, (quantity, seed, width).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; networks whose layers differ in name from width to width.
    """
    gamma, eta = between("gamma", gamma, 0, np.inf), between("eta", eta, 0, np.inf)
    tolerance, early = between("tolerance", tolerance, 0, np.inf), whole("early", early)
    experiments = build_experiments(network_of_width, "width", widths, task, rate_width,
                                    {"seeds": tuple(range(8)), "batch_size": 64} | training)
    seeds = next(iter(experiments.values())).seeds
    found = [[measure_movement(e, gamma, eta, early, seed).layers for e in experiments.values()] for seed in seeds]
    names = list(found[0][0])
    for row in found:
        for width, layers in zip(experiments, row, strict=True):
            if layers.keys() != found[0][0].keys():
                raise Misuse(f"network_of_width must give the same layers at every width, but at {width} they are {list(layers)}, "
                             f"and at {next(iter(experiments))} {names}")
    sizes = np.array(list(experiments), float)
    values = {name: np.array([[layers[name] for layers in row] for row in found]) for name in names}
    verdicts = {name: judge_flat(sizes, v, tolerance, name, missing=NO_CHANGE) for name, v in values.items()}
    return assemble_check("coordinate", "width", experiments, seeds, verdicts, "slope of log change on log width", values)
