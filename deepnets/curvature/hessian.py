"""Products with the Hessian of the loss in u, with its Gauss-Newton part and with its residual part.

If the graph of the gradient fits into memory it is kept from one product to the next, so that a product is one backward pass through
it. The points of a stack are independent, so that one pass gives the products of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.autograd import grad

from deepnets.centered.random_state import seed_torch
from deepnets.curvature.memory_need import Needs, needs
from deepnets.curvature.points import Points
from deepnets.memory import GB, SAFE, free_memory
from deepnets.precision import arithmetic
from validation.arguments import Misuse, choose

PARTS = ("hessian", "gauss_newton", "residual")


class Curvature:
    """``H = d^2 L/du^2`` at P points, as the map ``v -> H v``, or one of its parts (eq. 3 of the paper, there in theta).

    ``H = G + R``, ``G = J^T L'' J`` with ``J = df~/du``, and ``R = sum_i (dL/df~_i) d^2 f~_i/du^2``. In u-units G does not depend on
    gamma and R is proportional to it; in theta-units both are divided by gamma^2.

    Parameters
    ----------
    points : where, on which batch.
    part : "hessian", "gauss_newton" or "residual"; none of them is computed by subtraction.
    block : names of parameters, or of modules: the diagonal block of these; None: all.
    seed : of the module's random numbers (dropout): the same in every product.
    columns : how many vectors of length n are stored besides the products, for the estimate of memory.
    available : bytes that may be used; None: the safe share of the free memory (`deepnets.memory`).

    Raises
    ------
    Misuse : an unknown part or block; more memory needed than is available.
    """

    def __init__(self, points: Points, part: str = "hessian", block: str | Sequence[str] | None = None, seed: int = 0, columns: int = 1,
                 available: int | None = None) -> None:
        self.points, self.part, self.seed = points, choose("part", part, PARTS), seed
        self.names = select_parameters(list(points.u), block)
        blocks = [points.u[n] for n in self.names]
        self.shapes = [d.shape[1:] for d in blocks]
        self.sizes = [s.numel() for s in self.shapes]
        self.P, self.n, self.like = len(points.gamma), sum(self.sizes), blocks[0]
        self.parts = self._split_batch(columns, available)
        self._graphs: list[_Graph] | None = None

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        """Return the products with v, (P, n)."""
        with arithmetic(str(self.like.dtype).removeprefix("torch."), self.like.device), torch.enable_grad():
            columns = v.split(self.sizes, -1)
            graphs = self._graphs
            if graphs is None and len(self.parts) == 1:
                graphs = self._graphs = [self._graph(0)]
            total = None
            for i in range(len(self.parts)):
                product = (graphs[i] if graphs else self._graph(i)).product(columns, self.shapes)
                total = product if total is None else total.add_(product)
        assert total is not None
        return total

    def matrix(self) -> torch.Tensor:
        """Return the dense matrix, (P, n, n), symmetrised."""
        eye = torch.eye(self.n, dtype=self.like.dtype, device=self.like.device)
        # row by row: torch's batched backward passes (is_grads_batched) fail in second derivatives of convolutions
        whole = torch.stack([self(row.expand(self.P, -1)) for row in eye], 1)
        return (whole + whole.mT) / 2

    def _split_batch(self, columns: int, available: int | None) -> list[slice]:
        """Return the parts of the batch whose graphs fit."""
        B, device = len(self.points.x), str(self.like.device)
        if available is None:
            available = int(SAFE[self.like.device.type] * free_memory(device))
        available -= columns * self.P * self.n * self.like.element_size()
        x, points = self.points.x, self.points
        key = (self.part, tuple(self.names), self.P, x.shape, x.dtype, self.like.dtype, device, points.loss.name, points.method,
               points.coupled)
        counted = {} if self.points.counted is None else self.points.counted
        if key not in counted:      # snapshots of one network repeat the same estimate
            counted[key] = needs(lambda points: _Graph(points, self.names, self.part, 1.0).product, self.points, self.sizes, self.shapes)
        need = counted[key]
        if need.of(B) <= available:
            return [slice(0, B)]
        fit = (available - need.shared) // need.sample
        if fit < 1 or self.points.coupled:
            raise Misuse(_explain_shortage(need, B, available, columns * self.P * self.n * self.like.element_size(), self.points.coupled))
        count = -(-B // fit)
        return [slice(i * B // count, (i + 1) * B // count) for i in range(count)]

    def _graph(self, i: int) -> _Graph:
        """Return the graph of the i-th part of the batch, with the same random draws every time."""
        part = self.parts[i]
        share = (part.stop - part.start) / len(self.points.x)
        with torch.random.fork_rng([self.like.device.index] if self.like.is_cuda else []):
            seed_torch(self.seed * 1_000_003 + i)
            return _Graph(self.points.samples(part), self.names, self.part, share)


class _Graph:
    """The contribution of one part of the batch to the products, linear in the vector; reusable."""

    def __init__(self, points: Points, names: list[str], part: str, share: float) -> None:
        self.leaves = [points.u[n].detach().requires_grad_() for n in names]
        f = points.outputs(points.u | dict(zip(names, self.leaves, strict=True)))
        self.outputs, self.part = f, part
        if part == "hessian":
            self.slopes = _differentiable_gradients((share * points.losses(f)).sum(), self.leaves)
            return
        cut = f.detach().requires_grad_()
        (slope,) = _differentiable_gradients((share * points.losses(cut)).sum(), [cut])
        if part == "residual":
            self.slopes = _differentiable_gradients(f, self.leaves, slope.detach())
            return
        # J v by reverse passes alone: J^T w is linear in w, and its derivative in w, applied to v, is J v
        self.cut, self.slope, self.w = cut, slope, torch.zeros_like(f).requires_grad_()
        self.slopes = _differentiable_gradients(f, self.leaves, self.w)

    def product(self, columns: Sequence[torch.Tensor], shapes: Sequence[torch.Size]) -> torch.Tensor:
        """Return the products with vectors given parameter by parameter, each (P, n_i)."""
        lead = columns[0].shape[:-1]
        v = [c.reshape(*lead, *s) for c, s in zip(columns, shapes, strict=True)]
        if self.part == "gauss_newton":
            jv = _vector_jacobian(self.slopes, [self.w], v)
            product = _vector_jacobian([self.outputs], self.leaves, _vector_jacobian([self.slope], [self.cut], jv))
        else:
            product = _vector_jacobian(self.slopes, self.leaves, v)
        return torch.cat([m.reshape(*lead, -1) for m in product], -1)


def _differentiable_gradients(of: torch.Tensor, at: list[torch.Tensor], weight: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Return differentiable gradients, zero in variables on which nothing depends."""
    if not of.requires_grad:
        return [torch.zeros_like(x) for x in at]
    return list(grad(of, at, weight, create_graph=True, allow_unused=True, materialize_grads=True))


