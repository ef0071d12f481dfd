"""Experiment: its defaults, and objects that merely have describe() and measure()."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

from tests.validation.sweeping.sleepers import Seeded
from toymodels import OneParameter, ToyExperiment
from validation import Experiment, Misuse, Plane, descend, executors, refined_sweep, sweep, trace
from validation.experiment import as_experiment, digest, hash_json
from validation.storage import zarr_store
from validation.storage.zarr_metadata import create_store

PLANE = Plane.log((1e-1, 1e1), (1e-3, 1e2), per_decade=3)


class Bisecting(ToyExperiment):
    sections = 1


TOY = Bisecting(OneParameter(2), steps=50)


class Duck:
    """An object of no class of ours, with the two methods alone."""

    def describe(self):
        return TOY.describe()

    def measure(self, gamma, eta):
        return TOY.measure(gamma, eta)


class Minimal(Experiment):
    """A subclass with the two methods alone."""

    describe, measure = Duck.describe, Duck.measure


@pytest.mark.parametrize("experiment", [Duck(), Minimal()])
@pytest.mark.parametrize("act", [
    lambda e, folder: sweep(e, PLANE),
    lambda e, folder: sweep(e, PLANE, store=folder / "p.zarr"),
    lambda e, folder: sweep(e, PLANE, store=folder / "p.zarr", executor=executors.processes(2)),
    lambda e, folder: refined_sweep(e, PLANE, 1),
    lambda e, folder: descend(e, PLANE.gamma, (1e-3, 1e2), 3),
    lambda e, folder: trace(e, PLANE.gamma, "eta_max", rtol=0.1)[["eta", "crossings"]],
])
def test_two_methods_are_enough(experiment, act, tmp_path):
    (tmp_path / "toy").mkdir()
    xr.testing.assert_equal(act(experiment, tmp_path), act(TOY, tmp_path / "toy"))


def test_the_defaults():
    experiment = Minimal()
    assert as_experiment(experiment) is experiment
    assert (experiment.tile, experiment.seeds, experiment.sections, experiment.scan_per_decade) == ((16, 16), None, 1, 1)
    assert experiment.rules() == {}
    experiment.check()
    with pytest.raises(Misuse, match="must be a dataclass or define with_seeds"):
        experiment.with_seeds((1,))


def test_what_a_similar_object_has_of_the_rest_is_used():
    adapted = as_experiment(Seeded(seeds=(3, 4)))
    assert (adapted.tile, adapted.seeds, adapted.rules()["rho"]) == ((3, 4), (3, 4), 0.5)
    assert adapted.with_seeds((9,)).describe()["seeds"] == [9]

    class Refusing(Duck):
        scan_per_decade = 7

        def check(self):
            raise Misuse("nothing fits")

    class Own(Duck):
        seeds = (0, 1)

        def with_seeds(self, seeds):
            one = Own()
            one.seeds = seeds
            return one

    assert as_experiment(Own()).with_seeds((1,)).seeds == (1,)
    assert as_experiment(type("Plain", (Duck,), {"seeds": (0, 1)})()).seeds is None
    assert as_experiment(Refusing()).scan_per_decade == 7
    with pytest.raises(Misuse, match="nothing fits"):
        as_experiment(Refusing()).check()


@pytest.mark.parametrize("named", [("rose", "kernel_ratio"), ["rose", "kernel_ratio"]])
def test_a_store_is_created_with_the_variables_that_an_experiment_names(named, tmp_path, monkeypatch):
    class Naming(Duck):
        variables = named

    created = []
    monkeypatch.setattr(zarr_store, "create_store", lambda *given: created.append(given) or create_store(*given))
    sweep(Naming(), PLANE, store=tmp_path / "naming.zarr")
    assert len(created) == 1
    sweep(Duck(), PLANE, store=tmp_path / "duck.zarr")          # created anew with what the first tile has
    assert len(created) == 3


@pytest.mark.parametrize("named", ["temperature", ("rose", "temperature"), 3, (None,), {"rose": 1}])
def test_variables_that_no_portrait_has_are_refused(named, tmp_path):
    class Naming(Minimal):
        variables = named

    with pytest.raises(Misuse, match=r"variables must be names of outcome, .*, not "):
        sweep(Naming(), PLANE, store=tmp_path / "p.zarr")
    assert not list(tmp_path.iterdir())


class Refused(Minimal):
    """Nothing of it can be trained, as its check finds."""

    tile = (2, 2)

    def __init__(self, refuses=True):
        self.refuses, self.checks = refuses, 0

    def check(self):
        self.checks += 1
        if self.refuses:
            raise Misuse("nothing fits")

    def measure(self, gamma, eta):
        assert not self.refuses
        return super().measure(gamma, eta)


@pytest.mark.parametrize("act", [
    lambda e, folder: sweep(e, PLANE),
    lambda e, folder: sweep(e, PLANE, store=folder / "p.zarr"),
    lambda e, folder: sweep(e, PLANE, executor=ThreadPoolExecutor(2)),
    lambda e, folder: sweep(e, PLANE, store=folder / "p.zarr", executor=executors.processes(2)),
    lambda e, folder: refined_sweep(e, PLANE, 0),
    lambda e, folder: descend(e, PLANE.gamma, (1e-3, 1e2), 3),
    lambda e, folder: trace(e, PLANE.gamma, "eta_max", rtol=0.1),
])
def test_what_cannot_be_trained_is_refused_before_any_way_of_measuring(act, tmp_path):
    with pytest.raises(Misuse, match="nothing fits"):
        act(Refused(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    accepted = Refused(refuses=False)
    act(accepted, tmp_path)
    assert accepted.checks == 1         # and not once a tile


def test_a_store_is_checked_where_something_is_left_to_measure(tmp_path):
    store, experiment = tmp_path / "p.zarr", Refused(refuses=False)
    part = Plane(PLANE.gamma[:2], PLANE.eta)
    sweep(experiment, part, store=store)
    sweep(Refused(), part, store=store)
    with pytest.raises(Misuse, match="nothing fits"):
        sweep(Refused(), PLANE, store=store)


def test_a_dataclass_gets_other_seeds():
    @dataclass(frozen=True)
    class Own(Minimal):
        seeds: tuple[int, ...] = (0, 1)
        width: int = 3

    assert Own(width=5).with_seeds([7]) == Own((7,), 5)


@pytest.mark.parametrize("other", [3, Duck, type("Half", (), {"describe": Duck.describe})()])
def test_anything_else_is_refused(other):
    with pytest.raises(Misuse, match="experiment must have describe"):
        as_experiment(other)
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (Experiment,), {"describe": Duck.describe})()


def test_the_hash_depends_on_content_alone():
    assert hash_json({"a": 1, "b": [2.5]}) == hash_json({"b": [2.5], "a": 1}) != hash_json({"a": 1, "b": [np.nextafter(2.5, 3)]})
    assert digest({"a": 1, "seeds": [0], "plane": "p"}) == digest({"a": 1}) == hash_json({"a": 1})
