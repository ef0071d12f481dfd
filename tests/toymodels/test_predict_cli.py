"""`lazyrich predict`: its tables, its refusals, its duration."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from toymodels.predict_cli import predict
from validation.arguments import Misuse


def test_without_a_model_it_prints_table_1_and_appendix_f(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert predict() == 0
    out = capsys.readouterr().out
    for text in ("Table 1", "Appendix F", "eta_settle", "gamma^(2/5)", "gamma^(1/5)", "5.086 gamma^2", "2.2 gamma", "gamma < 0.013"):
        assert text in out


def test_json_holds_exact_exponents(capsys):
    assert predict(model="one", depth=3, loss="both", steps=10_000, format="json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 10_000
    by_name = {(e["loss"], e["edge"]): e for e in found["edges"]}
    assert set(by_name) == {(loss, edge) for loss in ("mse", "cross_entropy") for edge in ("eta_min", "eta_max")}
    assert by_name["mse", "eta_max"]["rich"]["exponent"] == "2/3"
    assert by_name["mse", "eta_max"]["lazy"]["prefactor_value"] == pytest.approx(2 / 9)
    assert by_name["mse", "eta_max"]["lazy"]["window"][0] is None
    assert by_name["mse", "eta_min"]["rich"]["window"][1] == pytest.approx((2 * 10_000 / 3) ** 3 / 3)


def test_latex_is_a_tabular_with_every_formula(capsys):
    assert predict(model="two", loss="cross_entropy", format="latex") == 0
    out = capsys.readouterr().out
    assert out.count(r"\begin{tabular}") == out.count(r"\end{tabular}") == 1
    for edge in ("min", "crit", "settle", "max"):
        assert rf"\eta_{{\mathrm{{{edge}}}}}" in out


@pytest.mark.parametrize("model", ["one", "two"])
@pytest.mark.parametrize("optimizer", ["sgd", "signsgd", "momentum", "adam"])
def test_every_derivation_prints(model, optimizer, capsys):
    for form in ("table", "latex"):
        assert predict(model=model, optimizer=optimizer, derive=True, format=form) == 0
    out = capsys.readouterr().out
    assert out.count("The model:") == 4
    if optimizer == "sgd":
        assert "local exponent tends to 2" in out


def test_an_edge_that_ends_says_where(capsys):
    assert predict(model="one", optimizer="adam") == 0
    assert "only for gamma <= 0.005" in capsys.readouterr().out


def test_errata_are_those_of_the_page(capsys):
    assert predict(errata=True) == 0
    text = capsys.readouterr().out
    assert predict(errata=True, format="latex") == 0
    assert capsys.readouterr().out.strip() == (Path(__file__).parents[2] / "docs" / "errata.md").read_text().strip()
    assert predict(errata=True, format="json") == 0
    assert len(json.loads(capsys.readouterr().out)) == text.count("printed:") == 10
    assert "eta_max ~ gamma^(2/L)" in text
    assert not set("$\\{}") & set(text)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rho": 1.0}, {"depth": 0}, {"model": "two", "depth": 3}, {"derive": True},
                                   {"model": "three"}, {"optimizer": "signsgd"}, {"format": "xml"}, {"loss": "hinge"},
                                   {"errata": True, "model": "one"}, {"errata": True, "steps": 5},
                                   {"model": "one", "derive": True, "format": "json"}, {"model": "one", "optimizer": "lion"}])
def test_refusals(wrong):
    with pytest.raises(Misuse) as caught:
        predict(**wrong)
    assert "\n" not in str(caught.value)


def test_a_fresh_process_takes_seconds():
    code = "from toymodels.predict_cli import predict; predict()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    # of the processor, which a busy machine does not change; 4 s is usual
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 12
