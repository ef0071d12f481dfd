"""Figures: what is drawn where, in which colours, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from validation import fit
from validation.arguments import Misuse
from validation.outcome import Outcome
from validation.plotting import figures
from validation.plotting.mesh import find_cells
from validation.prediction import Prediction
from validation.reporting.folder import publish_picture


def synthetic(gammas=41, etas=81, **attrs):
    """A portrait shaped like the paper's Figure 6: trained between gamma**2/1000 and gamma**2, diverged far above."""
    gamma, eta = np.logspace(-5, 5, gammas), np.logspace(-12, 12, etas)
    ratio = np.log10(eta[None] / gamma[:, None] ** 2)
    codes = np.select([ratio < -4, ratio < -2, ratio < 0.3, ratio < 0.8], [0, 1, 2, 4], 6).astype(np.int8)
    excess = np.select([ratio < -2, ratio < 0.3, ratio < 0.8], [1.0, 10.0 ** (-8 - 4 * ratio), 0.5], np.inf)
    dims = ("gamma", "eta")
    peak = np.maximum(excess, 1)
    return xr.Dataset({"outcome": (dims, codes), "final_excess": (dims, excess), "peak_excess": (dims, peak)},
                      coords={"gamma": gamma, "eta": eta}, attrs={"steps": 1000, "rho": 0.01} | attrs)


def eta_max(gamma, steps=1000, rho=0.01):
    return 2 * np.asarray(gamma) ** 2


def eta_min(gamma, steps=1000, rho=0.01):
    """Nothing is predicted between 0.1 and 10."""
    gamma = np.asarray(gamma)
    return np.where((gamma > 0.1) & (gamma < 10), np.nan, 10 * gamma**2 / steps)


EDGES = {"eta_max": eta_max, "eta_min": eta_min}


def axes(rows=1):
    return figures.blank(6, 4).add_subplot()


def mesh_of(ax):
    return ax.collections[0]


