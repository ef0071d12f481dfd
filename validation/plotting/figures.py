"""Draw portraits and edges with matplotlib, which is imported here alone, and only when something is drawn.

Figures are plain objects, free of pyplot's global state; only `plot_portrait` without axes makes one through pyplot, which a
notebook shows.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.arguments import Misuse, between
from validation.fitting.brackets import conditions
from validation.outcome import Outcome
from validation.plotting.cycles import CLASSES, classify_periods
from validation.plotting.mesh import build_mesh, paint
from validation.plotting.predicted_edges import draw_predictions
from validation.plotting.rate_units import divide_rates, find_unit
from validation.plotting.style import COLOURS, INK, label_decades
from validation.printable import escape_math, shorten

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CEILING = {"final_excess": 0, "tail_excess": 0}   # log10: the bar's arrow marks runs that ended worse than they began

LINEAR = {"final_accuracy": (0.0, 1.0), "lyapunov": (-1.0, 1.0)}      # drawn on a linear scale between these
HATCH = "#7fa8c4"        # of the runs that are on their way
LONGEST_TITLE = 200      # characters
# in every file, by which it is known again
MARKS = {".png": b"Software\0lazyrich", ".pdf": b"/Creator (lazyrich)", ".svg": b"<dc:title>lazyrich</dc:title>"}

NARROW = 5.0        # inches: a figure up to this wide has its legend beneath
# inches: a panel's width, its height and that of its residuals; the margin for labels on its left; a block of both with title and label
PANEL, MARGIN, BLOCK = (3.55, 2.9, 1.15), 1.1, 5.2


def plot_portrait(portrait: xr.Dataset, predictions: Mapping[str, Any] | None = None, variable: str | None = None,
                  ax: Axes | None = None, rescale: str | None = None) -> Axes:
    """Draw one portrait over (gamma, eta), with the predicted edges over it.

    Parameters
    ----------
    portrait : the dataset of the contract. Of a leading dimension ``seed`` the first is drawn, of any other
        (``horizon``, ``width``, ``depth``) the last; the title says so.
    predictions : edge -> `Prediction` (or any ``curve(gamma, steps, rho)``), taken at the portrait's steps and rho.
    variable : None or "outcome" for the map of outcomes; else the name of a variable, drawn in colour on a logarithmic
        scale (an accuracy or a Lyapunov exponent on a linear one) with the diverged runs in grey; unrun points stay white. Of
        `toymodels.orbit`, "period" is a map with a colour for each of the shortest.
    ax : axes to draw into; None makes a figure through pyplot, which a notebook shows.
    rescale : what eta is divided by: "gamma2" for gamma^2, in whose units lazy edges are level, or the name of a predicted edge, such as
        "eta_max"; gammas at which it is not predicted are left out. None: eta itself.

    Returns
    -------
    The axes; their legend or colour bar stands beside them, never over the data.

    Raises
    ------
    Misuse : the portrait lacks the variable or one of its two dimensions; an unknown `rescale`.
    """
    if not hasattr(portrait, "data_vars"):
        raise Misuse(f"portrait must be an xarray.Dataset, not {type(portrait).__name__}")
    if predictions is not None and not isinstance(predictions, Mapping):
        raise Misuse(f"predictions must map edges to Predictions, as toymodels.predict returns them, not {predictions!r}")
    if ax is not None and not hasattr(ax, "pcolormesh"):
        raise Misuse(f"ax must be matplotlib axes, not {ax!r}")
    name = variable or "outcome"
    from matplotlib.lines import Line2D

    picture, chosen = _slice(portrait, name)
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.figure(figsize=(7.6, 4.8), layout="constrained").add_subplot()
    steps, rho = conditions(picture)
    steps, rho = steps or 1000, 0.01 if rho is None else rho
    unit = find_unit(rescale, predictions or {}, steps, rho)
    picture = divide_rates(picture, unit)
    mesh = build_mesh(picture)
    ax.set(xscale="log", yscale="log", xlabel="richness  γ", ylabel=unit.label, xlim=(mesh[0].min(), mesh[0].max()),
           ylim=(mesh[1].min(), mesh[1].max()) if rescale is None else unit.frame(mesh[1], predictions or {}, picture["gamma"].values))
    label_decades(ax, "x", "y")
    if name == "outcome":
        handles = _draw_outcomes(ax, picture, mesh)
    elif name == "period":
        handles = _draw_classes(ax, mesh, classify_periods(picture["period"].transpose("gamma", "eta").values), CLASSES)
    else:
        handles = _draw_variable(ax, picture, mesh, name)
    ax.set_title(", ".join(f"{escape_math(dim)} {escape_math(value)}" for dim, value in chosen.items()), fontsize="medium")
    entries = draw_predictions(ax, predictions or {}, unit, 1.5 if name == "outcome" else 0.8, _halo)
    handles += [Line2D([], [], **entry) for entry in entries]
    if handles and name in ("outcome", "period"):
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False)
    elif handles:   # the colour bar stands on the right
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)
    return ax


def portrait_figure(portrait: xr.Dataset, predictions: Mapping[str, Any] | None = None, variable: str | None = None,
                    title: str = "", width: float = 7.6, rescale: str | None = None) -> Figure:
    """Return a new figure, free of pyplot, with the portrait drawn by `plot_portrait`, for files.

    `width` is in inches, from 2 to 40. Up to 5, as in one column of a paper, letters are small and the legend stands beneath.
    """
    between("width", width, 2, 40)
    narrow = width <= NARROW
    with set_font(7 if narrow else 10):
        figure = blank(width, (1.05 if narrow else 0.632) * width)
        ax = plot_portrait(portrait, predictions, variable, figure.add_subplot(), rescale)
        if narrow and (legend := ax.get_legend()) is not None:
            entries: list[Any] = list(legend.legend_handles)
            words = [text.get_text() for text in legend.get_texts()]
            legend.remove()
            figure.legend(entries, words, loc="outside lower center", ncols=2, frameon=False)
    if title:
        ax.set_title("\n".join(filter(None, [escape_math(shorten(title, LONGEST_TITLE)), ax.get_title()])), fontsize="medium")
    return figure


def plot_edges(edges: xr.Dataset, fits: Iterable[Any] = (), predictions: Mapping[str, Any] | None = None,
               verdicts: Iterable[Any] = (), curves: Iterable[Any] = ()) -> Figure:
    """Draw, edge by edge, the brackets over gamma with fits and prediction, and beneath them the residuals in decades.

    Where there are fits or predictions, the edges that have neither are left out.

    Parameters
    ----------
    edges : ``eta`` over (edge, gamma, bound), bound = lower, upper, NaN = censored (drawn as an arrow).
    fits : `PowerLawFit`, each drawn over its shaded window with its exponent beside it.
    predictions : edge -> `Prediction`; residuals are taken from it, or, where there is none, from the first fit.
    verdicts : `Verdict`, written beneath the exponent that they judge.
    curves : `Verdict` on whole predictions, written above the edge that they judge.

    Returns
    -------
    A figure, free of pyplot, with two axes an edge.
    """
    if "eta" not in edges or not {"edge", "gamma", "bound"} <= set(edges["eta"].dims):
        raise Misuse("edges must hold a variable 'eta' over (edge, gamma, bound), "
                     f"not {dict(edges.sizes)} with {', '.join(map(repr, edges.data_vars)) or 'no variables'}")
    from validation.plotting.edge_axes import draw_edge

    fits, verdicts, predictions, curves = list(fits), list(verdicts), dict(predictions or {}), list(curves)
    drawn = [str(e) for e in edges["edge"].values if np.isfinite(edges["eta"].sel(edge=e)).any()]
    mentioned = set(predictions) | {str(f.edge) for f in fits}
    drawn = [e for e in drawn if e in mentioned] or drawn
    if not drawn:
        raise Misuse("edges must hold at least one bracket with a known end; every one is censored on both sides")
    columns = 2 if len(drawn) == 4 else min(len(drawn), 3)
    blocks = -(-len(drawn) // columns)
    # laid out in inches: matplotlib's layout measures every tick's text, which takes as long as the drawing
    width, height, legend = columns * (PANEL[0] + MARGIN) + 0.2, blocks * BLOCK + 0.45, 0.45
    figure = blank(width, height, layout=None)
    for i, edge in enumerate(drawn):
        row, column = divmod(i, columns)
        left, bottom = MARGIN + column * (PANEL[0] + MARGIN), legend + (blocks - 1 - row) * BLOCK + 0.6
        upper = figure.add_axes((left / width, (bottom + PANEL[2] + 0.15) / height, PANEL[0] / width, PANEL[1] / height))
        lower = figure.add_axes((left / width, bottom / height, PANEL[0] / width, PANEL[2] / height), sharex=upper)
        draw_edge(upper, lower, edges, edge, [f for f in fits if str(f.edge) == edge], predictions.get(edge),
                   [v for v in verdicts if str(v.edge) == edge])
        for verdict in [v for v in curves if str(v.edge) == edge]:
            upper.set_title(f"prediction: {verdict.outcome}", loc="right", fontsize="small", color=INK[str(verdict.outcome)])
    entries: dict[str, Any] = {}
    for ax in figure.axes:
        handles, labels = ax.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    # one panel is narrow: its legend takes two rows
    figure.legend(entries.values(), entries.keys(), loc="lower center", ncols=len(entries) if columns > 1 else 2, frameon=False,
                  borderaxespad=0.2)
    return figure


def blank(width: float, height: float, layout: Any = "constrained") -> Figure:
    """Return an empty figure of `width` by `height` inches, free of pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def set_font(size: float) -> Any:
    """Return a context in which figures have letters of this size, in points."""
    from matplotlib import rc_context

    return rc_context({"font.size": size})


