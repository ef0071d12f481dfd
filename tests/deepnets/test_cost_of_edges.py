"""The cost of a traced edge in runs: at most a quarter of a grid of the same resolution."""

import numpy as np
import pytest

from deepnets import MLP, DeepExperiment, tasks
from validation import Outcome, Plane, locate, sweep, trace
from validation.portrait import REQUIRED, empty

TENTH = 10**0.1 - 1                                       # rtol of brackets 0.1 decade wide
FLAT = Plane.log(per_decade=10).shape[1]                  # rates from 1e-12 to 1e12


class Counted:
    """An experiment that counts the (gamma, eta) it has measured."""

    def __init__(self, experiment):
        self.experiment, self.measured = experiment, 0

    def describe(self):
        return self.experiment.describe()

    def measure(self, gamma, eta):
        self.measured += len(gamma) * np.shape(eta)[-1]
        return self.experiment.measure(gamma, eta)


class ThreeLayers:
    """The edges of a network of three layers in closed form; of cross-entropy, catapults settle up to eta ~ gamma."""

    def __init__(self, triangle):
        self.triangle = triangle

    def describe(self):
        return {"witness": "three layers"}

    def edges(self, gamma):
        """eta_min, eta_crit and eta_max."""
        top = 3 * np.minimum(gamma**2, gamma ** (2 / 3))
        return 0.01 * np.minimum(gamma**2, gamma), top, 3 * np.minimum(gamma, gamma ** (2 / 3)) if self.triangle else top

    def measure(self, gamma, eta):
        made = empty(Plane(gamma, eta), variables=REQUIRED)
        low, crit, top = (x[:, None] for x in self.edges(gamma))
        code = np.select([eta < low, eta < crit, eta < top], [Outcome.UNTRAINED, Outcome.CONVERGED, Outcome.CATAPULTED], Outcome.DIVERGED)
        excess = np.select([code == Outcome.UNTRAINED, code == Outcome.DIVERGED], [1.0, np.inf], 0.0)
        for name, values in (("outcome", code), ("final_excess", excess), ("tail_excess", excess),
                             ("peak_excess", np.where(code == Outcome.CATAPULTED, 5.0, excess))):
            made[name].values[:] = values
        return made.assign_attrs(rho=0.5, steps=1000)


@pytest.mark.parametrize("triangle", [False, True])
@pytest.mark.parametrize("eta", [None, (1e-12, 1e12)])
def test_a_traced_edge_costs_a_quarter_of_the_flat_grid(triangle, eta):
    gamma = np.geomspace(1e-5, 1e2, 15)
    counted = Counted(ThreeLayers(triangle))
    edges = trace(counted, gamma, "eta_max", rtol=TENTH, eta=eta, per_decade=2)
    assert counted.measured <= (0.15 if eta is None else 0.25) * FLAT * len(gamma)
    lower, upper = (edges["eta"].sel(edge="eta_max", bound=b).values for b in ("lower", "upper"))
    true = counted.experiment.edges(gamma)[2]
    assert (lower <= true).all()
    assert (upper >= true).all()
    assert (upper / lower <= 1 + TENTH * 1.001).all()


def test_of_a_network_too():
    gamma = np.array([1e-4, 1e-1, 10.0])
    counted = Counted(DeepExperiment(MLP(64, 32, 2, 10), tasks.digits(), steps=100, batch_size=16, device="cpu"))
    edges = trace(counted, gamma, "eta_max", rtol=TENTH, per_decade=2)
    assert counted.measured <= 0.15 * FLAT * len(gamma)
    traced = edges["eta"].sel(edge="eta_max").values[0]
    flat = sweep(counted.experiment, Plane.around(np.sqrt(traced.prod(-1)), gamma, 0.5, 10))
    # one grid ends within a cell of the other, or the edge is crossed more than once
    found = locate(flat)["eta"].sel(edge="eta_max").values[0]
    assert (np.abs(np.log10(found / traced)) < 0.25).all()
