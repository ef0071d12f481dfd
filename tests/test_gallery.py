"""The gallery: pages by their numbers, their runs from the command line, findings and verdicts, runs cached on disk."""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import linecache
import re
import symtable
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
from deepnets.theory import OPEN
from validation.arguments import Misuse

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from gallery import Findings, kept_data, over_seeds, pages, shades  # noqa: E402
from gallery.findings import format_interval  # noqa: E402
from gallery.network_exponents import measured_exponents  # noqa: E402

SCRIPTS = sorted((ROOT / "docs" / "gallery" / "scripts").glob("*.py"))


def write_script(folder, name, text):
    path = folder / f"plot_{name}.py"
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """An empty folder in place of the gallery's scripts."""
    monkeypatch.setattr(pages, "SCRIPTS", tmp_path)
    monkeypatch.setenv("LAZYRICH_CACHE", str(tmp_path / "cache"))
    return tmp_path


# Pages

def numbers_in_title(path):
    found = re.match(r"Figures? ((?:\d+|, | and | to )+)(?:$|:)", pages.title(path))
    ends = [re.findall(r"\d+", part) for part in re.split(", | and ", found[1])] if found else []
    return [str(n) for end in ends for n in range(int(end[0]), int(end[-1]) + 1)]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_a_title_names_the_figures_of_the_file(path):
    assert numbers_in_title(path) == [name for name, script in pages.names().items() if script == path and name.isdigit()]


def test_every_figure_of_the_paper_has_exactly_one_page():
    assert sorted(n for path in SCRIPTS for n in numbers_in_title(path)) == sorted(str(n) for n in range(1, 46))


def test_names_are_numbers_and_words(scripts):
    for name in ("figure_06", "figure_17_18_19", "table_1", "open_momentum"):
        write_script(scripts, name, '"""\nA title\n=======\n"""\n')
    assert list(pages.names()) == ["6", "17", "18", "19", "open-momentum", "table-1"]
    assert pages.names()["18"].name == "plot_figure_17_18_19.py"
    assert pages.title(pages.names()["18"]) == "A title"


def test_the_longest_pages_run_first():
    names = [path.name for path in SCRIPTS]
    assert set(pages.LONGEST) < set(names)
    others = [name for name in names if name not in pages.LONGEST]
    assert sorted(names, key=pages.sort_by_cost) == [*sorted(pages.LONGEST), *others]


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

found.check("99", "a number", {"small": 3, "paper": 5}[scale], 0, 4)
assert all(row.verdict == "SUPPORTED" for row in found.rows)
figure = figures.blank(3, 2)
figure.set_label("another empty frame")
'''.replace("from validation import", "from validation.plotting import")


def test_a_page_runs_and_its_figures_are_written(scripts, tmp_path, capsys):
    write_script(scripts, "figure_99", PAGE)
    assert lazyrich.run(["figure", "99", "--out", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["figure-99-1.png", "figure-99-2.png"]
    assert "99: a number: claimed 0 to 4, measured 3: SUPPORTED" in capsys.readouterr().out
    page = pages.run_page("99")
    assert [row.measured for row in page.findings] == [3]
    assert [f.get_label() for f in page.figures] == ["an empty frame", "another empty frame"]


def test_a_failed_assertion_is_reported_with_its_line_and_the_exit_code(scripts, tmp_path, capsys):
    write_script(scripts, "figure_99", PAGE)
    assert lazyrich.run(["figure", "99", "--scale", "paper", "--out", str(tmp_path / "out")]) == 1
    assert "plot_figure_99.py, line 21: assert all(" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["figure-99-1.png"]


def test_an_unknown_figure_is_refused_with_the_list(capsys, tmp_path):
    assert lazyrich.run(["figure", "99", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    error = capsys.readouterr().err
    assert {"99", "6", "45", "open-momentum-edges"} <= set(re.findall(r"[\w-]+", error))


def test_without_a_name_the_pages_are_listed(capsys):
    assert lazyrich.run(["figure"]) == 0
    printed = capsys.readouterr().out
    assert all(pages.title(path) in printed for path in SCRIPTS)


def test_an_unknown_scale_is_refused():
    with pytest.raises(Misuse, match="scale must be one of small, measured, missing, paper, not 'large'"):
        pages.run_page("6", "large")


KEPT = '''\
"""
Figure 99: a page
=================
"""
import xarray as xr

from gallery import keep


@keep
def measure(x):
    """Return its argument, and note the call."""
    with open(COUNTED, "a") as file:
        file.write("!")
    return xr.Dataset({"x": x})


