"""Measure how well `deepnets.where` recovers planted multipliers and brackets the highest rate, and print the tables.

Run ``python -m tests.benchmarks.place_of_networks [crossing|slopes|bracket|cost] [seeds]``: some minutes each on one core.
``bracket`` and ``slopes`` measure what docs/data/kept/brackets.nc and crossings.nc lack, are safe to interrupt, and write the tables
docs/tables/brackets.md and crossing_slopes.md. The brackets' networks, tasks, multipliers and seed were written down before they were
measured; none of them was used to choose how a rate is bracketed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import xarray as xr
from scipy.stats import binomtest, t
from torch import nn

import deepnets
from deepnets import CNN, MLP, DeepExperiment, tasks
from deepnets.place.crossing import find_crossing
from deepnets.place.placement import WITHIN
from deepnets.place.rate_ramp import bracket_rate
from tests.benchmarks.tuning_regret import KEPT, TABLES, load_table
from validation import locate
from validation.provenance import collect_provenance
from validation.storage.netcdf import read_netcdf, write_netcdf

DECADES = 4.0                      # of the planted multipliers
REFERENCE = tuple(range(100, 110))      # seeds of a family's own crossing
WIDTHS, SEEDS, DEPTH = (32, 64, 128, 256, 512), 6, 3      # of the slopes over width
WIDER = 128                        # the wider half
SLOPES, PARAMETRIZATIONS = {"mup": "0", "ntk": "1/2"}, {"mup": "muP", "ntk": "NTK"}
CROSSINGS, SLOPE_TABLE = KEPT / "crossings.nc", TABLES / "crossing_slopes.md"
GRID = (1 / 20, 20, 28)              # of rates about the bracket, eleven a decade
BRACKETS, TABLE = KEPT / "brackets.nc", TABLES / "brackets.md"
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
MULTIPLIERS, SEED = (0.2, 2.0, 15.0), 11      # of the brackets' networks


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


def strides() -> nn.Module:
    """Return a network of two strided convolutions with GroupNorm for 8 x 8 digits."""
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.GroupNorm(3, 12), nn.GELU(),
                         nn.Conv2d(12, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 10))


def convolutions() -> nn.Module:
    """Return a network of two convolutions for 8 x 8 digits."""
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
                         nn.Conv2d(8, 16, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(256, 10))


class Lstm(nn.Module):
    """An LSTM that reads the columns of 8 x 8 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.readout = nn.LSTM(8, 20, batch_first=True), nn.Linear(20, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ten outputs from the mean over time."""
        return self.readout(self.cell(x.reshape(-1, 8, 8).transpose(1, 2))[0].mean(1))


class Skips(nn.Module):
    """Three residual branches of tanh units."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.readout = nn.Linear(64, 40), nn.Linear(40, 10)
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(40, 40), nn.Tanh()) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ten outputs."""
        x = self.embed(x)
        for branch in self.branches:
            x = x + branch(x)
        return self.readout(x)


Family = tuple[Callable[[], nn.Module], deepnets.tasks.Task, str]      # a network, a task and a loss
DIGITS, TEACHER, INDEX = tasks.digits(), tasks.teacher(16), tasks.single_index(16, 2)
FAMILIES: dict[str, Family] = {
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


BRACKETED: dict[str, Family] = {
    "GELU, L = 3, multi-index": (lambda: dense(24, 1, 72, 3, nn.GELU), tasks.multi_index(24), "mse"),
    "tanh, L = 5, teacher of 4 outputs": (lambda: dense(24, 4, 40, 5, nn.Tanh), tasks.teacher(24, out_features=4), "mse"),
    "ReLU, L = 2, single index": (lambda: dense(10, 1, 128, 2, nn.ReLU), tasks.single_index(10, 3), "mse"),
    "SELU, L = 3, digits": (lambda: dense(64, 10, 72, 3, nn.SELU), DIGITS, "cross_entropy"),
    "LayerNorm, ReLU, L = 3, wine": (lambda: dense(13, 3, 32, 3, nn.ReLU, nn.LayerNorm), load_table("wine"), "cross_entropy"),
    "BatchNorm, tanh, L = 3, tumours": (lambda: dense(30, 2, 40, 3, nn.Tanh, nn.BatchNorm1d), load_table("breast_cancer"), "mse"),
    "strided CNN, GroupNorm, digits": (strides, DIGITS, "cross_entropy"),
    "LSTM, digits": (Lstm, DIGITS, "mse"),
    "residual, tanh, digits": (Skips, DIGITS, "mse"),
}


def make(family: str, factor: float, **more: object) -> DeepExperiment:
    """Return the experiment of a family with a planted multiplier of its output."""
    build, task, loss = (FAMILIES | BRACKETED)[family]
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


def measure_crossings() -> xr.Dataset:
    """Return what is stored of the crossings over parametrization, width and seed, after measuring the widths that are missing."""
    stored = read_netcdf(CROSSINGS) if CROSSINGS.exists() else xr.Dataset(
        {"gamma": (("parametrization", "width", "seed"), np.full((len(SLOPES), len(WIDTHS), SEEDS), np.nan))},
        {"parametrization": list(SLOPES), "width": list(WIDTHS), "seed": np.arange(SEEDS)}, {"seconds": 0.0})
    for i, parametrization in enumerate(SLOPES):
        for j, width in enumerate(WIDTHS):
            if np.isfinite(stored["gamma"][i, j]).all():
                continue
            begin = time.process_time()
            for seed in range(SEEDS):
                network = MLP(64, width, DEPTH, 10, parametrization=parametrization)
                stored["gamma"][i, j, seed] = find_crossing(DeepExperiment(network, DIGITS, device="cpu", seeds=(seed,))).gamma or np.nan
            stored.attrs |= {"title": "gamma at the crossing between lazy and rich", "seconds": stored.attrs["seconds"] + round(
                time.process_time() - begin, 1)} | collect_provenance()
            write_netcdf(stored, CROSSINGS)
    return stored


def fit_slope(width: np.ndarray, gamma: np.ndarray, power: int = 1) -> tuple[float, float, float]:
    """Return the coefficient of the highest power of log width in a fit of log gamma (width, seed), and its 95% interval."""
    x = np.repeat(np.log(width / np.sqrt(width[0] * width[-1])), gamma.shape[1])
    fit, covariance = np.polyfit(x, np.log(gamma).reshape(-1), power, cov=True)
    half = float(t.ppf(0.975, len(x) - power - 1) * np.sqrt(covariance[0, 0]))
    return float(fit[0]), float(fit[0]) - half, float(fit[0]) + half


def summarize_slopes(stored: xr.Dataset) -> Iterator[str]:
    """Yield the table of slopes of log crossing over log width."""
    yield "| parametrization | theory | crossings at widths " + ", ".join(map(str, WIDTHS)) + f" | slope | from N = {WIDER} on | bend |"
    yield "|---|---|---|---|---|---|"
    for parametrization, theory in SLOPES.items():
        rows = stored["gamma"].sel(parametrization=parametrization)
        means = ", ".join(f"{g:.3g}" for g in np.exp(np.log(rows).mean("seed")).values)
        wide = rows.sel(width=rows["width"] >= WIDER)
        fits = [fit_slope(part["width"].values, part.values, power) for part, power in ((rows, 1), (wide, 1), (rows, 2))]
        cells = " | ".join(f"{value:+.3f} ({low:+.3f} to {high:+.3f})" for value, low, high in fits)
        yield f"| {PARAMETRIZATIONS[parametrization]} | {theory} | {means} | {cells} |"


def tabulate_slopes(seeds: int) -> Iterator[str]:
    """Measure what is missing, write the table that the page includes, and yield its lines; `seeds` changes nothing."""
    lines = list(summarize_slopes(measure_crossings()))
    SLOPE_TABLE.write_text("\n".join(lines) + "\n")
    yield from lines


def list_cases() -> list[tuple[str, str, str, float]]:
    """Return name, optimizer, family and multiplier of each case of the brackets."""
    return [(f"{family}, times {factor:g}, {optimizer}", optimizer, family, factor) for optimizer in OPTIMIZERS for family in BRACKETED
            for factor in MULTIPLIERS]


def measure_bracket(optimizer: str, family: str, factor: float) -> xr.Dataset:
    """Bracket the highest rate of one network, and find its edge on a grid of rates at 200 steps; NaN of an abstention and of no edge.

    The edge is the top of the highest set of trained rates; it is sought within a factor of 20 of the bracket. `trained` rates of this
    grid reach rho in 200 steps.
    """
    e = make(family, factor, optimizer=optimizer, seeds=(SEED,), method="auto")
    found = bracket_rate(e)
    edge, trained = np.nan, np.nan
    if not found.reason:
        grid = np.sqrt(found.low * found.high) * np.geomspace(*GRID)
        portrait = e.measure(np.ones(1), grid)
        trained = float((portrait["tail_excess"] <= e.rho).sum())
        edge = float(np.sqrt(locate(portrait).eta.sel(edge="eta_max").prod("bound", skipna=False)).item())
    return xr.Dataset({"low": found.low, "high": found.high, "edge": edge, "trained": trained, "steps": float(found.steps)})


def read_brackets() -> xr.Dataset:
    """Return the measured cases."""
    return read_netcdf(BRACKETS) if BRACKETS.exists() else xr.Dataset(coords={"case": np.array([], dtype=str)})


def measure_brackets() -> None:
    """Measure the cases that are missing, and store each."""
    for name, optimizer, family, factor in list_cases():
        former = read_brackets()
        if name in former["case"].values:
            continue
        begin = time.process_time()
        one = measure_bracket(optimizer, family, factor)
        seconds = former.attrs.get("seconds", 0.0) + round(time.process_time() - begin, 1)
        whole = xr.concat([former, one.expand_dims(case=[name])], "case") if former.sizes["case"] else one.expand_dims(case=[name])
        whole.attrs = {"title": "brackets of the highest rate, and edges at 200 steps", "seconds": seconds} | collect_provenance()
        write_netcdf(whole, BRACKETS)
        print(f"{name}: {', '.join(f'{v:.3g}' for v in one.to_array().values)}", file=sys.stderr, flush=True)


def summarize_brackets(stored: xr.Dataset) -> Iterator[str]:
    """Yield the table of brackets over edges, a line for each optimizer.

    The factor of 2 is that between the middle of a bracket and the edge. Where no rate of the grid trains in 200 steps there is no edge to
    compare with; an edge beyond the grid counts as not within 2.
    """
    yield ("| optimizer | cases | abstentions | no rate trains in 200 steps | within a factor of 2 | 95% interval "
           "| middle of the bracket over the edge, median | 80% of cases | edge as near to the bracket as `where` states "
           "| steps, at most |")
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for optimizer, name in OPTIMIZERS.items():
        rows = stored.sel(case=[case for case, of, *_ in list_cases() if of == optimizer])
        given = np.isfinite(rows["low"].values)
        seen = given & (rows["trained"].values > 0)
        ratio = (np.sqrt(rows["low"] * rows["high"]) / rows["edge"]).values[seen]
        within = int(((ratio > 0.5) & (ratio < 2)).sum())
        interval = binomtest(within, len(ratio)).proportion_ci(method="wilson")
        stated = WITHIN[1 if optimizer.startswith("adam") else 2]
        near = int(((rows["low"] <= stated * rows["edge"]) & (rows["edge"] <= stated * rows["high"])).values[seen].sum())
        low, middle, high = np.nanquantile(ratio, (0.1, 0.5, 0.9))
        yield (f"| {name} | {len(given)} | {int((~given).sum())} | {int((given & ~seen).sum())} "
               f"| {within} of {len(ratio)} | {interval.low:.0%} to {interval.high:.0%} "
               f"| {middle:.2f} | {low:.2f} to {high:.2f} | {near} of {len(ratio)}, factor {stated} | {int(rows['steps'].max())} |")


def tabulate_brackets(seeds: int) -> Iterator[str]:
    """Measure what is missing, write the table that the page includes, and yield its lines; `seeds` changes nothing."""
    measure_brackets()
    lines = list(summarize_brackets(read_brackets()))
    TABLE.write_text("\n".join(lines) + "\n")
    yield from lines


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
