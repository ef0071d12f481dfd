"""Let this process have one pretended GPU: `torch.cuda` answers for it, and every operation is checked."""

from __future__ import annotations

from typing import Any

import torch

from tests.pretended_device.tensors import BYTES, Functions, Generator, Operations


class _State:
    """What a test may change: the free memory, in bytes."""

    free = BYTES


STATE = _State()


def install() -> None:
    """Install the device; it stays for the life of the process, which must have been started with the compiled library preloaded."""
    source, cuda = Generator("cuda"), torch.cuda
    torch.Generator = Generator      # type: ignore[misc]
    answers: dict[str, Any] = {
        "_lazy_init": lambda: None, "is_available": lambda: True, "is_initialized": lambda: True, "device_count": lambda: 1,
        "current_device": lambda: 0, "get_device_name": lambda device=None: "NVIDIA H200 (pretended)",
        "get_device_capability": lambda device=None: (9, 0), "mem_get_info": lambda device=None: (STATE.free, BYTES),
        **{name: lambda device=None: 0 for name in ("memory_reserved", "memory_allocated", "max_memory_allocated", "max_memory_reserved")},
        **{name: lambda *_: None for name in ("reset_peak_memory_stats", "empty_cache", "synchronize")},
        "get_rng_state": lambda device="cuda": source.get_state(), "get_rng_state_all": lambda: [source.get_state()],
        "set_rng_state": lambda state, device="cuda": source.set_state(state) and None,
        "set_rng_state_all": lambda states: source.set_state(states[0]) and None,
        "manual_seed": lambda seed: source.manual_seed(seed) and None, "manual_seed_all": lambda seed: source.manual_seed(seed) and None,
        "_is_in_bad_fork": lambda: False}
    for name, answer in answers.items():
        setattr(cuda, name, answer)
    torch.Tensor.pin_memory = lambda self, device=None: self      # type: ignore[method-assign, assignment, misc]
    torch._C._set_only_lift_cpu_tensors(True)      # torch.tensor(.., device="cuda") becomes a transfer that is counted
    torch.autograd.set_multithreading_enabled(False)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    Functions().__enter__()
    Operations().__enter__()
