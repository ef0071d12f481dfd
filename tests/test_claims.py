"""The findings as data: what a build is compared with, what fails it, and what the command prints."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from pathlib import Path

import pytest

import lazyrich

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from gallery import claims, pages  # noqa: E402

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = json.loads((ROOT / "docs" / "findings.schema.json").read_text())
ACCEPTED = claims.read_claims()


def claim(**changes):
    return {"page": "figure-06", "figure": "6a", "name": "exponent of eta_max, rich", "predicted": "0.4021 +- 0.0333",
            "range": [0.3688, 0.4354], "measured": 0.4021, "interval": [0.40, 0.41], "verdict": "SUPPORTED"} | changes


def compare(former, now, processor="znver4"):
    return claims.compare_claims({"processor": "znver4", "claims": former}, {"processor": processor, "claims": now})


def test_the_accepted_findings_are_as_the_schema_says():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(ACCEPTED, SCHEMA)
    wrong = copy.deepcopy(ACCEPTED)
    wrong["claims"][0]["verdict"] = "TRUE"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_each_page_that_has_findings_is_there_with_its_code_and_data():
    assert {c["page"] for c in ACCEPTED["claims"]} == set(ACCEPTED["pages"])
    for path, name in {path: name for name, path in pages.names().items()}.items():
        page = ACCEPTED["pages"].get(pages.page_name(path))
        if "Findings()" in path.read_text():
            assert page is not None, f"its findings are not accepted: run `python -m gallery.claims {name}` in docs"
            assert page["title"] == pages.title(path)
            assert page["data"] == claims.list_data(path), "its data have changed: build the site, and accept what it finds"


def test_the_data_are_the_files_of_the_repository():
    listed = {entry["file"]: entry["sha256"] for page in ACCEPTED["pages"].values() for entry in page["data"]}
    for file, digest in listed.items():
        assert hashlib.sha256((ROOT / file).read_bytes()).hexdigest() == digest
    # the others are read by tables, and by a page that claims nothing
    others = {path.name for path in (ROOT / "docs" / "data" / "kept").glob("*.nc")} - {Path(file).name for file in listed}
    assert {name.partition("-")[0] for name in others} <= {"lazy_levels.nc", "brackets.nc", "crossings.nc", "tuning", "figure_16"}


@pytest.mark.parametrize(("change", "words"), [
    ({"verdict": "UNDECIDED"}, "it was SUPPORTED (0.4021 (0.4 to 0.41)), and is UNDECIDED"),
    ({"measured": 0.42, "interval": [0.415, 0.425]}, "it was 0.4021 (0.4 to 0.41), and is 0.42 (0.415 to 0.425)"),
    ({"measured": None}, "and is nan"),
    ({"range": [0.36, 0.44], "predicted": "0.4 +- 0.04"}, "the prediction was 0.4021 +- 0.0333, and is 0.4 +- 0.04"),
])
def test_a_claim_that_changed_is_named(change, words):
    [sentence] = compare([claim()], [claim(**change)])
    assert sentence.startswith("page figure-06, 6a: exponent of eta_max, rich: ")
    assert words in sentence


def test_a_new_a_vanished_and_a_repeated_claim_are_named():
    other = claim(name="another")
    assert "it is new, and SUPPORTED" in compare([claim()], [claim(), other])[0]
    assert "it was SUPPORTED, and there is no such claim" in compare([claim(), other], [claim()])[0]
    assert "two claims have this name" in compare([claim()], [claim(), claim()])[0]


def test_last_digits_and_numbers_within_their_interval_are_no_change():
    assert compare([claim()], [claim(measured=0.405, interval=[0.403, 0.412])]) == []
    exact = claim(interval=None, measured=3.0)
    assert compare([exact], [claim(interval=None, measured=3.0 + 1e-7)]) == []
    assert compare([exact], [claim(interval=None, measured=4.0)]) != []
    assert compare([claim(interval=[None, None])], [claim(interval=[None, None], measured=7.0)]) == []


@pytest.mark.parametrize(("former", "now", "fails"), [
    ("SUPPORTED", "UNDECIDED", False), ("UNDECIDED", "CONTRADICTED", False), ("SUPPORTED", "CONTRADICTED", True),
    ("IDENTITY", "SUPPORTED", True)])
def test_on_another_processor_a_verdict_may_become_undecided(former, now, fails):
    changed = [claim(verdict=former)], [claim(verdict=now, measured=0.5)]
    assert len(compare(*changed)) == 1
    assert len(compare(*changed, processor="skylake-avx512")) == fails
    assert len(compare([claim()], [], processor="skylake-avx512")) == 1


def test_the_last_build_is_gathered_in_the_order_of_pages(tmp_path, monkeypatch):
    from gallery import Findings

    found = Findings(printed=False)
    found.check("6a", "a number", 3, 0, 4)
    found.check("6a", "another", [1.0, 2.0, 3.0], low=2.5)
    found.write(tmp_path / "plot_figure_06.findings.json")
    found.write(tmp_path / "plot_table_1.findings.json")
    gathered = claims.gather_claims(tmp_path)
    jsonschema.validate(gathered, SCHEMA)
    assert list(gathered["pages"]) == ["figure-06", "table-1"]
    first, second, *_ = gathered["claims"]
    assert (first["range"], first["interval"], first["verdict"]) == ([0, 4], None, "SUPPORTED")
    assert (second["range"], second["verdict"]) == ([2.5, None], "UNDECIDED")
    assert [entry["file"] for entry in gathered["pages"]["table-1"]["data"]] == ["docs/data/network_exponents.nc"]
    claims.write_claims(gathered, tmp_path / "findings.json")
    assert claims.read_claims(tmp_path / "findings.json") == gathered
    assert claims.compare_claims(gathered, gathered) == []
    monkeypatch.setattr(claims, "GENERATED", tmp_path / "nowhere")


def test_one_page_is_run_and_accepted_and_the_others_stay(tmp_path, monkeypatch, capsys):
    script = tmp_path / "plot_figure_06.py"
    script.write_text('"""\nFigure 6: a page\n================\n"""\nfrom gallery import Findings\n\nfound = Findings()\n'
                      'found.check("6a", "a number", 3, 0, 4)\nassert found.rows[0].measured == 3\n')
    other = tmp_path / "plot_table_1.py"
    other.write_text('"""\nTable 1\n=======\n"""\n')
    monkeypatch.setattr(pages, "SCRIPTS", tmp_path)
    former = {"version": "0.1.0", "revision": "unknown", "processor": "znver4", "pages": {"table-1": claims.describe_page(other)},
              "claims": [claim(page="table-1")]}
    found = claims.replace_pages(former, ["6"])
    assert list(found["pages"]) == ["figure-06", "table-1"]
    assert [(c["page"], c["name"]) for c in found["claims"]] == [("figure-06", "a number"), ("table-1", "exponent of eta_max, rich")]
    jsonschema.validate(found, SCHEMA)
    script.write_text(script.read_text().replace("== 3", "== 4"))
    assert claims.main(["6"]) == claims.main(["no-page"]) == 2
    assert "does not hold" in capsys.readouterr().err


def test_the_command_prints_what_is_requested(capsys):
    assert lazyrich.run(["findings", "signsgd", "table-1", "--verdict", "SUPPORTED"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("(table-1)")
    assert all(line.startswith("  SUPPORTED ") and "signsgd" in line for line in lines[1:-1])
    assert lines[-1] == f"{len(lines) - 2} claims: {len(lines) - 2} SUPPORTED"
    assert lazyrich.run(["findings", "no such thing"]) == 0
    assert capsys.readouterr().out == "0 claims\n"
    assert lazyrich.run(["findings", "--verdict", "TRUE"]) == 2


def test_the_command_prints_json_of_the_schema(capsys):
    assert lazyrich.run(["findings", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ACCEPTED
    assert lazyrich.run(["findings", "eta_max", "figure-06", "--json"]) == 0
    some = json.loads(capsys.readouterr().out)
    jsonschema.validate(some, SCHEMA)
    assert list(some["pages"]) == ["figure-06"]
    assert 0 < len(some["claims"]) < 9
