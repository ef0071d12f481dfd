"""The report: self-contained, escaped, published whole; and its twin in JSON."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from validation.arguments import Misuse
from validation.judging.verdict import Verdict, VerdictOutcome
from validation.reporting.html import WHOLE, Picture, Section, tabulate, write_report, write_verdicts
from validation.storage.atomic import publish

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
VOID = {"meta", "img", "link", "br", "hr", "input"}
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Every element of a page with its attributes, its text, and whether every tag was closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def row(**changes):
    fields = {"edge": "eta_max", "regime": "lazy", "window": (1e-4, 1e-2), "n": 17, "predicted": 2.0,
              "measured": 1.99912, "interval": (1.998, 2.001), "tolerance": 0.05, "excluded": [],
              "not_excluded": [], "outcome": "SUPPORTED",
              "sentence": "measured 1.999, claimed 2"}
    return fields | changes


def section(**changes):
    fields = {"title": "Figure 6, MSE",
              "description": {"model": {"name": "one", "depth": 5}, "rho": 0.01, "steps": 1000},
              "figures": (Picture(PNG, "the portrait", "what is seen"),), "rows": (row(),), "notes": ("a note",)}
    return Section(**fields | changes)


def page_of(tmp_path, *sections, title="lazyrich toy", provenance=None):
    return Page(write_report(tmp_path / "report.html", title, sections, provenance).read_text())


def test_the_page_holds_what_it_was_given(tmp_path):
    page = page_of(tmp_path, section(), section(rows=(row(outcome="CONTRADICTED"), row(outcome="UNDECIDED"))),
                   provenance={"numpy": "2.4"})
    words = " ".join(" ".join(page.text).split())
    for piece in ("lazyrich toy", "Figure 6, MSE", '"depth": 5', "0.01", "what is seen", "a note", "numpy", "2.4",
                  "0.0001 to 0.01", "17", "2.0000", "1.9991 ± 0.0019", "measured 1.999, claimed 2",
                  "✓ SUPPORTED", "✗ CONTRADICTED", "? UNDECIDED", "✓ 1 SUPPORTED", "✗ 1 CONTRADICTED"):
        assert piece in words, piece
    assert [a["alt"] for a in page.all("img")] == ["the portrait"] * 2


def test_the_page_needs_nothing_but_itself(tmp_path):
    page = page_of(tmp_path, section(figures=(Picture(PNG, "one"), Picture(b"<?xml version='1.0'?><svg/>", "two"))))
    assert [a["src"].split(";")[0] for a in page.all("img")] == ["data:image/png", "data:image/svg+xml"]
    assert not [t for t, a in page.elements if t in ("script", "link", "iframe", "object") or "href" in a]
    text = (tmp_path / "report.html").read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text


def test_the_page_is_made_for_a_phone_and_for_the_dark(tmp_path):
    page = page_of(tmp_path, section())
    named = {a.get("name"): a["content"] for a in page.all("meta") if "content" in a}
    assert named["viewport"].startswith("width=device-width")
    assert named["color-scheme"] == "light dark"
    assert [a["data-label"] for a in page.all("td") if "data-label" in a] == [
        "edge", "regime", "window of γ", "n", "predicted", "measured", "verdict", "in words"]


def test_everything_from_outside_is_escaped(tmp_path):
    evil = section(title=EVIL, description={EVIL: EVIL, "deep": {EVIL: [EVIL]}}, figures=(Picture(PNG, EVIL, EVIL),),
                   rows=(row(edge=EVIL, regime=EVIL, sentence=EVIL, n=EVIL),), notes=(EVIL,))
    page = page_of(tmp_path, evil, title=EVIL, provenance={EVIL: EVIL})
    assert not page.all("script")
    assert [sorted(a) for a in page.all("img")] == [["alt", "src"]]
    assert not [a for _, a in page.elements for name in a if name.startswith("on")]
    assert "".join(page.text).count("alert(1)") >= 20


@pytest.mark.parametrize("nothing", [np.nan, None, np.inf])
def test_what_is_not_a_number_is_a_dash(tmp_path, nothing):
    page = page_of(tmp_path, section(rows=(row(measured=nothing, interval=None, window=None, n=None),)))
    words = "".join(page.text)
    assert "nan" not in words
    assert "None" not in words
    assert "–" in words


@pytest.mark.parametrize(("half", "shown"), [(0.3, "0.667"), (0.02, "0.667"), (0.001, "0.6667"), (1e-9, "0.666667"),
                                               (0.0, "0.667"), (np.inf, "0.667"), (np.nan, "0.667")])
def test_an_exponent_has_the_decimals_that_its_interval_is_worth(tmp_path, half, shown):
    page = page_of(tmp_path, section(rows=(row(measured=2 / 3, interval=(2 / 3 - half, 2 / 3 + half)),)))
    assert re.search(rf"\s{shown}(?!\d)", "".join(page.text).split("2.000")[-1])


def test_json_is_strict_and_exact(tmp_path):
    exact = 0.1 + 0.2
    numbers = {"gamma": np.array([exact]), "n": np.int64(3), "flag": np.bool_(True), "f": np.float32(0.5)}
    given = section(description=numbers, rows=(row(measured=exact, interval=(-np.inf, np.nan)),))
    path = write_verdicts(tmp_path / "verdicts.json", "t", [given], {"p": 1})
    read = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert read["sections"][0]["description"] == {"gamma": [exact], "n": 3, "flag": True, "f": 0.5}
    [verdict] = read["sections"][0]["verdicts"]
    assert verdict["measured"] == exact
    assert verdict["interval"] == [None, None]
    assert verdict["outcome"] == "SUPPORTED"
    assert read["provenance"] == {"p": 1}


def test_a_line_of_the_table_from_a_verdict_and_its_fit():
    verdict = Verdict(VerdictOutcome.UNDECIDED, 2.01, (2.0, 2.02), 2, 0.05, "s", "eta_min")
    cells = tabulate(verdict, SimpleNamespace(span=(10.0, 100.0), n=9), "rich")
    assert cells == {"among": None, "axis": "gamma"} | row(edge="eta_min", regime="rich", window=(10.0, 100.0), n=9, predicted=2,
                        measured=2.01, interval=(2.0, 2.02), outcome="UNDECIDED", sentence="s")
    assert tabulate(verdict)["window"] is None
    assert [tabulate(replace(verdict, regime=r))["regime"] for r in ("lazy", None)] == ["lazy", ""]


def test_a_whole_curve_reports_the_gammas_that_it_covers(tmp_path):
    curve = Verdict(VerdictOutcome.SUPPORTED, 0.001, (0.001, 0.0123), 0.0, 0.05, "s", "eta_max", span=(1e-3, 10.0), covered=(61, 81))
    words = "".join(page_of(tmp_path, section(rows=(tabulate(curve, regime=WHOLE) | {"predicted": np.nan},))).text)
    assert all(text in words for text in ("0.001 to 10", "61 of 81", "0.001 to 0.0123"))


def test_misuse_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(Misuse, match=r"outcome must be one of 'SUPPORTED', .*, not 'PERHAPS'"):
        tabulate(Verdict("PERHAPS", 2.01, (2.0, 2.02), 2, 0.05, "s"))
    with pytest.raises(Misuse, match="PNG or SVG"):
        Picture(b"GIF89a", "a picture")
    with pytest.raises(Misuse, match="alt must describe"):
        Picture(PNG, " ")
    (tmp_path / "file").touch()
    with pytest.raises(Misuse, match=r"file.r\.html cannot be written: (File exists|Not a directory)"):
        write_report(tmp_path / "file" / "r.html", "t", [section()])


def test_the_folder_is_made(tmp_path):
    assert write_report(tmp_path / "a" / "b" / "r.html", "t", [section()]).exists()


def test_a_failed_write_leaves_the_old_page_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(Misuse, match="cannot be written: No space left"):
            publish(path, b"new")
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish(path, b"new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    publish(path, b"new")
    assert path.read_text() == "new"


def test_a_report_is_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "other").write_text("")
    assert publish(tmp_path / "r", b"").stat().st_mode == (tmp_path / "other").stat().st_mode
