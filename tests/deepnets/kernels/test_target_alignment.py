"""Kernel-target alignment against its definition and bounds, effective rank against known spectra."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import deepnets
from deepnets.kernels import centre, kernel_norm
from validation.arguments import Misuse

NORMS = {"nuclear": "nuc", "frobenius": "fro", "operator": 2}


def kernel(seed, n=7, d=4):
    x = np.random.default_rng(seed).standard_normal((n, d)) + 1
    return x @ x.T


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("centred", [False, True])
def test_equation_24(norm, centred):
    k, y = kernel(0), np.random.default_rng(1).standard_normal(7) + 2
    h = np.eye(7) - 1 / 7 if centred else np.eye(7)
    hk, hy = h @ k @ h, h @ y
    exact = hy @ hk @ hy / (np.linalg.norm(hk, NORMS[norm]) * (hy @ hy))
    assert deepnets.kernel_alignment(k, y, norm, centred) == pytest.approx(exact, rel=1e-12)
    np.testing.assert_allclose(centre(k), (np.eye(7) - 1 / 7) @ k @ (np.eye(7) - 1 / 7), atol=1e-12)
    assert kernel_norm(k, norm) == pytest.approx(np.linalg.norm(k, NORMS[norm]), rel=1e-12)


def test_classes_are_one_hot_rows():
    k, y = kernel(0), np.array([0, 2, 1, 1, 0, 2, 2])
    rows = np.eye(3)[y]
    t = rows @ rows.T
    for norm, order in NORMS.items():
        exact = np.trace(k @ t) / (np.linalg.norm(k, order) * np.linalg.norm(t))
        for given_as in (y, rows, torch.tensor(y), torch.tensor(rows, dtype=torch.float32)):
            assert deepnets.kernel_alignment(torch.tensor(k), given_as, norm) == pytest.approx(exact, rel=1e-12)
    signs = np.where(y == 0, -1, 1)      # whole numbers with signs are no classes
    assert deepnets.kernel_alignment(k, signs) == pytest.approx(signs @ k @ signs / (7 * np.trace(k)), rel=1e-12)


def test_frobenius_centred_is_the_centred_alignment_with_the_labels():
    k, rows = kernel(0), np.eye(3)[[0, 2, 1, 1, 0, 2, 2]]
    assert deepnets.kernel_alignment(k, rows, "frobenius", centred=True) == pytest.approx(deepnets.cka(k, rows @ rows.T), rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(1e-30, 1e30), st.floats(1e-30, 1e30), st.sampled_from(list(NORMS)), st.booleans())
def test_neither_scale_nor_order_matters(seed, a, b, norm, centred):
    k, rows = kernel(seed), np.eye(3)[[0, 2, 1, 1, 0, 2, 2]]
    value = deepnets.kernel_alignment(k, rows, norm, centred)
    order = np.random.default_rng(seed).permutation(7)
    assert deepnets.kernel_alignment(a * k[order][:, order], b * rows[order], norm, centred) == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert -1e-12 <= value <= (np.sqrt(3) if norm == "operator" else 1) + 1e-12


def test_leading_dimensions_are_carried_along():
    ks, y = np.stack([[kernel(s) for s in (0, 1)], [kernel(s) for s in (2, 3)]]), np.arange(7.0)
    made = deepnets.kernel_alignment(ks, y)
    assert made.shape == (2, 2)
    assert made[1, 0] == pytest.approx(deepnets.kernel_alignment(kernel(2), y))
    assert deepnets.effective_rank(ks).shape == (2, 2)


def test_what_vanishes_has_no_alignment():
    assert np.isnan(deepnets.kernel_alignment(np.zeros((3, 3)), np.ones(3)))
    assert np.isnan(deepnets.kernel_alignment(kernel(0), np.full(7, 0.1), centred=True))
    assert np.isnan(deepnets.effective_rank(np.zeros((3, 3))))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(1e-20, 1e20))
def test_effective_rank_of_equal_directions_is_their_number(seed, r, scale):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0][:, :r]
    for kind in ("entropy", "participation"):
        assert deepnets.effective_rank(scale * q @ q.T, kind) == pytest.approx(r, rel=1e-9)
    spread = deepnets.effective_rank(q @ np.diag(np.arange(1, r + 1)) @ q.T)
    assert deepnets.effective_rank(q @ np.diag(np.arange(1, r + 1)) @ q.T, "participation") <= spread + 1e-9 <= r + 1e-8


def test_effective_rank_of_known_spectra():
    l = np.array([0.5, 0.25, 0.25])
    assert deepnets.effective_rank(np.diag(l)) == pytest.approx(2**1.5)
    assert deepnets.effective_rank(np.diag(l), "participation") == pytest.approx(8 / 3)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: deepnets.kernel_alignment(np.ones((3, 2)), np.ones(3)), r"\(3, 2\)"),
    (lambda: deepnets.kernel_alignment(np.triu(np.ones((3, 3))), np.ones(3)), "symmetric"),
    (lambda: deepnets.kernel_alignment(np.full((3, 3), np.nan), np.ones(3)), "finite"),
    (lambda: deepnets.kernel_alignment(np.eye(3), np.ones(4)), "3 samples"),
    (lambda: deepnets.kernel_alignment(np.eye(3), ["a", "b", "c"]), "numbers"),
    (lambda: deepnets.kernel_alignment(np.eye(3), np.ones(3), "trace"), "norm"),
    (lambda: deepnets.kernel_alignment(np.eye(3), np.ones(3), centred="yes"), "centred"),
    (lambda: deepnets.effective_rank(np.eye(3), "stable"), "kind")])
def test_misuse_says_what_is_allowed(call, says):
    with pytest.raises(Misuse, match=says):
        call()
