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

from validation.arguments import Misuse

RECORD_AFTER = 100       # calls with the same shapes: stacks are packed anew most often before that, and recording takes about a second
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
    """``function(*arguments)``, from the 100th call with the same shapes on taken from a record of its operations.

    The record's first value is held against the function's own on the next arguments: a function that looks at the numbers it is given
    cannot be recorded. Where recording fails the function itself goes on, and where compiling fails the record, with a `NotRecorded`
    warning. What draws random numbers is not compiled: it would draw others.

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
        self.failed, self.gave_up = compile is False, False       # to record, and to compile

    def __call__(self, *arguments: Any) -> Any:
        """Return the function's value."""
        if self.failed:
            return self.function(*arguments)
        leaves, form = tree_flatten(arguments)
        key = (form, tuple((x.shape, x.dtype) for x in leaves))
        self.calls[key] = calls = self.calls.get(key, 0) + 1
        first = 1 if self.compile is True else RECORD_AFTER
        if calls < first:
            return self.function(*arguments)
        if calls == first:
            self._record(key, arguments)
            return self.function(*arguments)
        if key in self.unproven:
            return self._proven(key, arguments)
        if calls == (first + 2 if self.compile is True else COMPILE_AFTER) and (self.compile is True or leaves[0].is_cuda):
            self._compile(key, arguments)
        return self.records[key](*arguments)

    def _record(self, key: Any, arguments: Any) -> None:
        from torch.fx.experimental.proxy_tensor import make_fx

        try:
            with _recording, torch.random.fork_rng(_devices(arguments)):
                self.unproven[key] = make_fx(self.function)(*arguments)
        except Exception as error:
            self._leave(_told(error))

    def _proven(self, key: Any, arguments: Any) -> Any:
        """Return the function's value, and take the record into use if it gives the same."""
        record = self.unproven.pop(key)
        with torch.random.fork_rng(_devices(arguments)):
            found = record(*arguments)
        expected = self.function(*arguments)
        if torch.allclose(tree_leaves(found)[0], tree_leaves(expected)[0], rtol=ALLOWED, atol=0.0, equal_nan=True):
            self.records[key] = record
        else:
            self._leave("it looks at the numbers it is given")
        return expected

    def _leave(self, why: str) -> None:
        """Keep to the function from now on."""
        self.failed = True
        self.records.clear()
        self.unproven.clear()
        warnings.warn(f"the training step could not be recorded ({why}); it is run operation by operation", NotRecorded, stacklevel=4)

    def _compile(self, key: Any, arguments: Any) -> None:
        """Put the compiled record in the record's place."""
        if self.gave_up or _draws(self.records[key]):
            return
        try:
            compiled = torch.compile(self.records[key])
            with torch.random.fork_rng(_devices(arguments)):
                compiled(*arguments)
        except Exception as error:
            self.gave_up = True
            warnings.warn(f"the training step could not be compiled ({_told(error)}); it is run from its record", NotRecorded, stacklevel=4)
        else:
            self.records[key] = compiled


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _draws(record: Any) -> bool:
    """Return whether a record draws random numbers."""
    return any(torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) for node in record.graph.nodes)


def _devices(arguments: Any) -> list[int]:
    """Return the CUDA devices whose generators are to be kept."""
    return sorted({x.device.index for x in tree_leaves(arguments) if isinstance(x, torch.Tensor) and x.is_cuda})
