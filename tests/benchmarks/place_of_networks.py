"""Measure how well `deepnets.where` recovers planted multipliers and brackets the highest rate, and print the tables.

Run ``python -m tests.benchmarks.place_of_networks [crossing|slopes|bracket|cost] [seeds]``: some minutes each on one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

import deepnets
from deepnets import CNN, MLP, DeepExperiment, tasks
from deepnets.place.crossing import find_crossing
from deepnets.place.rate_ramp import bracket_rate
from validation import locate

DECADES = 4.0                      # of the planted multipliers
REFERENCE = tuple(range(100, 110))      # seeds of a family's own crossing
WIDTHS = (32, 64, 128, 256)
GRID = (1 / 20, 20, 28)              # of rates about the bracket, eleven a decade


class Times(nn.Module):
    """A module whose output is multiplied by a number."""

    def __init__(self, module: nn.Module, factor: float) -> None:
        super().__init__()
        self.module, self.factor = module, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output times the number."""
        return self.factor * self.module(x)


class Recurrent(nn.Module):
    """A GRU that reads the rows of 8 x 8 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.readout = nn.GRU(8, 24, batch_first=True), nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ten outputs from the last state."""
        return self.readout(self.cell(x.reshape(-1, 8, 8))[0][:, -1])


class Attention(nn.Module):
    """A layer of a transformer over the four quarters of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.readout = nn.Linear(16, 32), nn.Linear(32, 10)
        self.layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True, norm_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ten outputs from the mean over the quarters."""
        x = x.reshape(-1, 2, 4, 2, 4).permute(0, 1, 3, 2, 4).reshape(-1, 4, 16)
        return self.readout(self.layer(self.embed(x)).mean(1))


