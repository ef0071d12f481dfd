"""A toy's outcome is the first, in the order of precedence, whose definition holds of the run, step by step."""

import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment, TwoParameter, trajectory
from validation import Outcome, Plane
from validation.outcome import choose_outcome

STEPS, RHO = 200, 0.01


def definitions(run, experiment, kernel_ratio, rose):
    """Whether the definition of each outcome holds of a run, whatever the others'."""
    excess, tail = run["excess"].values, run["excess"].values[-STEPS // 10:]
    parameters = np.stack([run[n].values for n in ("w", "u1", "u2") if n in run])
    converged = tail.max() <= RHO
    catapulted = converged and excess.max() > 1 and (experiment.loss.name == "mse" or kernel_ratio < 0.9)
    least, most = run["loss"].values[-STEPS // 10:].min(), run["loss"].values[-STEPS // 10:].max()
    parked = "w" in run and experiment.model.depth >= 3 and abs(run["w"].values[-1]) < 0.5 and most - least < 1e-3 * least
    return {Outcome.PARTIAL: True, Outcome.OSCILLATING: rose and not converged, Outcome.STUCK: parked and not converged,
            Outcome.UNTRAINED: np.abs(excess - 1).max() <= RHO, Outcome.CONVERGED: converged, Outcome.CATAPULTED: catapulted,
            Outcome.DIVERGED: not (np.isfinite(excess).all() and (np.abs(parameters) <= 1e30).all())}


@pytest.mark.parametrize(("model", "loss", "optimizer", "gamma", "eta", "both"), [
    (OneParameter(2), "mse", "sgd", (1e-3, 1e-1), (1e-13, 1.0), {(Outcome.UNTRAINED, Outcome.PARTIAL)}),
    (TwoParameter(), "mse", "sgd", (1e-3, 1e-2), (1e-7, 1e-4), {(Outcome.CATAPULTED, Outcome.CONVERGED)}),
    (OneParameter(3), "mse", "sgd", (2.0, 2.1), (0.3, 0.5), {(Outcome.STUCK, Outcome.PARTIAL)}),
    (OneParameter(3), "cross_entropy", "sgd", (1e-3, 1e-1), (1e-8, 1e-1), set()),
    (OneParameter(2), "mse", "signsgd", (1e-4, 1.002e-4), (0.99e-4, 1.01e-4), {(Outcome.UNTRAINED, Outcome.OSCILLATING)}),
])
def test_the_first_definition_that_holds_names_the_run(model, loss, optimizer, gamma, eta, both):
    experiment = ToyExperiment(model, loss, optimizer, steps=STEPS, rho=RHO)
    plane = Plane(np.geomspace(*gamma, 3), np.geomspace(*eta, 60))
    portrait = experiment.measure(plane.gamma, plane.eta)
    seen = set()
    with np.errstate(all="ignore"):
        for i, j in np.ndindex(*plane.shape):
            ratio, rose, outcome = (portrait[name].values[i, j] for name in ("kernel_ratio", "rose", "outcome"))
            run = trajectory(model, loss, optimizer, plane.gamma[i], plane.eta[j], STEPS)
            holds = definitions(run, experiment, ratio, rose)
            assert outcome == choose_outcome({o: np.array(h) for o, h in holds.items()}), (plane.gamma[i], plane.eta[j], holds)
            seen |= {(a, b) for a in holds for b in holds if holds[a] and holds[b]}
    assert both <= seen         # runs for which two definitions hold, so that the order matters
