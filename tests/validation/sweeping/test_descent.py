"""descend(): what it runs, counted; its eta_max against the flat grid's."""

import re

import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment
from validation import Misuse, Outcome, Plane, descend, locate, sweep
from validation.portrait import REQUIRED, conform, empty

GAMMA = np.geomspace(1e-4, 1e4, 5)


class Known:
    """Trained from gamma/1e4 to 3 gamma, untrained below, diverged above; seed 1's rates are ten times lower."""

    def __init__(self, seeds=None, tile=None, trains=True):
        self.seeds, self.trains, self.measured = seeds, trains, []
        if tile:
            self.tile = tile

    def describe(self):
        return {"witness": "known"}

    def measure(self, gamma, eta):
        made = empty(Plane(gamma, eta), {} if self.seeds is None else {"seed": list(self.seeds)}, REQUIRED)
        self.measured += [(g, e) for g in gamma for e in eta]
        for s in self.seeds or (None,):
            shift = 0.1 if s == 1 else 1.0
            at = {} if s is None else {"seed": s}
            high, low = 3 * gamma[:, None] * shift, gamma[:, None] / 1e4 * shift
            code = np.where(eta >= high, Outcome.DIVERGED, np.where((eta < low) | (not self.trains), Outcome.UNTRAINED, Outcome.CONVERGED))
            excess = np.select([code == Outcome.UNTRAINED, code == Outcome.CONVERGED], [1.0, 0.0], np.inf)
            for name, values in (("outcome", code), *((n, excess) for n in ("final_excess", "tail_excess", "peak_excess"))):
                made[name].loc[at] = values
        return made.assign_attrs(rho=0.01, steps=100)


@pytest.mark.parametrize("tile", [None, (4, 3), (4, 16)])
@pytest.mark.parametrize("below", [1, 3])
def test_runs_from_the_top_to_so_many_decades_below_the_first_that_trains(tile, below):
    experiment = Known(tile=tile)
    portrait = conform(descend(experiment, GAMMA, (1e-9, 1e9), per_decade=5, below=below))
    first = {g: max(e for e in portrait["eta"].values if e < 3 * g) for g in GAMMA}
    expected = {(g, e) for g in GAMMA for e in portrait["eta"].values if e >= first[g] * 10.0**-below * (1 - 1e-6)}
    assert set(experiment.measured) == expected
    assert len(experiment.measured) == len(expected) == portrait.attrs["runs"]          # nothing twice, whatever the tile
    ran = portrait["outcome"] != Outcome.UNRUN
    assert int(ran.sum()) == len(expected)
    assert portrait.attrs["share"] == pytest.approx(len(expected) / portrait["outcome"].size)
    assert portrait["final_excess"].where(~ran).isnull().all()
    assert (portrait.attrs["protocol"], portrait.attrs["rho"]) == ("descending", 0.01)


def test_every_seed_gets_its_decades():
    portrait = descend(Known(seeds=(0, 1)), GAMMA[2:3], (1e-9, 1e9), per_decade=5, below=2)
    ran = portrait["eta"].values[(portrait["outcome"] != Outcome.UNRUN).values[0, 0]]
    assert ran.min() == pytest.approx(10.0**-2.6)                                    # below 10**-0.6, seed 1's first


def test_where_nothing_trains_the_whole_range_is_run():
    portrait = descend(Known(trains=False), GAMMA, (1e-3, 1e3), per_decade=2)
    assert portrait.attrs["share"] == 1


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_eta_max_is_the_flat_grids(loss):
    experiment, plane = ToyExperiment(OneParameter(2), loss, steps=300), Plane.log((1e-4, 1e4), (1e-12, 1e12), (1, 8))
    portrait = descend(experiment, plane.gamma)
    flat = sweep(experiment, plane)
    ours, theirs = (locate(p)["eta"].sel(edge="eta_max") for p in (portrait, flat))
    assert np.isfinite(theirs).any()
    np.testing.assert_array_equal(ours, theirs)
    assert portrait.attrs["share"] < 0.75
    assert portrait.attrs["digest"] == flat.attrs["digest"]
    ran = portrait["outcome"] != Outcome.UNRUN
    assert (portrait["final_excess"].where(ran, 0.0).values == flat["final_excess"].where(ran, 0.0).values).all()


def test_another_rho_is_that_of_the_search():
    experiment = ToyExperiment(OneParameter(2), steps=300)
    shallow, deep = (descend(experiment, [1.0], rho=rho).attrs["runs"] for rho in (0.9, 1e-6))
    assert shallow <= deep


@pytest.mark.parametrize(("more", "words"), [
    ({"gamma": [2.0, 1.0]}, "gamma must increase strictly"), ({"eta": (1.0, 0.1)}, "eta must"), ({"per_decade": 0}, "per_decade must be"),
    ({"below": 0}, "below must be a number"), ({"rho": 2}, "rho must be a number"), ({"experiment": object()}, "experiment must have"),
])
def test_misuse_is_refused(more, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        descend(**({"experiment": Known(), "gamma": [1.0]} | more))
