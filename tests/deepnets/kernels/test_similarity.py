"""CKA against double loops, known values and invariances; agreement and correlations against numpy and scipy."""

from itertools import permutations

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings

import deepnets
from validation.arguments import Misuse


def features(seed, n=8, d=5):
    return np.random.default_rng(seed).standard_normal((n, d)) + 0.5


def loops_biased(k, l):
    """tr(K H L H) as sums over samples (Gretton et al. 2005)."""
    n, total = len(k), 0.0
    for i in range(n):
        for j in range(n):
            total += k[i, j] * (l[i, j] - l[i].mean() - l[:, j].mean() + l.mean())
    return total


def loops_unbiased(k, l):
    """Song et al. 2012, eq. 4: means over different indices."""
    n = len(k)
    two = np.mean([k[i, j] * l[i, j] for i, j in permutations(range(n), 2)])
    four = np.mean([k[i, j] * l[q, r] for i, j, q, r in permutations(range(n), 4)])
    three = np.mean([k[i, j] * l[i, q] for i, j, q in permutations(range(n), 3)])
    return two + four - 2 * three


@pytest.mark.parametrize(("debiased", "hsic"), [(False, loops_biased), (True, loops_unbiased)])
def test_against_loops_over_samples(debiased, hsic):
    x, y = features(0), features(1, d=3)
    k, l = x @ x.T, np.exp(-np.square(y[:, None] - y).sum(-1))
    exact = hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))
    assert deepnets.cka(k, l, debiased) == pytest.approx(exact, rel=1e-9)
    assert deepnets.cka(x, l, debiased) == pytest.approx(exact, rel=1e-9)


def test_linear_cka_in_features():
    x, y = features(0), features(1, d=3)
    x, y = x - x.mean(0), y - y.mean(0)
    exact = np.linalg.norm(y.T @ x)**2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))      # Kornblith et al., section 3
    assert deepnets.cka(x, y) == pytest.approx(exact, rel=1e-12)
    assert deepnets.cka(torch.tensor(x), torch.tensor(y, dtype=torch.float64)) == pytest.approx(exact, rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.booleans(), st.floats(1e-12, 1e12), st.floats(-3, 3))
def test_rotations_scales_and_offsets_change_nothing(seed, debiased, scale, offset):
    x, y = features(seed), features(seed + 1, d=3)
    q = np.linalg.qr(np.random.default_rng(seed + 2).standard_normal((5, 5)))[0]
    value = deepnets.cka(x, y, debiased)
    assert deepnets.cka(scale * (x @ q + offset), y, debiased) == pytest.approx(value, abs=1e-8)
    assert deepnets.cka(y, x, debiased) == pytest.approx(value, abs=1e-12)
    assert abs(deepnets.cka(x, -x @ q, debiased) - 1) < 1e-9
    assert abs(value) <= 1 + 1e-12


def test_other_maps_change_it():
    x, y = features(0), features(1)
    assert abs(deepnets.cka(x @ np.diag([5, 1, 1, 1, 0.2]), y) - deepnets.cka(x, y)) > 0.01


def test_debiased_means_nothing_for_independent_features():
    made = {debiased: [deepnets.cka(features(2 * s, 20, 100), features(2 * s + 1, 20, 100), debiased) for s in range(40)]
            for debiased in (False, True)}
    error = np.std(made[True]) / np.sqrt(40)
    assert abs(np.mean(made[True])) < 4 * error < 0.1
    assert np.mean(made[False]) > 0.7


def test_stacks_of_kernels_and_what_does_not_vary():
    ks = np.stack([features(s) @ features(s).T for s in range(3)])
    made = deepnets.cka(ks[:, None], ks[None], debiased=True)
    assert made.shape == (3, 3)
    assert made[0, 2] == pytest.approx(deepnets.cka(ks[0], ks[2], debiased=True))
    for debiased in (False, True):
        assert np.isnan(deepnets.cka(np.tile(features(0)[:1], (6, 1)), features(0, 6), debiased))
        assert np.isnan(deepnets.cka(np.full((6, 6), 0.1), features(0, 6), debiased))


