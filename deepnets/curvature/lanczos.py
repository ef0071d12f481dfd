"""Lanczos with full reorthogonalisation for several symmetric maps in parallel: extreme eigenpairs and Gauss quadratures.

The iteration ends when the residuals are small compared with the largest eigenvalue. An absolute tolerance on the change of an
eigenvalue, as in PyHessian's power iteration, stops after two or three steps if the eigenvalues are small, at values of either sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from validation.arguments import Misuse, choose

WHICH = ("largest", "smallest", "both")
Map = Callable[[torch.Tensor], torch.Tensor]
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
CHECK_EVERY = 10       # steps between checks of the Ritz values
AFRESH = 6             # steps from a new random vector before the search may end
NEARLY = 0.02          # of the last wanted value: the precision needed of the next value, which is not wanted
LITTLE = 0.5           # of a product: if less is left outside the basis, it is orthogonalised once more
BROKEN = 1e-13         # of the largest eigenvalue: a shorter new direction is rounding (times eps/2e-16)
RESTARTED = 1e-2       # share of noise in a start from earlier eigenvectors, for directions that they lack


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Of P maps: `values` (P, k), largest first; `vectors` (P, k, n); `residuals` (P, k), |A v - l v| over the largest |l| found.

    `products`: the number of products with each map; `converged` (P,): whether all residuals are within the tolerance.
    """

    values: np.ndarray
    vectors: torch.Tensor
    residuals: np.ndarray
    products: int
    converged: np.ndarray


def basis_size(n: int, k: int, which: str) -> int:
    """Return how many vectors of length n are stored to find k eigenpairs."""
    return min(n, 3 * _count_pairs(n, k, which) + 60)


