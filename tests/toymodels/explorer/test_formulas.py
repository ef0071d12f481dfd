"""The explorer's edges in JavaScript are the theory's: compared with `predict` in node, and printed anew."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from toymodels import HeavyBall, OneParameter, TwoParameter
from toymodels.explorer.formulas import DEPTHS, HEAD, SOURCE, list_lines, print_loss, print_settling
from toymodels.losses import LOSSES
from toymodels.theory import predict

PROGRAM = """
import { edges, exponents } from "./edges.mjs";
import { readFileSync, writeFileSync } from "node:fs";
const plain = (key, value) => value instanceof Float64Array ? Array.from(value, x => Number.isNaN(x) ? null : x)
  : value === Infinity ? 1e300 : value;
const found = JSON.parse(readFileSync("cases.json")).map(({view, gammas}) => ({edges: edges(view, gammas), exponents: exponents(view)}));
writeFileSync("found.json", JSON.stringify(found, plain));
"""
MODELS = [*map(OneParameter, DEPTHS), TwoParameter()]


def run_node(folder, cases):
    """Return what the page's modules answer to the cases."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; with it (https://nodejs.org) the page's formulas are compared with the theory's")
    for name in ("edges", "integrals"):
        (folder / f"{name}.mjs").write_text((SOURCE / f"{name}.js").read_text().replace('.js"', '.mjs"'))
    (folder / "run.mjs").write_text(PROGRAM)
    (folder / "cases.json").write_text(json.dumps(cases))
    subprocess.run([node, "run.mjs"], cwd=folder, check=True, timeout=60)
    return json.loads((folder / "found.json").read_text())


def list_cases():
    """Every model, loss and optimizer at random gammas, T and rho; label noise and another momentum for some."""
    rng, cases, oracles = np.random.default_rng(20), [], []
    for model in MODELS:
        for loss in LOSSES:
            for optimizer in ("sgd", "signsgd", "momentum"):
                steps, rho = int(10 ** rng.uniform(1.5, 4)), float(10 ** rng.uniform(-5, -0.3))
                noise, beta = 0.0, 0.9
                if model.depth in (2, 3):
                    noise, beta = float(rng.choice([0, 0.2])), 0.8
                elif model.depth == 4:      # runs that hardly move, by steps whose memory is long
                    steps, rho, beta = 5000, 0.9985, 0.99
                gammas = 10 ** rng.uniform(-12, 12, 6)
                gammas[:2] = 10 ** rng.uniform(-4, 2, 2)
                cases.append({"gammas": list(gammas), "view": {
                    "model": model.name, "depth": model.depth, "loss": loss, "optimizer": optimizer, "steps": steps, "rho": rho,
                    "noise": noise, "momentum": beta}})
                rule = HeavyBall(beta) if optimizer == "momentum" else optimizer
                oracles.append((predict(model, loss, rule, noise=noise), gammas, steps, rho))
    return cases, oracles


def test_edges_are_those_of_predict(tmp_path):
    cases, oracles = list_cases()
    compared = 0
    for case, found, (edges, gammas, steps, rho) in zip(cases, run_node(tmp_path, cases), oracles, strict=True):
        assert list(found["edges"]) == list(edges), case["view"]
        for name, edge in edges.items():
            values = np.array(found["edges"][name], dtype=float)
            np.testing.assert_allclose(values, edge(gammas, steps, rho), rtol=1e-6, err_msg=f"{name} {case['view']}")
            compared += np.isfinite(values).sum()
    assert compared > 500


def test_exponents_are_those_of_predict_where_it_has_a_window(tmp_path):
    views = [("one", 5, "mse", "sgd", 1000), ("one", 5, "cross_entropy", "signsgd", 300), ("two", 2, "mse", "sgd", 1000),
             ("two", 2, "cross_entropy", "sgd", 30_000)]
    cases = [{"gammas": [], "view": dict(zip(("model", "depth", "loss", "optimizer", "steps"), v, strict=True), rho=0.01)} for v in views]
    for (name, depth, loss, optimizer, steps), found in zip(views, run_node(tmp_path, cases), strict=True):
        for edge in predict(OneParameter(depth) if name == "one" else TwoParameter(), loss, optimizer).values():
            windows = [(edge.window(regime, steps, 0.01), str(edge.fraction(regime))) for regime in edge.regimes]
            windows = [(window, exponent) for window, exponent in windows if window is not None]
            listed = found["exponents"][edge.name]
            assert [entry["exponent"] for entry in listed] == [exponent for _, exponent in windows], (edge.name, loss)
            for entry, (window, _) in zip(listed, windows, strict=True):
                ends = [np.log10(np.clip(pair, 1e-20, 1e20)) for pair in (entry["gamma"], window)]
                np.testing.assert_allclose(*ends, atol=0.3)      # the page's grid is coarser


def test_the_printed_module_is_the_theory_s():
    text = (SOURCE / "edges.js").read_text()
    assert text.startswith(HEAD)
    assert f"const SETTLING = {print_settling()};" in text
    for name, loss in LOSSES.items():
        assert f"  {name}: {print_loss(loss)}," in text
    for model in (OneParameter(5), TwoParameter()):
        assert "\n".join(list_lines(model)) in text, model
