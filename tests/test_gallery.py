"""The gallery: its scripts keep the frame, its runs are kept under all that they depend on, its findings are judged as they say."""

from __future__ import annotations

import importlib
import json
import linecache
import re
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import ttest_1samp

import lazyrich
import validation
from validation.arguments import Misuse

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from gallery import Findings, exhibit, kept, over_seeds, shades  # noqa: E402
from gallery.findings import in_words  # noqa: E402

SCRIPTS = sorted((ROOT / "docs" / "gallery" / "scripts").glob("*.py"))


def script(folder, name, text):
    """Write a script of a gallery."""
    path = folder / f"plot_{name}.py"
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Return an empty folder that is the gallery's for a test."""
    monkeypatch.setattr(exhibit, "SCRIPTS", tmp_path)
    monkeypatch.setenv("LAZYRICH_CACHE", str(tmp_path / "cache"))
    return tmp_path


# The scripts

def titled(path):
    """The numbers in a page's title, and those in the name of its file."""
    told = re.match(r"Figures? ((?:\d+|, | and | to )+)(?:$|:)", exhibit.title(path))
    named = re.fullmatch(r"plot_figure((?:_\d+)+)", path.stem)
    ends = [re.findall(r"\d+", part) for part in re.split(", | and ", told[1])] if told else []
    return ([str(n) for end in ends for n in range(int(end[0]), int(end[-1]) + 1)],
            [n.lstrip("0") for n in named[1].split("_")[1:]] if named else [])


@pytest.mark.parametrize(("title", "numbers"), [("Figure 6: one", "6"), ("Figures 17, 18 and 19: more", "17 18 19"), ("Table 1: all", ""),
                                                ("Figures 17 to 22: a range", "17 18 19 20 21 22"), ("Figure 45", "45")])
def test_a_title_s_numbers_are_read(tmp_path, title, numbers):
    path = script(tmp_path, "x", f'"""\n{title}\n{"=" * len(title)}\n"""\n')
    assert titled(path) == (numbers.split(), [])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_every_script_keeps_the_frame(path):
    text = path.read_text()
    title, underline = re.match(r'r?"""\n(.+)\n(.+)\n\n', text).groups()
    assert underline == "=" * len(title)
    told, named = titled(path)
    assert told == named
    assert re.search(r"^[^#]*\bFindings\(\)", text, re.MULTILINE)
    assert "set_label(" in text
    assert re.search(r"^ *assert ", text, re.MULTILINE)
    assert not re.search(r"\b(print_function|TODO|plt\.show)\b", text)


def test_every_figure_of_the_paper_has_a_page():
    assert {n for n in exhibit.names() if n.isdigit()} == {str(n) for n in range(1, 46)}


def test_no_number_has_two_pages():
    numbers = [n for path in SCRIPTS for n in titled(path)[1]]
    assert len(numbers) == len(set(numbers))


def test_names_are_numbers_and_words(scripts):
    for name in ("figure_06", "figure_17_18_19", "table_1", "open_momentum"):
        script(scripts, name, '"""\nA title\n=======\n"""\n')
    assert list(exhibit.names()) == ["6", "17", "18", "19", "open-momentum", "table-1"]
    assert exhibit.names()["18"].name == "plot_figure_17_18_19.py"
    assert exhibit.title(exhibit.names()["18"]) == "A title"


# One page, from the command line

PAGE = '''\
r"""
Figure 99: a page
=================
"""

from gallery import Findings
from validation import figures

scale = globals().get("scale", "small")
found = Findings()

# %%

figure = figures.blank(2, 2)
figure.set_label("an empty frame")
figure.add_subplot()

# %%

found.within("99", "a number", {"small": 3, "paper": 5}[scale], 0, 4)
assert all(row.verdict == "SUPPORTED" for row in found.rows)
figure = figures.blank(3, 2)
figure.set_label("another empty frame")
'''


