"""Edges over T: eta_min falls as 1/T, eta_max stays, the settling line falls as the square root."""

import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment, TwoParameter
from validation import Misuse, fit_horizons, judge, trace

HORIZONS = (1000, 2000, 5000, 10_000, 20_000, 50_000)


def test_eta_min_falls_as_one_over_T_and_eta_max_does_not_move():
    edges = trace(ToyExperiment(OneParameter(3), steps=HORIZONS), [1e-3, 1e2], ["eta_min", "eta_max"])
    for gamma in (1e-3, 1e2):
        law = fit_horizons(edges, "eta_min", gamma)
        assert law.exponent == pytest.approx(-1, abs=2e-3)
        assert judge(law, -1, tolerance=0.01).outcome == "SUPPORTED"
        assert judge(law, -0.9, tolerance=0.01).outcome == "CONTRADICTED"
        assert fit_horizons(edges, "eta_max", gamma).exponent == pytest.approx(0, abs=2e-3)


def test_the_settling_line_falls_as_the_square_root_of_T_but_for_a_logarithm():
    edges = trace(ToyExperiment(TwoParameter(), "cross_entropy", steps=HORIZONS[2:]), [1e-4], ["eta_settle"])
    law = fit_horizons(edges, "eta_settle", 1e-4)
    assert -0.55 < law.exponent < -0.5      # sqrt(G/T), and G falls with log(eta)


def test_misuse_is_refused():
    edges = trace(ToyExperiment(OneParameter(3), steps=(100, 200)), [1.0], "eta_min")
    with pytest.raises(Misuse, match="gamma must be one of the edges' 1 gammas"):
        fit_horizons(edges, "eta_min", 2.0)
    with pytest.raises(Misuse, match="edge must be one of 'eta_min'"):
        fit_horizons(edges, "eta_max", 1.0)
    with pytest.raises(Misuse, match="edges must have the dim 'horizon'"):
        fit_horizons(edges.isel(horizon=0), "eta_min", 1.0)
    assert np.isnan(fit_horizons(edges, "eta_min", 1.0).exponent)      # two horizons are not a law