def eigenpairs(apply: Map, like: torch.Tensor, k: int, which: str = "largest", tolerance: float | None = None,
               start: torch.Tensor | None = None, seed: int = 0, most: int | None = None) -> Eigenpairs:
    """Return extreme eigenpairs of P symmetric maps by thick-restarted Lanczos (Wu & Simon 2000), one product with each map at a time.

    A Krylov space contains one vector of each multiple eigenvalue. When the wanted pairs have converged they are kept, the iteration
    continues from a new random vector, and ends when it finds no further wanted pair.

    Parameters
    ----------
    apply : ``v (P, n) -> A v (P, n)``.
    like : (P, n), of the dtype and on the device of the maps.
    k : how many at each requested end; all of them if there are fewer.
    which : "largest", "smallest" or "both".
    tolerance : of the residuals, over the largest eigenvalue; None: 1e-6 in float64, 1e-4 in float32.
    start : (P, s, n), earlier eigenvectors to start from.
    seed : of the random vectors.
    most : products with each map, at most; None: 40 for each wanted pair, and 400.

    Raises
    ------
    Misuse : an unknown `which`; a product that is not finite.
    """
    choose("which", which, WHICH)
    n = like.shape[1]
    wanted = _count_pairs(n, k, which)
    tolerance = TOLERANCE.get(like.dtype, 1e-2) if tolerance is None else tolerance
    basis = _Basis(apply, like, basis_size(n, k, which), torch.Generator(like.device).manual_seed(seed), start)
    most = 40 * wanted + 400 if most is None else most
    afresh, before, retained = 0, None, 0
    while True:
        basis.extend()
        full = basis.size == basis.most
        if not (full or basis.products >= most or (basis.size >= retained + CHECK_EVERY and (basis.size - retained) % CHECK_EVERY == 0)):
            continue
        ritz, mixed, residual, scale = basis.ritz()
        ends = _ends(basis.size, k, which)
        fine = np.asarray((residual[:, ends] <= tolerance * scale).all(1) & (len(ends) == wanted))
        if basis.size == n:
            fine = np.ones_like(fine)
            break
        if basis.products >= most:
            break
        if fine.all() and before is not None and basis.size >= afresh + AFRESH and _is_complete(ritz, residual, scale, ends, tolerance):
            if (np.abs(ritz[:, ends] - before) <= tolerance * scale).all():
                break
            before = None                      # another pair was found: search again
        if fine.all() and before is None:
            basis.restart(mixed[:, :, ends], ritz[:, ends], random=True)
            before, afresh, retained = ritz[:, ends], basis.size, basis.size
        elif full:
            keep = _ends(basis.size, k + (basis.most - wanted) // (6 if which == "both" else 3), which)
            basis.restart(mixed[:, :, keep], ritz[:, keep])
            afresh, retained = min(afresh, basis.size), basis.size
    vectors = torch.einsum("pjk,pjn->pkn", basis.like(mixed[:, :, ends]), basis.vectors[:, :basis.size])
    return _measure_pairs(apply, vectors, basis.products, tolerance, fine, scale)


def _count_pairs(n: int, k: int, which: str) -> int:
    return min(n, 2 * k if which == "both" else k)


def _ends(size: int, k: int, which: str) -> np.ndarray:
    """Return the indices of the wanted values among `size` values in ascending order."""
    if which == "both":
        return np.arange(size) if size <= 2 * k else np.r_[0:k, size - k:size]
    return np.arange(max(0, size - k), size) if which == "largest" else np.arange(min(k, size))


def _is_complete(ritz: np.ndarray, residual: np.ndarray, scale: np.ndarray, ends: np.ndarray, tolerance: float) -> bool:
    """Return whether the values next to the wanted ones are precise enough to be excluded."""
    inside = np.setdiff1d(np.arange(ritz.shape[1]), ends)
    if inside.size == 0:
        return False
    checks = []
    if ends[-1] == ritz.shape[1] - 1:
        above = ends[ends > inside[-1]][0]
        checks.append((inside[-1], above, ritz[:, inside[-1]] + residual[:, inside[-1]] <= ritz[:, above]))
    if ends[0] == 0:
        below = ends[ends < inside[0]][-1]
        checks.append((inside[0], below, ritz[:, inside[0]] - residual[:, inside[0]] >= ritz[:, below]))
    precise = {i: residual[:, i] <= np.maximum(tolerance * scale[:, 0], NEARLY * np.abs(ritz[:, e])) for i, e, _ in checks}
    return all((apart | precise[i]).all() for i, _, apart in checks)


class _Basis:
    """An orthonormal basis (P, j, n) that grows by products, the maps projected on it, and the next direction."""

    def __init__(self, apply: Map, like: torch.Tensor, most: int, source: torch.Generator, start: torch.Tensor | None = None) -> None:
        self.apply, self.most, self.source = apply, most, source
        self.P, self.n = like.shape
        self.vectors = like.new_zeros((self.P, most, self.n))
        self.projected = torch.zeros((self.P, most, most), dtype=torch.float64, device=like.device)
        self.size = self.products = 0
        self.beta = torch.zeros(self.P, dtype=torch.float64, device=like.device)
        self.largest = np.zeros((self.P, 1))
        self.next = self._random()
        if start is not None:
            signs = torch.randint(0, 2, (1, start.shape[1], 1), generator=source, device=start.device).to(like) * 2 - 1
            mixed = (signs * start).sum(1)
            self.next = RESTARTED * self.next + mixed / mixed.norm(dim=1, keepdim=True).clamp_min(torch.finfo(like.dtype).tiny)
            self.next = self.next / self.next.norm(dim=1, keepdim=True)

    def like(self, x: np.ndarray) -> torch.Tensor:
        """Return numbers as a tensor of the basis."""
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.vectors)

    def extend(self) -> None:
        """Add the next direction, and compute its product."""
        j = self.size
        self.vectors[:, j] = self.next
        w = self.apply(self.next)
        self.size, self.products = j + 1, self.products + 1
        w, h = self._orthogonalise(w)
        self.projected[:, j, :j + 1] = self.projected[:, :j + 1, j] = h
        self.beta = w.norm(dim=1).double()
        if not w.is_cuda:      # a GPU is queried only where the Ritz values are read
            _refuse_overflow(self.beta)
        self._set_next(w)

    def _orthogonalise(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the part of w orthogonal to the basis, orthogonalised twice where little is left, and its components in the basis."""
        V = self.vectors[:, :self.size]
        total = torch.zeros((self.P, self.size), dtype=torch.float64, device=w.device)
        for _ in range(2):
            before = w.norm(dim=1)
            h = torch.bmm(V, w[:, :, None])
            w = w - torch.bmm(V.mT, h)[:, :, 0]
            total += h[:, :, 0].double()
            # at most 1/LITTLE times rounding is left in the basis; on a GPU a second pass costs less than waiting for the answer
            if not w.is_cuda and (w.norm(dim=1) > LITTLE * before).all():
                break
        return w, total

    def _set_next(self, w: torch.Tensor) -> None:
        """Make w the next direction; where it vanishes, a random one replaces it, decoupled from the basis."""
        if self.size == self.n:
            self.beta = torch.zeros_like(self.beta)
            return
        largest = self.projected[:, :self.size, :self.size].abs().amax((1, 2))
        lost = self.beta <= BROKEN / 2.2e-16 * torch.finfo(w.dtype).eps * largest
        self.next = w / self.beta.clamp_min(torch.finfo(w.dtype).tiny).to(w)[:, None]
        if w.is_cuda or lost.any():      # a GPU draws a vector at every step rather than wait
            self.beta = torch.where(lost, 0.0, self.beta)
            self.next = torch.where(lost[:, None], self._random(), self.next)

    def _random(self) -> torch.Tensor:
        """Return unit vectors orthogonal to the basis."""
        w = torch.randn((self.P, self.n), generator=self.source, dtype=torch.float64, device=self.vectors.device).to(self.vectors)
        if self.size:
            w, _ = self._orthogonalise(w)
        return w / w.norm(dim=1, keepdim=True)

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return Ritz values (P, j), ascending, their coordinates (P, j, j), residuals (P, j), and the largest |value| so far (P, 1)."""
        projected = self.projected[:, :self.size, :self.size].cpu()
        _refuse_overflow(projected)
        # torch's: numpy's has threads of its own, which wait for each other on busy cores
        values, mixed = (x.numpy() for x in torch.linalg.eigh(projected))
        residual = self.beta.cpu().numpy()[:, None] * np.abs(mixed[:, -1, :])
        self.largest = np.maximum(self.largest, np.abs(values).max(1, keepdims=True))
        return values, mixed, residual, self.largest

    def restart(self, mixed: np.ndarray, values: np.ndarray, random: bool = False) -> None:
        """Keep Ritz vectors alone, and continue in the next direction, or in a random one."""
        keep = values.shape[1]
        self.vectors[:, :keep] = torch.bmm(self.like(mixed).mT, self.vectors[:, :self.size])
        self.projected.zero_()
        self.projected[:, :keep, :keep] = torch.diag_embed(torch.from_numpy(np.ascontiguousarray(values))).to(self.projected)
        self.size = keep
        if random:
            self.next = self._random()
        self.beta = torch.zeros_like(self.beta)


def _refuse_overflow(x: torch.Tensor) -> None:
    if not torch.isfinite(x).all():
        raise Misuse("products must be finite: the loss or its derivatives overflow at this point, so its curvature is undefined")


def _measure_pairs(apply: Map, vectors: torch.Tensor, products: int, tolerance: float, fine: np.ndarray, scale: np.ndarray) -> Eigenpairs:
    """Return pairs with their residuals, measured by one more product for each."""
    vectors = vectors / vectors.norm(dim=2, keepdim=True)
    values, residuals = [], []
    for i in range(vectors.shape[1]):
        v = vectors[:, i]
        w = apply(v)
        value = (v.double() * w.double()).sum(1)
        values.append(value.cpu().numpy())
        residuals.append((w.double() - value[:, None] * v.double()).norm(dim=1).cpu().numpy())
    found, left = np.stack(values, 1), np.stack(residuals, 1)
    order = np.argsort(-found, 1, kind="stable")
    found, left = (np.take_along_axis(x, order, 1) for x in (found, left))
    largest = np.maximum(scale, np.abs(found).max(1, keepdims=True))
    left = np.divide(left, largest, out=np.zeros_like(left), where=largest > 0)
    vectors = torch.take_along_dim(vectors, torch.from_numpy(order).to(vectors.device)[:, :, None], 1)
    return Eigenpairs(found, vectors, left, products + vectors.shape[1], fine & (left <= 2 * tolerance).all(1))


def quadrature(apply: Map, starts: torch.Tensor, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss quadratures of ``s^T f(A) s`` for Q vectors s of any length: nodes and weights, (Q, steps).

    With m nodes it is exact for polynomials f of degree 2 m - 1 (Golub & Meurant 2010); the weights of each row sum to |s|^2. If the
    Krylov space is smaller, the remaining nodes share the weights of those that they repeat, or have weight zero.

    Parameters
    ----------
    apply : ``v (Q, n) -> A v (Q, n)``.
    starts : (Q, n).
    steps : how many nodes, at most n.
    """
    steps = min(steps, starts.shape[1])
    norms = starts.norm(dim=1)
    basis = _Basis(apply, starts, steps, torch.Generator(starts.device).manual_seed(0))
    basis.next = starts / norms[:, None]
    for _ in range(steps):
        basis.extend()
    values, mixed, _, _ = basis.ritz()
    return values, mixed[:, 0, :] ** 2 * (norms.double().cpu().numpy() ** 2)[:, None]
