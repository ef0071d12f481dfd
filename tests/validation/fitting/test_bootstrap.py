"""The bootstrap over gammas and seeds agrees with the likelihood where both hold."""

import numpy as np
import pytest
import xarray as xr

from validation.arguments import Misuse
from validation.fitting.bootstrap import bootstrap
from validation.fitting.powerlaw import fit

GAMMA = np.logspace(0, 2, 12)


def edges(y, cell=0.125):
    low = np.floor(y / cell) * cell
    eta = 10 ** np.stack([low, low + cell], -1)[None]
    dims = ("edge", "gamma", "bound") if eta.ndim == 3 else ("edge", "seed", "gamma", "bound")
    return xr.Dataset({"eta": (dims, eta)}, {"edge": ["eta_max"], "gamma": GAMMA, "bound": ["lower", "upper"]})


@pytest.mark.parametrize(("seeds", "heavy"), [(None, True), (4, False)])
def test_it_covers_and_is_no_wider_than_need_be(seeds, heavy):
    rng, hits, widths, others = np.random.default_rng(0), [], [], []
    for _ in range(50):
        noise = 0.05 * rng.standard_t(3, 12) if heavy else rng.normal(0, 0.1, 12)
        y = 0.5 * np.log10(GAMMA) + noise + rng.uniform(0, 0.125)
        y = y if seeds is None else y + rng.normal(0, 0.05, (seeds, 12))
        found = bootstrap(edges(y), "eta_max", (1, 100), draws=300)
        hits.append(found.interval[0] <= 0.5 <= found.interval[1])
        widths.append(found.interval[1] - found.interval[0])
        others.append(np.ptp(fit(edges(y), "eta_max", (1, 100)).interval))
    assert np.mean(hits) >= 0.86
    assert np.mean(widths) < 1.5 * np.mean(others)


def test_same_seed_same_interval_and_scant_data():
    y = 0.5 * np.log10(GAMMA)
    assert bootstrap(edges(y), "eta_max", seed=3).interval == bootstrap(edges(y), "eta_max", seed=3).interval
    assert bootstrap(edges(y), "eta_max", (1, GAMMA[3])).outcome == "UNDECIDED"
    data = edges(y)
    data["eta"].values[0, 3, 1] = np.nan
    assert "censored" in bootstrap(data, "eta_max", (1, 100)).reason
    with pytest.raises(Misuse, match="draws"):
        bootstrap(data, "eta_max", draws=3)
