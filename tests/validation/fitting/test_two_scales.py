"""Laws of two scales: least squares and its intervals against closed forms, groups, open brackets, bends, refusals."""

import numpy as np
import pytest
from scipy import stats

from validation import Misuse, fit_two_scales, judge

N, D = (a.ravel() for a in np.meshgrid(np.logspace(6, 8, 5), np.logspace(8, 10, 5), indexing="ij"))
LOGS = np.log10(N) - 7, np.log10(D) - 9


def planted(a, b, h=0.1, scatter=0.05, groups=0.0, bend=0.0, rng=None):
    """Brackets of log10 eta = a n + b d + bend n^2 on a grid of cells h, with errors by row and by model (value of N)."""
    rng = np.random.default_rng(0) if rng is None else rng
    n, d = LOGS
    y = a * n + b * d + bend * n**2 + rng.normal(0, scatter, n.size) + np.repeat(rng.normal(0, groups, 5), 5) + rng.uniform(0, h)
    low = np.floor(y / h) * h
    return 10**low, 10 ** (low + h)


def test_exact_points_give_the_coefficients_and_students_interval():
    """With points in place of brackets, rows that are their own groups, and errors of one size, it is plain least squares."""
    rng = np.random.default_rng(1)
    y = -0.5 * LOGS[0] + 0.25 * LOGS[1] + rng.normal(0, 0.05, 25)
    found = fit_two_scales({"N": N, "D": D}, 10**y, 10**y)
    design = np.stack([np.ones(25), *LOGS], axis=1)
    beta, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert found.exponents == pytest.approx({"N": beta[1], "D": beta[2]})
    error = np.sqrt(squares[0] / 22 * np.linalg.inv(design.T @ design)[1, 1])
    half = 0.5 * np.ptp(found.fits["N"].interval)
    assert half >= stats.t.ppf(0.975, 22) * error * (1 - 1e-9)           # the hull is no narrower,
    assert half < 1.6 * stats.t.ppf(0.975, 22) * error                   # and not much wider
    assert found.fits["N"].interval90[1] < found.fits["N"].interval[1]
    assert found.correlation == pytest.approx(0, abs=1e-9)               # a full grid: the scales are orthogonal
    assert found.prefactor == pytest.approx(10 ** (beta[0] + 7 * -beta[1] - 9 * beta[2]))


def test_the_unit_and_the_order_of_rows_do_not_matter():
    low, high = planted(-0.5, 0.25)
    found = fit_two_scales({"N": N, "D": D}, low, high)
    order = np.random.default_rng(2).permutation(25)
    other = fit_two_scales({"D": 1e3 * D[order], "N": N[order]}, 7 * low[order], 7 * high[order])
    for name in ("N", "D"):
        assert other.fits[name].interval == pytest.approx(found.fits[name].interval)


def test_intervals_cover_where_models_err_together():
    rng, hits = np.random.default_rng(3), {None: 0, True: 0}
    for _ in range(60):
        low, high = planted(-0.5, 0.25, groups=0.1, rng=rng)
        for grouped in hits:
            interval = fit_two_scales({"N": N, "D": D}, low, high, N if grouped else None).fits["N"].interval
            hits[grouped] += interval[0] <= -0.5 <= interval[1]
    assert hits[True] >= 52              # of 60 at 95%: fewer in one case of 400
    assert hits[None] < 45               # as if the five models were 25


def test_open_brackets_do_not_bias():
    rng, off = np.random.default_rng(4), []
    for _ in range(40):
        low, high = planted(-0.5, 0.25, rng=rng)
        top = np.quantile(high, 0.7)
        found = fit_two_scales({"N": N, "D": D}, np.minimum(low, top), np.where(high > top, np.nan, high))
        off.append([found.exponents["N"] + 0.5, found.exponents["D"] - 0.25])
    assert found.n_censored >= 5
    assert np.abs(np.mean(off, axis=0)) == pytest.approx(0, abs=0.03)


def test_a_surface_that_bends_has_no_exponent_without_that_sentence():
    found = fit_two_scales({"N": N, "D": D}, *planted(-0.5, 0.25, bend=0.3))
    assert found.outcome == "UNDECIDED"
    assert "the law bends: the local exponent of N goes from" in found.sentence
    assert found.local["N"][0] < -0.9
    assert found.local["N"][1] > -0.1
    verdict = judge(found.fits["N"], -0.5, rivals=(0, -1))
    assert verdict.outcome == "UNDECIDED"
    assert "the law bends" in verdict.sentence
    straight = fit_two_scales({"N": N, "D": D}, *planted(-0.5, 0.25))
    assert straight.outcome == "FITTED"
    assert judge(straight.fits["N"], -0.5, rivals=(0, -1)).outcome == "SUPPORTED"
    assert judge(straight.fits["D"], 0).outcome == "CONTRADICTED"
    assert "N 1e+06 to 1e+08 (25 rows)" in judge(straight.fits["N"], 0).sentence


def test_too_few_rows_and_scales_that_move_together_are_undecided():
    low, high = planted(-0.5, 0.25)
    few = fit_two_scales({"N": N[:5], "D": D[:5]}, low[:5], high[:5])
    assert few.outcome == "UNDECIDED"
    assert "two exponents take 6 rows and 4 groups" in few.reason
    assert "no exponent of N" in few.sentence
    assert "do not vary apart" in fit_two_scales({"N": N, "D": N**2}, low, high).reason
    assert "in 1 groups" in fit_two_scales({"N": N, "D": D}, low, high, np.zeros(25)).reason
    assert np.isnan(fit_two_scales({"N": N[:8], "D": D[:8]}, low[:8], high[:8]).bend)


@pytest.mark.parametrize(("change", "message"), [
    ({"scales": {"N": N}}, "scales must be two arrays by name"), ({"scales": [N, D]}, "scales must be two"),
    ({"scales": {"N": N, "D": D[:3]}}, "must have one dimension and the length of the first scale, 25"),
    ({"scales": {"N": N, "D": -D}}, r"scales\['D'\] must be finite and above zero"), ({"lower": N[:3]}, "lower must have one dimension"),
    ({"lower": np.full(25, 9.0), "upper": np.ones(25)}, "lower must not exceed upper, but at index 0 it is 9 and 1"),
    ({"upper": np.zeros(25)}, "upper must be finite and above zero"), ({"group": [None] * 25}, "group must be numbers or names"),
    ({"group": [1]}, "group must have one dimension"), ({"lower": ["a"] * 25}, "lower must be numbers"),
])
def test_misuse_is_refused(change, message):
    low, high = planted(-0.5, 0.25)
    with pytest.raises(Misuse, match=message):
        fit_two_scales(**{"scales": {"N": N, "D": D}, "lower": low, "upper": high} | change)
