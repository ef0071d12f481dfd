"""Machine code on disk: several processes that compile closures of one function at the same time."""

import ctypes
import importlib
import multiprocessing
import sys
import time
from functools import partial

import pytest

from validation import Misuse, machine_code
from validation.machine_code import cache_machine_code

numba = pytest.importorskip("numba")
from toymodels.compilation import EXCESS, compile_kernel, compile_loop  # noqa: E402

NATIVE = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_void_p)


def closure(n):
    """A function that adds n, of which numba keeps an entry in the cache of this file."""
    def add(x):
        return x + n

    return cache_machine_code(partial(numba.njit, add))


def test_closures_that_are_compiled_at_once_keep_their_own_code(tmp_path, monkeypatch):
    from numba.core import caching, config

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    write_index = caching.IndexDataCacheFile._save_index

    def write_late(self, overloads):
        """The first process writes its entry into the index before the second, and its code after it."""
        before, after = {"first": (0.4, 1.2), "second": (0.8, 0.2)}[multiprocessing.current_process().name]
        time.sleep(before)
        write_index(self, overloads)
        time.sleep(after)

    with monkeypatch.context() as late:
        late.setattr(caching.IndexDataCacheFile, "_save_index", write_late)
        processes = [multiprocessing.get_context("fork").Process(target=closure(n), args=(1,), name=name)
                     for n, name in ((1, "first"), (10, "second"))]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    assert [closure(n)(1) for n in (1, 10)] == [2, 11]


def kernel():
    """A compiled function of our own kind."""
    def double(x):
        return 2 * x

    return compile_kernel(double)


def loop():
    """What compiles a loop of our own kind, or reads it from the cache, and calls it."""
    def excess(f, units):
        return 2 * f

    address = compile_loop(excess, EXCESS)
    return lambda x: NATIVE(address())(x, None)


@pytest.mark.parametrize("make", [kernel, loop])
@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
def test_a_damaged_entry_is_thrown_away_and_written_anew(make, ending, tmp_path, monkeypatch):
    from numba.core import config

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    assert make()(3.0) == 6.0
    entry, = tmp_path.rglob(f"*{ending}")
    whole = entry.read_bytes()
    for _ in range(2):
        entry.write_bytes(whole[:40])
        assert make()(3.0) == 6.0
        entry, = tmp_path.rglob(f"*{ending}")
        assert len(entry.read_bytes()) == len(whole)


def test_a_compiler_that_is_switched_off_is_named():
    with pytest.raises(Misuse, match="unset the environment variable NUMBA_DISABLE_JIT"):
        cache_machine_code(lambda cache: lambda x: x)       # what numba's decorator then returns


def test_a_change_of_another_module_of_the_package_is_noticed(tmp_path, monkeypatch):
    from numba.core import config

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "compiled_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "whole.py").write_text("""import numba
from compiled_package.part import part
from validation.machine_code import cache_machine_code

def _add(cache):
    return numba.njit(cache=cache)(add)

def add(x):
    return x + part()

added = cache_machine_code(_add)
""")

    def measure(number):
        (package / "part.py").write_text(f"import numba\n\n@numba.njit\ndef part():\n    return {number}\n")
        for name in [name for name in sys.modules if name.startswith("compiled_package")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        machine_code.digest_package.cache_clear()
        return importlib.import_module("compiled_package.whole").added(1)
    assert [measure(10), measure(20000)] == [11, 20001]
