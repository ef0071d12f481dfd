"""`judge` of portraits with odd descriptions, attributes and dims: one short sentence, exit code 2, nothing written."""

from __future__ import annotations

import copy
import json
from functools import lru_cache

import numpy as np
import pytest

import lazyrich
import toymodels
from deepnets import theory
from validation import Misuse, Plane, locate, save_portrait
from validation.outcome import Outcome
from validation.portrait import empty

PLANE = Plane(np.logspace(-4, -3, 5), np.logspace(-9, -5, 9))
DEEP = {"witness": "deep", "network": {"name": "mlp", "in_features": 64, "width": 16, "depth": 3, "out_features": 10, "bias": False,
                                       "nonlinearity": "relu", "parametrization": "mup"},
        "task": {"name": "digits"}, "loss": "mse", "optimizer": {"name": "sgd"}, "schedule": {"name": "constant"}, "steps": 100,
        "batch_size": 32, "seeds": [0], "precision": "auto", "width": 16, "rho": 0.5, "curves": 0}
TOY = toymodels.ToyExperiment(toymodels.OneParameter(3), steps=50).describe()
LONG = "n" * 200_000
NESTED = [[]]
for _ in range(300):
    NESTED = [NESTED]


@lru_cache
def blank():
    """A portrait in which all runs are partial, with the attributes that edges need."""
    portrait = empty(PLANE, {}, ("outcome", "final_excess", "tail_excess", "peak_excess", "steps"))
    portrait["outcome"][:] = int(Outcome.PARTIAL)
    for name in ("final_excess", "tail_excess", "peak_excess"):
        portrait[name][:] = 0.9
    return portrait.assign_attrs(rho=0.5, steps=100)


def changed(description, place, value):
    """A description with one entry replaced, or removed where the value is None."""
    description = copy.deepcopy(description)
    *path, last = place.split(".")
    part = description
    for name in path:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return description


ODD_STEPS = [0, -1, 2.5, 1e9, True, "many", [], [0], [5, 5], [9, 3], [1.5], [True], [[1]], {}, 10**40]
ODD_TOYS = [("steps", s) for s in ODD_STEPS if s != 10**40] + [
    ("model", None), ("model", "one"), ("model.name", "three"), ("model.name", LONG), ("model.name", ["one"]), ("model.depth", 0),
    ("model.depth", 2.5), ("model.depth", True), ("model.depth", "3"), ("model.depth", None), ("model.depth", 1001),
    ("model.depth", 10**30), ("model", {"name": "two", "depth": 10**30}), ("model", {"name": "two", "depth": 3}),
    ("loss", None), ("loss", "hinge"),
    ("loss", LONG), ("loss", ["mse"]), ("loss", {"name": "mse"}), ("optimizer", None), ("optimizer", "sgd"), ("optimizer.name", "lion"),
    ("optimizer.name", None), ("optimizer.beta", 0.9), ("optimizer", NESTED), ("schedule", 3), ("schedule.name", "odd"), ("schedule", None),
    ("rho", None), ("rho", "low"), ("rho", 2), ("rho", True), ("rho", NESTED), ("witness", None), ("witness", "third"), ("witness", LONG),
    ("witness", ["toy"])]
ODD_NETWORKS = [("steps", s) for s in ODD_STEPS] + [("steps", None)] + [
    (part, value) for part in ("network", "task", "optimizer", "schedule")
    for value in (None, 3, "text", [], {}, {"name": 3}, {"name": LONG}, NESTED)] + [
    ("network.depth", d) for d in (None, 1, 2.0, True, "3", [3], 10**40)] + [
    ("network.width", w) for w in (0, "16", 10**40)] + [
    ("network.parametrization", "odd"), ("network.parametrization", ["mup"]), ("network", {"name": "cnn", "nonlinearity": "relu"}),
    ("network", {"name": "resnet", "width": 8}), ("network", {"name": "resnet", "width": 8, "blocks": "2222"}),
    ("network", {"name": "resnet", "width": 8, "blocks": [2] * 1000}), ("network", {"name": "own", "parametrization": "ntk"}),
    ("loss", None), ("loss", "hinge"), ("loss", 3), ("loss", {}), ("loss", {"name": 3}), ("loss", {"name": LONG}), ("loss", NESTED),
    ("optimizer.weight_decay", "heavy"), ("optimizer.clip", [1]), ("optimizer.clip", True), ("centred", "no"), ("centred", 3),
    ("fingerprint", 3), ("fingerprint", {"parameters": [3]}), ("fingerprint", {"parameters": {"w": 3}}),
    ("fingerprint", {"parameters": {"w": ["a", 2]}}), ("fingerprint", {"parameters": {"w": [2**39, 2**39]}})]
