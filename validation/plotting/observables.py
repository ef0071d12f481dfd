"""Draw the observables of runs: over gamma at the last snapshot, and in time, as medians over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.plotting.figures import blank, shades
from validation.plotting.style import label_decades
from validation.printable import escape_math

if TYPE_CHECKING:
    import xarray as xr

Axes = Any   # matplotlib's; only validation.plotting.figures may name it
Figure = Any
Laws = Mapping[str, Iterable[tuple[float, float, float]]]
PANEL = (3.7, 3.1)      # inches
MARKS = "osD^v<>Ph*"
NARROW = 12             # lines; with more, the legend would be longer than its panel


def draw_observables(observed: xr.Dataset, laws: Laws | None = None) -> dict[str, tuple[Figure, str]]:
    """Return a figure and its description for each observable in the dataset, by the observable's name.

    Parameters
    ----------
    observed : variables over (seed, step, run, ...) with the coordinate gamma (run), as `deepnets.observe` gives them.
    laws : by observable ("hessian", "weights"), exponents of gamma with the ends of their windows, drawn beside the data.
    """
    pictures = {}
    for name, (needs, panels, draw, words) in DRAWN.items():
        if any(n in observed for n in needs):
            figure = blank(panels * PANEL[0] + 0.9, PANEL[1] + 0.6)
            draw(figure.subplots(1, panels, squeeze=False)[0], observed, list((laws or {}).get(name, ())))
            pictures[name] = figure, words
    return pictures


def draw_over_gamma(ax: Axes, observed: xr.Dataset, values: xr.DataArray, lines: str,
                    laws: Iterable[tuple[float, float, float]] = ()) -> None:
    """Draw values (seed, run, `lines`) over gamma: each seed as marks, the median as a line, the laws above the first line."""
    values = values.transpose("seed", "run", lines)
    gamma, names = observed["gamma"].values, [escape_math(n) for n in values[lines].values]
    colours = shades(np.arange(len(names)))[0]
    shown = values.where(values > 0).values                            # (seed, run, line)
    few = len(names) <= NARROW and not names[0].isdigit()
    for i, name in enumerate(names):
        if not np.isfinite(shown[..., i]).any():
            continue
        ax.plot(gamma, _median(shown[..., i]), color=colours[i], lw=1.2, label=name if few else None)
        for one in shown[..., i]:
            ax.plot(gamma, one, ls="", marker=MARKS[i % len(MARKS)], ms=3, color=colours[i])
    ax.set(xscale="log", yscale="log", xlabel="richness  γ")
    first = _median(shown[..., 0])
    for exponent, low, high in laws:
        inside = (gamma >= low) & (gamma <= high) & np.isfinite(first)
        if inside.sum() > 1:
            ends = gamma[inside][[0, -1]]
            level = np.mean(np.log10(first[inside]) - exponent * np.log10(gamma[inside])) + 0.35      # above the data, not over them
            ax.plot(ends, 10**level * ends**exponent, color="black", lw=1.2, ls=(0, (6, 2)), label=f"slope {exponent:.3g}")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
    label_decades(ax, "x", "y")


def draw_in_time(ax: Axes, observed: xr.Dataset, values: xr.DataArray, log: bool = True) -> Any:
    """Draw values (seed, step, run), the median over seeds, a line for each gamma; return the mappable of the colour bar."""
    seen = values.transpose("seed", "step", "run").values
    seen = _median(np.where(seen > 0, seen, np.nan) if log else seen)            # (step, run)
    colours, scale = shades(np.log10(observed["gamma"].values))
    for p, colour in enumerate(colours):
        ax.plot(observed["step"].values, seen[:, p], color=colour, lw=1.2, marker="o", ms=2)
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlabel("step  t")
    ax.set_xlim(0, None)
    if log and np.isfinite(seen).any():
        ax.set_yscale("log")
        label_decades(ax, "y")
    return scale


def _median(values: np.ndarray) -> np.ndarray:
    """Return the median over the first dim, the seeds, NaN where no seed has a number."""
    lost = np.isnan(values).all(0)
    return np.where(lost, np.nan, np.nanmedian(np.where(lost, 0.0, values), 0))


def _draw_bar(axes: Iterable[Axes], scale: Any) -> None:
    axes = list(axes)
    axes[0].figure.colorbar(scale, ax=axes, label="log₁₀ γ")


def _draw_hessian(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    theta = observed["hessian"] / observed["gamma"] ** 2
    draw_over_gamma(axes[0], observed, theta.isel(step=-1), "eigenvalue", laws)
    axes[0].set(title=f"the {theta.sizes['eigenvalue']} largest after step {int(observed['step'][-1])}", ylabel="λ  in θ")
    scale = draw_in_time(axes[1], observed, theta.isel(eigenvalue=0))
    axes[1].set(title="the largest in time", ylabel="λ₁  in θ")
    _draw_bar(axes[1:], scale)


def _draw_parts(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    import xarray as xr

    last, parts = observed.isel(step=-1), {}
    if "gauss_newton" in observed:
        parts["Gauss-Newton, largest"] = last["gauss_newton"].isel(eigenvalue=0, drop=True)
    if "residual_part" in observed:
        parts |= {f"residual, |{end}|": abs(last["residual_part"].sel(extreme=end, drop=True)) for end in ("largest", "smallest")}
    draw_over_gamma(axes[0], observed, xr.concat(list(parts.values()), "which").assign_coords(which=list(parts)), "which")
    axes[0].set(title=f"parts of the Hessian after step {int(observed['step'][-1])}", ylabel="λ  in u")


def _draw_sharpness(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    scale = draw_in_time(axes[0], observed, observed["sharpness"])
    axes[0].axhline(1, color="black", lw=1, ls=(0, (6, 2)))
    axes[0].set(title="sharpness in units of 2/η", ylabel="N η λ₁/2")
    _draw_bar(axes, scale)


def _draw_kernel(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    size = observed["kernel"].sel(norm="frobenius")
    draw_in_time(axes[0], observed, size)
    axes[0].set(title="tangent kernel, Frobenius", ylabel="|K|/n")
    scale = draw_in_time(axes[1], observed, observed["kernel_change"])
    axes[1].set(title="its change", ylabel="|K − K₀|/|K₀|")
    _draw_bar(axes, scale)


def _draw_alignment(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    for ax, norm in zip(axes, observed["norm"].values, strict=True):
        scale = draw_in_time(ax, observed, observed["alignment"].sel(norm=norm), log=False)
        ax.set(title=str(norm))
    axes[0].set_ylabel("alignment with the targets")
    _draw_bar(axes, scale)


def _draw_rank(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    for ax, kind in zip(axes, observed["kind"].values, strict=True):
        scale = draw_in_time(ax, observed, observed["rank"].sel(kind=kind), log=False)
        ax.set(title=f"effective rank, {kind}")
    _draw_bar(axes, scale)


def _draw_weights(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    for ax, norm in zip(axes, observed["norm"].values, strict=True):
        draw_over_gamma(ax, observed, observed["weights"].isel(step=-1).sel(norm=norm), "parameter", laws)
        ax.set(title=f"{norm} norm")
    axes[0].set_ylabel("|W − W₀|")


def _draw_activations(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    for ax, end in zip(axes, observed["end"].values, strict=True):
        draw_over_gamma(ax, observed, observed["activations_relative"].isel(step=-1).sel(end=end), "layer")
        ax.set(title=f"what a layer {end if end == 'made' else 'reads'}".replace("made", "makes"))
    axes[0].set_ylabel("rms change/rms at θ₀")


def _draw_agreement(axes: Any, observed: xr.Dataset, laws: Any) -> None:
    last = observed["agreement"].isel(step=-1).transpose("seed", "run", "other").values
    gamma, ax = np.log10(observed["gamma"].values), axes[0]
    painted = ax.pcolormesh(np.arange(len(gamma) + 1), np.arange(len(gamma) + 1), _median(last), vmin=0, vmax=1, cmap="viridis")
    few = np.unique(np.linspace(0, len(gamma) - 1, min(len(gamma), 6)).round().astype(int))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(few + 0.5, [f"{gamma[i]:.2g}" for i in few])
    ax.set(xlabel="log₁₀ γ", ylabel="log₁₀ γ", title=f"agreement after step {int(observed['step'][-1])}", aspect="equal")
    ax.figure.colorbar(painted, ax=ax, label="correlation", extend="min" if (last < 0).any() else "neither")


# observable: the variables of which one must exist, the number of panels, the function that draws it, and its description
DRAWN: dict[str, tuple[tuple[str, ...], int, Callable[[Any, Any, Any], None], str]] = {
    "hessian": (("hessian",), 2, _draw_hessian, "largest eigenvalues of the Hessian in theta, over gamma after the last step and in time"),
    "parts": (("gauss_newton", "residual_part"), 1, _draw_parts, "extreme eigenvalues of the parts of the Hessian in u, over gamma"),
    "sharpness": (("sharpness",), 1, _draw_sharpness, "sharpness N eta lambda/2 in time, one line for each gamma"),
    "kernel": (("kernel",), 2, _draw_kernel, "size of the tangent kernel and its change in time, one line for each gamma"),
    "alignment": (("alignment",), 3, _draw_alignment, "alignment of the last hidden kernel with the targets in time, in three norms"),
    "rank": (("rank",), 2, _draw_rank, "effective rank of the last hidden kernel in time"),
    "weights": (("weights",), 3, _draw_weights, "movement of each weight over gamma after the last step, in three norms"),
    "activations": (("activations_relative",), 2, _draw_activations, "relative change of activations over gamma after the last step"),
    "agreement": (("agreement",), 1, _draw_agreement, "correlation of the outputs of runs at any two gammas after the last step"),
}
