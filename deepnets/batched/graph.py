"""Record the operations of a pure function once for each set of argument shapes, and replay the record.

A record skips the dispatch of each operation through transforms and rules: on a CPU a ViT's step takes 0.6 of its time. `torch.compile`
halves that once more, but takes a minute for each set of shapes, which only long runs earn back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves

from deepnets.behaviour import name_error
from validation.arguments import Misuse
from validation.user_warnings import warn_user

RECORD_AFTER = 100       # calls with the same shapes: diverged runs are dropped mostly before that, and recording takes about a second
COMPILE_SECONDS = 60.0   # that compiling takes for a set of shapes
SAVED = 0.5              # of a record's time, by compiling it
TIMED = 10               # calls of a record that are timed before it is compiled or not
ALLOWED = 1e-4           # relative error of the record's first results: a number that was frozen into the record is off by order one
_recording = threading.Lock()      # torch records in one thread at a time


class NotRecorded(UserWarning):
    """A function could not be recorded or compiled; it runs without."""


def as_compile(compile: object) -> bool | str:
    """Return `compile` if it is True, False or "auto"; otherwise raise `Misuse`."""
    if not isinstance(compile, bool) and compile != "auto":
        raise Misuse(f"compile must be True, False or 'auto', not {compile!r}")
    return compile


class RecordedFunction:
    """``function(*arguments)``, replayed from a record of its operations from the 100th call with the same shapes on.

    The record's first results are compared with the function's own on the next arguments: a function whose operations depend on the
    values of its arguments cannot be recorded. If recording fails, the function itself runs; if compiling fails, the record runs; both
    with a `NotRecorded` warning. A record that draws random numbers is not compiled: it would draw others.

    Parameters
    ----------
    function : from nested tensors to nested tensors, whose first dim is of runs or none; it must not write into its arguments.
    compile : True compiles the record at once; "auto" on a GPU where the calls still expected take so long that it pays; False never
        records.
    expected : calls with the same shapes; None: unknown, and "auto" does not compile.
    """

    def __init__(self, function: Callable[..., Any], compile: bool | str = "auto", expected: int | None = None) -> None:
        self.function, self.compile, self.expected = function, compile, expected
        self.begun: dict[Any, float] = {}
        self.calls: dict[Any, int] = {}
        self.records: dict[Any, Callable[..., Any]] = {}
        self.untested: dict[Any, Callable[..., Any]] = {}
        self.recordable, self.compilable = compile is not False, True

    def __call__(self, *arguments: Any) -> Any:
        """Return the function's value."""
        if not self.recordable:
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
        if key in self.untested:
            return self._test(key, arguments)
        replayed = calls - first - 2
        if replayed == 0 if self.compile is True else leaves[0].is_cuda and self._pays(key, replayed, calls):
            self._compile(key, arguments)
        return self.records[key](*arguments)

    def _pays(self, key: Any, replayed: int, calls: int) -> bool:
        """Return whether compiling a record saves more than it takes, once as many calls as are timed have been replayed."""
        if self.expected is None or replayed not in (0, TIMED):
            return False
        torch.cuda.synchronize()
        if replayed == 0:
            self.begun[key] = time.perf_counter()
            return False
        seconds = (time.perf_counter() - self.begun[key]) / TIMED
        return SAVED * seconds * (self.expected - calls) > COMPILE_SECONDS

    def _record(self, key: Any, arguments: Any) -> None:
        from torch.fx.experimental.proxy_tensor import make_fx

        try:
            with _recording, torch.random.fork_rng(_devices(arguments)):
                self.untested[key] = make_fx(self.function)(*arguments)
        except Exception as error:
            self._stop_recording(name_error(error))

    def _test(self, key: Any, arguments: Any) -> Any:
        """Return the function's value; use the record from now on if its value is the same."""
        record = self.untested.pop(key)
        with torch.random.fork_rng(_devices(arguments)):
            found = record(*arguments)
        expected = self.function(*arguments)
        if all(_are_close(a, b) for a, b in zip(tree_leaves(found), tree_leaves(expected), strict=True)):
            self.records[key] = record
        else:
            self._stop_recording("its operations depend on the values of its arguments")
        return expected

    def _stop_recording(self, why: str) -> None:
        """Run the function itself from now on, and warn."""
        self.recordable = False
        self.records.clear()
        self.untested.clear()
        warn_user(f"the training step could not be recorded ({why}); it runs operation by operation", NotRecorded)

    def _compile(self, key: Any, arguments: Any) -> None:
        """Replace the record by its compiled form."""
        if not self.compilable or _is_random(self.records[key]):
            return
        try:
            compiled = torch.compile(self.records[key])
            with torch.random.fork_rng(_devices(arguments)):
                compiled(*arguments)
        except Exception as error:
            self.compilable = False
            warn_user(f"the training step could not be compiled ({name_error(error)}); its record runs instead", NotRecorded)
        else:
            self.records[key] = compiled


def _are_close(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return whether tensors agree within `ALLOWED` of the largest entry of each row, where the second is finite."""
    if not b.is_floating_point():
        return torch.equal(a, b)
    finite = torch.isfinite(b)
    a, b = (x.where(finite, 0).reshape(len(x) if x.ndim else 1, -1) for x in (a, b))
    return bool(((a - b).abs() <= ALLOWED * b.abs().amax(1, True)).all())



def _is_random(record: Any) -> bool:
    """Return whether a record draws random numbers."""
    return any(torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) for node in record.graph.nodes)


def _devices(arguments: Any) -> list[int]:
    """Return the CUDA devices whose random generators must be restored."""
    return sorted({x.device.index for x in tree_leaves(arguments) if isinstance(x, torch.Tensor) and x.is_cuda})
