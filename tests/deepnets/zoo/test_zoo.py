"""No module of the zoo is silently trained as another network: each run equals plain training of two copies, or is refused by name."""

import os

import pytest
import torch
from torch import nn

from tests.deepnets.zoo.comparison import ALLOWED, compare, list_all, list_part, run
from tests.deepnets.zoo.entry import ZOO, Entry
from tests.deepnets.zoo.reference import BATCH, Copy, cross_entropy, mse, train
from tests.deepnets.zoo.samples import SAMPLES

FAMILIES = sorted({entry.family for entry in ZOO.values()})


def check(entries):
    results = run(entries)
    print(*results, f"{sum(r.silent for r in results)} silent differences of {len(results)}", sep="\n")
    assert sum(r.silent for r in results) == 0, "\n".join(str(r) for r in results if r.silent)
    assert all(r.right for r in results), "\n".join(str(r) for r in results if not r.right)


def test_there_are_many_modules_of_every_family():
    assert len(ZOO) >= 150
    assert {entry.family for entry, _ in list_part()} >= set(FAMILIES) - {"libraries"}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_module_is_silently_another_network(family):
    check([(entry, loss) for entry, loss in list_part() if entry.family == family])


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="the other modules, with both losses; LAZYRICH_PATIENT=1 runs them")
@pytest.mark.parametrize("family", FAMILIES)
def test_none_at_all(family):
    check([(entry, loss) for entry, loss in list_all() if entry.family == family])
