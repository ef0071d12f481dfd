"""Vectors of 16 float32 numbers in LLVM's intermediate representation: constants, loads, and the operations that kernels are made of.

They compile to one AVX-512 register, two of AVX2, or four of 128 bits, with the same bits. Addresses are in bytes, distances in numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

V = 16
F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, WHOLE = ir.VectorType(F32, V), ir.VectorType(I32, V)
ADDRESS, NUMBER = types.int64, types.float32      # as numba passes them
WIDE_REGISTERS = bool(binding.get_host_cpu_features().get("avx512f"))


def constant(x: float) -> Any:
    """Return a vector of equal numbers."""
    return ir.Constant(VECTOR, [float(x)] * V)


def whole(n: int, size: int = V) -> Any:
    """Return a vector of equal whole numbers."""
    return ir.Constant(ir.VectorType(I32, size), [n] * size)


def splat(b: Any, x: Any) -> Any:
    """Return a vector whose numbers are all x."""
    return b.shuffle_vector(b.insert_element(ir.Constant(VECTOR, ir.Undefined), x, I64(0)), constant(0), whole(0))


def locate(b: Any, address: Any, i: Any, of: Any = VECTOR) -> Any:
    """Return a pointer to what lies i numbers behind an address."""
    return b.inttoptr(b.add(address, b.shl(i, I64(2))), of.as_pointer())


def load(b: Any, address: Any, i: Any, of: Any = VECTOR) -> Any:
    """Return the vector, or the number, that lies i numbers behind an address."""
    return b.load(locate(b, address, i, of), align=4)


def hide(b: Any, x: Any) -> Any:
    """Return a whole number that LLVM keeps in a register: it is not made again from those that it was made of."""
    return b.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [x], side_effect=False)


def call(b: Any, name: str, *x: Any) -> Any:
    """Return what one of LLVM's own functions of vectors gives."""
    return b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(VECTOR, [VECTOR] * len(x)), f"llvm.{name}.v{V}f32"), x)


def fma(b: Any, x: Any, y: Any, z: Any) -> Any:
    """Return ``x y + z``, rounded once."""
    return call(b, "fma", x, y, z)


def call_own(name: str, arguments: list[Any], b: Any, generate: Callable[..., None]) -> None:
    """Call a function that every module has once, and that is compiled once: ``generate(builder, *arguments)`` writes its body."""
    kind = ir.FunctionType(ir.VoidType(), [a.type for a in arguments])
    function = cgutils.get_or_insert_function(b.module, kind, f"lazyrich_{name}")
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        inside = ir.IRBuilder(function.append_basic_block())
        generate(inside, *function.args)
        inside.ret_void()
    b.call(function, arguments)


def pick(b: Any, x: Any, comparison: str, y: Any, yes: Any, no: Any) -> Any:
    """Return `yes` where the comparison holds, else `no`, also where x or y is not a number."""
    return b.select(b.fcmp_ordered(comparison, x, y), yes, no)
