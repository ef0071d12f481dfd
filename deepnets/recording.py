"""A pure function of tensors recorded once for each of its arguments' shapes, and run from the record; knows no network.

What is saved is the way of each operation through transforms and rules: on a CPU a ViT's step takes 0.6 of its time. `torch.compile`
halves that once more and costs a minute for every shape, which only long runs earn back.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves

from validation.misuse import Misuse

RECORD_AFTER = 50        # calls with the same shapes: stacks are packed anew most often before that
COMPILE_AFTER = 2000     # calls on a GPU with compile="auto"
ALLOWED = 1e-4           # relative, by which the record's first value may differ: a value that was frozen into it is off by order one
_recording = threading.Lock()      # torch's recorder serves one thread at a time


class NotRecorded(UserWarning):
    """A function could not be recorded or compiled; it is run as it is."""


def as_compile(compile: Any) -> bool | str:
    """Return `compile` if it is True, False or "auto"; otherwise raise `Misuse`."""
    if not isinstance(compile, bool) and compile != "auto":
        raise Misuse(f"compile must be True, False or 'auto', not {compile!r}")
    return compile


class Recorded:
    """``function(*arguments)``, from the 50th call with the same shapes on taken from a record of its operations.

    The record's first value is held against the function's own on the next arguments: a function that looks at the numbers it is given
    cannot be recorded. Where recording fails the function itself goes on, with a `NotRecorded` warning.

    Parameters
    ----------
    function : of nested tensors, to nested tensors, the first of which is compared; it must not write into its arguments.
    compile : True compiles the record at once; "auto" on a GPU after 2000 calls; False keeps to the function.
    """

    def __init__(self, function: Callable[..., Any], compile: bool | str = "auto") -> None:
        self.function, self.compile = function, compile
        self.calls: dict[Any, int] = {}
        self.records: dict[Any, Callable[..., Any]] = {}
        self.unproven: dict[Any, Callable[..., Any]] = {}
        self.failed = compile is False

    def __call__(self, *arguments: Any) -> Any:
        """Return the function's value."""
        if self.failed:
            return self.function(*arguments)
        leaves, form = tree_flatten(arguments)
        key = (form, tuple((x.shape, x.dtype) for x in leaves))
        self.calls[key] = calls = self.calls.get(key, 0) + 1
        if key in self.records:
            if calls == COMPILE_AFTER and self.compile == "auto" and leaves[0].is_cuda:
                self._attempt(lambda: self._compiled(key), "compiled")
            return self.records[key](*arguments)
        first = 1 if self.compile is True else RECORD_AFTER
        if calls == first:
            self._attempt(lambda: self._record(key, arguments), "recorded")
        elif calls == first + 1:
            return self._held_against(key, arguments)
        return self.function(*arguments)

    def _record(self, key: Any, arguments: Any) -> None:
        from torch.fx.experimental.proxy_tensor import make_fx

        with _recording, torch.random.fork_rng(_devices(arguments)):
            self.unproven[key] = make_fx(self.function)(*arguments)

    def _held_against(self, key: Any, arguments: Any) -> Any:
        """Return the function's value, and take the record into use if it gives the same."""
        with torch.random.fork_rng(_devices(arguments)):
            expected = self.function(*arguments)
        self.records[key] = self.unproven.pop(key)
        if self.compile is True:
            self._attempt(lambda: self._compiled(key), "compiled")
        found = self._attempt(lambda: self.records[key](*arguments), "run from its record")
        if found is not None:
            a, b = tree_leaves(found)[0], tree_leaves(expected)[0]
            if not torch.allclose(a, b, rtol=ALLOWED, atol=0.0, equal_nan=True):
                self._fail("recorded", "it looks at the numbers it is given")
        if self.failed:
            self.records.clear()
        return expected

    def _compiled(self, key: Any) -> None:
        self.records[key] = torch.compile(self.records[key])

    def _attempt(self, make: Callable[[], Any], what: str) -> Any:
        """Return what `make` makes; if it cannot, warn, and keep to the function from now on."""
        try:
            return make()
        except Exception as error:
            self._fail(what, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            return None

    def _fail(self, what: str, why: str) -> None:
        self.failed = True
        warnings.warn(f"the training step could not be {what} ({why}); it is run operation by operation", NotRecorded, stacklevel=5)


def _devices(arguments: Any) -> list[int]:
    """Return the CUDA devices whose generators are to be kept."""
    return sorted({x.device.index for x in tree_leaves(arguments) if isinstance(x, torch.Tensor) and x.is_cuda})
