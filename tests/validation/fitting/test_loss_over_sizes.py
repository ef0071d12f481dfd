"""The loss over a size, with and without a floor: exact laws, scipy as the oracle, coverage, bends, refusals."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import curve_fit

from validation import Misuse, fit_loss_law, judge

WIDTH = 2.0 ** np.arange(6, 14)


@pytest.mark.parametrize(("floor", "b"), [(0.3, 0.5), (0.0, 0.3), (2.0, 1.2)])
def test_a_law_without_noise_is_found_as_it_is(floor, b):
    law = fit_loss_law(WIDTH, floor + 4 * WIDTH**-b, floor=True)
    assert law.exponent == pytest.approx(-b, abs=2e-3)
    assert law.floor == pytest.approx(floor, rel=1e-3, abs=1e-4)
    assert law.floor_interval[0] <= law.floor <= law.floor_interval[1]
    assert law.sentence.startswith("loss, width 64 to 8192 (8 widths): exponent -")


def test_a_line_has_students_interval():
    loss = WIDTH**-0.4 * np.exp(np.random.default_rng(0).normal(0, 0.02, 8))
    law = fit_loss_law(WIDTH, loss, axis="N")
    line = stats.linregress(np.log(WIDTH), np.log(loss))
    half = stats.t.ppf(0.975, 6) * line.stderr
    assert law.interval == pytest.approx((line.slope - half, line.slope + half))
    assert law.axis == "N"
    assert judge(law, -0.4, rivals=(-0.5,)).outcome == "SUPPORTED"


def test_the_law_with_a_floor_is_scipys_least_squares():
    rng = np.random.default_rng(5)
    x = np.repeat(WIDTH, 3)                                              # three seeds
    y = np.log(0.3 + 4 * x**-0.5) + rng.normal(0, 0.01, x.size)
    p, cov = curve_fit(lambda t, a, b, c: np.log(np.exp(a) * t**-b + np.exp(c)), x, y, (1, 0.5, -1))
    law = fit_loss_law(x, np.exp(y), floor=True)
    assert law.exponent == pytest.approx(-p[1], rel=1e-3)
    assert law.floor == pytest.approx(np.exp(p[2]), rel=1e-3)
    assert 0.5 * np.ptp(law.interval) == pytest.approx(stats.t.ppf(0.975, 21) * np.sqrt(cov[1, 1]), rel=0.1)
    assert law.n == 8


def test_a_floor_that_was_not_subtracted_bends_and_no_claim_fails_for_want_of_it():
    for seed in range(5):
        law = fit_loss_law(WIDTH, (0.3 + 4 * WIDTH**-0.5) * np.exp(np.random.default_rng(seed).normal(0, 0.01, 8)))
        assert law.outcome == "UNDECIDED"
        assert "the curve bends" in law.sentence
        assert "with a floor E = 0." in law.reason
        assert judge(law, -0.5).outcome == judge(law, -0.2).outcome == "UNDECIDED"


def test_intervals_cover():
    rng, hits = np.random.default_rng(7), np.zeros(2, int)
    for _ in range(60):
        law = fit_loss_law(WIDTH, (0.3 + 4 * WIDTH**-0.5) * np.exp(rng.normal(0, 0.01, 8)), floor=True)
        hits += [law.interval[0] <= -0.5 <= law.interval[1], law.floor_interval[0] <= 0.3 <= law.floor_interval[1]]
    assert hits.min() >= 52              # of 60 at 95%: fewer in one case of 400


def test_too_few_sizes_and_a_loss_that_rises_are_undecided():
    assert "there are 3 sizes; a slope takes 4" in fit_loss_law(WIDTH[:3], WIDTH[:3]).reason
    assert "there are 4 sizes; a floor takes 5" in fit_loss_law(WIDTH[:4], WIDTH[:4], floor=True).reason
    assert "does not fall over width" in fit_loss_law(WIDTH, WIDTH, floor=True).reason
    assert fit_loss_law(WIDTH, WIDTH**0.2).exponent == pytest.approx(0.2)


@pytest.mark.parametrize(("given", "message"), [
    ((WIDTH, -WIDTH), "loss must be finite and above zero"), ((WIDTH, np.full(8, np.nan)), "loss must be"),
    ((0 * WIDTH, WIDTH), "size must be"),
    ((WIDTH, WIDTH[:3]), "one length"), ((WIDTH, WIDTH, ""), "axis must be a name"), ((WIDTH, WIDTH, "N", 2), "floor must be one of"),
])
def test_misuse_is_refused(given, message):
    with pytest.raises(Misuse, match=message):
        fit_loss_law(*given)