def _vector_jacobian(of: Sequence[torch.Tensor], at: list[torch.Tensor], weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return vector-Jacobian products through a graph that is retained; zero in variables that it does not contain."""
    reached = [(x, w) for x, w in zip(of, weights, strict=True) if x.requires_grad]
    if not reached:
        return [torch.zeros_like(x) for x in at]
    products = grad([x for x, _ in reached], at, [w for _, w in reached], retain_graph=True, allow_unused=True, materialize_grads=True)
    return [p.detach() for p in products]


def select_parameters(names: list[str], block: str | Sequence[str] | None) -> list[str]:
    """Return the names of the parameters in a block, given by names of parameters or of modules.

    Raises
    ------
    Misuse : a name of neither a parameter nor a module.
    """
    if block is None:
        return names
    wanted = [block] if isinstance(block, str) else list(block)
    for b in wanted:
        if not any(n == b or n.startswith(f"{b}.") for n in names):
            raise Misuse(f"block must name parameters, or modules that hold some, of {names}, not {b!r}")
    if not wanted:
        raise Misuse("block must name at least one parameter or module")
    return [n for n in names if any(n == b or n.startswith(f"{b}.") for b in wanted)]


def _explain_shortage(need: Needs, batch: int, available: int, vectors: int, coupled: bool) -> str:
    why = "; the batch is normalised by its own statistics and cannot be taken in parts" if coupled else ""
    return (f"out of memory: products with {batch} samples need about {need.of(batch) / GB:.3g} GB, one sample {need.of(1) / GB:.3g} GB, "
            f"and {max(available, 0) / GB:.3g} GB are free besides {vectors / GB:.3g} GB of vectors{why}")
