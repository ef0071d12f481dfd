"""Matrix products by register tiles, and a transposed copy of weights.

A tile keeps a block of the product in registers while it runs over the inner dimension. Every entry is a sum over that dimension in
order, whatever the tile: its bits depend on its row and its column alone.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from deepnets.fused.compilation import part_of_kernel
from deepnets.fused.vectors import ADDRESS, F32, I64, NUMBER, VECTOR, WHOLE, WIDE_REGISTERS, V, call_own, constant, fma, load, locate, splat

PANEL = 128                                          # rows of the right factor at a time, which stay in the first cache
# as many sums as there are registers; no bit depends on it
ROWS, ACROSS = (8, 2) if WIDE_REGISTERS else (6, 1)


def _make_tile(rows: int, across: int) -> Any:
    """Return the product of a block of `rows` times 16 `across`: ``c <- (c if keep else 0) + alpha a b``.

    a is read with the strides sm along its rows and sk along the inner dimension; b and c have leading dimensions.
    """
    def write(B: Any, c: Any, ldc: Any, a: Any, sm: Any, sk: Any, b: Any, ldb: Any, k: Any, alpha: Any, keep: Any) -> None:
        start, body, done = B.block, B.append_basic_block(), B.append_basic_block()
        B.branch(body)
        B.position_at_end(body)
        i, left_at, right_at = (B.phi(I64) for _ in range(3))
        sums = [[B.phi(VECTOR) for _ in range(across)] for _ in range(rows)]
        right = [load(B, right_at, I64(V * j)) for j in range(across)]
        left = [splat(B, load(B, left_at, B.mul(sm, I64(m)), F32)) for m in range(rows)]
        grown = [[fma(B, x, right[j], sums[m][j]) for j in range(across)] for m, x in enumerate(left)]
        following = B.add(i, I64(1))
        loop = [(i, I64(0), following), (left_at, a, B.add(left_at, B.shl(sk, I64(2)))), (right_at, b, B.add(right_at, B.shl(ldb, I64(2))))]
        loop += [(sums[m][j], constant(0), grown[m][j]) for m in range(rows) for j in range(across)]
        for phi, first, then in loop:
            phi.add_incoming(first, start)
            phi.add_incoming(then, body)
        B.cbranch(B.icmp_signed("<", following, k), body, done)
        B.position_at_end(done)
        for m in range(rows):
            for j in range(across):
                target = locate(B, c, B.add(B.mul(ldc, I64(m)), I64(V * j)))
                before = B.select(keep, B.load(target, align=4), constant(0))
                B.store(fma(B, grown[m][j], splat(B, alpha), before), target, align=4)

    @intrinsic
    def tile(typing: Any, c: Any, ldc: Any, a: Any, sm: Any, sk: Any, b: Any, ldb: Any, k: Any, alpha: Any, keep: Any) -> Any:
        def generate(context: Any, B: Any, signature: Any, arguments: Any) -> Any:
            call_own(f"tile_{rows}_{across}", arguments, B, write)
            return context.get_dummy_value()
        return types.void(*[ADDRESS] * 8, NUMBER, types.boolean), generate
    return tile


_full, _four, _two, _one = (_make_tile(rows, ACROSS) for rows in (ROWS, 4, 2, 1))
_full_narrow, _four_narrow, _two_narrow, _one_narrow = (_make_tile(rows, 1) for rows in (ROWS, 4, 2, 1))


@part_of_kernel
def multiply(c, ldc, a, sm, sk, b, ldb, M, N, K, alpha, keep):
    """``c <- (c if keep else 0) + alpha a b``, c (M, N) and b (K, N) with leading dimensions, N padded up to whole vectors."""
    for k0 in range(0, K, PANEL):
        k, keeps, j = min(PANEL, K - k0), keep or k0 > 0, 0
        while j < N:
            wide, i, right = N - j > V * (ACROSS - 1), 0, b + 4 * (k0 * ldb + j)
            while i < M:
                target, left, remain = c + 4 * (i * ldc + j), a + 4 * (k0 * sk + i * sm), M - i
                if remain >= ROWS:
                    if wide:
                        _full(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    else:
                        _full_narrow(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    i += ROWS
                elif remain >= 4:
                    if wide:
                        _four(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    else:
                        _four_narrow(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    i += 4
                elif remain >= 2:
                    if wide:
                        _two(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    else:
                        _two_narrow(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    i += 2
                else:
                    if wide:
                        _one(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    else:
                        _one_narrow(target, ldc, left, sm, sk, right, ldb, k, alpha, keeps)
                    i += 1
            j += ACROSS * V if wide else V


def _write_transposition(B: Any, out: Any, ldo: Any, w: Any, u: Any, ld: Any, c: Any) -> None:
    by = splat(B, c)
    rows = [fma(B, by, load(B, u, B.mul(ld, I64(i))), load(B, w, B.mul(ld, I64(i)))) for i in range(V)]
    halves = [ir.Constant(WHOLE, [first + i // 2 + V * (i % 2) for i in range(V)]) for first in (0, V // 2)]
    for _ in range(4):
        rows = [B.shuffle_vector(rows[i], rows[i + V // 2], half) for i in range(V // 2) for half in halves]
    for i in range(V):
        B.store(rows[i], locate(B, out, B.mul(ldo, I64(i))), align=4)


@intrinsic
def _transpose_block(typing: Any, out: Any, ldo: Any, w: Any, u: Any, ld: Any, c: Any) -> Any:
    """``out <- (w + c u)^T``, of 16 x 16 numbers: four perfect shuffles of rows i and i + 8."""
    def generate(context: Any, B: Any, signature: Any, arguments: Any) -> Any:
        call_own("transpose_block", arguments, B, _write_transposition)
        return context.get_dummy_value()
    return types.void(*[ADDRESS] * 5, NUMBER), generate


@part_of_kernel
def transpose(out, ldo, w, u, ld, rows, columns, c):
    """``out <- (w + c u)^T``, w and u (rows, columns) with one leading dimension, both sizes whole vectors."""
    for i in range(0, rows, V):
        for j in range(0, columns, V):
            _transpose_block(out + 4 * (j * ldo + i), ldo, w + 4 * (i * ld + j), u + 4 * (i * ld + j), ld, c)