def dense(inputs: int, outputs: int, width: int, depth: int, activation: type[nn.Module], norm: type[nn.Module] | None = None) -> nn.Module:
    """Return a plain network of torch's defaults, with a norm before each activation if one is given."""
    layers: list[nn.Module] = []
    for i in range(depth - 1):
        layers += [nn.Linear(inputs if i == 0 else width, width), *([norm(width)] if norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def convolutions() -> nn.Module:
    """Return a network of two convolutions for 8 x 8 digits."""
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
                         nn.Conv2d(8, 16, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(256, 10))


DIGITS, TEACHER, INDEX = tasks.digits(), tasks.teacher(16), tasks.single_index(16, 2)
FAMILIES: dict[str, tuple[Callable[[], nn.Module], deepnets.tasks.Task, str]] = {
    "tanh, L = 2": (lambda: dense(16, 1, 96, 2, nn.Tanh), TEACHER, "mse"),
    "SiLU, L = 3": (lambda: dense(16, 1, 64, 3, nn.SiLU), TEACHER, "mse"),
    "ReLU, L = 3, single index": (lambda: dense(16, 1, 80, 3, nn.ReLU), INDEX, "mse"),
    "ELU, L = 4": (lambda: dense(64, 10, 48, 4, nn.ELU), DIGITS, "cross_entropy"),
    "LayerNorm": (lambda: dense(64, 10, 48, 3, nn.GELU, nn.LayerNorm), DIGITS, "mse"),
    "BatchNorm": (lambda: dense(64, 10, 48, 3, nn.ReLU, nn.BatchNorm1d), DIGITS, "cross_entropy"),
    "CNN": (convolutions, DIGITS, "cross_entropy"),
    "GRU": (Recurrent, DIGITS, "cross_entropy"),
    "attention": (Attention, DIGITS, "mse"),
}


def make(family: str, factor: float, **more: object) -> DeepExperiment:
    """Return the experiment of a family with a planted multiplier of its output."""
    build, task, loss = FAMILIES[family]
    return DeepExperiment(lambda seed: Times(build(), factor), task, **{"loss": loss, "device": "cpu", "batch_size": 32, "steps": 200,
                                                                        "method": "copies"} | more)      # type: ignore[arg-type]


def tabulate_crossings(seeds: int) -> Iterator[str]:
    """Yield the table of planted multipliers: errors in decades, readings, and how often the interval covers."""
    yield "| network | crossing, log10 gamma | error, median | worst | readings, most | covers | CPU s each |"
    yield "|---|---|---|---|---|---|---|"
    errors, covers, source = [], [], np.random.default_rng(7)
    for family in FAMILIES:
        own = find_crossing(make(family, 1.0, seeds=REFERENCE))
        if own.gamma is None:
            yield f"| {family} | {own.reason} | | | | | |"
            continue
        start, found, most = time.process_time(), [], 0
        for k in range(seeds):
            factor = 10.0**source.uniform(-DECADES / 2, DECADES / 2)
            place = find_crossing(make(family, factor, seeds=(3 * k, 3 * k + 1, 3 * k + 2)))
            if place.gamma is not None and place.interval is not None:
                found.append(float(np.log10(place.gamma / factor / own.gamma)))
                covers.append(place.interval[0] <= factor * own.gamma <= place.interval[1])
            most = max(most, *map(len, place.readings))
        errors += found
        size = np.abs(found) if found else np.full(1, np.nan)
        yield (f"| {family} | {np.log10(own.gamma):.2f} | {np.median(size):.3f} | {size.max():.3f} | {most} "
               f"| {sum(covers[len(covers) - len(found):])}/{len(found)} of {seeds} | {(time.process_time() - start) / seeds:.1f} |")
    size = np.abs(errors)
    yield (f"| all | | {np.median(size):.3f} | {size.max():.3f}, 90% {np.quantile(size, 0.9):.3f} | | {np.mean(covers):.0%} | |")


def tabulate_slopes(seeds: int) -> Iterator[str]:
    """Yield the table of slopes of log crossing over log width: 0 under muP, 1/2 under NTK."""
    yield "| parametrization | crossings at widths " + ", ".join(map(str, WIDTHS)) + " | slope |"
    yield "|---|---|---|"
    for parametrization in ("mup", "ntk"):
        crossings = [find_crossing(DeepExperiment(MLP(64, n, 3, 10, parametrization=parametrization), DIGITS, device="cpu",
                                                  seeds=tuple(range(seeds)))).gamma or np.nan for n in WIDTHS]
        slope = np.polyfit(np.log(WIDTHS), np.log(crossings), 1)[0]
        yield f"| {parametrization} | {', '.join(f'{c:.3g}' for c in crossings)} | {slope:+.2f} |"


def tabulate_brackets(seeds: int) -> Iterator[str]:
    """Yield the table of brackets over the edges of a grid of rates at 200 steps."""
    yield "| optimizer | network | multiplier | bracket | edge | ratio |"
    yield "|---|---|---|---|---|---|"
    for optimizer in ("sgd", "adam", "adamw"):
        ratios, abstentions = [], 0
        for family in FAMILIES:
            for factor in (0.1, 1.0, 30.0):
                for seed in range(seeds):
                    e = make(family, factor, optimizer=optimizer, seeds=(seed,), method="auto")
                    found = bracket_rate(e)
                    if found.reason:
                        abstentions += 1
                        yield f"| {optimizer} | {family} | {factor:g} | {found.reason} | | |"
                        continue
                    grid = np.sqrt(found.low * found.high) * np.geomspace(*GRID)
                    edge = locate(e.measure(np.ones(1), grid))
                    middle = float(np.sqrt(edge.eta.sel(edge="eta_max").prod("bound", skipna=False)).item())
                    ratios.append(np.sqrt(found.low * found.high) / middle)
                    yield f"| {optimizer} | {family} | {factor:g} | {found.low:.3g}, {found.high:.3g} | {middle:.3g} | {ratios[-1]:.2f} |"
        known = np.array([r for r in ratios if np.isfinite(r)])
        within = np.mean((known > 0.5) & (known < 2)) if len(known) else np.nan
        yield f"| {optimizer} | all, {len(known)} compared, {abstentions} abstained | | | | within a factor 2: {within:.0%} |"


def measure_cost(seeds: int) -> Iterator[str]:
    """Yield the time of `where` on networks of 1e5 parameters."""
    yield "| network | parameters | CPU s | seconds | cost, steps |"
    yield "|---|---|---|---|---|"
    for name, network in (("MLP", MLP(64, 256, 3, 10)), ("CNN", CNN((1, 8, 8), 32, 10, 3, 1)),
                          ("own", lambda seed: dense(64, 10, 280, 3, nn.GELU, nn.LayerNorm))):
        module = network(0) if callable(network) else network.build(0)
        cpu, wall = time.process_time(), time.perf_counter()
        place = deepnets.where(network, DIGITS, optimizer="adam", seeds=tuple(range(seeds)), device="cpu")
        yield (f"| {name} | {sum(p.numel() for p in module.parameters())} | {time.process_time() - cpu:.1f} "
               f"| {time.perf_counter() - wall:.1f} | {place.cost} |")


TABLES = {"crossing": tabulate_crossings, "slopes": tabulate_slopes, "bracket": tabulate_brackets, "cost": measure_cost}

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if a in TABLES] or list(TABLES)
    counts = [int(a) for a in sys.argv[1:] if a.isdigit()] or [3]
    for table in names:
        for line in TABLES[table](counts[0]):
            print(line, flush=True)
        print(flush=True)