CASES = [(TOY, *c) for c in ODD_TOYS] + [(DEEP, *c) for c in ODD_NETWORKS]


def refused(path, capsys):
    """Judge a portrait, which is refused, and return the sentence."""
    before = sorted(path.parent.iterdir())
    assert lazyrich.run(["judge", str(path), "--out", str(path.parent / "out")]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("lazyrich: ")
    assert error.count("\n") == 1
    assert len(error) < 2500
    assert sorted(path.parent.iterdir()) == before
    return error


@pytest.mark.parametrize(("base", "place", "value"), CASES, ids=[f"{b['witness']}-{p}-{str(v)[:20]}" for b, p, v in CASES])
def test_an_odd_description_is_refused_in_a_sentence(base, place, value, tmp_path, capsys):
    description = changed(base, place, value)
    path = save_portrait(blank().assign_attrs(description=json.dumps(description)), tmp_path / "p.nc")
    sentence = refused(path, capsys)
    assert place.split(".")[-1].split("_")[0] in sentence or "description" in sentence
    if description.get("witness") in ("toy", "deep"):       # and from Python
        with pytest.raises(Misuse):
            (toymodels.ToyExperiment.of if base is TOY else theory.theory_of)(description)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"toy"', "null", "[" * 100_000, '{"a":' * 100_000, '{"witness": ' + "9" * 5000 + "}"])
def test_a_description_that_is_none_is_refused_in_a_sentence(text, tmp_path, capsys):
    assert "must hold the JSON description" in refused(save_portrait(blank().assign_attrs(description=text), tmp_path / "p.nc"), capsys)


@pytest.mark.parametrize("attrs", [
    {"rho": "low"}, {"rho": 0.0}, {"rho": [0.1, 0.2]}, {"rho": float("nan")}, {"steps": "many"}, {"steps": float("nan")}, {"steps": -1},
    {"steps": 2.5}, {"catapult_peak": "high"}, {"catapult_kernel_ratio": [1.0, 2.0]}, {"catapult_kernel_ratio": "low"},
    {"eta_max_of": "odd"}, {"eta_max_of": 3}, {"accuracy": "high"}, {"accuracy": 7.0}], ids=str)
def test_odd_attributes_are_refused_in_a_sentence(attrs, tmp_path, capsys):
    portrait = blank().assign_attrs(description=json.dumps(DEEP | {"loss": "cross_entropy"}), **attrs)
    portrait["final_accuracy"] = portrait["final_excess"]
    assert next(iter(attrs)) in refused(save_portrait(portrait, tmp_path / "p.nc"), capsys) or "accuracy" in attrs


@pytest.mark.parametrize("change", [
    lambda p: p.rename(gamma="richness"), lambda p: p.rename(eta="rate"), lambda p: p.isel(gamma=0), lambda p: p.isel(eta=slice(0)),
    lambda p: p.drop_vars("gamma"), lambda p: p.drop_vars("tail_excess"), lambda p: p.assign_coords(gamma=-p.gamma),
    lambda p: p.assign_coords(gamma=p.gamma.values[::-1]), lambda p: p.assign(outcome=p.outcome + 90),
    lambda p: p.assign(final_excess=p.final_excess.isel(eta=0)), lambda p: p.assign(outcome=p.outcome.astype(str))])
def test_odd_dims_are_refused_in_a_sentence(change, tmp_path, capsys):
    portrait = change(blank()).assign_attrs(description=json.dumps(TOY))
    with pytest.raises(Misuse):
        locate(portrait)
    portrait.to_netcdf(tmp_path / "p.nc", engine="scipy")
    refused(tmp_path / "p.nc", capsys)


@pytest.mark.parametrize("place", [
    ("loss", {"name": "huber"}), ("optimizer", {"name": "own", "speed": 3}), ("network", {"name": "models.Own"}), ("centred", False)])
def test_networks_losses_and_optimizers_of_one_s_own_are_no_misuse(place, tmp_path, capsys):
    path = save_portrait(blank().assign_attrs(description=json.dumps(changed(DEEP, *place))), tmp_path / "p.nc")
    assert lazyrich.run(["judge", str(path)]) == 0
    assert capsys.readouterr().err == ""