assert int(measure(ARGUMENT).x) == ARGUMENT
'''


def test_what_is_kept_is_measured_on_demand_alone(scripts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kept_data, "FOLDER", tmp_path / "kept")
    counted = tmp_path / "counted"

    def run(argument, *options):
        write_script(scripts, "figure_99", KEPT.replace("COUNTED", repr(str(counted))).replace("ARGUMENT", str(argument)))
        return lazyrich.run(["figure", "99", *options, "--out", str(tmp_path / "out")])
    assert run(3) == 2
    assert re.search(r"figure_99-measure-\w+.nc is not measured: lazyrich figure 99 --scale measured", capsys.readouterr().err)
    assert run(3, "--scale", "measured") == run(3) == 0
    assert run(3, "--scale", "missing") == 0
    assert run(4) == 2
    assert counted.read_text() == "!"
    [path] = (tmp_path / "kept").iterdir()
    stored = xr.load_dataset(path, engine="scipy")
    assert json.loads(stored.arguments) == {"x": "3"}
    assert stored.seconds >= 0
    assert stored.created
    assert run(4, "--scale", "missing") == run(4) == 0
    assert counted.read_text() == "!!"


SLOW = '''"""
Slow
====

MLPs are trained, others are kept.
"""

import deepnets
import numpy as np
import xarray as xr

from gallery import keep_slow


@keep_slow
def measure(network, rate):
    """Return the rate, and note the call."""
    with open(COUNTED, "a") as file:
        file.write(type(network).__name__ + " ")
    return xr.Dataset({"x": rate})


for network in (deepnets.MLP(64, 8, 3, 10), deepnets.CNN((1, 8, 8), 4, 10)):
    measure(network, 0.1 * RATE)
