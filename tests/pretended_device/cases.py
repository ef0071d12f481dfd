"""What is pushed through the pretended device: groups of named functions, each of which raises where something is wrong."""

from __future__ import annotations

import abc
import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import deepnets
from deepnets import CNN, MLP, DeepExperiment, ResidualCNN, ResidualMLP, ResNet, Transformer, ViT, experiment, memory, tasks
from deepnets.batched import graph
from deepnets.observation.selection import NAMES
from deepnets.optimizers import OPTIMIZERS
from deepnets.phenomena import measures
from tests.pretended_device.expectations import list_expectations

Case = Callable[[], Any]
GAMMA, ETA = np.array([1e-3, 1.0, 1e2]), np.array([1e-3, 1e-1])
SHAPE = (1, 8, 8)
DIGITS = tasks.digits()
NETWORKS = {"mlp": MLP(64, 8, 3, 10), "mlp-tanh": MLP(64, 8, 2, 10, nonlinearity="tanh"),
            "mlp-linear": MLP(64, 8, 2, 10, nonlinearity="linear"),
            "cnn": CNN(SHAPE, 4, out_features=10), "vit": ViT(SHAPE, 4, out_features=10, patch=4, blocks=1, heads=2),
            "resnet": ResNet(SHAPE, 2, out_features=10, blocks=(1, 1)), "residual-cnn": ResidualCNN(SHAPE, 2, out_features=10, blocks=1),
            "residual-mlp": ResidualMLP(64, 8, 1, 10), "transformer": Transformer(256, 4, 4, blocks=1, heads=2)}
# pieces that are left out: those that differ from another by depth, loss or network alone, and all comparisons of sizes but one
LEFT_OUT = ("e-", "b-mlp-L2", "b-mlp-L4", "g-mlp-width-ntk", "g-residual", "g-vit", "g-transformer", "f-mlp-cross-entropy", "f-residual",
            "d-cnn-adam", "h-alignment-L3", "h-alignment-L4", "h-movement-L3", "h-movement-L4")
SMALL = MLP(64, 1, 2, 10)      # whose Hessian is a small matrix
LOSSES: tuple[Any, ...] = ("mse", "cross_entropy", torch.nn.HuberLoss(), torch.nn.CrossEntropyLoss(label_smoothing=0.1))


def measure(network: Any, **settings: Any) -> Any:
    """Return a small portrait measured on the device."""
    text = isinstance(network, Transformer)
    chosen = {"task": tasks.text(abc.__file__, context=4) if text else DIGITS, "loss": "cross_entropy" if text else "mse", "steps": 4,
              "batch_size": 8, "device": "cuda", "compile": False} | settings
    portrait = DeepExperiment(network, **chosen).measure(GAMMA, ETA)
    assert "failures" not in portrait.attrs, portrait.attrs["failures"]
    assert np.isfinite(portrait["final_excess"].values).any()
    return portrait


def list_planes() -> Iterator[tuple[str, Case]]:
    """Yield every network with its losses, and on some each precision, optimizer, schedule, method and way of recording."""
    for name, network in NETWORKS.items():
        losses = LOSSES if name == "mlp" else LOSSES[::2] if name == "residual-mlp" else LOSSES[:2] if name == "cnn" else LOSSES[1:2]
        for loss in losses:
            yield f"{name}, {loss if isinstance(loss, str) else type(loss).__name__}", partial(measure, network, loss=loss)
    for precision in ("float64", "tf32", "bf16"):
        for name in ("mlp",) if precision == "tf32" else ("mlp", "cnn", "residual-mlp"):      # a switch of the device's alone
            yield f"{name}, {precision}", partial(measure, NETWORKS[name], precision=precision)
    for optimizer in OPTIMIZERS:
        yield f"mlp, {optimizer}", partial(measure, NETWORKS["mlp"], optimizer=optimizer)
    for name in ("momentum", "adamw"):
        yield f"residual-mlp, {name}", partial(measure, NETWORKS["residual-mlp"], optimizer=name)
    clipped = deepnets.optimizers.SGD(weight_decay=0.1, clip=1.0)
    yield "mlp, clipped gradients and decay", partial(measure, NETWORKS["mlp"], optimizer=clipped, schedule="warmup_cosine")
    yield "mlp, horizons and curves", partial(measure, NETWORKS["mlp"], steps=(2, 26), curves=3, seeds=(0, 1))
    yield "mlp, f/gamma", partial(measure, NETWORKS["mlp"], centred=False)
    yield "own module", partial(measure, lambda seed: torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        torch.nn.Linear(4, 10)))
    yield "own module, copies", partial(measure, lambda seed: torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 4), torch.nn.ReLU(), torch.nn.Linear(4, 10)), method="copies", steps=2)
    yield "residual-mlp, not recorded", record
    yield "cnn, workspace", need_workspace
    yield "out of memory", halve
    yield "traced edge", trace_edge


