"""Exponents from brackets: exact laws, oracles, censoring, seeds, windows, misuse."""

import mpmath
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from scipy.stats import linregress, norm
from scipy.stats import t as student

from validation.arguments import Misuse
from validation.fitting.likelihood import bracket_mass
from validation.fitting.line import feasible_slopes, fit_line
from validation.fitting.powerlaw import FitOutcome, fit


def edges(gamma, lower, upper, edge="eta_max", **attrs):
    """An edge dataset; lower and upper of shape (n,) or (seed, n)."""
    bounds = np.stack([np.asarray(lower, float), np.asarray(upper, float)], -1)[None]
    dims = ("edge", "gamma", "bound") if bounds.ndim == 3 else ("edge", "seed", "gamma", "bound")
    return xr.Dataset({"eta": (dims, bounds)}, {"edge": [edge], "gamma": gamma, "bound": ["lower", "upper"]}, attrs)


def gridded(gamma, log_eta, cell, phase=0.0):
    """The brackets in which a grid of cells (decades) sees the edge."""
    k = np.floor((log_eta - phase) / cell)
    return edges(gamma, 10 ** (k * cell + phase), 10 ** ((k + 1) * cell + phase))


GAMMA = np.logspace(0, 3, 25)


@pytest.mark.parametrize("exponent", [2.0, 2 / 5, -1.0, 0.0])
@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9, 0.0])
def test_exact_law_in_tight_brackets(exponent, rtol):
    eta = 3e-7 * GAMMA**exponent
    found = fit(edges(GAMMA, eta * (1 - rtol / 2), eta * (1 + rtol / 2)), "eta_max", (1, 1e3))
    assert found.outcome == FitOutcome.FITTED == "FITTED"
    assert found.interval[0] <= exponent <= found.interval[1]
    assert found.interval[1] - found.interval[0] < max(rtol, 1e-11)
    assert found.prefactor == pytest.approx(3e-7, rel=max(rtol, 1e-11))
    assert found.window == (1, 1e3)
    assert (found.n, found.n_censored) == (25, 0)
    assert np.allclose(found(GAMMA), eta, rtol=max(2 * rtol, 1e-11))


def test_far_windows_are_well_conditioned():
    gamma = np.logspace(-12, -9, 13)
    found = fit(edges(gamma, 0.999 * gamma**2, 1.001 * gamma**2), "eta_max")
    assert found.interval[0] < 2 < found.interval[1]
    assert found(1e-10) == pytest.approx(1e-20, rel=1e-3)


@pytest.mark.parametrize("w", [1e-12, 1e-6, 9e-4, 1.1e-3, 0.1, 1.0, 20.0])
@pytest.mark.parametrize("m", [0.0, 1e-3, -1.0, 8.0, -40.0, 300.0])
def test_bracket_mass_against_fifty_digits(w, m):
    with mpmath.workdps(50):
        a, b = abs(mpmath.mpf(m)) - mpmath.mpf(w) / 2, abs(mpmath.mpf(m)) + mpmath.mpf(w) / 2
        mass = (mpmath.erfc(a / mpmath.sqrt(2)) - mpmath.erfc(b / mpmath.sqrt(2))) / 2
        density = [mpmath.npdf(a) / mass, mpmath.npdf(b) / mass]
        want = [mpmath.log(mass), mpmath.sign(m) * (density[0] - density[1]), (density[0] + density[1]) * w / 2]
    got = [float(v[0]) for v in bracket_mass(np.array([m]), np.array([w]))]
    assert got == pytest.approx([float(v) for v in want], rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_likelihood_agrees_with_a_general_optimiser(seed):
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 2, 12)
    y = 0.7 * x + rng.normal(0, 0.2, x.size)
    low = np.floor(y / 0.25) * 0.25
    high = low + 0.25
    low[0], high[-1] = -np.inf, np.inf

    def loss(p):
        a, b, log_sigma = p
        s = np.exp(log_sigma)
        return -np.log(norm.cdf((high - a - b * x) / s) - norm.cdf((low - a - b * x) / s)).sum()

    oracle = minimize(loss, [0, 0.7, -1.6], method="Nelder-Mead",
                      options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 5000})
    line = fit_line(x, low, high)
    assert line.slope == pytest.approx(oracle.x[1], abs=1e-4)
    assert line.scatter == pytest.approx(np.exp(oracle.x[2]), rel=1e-3)
    assert line.level - line.slope * line.centre == pytest.approx(oracle.x[0], abs=1e-4)


