"""Text from outside is data: no control characters, no markup; and commands are recorded without what is private."""

from __future__ import annotations

import io
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest

from validation import Misuse, edges_from_brackets, fit, provenance
from validation.plotting import figures
from validation.printable import escape_controls, escape_math, print_text, shorten
from validation.reporting import summary
from validation.user_warnings import warn_user

EVIL = "[red]a[/red] $\\frac{$ \x1b[31m\x1b]0;t\x07 \u202eb \udc80 \x9b \r|`<b>`"


@pytest.mark.parametrize(("text", "shown"), [
    ("plain η ✓", "plain η ✓"), ("\x1b[2J", "\\x1b[2J"), ("a\u202eb", "a\\u202eb"), ("\udc80", "\\udc80"), ("a\u00a0b", "a\u00a0b"),
    (3, "3"), ("a\nb", "a\\nb")])
def test_control_characters_are_written_out(text, shown):
    assert escape_controls(text) == shown


def test_long_text_keeps_its_ends():
    text = shorten("a" * 10**6 + "z", 100)
    assert len(text) < 160
    assert (text[0], text[-1]) == ("a", "z")


def test_messages_warnings_and_prints_hold_no_control_character(monkeypatch):
    stream = io.StringIO()
    print_text(EVIL, stream)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_user(EVIL * 1000)
    for text in (str(Misuse(EVIL * 10_000)), str(caught[0].message), stream.getvalue().rstrip("\n")):
        assert text.isprintable()
        assert len(text) < 2500


def test_the_table_prints_names_as_they_are(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    summary.print_table(EVIL, [])
    assert "[red]a[/red]" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    stream.getvalue().encode()


def test_figures_draw_names_as_they_are():
    from matplotlib.text import Text

    gamma = np.logspace(-4, 0, 9)
    edges = edges_from_brackets(gamma, gamma**2, 1.1 * gamma**2, edge="a $x_{$", axis="b \\ $ { $")
    found = fit(edges, "a $x_{$")
    figure = figures.plot_edges(edges, [found])
    assert figures.MARKS[".png"] in figures.image(figure)        # no error of the parser of formulas
    texts = [t.get_text() for t in figure.findobj(Text)]
    assert escape_math("a $x_{$") in texts
    assert escape_math("b \\ $ { $") in texts


@pytest.mark.parametrize(("argument", "recorded"), [
    ("/home/ann/bin/lazyrich", "lazyrich"), ("--out", "--out"), ("/scratch/ann/x.zarr", "x.zarr"), ("--out=/a/b/", "--out=b"),
    ("../ann/run", "run"), ("~/x.nc", "x.nc"), ("~ann", ""), ("C:\\Users\\ann\\x.nc", "x.nc"), ("tcp://10.0.0.1:8786", "ADDRESS"),
    ("--cluster=tls://head.cluster.org:8786", "--cluster=ADDRESS"), ("head:8786", "ADDRESS"), ("10.1.2.3", "ADDRESS"),
    ("ann@head", "ADDRESS"), ("ann-run.nc", "USER-run.nc"), ("planned.nc", "planned.nc"), ("1e-5", "1e-5"), ("0,4,7", "0,4,7")])
def test_a_recorded_command_holds_nothing_private(argument, recorded, monkeypatch):
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "ann")
    monkeypatch.setattr(sys, "argv", ["lazyrich", argument])
    assert provenance.collect_provenance()["command"] == f"lazyrich {recorded}"
    monkeypatch.setenv("LAZYRICH_NO_COMMAND", "1")
    assert "command" not in provenance.collect_provenance()


@pytest.mark.parametrize(("limit", "shown"), [(Fraction(2, 3), "2/3"), (Fraction(0), "0"), (Fraction("2.4000000000008747"), "2.4000")])
def test_a_limit_is_a_fraction_where_it_is_exact(limit, shown):
    assert summary.format_limit(limit) == shown
