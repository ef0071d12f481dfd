"""Two measurements of one edge compared, and the best learning rate found in noise."""

import numpy as np
import pytest
import xarray as xr

from validation.arguments import Misuse
from validation.fitting.best_rate import Optimum, fit_additive_means, optimum
from validation.fitting.comparison import compare
from validation.outcome import Outcome

GAMMA = np.logspace(0, 2, 17)


def edges(gamma, log_eta, cell, phase=0.0):
    """log_eta (gamma,) or (seed, gamma)."""
    k = np.floor((log_eta - phase) / cell)
    bounds = np.stack([10 ** (k * cell + phase), 10 ** ((k + 1) * cell + phase)], -1)[None]
    dims = ("edge", "gamma", "bound") if bounds.ndim == 3 else ("edge", "seed", "gamma", "bound")
    return xr.Dataset({"eta": (dims, bounds)}, {"edge": ["eta_max"], "gamma": gamma, "bound": ["lower", "upper"]})


def test_a_constant_ratio():
    x = np.log10(GAMMA)
    found = compare(edges(GAMMA, 2 * x + 0.3, 1e-6), edges(GAMMA, 2 * x, 1e-6), "eta_max")
    assert found["ratio"].values == pytest.approx(10**0.3, rel=1e-5)
    assert (found["ratio_lower"] <= 10**0.3).all()
    assert (found["ratio_upper"] >= 10**0.3).all()
    assert float(found["mean_log10_ratio"]) == pytest.approx(0.3, abs=1e-6)
    assert float(found["slope"]) == pytest.approx(0, abs=1e-6)
    assert found.attrs["n"] == 17


def test_only_common_gammas_count():
    x = np.log10(GAMMA)
    found = compare(edges(GAMMA, x, 1e-3), edges(GAMMA[3:] * (1 + 1e-12), x[3:], 1e-3), "eta_max")
    assert found.sizes["gamma"] == 14
    with pytest.raises(Misuse, match="share gammas"):
        compare(edges(GAMMA, x, 1e-3), edges(GAMMA * 1.01, x, 1e-3), "eta_max")


def test_censored_and_absent_rows():
    x = np.log10(GAMMA)
    a = edges(GAMMA, x, 0.1)
    a["eta"].values[0, 2, 1] = np.nan
    a["eta"].values[0, 3] = np.nan
    found = compare(a, edges(GAMMA, x, 0.1), "eta_max")
    assert found.sizes["gamma"] == 16
    assert np.isnan(found["ratio"].values[2])
    assert np.isnan(found["ratio_upper"].values[2])
    assert np.isfinite(found["ratio_lower"].values[2])
    assert found.attrs["n"] == 15
    nothing = a.copy(deep=True)
    nothing["eta"].values[:] = np.nan
    found = compare(nothing, a, "eta_max")
    assert found.sizes["gamma"] == 0
    assert np.isnan(found["slope"])


def test_intervals_cover_and_seeds_widen_the_rows():
    rng = np.random.default_rng(0)
    x, mean, slope, rows = np.log10(GAMMA), [], [], []
    for _ in range(150):
        a = edges(GAMMA, 2 * x + 0.2 + 0.1 * x + rng.normal(0, 0.1, (3, 17)), 0.125, rng.uniform(0, 0.125))
        b = edges(GAMMA, 2 * x + rng.normal(0, 0.1, (3, 17)), 0.125, rng.uniform(0, 0.125))
        found = compare(a, b, "eta_max")
        truth = 0.2 + 0.1 * x
        mean.append(found["mean_interval"].values[0] <= truth.mean() <= found["mean_interval"].values[1])
        slope.append(found["slope_interval"].values[0] <= 0.1 <= found["slope_interval"].values[1])
        rows.append(((found["ratio_lower"] <= 10**truth) & (10**truth <= found["ratio_upper"])).mean())
    assert np.mean(mean) >= 0.90
    assert np.mean(slope) >= 0.90
    assert np.mean(rows) >= 0.95


def test_grids_on_one_lattice_do_not_pretend_to_average():
    x = np.linspace(0, 2, 17)       # steps of 1/8: slope 2 lies on the lattice of 1/4 decade cells
    for shift in (0.05, 0.2, 0.3):
        found = compare(edges(10**x, 2 * x + shift + 0.01, 0.25), edges(10**x, 2 * x + 0.01, 0.25), "eta_max")
        low, high = found["mean_interval"].values
        assert low <= shift <= high


def test_optimum_of_a_clean_curve_lies_between_the_bests_neighbours():
    eta = np.logspace(-3, 1, 33)
    loss = 0.1 + (np.log10(eta) + 1.03) ** 2
    loss[eta > 1] = np.inf
    found = optimum(eta, loss)
    assert isinstance(found, Optimum)
    best, (low, high) = found
    assert low < 10**-1.03 < high
    assert low < best < high
    assert np.log10(high / low) < 0.5
    assert np.log10(best) == pytest.approx(-1.03, abs=0.02)