def record() -> None:
    """Train on where a step cannot be recorded: a record would hold the pretended tensors of theta_0 as constants."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "RECORD_AFTER", 2)
        with pytest.warns(graph.NotRecorded, match="depend on the values"):
            measure(NETWORKS["residual-mlp"], steps=3, compile="auto", precision="float64")


def need_workspace() -> None:
    """Count the workspace of convolutions on a GPU alone."""
    experiment = DeepExperiment(NETWORKS["cnn"], DIGITS, steps=4, batch_size=8, device="cuda")
    module = experiment.theta_0(0)
    here, there = (memory.estimate(m, replace(experiment.recipe(m), engine="stack")) for m in (copy.deepcopy(module).cpu(), module))
    assert here.run < there.run < 4 * here.run


def halve() -> None:
    """Train fewer runs at once where the device runs out of memory."""
    train, sizes = experiment.train, []

    def limited(module: Any, stack: Any, recipe: Any, gamma: np.ndarray, eta: np.ndarray, seed: int) -> Any:
        sizes.append(len(gamma))
        if len(gamma) > 3:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        return train(module, stack, recipe, gamma, eta, seed)

    experiment.train = limited
    try:
        measure(NETWORKS["mlp"])
    finally:
        experiment.train = train
    assert sizes == [6, 3, 3]


def trace_edge() -> None:
    """Trace an edge."""
    import validation

    deep = DeepExperiment(NETWORKS["mlp"], DIGITS, steps=4, batch_size=8, device="cuda")
    validation.trace(deep, np.array([0.1, 1.0]), "eta_max", eta=(1e-2, 1e2), per_decade=1, rtol=0.9)


def list_observables() -> Iterator[tuple[str, Case]]:
    """Yield each observable, the functions of a single network, and a check over widths."""
    for name in NAMES:
        yield f"{name}, mlp", partial(observe, "mlp", name)
    for name in ("kernel", "weights", "activations"):
        yield f"{name}, residual-cnn", partial(observe, "residual-cnn", name)
    yield "eigenvalues by Lanczos", find_eigenvalues
    yield "a single network", measure_one
    yield "coordinate check", partial(deepnets.coordinate_check, lambda n: MLP(64, n, 2, 10), DIGITS, (4, 5, 6, 8), early=1, batch_size=8,
                                      device="cuda", seeds=(0, 1))


def observe(network: str, name: str) -> None:
    """Measure an observable along two runs."""
    chosen = SMALL if network == "mlp" else NETWORKS[network]
    deep = DeepExperiment(chosen, DIGITS, steps=1, batch_size=8, device="cuda", compile=False)
    deepnets.observe(deep, [0.1, 10.0], 0.01, at=(1,), names=(name,), samples=4, k=1)


def find_eigenvalues() -> None:
    """Find the largest eigenvalue of the Hessian by products."""
    module = SMALL.build(0).to("cuda")
    x, y = (t.to("cuda") for t in DIGITS.batch(0, 0, 4))
    deepnets.spectrum(deepnets.Centered(module, gamma=0.5), None, (x, y), "mse", k=1, method="lanczos")


def measure_one() -> None:
    """Measure curvature and kernels of a `Centered`, by pairs and by two copies."""
    module = SMALL.build(0).to("cuda")
    x, y = (t.to("cuda") for t in DIGITS.batch(0, 0, 4))
    centered = deepnets.Centered(module, gamma=0.5)
    loss = ((centered(x) - torch.nn.functional.one_hot(y, 10)) ** 2).mean()
    loss.backward()
    deepnets.spectrum(centered, None, (x, y), "mse", k=2, vectors=True, method="dense")
    deepnets.trace(centered, None, (x, y), "mse", probes=6)
    deepnets.density(centered, None, (x, y), "mse", probes=2, steps=4)
    deepnets.ntk(centered, x)
    deepnets.ntk_spectrum(centered, x, k=2)
    deepnets.layer_kernels(centered, x)
    deepnets.weight_movement(centered)
    deepnets.activation_movement(centered, x)
    deepnets.infinite_width_kernels(SMALL, x)
    deepnets.ntk_product(centered, x, np.ones((4, 10)))
    for method in ("two_copy", "float64"):
        deepnets.Centered(module, gamma=0.5, method=method)(x)
    for name in ("mse", "cross_entropy"):
        deepnets.levels(DeepExperiment(SMALL, DIGITS, name, steps=20, batch_size=32, rho=0.9, device="cuda", compile=False), samples=8)


def list_campaign() -> Iterator[tuple[str, Case]]:
    """Yield the command line and the pieces of the campaign, with few steps."""
    yield "python -m deepnets", run_command
    yield "the first run on a GPU", rehearse
    for piece in _list_pieces():
        if not piece.name.startswith(LEFT_OUT):
            yield piece.name, partial(run_piece, piece)


def run_command() -> None:
    """Run `python -m deepnets` with every observable."""
    from deepnets.__main__ import main

    with tempfile.TemporaryDirectory() as folder:
        options = ("--device cuda --width 8 --steps 4 --batch-size 8 --seeds 1 --no-trace --gamma 0.1 1 --per-decade 1 --rho 0.99 "
                   "--observe weights,alignment --observe-at 0,T --observe-samples 8")
        assert main([*options.split(), "--out", f"{folder}/p.nc"]) == 0
        assert len(list(Path(folder).iterdir())) == 2      # the portrait, and what was observed along its best rates


def rehearse() -> None:
    """Run the script for the first minutes on a GPU."""
    from tests.benchmarks import first_gpu_run

    compiled, torch.compile = torch.compile, lambda f, **_: f      # type: ignore[assignment]
    try:
        with tempfile.TemporaryDirectory() as folder:
            assert first_gpu_run.main(["--tiny", "--out", folder]) == 0
            files = {path.name: path for path in Path(folder).iterdir()}
            assert set(files) == {"card.json", "correctness.json", "speed.json", "verdicts.json", "L2.nc"}
            assert sum(path.stat().st_size for path in files.values()) < 1e5
            for path in files.values():
                found = json.loads(path.read_text()) if path.suffix == ".json" else {}
                assert not [entry for entry in found.values() if isinstance(entry, dict) and {"error", "skipped"} & set(entry)], found
    finally:
        torch.compile = compiled      # type: ignore[assignment]


def _list_pieces() -> Iterator[Any]:
    import sys
    from dataclasses import replace

    sys.path.append(str(Path(__file__).resolve().parents[2] / "docs" / "data"))
    from pieces.consistency import list_consistency
    from pieces.planes import list_portraits, list_speed
    from pieces.recorded_runs import list_curvature, list_phenomena
    from pieces.scale import choose_scale

    scale = replace(choose_scale("tiny"), width=1, wide=2, channels=2, channel_widths=(2, 4, 6, 8), widths=(1, 2, 3, 4), steps=2, seeds=1,
                    parts=1, top=1, curvature=(2,), at=(2,), scan=(0.01, 0.1, 1.0, 10.0, 100.0), probe=4)
    for list_some in (list_speed, list_portraits, list_curvature, list_consistency, list_phenomena):
        yield from list_some(scale, "cuda")


def run_piece(piece: Any) -> None:
    """Measure a piece of the campaign and read its file; twelve sharpnesses of a comparison of sizes are left to the other pieces."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if piece.name.startswith("g-"):
            patch.setattr(measures, "spectra", lambda module, u, gamma, *rest, **more: SimpleNamespace(
                eigenvalues=xr.DataArray(np.ones((len(gamma), 1)))))
        lines = list(piece.run(Path(folder), "cuda"))
        assert len(lines) == len(piece.parts)
        assert piece.is_complete(Path(folder))


