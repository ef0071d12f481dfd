"""`tune`: the search on planted surfaces, its cost, what it trains, a store that survives a kill, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import deepnets
import lazyrich
from deepnets import DeepExperiment, tasks
from deepnets.place.crossing import find_crossing
from deepnets.tuning import tuner
from deepnets.tuning.ridge import Start, find_rich_power, measure_start
from deepnets.tuning.search import FIRST, search, spread
from deepnets.tuning.trial_store import VERSION
from validation import Misuse

TEACHER = tasks.teacher(8)
NETWORK = deepnets.MLP(8, 12, 2, 1, parametrization="standard")
START = Start(2.0, ((0.5, 0.02), (2.0, 0.3), (8.0, 1.0)), 2, 2 / 3, 0)


class Surface:
    """A planted loss: a valley in gamma and eta with a cliff above it; short runs see it shifted."""

    def __init__(self, remaining, gamma=5.0, eta=0.1):
        self.remaining, self.spent, self.seen = remaining, 0.0, []
        self.centre = np.log10([gamma, eta])

    def train(self, points, share):
        self.spent += len(points) / share
        self.remaining -= len(points) / share
        assert self.remaining > -1e-9
        d, k = (np.log10(points) - self.centre).T
        loss, early = (np.where(k > 0.6, np.inf, 1 + 2 * (k + 0.2 * short)**2 + 0.5 * (d - k)**2) for short in (share > 1, True))
        self.seen += [(g, e, share, value) for (g, e), value in zip(points, loss, strict=True)]
        return np.stack([loss, early], 1)


def best(surface):
    return min(value for *_, share, value in surface.seen if share == 1)


@pytest.mark.parametrize("at", [(5.0, 0.1), (40.0, 1.0), (1.0, 0.02), (3.0, 0.01)])
def test_the_search_finds_a_planted_valley_and_spends_no_more_than_it_may(at):
    surfaces = [Surface(budget, *at) for budget in (4.0, 8.0, 12.3, 24.0)]
    for surface in surfaces:
        search(START, surface)
    found = [best(s) for s in surfaces]
    assert found == sorted(found, reverse=True)
    assert found[2] < 1.3
    assert found[3] < 1.05
    assert all(s.spent > min(b, 20) - 1 for s, b in zip(surfaces[:3], (4, 8, 12.3), strict=True))      # and it uses what it has
    # with fewer runs the search is the beginning of the longer one
    assert surfaces[1].seen == surfaces[3].seen[:len(surfaces[1].seen)]


def test_a_surface_that_never_trains_ends_the_search():
    surface = Surface(9.0)
    surface.train = lambda points, share: (setattr(surface, "remaining", surface.remaining - len(points) / share),
                                           np.full((len(points), 2), np.inf))[1]
    search(START, surface)
    assert surface.remaining >= -1e-9


def test_the_first_runs_are_short_and_spread_over_four_decades_of_gamma_and_one_of_eta():
    surface = Surface(4.0)
    search(START, surface)
    assert [share for _, _, share, _ in surface.seen] == [6] * FIRST + [1, 1]
    x, y = np.array(spread(-0.8)).T
    assert np.diff(x) == pytest.approx(2 * 2.1 / FIRST)
    assert x.sum() == pytest.approx(0, abs=1e-6)
    assert np.diff(np.sort(y)).max() < 2 * 1.2 / FIRST      # no gap wider than twice that of equal distances
    assert np.abs(y + 0.8).max() < 0.6
    assert np.ptp(y) > 0.9
    assert np.log10([g / START.gamma for g, *_ in surface.seen[:FIRST]]) == pytest.approx(x)


def test_no_full_run_is_repeated_and_the_search_ends_where_all_proposals_are_beside_runs():
    surface = Surface(40.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepnets.tuning.search.FINENESS", (4, 5))
        search(START, surface)
    ran = [(g, e) for g, e, share, _ in surface.seen if share == 1]
    assert len(ran) == len(set(ran)) == 20
    assert surface.remaining > 1


def test_the_ridge_is_the_rich_power_beyond_the_crossing_and_a_line_to_the_edge_below_it():
    level = np.exp(np.mean(np.log([0.3, 1.0 / 4 ** (2 / 3)])))      # of the edges at the crossing and beyond
    for gamma in (2.0, 9.0, 800.0):
        assert START.edge(gamma) == pytest.approx(level * (gamma / 2) ** (2 / 3))
    gentle = Start(2.0, ((0.5, 0.05), *START.edges[1:]), 2, 2 / 3, 0)
    for gamma in (0.5, 1.0, 1.9):
        assert gentle.edge(gamma) == pytest.approx(level * (gamma / 2) ** (np.log(level / 0.05) / np.log(4)))
    for gamma in (0.5, 0.1, 1e-3):      # below the edge that was measured, the lazy power
        assert gentle.edge(gamma) == pytest.approx(0.05 * (gamma / 0.5) ** 2)
    steeper = Start(2.0, ((0.5, 1e-4), (2.0, 0.3)), 2, 2 / 3, 0)
    assert steeper.edge(0.5) == pytest.approx(0.3 / 16)                    # no steeper than gamma squared
    assert Start(2.0, ((0.5, 0.02),), 2, 1.0, 0).edge(4.0) == pytest.approx(0.02 * 4**2 * 2)      # nothing measured beyond
    assert Start.read(json.loads(json.dumps(START.describe()))) == START


@pytest.mark.parametrize(("network", "optimizer", "power"), [
    (deepnets.MLP(8, 4, 4, 1), "sgd", 1 / 2), (deepnets.MLP(8, 4, 2, 1), "adam", 1 / 2), (lambda seed: nn.Linear(8, 1), "sgd", 2 / 3)])
def test_the_rich_power_is_that_of_the_theory_and_of_three_matrices_where_the_depth_is_unknown(network, optimizer, power):
    assert find_rich_power(DeepExperiment(network, TEACHER, optimizer=optimizer, device="cpu")) == pytest.approx(power)


def test_the_start_is_the_crossing_and_an_edge_of_a_linear_network():
    experiment = DeepExperiment(NETWORK, TEACHER, steps=1000, batch_size=16, device="cpu")
    start = measure_start(experiment)
    assert abs(np.log10(start.gamma / find_crossing(experiment).gamma)) < 0.3
    assert [g / start.gamma for g, _ in start.edges] == pytest.approx(10 ** np.array([-0.7, 0, 0.7]))
    task = tasks.full_batch(tasks.linear((1.0,), dim=6, out_features=1))
    line = measure_start(DeepExperiment(lambda seed: nn.Linear(6, 1, bias=False), task, steps=1000, batch_size=16, device="cpu"))
    x = task.batch(0, 0, 16)[0].double()
    edge = 2 / float(torch.linalg.eigvalsh(x.T @ x / 16)[-1])
    for gamma, eta in line.edges:      # a ramp passes it before the loss has risen
        assert 0.7 < eta / (edge * gamma**2) < 10
    assert line.gamma == 1
    assert "lazy at every gamma" in line.notes[0]


def test_a_search_for_the_crossing_takes_no_more_than_it_may():
    experiment = DeepExperiment(NETWORK, TEACHER, steps=50, batch_size=16, device="cpu")
    free = find_crossing(experiment, 48, rows=48)
    limit = 120 * 48 + 2 * 48 * 48
    few = find_crossing(experiment, 48, rows=48, most_cost=limit + 1)
    assert len(free.readings[0]) > 1 == len(few.readings[0])
    assert few.cost <= limit
    none = find_crossing(experiment, 48, rows=48, most_cost=100)
    assert (none.gamma, none.readings, none.cost) == (None, ((),), 0)
    assert "too few steps" in none.reason


@pytest.fixture(scope="module")
def tuned():
    return deepnets.tune(NETWORK, TEACHER, runs=8, steps=100, batch_size=16, seeds=(0, 1), device="cpu")


def test_losses_and_costs_are_those_of_the_experiment(tuned):
    experiment = DeepExperiment(NETWORK, TEACHER, steps=100, batch_size=16, seeds=(0, 1), curves=1, device="cpu")
    again = experiment.measure([tuned.gamma], [tuned.eta])["held_out_loss"].isel(step=-1).mean()
    assert tuned.loss == pytest.approx(float(again), rel=1e-6)
    assert tuned.loss == min(t.loss for t in tuned.trials if t.steps == 100)
    unit = 100 * 16 * 2
    assert tuned.spent == pytest.approx(tuned.start.cost / unit + sum(t.steps for t in tuned.trials) / 100)
    assert 7 < tuned.spent <= 8
    assert tuned.path[-1] == (pytest.approx(tuned.spent), tuned.loss)
    assert all(b[1] <= a[1] for a, b in zip(tuned.path, tuned.path[1:], strict=False))
    assert sum(t.steps == 16 for t in tuned.trials) == 8
    assert tuned.near[0] == (tuned.gamma, tuned.eta, tuned.loss)
    assert all(loss <= 1.05 * tuned.loss for *_, loss in tuned.near)


def test_the_report_says_what_was_found_and_what_it_cost(tuned):
    text = tuned.report()
    assert tuned.sentence.startswith(f"The best of {len(tuned.path)} full runs is gamma = {tuned.gamma:.3g}, eta = {tuned.eta:.3g}")
    assert text.startswith(tuned.sentence)
    assert f"Cost: {tuned.spent:.2f} of 8 full-run equivalents" in text
    assert json.loads(json.dumps(tuned.describe(), allow_nan=False))["loss"] == tuned.loss


def test_a_store_is_resumed_and_extended_and_belongs_to_its_experiment(tmp_path, tuned):
    options = {"steps": 100, "batch_size": 16, "seeds": (0, 1), "device": "cpu"}
    path = tmp_path / "s.json"
    first = deepnets.tune(NETWORK, TEACHER, runs=5, store=path, **options)
    stored = len(json.loads(path.read_text())["trials"])
    assert stored == len(first.trials) < len(tuned.trials)
    longer = deepnets.tune(NETWORK, TEACHER, runs=8, store=path, **options)
    assert (longer.gamma, longer.eta, longer.loss, longer.trials) == (tuned.gamma, tuned.eta, tuned.loss, tuned.trials)
    counted = []
    deepnets.tune(NETWORK, TEACHER, runs=8, store=path, progress=lambda state: counted.append(state.done), **options)
    assert counted[-1] == pytest.approx(100 * tuned.spent, abs=1)
    for change, sentence in ({"batch_size": 17}, "batch_size"), ({"seeds": (5,)}, r"seeds \[0, 1\]"):
        with pytest.raises(Misuse, match=sentence):
            deepnets.tune(NETWORK, TEACHER, runs=8, store=path, **options | change)
    before = path.read_text()
    for text in ("{", "[]", '{"kind": "other"}'):
        path.write_text(text)
        with pytest.raises(Misuse, match="left as it is"):
            deepnets.tune(NETWORK, TEACHER, runs=8, store=path, **options)
        assert path.read_text() == text
    for version in (1, VERSION + 1):
        text = json.dumps(json.loads(before) | {"version": version})
        path.write_text(text)
        with pytest.raises(Misuse, match=f"of version {version} of the search, and this one is {VERSION}.*left as it is"):
            deepnets.tune(NETWORK, TEACHER, runs=8, store=path, **options)
        assert path.read_text() == text
    path.write_text(before)
    assert deepnets.tune(NETWORK, TEACHER, runs=8, store=path, **options).trials == tuned.trials


KILLED = """
import sys, deepnets
from deepnets import tasks
network = deepnets.MLP(8, 12, 2, 1, nonlinearity="tanh")
deepnets.tune(network, tasks.teacher(8), runs=6, steps=60, batch_size=16, store=sys.argv[1], device="cpu")
"""


def test_a_killed_search_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("LAZYRICH_ENGINE", "stack")      # which has nothing to compile

    def search(store):
        network = deepnets.MLP(8, 12, 2, 1, nonlinearity="tanh")
        return deepnets.tune(network, TEACHER, runs=6, steps=60, batch_size=16, store=store, device="cpu")

    path = tmp_path / "s.json"
    process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and len(json.loads(path.read_text())["trials"]) >= 5:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    between = json.loads(path.read_text())["trials"]
    whole = search(None)
    assert 0 < len(between) < len(whole.trials)
    trained = []
    with pytest.MonkeyPatch.context() as patch:
        train = tuner._train_points
        patch.setattr(tuner, "_train_points", lambda e, points, short: trained.extend(points) or train(e, points, short))
        assert search(path) == whole
    assert len(trained) == len(whole.trials) - len(between)      # what is stored is not trained again


def test_bad_arguments_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for change, sentence in (({"runs": 3}, "runs must be"), ({"runs": np.nan}, "runs must be"), ({"steps": 10}, "steps must be"),
                             ({"store": tmp_path / "file" / "s.json"}, "cannot write"), ({"seeds": ()}, "seeds must be"),
                             ({"network": nn.Linear}, "not the class Linear"), ({"batch_size": 0}, "batch_size must be")):
        with pytest.raises(Misuse, match=sentence):
            deepnets.tune(**{"network": NETWORK, "task": TEACHER, "runs": 5, "steps": 60} | change)


def test_a_network_that_cannot_learn_is_a_result():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return 0 * self.p * x[:, :1]

    found = deepnets.tune(lambda seed: Constant(), TEACHER, runs=5, steps=60, batch_size=256, device="cpu")
    assert (found.gamma, found.eta, found.near) == (None, None, ())
    assert found.sentence.startswith("No run of 60 steps")
    assert "constant near its initialization" in found.report()


def test_the_command_prints_the_report_and_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("import deepnets\nnet, data = deepnets.MLP(8, 12, 2, 1), deepnets.tasks.teacher(8)\n")
    words = "tune mine.py:net --data mine.py:data --runs 5 --steps 60 --batch-size 16 --device cpu --quiet"
    assert lazyrich.run(words.split()) == 0
    expected = deepnets.tune(deepnets.MLP(8, 12, 2, 1), TEACHER, runs=5, steps=60, batch_size=16, device="cpu", store="lazyrich-tune.json")
    assert capsys.readouterr().out == f"{expected.report()}\n"
    assert lazyrich.run([*words.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(expected.describe()))
    assert lazyrich.run([*words.replace("--runs 5", "--runs 2").split()]) == 2
    assert "runs must be" in capsys.readouterr().err
    assert lazyrich.run([*words.replace("--steps 60", "--steps 61").split()]) == 2
    assert "another experiment (steps)" in capsys.readouterr().err