@pytest.mark.parametrize("cell", [1e-3, 1e-8])
def test_narrow_brackets_give_the_textbooks_interval(cell):
    """As the cells shrink, the interval of independent rows becomes Student's."""
    rng = np.random.default_rng(11)
    x = np.sort(rng.uniform(0, 3, 14))
    y = 0.7 * x + rng.normal(0, 0.1, 14)
    book = linregress(x, y)
    for level in (0.90, 0.95):
        half = student.ppf(0.5 + level / 2, 12) * book.stderr
        low, high = fit_line(x, y - cell / 2, y + cell / 2, shared=False).intervals[level]
        assert (low, high) == pytest.approx((book.slope - half, book.slope + half), abs=1e-4 * half)
    line = fit_line(x, y - cell / 2, y + cell / 2)
    assert line.slope == pytest.approx(book.slope, abs=1e-5)
    assert line.level - line.slope * line.centre == pytest.approx(book.intercept, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 18), st.integers(4, 24))
def test_shifting_the_window_never_moves_an_exponent(first, length):
    eta = 2e-3 * GAMMA ** (2 / 3)
    last = min(first + length, 24)
    found = fit(edges(GAMMA, eta * (1 - 1e-7), eta * (1 + 1e-7)), "eta_max", (GAMMA[first], GAMMA[last]))
    assert found.n == last - first + 1
    assert found.exponent == pytest.approx(2 / 3, abs=1e-6)


def test_deterministic_bounds_are_those_of_linear_programming():
    rng = np.random.default_rng(5)
    x = np.sort(rng.uniform(0, 2, 15))
    y = 0.4 * x + 1
    low = y - rng.uniform(0, 0.1, 15)
    high = low + 0.1
    a = np.block([[np.ones((15, 1)), x[:, None]], [-np.ones((15, 1)), -x[:, None]]])
    ends = [s * linprog([0, s], A_ub=a, b_ub=np.r_[high, -low], bounds=[(None, None)] * 2).fun for s in (1, -1)]
    assert feasible_slopes(x, low, high) == pytest.approx(ends, abs=1e-9)
    found = fit(edges(10**x, 10**low, 10**high), "eta_max", (1, 100), deterministic=True)
    assert found.interval == pytest.approx(ends, abs=1e-9)
    assert found.interval == found.interval90
    assert ((found(10**x) >= 10**low) & (found(10**x) <= 10**high)).all()


def test_deterministic_says_so_when_no_line_passes():
    found = fit(gridded(GAMMA, np.log10(GAMMA) ** 2, 0.1), "eta_max", (1, 1e3), deterministic=True)
    assert found.outcome == "UNDECIDED"
    assert "no straight line" in found.reason
    assert np.isnan(found.exponent)


def test_censored_edges_do_not_bias():
    rng = np.random.default_rng(2)
    slopes = []
    for _ in range(20):
        y = 2 * np.log10(GAMMA) + rng.normal(0, 0.1, GAMMA.size)
        low = np.floor(y / 0.125) * 0.125
        high = low + 0.125
        above = low >= 5
        high[above], low[above] = np.nan, 5.0
        with np.errstate(invalid="ignore"):
            data = edges(GAMMA, 10**low, 10**high)
        slopes.append(fit(data, "eta_max", (1, 1e3)).exponent)
        assert fit(data, "eta_max", (1, 1e3)).n_censored == above.sum()
    assert np.mean(slopes) == pytest.approx(2, abs=0.0125)


def test_gammas_that_say_nothing_are_left_out():
    low, high = 0.9 * GAMMA, 1.1 * GAMMA
    low[3] = high[3] = np.nan
    found = fit(edges(GAMMA, low, high), "eta_max", (1, 1e3))
    assert found.n == 24
    assert found.n_censored == 0


def test_an_absent_edge_is_undecided_and_no_error():
    nothing = np.full(GAMMA.shape, np.nan)
    for window in (None, (1, 1e3), (0, np.inf)):
        found = fit(edges(GAMMA, nothing, nothing), "eta_max", window)
        assert found.outcome == "UNDECIDED"
        assert "absent" in found.reason
    low, high = nothing.copy(), nothing.copy()
    low[:2], high[:2] = 1, 2
    found = fit(edges(GAMMA, low, high), "eta_max", (1, 1e3))
    assert found.outcome == "UNDECIDED"
    assert "needs 3" in found.reason


