"""Lanczos on matrices of known spectra: multiple, clustered, indefinite; rotations; points in parallel; quadratures."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deepnets.curvature.lanczos import basis_size, eigenpairs, quadrature
from validation import Misuse


def rotated(values, seed):
    """A symmetric matrix of these eigenvalues."""
    values = np.asarray(values, float)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    return torch.from_numpy(q * values @ q.T)


def times(A):
    """The products with matrices (P, n, n)."""
    return lambda v: (A @ v[..., None])[..., 0]


def extremes(values, k, which):
    values = np.sort(values)[::-1]
    if which == "both":
        return values if len(values) <= 2 * k else np.r_[values[:k], values[-k:]]
    return values[:k] if which == "largest" else values[-k:]


@st.composite
def spectra(draw):
    """Outliers of either sign with multiplicities, a cluster, a bulk, zeros; n up to 260."""
    groups = draw(st.lists(st.tuples(st.floats(-10, 10), st.integers(1, 12)), min_size=1, max_size=6))
    values = [v for v, m in groups for _ in range(m)]
    cluster = draw(st.floats(-10, 10)) * (1 + 1e-7 * np.arange(draw(st.integers(0, 8))))
    bulk = draw(st.floats(0, 1)) * np.random.default_rng(draw(st.integers(0, 99))).standard_normal(draw(st.integers(0, 120)))
    return np.r_[values, cluster, bulk, np.zeros(draw(st.integers(0, 60)))]


@settings(max_examples=60, deadline=None)
@given(spectra(), st.integers(1, 24), st.sampled_from(["largest", "smallest", "both"]), st.integers(0, 9))
def test_values_do_not_depend_on_the_rotation(values, k, which, seed):
    scale = np.abs(values).max()
    assume(scale == 0 or scale > 1e-120)       # below it the squares in a norm are lost to float64
    A = torch.stack([rotated(values, seed), rotated(values, seed + 1)])
    found = eigenpairs(times(A), A[:, 0], k, which, tolerance=1e-8, seed=seed)
    assert found.values.shape == (2, len(extremes(values, k, which)))
    assert found.converged.all()
    assert np.abs(found.values - extremes(values, k, which)).max() <= 1e-6 * scale
    assert found.residuals.max() <= 2e-8
    some = found.vectors @ found.vectors.mT
    assert float((some - torch.eye(some.shape[-1])).abs().max()) < 1e-6


def test_each_of_a_multiple_eigenvalue_is_found():
    values = np.r_[np.repeat([10.0, 9.0, 5.0], 10), np.linspace(-0.1, 0.1, 370)]
    A = rotated(values, 0)[None]
    found = eigenpairs(times(A), A[:, 0], 30)
    assert found.values[0] == pytest.approx(values[:30], abs=1e-6)
    assert found.products < 400


def test_points_in_parallel_are_independent():
    spread = [np.geomspace(1e-6, 1, 200), np.linspace(-1, 1, 200), np.r_[np.full(50, 1e8), np.zeros(150)], np.zeros(200)]
    A = torch.stack([rotated(v, i) for i, v in enumerate(spread)])
    found = eigenpairs(times(A), A[:, 0], 6)
    for row, values in zip(found.values, spread, strict=True):
        assert np.abs(row - extremes(values, 6, "largest")).max() <= 1e-6 * np.abs(values).max()


def test_tiny_values_converge_as_large_ones_do():
    # an absolute tolerance would accept any value here, of either sign
    values = np.r_[np.linspace(-1, -0.9, 5), np.linspace(-0.5, 0.5, 300), 0.52]
    for size in (1e-12, 1.0, 1e12):
        A = rotated(size * values, 1)[None]
        found = eigenpairs(times(A), A[:, 0], 1, "largest")
        assert found.values[0, 0] == pytest.approx(0.52 * size, rel=1e-9)
        assert found.converged.all()


def test_pairs_that_have_not_converged_are_reported():
    A = rotated(np.linspace(0, 1, 400) ** 8, 0)[None]
    found = eigenpairs(times(A), A[:, 0], 5, "smallest", most=60)
    assert not found.converged.any()
    assert found.residuals.max() > 1e-6
    assert found.products <= 60 + 5


def test_residuals_are_those_of_the_pairs():
    A = rotated(np.linspace(-1, 3, 150), 2)[None]
    found = eigenpairs(times(A), A[:, 0], 4)
    left = A[0] @ found.vectors[0].T - found.vectors[0].T * torch.from_numpy(found.values[0])
    assert left.norm(dim=0).numpy() / 3 == pytest.approx(found.residuals[0], rel=1e-3, abs=1e-14)


def test_single_precision():
    values = np.r_[np.geomspace(0.1, 1, 20), np.zeros(200)]
    A = rotated(values, 0)[None].float()
    found = eigenpairs(times(A), A[:, 0], 20)
    assert found.converged.all()
    assert np.abs(found.values[0] - values[:20][::-1]).max() < 1e-4


def test_a_basis_is_no_larger_than_its_space():
    assert basis_size(7, 20, "both") == 7
    assert basis_size(10**6, 20, "largest") == 120


def test_products_that_are_not_finite_are_refused():
    with pytest.raises(Misuse, match="finite"):
        eigenpairs(lambda v: v * np.inf, torch.zeros(1, 5, dtype=torch.float64), 1)
    with pytest.raises(Misuse, match="which"):
        eigenpairs(lambda v: v, torch.zeros(1, 5, dtype=torch.float64), 1, "top")


@given(st.integers(0, 999), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_quadratures_are_exact_for_polynomials(seed, steps):
    source = np.random.default_rng(seed)
    A = rotated(source.standard_normal(30), seed)
    s = torch.from_numpy(source.standard_normal((3, 30)))
    nodes, weights = quadrature(lambda v: v @ A, s, steps)
    power = s
    for q in range(2 * steps):
        assert (weights * nodes**q).sum(1) == pytest.approx((s * power).sum(1).numpy(), rel=1e-8, abs=1e-8)
        power = power @ A


def test_a_quadrature_ends_where_its_space_does():
    A = rotated(np.r_[np.full(20, 2.0), np.full(10, -1.0)], 0)
    nodes, weights = quadrature(lambda v: v @ A, torch.ones(1, 30, dtype=torch.float64), 9)
    assert (weights * (np.abs(np.abs(nodes - 0.5) - 1.5) > 1e-9)).sum() < 1e-9           # only the two values
    assert (weights * nodes).sum() == pytest.approx(float(A.sum()))
    assert weights.sum() == pytest.approx(30)
