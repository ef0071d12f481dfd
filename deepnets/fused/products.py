"""Matrix products by register tiles, and a transposed copy of weights.

A tile keeps a block of the product in registers while it runs over the inner dimension. Every entry is a sum over that dimension in
order, whatever the tile: its bits depend on its row and its column alone.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepnets.fused.vectors import (
    ADDRESS,
    F32,
    I64,
    NUMBER,
    VECTOR,
    WIDE_REGISTERS,
    V,
    call_own,
    constant,
    fma,
    hide,
    load,
    locate,
    splat,
    whole,
)

PANEL = 128                                          # rows of a right factor at a time, which stay in the first cache
# as many sums as there are registers; no bit depends on it
TILES, ACROSS = ((8, 4, 2, 1), 2) if WIDE_REGISTERS else ((6, 4, 2, 1), 1)


def _add_products(B: Any, sums: list[list[Any]], a: Any, sm: Any, sk: Any, b: Any, ldb: Any, k: Any, may_be_none: bool) -> list[list[Any]]:
    """Return sums[row][vector] plus the product a b of a tile, after a loop over the inner dimension k."""
    every, start = range(len(sums)), B.block
    # an address of its own for every third row, and fixed distances between: a chain of additions would take longer than the products
    lefts = [hide(B, B.add(a, B.mul(sm, I64(m)))) for m in every[::3]]
    body, done = B.append_basic_block(), B.append_basic_block()
    if may_be_none:
        B.cbranch(B.icmp_signed(">", k, I64(0)), body, done)
    else:
        B.branch(body)
    B.position_at_end(body)
    rest, right_at, *left_at = (B.phi(I64) for _ in range(2 + len(lefts)))
    old = [[B.phi(VECTOR) for _ in row] for row in sums]
    right = [load(B, right_at, I64(V * j)) for j in range(len(sums[0]))]
    left = [splat(B, B.load(B.inttoptr(B.add(left_at[m // 3], B.mul(sm, I64(m % 3))), F32.as_pointer()), align=4)) for m in every]
    new = [[fma(B, x, y, before) for y, before in zip(right, row, strict=True)] for x, row in zip(left, old, strict=True)]
    fewer = hide(B, B.sub(rest, I64(1)))
    moves = [(rest, k, fewer), (right_at, b, hide(B, B.add(right_at, ldb)))]
    moves += [(at, first, hide(B, B.add(at, sk))) for at, first in zip(left_at, lefts, strict=True)]
    moves += [(old[m][j], sums[m][j], new[m][j]) for m in every for j in range(len(right))]
    for phi, first, then in moves:
        phi.add_incoming(first, start)
        phi.add_incoming(then, body)
    B.cbranch(B.icmp_signed(">", fewer, I64(0)), body, done)
    B.position_at_end(done)
    if not may_be_none:
        return new
    ends = [[B.phi(VECTOR) for _ in row] for row in sums]
    for m in every:
        for j in range(len(right)):
            ends[m][j].add_incoming(sums[m][j], start)
            ends[m][j].add_incoming(new[m][j], body)
    return ends


def _make_block(across: int, pair: bool) -> Any:
    """Return what writes 16 `across` columns of a product, or of the sum of two, all rows in tiles; distances are in bytes."""
    def write(B: Any, c: Any, ldc: Any, a: Any, sm: Any, sk: Any, b: Any, ldb: Any, k: Any, a2: Any, b2: Any, k2: Any, M: Any, alpha: Any,
              keep: Any) -> None:
        scale, entry = splat(B, alpha), B.block
        head, latch, done = (B.append_basic_block() for _ in range(3))
        B.branch(head)
        B.position_at_end(head)
        left, c_at, a_at, a2_at = (B.phi(I64) for _ in range(4))
        ends = []
        for rows in TILES:
            # 8 rows are better cut as 4 + 4 than as 6 + 2
            fits = B.icmp_signed(">=", left, I64(rows))
            if rows == 6:
                fits = B.and_(fits, B.icmp_signed("!=", left, I64(8)))
            here, following = B.append_basic_block(), B.append_basic_block()
            B.cbranch(fits, here, following)
            B.position_at_end(here)
            sums = [[constant(0)] * across for _ in range(rows)]
            sums = _add_products(B, sums, a_at, sm, sk, b, ldb, k, False)
            if pair:
                sums = _add_products(B, sums, a2_at, sm, sk, b2, ldb, k2, True)
            for m, row in enumerate(sums):
                for j, value in enumerate(row):
                    target = locate(B, B.add(c_at, B.mul(ldc, I64(m))), I64(V * j))
                    B.store(fma(B, value, scale, B.select(keep, B.load(target, align=4), constant(0))), target, align=4)
            B.branch(latch)
            ends.append((B.block, rows))
            B.position_at_end(following)
        B.branch(done)
        B.position_at_end(latch)
        taken = B.phi(I64)
        for block, rows in ends:
            taken.add_incoming(I64(rows), block)
        for phi, first, then in [(left, M, B.sub(left, taken)), (c_at, c, B.add(c_at, B.mul(ldc, taken))),
                                 (a_at, a, B.add(a_at, B.mul(sm, taken))), (a2_at, a2, B.add(a2_at, B.mul(sm, taken)))]:
            phi.add_incoming(first, entry)
            phi.add_incoming(then, latch)
        B.branch(head)
        B.position_at_end(done)
    return write


def _write_products(pair: bool) -> Any:
    """Return what writes a product, or the sum of two, panel by panel and column block by column block."""
    blocks = {across: _make_block(across, pair) for across in {1, ACROSS}}

    def write(B: Any, c: Any, ldc: Any, a: Any, sm: Any, sk: Any, b: Any, ldb: Any, k: Any, a2: Any, b2: Any, k2: Any, M: Any, N: Any,
              alpha: Any, keep: Any) -> None:
        def call_block(across: int, *arguments: Any) -> None:
            call_own(f"block_{across}_{'pair' if pair else 'single'}", list(arguments), B, blocks[across])

        ldc, sm, sk, ldb = (B.shl(distance, I64(2)) for distance in (ldc, sm, sk, ldb))
        with cgutils.for_range_slice(B, I64(0), k, I64(PANEL), inc=True) as (k0, _):
            def limit(of: Any, k0: Any = k0) -> Any:
                rest = B.sub(of, k0)
                return B.select(B.icmp_signed("<", rest, I64(PANEL)), rest, I64(PANEL))

            keeps = B.or_(keep, B.icmp_signed(">", k0, I64(0)))
            down, along = B.mul(k0, ldb), B.mul(k0, sk)
            with cgutils.for_range_slice(B, I64(0), N, I64(V * ACROSS), inc=True) as (j, _):
                right, at = B.add(down, B.shl(j, I64(2))), B.add(c, B.shl(j, I64(2)))
                arguments = [at, ldc, B.add(a, along), sm, sk, B.add(b, right), ldb, limit(k), B.add(a2, along), B.add(b2, right),
                             limit(k2), M, alpha, keeps]
                if ACROSS == 1:
                    call_block(1, *arguments)
                else:
                    with B.if_else(B.icmp_signed(">", B.sub(N, j), I64(V))) as (wide, narrow):
                        with wide:
                            call_block(ACROSS, *arguments)
                        with narrow:
                            call_block(1, *arguments)
    return write


_write_one, _write_two = _write_products(False), _write_products(True)


@intrinsic
def multiply(typing: Any, c: Any, ldc: Any, a: Any, sm: Any, sk: Any, b: Any, ldb: Any, M: Any, N: Any, k: Any, alpha: Any,
             keep: Any) -> Any:
    """``c <- (c if keep else 0) + alpha a b``, c (M, N) and b (k, N) with leading dimensions, N padded up to whole vectors.

    a is read with the strides sm along its rows and sk along the inner dimension.
    """
    def generate(context: Any, B: Any, signature: Any, arguments: Any) -> Any:
        c, ldc, a, sm, sk, b, ldb, M, N, k, alpha, keep = arguments
        call_own("product", [c, ldc, a, sm, sk, b, ldb, k, a, b, I64(0), M, N, alpha, keep], B, _write_one)
        return context.get_dummy_value()
    return types.void(*[ADDRESS] * 10, NUMBER, types.boolean), generate


@intrinsic
def multiply_two(typing: Any, c: Any, ldc: Any, a: Any, a2: Any, lda: Any, b: Any, b2: Any, M: Any, N: Any, k: Any, k2: Any) -> Any:
    """``c <- a b + a2 b2``, with leading dimensions: of b and b2 that of c. The second inner dimension, k2, is at most the first."""
    def generate(context: Any, B: Any, signature: Any, arguments: Any) -> Any:
        c, ldc, a, a2, lda, b, b2, M, N, k, k2 = arguments
        call_own("products", [c, ldc, a, lda, I64(1), b, ldc, k, a2, b2, k2, M, N, F32(1), ir.Constant(ir.IntType(1), 0)], B, _write_two)
        return context.get_dummy_value()
    return types.void(*[ADDRESS] * 11), generate


# of 8 x 8 numbers in vectors of 8: pairs of lines interleaved, pairs of those, then halves exchanged, each one instruction of AVX
_UNPACK = [[0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]]
_SHUFFLE = [[0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]]
_EXCHANGE = [[0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]]


def _write_transposition(B: Any, out: Any, ldo: Any, w: Any, u: Any, ld: Any, rows: Any, columns: Any, c: Any) -> None:
    half = ir.VectorType(F32, 8)
    by = B.shuffle_vector(B.insert_element(ir.Constant(half, ir.Undefined), c, I64(0)), ir.Constant(half, ir.Undefined), whole(0, 8))
    add = cgutils.get_or_insert_function(B.module, ir.FunctionType(half, [half] * 3), "llvm.fma.v8f32")

    def shuffle(x: Any, y: Any, masks: list[list[int]]) -> list[Any]:
        return [B.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), 8), mask)) for mask in masks]

    with cgutils.for_range_slice(B, I64(0), rows, I64(8), inc=True) as (i, _), \
            cgutils.for_range_slice(B, I64(0), columns, I64(8), inc=True) as (j, _):
        first, to = B.add(B.mul(i, ld), j), B.add(B.mul(j, ldo), i)
        places = [B.add(first, B.mul(ld, I64(n))) for n in range(8)]
        x = [B.call(add, [by, load(B, u, at, half), load(B, w, at, half)]) for at in places]
        x = [y for n in range(0, 8, 2) for y in shuffle(x[n], x[n + 1], _UNPACK)]
        x = [y for n in (0, 4) for k in (0, 1) for y in shuffle(x[n + k], x[n + k + 2], _SHUFFLE)]
        low, high = zip(*(shuffle(x[n], x[n + 4], _EXCHANGE) for n in range(4)), strict=True)
        for n, line in enumerate((*low, *high)):
            B.store(line, locate(B, out, B.add(to, B.mul(ldo, I64(n))), half), align=4)


@intrinsic
def transpose(typing: Any, out: Any, ldo: Any, w: Any, u: Any, ld: Any, rows: Any, columns: Any, c: Any) -> Any:
    """``out <- (w + c u)^T``, w and u (rows, columns) with one leading dimension, both sizes whole vectors."""
    def generate(context: Any, B: Any, signature: Any, arguments: Any) -> Any:
        call_own("transpose", arguments, B, _write_transposition)
        return context.get_dummy_value()
    return types.void(*[ADDRESS] * 7, NUMBER), generate