def test_window_ends_belong_to_it_and_may_be_open():
    data = edges(GAMMA, 0.9 * GAMMA, 1.1 * GAMMA)
    assert fit(data, "eta_max", (GAMMA[4], GAMMA[10])).n == 7
    assert fit(data, "eta_max", (10**0.5, 10**1.25)).n == 7
    assert fit(data, "eta_max", (0, GAMMA[10])).window == (GAMMA[0], GAMMA[10])
    assert fit(data, "eta_max", (GAMMA[4], np.inf)).window == (GAMMA[4], GAMMA[-1])


def test_attributes_travel():
    found = fit(edges(GAMMA, 0.9 * GAMMA, 1.1 * GAMMA, steps=300, rho=0.5), "eta_max")
    assert (found.steps, found.rho, found.edge) == (300, 0.5, "eta_max")
    assert "eta_max, gamma 1 to 1000 (25 gammas): exponent 1" in found.sentence


def test_several_horizons_say_no_steps():
    assert fit(edges(GAMMA, 0.9 * GAMMA, 1.1 * GAMMA, steps=[300, 1000], rho=None), "eta_max").steps is None
    data = edges(GAMMA, 0.9 * GAMMA, 1.1 * GAMMA, steps=[300, 1000])
    assert fit(data.assign_coords(horizon=300), "eta_max").steps == 300


def crossover(gamma):
    return np.log10(2 * gamma**2 / (9 * (1 + gamma) ** (4 / 3)))


@pytest.mark.parametrize("cell", [1e-6, 0.125])
def test_the_data_never_choose_the_window(cell):
    """All gammas are taken, straight or not; a bend is reported, with the line's exponent."""
    gamma = np.logspace(-5, 5, 81)
    found = fit(gridded(gamma, crossover(gamma), cell), "eta_max")
    assert found.outcome == "UNDECIDED"
    assert "bends" in found.reason
    assert found.window == pytest.approx((1e-5, 1e5))
    assert 2 / 3 < found.exponent < 2
    assert found.bend.first == pytest.approx(2, abs=0.7)
    assert found.bend.last == pytest.approx(2 / 3, abs=0.7)
    for low, high, truth in ((1e-5, 1e-3, 2), (1e3, 1e5, 2 / 3)):
        part = gamma[(gamma >= low) & (gamma <= high)]
        found = fit(gridded(part, crossover(part), cell), "eta_max")
        assert found.outcome == "FITTED"
        assert found.exponent == pytest.approx(truth, abs=0.03)


def test_straight_data_keep_their_whole_range():
    rng = np.random.default_rng(3)
    y = 2 * np.log10(GAMMA) + rng.normal(0, 0.05, (20, 25))
    assert np.mean([fit(gridded(GAMMA, row, 0.125, rng.uniform(0, 0.125)), "eta_max").n for row in y]) > 20
    assert fit(gridded(GAMMA, 2 * np.log10(GAMMA) + 0.01, 0.125), "eta_max").n == 25
    assert fit(gridded(GAMMA, 2 * np.log10(GAMMA) + 0.01, 0.125), "eta_max", deterministic=True).n == 25


def test_logarithmic_factor():
    gamma = np.logspace(1, 5, 33)
    data = gridded(gamma, np.log10(gamma * np.log(gamma)), 1e-5)
    plain, with_log = fit(data, "eta_max", (10, 1e5)), fit(data, "eta_max", (10, 1e5), logarithm=True)
    assert plain.exponent > 1.05
    assert with_log.exponent == pytest.approx(1, abs=1e-5)
    assert with_log(100.0) == pytest.approx(100 * np.log(100), rel=1e-4)
    with pytest.raises(Misuse, match="gamma = 1"):
        fit(edges(GAMMA, 0.9 * GAMMA, 1.1 * GAMMA), "eta_max", logarithm=True)


