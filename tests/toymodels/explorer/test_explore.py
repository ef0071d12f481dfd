"""`lazyrich explore`: the page that it writes, the view and the portrait in it, and what it refuses."""

import base64
import json
import re
import shutil
import subprocess
import webbrowser

import numpy as np
import pytest

import lazyrich
from tests.test_odd_portraits import DEEP
from toymodels import HeavyBall, OneParameter, ToyExperiment, TwoParameter
from toymodels.cli import choose_plane
from toymodels.explorer import page
from toymodels.explorer.choose_view import read_view
from toymodels.explorer.formulas import SOURCE
from validation import Plane, save_portrait
from validation.experiment import name_experiment
from validation.outcome import Outcome
from validation.portrait import empty

BLANK = "<!doctype html><html><head><title>plane</title></head><body><script>1</script></body></html>"


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Explore in an empty folder with a blank page; return the addresses that a browser is given."""
    addresses = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "explorer.html").write_text(BLANK)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page" / "explorer.html")
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def explore(*words):
    return lazyrich.run(["explore", *map(str, words)])


def read_part(path, name):
    """Return the JSON of a script element."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*)</script>', path.read_text())
    return json.loads(found[1]) if found else None


def build_toy_portrait(experiment, gammas, rates):
    """Return a portrait of depth 1 and squared error, whose excess after t steps is (1 - eta/gamma^2)^(2 t)."""
    portrait = empty(Plane(np.logspace(-2, 2, gammas), np.logspace(-6, 6, rates)), {"horizon": list(experiment.steps)})
    factor = np.abs(1 - portrait["eta"].values / portrait["gamma"].values[:, None] ** 2)
    with np.errstate(over="ignore"):
        for k, steps in enumerate(experiment.steps):
            portrait["final_excess"][k] = factor ** (2 * steps)
            portrait["tail_excess"][k] = factor ** np.where(factor < 1, 1.8 * steps, 2 * steps)
            portrait["peak_excess"][k] = np.maximum(1, portrait["final_excess"][k])
    portrait["outcome"][:] = np.select([factor > 1.0001, portrait["tail_excess"].values <= 0.01], [Outcome.DIVERGED, Outcome.CONVERGED],
                                       Outcome.PARTIAL)
    return portrait.assign_attrs(experiment.rules(), **name_experiment(experiment.describe()))


def build_network_portrait(gammas, count, seeds=3, own_rates=False):
    """Return a portrait of a network with random outcomes, no two seeds alike; each gamma may have rates of its own."""
    rng = np.random.default_rng(1)
    gamma, eta = np.logspace(-3, 3, gammas), np.logspace(-6, 2, count)
    portrait = empty(Plane(gamma, gamma[:, None] * eta if own_rates else eta), {"seed": list(range(seeds))})
    shape = portrait["outcome"].shape
    portrait["outcome"][:] = rng.choice([int(o) for o in (Outcome.PARTIAL, Outcome.CONVERGED, Outcome.DIVERGED)], shape)
    for name in ("final_excess", "tail_excess", "peak_excess"):
        portrait[name][:] = 10 ** rng.uniform(-3, 0, shape)
    portrait["steps"][:] = 100
    return portrait.assign_attrs(rho=0.5, steps=100, **name_experiment(DEEP | {"seeds": list(range(seeds))}))


def test_a_plane_of_the_options_is_written_and_opened(tmp_path, opened):
    assert explore("--model", "two", "--steps", 500, "--gamma", 1e-3, 10, "--points", 64) == 0
    path = tmp_path / "lazyrich-explore-two-mse-sgd-T500.html"
    assert opened == [path.as_uri()]
    plane = choose_plane(ToyExperiment(TwoParameter(), "mse", steps=500), (1e-3, 10), None, 8)
    assert read_part(path, "view") == {
        "model": "two", "depth": 2, "loss": "mse", "optimizer": "sgd", "steps": 500, "rho": 0.01, "noise": 0.0,
        "gamma": [1e-3, 10.0], "eta": [plane.eta[0], plane.eta[-1]], "points": 64}
    assert path.read_text().index("</head>") > path.read_text().index('id="view"')


