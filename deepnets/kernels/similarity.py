"""Similarity of representations (CKA) and of functions (correlations of outputs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from deepnets.kernels.target_alignment import as_array, centre, is_symmetric
from validation.arguments import Misuse, choose


def cka(a: ArrayLike | torch.Tensor, b: ArrayLike | torch.Tensor, debiased: bool = False) -> float | np.ndarray:
    """Return the centred kernel alignment of two representations of the same samples, ``HSIC(K, L)/sqrt(HSIC(K, K) HSIC(L, L))``.

    Biased: ``HSIC = tr(K H L H)``, between 0 and 1. Debiased: Song's U-statistic, whose mean is 0 for any number of independent features;
    it may be negative. Neither changes when features are rotated or scaled.

    Parameters
    ----------
    a, b : kernels, symmetric matrices (..., n, n) with any leading dimensions, or features (n, ...), of which the linear kernel is used.
    debiased : exclude the diagonal; n is then at least 4.

    Returns
    -------
    float, or an array (...). NaN where a or b does not vary over the samples.

    Raises
    ------
    Misuse : other shapes; numbers that are not finite; too few samples.

    References
    ----------
    Kornblith et al., ICML 2019, eqs. 3 and 4; Song et al., JMLR 13 (2012) 1393, eq. 5; Cortes et al., JMLR 13 (2012) 795.

    Examples
    --------
    >>> import numpy as np, deepnets
    >>> x = np.random.default_rng(0).standard_normal((20, 3))
    >>> round(deepnets.cka(x, -5 * x[:, ::-1]), 12)
    1.0
    >>> y = np.random.default_rng(1).standard_normal((20, 300))
    >>> deepnets.cka(x, y) > 0.3 > abs(deepnets.cka(x, y, debiased=True))
    True
    """
    choose("debiased", debiased, (False, True))
    k, l = _kernel("a", a), _kernel("b", b)
    n = k.shape[-1]
    if l.shape[-1] != n:
        raise Misuse(f"a and b must be of the same samples, but a has {n} of them and b {l.shape[-1]}")
    if n < (4 if debiased else 2):
        raise Misuse(f"a and b must hold at least {4 if debiased else 2} samples{' to be debiased' if debiased else ''}, not {n}")
    k, l = (_u_centre(k), _u_centre(l)) if debiased else (_centre(k), _centre(l))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = _inner(k, l) / np.sqrt(_inner(k, k) * _inner(l, l))
    return float(found) if found.ndim == 0 else found


def _kernel(name: str, given: Any) -> np.ndarray:
    """Return kernels (..., n, n), scaled to entries of at most 1, of kernels or of features."""
    array = as_array(name, given)
    if array.ndim < 2:
        raise Misuse(f"{name} must be features (n, ...) or kernels (..., n, n), not of shape {array.shape}")
    if array.shape[-1] == array.shape[-2] and is_symmetric(array):
        return array / np.maximum(np.abs(array).max((-1, -2), keepdims=True), np.finfo(float).tiny)
    features = array.reshape(len(array), -1)
    features = features / max(np.abs(features).max(initial=0.0), np.finfo(float).tiny)
    features = features - features.mean(0)      # before the product: a common offset would cost it its digits
    return np.asarray(features @ features.T)


def _centre(k: np.ndarray) -> np.ndarray:
    """Return ``H K H``, and zero where it is only rounding."""
    return _beyond_rounding(centre(k), k)


def _u_centre(k: np.ndarray) -> np.ndarray:
    """Return the U-centred kernel: zero diagonal and zero sums of rows; Song's statistic is an inner product of two of these."""
    # centring first does not change the U-centred kernel, and removes large offsets
    k = np.array(_beyond_rounding(centre(k), k))
    n = k.shape[-1]
    each = np.arange(n)
    k[..., each, each] = 0.0
    rows = k.sum(-1, keepdims=True) / (n - 2)
    centred = k - rows - rows.mT + k.sum((-1, -2), keepdims=True) / ((n - 1) * (n - 2))
    centred[..., each, each] = 0.0
    return np.asarray(centred)