def shades(values: np.ndarray) -> tuple[list[Any], Any]:
    """Return a colour for each of the values (n,), lighter for larger ones, and the mappable that `Figure.colorbar` needs."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = float(np.min(values)), float(np.max(values))
    scale = ScalarMappable(Normalize(low, high if high > low else low + 1), colormaps["viridis"].resampled(256))
    return [scale.to_rgba(v) for v in np.asarray(values, dtype=float)], scale


def image(figure: Figure, kind: str = "png", dpi: int = 150) -> bytes:
    """Return the figure as the bytes of a "png", "svg" or "pdf" file; the same figure gives the same bytes."""
    import matplotlib

    stream = io.BytesIO()
    undated: dict[str, Any] = {"png": {"Software": "lazyrich"}, "svg": {"Date": None, "Creator": "lazyrich"},
                                     "pdf": {"CreationDate": None, "Creator": "lazyrich"}}
    if kind not in undated:
        raise Misuse(f"kind must be one of 'png', 'svg', 'pdf', not {kind!r}")
    with matplotlib.rc_context({"svg.hashsalt": "lazyrich"}):
        try:
            figure.savefig(stream, format=kind, dpi=dpi, facecolor="white", metadata=undated[kind])
        except (RuntimeError, OSError, ValueError) as error:
            if not matplotlib.rcParams["text.usetex"]:
                raise
            why = str(error).splitlines()[0]
            raise Misuse(f"figures need LaTeX where matplotlib's text.usetex is set, and it failed: {why}") from error
    return stream.getvalue()


def _halo(width: float) -> list[Any]:
    """Return a white halo of that width, in points, around a line or letters."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]


