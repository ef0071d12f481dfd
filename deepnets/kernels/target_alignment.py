"""Kernel-target alignment in three norms, and the effective rank of a kernel.

All are exact functions of the matrices, in float64. Leading dimensions (runs, layers, times) are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from validation.arguments import Misuse, choose

NORMS = ("nuclear", "frobenius", "operator")
RANKS = ("entropy", "participation")


def as_array(name: str, values: Any) -> np.ndarray:
    """Return an array or a tensor of finite numbers as a float64 array; otherwise raise `Misuse`."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise Misuse(f"{name} must be numbers, not {values!r}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise Misuse(f"{name} must be finite, but {int((~np.isfinite(array)).sum())} of its {array.size} numbers are not")
    return array


def as_kernels(name: str, values: Any, least: int = 2) -> np.ndarray:
    """Return symmetric matrices (..., n, n) of at least `least` samples as float64; otherwise raise `Misuse`."""
    array = as_array(name, values)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.shape[-1] < least:
        raise Misuse(f"{name} must be a kernel's matrix, (..., n, n) with n at least {least}, not of shape {array.shape}")
    if not is_symmetric(array):
        raise Misuse(f"{name} must be symmetric, but differs from its transpose by up to {np.abs(array - array.mT).max():.3g}")
    return array


def is_symmetric(array: np.ndarray) -> bool:
    """Return whether matrices (..., n, n) equal their transposes, to the precision of float32 products."""
    return bool(np.abs(array - array.mT).max(initial=0.0) <= 1e-5 * np.abs(array).max(initial=0.0))


def as_labels(y: Any, n: int) -> np.ndarray:
    """Return labels as rows of numbers, (n, C): one column of numbers, class indices as one-hot rows; otherwise raise `Misuse`."""
    given = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    rows = as_array("y", given)
    if given.ndim not in (1, 2) or len(given) != n:
        raise Misuse(f"y must be labels of the kernel's {n} samples, ({n},) or ({n}, C), not of shape {given.shape}")
    if given.ndim == 2:
        return rows
    if given.dtype.kind == "f" or given.min() < 0:      # numbers, such as the labels -1 and 1 of eq. 24
        return rows[:, None]
    return np.asarray(np.eye(int(given.max()) + 1)[given])


def centre(kernel: ArrayLike | torch.Tensor) -> np.ndarray:
    """Return ``H K H`` with ``H = 1 - 1 1^T/n``, the kernel of the features less their mean over the samples.

    Parameters
    ----------
    kernel : (..., n, n), symmetric.

    Returns
    -------
    array of the same shape, float64.

    References
    ----------
    Cortes, Mohri & Rostamizadeh, JMLR 13 (2012) 795, section 2.2.
    """
    k = as_kernels("kernel", kernel, least=1)
    return np.asarray(k - k.mean(-1, keepdims=True) - k.mean(-2, keepdims=True) + k.mean((-1, -2), keepdims=True))


def kernel_norm(kernel: ArrayLike | torch.Tensor, norm: str = "nuclear") -> float | np.ndarray:
    """Return a norm of a symmetric matrix: sum, root of the sum of squares, or maximum of the moduli of its eigenvalues.

    Parameters
    ----------
    kernel : (..., n, n), symmetric.
    norm : "nuclear", "frobenius" or "operator".

    Returns
    -------
    float, or an array (...).
    """
    k = as_kernels("kernel", kernel, least=1)
    choose("norm", norm, NORMS)
    if norm == "frobenius":
        return _number(np.sqrt(np.square(k).sum((-1, -2))))
    sizes = np.abs(np.linalg.eigvalsh(k))
    return _number(sizes.sum(-1) if norm == "nuclear" else sizes.max(-1))


def kernel_alignment(kernel: ArrayLike | torch.Tensor, y: ArrayLike | torch.Tensor, norm: str = "nuclear",
                     centred: bool = False) -> float | np.ndarray:
    """Return the alignment of a kernel with the labels, ``KTA = y^T K y/(|K| |y|**2)`` (eq. 24).

    With several columns Y it is ``tr(Y^T K Y)/(|K| |Y Y^T|_F)``. For one column that is eq. 24, and in the Frobenius norm it is the cosine
    of K and ``Y Y^T`` (centred: the alignment of Cortes et al. 2012). It is at most 1 in the nuclear and the Frobenius norm, at most
    ``sqrt(C)`` in the operator norm. One-hot rows contain the constant vector, with which features after a ReLU are aligned at
    initialization: ``y - y.mean(0)`` with an uncentred kernel excludes that share and shows what training adds. During a plateau of the
    loss the alignment in the Frobenius and operator norm may dip while that in the nuclear norm rises (Appendix P).

    Parameters
    ----------
    kernel : (..., n, n), symmetric: of hidden activations, or a tangent kernel.
    y : (n,) class indices (one-hot rows are made of them), (n,) numbers (floating, or some below zero), or (n, C) rows of numbers.
    norm : of K: "nuclear", "frobenius" or "operator".
    centred : subtract the means over the samples, from the kernel's features and from the labels.

    Returns
    -------
    float, or an array (...); exact. NaN where the kernel, or the labels, vanish.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    References
    ----------
    The paper's eq. 24, Appendix P; Cortes, Mohri & Rostamizadeh, JMLR 13 (2012) 795.

    Examples
    --------
    >>> import numpy as np, deepnets
    >>> y = np.array([1.0, 1.0, -1.0])
    >>> round(deepnets.kernel_alignment(np.outer(y, y), y), 12), round(deepnets.kernel_alignment(np.eye(3), y), 12)
    (1.0, 0.333333333333)
    """
    k = as_kernels("kernel", kernel)
    rows = as_labels(y, k.shape[-1])
    choose("centred", centred, (False, True))
    if centred:
        k, mean = centre(k), rows.mean(0)
        # labels that are all equal leave rounding errors, whose direction has no meaning
        rows = np.where(np.ptp(rows, axis=0) > 0, rows - mean, 0.0)
    target = np.sqrt(np.square(rows.T @ rows).sum())      # |Y Y^T|_F, from the smaller of the two products
    size = np.asarray(kernel_norm(k, norm))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _number(np.einsum("ac,...ab,bc->...", rows, k, rows, optimize=True) / (size * target))


def effective_rank(kernel: ArrayLike | torch.Tensor, kind: str = "entropy") -> float | np.ndarray:
    """Return the effective number of a kernel's directions, from 1 to n.

    With ``p_i = |l_i|/sum |l_j|``: "entropy" is ``exp(-sum p_i log p_i)`` (Roy & Vetterli, EUSIPCO 2007), "participation"
    ``1/sum p_i**2``, the participation ratio, never larger than the former.

    Parameters
    ----------
    kernel : (..., n, n), symmetric.
    kind : "entropy" or "participation".

    Returns
    -------
    float, or an array (...); exact. NaN where the kernel vanishes.

    Examples
    --------
    >>> import numpy as np, deepnets
    >>> round(deepnets.effective_rank(np.diag([1.0, 1.0, 0.0])), 12)
    2.0
    """
    k = as_kernels("kernel", kernel, least=1)
    choose("kind", kind, RANKS)
    sizes = np.abs(np.linalg.eigvalsh(k))
    with np.errstate(invalid="ignore"):
        p = sizes / sizes.sum(-1, keepdims=True)
    if kind == "participation":
        return _number(1 / np.square(p).sum(-1))
    return _number(np.exp(-(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)))


def _number(values: Any) -> float | np.ndarray:
    """Return a 0-dimensional array as a float."""
    return float(values) if np.ndim(values) == 0 else np.asarray(values)
