"""No module of the zoo is silently trained as another network: each run equals plain training of two copies, or is refused by name."""

import os

import numpy as np
import pytest
from torch import nn

from tests.deepnets.zoo.comparison import ALLOWED, compare, list_all, list_part, run
from tests.deepnets.zoo.entry import ZOO, Entry
from tests.deepnets.zoo.rates import RATES
from tests.deepnets.zoo.reference import BATCH, LOSSES, STEPS, choose_rates, mse, train
from tests.deepnets.zoo.samples import SAMPLES

FAMILIES = sorted({entry.family for entry in ZOO.values()})


def check(entries):
    results = run(entries)
    print(*results, f"{sum(r.silent for r in results)} silent differences of {len(results)}", sep="\n")
    assert sum(r.silent for r in results) == 0, "\n".join(str(r) for r in results if r.silent)
    assert all(r.right for r in results), "\n".join(str(r) for r in results if not r.right)


def test_there_are_many_modules_and_every_family_has_its_part():
    assert len(ZOO) >= 150
    assert {entry.family for entry, _ in list_part()} >= set(FAMILIES) - {"libraries"}
    assert {loss for _, loss in list_part()} == {"mse", "cross_entropy"}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_module_is_silently_another_network(family):
    check([(entry, loss) for entry, loss in list_part() if entry.family == family])


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="all modules with both losses; LAZYRICH_PATIENT=1 runs them")
@pytest.mark.parametrize("family", FAMILIES)
def test_no_module_at_all_is_silently_another_network(family):
    check([(entry, loss) for entry, loss in list_all() if entry.family == family])


def test_another_network_is_seen(monkeypatch):
    """Without the check, pairs train a module whose backward hook scales a gradient as if it had none."""
    entry = ZOO["backward hook"]
    assert compare(entry, "mse", gammas=(1e-3,)).right
    monkeypatch.setattr("deepnets.network_check.find_disagreement", lambda *args, **more: None)
    wrong = compare(entry, "mse", gammas=(1e-3,))
    assert wrong.how == "pairs"
    assert wrong.silent
    assert wrong.difference > 100 * ALLOWED


def test_the_stored_rates_are_those_that_are_chosen():
    """Of every module that must be trained there are rates; those of one are chosen again."""
    entries = [entry for entry in ZOO.values() if entry.refusal is None]
    assert {entry.name: set(entry.losses) for entry in entries if entry.installed} == {
        entry.name: set(RATES.get(entry.name, {})) for entry in entries if entry.installed}
    entry = ZOO["nn.Hardtanh"]
    eta, excess = choose_rates(entry.network, entry.task, LOSSES["mse"], np.array([1.0, 100.0]))
    assert [RATES["nn.Hardtanh"]["mse"][g] for g in ("1", "100")] == pytest.approx(eta, rel=0.01)
    assert (np.abs(1 - excess) > 0.04).all()


@pytest.mark.parametrize("gamma", [1e-6, 1.0])
def test_the_reference_trains_a_line(gamma):
    """A linear network's f~ = x u^T is trained in u at the rate eta/gamma^2, here by numpy."""
    task, rate = SAMPLES["numbers"], 0.02
    line = Entry("a line", "", lambda: nn.Linear(24, 2, bias=False), "numbers")
    found, peak = train(line.network, task, mse, np.array([gamma]), np.array([rate * gamma**2]))
    u, losses, zero = np.zeros((2, 24)), [], []
    for step in range(STEPS + 1):
        x, y = (t.double().numpy() for t in task.batch(0, step, BATCH))
        losses.append(((x @ u.T - y) ** 2).mean() / 2)
        zero.append((y**2).mean() / 2)
        u -= rate * (x @ u.T - y).T @ x / y.size
    assert found[0] == pytest.approx(np.mean(losses[-10:]) / np.mean(zero[-10:]), rel=1e-7)
    assert peak[0] == pytest.approx(np.max(np.array(losses) / np.array(zero)))
    assert found[0] < 0.9