def _slice(portrait: xr.Dataset, name: str) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return one (gamma, eta) slice of the portrait, and the coordinate of each dimension that was fixed for it."""
    if name not in portrait.data_vars:
        raise Misuse(f"variable must be one of {', '.join(map(repr, portrait.data_vars)) or 'none'}, not {name!r}")
    if not {"gamma", "eta"} <= set(portrait[name].dims):
        raise Misuse(f"a portrait's {name!r} must have the dimensions 'gamma' and 'eta', not {portrait[name].dims}")
    where = {dim: 0 if dim == "seed" else -1 for dim in portrait[name].dims if dim not in ("gamma", "eta")}
    picture = portrait.isel(where)
    chosen = {str(d): picture[d].values.item() if d in picture.coords else range(portrait.sizes[d])[i]
              for d, i in where.items()}
    return picture, chosen


def _draw_outcomes(ax: Axes, picture: xr.Dataset, mesh: tuple[np.ndarray, np.ndarray]) -> list[Artist]:
    """Draw the map of outcomes and return a legend entry for each that is present, from low eta to high."""
    codes = picture["outcome"].transpose("gamma", "eta").values
    if strange := sorted(set(np.unique(codes).tolist()) - {int(o) for o in Outcome}):
        raise Misuse(f"a portrait's 'outcome' must be one of {[int(o) for o in sorted(Outcome)]}, not {strange[0]}")
    handles = _draw_classes(ax, mesh, codes, {o.label: COLOURS[o] for o in sorted(Outcome)}, min(Outcome))[::-1]
    if min(codes.shape) > 1 and (codes == Outcome.PARTIAL).any():
        _hatch_partial(ax, picture, codes == Outcome.PARTIAL, handles)
    return handles


def _hatch_partial(ax: Axes, picture: xr.Dataset, partial: np.ndarray, handles: list[Any]) -> None:
    """Hatch the runs that are on their way (gamma, eta), and their legend entry: more steps would move their borders."""
    from matplotlib import rc_context

    gamma = picture["gamma"].values.astype(float)
    rates = picture["eta_value"].transpose("gamma", "eta").values if "eta_value" in picture else picture["eta"].values[None].astype(float)
    with rc_context({"hatch.color": HATCH, "hatch.linewidth": 0.5}):
        ax.contourf(np.broadcast_to(gamma[:, None], partial.shape), np.broadcast_to(rates, partial.shape), partial,
                    levels=[0.5, 1.5], colors="none", hatches=["////"])
        for patch in handles:
            if patch.get_label() == Outcome.PARTIAL.label:
                patch.set_hatch("////")


def _draw_classes(ax: Axes, mesh: tuple[np.ndarray, np.ndarray], codes: np.ndarray, classes: Mapping[str, str],
                  first: int = 0) -> list[Artist]:
    """Draw classes, whose codes (gamma, eta) count from `first`, by their colours; return a legend entry for each that is present."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    paint(ax, mesh, codes, cmap=ListedColormap(list(classes.values())), vmin=first - 0.5, vmax=first + len(classes) - 0.5)
    return [Patch(facecolor=colour, edgecolor="0.35", linewidth=0.5, label=label)
            for code, (label, colour) in enumerate(classes.items(), first) if code in codes]