def test_a_page_is_run_and_its_figures_are_written(scripts, tmp_path, capsys):
    script(scripts, "figure_99", PAGE)
    assert lazyrich.run(["figure", "99", "--out", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["figure-99-1.png", "figure-99-2.png"]
    assert "99: a number: claimed 0 to 4, measured 3: SUPPORTED" in capsys.readouterr().out
    made = exhibit.exhibit("99")
    assert [row.measured for row in made.findings] == [3]
    assert [f.get_label() for f in made.figures] == ["an empty frame", "another empty frame"]


def test_a_broken_assertion_is_told_by_its_line_and_by_the_exit_code(scripts, tmp_path, capsys):
    script(scripts, "figure_99", PAGE)
    assert lazyrich.run(["figure", "99", "--scale", "paper", "--out", str(tmp_path / "out")]) == 1
    assert "plot_figure_99.py, line 21: assert all(" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["figure-99-1.png"]


def test_an_unknown_figure_is_refused_with_the_list(capsys, tmp_path):
    assert lazyrich.run(["figure", "99", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    told = capsys.readouterr().err
    assert "99" in told
    assert {"6", "45", "open-momentum-edges"} <= set(re.findall(r"[\w-]+", told))


def test_without_a_name_the_pages_are_listed(capsys):
    assert lazyrich.run(["figure"]) == 0
    told = capsys.readouterr().out
    assert all(exhibit.title(path) in told for path in SCRIPTS)


def test_a_scale_must_be_known():
    with pytest.raises(Misuse, match="scale must be one of small, paper, not 'large'"):
        exhibit.exhibit("6", "large")


# Findings

@pytest.mark.parametrize(("interval", "low", "high", "verdict"), [
    ((1, 2), 0, 3, "SUPPORTED"), ((1, 2), 1, 2, "SUPPORTED"), ((1, 2), 1.5, 3, "UNDECIDED"), ((1, 2), 2.1, 3, "CONTRADICTED"),
    ((1, 2), -np.inf, 0.9, "CONTRADICTED"), ((1, 2), 1.2, 1.8, "UNDECIDED"), ((1, 2), 0, np.inf, "SUPPORTED"),
    ((-np.inf, np.inf), 0, 1, "UNDECIDED"), ((np.nan, np.nan), 0, 1, "UNDECIDED"), ((3, 3), 3, 3, "SUPPORTED"),
])
def test_a_range_is_held_against_an_interval(interval, low, high, verdict):
    assert Findings().bounded("1", "x", 1.5, interval, low, high).verdict == verdict


def test_seeds_give_the_interval_of_students_t():
    x = np.random.default_rng(0).normal(2, 1, 7)
    mean, ends = over_seeds(x)
    wanted = ttest_1samp(x, 0).confidence_interval(0.95)
    assert (mean, *ends) == pytest.approx((x.mean(), wanted.low, wanted.high))
    row = Findings().within("1", "x", x, wanted.low - 0.1, wanted.high + 0.1)
    assert row.interval == pytest.approx(ends)
    assert row.verdict == "SUPPORTED"


def test_a_finding_is_told_in_one_line():
    row = Findings().bounded("3a", "slope", 0.5, (0.4, 0.6), 0, 1)
    assert row.sentence == "3a: slope: claimed 0 to 1, measured 0.5, interval 0.4 to 0.6: SUPPORTED"


def test_one_seed_decides_nothing_and_a_count_is_exact():
    assert over_seeds([2.0]) == (2.0, (-np.inf, np.inf))
    assert Findings().within("1", "a count", 3, 0, 2).verdict == "CONTRADICTED"
    assert Findings().within("1", "a count", 3, 3, 3).claim == "3"


def test_a_verdict_is_taken_over(tmp_path):
    gamma = np.logspace(-4, -2, 9)
    law = validation.fit(validation.edges_from_brackets(gamma, 0.99 * gamma**2, 1.01 * gamma**2), "eta_max")
    found = Findings()
    found.judged("6a", "right", validation.judge(law, 2))
    found.judged("6a", "wrong", validation.judge(law, 1))
    assert [row.verdict for row in found.rows] == ["SUPPORTED", "CONTRADICTED"]
    assert found.rows[0].claim == "2 +- 0.05"
    found.write(tmp_path / "x.json")
    told = json.loads((tmp_path / "x.json").read_text())
    assert told[0]["measured"] == law.exponent
    assert tuple(told[0]["interval"]) == law.interval


@pytest.mark.parametrize(("measured", "interval", "told"), [
    (2.0000001, (1.99998, 2.00003), ("2", "1.99998 to 2.00003")), (0.5, (0.41, 0.59), ("0.5", "0.41 to 0.59")),
    (3, (3, 3), ("3", "")), (1.5, (-np.inf, np.inf), ("1.5", "-inf to inf")), (np.nan, (np.nan, np.nan), ("nan", "nan to nan")),
    (12345, (12000, 12700), ("1.234e+04", "1.2e+04 to 1.27e+04")), (0, (0, 1.88e-7), ("0", "0 to 1.88e-07")),
])
def test_an_interval_is_told_with_the_digits_that_it_needs(measured, interval, told):
    assert in_words(measured, interval) == told


def test_shades_grow_lighter():
    lightness = [np.dot(colour[:3], (0.2126, 0.7152, 0.0722)) for colour in shades(6)]
    assert (np.diff(lightness) > 0.02).all()
    assert lightness[-1] < 0.85


# Kept runs

KEEPS = '''\
"""
Keeps
=====
"""

import numpy as np
import xarray as xr

import toymodels
import validation
from gallery import kept

LENGTH = 3
MODEL = toymodels.OneParameter(2)


def doubled(x):
    return 2 * x


def counted(diary, x, y=0):
    with open(diary, "a") as book:
        book.write("run ")
    return xr.Dataset({"z": ("n", doubled(np.asarray(x, float)) + y)})


def portrait(diary, per_decade):
    with open(diary, "a") as book:
        book.write("run ")
    experiment = toymodels.ToyExperiment(toymodels.OneParameter(2), steps=20)
    return validation.sweep(experiment, validation.Plane.log((1e-2, 1e2), (1e-3, 1e3), per_decade))


def careless(x):
    return xr.Dataset({"z": x * LENGTH})


def hidden(x):
    return xr.Dataset({"z": x * MODEL.depth})


def both(diary):
    return counted(diary, [doubled(2)])


def usual(diary, x=LENGTH):
    return counted(diary, [x])
'''


@pytest.fixture
def space(scripts):
    """Return the names of a script that keeps runs, and a function that says how many it has made."""
    diary = scripts / "diary"

    def names(text=KEEPS):
        path = script(scripts, "keeps", text)
        space = {"__name__": "__main__"}
        exec(compile(text, str(path), "exec"), space)
        return SimpleNamespace(**space)

    return SimpleNamespace(names=names, diary=str(diary), made=lambda: len(diary.read_text().split()))


def test_a_run_is_made_once(space):
    names = space.names()
    first, again = (kept(names.counted, space.diary, (1, 2), y=1) for _ in range(2))
    assert space.made() == 1
    assert first.identical(again)
    assert first.z.values.tolist() == [3, 5]


def test_another_argument_is_another_run(space):
    names = space.names()
    for arguments, named in (((1, 2), {}), ((1, 3), {}), ((1, 2), {"y": 1}), ((1, 2), {"y": 2})):
        kept(names.counted, space.diary, arguments, **named)
    assert space.made() == 4


@pytest.mark.parametrize(("old", "new"), [("2 * x", "3 * x"), ("+ y", "- y")])
def test_another_source_is_another_run_also_of_what_is_called(space, old, new):
    kept(space.names().counted, space.diary, (1, 2), y=1)
    names = space.names(KEEPS.replace(old, new))
    linecache.checkcache()
    after = kept(names.counted, space.diary, (1, 2), y=1)
    assert space.made() == 2
    assert after.z.values.tolist() == ([4, 7] if "3" in new else [1, 3])


def test_another_default_is_another_run(space):
    for text in (KEEPS, KEEPS.replace("LENGTH = 3", "LENGTH = 4")):
        kept(space.names(text).usual, space.diary)
    assert space.made() == 2


def test_the_order_of_names_makes_no_other_run(space, monkeypatch):
    room = importlib.import_module("gallery.kept")
    names, text = space.names(), room._names
    for turned in (False, True):         # as sets of text have another order in every process
        monkeypatch.setattr(room, "_names", lambda code, turned=turned: sorted(text(code), reverse=turned))
        kept(names.usual, space.diary)
        kept(names.both, space.diary)
    assert space.made() == 2


def test_arrays_count_in_full(space):
    names, many = space.names(), np.zeros(2000)
    for x in (many, np.where(np.arange(2000) == 1000, 1.0, many), np.ones(2), np.array([1, 1 + 1e-12])):
        kept(names.counted, space.diary, x)
    assert space.made() == 4


def test_other_packages_are_another_run(space, monkeypatch):
    room = importlib.import_module("gallery.kept")       # `gallery.kept` is the function

    names = space.names()
    kept(names.counted, space.diary, (1, 2))
    monkeypatch.setattr(room, "packages", lambda: "others")
    kept(names.counted, space.diary, (1, 2))
    assert space.made() == 2


def test_a_portrait_comes_back_as_it_was(space, scripts):
    names = space.names()
    first, again = (kept(names.portrait, space.diary, 3) for _ in range(2))
    assert space.made() == 1
    xr.testing.assert_identical(first, again)
    own = names.portrait(space.diary, 3)
    xr.testing.assert_equal(first, own)
    assert first.outcome.dtype == own.outcome.dtype
    assert first.attrs["description"] == own.attrs["description"]
    assert [p.suffix for p in (scripts / "cache").iterdir()] == [".nc"]


def test_what_is_no_argument_is_refused(space):
    names = space.names()
    with pytest.raises(Misuse, match="careless uses LENGTH, which is no argument of it"):
        kept(names.careless, 1)
    with pytest.raises(Misuse, match="hidden uses MODEL, which is no argument of it"):
        kept(names.hidden, 1)
    with pytest.raises(Misuse, match="measure must be a function defined at the top of its script"):
        kept(np.mean, 1)
    with pytest.raises(Misuse, match="prints as a place in memory"):
        kept(names.counted, space.diary, object())
