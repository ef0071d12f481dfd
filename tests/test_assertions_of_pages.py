"""What the assertions of a page demand of its findings: found by changing each verdict."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

sys.path.append(str(Path(__file__).parent.parent / "docs"))

from gallery import Findings
from gallery.assertions import DEMANDED, NONE, WEAK, examine_block
from gallery.borders import INNER, NEAR, find_exponent_border
from gallery.findings import Finding, count_seeds
from validation import Verdict, VerdictOutcome
from validation.arguments import Misuse


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
    ("found.demand()", ["SUPPORTED"] * 2, [DEMANDED] * 2),
    ("found.demand(undecided=['row 1'], contradicted=['row 2'], identity=['row 3'])",
     ["SUPPORTED", "UNDECIDED", "CONTRADICTED", "IDENTITY"], [DEMANDED] * 4),
    ("parts = [row.name for row in found.rows[1:]]\nfound.demand(undecided=parts)", ["SUPPORTED", "UNDECIDED"], [DEMANDED] * 2),
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


@pytest.mark.parametrize(("verdict", "measured", "low", "high", "clearance"), [
    ("SUPPORTED", (0.4, 0.6), 0.3, math.inf, 1), ("SUPPORTED", (0.4, 0.6), 0.398, 0.7, 0.02), ("CONTRADICTED", (0.4, 0.6), 0.65, 1, 0.5),
    ("CONTRADICTED", (0.4, 0.6), 0.1, 0.399, 0.01), ("UNDECIDED", (0.4, 0.6), 0.41, 1, 0.1), ("UNDECIDED", (0.4, 0.6), 0.599, 2, 0.01),
    ("UNDECIDED", (0.4, 0.6), 0.45, 0.57, 0.5), ("SUPPORTED", (0.5, 0.5), 0.5, 0.5, math.inf),
    ("SUPPORTED", (0.4, math.inf), 0.39, math.inf, 0.1),
    ("UNDECIDED", (-math.inf, math.inf), 0, 1, math.inf), ("UNDECIDED", (math.nan, math.nan), 0, 1, math.inf)])
def test_the_clearance_is_the_least_move_of_the_ends_that_gives_another_verdict(verdict, measured, low, high, clearance):
    row = Findings(printed=False).check_interval("1", "x", 0.5, measured, low, high)
    assert row.verdict == verdict
    assert row.clearance == pytest.approx(clearance)
    if clearance < math.inf:
        half = min(measured[1] - 0.5, 0.5 - measured[0])

        def turns(share):
            """Whether some move of the ends by this share of the half-width gives another verdict."""
            moves = (-share * half, 0, share * half)
            ends = [(measured[0] + left, measured[1] + right) for left in moves for right in moves]
            return {Findings(printed=False).check_interval("1", "x", 0.5, moved, low, high).verdict for moved in ends} != {verdict}
        assert turns(clearance * 1.01)
        assert not turns(clearance * 0.99)


def test_the_clearance_of_an_exponent_counts_its_rivals_and_the_90_percent_interval():
    def place(outcome, interval, rivals=(), tolerance=0.05):
        verdict = Verdict(VerdictOutcome(outcome), sum(interval) / 2, interval, 1.0, tolerance, "", rivals=rivals)
        return find_exponent_border(verdict).clearance

    assert place("SUPPORTED", (0.96, 1.02), (0.5, 2)) == pytest.approx((0.05 - 0.04) / 0.03)
    assert place("SUPPORTED", (0.96, 1.02), (0.951, 2)) == pytest.approx(0.3)          # the rival at 0.951 is nearer than the tolerance
    assert place("SUPPORTED", (0.96, 1.045), (1.05,)) == pytest.approx(0.005 / 0.0425)
    assert place("IDENTITY", (0.95, 1.05)) == pytest.approx((0.05 - INNER * 0.05) / 0.05)          # the 95% interval is the tolerance
    assert place("UNDECIDED", (0.93, 1.0)) == pytest.approx((0.035 + INNER * 0.035 - 0.05) / 0.035)
    assert place("CONTRADICTED", (1.06, 1.1)) == pytest.approx(0.5)
    assert place("UNDECIDED", (0.99, 1.01)) == math.inf          # for another reason: its interval would be inside


def put(*rows):
    """Findings of one row each for a range, by the interval."""
    found = Findings(printed=False)
    for i, (interval, low, high) in enumerate(rows):
        found.check_interval("1", f"row {i}", sum(interval) / 2, interval, low, high)
    return found


def test_demands_that_fail_name_the_rows():
    found = put(((0.4, 0.6), 0, 1), ((0.4, 0.6), 0.5, 1), ((0.4, 0.6), 2, 3))
    found.demand(undecided=["row 1"], contradicted=["1: row 2"])
    with pytest.raises(AssertionError, match=r"^demanded is SUPPORTED of 1: row 1: claimed 0.5 to 1, .*: UNDECIDED$"):
        found.demand(contradicted=["row 2"])
    with pytest.raises(AssertionError, match=r"UNDECIDED of 1: row 0.*\n.*CONTRADICTED of 1: row 1"):
        found.demand(undecided=["row 0"], contradicted=["row 1", "row 2"])
    with pytest.raises(AssertionError, match="IDENTITY of 1: row 0"):
        found.demand(identity=["row 0"], undecided=["row 1"], contradicted=["row 2"])


def test_a_demand_of_a_row_that_is_not_there_or_of_two_verdicts_is_refused():
    found = put(((0.4, 0.6), 0, 1))
    with pytest.raises(Misuse, match="no row has 'row 7' in its name; the rows are 1: row 0"):
        found.demand(undecided=["row 7"])
    with pytest.raises(Misuse, match="'1: row 0' is named 2 times: UNDECIDED, CONTRADICTED"):
        found.demand(undecided=["row"], contradicted=["row 0"])


def test_a_row_near_its_border_may_have_the_verdict_beyond_and_no_other():
    near, half = 0.9 * NEAR, 0.1
    inside, outside = put(((0.4, 0.6), 0.4 - near * half, 1)), put(((0.4, 0.6), 0.4 + near * half, 1))
    assert (inside.rows[0].verdict, outside.rows[0].verdict) == ("SUPPORTED", "UNDECIDED")
    for found in (inside, outside):
        found.demand()
        found.demand(undecided=["row 0"])
        with pytest.raises(AssertionError, match="demanded is CONTRADICTED"):
            found.demand(contradicted=["row 0"])
    far, farther = put(((0.4, 0.6), 0.4 + 1.1 * NEAR * half, 1)), put(((0.4, 0.6), 0.4 - 1.1 * NEAR * half, 1))
    far.demand(undecided=["row 0"])
    for found, arguments in ((far, {}), (outside, {"stored": ["row 0"]})):
        with pytest.raises(AssertionError, match="demanded is SUPPORTED"):
            found.demand(**arguments)
    for found, source, demand in ((inside, "found.demand()", WEAK), (farther, "found.demand()", DEMANDED),
                                  (inside, "found.demand(stored=['row'])", DEMANDED)):
        examine_block(source, {"found": found})
        assert [row.asserted for row in found.rows] == [demand]


def test_what_holds_by_construction_is_an_identity():
    found = Findings(printed=False)
    rows = [found.check("1", name, [1.0, 1.1, 0.9], low, by_construction=True) for name, low in (("in", 0), ("out", 2), ("over", 1))]
    assert [row.verdict for row in rows] == ["IDENTITY", "CONTRADICTED", "UNDECIDED"]
    found.demand(identity=["in"], contradicted=["out"], undecided=["over"])
    outcomes = [Verdict(VerdictOutcome(outcome), 1.0, (0.99, 1.01), 1.0, 0.05, "") for outcome in ("SUPPORTED", "UNDECIDED")]
    assert [found.add_verdict("1", "x", verdict, by_construction=True).verdict for verdict in outcomes] == ["IDENTITY", "UNDECIDED"]


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
    errors = pytest.importorskip("sphinx.errors", reason="the site's tools are not installed")
    from ext import computed

    monkeypatch.setattr(computed, "DOCS", tmp_path)
    script = tmp_path / "plot_figure_99.py"
    script.write_text('"""\nFigure 99: a page\n=====\n"""\n')
    monkeypatch.setattr(computed, "names", lambda: {"99": script})
    assert computed.list_findings() == "No page was run."
    found = Findings(printed=False)
    more = " within 0.05; excludes 1; about 38 seeds would decide it"
    for verdict, asserted, remark in (("SUPPORTED", DEMANDED, ""), ("SUPPORTED", WEAK, ""), ("SUPPORTED", NONE, ""),
                                    ("IDENTITY", DEMANDED, ""), ("UNDECIDED", DEMANDED, more), ("CONTRADICTED", DEMANDED, "")):
        found.add(Finding("99", f"{verdict} {asserted}", "1", 0.5, (0.4, 0.6), verdict, remark, 3, asserted,
                          clearance={WEAK: 0.02, NONE: 0.04}.get(asserted, math.inf)))
    (tmp_path / "gallery" / "generated").mkdir(parents=True)
    found.write(tmp_path / "gallery" / "generated" / "plot_figure_99.findings.json")
    assert len(json.loads((tmp_path / "gallery" / "generated" / "plot_figure_99.findings.json").read_text())) == 6
    counts = dict(line.strip("| ").rsplit(" | ", 1) for line in computed.count_findings().splitlines()[2:])
    assert list(counts.values()) == ["1", "2", "1", "1", "1", "6"]
    assert [line.split(" | ")[2:] for line in computed.list_without_evidence().splitlines()[2:]] == [[WEAK, "0.02 |"], [NONE, "0.04 |"]]
    [undecided] = computed.list_open_rows().splitlines()[2:]
    assert undecided == "| 99 | UNDECIDED its verdict | 1 | 0.5 | 0.4 to 0.6 | about 38 seeds would decide it |"
    assert "| 3 | SUPPORTED | its verdict |" in computed.list_findings()
    found.add(Finding("99", "far", "1", 0.5, (0.4, 0.6), "SUPPORTED", asserted=WEAK, clearance=NEAR))
    found.write(tmp_path / "gallery" / "generated" / "plot_figure_99.findings.json")
    with pytest.raises(errors.ExtensionError, match=r"^no assertion demands 99: far$"):
        computed.list_without_evidence()