def test_a_page_of_lazyrich_is_replaced_and_another_file_is_not(tmp_path, opened, capsys):
    target = tmp_path / "mine.html"
    words = ("--depth", 2, "--eta", 1e-3, 1, "--out", target, "--no-open")
    assert explore(*words) == explore(*words, "--loss", "cross_entropy") == 0
    assert (read_part(target, "view")["loss"], opened) == ("cross_entropy", [])
    target.write_text("mine")
    assert explore(*words) == 2
    assert target.read_text() == "mine"
    assert "not overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "part"), [
    (["--model", "three"], "model must be"), (["--depth", 13], "depth must be a whole number from 1 to 12, not 13"),
    (["--depth", 0], "depth must be a whole number from 1 to 12, not 0"), (["--model", "two", "--depth", 3], "depth must be 2"),
    (["--eta", 1, 0.1], "eta must increase"), (["--gamma", 0, 1], "gamma"), (["--optimizer", "adam"], "optimizer must be"),
    (["--gamma", 1e-300, 1], "gamma must lie between 1e-290 and 1e+290"), (["--eta", 1e-300, 1], "eta must lie between"),
    (["--eta", 1, 1 + 1e-14], "eta must lie between"), (["--noise", 1e300], "noise must be at most 1000"),
    (["--loss", "both"], "loss must be"), (["--beta", 0.5], "beta belongs"), (["--points", 4000], "points must"), (["--rho", 2], "rho"),
    (["--noise", -1], "noise"), (["--steps", 10**7], "steps must"), (["page/explorer.html"], "but"), (["nothing.zarr"], "there is nothing"),
    (["nothing.zarr", "--model", "one"], "model belongs"), (["--out", "page"], "is a folder"), (["--steps", 2.5], "whole number"),
])
def test_bad_input_is_refused_in_a_sentence(words, part, tmp_path, opened, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert explore(*words) == 2
    printed = capsys.readouterr()
    assert part in printed.out + printed.err
    assert not opened
    assert sorted(tmp_path.rglob("*")) == before


def decode(array):
    values = np.frombuffer(base64.b64decode(array["data"]), "<" + array["type"])
    return values.reshape(array["shape"])


def test_a_stored_toy_is_in_the_page_with_its_edges_and_its_view(tmp_path, opened):
    experiment = ToyExperiment(OneParameter(1), steps=(100, 1000))
    portrait = build_toy_portrait(experiment, 6, 40)
    assert explore(save_portrait(portrait, tmp_path / "stored.nc")) == 0
    path = tmp_path / "lazyrich-explore-stored.html"
    stored = read_part(path, "portrait")
    assert stored["picked"] == {"horizon": [100, 1000]}
    np.testing.assert_array_equal(decode(stored["gamma"]), portrait["gamma"])
    np.testing.assert_array_equal(decode(stored["eta"]), portrait["eta"])
    np.testing.assert_array_equal(decode(stored["variables"]["outcome"]), portrait["outcome"])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(decode(stored["variables"]["final_excess"]), np.log10(portrait["final_excess"]), rtol=1e-6)
    edges = {e["name"]: decode(e) for e in stored["edges"]}
    middle = np.sqrt(edges["eta_div"].prod(-1))[1]
    np.testing.assert_allclose(middle, 2 * portrait["gamma"] ** 2, rtol=0.5)
    predicted = {e["name"]: (decode(e["at"]), decode(e)) for e in stored["predicted"]}
    gamma, eta = predicted["eta_max"]
    np.testing.assert_allclose(eta, [2 * gamma**2] * 2, rtol=1e-12)
    assert stored["verdicts"]
    assert all(v["sentence"] for v in stored["verdicts"])
    assert read_part(path, "view") == read_view(experiment.describe(), (0.01, 100.0), (1e-6, 1e6))


def test_another_threshold_is_that_of_edges_verdicts_and_the_plane_computed_anew(tmp_path, opened):
    path = save_portrait(build_toy_portrait(ToyExperiment(OneParameter(1), steps=(100, 1000)), 6, 40), tmp_path / "stored.nc")
    pages = []
    for rho in (None, 0.1):
        assert explore(path, "--no-open", *(() if rho is None else ("--rho", rho))) == 0
        pages.append([read_part(tmp_path / "lazyrich-explore-stored.html", name) for name in ("portrait", "view")])
    (own, view), (other, changed) = pages
    assert (own["rho"], other["rho"]) == ({"outcomes": 0.01, "edges": 0.01}, {"outcomes": 0.01, "edges": 0.1})
    assert (view["rho"], changed["rho"]) == (0.01, 0.1)
    lowest = [{e["name"]: decode(e) for e in stored["predicted"]}["eta_min"] for stored in (own, other)]
    np.testing.assert_allclose(lowest[0], 2 * lowest[1], rtol=0.01)      # log(1/rho)


def test_an_axis_of_one_value_is_computed_anew_about_it():
    description = ToyExperiment(OneParameter(3)).describe()
    assert read_view(description, (1.0, 1.0), (1e-3, 1))["gamma"] == [0.1, 10.0]
    assert read_view(description, (1.0, 2.0), (1e-3, 1e-3))["eta"] == pytest.approx([1e-4, 1e-2])
    assert read_view(description, (1.0, 1.0), (1e-3, 1))["depth"] == 3
    assert read_view(description, (1e-300, 1.0), (1e-3, 1)) is None


def test_a_toy_that_the_page_cannot_compute_has_no_view():
    def view(**how):
        return read_view(ToyExperiment(**{"model": OneParameter(3), **how}).describe(), (1, 2), (1, 2))

    assert view()["depth"] == 3
    assert view(optimizer=HeavyBall(0.5))["momentum"] == 0.5
    assert [view(**how) for how in ({"model": OneParameter(13)}, {"optimizer": "adam"}, {"schedule": "warmup_cosine"}, {"batch": 4},
                                    {"model": OneParameter(3, start=2)})] == [None] * 5
    assert read_view(DEEP, (1, 2), (1, 2)) is None


def test_a_network_s_runs_are_read_by_the_page(tmp_path, opened):
    portrait = build_network_portrait(5, 7, own_rates=True)
    assert explore(save_portrait(portrait, tmp_path / "net.zarr"), "--no-open") == 0
    path = tmp_path / "lazyrich-explore-net.html"
    assert read_part(path, "view") is None
    stored = read_part(path, "portrait")
    assert stored["notes"] == ["Nothing was judged: no regime with a predicted exponent has four gammas in this plane."]
    assert stored["picked"] == {"seed": [0, 1, 2]}
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; with it (https://nodejs.org) the page's reader of portraits is tried")
    (tmp_path / "decode.mjs").write_text((SOURCE / "decode.js").read_text())
    (tmp_path / "stored.json").write_text(json.dumps(stored))
    (tmp_path / "run.mjs").write_text("""
import { readPortrait } from "./decode.mjs";
import { readFileSync } from "node:fs";
const read = readPortrait({getElementById: id => id === "portrait" ? {textContent: readFileSync("stored.json", "utf8")} : null});
const {outcome, final_excess} = read.variables;
console.log(JSON.stringify([outcome.values, final_excess.values, read.eta].map(values => Array.from(values))));
""")
    outcome, excess, eta = json.loads(subprocess.run([node, "run.mjs"], cwd=tmp_path, check=True, capture_output=True).stdout)
    np.testing.assert_array_equal(outcome, portrait["outcome"].values.ravel())
    np.testing.assert_allclose(np.power(10.0, excess), portrait["final_excess"].values.ravel(), rtol=1e-6)
    np.testing.assert_array_equal(np.reshape(eta, (5, 7)), portrait["eta_value"])
