"""What the assertions of a page demand of its findings: found by changing each verdict."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

sys.path.append(str(Path(__file__).parent.parent / "docs"))

from ext import computed
from gallery import Findings
from gallery.assertions import DEMANDED, NONE, WEAK, examine_block
from gallery.findings import Finding, count_seeds


def examine(source, *verdicts):
    """What is demanded of rows with these verdicts by a block."""
    found = Findings(printed=False)
    for i, verdict in enumerate(verdicts):
        found.add(Finding("1", f"row {i}", "1", 0.5, (0.4, 0.6), verdict))
    space = {"found": found}
    exec(source, space)
    examine_block(source, space)
    assert [row.verdict for row in found.rows] == list(verdicts)          # as they were
    return [row.asserted for row in found.rows]


@pytest.mark.parametrize(("source", "verdicts", "demanded"), [
    ("assert all(row.verdict == 'SUPPORTED' for row in found.rows)", ["SUPPORTED"] * 2, [DEMANDED] * 2),
    ("assert all(row.verdict == 'SUPPORTED' for row in found.rows[:1])", ["SUPPORTED"] * 2, [DEMANDED, NONE]),
    ("assert not any(row.verdict == 'CONTRADICTED' for row in found.rows)", ["SUPPORTED", "UNDECIDED"], [WEAK] * 2),
    ("assert {row.verdict for row in found.rows} <= {'SUPPORTED', 'UNDECIDED'}", ["SUPPORTED", "UNDECIDED"], [WEAK] * 2),
    ("assert found.rows[0].measured > 0", ["SUPPORTED"], [WEAK]),
    ("assert found.rows[0].interval[0] > 0", ["SUPPORTED"], [DEMANDED]),
    ("outcomes = {row.what: row.verdict for row in found.rows}\nassert outcomes['row 1'] == 'CONTRADICTED'", ["SUPPORTED", "CONTRADICTED"],
     [NONE, DEMANDED]),
    ("rows = [row for row in found.rows if row.verdict == 'UNDECIDED']\nassert len(rows) == 1", ["UNDECIDED", "SUPPORTED"],
     [DEMANDED, NONE]),
    ("assert any(row.verdict == 'SUPPORTED' for row in found.rows)", ["SUPPORTED"] * 2, [NONE] * 2),
    ("for row in found.rows:\n    assert row.verdict == 'SUPPORTED'", ["SUPPORTED"], [NONE]),          # `row` is what the page left
    ("assert True", ["SUPPORTED"], [NONE]), ("", ["SUPPORTED"], [NONE]),
    ("assert found.check('1', 'new', 3, 0).verdict == 'SUPPORTED'", [], [NONE])])
def test_what_an_assertion_demands(source, verdicts, demanded):
    if "found.check" in source:          # an assertion that adds a row is not evaluated again
        found = Findings(printed=False)
        space = {"found": found}
        exec(source, space)
        examine_block(source, space)
        assert [row.asserted for row in found.rows] == demanded
    else:
        assert examine(source, *verdicts) == demanded


def test_the_strongest_demand_of_several_blocks_stays():
    found = Findings(printed=False)
    found.check("1", "x", 3, 0, 4)
    for source in ("assert found.rows[0].verdict == 'SUPPORTED'", "assert found.rows[0].verdict != 'CONTRADICTED'"):
        examine_block(source, {"found": found})
    assert found.rows[0].asserted == DEMANDED


def test_as_many_seeds_as_are_named_decide():
    x = np.random.default_rng(0).normal(0.3, 1, 5)
    x = (x - x.mean()) / x.std(ddof=1) + 0.3
    row = Findings(printed=False).check("1", "x", x, 0)
    assert (row.verdict, row.seeds) == ("UNDECIDED", 5)
    half = row.interval[1] - row.measured

    def lower_end(n):
        y = np.resize([1.0, -1.0], n)
        y = (y - y.mean()) / y.std(ddof=1) + 0.3
        return ttest_1samp(y, 0).confidence_interval(0.95).low
    number = next(n for n in range(6, 200) if lower_end(n) > 0)
    assert row.more == f"; about {number} values in place of 5 would decide"
    assert count_seeds(0.01, half, 5, 0, math.inf) == "more than 200 values would decide"


def test_the_tables_of_the_findings_page(tmp_path, monkeypatch):
    monkeypatch.setattr(computed, "DOCS", tmp_path)
    script = tmp_path / "plot_figure_99.py"
    script.write_text('"""\nFigure 99: a page\n=====\n"""\n')
    monkeypatch.setattr(computed, "names", lambda: {"99": script})
    assert computed.list_findings() == "No page was run."
    found = Findings(printed=False)
    more = " within 0.05; excludes 1; about 38 seeds would decide it"
    for verdict, asserted, remark in (("SUPPORTED", DEMANDED, ""), ("SUPPORTED", WEAK, ""), ("SUPPORTED", NONE, ""),
                                    ("IDENTITY", DEMANDED, ""), ("UNDECIDED", DEMANDED, more), ("CONTRADICTED", DEMANDED, "")):
        found.add(Finding("99", f"{verdict} {asserted}", "1", 0.5, (0.4, 0.6), verdict, remark, 3, asserted))
    (tmp_path / "gallery" / "generated").mkdir(parents=True)
    found.write(tmp_path / "gallery" / "generated" / "plot_figure_99.findings.json")
    assert len(json.loads((tmp_path / "gallery" / "generated" / "plot_figure_99.findings.json").read_text())) == 6
    counts = dict(line.strip("| ").rsplit(" | ", 1) for line in computed.count_findings().splitlines()[2:])
    assert list(counts.values()) == ["1", "2", "1", "1", "1", "6"]
    assert [line.split(" | ")[2] for line in computed.list_without_evidence().splitlines()[2:]] == [f"{WEAK} |", f"{NONE} |"]
    [undecided] = computed.list_open_rows().splitlines()[2:]
    assert undecided == "| 99 | UNDECIDED its verdict | 1 | 0.5 | 0.4 to 0.6 | about 38 seeds would decide it |"
    assert "| 3 | SUPPORTED | its verdict |" in computed.list_findings()