def _beyond_rounding(centred: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return centred kernels, and zero for those that are only rounding of `k`."""
    floor = 8 * np.finfo(float).eps * k.shape[-1] * np.abs(k).max((-1, -2), keepdims=True)
    return np.where(np.abs(centred).max((-1, -2), keepdims=True) > floor, centred, 0.0)


def _inner(k: np.ndarray, l: np.ndarray) -> np.ndarray:
    return np.asarray((k * l).sum((-1, -2)))


def agreement(outputs: ArrayLike | torch.Tensor | Sequence[torch.Tensor], y: ArrayLike | torch.Tensor | None = None,
              names: Sequence[str] | None = None) -> xr.Dataset:
    """Return how closely the functions of several networks agree on held-out samples (section 3.4, Figure 5a).

    Pearson correlations over the samples, of the output on each sample's own class and of all outputs, and the distance
    ``rms(a - b)/sqrt(rms(a) rms(b))``, which depends on a factor between both, as correlations do not.

    Parameters
    ----------
    outputs : (networks, n, C), centred outputs of two networks or more on the same samples; also a sequence of arrays (n, C).
    y : (n,) class indices, or one-hot rows (n, C); None: no classes.
    names : of the networks; None: numbers from 0.

    Returns
    -------
    Dataset
        over (network, other): `all` the correlation of all outputs, `distance` of all outputs; and, with y, `correct` the correlation on
        the correct class with its 95% interval `correct_interval` (bound = lower, upper; Fisher's z for independent samples), and `scatter`
        (network, sample), the outputs on the correct class, which the paper plots for two networks. NaN where a network is constant.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import numpy as np, deepnets
    >>> f = np.random.default_rng(0).standard_normal((50, 3))
    >>> found = deepnets.agreement([f, 2 * f], y=np.arange(50) % 3)
    >>> [round(float(found[name][0, 1]), 6) for name in ("correct", "all", "distance")]
    [1.0, 1.0, 0.707107]
    """
    f = as_array("outputs", np.stack([as_array("outputs", o) for o in outputs]) if isinstance(outputs, list | tuple) else outputs)
    if f.ndim != 3 or len(f) < 2:
        raise Misuse(f"outputs must be those of at least two networks, (networks, n, C), not of shape {f.shape}")
    if names is not None and (len(names) != len(f) or len(set(names)) != len(f)):
        raise Misuse(f"names must be {len(f)} different names, one of each network, not {names!r}")
    labels = list(names) if names is not None else list(range(len(f)))
    pair = ("network", "other")
    flat = f.reshape(len(f), -1)
    found = xr.Dataset({"all": (pair, correlations(flat)), "distance": (pair, _distances(flat))},
                       coords={"network": labels, "other": labels}, attrs={"samples": f.shape[1]})
    if y is None:
        return found
    on_class = np.take_along_axis(f, _classes(y, f.shape[1], f.shape[2])[None, :, None], 2)[..., 0]      # (network, sample)
    r = correlations(on_class)
    found["correct"] = pair, r
    found["correct_interval"] = (*pair, "bound"), _fisher(r, f.shape[1])
    found["scatter"] = ("network", "sample"), on_class
    return found.assign_coords(bound=["lower", "upper"])


def correlation_in_time(outputs: ArrayLike | torch.Tensor, time: ArrayLike | None = None) -> xr.DataArray:
    """Return the correlations of a run's outputs at each time with those at every other time.

    Parameters
    ----------
    outputs : (times, n, ...), the centred outputs on the same samples.
    time : (times,), steps or eta t; None: numbers from 0.

    Returns
    -------
    DataArray (time, other_time), Pearson's, exact for these samples; NaN at a time when the function is
    constant, as f~ = 0 is at the start.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import numpy as np, deepnets
    >>> f = np.random.default_rng(0).standard_normal((1, 50, 3))
    >>> float(deepnets.correlation_in_time(np.concatenate([f, 3 * f, -f]))[0, 2].round(6))
    -1.0
    """
    f = as_array("outputs", outputs)
    if f.ndim < 2:
        raise Misuse(f"outputs must be (times, n, ...), not of shape {f.shape}")
    when = np.arange(len(f)) if time is None else as_array("time", time)
    if when.shape != (len(f),):
        raise Misuse(f"time must be the {len(f)} times of the outputs, not of shape {when.shape}")
    return xr.DataArray(correlations(f.reshape(len(f), -1)), dims=("time", "other_time"), coords={"time": when, "other_time": when},
                        name="correlation")


def correlations(rows: np.ndarray) -> np.ndarray:
    """Return Pearson's correlations of rows (m, n) with each other, (m, m), of any scale; NaN for a constant row."""
    size = np.abs(rows).max(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = rows / size
        scaled = scaled - scaled.mean(-1, keepdims=True)
        scaled[np.abs(scaled).max(-1) <= 8 * np.finfo(float).eps] = np.nan      # constant up to rounding
        scaled /= np.linalg.norm(scaled, axis=-1, keepdims=True)
    return np.clip(scaled @ scaled.T, -1, 1)


def _distances(rows: np.ndarray) -> np.ndarray:
    """Return ``rms(a - b)/sqrt(rms(a) rms(b))`` of rows (m, n), (m, m)."""
    apart = np.array([[_length(a - b) for b in rows] for a in rows])
    root = np.sqrt([_length(a) for a in rows])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(apart / root[:, None] / root)


def _length(x: np.ndarray) -> float:
    """Return ``|x|``, without overflow or underflow of its square."""
    size = float(np.abs(x).max(initial=0.0))
    return size * float(np.linalg.norm(x / size)) if size > 0 else 0.0


def _classes(y: Any, n: int, classes: int) -> np.ndarray:
    """Return the class of each sample, (n,)."""
    given = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if given.shape == (n, classes) and classes > 1:
        one_hot = as_array("y", given)
        if not (np.isin(one_hot, (0, 1)).all() and (one_hot.sum(1) == 1).all()):
            raise Misuse("y must be class indices or one-hot rows; these rows are not one-hot")
        return np.asarray(one_hot.argmax(1))
    if given.shape != (n,) or given.dtype.kind not in "iu" or given.min(initial=0) < 0 or given.max(initial=0) >= classes:
        found = f" from {given.min()} to {given.max()}" if given.dtype.kind in "iu" and given.size else ""
        raise Misuse(f"y must be class indices of the {n} samples, from 0 to {classes - 1}, or one-hot rows ({n}, {classes}), "
                     f"not {given.dtype} of shape {given.shape}{found}")
    return given


def _fisher(r: np.ndarray, n: int) -> np.ndarray:
    """Return the 95% interval of correlations over n samples by Fisher's z, (..., 2); the whole of [-1, 1] for n of at most 3."""
    half = 1.959963984540054 / np.sqrt(n - 3) if n > 3 else np.inf
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    return np.stack([np.tanh(z - half), np.tanh(z + half)], -1) if n > 3 else np.where(np.isnan(r)[..., None], np.nan, [-1.0, 1.0])