def _draw_variable(ax: Axes, picture: xr.Dataset, mesh: tuple[np.ndarray, np.ndarray], name: str) -> list[Artist]:
    """Draw one variable with its colour bar, diverged runs in grey and unrun points left white; return the legend entry of the grey."""
    from matplotlib.colors import ListedColormap, LogNorm, Normalize
    from matplotlib.patches import Patch

    values = picture[name].transpose("gamma", "eta").values.astype(float)
    lost = ~np.isfinite(values)
    diverged = lost
    if "outcome" in picture:
        codes = picture["outcome"].transpose("gamma", "eta").values
        lost |= codes == Outcome.DIVERGED
        diverged = lost & (codes != Outcome.UNRUN)
    shown, linear = values[~lost], name in LINEAR
    if linear:
        low, high = LINEAR[name]
    else:
        # whole decades, at most six: what lies beyond takes the end's colour, and the bar's arrow says so
        seen = np.log10(shown[shown > 0]) if (shown > 0).any() else np.array([0.0])
        high = 10.0 ** np.clip(np.ceil(np.quantile(seen, 0.995) - 1e-9), -200, CEILING.get(name, 300))
        low = min(max(10.0 ** max(np.floor(seen.min()), -300), high * 1e-6), high / 10)
    over, under = bool((shown > high).any()), bool((shown < low).any())
    painted = paint(ax, mesh, np.ma.masked_array(np.where(lost, high, np.clip(values, low, high)), lost),
                     cmap="viridis", norm=Normalize(low, high) if linear else LogNorm(low, high))
    if diverged.any():
        paint(ax, mesh, np.ma.masked_array(np.zeros(diverged.shape), ~diverged), cmap=ListedColormap([COLOURS[Outcome.DIVERGED]]))
    extend = {(0, 0): "neither", (1, 0): "max", (0, 1): "min", (1, 1): "both"}[over, under]
    label = shorten(str(picture[name].attrs.get("long_name", name)), LONGEST_TITLE)
    ax.figure.colorbar(painted, ax=ax, label=escape_math(label), extend=extend)
    return [Patch(facecolor=COLOURS[Outcome.DIVERGED], edgecolor="0.35", label="diverged")] if diverged.any() else []