def test_agreement_is_pearson_on_the_correct_class():
    rng = np.random.default_rng(0)
    f = rng.standard_normal((3, 30, 4))
    f[1] += f[0]
    y = rng.integers(0, 4, 30)
    found = deepnets.agreement(f, y, ["a", "b", "c"])
    on = f[:, np.arange(30), y]
    np.testing.assert_array_equal(found.scatter, on)
    exact = scipy.stats.pearsonr(on[0], on[1])
    interval = exact.confidence_interval(0.95)
    assert float(found.correct.sel(network="a", other="b")) == pytest.approx(exact.statistic, rel=1e-12)
    np.testing.assert_allclose(found.correct_interval.sel(network="a", other="b"), [interval.low, interval.high], rtol=1e-9)
    np.testing.assert_allclose(found["all"], np.corrcoef(f.reshape(3, -1)), atol=1e-12)
    assert float(found.distance[0, 1]) == pytest.approx(
        np.linalg.norm(f[0] - f[1]) / np.sqrt(np.linalg.norm(f[0]) * np.linalg.norm(f[1])), rel=1e-12)
    rows = deepnets.agreement([torch.tensor(o) for o in f], torch.nn.functional.one_hot(torch.tensor(y), 4))
    np.testing.assert_array_equal(rows.correct, found.correct)
    assert "correct" not in deepnets.agreement(f)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.floats(1e-160, 1e160), st.floats(1e-8, 1e8))
def test_correlations_do_not_depend_on_the_scale(seed, a, b):
    f = np.random.default_rng(seed).standard_normal((2, 10, 3))
    scaled = f * np.array([a, b])[:, None, None]
    found, exact = deepnets.agreement(scaled), deepnets.agreement(f)
    np.testing.assert_allclose(found["all"], exact["all"], atol=1e-10)
    together = deepnets.agreement(a * f)
    np.testing.assert_allclose(together.distance, exact.distance, rtol=1e-10)


def test_correlations_in_time():
    f = np.random.default_rng(0).standard_normal((4, 10, 3))
    f[0] = 0
    found = deepnets.correlation_in_time(f, [0, 1, 4, 9])
    assert np.isnan(found.sel(time=0)).all()
    np.testing.assert_allclose(found[1:, 1:], np.corrcoef(f[1:].reshape(3, -1)), atol=1e-12)
    assert found.other_time.values.tolist() == [0, 1, 4, 9]


@pytest.mark.parametrize(("call", "says"), [
    (lambda: deepnets.cka(np.ones(3), np.ones(3)), "features"),
    (lambda: deepnets.cka(features(0), features(1, 7)), "8 of them and b 7"),
    (lambda: deepnets.cka(features(0, 3), features(1, 3), debiased=True), "at least 4"),
    (lambda: deepnets.cka(features(0), np.full((8, 2), np.inf)), "b must be finite"),
    (lambda: deepnets.cka(features(0), features(1), debiased=2), "debiased"),
    (lambda: deepnets.agreement(np.ones((1, 4, 2))), "two networks"),
    (lambda: deepnets.agreement(np.ones((2, 4, 2)), np.array([0, 1, 2, 0])), "from 0 to 1"),
    (lambda: deepnets.agreement(np.ones((2, 4, 2)), np.ones((4, 2))), "one-hot"),
    (lambda: deepnets.agreement(np.ones((2, 4, 2)), names=["a", "a"]), "different names"),
    (lambda: deepnets.correlation_in_time(np.ones((3, 4)), [0, 1]), "3 times"),
    (lambda: deepnets.correlation_in_time(np.ones(3)), r"\(times, n, ...\)")])
def test_misuse_says_what_is_allowed(call, says):
    with pytest.raises(Misuse, match=says):
        call()
