"""The exponents that a claim has to be separated from."""

from fractions import Fraction

import numpy as np
import pytest

import toymodels
import validation
from validation.judging.rivals import choose_tolerance, find_rivals
from validation.prediction import find_family


@pytest.mark.parametrize(("claim", "rivals"), [
    (2 / 3, "1/3 1/2 1 4/3"),
    (2 / 5, "1/5 1/3 1/2 4/5"),
    (0.5, "1/4 1/3 2/5 2/3 1"),         # 1/2 and 2/4 are one number
    (1, "1/2 2/3 2"),
    (2, "1 4"),
    (-0.5, "-1 -2/3 -2/5 -1/3 -1/4"),
    (0.0, ""), (0.37, ""), (0.1234567, ""), (5 / 7, ""),
])
def test_rivals_of_a_number(claim, rivals):
    assert sorted(find_rivals(claim, "rich")) == sorted(Fraction(r) for r in rivals.split())


def test_the_tolerance_is_half_the_nearest_gap_and_at_most_a_twentieth():
    assert choose_tolerance(2 / 12, find_rivals(Fraction(2, 12), None)) == pytest.approx((1 / 6 - 2 / 13) / 2)
    assert choose_tolerance(2.0, find_rivals(2, None)) == 0.05
    assert choose_tolerance(0.37, ()) == 0.05


def test_a_family_is_known_by_the_depth():
    assert find_family(Fraction(1, 4), 4) == (1, 4)
    assert find_family(Fraction(1, 4), 8) == (2, 8)
    assert find_family(Fraction(1), 5) is None
    assert find_family(Fraction(2), None) is None


def test_a_window_that_passes_gamma_one_has_the_rivals_of_its_regime():
    law = toymodels.predict(toymodels.TwoParameter(), "cross_entropy")["eta_max"]
    low, high = law.window("rich", 1000, 0.01)
    assert low < 0.5 < high
    gamma = np.geomspace(0.5, 1e3, 12)
    eta = law(gamma)
    fit = validation.fit(validation.edges_from_brackets(gamma, eta / 1.01, eta * 1.01), "eta_max", curve=law, window=(0.4, 2e3))
    verdict = validation.judge(fit, law)
    assert verdict.regime is None
    assert verdict.rivals == verdict.excluded == (Fraction(1, 2), Fraction(2, 3), Fraction(2))
    everywhere = np.geomspace(1e-3, 1e3, 12)
    both = validation.edges_from_brackets(everywhere, everywhere / 1.01, everywhere * 1.01)
    assert not validation.judge(validation.fit(both, "eta_max"), law).rivals