def list_mistakes() -> Iterator[tuple[str, Case]]:
    """Yield mistakes that the device must report."""
    on_device, on_cpu = torch.zeros(3, device="cuda"), torch.zeros(3)
    yield "tensors of two devices", partial(expect, "same device", lambda: on_device + on_cpu)
    yield "a generator of the other device", partial(expect, "device type for generator", lambda: torch.randn(
        3, device="cuda", generator=torch.Generator()))
    yield "a wait within a step", partial(expect, "waits within step 1", wait_in_a_step)
    yield "numbers read without a copy", partial(expect, "numpy", on_device.numpy)


def expect(message: str, act: Callable[[], Any]) -> None:
    """Raise unless `act` raises an error with this message."""
    with pytest.raises(Exception, match=message):
        act()


def wait_in_a_step() -> None:
    """Train with an optimizer that reads a number from the device at every step."""
    class Waiting(deepnets.optimizers.Optimizer):
        name, power, memories = "waiting", 2, 0

        def direction(self, gradient: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
            return gradient if float(gradient.abs().amax()) >= 0 else -gradient

    measure(NETWORKS["mlp"], optimizer=Waiting())


GROUPS: dict[str, Callable[[], Iterator[tuple[str, Case]]]] = {
    "planes": list_planes, "observables": list_observables, "campaign": list_campaign, "mistakes": list_mistakes,
    "expectations": list_expectations}