@settings(max_examples=25, deadline=None)
@given(st.floats(-8, 8), st.floats(-8, 8), st.integers(0, 10**6))
def test_units_never_move_an_exponent(gamma_unit, eta_unit, seed):
    rng = np.random.default_rng(seed)
    gamma = np.logspace(0, 2, 9)
    y = 0.5 * np.log10(gamma) + rng.normal(0, 0.1, 9)
    low, high = 10 ** (np.floor(y / 0.25) * 0.25), 10 ** (np.floor(y / 0.25) * 0.25 + 0.25)
    high[8] = np.nan
    here = fit(edges(gamma, low, high), "eta_max", (gamma[0], gamma[-1]))
    gamma2, low2, high2 = gamma * 10**gamma_unit, low * 10**eta_unit, high * 10**eta_unit
    there = fit(edges(gamma2, low2, high2), "eta_max", (gamma2[0], gamma2[-1]))
    assert there.exponent == pytest.approx(here.exponent, abs=1e-4)
    assert there.interval == pytest.approx(here.interval, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 10**6))
def test_permuting_seeds_never_moves_an_exponent(order, seed):
    rng = np.random.default_rng(seed)
    gamma = np.logspace(0, 2, 9)
    y = 0.5 * np.log10(gamma) + rng.normal(0, 0.1, (5, 9))
    low, high = 10 ** (np.floor(y / 0.25) * 0.25), 10 ** (np.floor(y / 0.25) * 0.25 + 0.25)
    high[0, 8] = low[1, 0] = high[1, 0] = np.nan
    here = fit(edges(gamma, low, high), "eta_max", (1, 100))
    there = fit(edges(gamma, low[list(order)], high[list(order)]), "eta_max", (1, 100))
    assert (there.exponent, there.interval, there.n) == (here.exponent, here.interval, here.n)
    assert here.n == 9


def test_seeds_make_one_row_per_gamma():
    low = np.stack([GAMMA, 4 * GAMMA])
    found = fit(edges(GAMMA, low, 1.21 * low), "eta_max", (1, 1e3))
    assert found.n == 25
    assert found.lower == pytest.approx(2 * GAMMA)
    assert found.upper == pytest.approx(2.42 * GAMMA)


GOOD = edges(GAMMA, 0.9 * GAMMA, 1.1 * GAMMA)


@pytest.mark.parametrize(("data", "edge", "window", "says"), [
    (GOOD, "eta_max", (1e5, 1e6), "window must hold at least two gammas"),
    (GOOD, "eta_max", (0.9, 1.1), "holds one of its 25"),
    (GOOD, "eta_max", (10, 10), "low < high"),
    (GOOD, "eta_max", (100, 10), "low < high"),
    (GOOD, "eta_max", (np.nan, 10), "low < high"),
    (GOOD, "eta_max", (-1, 10), "low < high"),
    (GOOD, "eta_max", 10, "pair"),
    (GOOD, "eta_max", (1, 2, 3), "pair"),
    (GOOD, "eta_maxx", None, "edge must be one of 'eta_max', not 'eta_maxx'"),
    (edges(GAMMA, GAMMA, np.full(25, np.nan)), "eta_max", None, "censored at all 25 gammas"),
    (edges(GAMMA, np.full(25, np.nan), GAMMA), "eta_max", (1, 1e3), "censored at all 25 gammas"),
    (edges(GAMMA, 2 * GAMMA, GAMMA), "eta_max", None, "lower <= upper"),
    (edges(GAMMA, -GAMMA, GAMMA), "eta_max", None, "above zero"),
    (edges(GAMMA, GAMMA, np.full(25, np.inf)), "eta_max", None, "finite"),
    (edges(-GAMMA, GAMMA, GAMMA), "eta_max", None, "gamma must be finite and above zero"),
    (edges(GAMMA[::-1], GAMMA, GAMMA), "eta_max", None, "gamma must increase"),
    (edges(np.full(25, np.nan), GAMMA, GAMMA), "eta_max", None, "gamma must be finite"),
    (GOOD.rename(eta="rate"), "eta_max", None, "variable eta"),
    (GOOD.rename(gamma="g"), "eta_max", None, "dimensions"),
    (GOOD.drop_vars("edge"), "eta_max", None, "edge of eta must have a coordinate"),
    (GOOD.assign_coords(bound=["low", "high"]), "eta_max", None, r"\['lower', 'upper'\]"),
    (GOOD.assign(eta=GOOD["eta"].astype(str)), "eta_max", None, "numbers"),
    ({"eta": 1}, "eta_max", None, "xarray.Dataset"),
])
def test_misuse_is_one_clear_sentence(data, edge, window, says):
    with pytest.raises(Misuse, match=says):
        fit(data, edge, window)