'''


def test_mlps_are_trained_and_other_networks_kept(scripts, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_data, "FOLDER", tmp_path / "kept")
    monkeypatch.setenv("LAZYRICH_CACHE", str(tmp_path / "cache"))
    counted = tmp_path / "counted"

    def run(rate, *options):
        write_script(scripts, "figure_98", SLOW.replace("COUNTED", repr(str(counted))).replace("RATE", rate))
        return lazyrich.run(["figure", "98", *options, "--out", str(tmp_path / "out")])
    assert run("1.0", "--scale", "measured") == 0
    assert counted.read_text() == "MLP CNN "
    assert run("1.0000000000000002") == 0                   # processors differ in the last digits
    assert counted.read_text() in ("MLP CNN ", "MLP CNN MLP ")
    assert run("1.1") == 2                                  # another measurement than the one that is kept
    assert run("1.1", "--scale", "paper") == 0
    assert counted.read_text().endswith("CNN ")
    assert len(list((tmp_path / "kept").iterdir())) == 1


# Findings

@pytest.mark.parametrize(("interval", "low", "high", "verdict"), [
    ((1, 2), 0, 3, "SUPPORTED"), ((1, 2), 1, 2, "SUPPORTED"), ((1, 2), 1.5, 3, "UNDECIDED"), ((1, 2), 2.1, 3, "CONTRADICTED"),
    ((1, 2), -np.inf, 0.9, "CONTRADICTED"), ((1, 2), 1.2, 1.8, "UNDECIDED"), ((1, 2), 0, np.inf, "SUPPORTED"),
    ((-np.inf, np.inf), 0, 1, "UNDECIDED"), ((np.nan, np.nan), 0, 1, "UNDECIDED"), ((3, 3), 3, 3, "SUPPORTED"),
])
def test_an_interval_is_compared_with_a_range(interval, low, high, verdict):
    assert Findings().check_interval("1", "x", 1.5, interval, low, high).verdict == verdict


def test_seeds_give_the_interval_of_students_t():
    x = np.random.default_rng(0).normal(2, 1, 7)
    mean, ends = over_seeds(x)
    expected = ttest_1samp(x, 0).confidence_interval(0.95)
    assert (mean, *ends) == pytest.approx((x.mean(), expected.low, expected.high))
    row = Findings().check("1", "x", x, expected.low - 0.1, expected.high + 0.1)
    assert row.interval == pytest.approx(ends)
    assert row.verdict == "SUPPORTED"


def test_a_finding_is_one_sentence():
    row = Findings().check_interval("3a", "slope", 0.5, (0.4, 0.6), 0, 1)
    assert row.sentence == "3a: slope: claimed 0 to 1, measured 0.5, interval 0.4 to 0.6: SUPPORTED"


def test_one_seed_decides_nothing_and_a_count_is_exact():
    assert over_seeds([2.0]) == (2.0, (-np.inf, np.inf))
    assert Findings().check("1", "a count", 3, 0, 2).verdict == "CONTRADICTED"
    assert Findings().check("1", "a count", 3, 3, 3).claim == "3"


def test_a_claim_without_a_bound_is_refused():
    with pytest.raises(Misuse, match="low or high must be given"):
        Findings().check("1", "x", 1.0)


def test_a_verdict_becomes_a_finding(tmp_path):
    gamma = np.logspace(-4, -2, 9)
    law = validation.fit(validation.edges_from_brackets(gamma, 0.99 * gamma**2, 1.01 * gamma**2), "eta_max")
    found = Findings()
    found.add_verdict("6a", "right", validation.judge(law, 2))
    found.add_verdict("6a", "wrong", validation.judge(law, 1))
    assert [row.verdict for row in found.rows] == ["SUPPORTED", "CONTRADICTED"]
    assert found.rows[0].claim == "2 +- 0.05"
    assert ": SUPPORTED within 0.05; excludes 1 and 4; " in found.rows[0].sentence
    found.write(tmp_path / "x.json")
    first = json.loads((tmp_path / "x.json").read_text())[0]
    assert first["measured"] == law.exponent
    assert tuple(first["interval"]) == law.interval


@pytest.mark.parametrize(("measured", "interval", "text"), [
    (2.0000001, (1.99998, 2.00003), ("2", "1.99998 to 2.00003")), (0.5, (0.41, 0.59), ("0.5", "0.41 to 0.59")),
    (3, (3, 3), ("3", "")), (1.5, (-np.inf, np.inf), ("1.5", "-inf to inf")), (np.nan, (np.nan, np.nan), ("nan", "nan to nan")),
    (12345, (12000, 12700), ("1.234e+04", "1.2e+04 to 1.27e+04")), (0, (0, 1.88e-7), ("0", "0 to 1.88e-07")),
])
def test_an_interval_is_printed_with_the_digits_it_needs(measured, interval, text):
    assert format_interval(measured, interval) == text


def test_shades_grow_lighter():
    lightness = [np.dot(colour[:3], (0.2126, 0.7152, 0.0722)) for colour in shades(6)]
    assert (np.diff(lightness) > 0.02).all()
    assert lightness[-1] < 0.85


def test_stored_exponents_of_networks_have_the_published_verdicts():
    """Lazy edges hold by construction, the rich eta_min of L = 2 bends as its logarithm does, and that of L = 4 is open."""
    lazy = measured_exponents(loss="mse", optimizer="sgd", schedule="constant", regime="lazy")
    edges = ("eta_min", "eta_crit", "eta_max")
    assert {(row.depth, row.edge) for row, *_ in lazy} == {(depth, edge) for depth in (2, 3, 4) for edge in edges}
    assert {str(verdict.outcome) for *_, verdict in lazy} == {"IDENTITY"}
    by_accuracy = measured_exponents(criterion="accuracy")
    assert {str(verdict.outcome) for *_, verdict in by_accuracy} == {"SUPPORTED"}
    slowly = {"optimizer": "sgd", "depth": 2, "edge": "eta_min", "regime": "rich"}
    (row, law, bent), (_, _, higher) = measured_exponents(loss="mse", **slowly)
    assert row.claim == bent.claimed == 1
    assert law.interval[0] > 1
    assert law.bend.first > law.bend.last > 1
    assert bent.outcome == "UNDECIDED"
    assert higher.outcome == "SUPPORTED"
    # one decade higher, log(c gamma) is larger by log(10)
    assert higher.claimed == pytest.approx(1 + 1 / (1 / (law.exponent - 1) + np.log(10)), abs=0.003)
    assert [str(verdict.outcome) for *_, verdict in measured_exponents(loss="cross_entropy", **slowly)] == ["CONTRADICTED"]
    still_open = [verdict for *_, verdict in measured_exponents(edge="eta_min", depth=4, regime="rich")]
    assert len(still_open) == 5
    assert all(verdict.sentence.endswith(f"UNDECIDED: {OPEN}") for verdict in still_open)


def test_a_supported_row_excludes_the_neighbouring_depths():
    for row, _, verdict in measured_exponents(edge="eta_max", regime="rich"):
        assert verdict.rivals
        assert verdict.outcome != "SUPPORTED" or verdict.excluded == verdict.rivals, row.name


# Cached runs

CACHED = '''\
"""
Cached
======
"""

import numpy as np
import xarray as xr

import toymodels
import validation
from gallery import cache_on_disk

LENGTH = 3


def double(x):
    return 2 * x


@cache_on_disk
def count(diary, x, y=0):
    with open(diary, "a") as book:
        book.write("run ")
    return xr.Dataset({"z": ("n", double(np.asarray(x, float)) + y)})


@cache_on_disk
def portrait(diary, per_decade):
    with open(diary, "a") as book:
        book.write("run ")
    experiment = toymodels.ToyExperiment(toymodels.OneParameter(2), steps=20)
    return validation.sweep(experiment, validation.Plane.log((1e-2, 1e2), (1e-3, 1e3), per_decade))