def pixel(ax, gamma, eta):
    """The colour on the canvas at (gamma, eta), as three bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    x, y = ax.transData.transform((gamma, eta))
    image = np.asarray(canvas.buffer_rgba())
    return tuple(int(c) for c in image[image.shape[0] - 1 - int(y), int(x), :3])


def rgb(colour):
    return tuple(int(colour[i:i + 2], 16) for i in (1, 3, 5))


def lightness(colours):
    """CIE L* of sRGB colours, shape (n, 3) of 0..255."""
    c = np.asarray(colours) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(y) - 16


def test_every_outcome_has_a_colour_that_survives_grey():
    assert set(figures.COLOURS) == set(Outcome)
    levels = np.sort(lightness([rgb(c) for c in figures.COLOURS.values()]))
    assert np.diff(levels).min() > 6


@pytest.mark.parametrize("matrix", [
    # Machado, Oliveira & Fernandes 2009, severity 1: protanopia, deuteranopia, tritanopia
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
], ids=["protanopia", "deuteranopia", "tritanopia"])
def test_the_palette_survives_colour_blindness(matrix):
    c = np.array([rgb(c) for c in figures.COLOURS.values()]) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ np.array(matrix).T
    seen = np.clip(linear, 0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 100 * np.eye(len(lab))
    assert distance.min() > 10


@pytest.mark.parametrize(("ratio", "outcome"), [(-8, Outcome.UNTRAINED), (-3, Outcome.PARTIAL), (-1, Outcome.CONVERGED),
                                                (0.55, Outcome.OSCILLATING), (3, Outcome.DIVERGED)])
def test_each_run_is_painted_at_its_own_place(ratio, outcome):
    ax = figures.plot_portrait(synthetic(161, 481), ax=axes())
    assert pixel(ax, 0.1, 0.01 * 10.0**ratio) == rgb(figures.COLOURS[outcome])


def test_the_cells_surround_their_points():
    ax = figures.plot_portrait(synthetic(), ax=axes())
    assert ax.get_xlim() == pytest.approx((10 ** (-5 - 0.125), 10 ** (5 + 0.125)))
    assert ax.get_ylim() == pytest.approx((10 ** (-12 - 0.15), 10 ** (12 + 0.15)))
    assert mesh_of(ax).get_rasterized()


def test_a_gamma_of_its_own_axis_keeps_its_column():
    portrait = synthetic(5, 9)
    portrait["eta_value"] = portrait["eta"] * portrait["gamma"] ** 2
    portrait["outcome"] = portrait["outcome"] * 0 + 2
    portrait = portrait.assign_coords(eta=np.arange(9)).transpose("eta", "gamma")
    ax = figures.plot_portrait(portrait, ax=axes())
    blue, white = rgb(figures.COLOURS[Outcome.CONVERGED]), (255, 255, 255)
    assert [pixel(ax, g, e * g**2) for g in (1e-5, 1.0, 1e5) for e in (1e-12, 1.0, 1e12)] == [blue] * 9
    assert pixel(ax, 1.0, 1e16) == pixel(ax, 1.0, 1e-16) == white
    assert pixel(ax, 1e-5, 1e10) == white


def test_the_legend_names_the_outcomes_present_and_stays_off_the_data():
    ax = figures.plot_portrait(synthetic(), EDGES, ax=axes())
    words = [t.get_text() for t in ax.get_legend().get_texts()]
    assert words == ["diverged", "oscillating", "converged", "partial", "untrained",
                     r"$\eta_{\max}$ predicted", r"$\eta_{\min}$ predicted"]
    figures.image(ax.figure)   # lays the figure out
    assert not ax.get_legend().get_window_extent().overlaps(ax.get_window_extent())


def test_predictions_are_drawn_where_they_are_with_their_gaps():
    ax = figures.plot_portrait(synthetic(steps=500), EDGES, ax=axes())
    upper, lower = ax.get_lines()
    x, y = lower.get_data()
    gap = (x > 0.1) & (x < 10)
    np.testing.assert_allclose(upper.get_ydata(), 2 * upper.get_xdata() ** 2, rtol=1e-12)
    np.testing.assert_allclose(y[~gap], x[~gap] ** 2 / 50, rtol=1e-12)
    assert np.isnan(y[gap]).all()
    assert upper.get_linestyle() != lower.get_linestyle()


def test_edges_that_close_are_drawn_as_far_as_they_meet():
    class Closing(Prediction):
        def __init__(self, power):
            self.power = power

        def __call__(self, gamma, steps=1000, rho=0.01):
            return np.where(gamma <= 137.0, (gamma / 137.0) ** self.power, np.nan)

        def exponent(self, regime):
            return self.power

        def closing_point(self, steps=1000, rho=0.01):
            return 137.0

    ax = figures.plot_portrait(synthetic(), {"eta_min": Closing(1), "eta_max": Closing(0.5)}, ax=axes())
    for line in ax.get_lines():
        x, y = line.get_data()
        assert np.array([x, y])[:, np.isfinite(y)][:, -1] == pytest.approx([137.0, 1.0])


def test_labels_sit_on_their_lines_inside_the_axes_and_apart():
    same = {"eta_crit": eta_max, "eta_max": eta_max}   # two predictions that coincide
    ax = figures.plot_portrait(synthetic(), same, ax=axes())
    places = np.array([t.get_position() for t in ax.texts])
    assert ((places > 0.02) & (places < 0.98)).all()
    assert np.hypot(*(places[0] - places[1])) > 0.1
    low, high = np.log10(ax.get_xlim()), np.log10(ax.get_ylim())
    for x, y in places:
        gamma, eta = 10 ** (low[0] + x * np.diff(low)), 10 ** (high[0] + y * np.diff(high))
        assert eta_max(gamma) == pytest.approx(eta, rel=0.05)


def test_exponents_stand_along_the_edges_beside_them():
    class Law(Prediction):
        def __call__(self, gamma, steps=1000, rho=0.01):
            gamma = np.asarray(gamma, dtype=float)
            return np.where(gamma < 1, gamma**2, np.cbrt(gamma**2))

        def exponent(self, regime):
            return "2" if regime == "lazy" else "2/3"

    ax = figures.plot_portrait(synthetic(), {"eta_max": Law()}, ax=axes())
    texts = {t.get_text(): t for t in ax.texts}
    assert set(texts) == {r"$\eta_{\max}$", r"$\gamma^{2}$", r"$\gamma^{2/3}$"}
    assert texts[r"$\gamma^{2}$"].get_rotation() > texts[r"$\gamma^{2/3}$"].get_rotation() > 0
    low, high = np.log10(ax.get_xlim()), np.log10(ax.get_ylim())
    for power, lazy in ((r"$\gamma^{2}$", True), (r"$\gamma^{2/3}$", False)):
        x, y = texts[power].get_position()
        gamma, eta = 10 ** (low[0] + x * np.diff(low)), 10 ** (high[0] + y * np.diff(high))
        assert (gamma < 1) == lazy
        assert 0.01 < abs(np.log10(Law()(gamma) / eta)) / np.diff(high) < 0.08      # beside the line, not on it
    assert len(figures.plot_portrait(synthetic(), {"eta_max": Law()}, ax=axes(), rescale="gamma2").texts) == 1


def test_a_prediction_out_of_sight_gets_no_label():
    ax = figures.plot_portrait(synthetic(), {"eta_div": lambda g, steps, rho: 1e30 * g}, ax=axes())
    assert not ax.texts
    assert not ax.get_lines()


def test_a_horizon_that_was_selected_is_the_one_predicted_for():
    """The attribute `steps` still lists them all."""
    conditions = []

    def curve(gamma, steps, rho):
        conditions.append((steps, rho))
        return np.asarray(gamma) ** 2

    stack = xr.concat([synthetic(), synthetic()], xr.Variable("horizon", [100, 700])).assign_attrs(steps=[100, 700], rho=0.2)
    one = stack.sel(horizon=100)
    figures.plot_portrait(one, {"eta_max": curve}, ax=axes())
    gamma = one.gamma.values
    edges = xr.Dataset({"eta": (("edge", "gamma", "bound"), np.stack([gamma**2, 2 * gamma**2], -1)[None])},
                       {"edge": ["eta_max"], "gamma": gamma, "bound": ["lower", "upper"], "horizon": 100}, one.attrs)
    figures.plot_edges(edges, predictions={"eta_max": curve})
    assert set(conditions) == {(100, 0.2)}


def test_horizons_show_the_last_and_seeds_the_first():
    one, two = synthetic(), synthetic()
    two["outcome"] = two["outcome"] * 0 + 2
    stack = xr.concat([one, two], xr.Variable("horizon", [100, 700]))
    conditions = []
    ax = figures.plot_portrait(stack, {"eta_max": lambda g, steps, rho: conditions.append(steps) or eta_max(g)}, ax=axes())
    assert np.unique(mesh_of(ax).get_array()) == [2]
    assert ax.get_title() == "horizon 700"
    assert conditions == [700]
    ax = figures.plot_portrait(stack.rename(horizon="seed"), ax=axes())
    assert set(np.unique(mesh_of(ax).get_array())) == {0, 1, 2, 4, 6}
    assert ax.get_title() == "seed 100"


def test_a_variable_is_drawn_on_a_log_scale_with_divergence_in_grey():
    from matplotlib.colors import LogNorm

    portrait = synthetic()
    ax = figures.plot_portrait(portrait, EDGES, "final_excess", ax=axes())
    norm = mesh_of(ax).norm
    assert isinstance(norm, LogNorm)
    assert (norm.vmin, norm.vmax) == pytest.approx((1e-6, 1.0))
    assert pixel(ax, 1e-3, 1e8) == rgb(figures.COLOURS[Outcome.DIVERGED])
    assert pixel(ax, 1e-3, 1e-11) != rgb(figures.COLOURS[Outcome.DIVERGED])
    assert ax.figure.axes[1].get_ylabel() == "final_excess"
    portrait["final_excess"].attrs["long_name"] = "excess loss after the last step"
    ax = figures.plot_portrait(portrait, EDGES, "final_excess", ax=axes())
    assert ax.figure.axes[1].get_ylabel() == "excess loss after the last step"


def test_only_diverged_runs_are_grey_in_the_map_of_a_variable():
    portrait = synthetic(5, 9)
    portrait["eta_value"] = portrait["eta"] * portrait["gamma"] ** 2
    portrait["outcome"] = portrait["outcome"] * 0 + Outcome.CONVERGED
    portrait["final_excess"] = portrait["final_excess"] * 0 + 1e-3
    portrait = portrait.assign_coords(eta=np.arange(9))
    portrait["outcome"][dict(gamma=2, eta=4)], portrait["final_excess"][dict(gamma=2, eta=4)] = Outcome.UNRUN, np.nan
    portrait["outcome"][dict(gamma=3, eta=4)], portrait["final_excess"][dict(gamma=3, eta=4)] = Outcome.DIVERGED, np.inf
    ax = figures.plot_portrait(portrait, variable="final_excess", ax=axes())
    (gamma,) = portrait["gamma"][3:4].values
    assert pixel(ax, 1.0, 1.0) == (255, 255, 255)                                              # not measured
    assert pixel(ax, 1.0, 1e16) == pixel(ax, 1.0, 1e-16) == (255, 255, 255)                    # outside of this gamma's rates
    assert pixel(ax, gamma, gamma**2) == rgb(figures.COLOURS[Outcome.DIVERGED])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["diverged"]


def test_ending_worse_than_it_began_is_beyond_the_scale():
    portrait = synthetic()
    for name, top in (("final_excess", 1.0), ("peak_excess", 1e6)):
        portrait[name] = portrait["outcome"] * 0 + 1e6
        assert mesh_of(figures.plot_portrait(portrait, variable=name, ax=axes())).norm.vmax == top


@pytest.mark.parametrize("value", [0.0, 1.0, np.inf, 5e-324, 1e308])
def test_a_constant_variable_can_be_drawn(value):
    portrait = synthetic()
    portrait["final_excess"] = portrait["final_excess"] * 0 + value
    ax = figures.plot_portrait(portrait, variable="final_excess", ax=axes())
    assert figures.image(ax.figure).startswith(b"\x89PNG")


def test_one_pixel_can_be_drawn():
    ax = figures.plot_portrait(synthetic().isel(gamma=[20], eta=[40]), EDGES, ax=axes())
    assert pixel(ax, 1.0, 1.0) == rgb(figures.COLOURS[Outcome.CONVERGED])


def test_without_axes_pyplot_makes_one_and_portrait_figure_does_not():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figure = figures.portrait_figure(synthetic(), EDGES, title="a title")
    assert plt.get_fignums() == before
    assert figure.axes[0].get_title() == "a title"
    ax = figures.plot_portrait(synthetic())
    assert len(plt.get_fignums()) == len(before) + 1
    plt.close(ax.figure)


def test_images_are_reproducible_and_of_the_requested_kind():
    def drawn(kind):
        return figures.image(figures.portrait_figure(synthetic(9, 9)), kind)

    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        assert drawn(kind).startswith(start)
        assert drawn(kind) == drawn(kind)
    with pytest.raises(Misuse, match="kind must be one of 'png', 'svg', 'pdf', not 'bmp'"):
        drawn("bmp")


def test_what_is_no_portrait_is_refused():
    with pytest.raises(Misuse, match="variable must be one of 'outcome', 'final_excess', 'peak_excess', not 'loss'"):
        figures.plot_portrait(synthetic(), variable="loss")
    with pytest.raises(Misuse, match="dimensions 'gamma' and 'eta', not \\('eta',\\)"):
        figures.plot_portrait(synthetic().isel(gamma=0))
    strange = synthetic()
    strange["outcome"] = strange["outcome"] + 3
    with pytest.raises(Misuse, match=r"'outcome' must be one of .*, not 9"):
        figures.plot_portrait(strange, ax=axes())


def edges_of(names=("eta_max", "eta_min")):
    """Brackets of 0.1 decade around the two curves; censored below at the first gamma, above at the last."""
    gamma = np.logspace(-3, 3, 25)
    eta = np.full((len(names), gamma.size, 2), np.nan)
    for i, name in enumerate(names):
        centre = EDGES[name](gamma)
        eta[i] = np.stack([centre / 10**0.05, centre * 10**0.05], axis=-1)
    eta[0, 0, 0] = eta[0, -1, 1] = np.nan
    return xr.Dataset({"eta": (("edge", "gamma", "bound"), eta)}, attrs={"steps": 1000, "rho": 0.01},
                      coords={"edge": list(names), "gamma": gamma, "bound": ["lower", "upper"]})


@dataclass
class Fit:
    """As much of a PowerLawFit as a figure needs."""

    edge: str = "eta_max"
    exponent: float = 2.01
    prefactor: float = 2.0
    window: tuple = (1e-3, 1e-1)

    @property
    def span(self):
        return self.window

    @property
    def interval(self):
        return self.exponent - 0.02, self.exponent + 0.02

    def __call__(self, gamma):
        return self.prefactor * gamma**self.exponent


def verdict_of(fit, outcome="SUPPORTED"):
    return SimpleNamespace(edge=fit.edge, measured=fit.exponent, outcome=outcome)


def test_edges_show_brackets_fits_and_residuals():
    fit = Fit()
    figure = figures.plot_edges(edges_of(), [fit], EDGES, [verdict_of(fit)])
    top, bottom = figure.axes[:2]
    assert len(figure.axes) == 4
    assert top.get_title() == r"$\eta_{\max}$"
    [words] = [t.get_text() for t in top.texts]
    assert "2.010" in words
    assert "2.010}$ ± 0.020" in words
    assert words.endswith("SUPPORTED")
    # 23 of the 25 brackets have two ends; the residuals of all are half a cell either way
    assert [len(c.get_segments()) for c in (top.collections[0], bottom.collections[0])] == [23, 23]
    np.testing.assert_allclose(np.abs([s[:, 1] for s in bottom.collections[0].get_segments()]), 0.05)
    assert "decades from\nprediction" in bottom.get_ylabel()
    assert "decades from\nfit" in figures.plot_edges(edges_of(), [fit]).axes[1].get_ylabel()
    assert figures.image(figure).startswith(b"\x89PNG")
    whole = SimpleNamespace(edge="eta_max", outcome="CONTRADICTED")
    titles = [ax.get_title(loc="right") for ax in figures.plot_edges(edges_of(), [fit], EDGES, curves=[whole]).axes]
    assert titles == ["prediction: CONTRADICTED", "", "", ""]


def test_a_verdict_is_written_to_its_own_fit_only():
    lazy, rich = Fit(), Fit(exponent=0.4, prefactor=20.0, window=(10.0, 1000.0))
    near = SimpleNamespace(edge="eta_max", measured=0.4003, outcome="CONTRADICTED")   # judged on a few gammas less
    texts = [t.get_text() for t in figures.plot_edges(edges_of(), [lazy, rich], EDGES, [near]).axes[0].texts]
    assert ["CONTRADICTED" in t for t in texts] == [False, True]
    open_ = SimpleNamespace(edge="eta_max", measured=np.nan, outcome="UNDECIDED", regime="lazy")
    texts = [t.get_text() for t in figures.plot_edges(edges_of(), [lazy, rich], EDGES, [open_, near]).axes[0].texts]
    assert [t.split("\n")[1] for t in texts] == ["UNDECIDED", "CONTRADICTED"]


def test_the_residuals_of_brackets_and_fits_are_in_sight():
    bottom = figures.plot_edges(edges_of(), [Fit(exponent=1.5)], EDGES).axes[1]
    assert bottom.get_ylim()[1] > 0.5 * 3   # half a slope over three decades of gamma


def test_edges_that_nobody_speaks_of_are_left_out():
    assert len(figures.plot_edges(edges_of()).axes) == 4
    assert [ax.get_title() for ax in figures.plot_edges(edges_of(), [Fit()]).axes] == [r"$\eta_{\max}$", ""]
    assert len(figures.plot_edges(edges_of(), [Fit()], {"eta_min": eta_min}).axes) == 4


def test_a_short_line_at_the_rim_keeps_its_label_off_the_ticks():
    short = {"eta_settle": lambda g, steps, rho: np.where(g < 2e-5, 1.0, np.nan)}
    ax = figures.plot_portrait(synthetic(), short, ax=axes())
    figures.image(ax.figure)
    assert ax.texts[0].get_window_extent().x0 > ax.get_window_extent().x0


def test_many_lines_leave_the_map_its_width():
    many = {f"eta_{i}": lambda g, steps, rho, i=i: 10.0**i * g for i in range(8)}
    widths = []
    for lines in ({}, many):
        figure = figures.portrait_figure(synthetic(), lines, "peak_excess")
        figures.image(figure)
        widths.append(figure.axes[0].get_window_extent().width)
    assert widths[1] > 0.9 * widths[0]


def test_censored_brackets_are_arrows():
    top = figures.plot_edges(edges_of()).axes[0]
    marks = {line.get_marker(): line.get_xdata().tolist() for line in top.get_lines() if line.get_marker() in "^v"}
    assert marks == {"^": [1000.0], "v": [0.001]}


def test_an_undecided_fit_draws_nothing():
    fit = Fit(exponent=np.nan, window=(np.nan, np.nan))
    figure = figures.plot_edges(edges_of(), [fit], EDGES)
    assert not figure.axes[0].texts
    assert not figure.axes[0].patches


def test_edges_that_cannot_be_drawn_are_refused():
    with pytest.raises(Misuse, match="'eta' over \\(edge, gamma, bound\\)"):
        figures.plot_edges(synthetic())
    with pytest.raises(Misuse, match="every one is censored"):
        figures.plot_edges(edges_of() * np.nan)


def test_importing_the_module_loads_no_matplotlib():
    code = "import sys, validation.plotting.figures; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_fine_portrait_is_drawn_in_seconds():
    from time import process_time

    start = process_time()
    figures.image(figures.portrait_figure(synthetic(1024, 1024), EDGES))
    assert process_time() - start < 10


# units of the rate, columns, hatches

def test_rates_in_units_of_gamma_squared_and_of_an_edge():
    portrait = synthetic()
    gamma, eta = portrait["gamma"].values, portrait["eta"].values
    ax = figures.plot_portrait(portrait, {"eta_max": lambda g, steps, rho: eta_max(g)}, ax=axes(), rescale="gamma2")
    corners = mesh_of(ax).get_coordinates()
    assert corners[0, 0, 1] == pytest.approx(find_cells(eta / gamma[0] ** 2)[0])
    assert corners[-1, -1, 1] == pytest.approx(find_cells(eta / gamma[-1] ** 2)[-1])
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_ydata(), eta_max(line.get_xdata()) / line.get_xdata() ** 2)
    assert ax.get_ylabel() == "learning rate  η/γ²"
    lazy = {"eta_max": lambda g, steps, rho: np.where(g < 1, eta_max(g), np.nan)}
    ax = figures.plot_portrait(portrait, lazy, ax=axes(), rescale="eta_max")
    np.testing.assert_allclose(ax.lines[0].get_ydata()[:50], 1)
    assert mesh_of(ax).get_coordinates()[..., 0].max() < 1.5         # no unit beyond
    with pytest.raises(Misuse, match="rescale must be None or one of 'gamma2', not 'eta_max'"):
        figures.plot_portrait(portrait, ax=axes(), rescale="eta_max")


def test_a_column_of_a_paper_has_its_legend_beneath():
    portrait = synthetic()
    narrow, wide = (figures.portrait_figure(portrait, {"eta_max": lambda g, steps, rho: eta_max(g)}, width=w) for w in (3.3, 7.6))
    assert narrow.get_size_inches()[0] == 3.3
    assert narrow.axes[0].get_legend() is None
    assert [t.get_text() for t in narrow.legends[0].get_texts()] == [t.get_text() for t in wide.axes[0].get_legend().get_texts()]
    narrow.draw_without_rendering()
    assert narrow.legends[0].get_window_extent().y1 < narrow.axes[0].get_window_extent().y0
    with pytest.raises(Misuse, match="width must be a number between 2 and 40"):
        figures.portrait_figure(portrait, width=0.5)


def test_runs_on_their_way_are_hatched():
    portrait = synthetic()
    portrait["outcome"] = portrait["outcome"].where(portrait["gamma"] > 1, Outcome.PARTIAL).astype("i1")
    ax = figures.plot_portrait(portrait, ax=axes())
    assert [h.get_hatch() for h in ax.get_legend().legend_handles if h.get_label() == Outcome.PARTIAL.label] == ["////"]
    [contours] = [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]
    assert contours.hatches == ["////"]


def test_what_lies_beyond_the_residuals_axes_is_marked_at_the_rim():
    gamma = np.geomspace(1e-3, 1e3, 13)
    centre = gamma**2 * np.where(gamma > 100, 30.0, 1.0)
    edges = xr.Dataset({"eta": (("edge", "gamma", "bound"), np.stack([0.99 * centre, 1.01 * centre], -1)[None])},
                       {"edge": ["eta_max"], "gamma": gamma, "bound": ["lower", "upper"]})
    law = fit(edges, "eta_max", window=(1e-3, 10))
    _, bottom = figures.plot_edges(edges, [law], {"eta_max": lambda g, steps, rho: g**2}).axes
    rim = [line for line in bottom.lines if line.get_marker() == "^" and line.get_ydata().size]
    assert rim[0].get_xdata().tolist() == gamma[gamma > 100].tolist()


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_file_of_ours_is_known_again(kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    publish_picture(path, figures.image(figures.blank(1, 1), kind))
    publish_picture(path, figures.image(figures.blank(1, 1), kind))
    path.write_bytes(b"another's")
    with pytest.raises(Misuse, match="was not written by lazyrich"):
        publish_picture(path, b"")


def test_runs_that_exist_are_points_by_outcome_with_brackets_and_fits():
    from validation import judge_runs, read_runs
    from validation.plotting.run_points import draw_judged_runs

    width, octave = (a.ravel() for a in np.meshgrid(64 * 2.0 ** np.arange(4), np.arange(-10.0, 1), indexing="ij"))
    loss = np.where(octave > -np.log2(width / 64), np.inf, 1 + 0.1 * (octave + 3 + np.log2(width / 64)) ** 2)
    loss[20] = np.nan
    runs = read_runs({"width": width, "lr": 2.0**octave, "loss": loss}, "width", "lr", "loss")
    [judged] = judge_runs(runs, -1, trained_below=1.5)
    [ax] = draw_judged_runs(judged, "a $ sign").axes
    drawn = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    counts = {label: drawn[label].get_xdata().size for label in ("trained", "not trained", "diverged", "unknown")}
    assert counts == {"trained": judged.trained.sum(), "not trained": (np.isfinite(loss) & ~judged.trained).sum(),
                      "diverged": np.isinf(loss).sum(), "unknown": 1}
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("width", "lr", r"a \$ sign")
    fits = [label for label in drawn if "width^" in label]
    assert [label.split("width")[0] for label in fits] == [r"$\eta_{\rm opt}$ ~ ", r"$\eta_{\max}$ ~ "]
    np.testing.assert_allclose(drawn[fits[0]].get_ydata()[[0, -1]], 2.0 ** np.array([-3, -6]), rtol=0.05)
    [without] = draw_judged_runs(judge_runs(runs)[0]).axes
    assert "finished" in [line.get_label() for line in without.lines]