def test_optimum_at_the_rim_is_censored():
    eta = np.logspace(-3, -1, 9)
    _, (low, high) = optimum(eta, 1 / eta)
    assert np.isnan(high)
    assert low == eta[-2]


@pytest.mark.parametrize("seeds", [1, 3, 8])
def test_optimum_in_noise(seeds):
    rng = np.random.default_rng(1)
    eta, hits, widths = np.logspace(-3, 1, 33), [], []
    for _ in range(100):
        where = rng.uniform(-2, 0)
        loss = 10 ** (0.3 * (np.log10(eta) - where) ** 2 + rng.normal(0, 0.05, (seeds, 33)))
        _, (low, high) = optimum(eta, loss if seeds > 1 else loss[0])
        hits.append(not (low > 10**where or high < 10**where))
        widths.append(np.log10(high / low))
    assert np.mean(hits) >= 0.9
    assert np.nanmedian(widths) < 2.5


def seeds_of_unequal_level(rng, n=9):
    """Losses (seed, n) whose least is at the fifth rate, of seeds that differ by factors of up to a hundred."""
    eta = np.logspace(-2, 0, n)
    return eta, 10 ** (0.5 * (np.log10(eta) + 1) ** 2 + np.linspace(0, 2, 4)[:, None] + rng.normal(0, 0.01, (4, n)))


def test_a_missing_run_moves_no_mean_and_a_diverged_one_is_worse_than_any():
    eta, loss = seeds_of_unequal_level(np.random.default_rng(0))
    whole = optimum(eta, loss)
    assert whole.eta_opt == pytest.approx(0.1, rel=0.05)
    lost = loss.copy()
    lost[3, 6], lost[2, 7], lost[0, 1] = np.nan, np.nan, np.nan      # averaged, the worst seed's loss would make rate no. 6 the best
    assert np.nanmean(np.log10(lost), axis=0).argmin() == 6
    assert optimum(eta, lost).eta_opt == pytest.approx(whole.eta_opt, rel=0.02)
    assert optimum(eta, lost).bracket == whole.bracket
    np.testing.assert_allclose(fit_additive_means(np.log10(lost)), np.log10(loss).mean(0), atol=0.02)
    gone = loss.copy()
    gone[0, 4] = np.inf
    assert optimum(eta, gone).bracket[0] == eta[4] or optimum(eta, gone).bracket[1] == eta[4]


def test_the_status_decides_what_a_loss_says():
    eta, loss = seeds_of_unequal_level(np.random.default_rng(0))
    status = np.full(loss.shape, int(Outcome.CONVERGED))
    assert optimum(eta, loss, status) == optimum(eta, loss)
    status[1, 5], status[2, 2], status[3, 8] = Outcome.DIVERGED, Outcome.FAILED, Outcome.UNRUN
    changed = loss.copy()
    changed[1, 5], changed[2, 2], changed[3, 8] = np.inf, np.nan, np.nan
    assert optimum(eta, loss, status) == optimum(eta, changed)
    names = np.array([[Outcome(code).label for code in row] for row in status])
    assert optimum(eta, loss, names) == optimum(eta, changed)
    assert optimum(eta, loss[0], names[0]).bracket == (eta[3], eta[5])


def test_rates_that_share_no_seed_are_not_compared():
    loss = np.array([[1.0, 2.0, np.nan, np.nan], [np.nan, np.nan, 3.0, 4.0]])
    with pytest.raises(Misuse, match=r"rates no\. 0, 1 has a run"):
        optimum([1, 2, 3, 4], loss)
    with pytest.raises(Misuse, match="status must have the shape"):
        optimum([1, 2, 3, 4], np.ones(4), [1, 2])
    with pytest.raises(Misuse, match="status must be outcomes, unrun"):
        optimum([1, 2, 3, 4], np.ones(4), ["fine"] * 4)


@pytest.mark.parametrize(("eta", "loss", "says"), [
    ([1, 2, 3], [1, 2], "loss must have the shape"),
    ([1, 3, 2], [1, 2, 3], "eta must increase"),
    ([1, 2, 3], [0, 2, 3], "above zero"),
    ([1, 2, 3], [np.nan] * 3, "finite"),
    ([1, 2, 3], "abc", "numbers"),
])
def test_optimum_misuse(eta, loss, says):
    with pytest.raises(Misuse, match=says):
        optimum(eta, loss)


def test_masks_and_statuses_of_runs_say_what_is_missing():
    """The run at the second rate, whose loss would be the least, is not one."""
    eta, loss = [1.0, 2.0, 4.0, 8.0], np.array([4.0, 0.1, 2.0, 3.0])
    expected = optimum(eta, [4.0, np.nan, 2.0, 3.0])
    assert expected.bracket == (1, 8)
    ran = [True, False, True, True]
    assert optimum(eta, np.ma.array(loss, mask=~np.array(ran))) == expected
    assert optimum(eta, loss, ran) == expected
    assert optimum(eta, loss, ["finished", "unknown", "finished", "finished"]) == expected
    worse = optimum(eta, loss, ["finished", "diverged", "finished", "finished"])
    assert worse.bracket == (2, 8)