@cache_on_disk
def count_default(diary, x=LENGTH):
    with open(diary, "a") as book:
        book.write("run ")
    return xr.Dataset({"z": ("n", [x])})
'''


@pytest.fixture
def space(scripts):
    """A page with cached runs: its names, its diary, and how many runs were made."""
    diary = scripts / "diary"

    def names(text=CACHED):
        path = write_script(scripts, "cached", text)
        linecache.checkcache()
        space = {"__name__": "__main__"}
        exec(compile(text, str(path), "exec"), space)
        return SimpleNamespace(**space)

    return SimpleNamespace(names=names, diary=str(diary), runs=lambda: len(diary.read_text().split()))


def test_a_run_is_made_once(space):
    names = space.names()
    first, again = (names.count(space.diary, (1, 2), y=1) for _ in range(2))
    assert space.runs() == 1
    assert first.identical(again)
    assert first.z.values.tolist() == [3, 5]


def test_another_argument_is_another_run(space):
    names = space.names()
    for arguments, named in (((1, 2), {}), ((1, 3), {}), ((1, 2), {"y": 1}), ((1, 2), {"y": 2})):
        names.count(space.diary, arguments, **named)
    assert space.runs() == 4


@pytest.mark.parametrize(("old", "new"), [("2 * x", "3 * x"), ("+ y", "- y")])
def test_another_function_of_the_page_is_another_run(space, old, new):
    space.names().count(space.diary, (1, 2), y=1)
    after = space.names(CACHED.replace(old, new)).count(space.diary, (1, 2), y=1)
    assert space.runs() == 2
    assert after.z.values.tolist() == ([4, 7] if "3" in new else [1, 3])


def test_another_sentence_on_the_page_is_the_same_run(space):
    for text in (CACHED, CACHED.replace("LENGTH = 3", "# a comment\nLENGTH = 3")):
        space.names(text).count(space.diary, (1, 2))
    assert space.runs() == 1


def test_another_default_is_another_run(space):
    for text in (CACHED, CACHED.replace("LENGTH = 3", "LENGTH = 4")):
        space.names(text).count_default(space.diary)
    assert space.runs() == 2


def test_arrays_are_compared_in_full(space):
    names, many = space.names(), np.zeros(2000)
    for x in (many, np.where(np.arange(2000) == 1000, 1.0, many), np.ones(2), np.array([1, 1 + 1e-12])):
        names.count(space.diary, x)
    assert space.runs() == 4


def test_other_packages_are_another_run(space, monkeypatch):
    space.names().count(space.diary, (1, 2))
    monkeypatch.setattr(importlib.import_module("gallery.disk_cache"), "digest_sources", lambda: "others")
    space.names().count(space.diary, (1, 2))
    assert space.runs() == 2


def test_a_portrait_is_loaded_as_it_was(space, scripts):
    names = space.names()
    first, again = (names.portrait(space.diary, 3) for _ in range(2))
    assert space.runs() == 1
    xr.testing.assert_identical(first, again)
    own = names.portrait.func(space.diary, 3)
    xr.testing.assert_equal(first, own)
    assert first.outcome.dtype == own.outcome.dtype
    assert first.attrs["description"] == own.attrs["description"]


def page_variables(path):
    """Return the page's variables that its cached functions use, themselves or through other functions of the page."""
    text = path.read_text()
    tree = ast.parse(text)
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    imported = {(alias.asname or alias.name).split(".")[0] for n in imports for alias in n.names}
    tables = {t.get_name(): t for t in symtable.symtable(text, str(path), "exec").get_children() if t.get_type() == "function"}

    def globals_of(table):
        names = {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
        return names.union(*map(globals_of, table.get_children()))

    todo = [n for n, f in functions.items() if any("cache_on_disk" in ast.unparse(d) for d in f.decorator_list)]
    used, seen = set(), set()
    while todo:
        if (name := todo.pop()) not in seen:
            seen.add(name)
            names = globals_of(tables[name])
            used |= names - functions.keys()
            todo += names & functions.keys()
    return used - imported - set(dir(builtins))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_cached_functions_depend_on_their_arguments_alone(path):
    assert not page_variables(path)


def test_a_variable_of_the_page_is_noticed(scripts):
    assert not page_variables(write_script(scripts, "good", CACHED))
    assert page_variables(write_script(scripts, "bad", CACHED.replace("return 2 * x", "return [LENGTH * y for y in x]"))) == {"LENGTH"}


def test_another_s_picture_is_refused_before_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "run_page", None)
    foreign = tmp_path / "figure-10-1.png"
    foreign.write_bytes(b"another's")
    assert lazyrich.run(["figure", "10", "--out", str(tmp_path)]) == 2
    assert "figure-10-1.png was not written by lazyrich" in capsys.readouterr().err
    assert foreign.read_bytes() == b"another's"
