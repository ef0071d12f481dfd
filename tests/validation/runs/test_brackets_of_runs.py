"""Edges and best rates of runs: brackets by what is certain alone, in the user's own words."""

import numpy as np
import pytest

from validation import Misuse, edges_from_runs, fit, judge, optimum_from_runs, read_runs

INF, NAN = np.inf, np.nan


def runs_of(*rows, **more):
    """Rows of (width, lr, loss)."""
    width, lr, loss = (list(column) for column in zip(*rows, strict=True))
    return read_runs({"width": width, "lr": lr, "loss": loss, **more}, "width", "lr", "loss", **{name: name for name in more})


def brackets(edges, edge):
    return edges["eta"].sel(edge=edge).values.tolist()


@pytest.mark.parametrize(("losses", "eta_min", "eta_max", "overlap"), [
    # at the rates 1, 2, 4, 8, 16; trained is a loss of at most 0.2
    ((.5, .2, .1, .3, INF), (1, 2), (4, 8), (0, 0)),
    ((.5, .2, .1, NAN, INF), (1, 2), (4, 16), (0, 0)),                  # an unknown run widens the bracket
    ((.1, .1, .1, .1, .1), (NAN, 1), (16, NAN), (0, 0)),
    ((.1, .1, INF, INF, INF), (NAN, 1), (2, 4), (0, 0)),
    ((.5, .5, .5, .1, .1), (4, 8), (16, NAN), (0, 0)),
    ((.5, .5, .5, INF, INF), (NAN, NAN), (NAN, 8), (0, 0)),              # none trains: if one did, then below 8
    ((.5, .5, .5, .5, .5), (NAN, NAN), (NAN, NAN), (0, 0)),
    ((.5, .1, .3, .2, INF), (1, 2), (2, 16), (0, 1)),                    # 8 trains above 4, which does not
    ((.2, .5, .1, .3, INF), (NAN, 4), (4, 8), (1, 0)),                   # 1 trains below 2, which does not
    ((INF, .1, .1, .3, INF), (NAN, 2), (NAN, 8), (0, 1)),                # one that diverged below all that train
])
def test_the_brackets_of_one_width(losses, eta_min, eta_max, overlap):
    edges = edges_from_runs(runs_of(*((64, 2.0**i, loss) for i, loss in enumerate(losses))), trained_below=0.2)
    assert np.array_equal(edges["eta"].values[:, 0], [eta_min, eta_max], equal_nan=True)
    assert edges["overlap"].values[:, 0].tolist() == list(map(bool, overlap))
    assert any("overlap" in note for note in edges.attrs["notes"]) == any(overlap)
    assert any("no run trains" in note for note in edges.attrs["notes"]) == (min(losses) > 0.2)


def test_the_order_of_runs_and_the_unit_of_rates_do_not_matter():
    rng = np.random.default_rng(1)
    rows = [(width, 2.0**i, rng.choice([0.1, 0.3, INF, NAN])) for width in (64, 128, 256) for i in range(-4, 5)]
    first = edges_from_runs(runs_of(*rows), trained_below=0.2)
    shuffled = edges_from_runs(runs_of(*(rows[i] for i in rng.permutation(len(rows)))), trained_below=0.2)
    assert first["eta"].equals(shuffled["eta"])
    scaled = edges_from_runs(runs_of(*((w, 8 * lr, loss) for w, lr, loss in rows)), trained_below=0.2)
    assert np.array_equal(scaled["eta"], 8 * first["eta"], equal_nan=True)


def test_an_accuracy_is_the_other_way_round():
    rows = [(64, 1, 0.3), (64, 2, 0.9), (64, 4, 0.8), (64, 8, 0.1), (64, 16, INF)]
    edges = edges_from_runs(runs_of(*rows), accuracy_above=0.8)
    assert brackets(edges, "eta_min") == [[1, 2]]
    assert brackets(edges, "eta_max") == [[4, 8]]


def test_seeds_have_brackets_of_their_own():
    rows = [(64, 1, .1), (64, 2, .3), (64, 1, .1), (64, 2, .1), (64, 4, .3), (128, 1, .1), (128, 2, .3)]
    edges = edges_from_runs(runs_of(*rows, seed=[0, 0, 1, 1, 1, 0, 0]), trained_below=0.2)
    assert edges["eta"].dims == ("edge", "seed", "gamma", "bound")
    assert np.array_equal(edges["eta"].sel(edge="eta_max"), [[[1, 2], [1, 2]], [[2, 4], [NAN, NAN]]], equal_nan=True)
    assert edges["overlap"].dims == ("edge", "seed", "gamma")
    both = edges_from_runs(runs_of((64, 1, .1), (64, 2, .3), (64, 2, .1), (64, 4, .3)), trained_below=0.2)
    assert brackets(both, "eta_max") == [[1, 4]]                         # without seeds, the rate 2 does both


def test_a_group_is_chosen_and_never_mixed():
    runs = runs_of((64, 1, .1), (64, 2, .3), (64, 1, .3), (64, 2, .3), group=["a", "a", "b", "b"])
    with pytest.raises(Misuse, match="group must be given, as the runs have several: 'group=a', 'group=b'"):
        edges_from_runs(runs, trained_below=0.2)
    assert brackets(edges_from_runs(runs, trained_below=0.2, group="group=a"), "eta_max") == [[1, 2]]
    with pytest.raises(Misuse, match="group must be one of"):
        optimum_from_runs(runs, group="a")


@pytest.mark.parametrize(("how", "message"), [
    ({}, "one of trained_below and accuracy_above must be given"), ({"trained_below": 1, "accuracy_above": 1}, "one of"),
    ({"trained_below": NAN}, "trained_below must be a finite number"), ({"trained_below": 1, "group": "a"}, "read without groups"),
])
def test_misuse_is_refused(how, message):
    with pytest.raises(Misuse, match=message):
        edges_from_runs(runs_of((64, 1, 1)), **how)
    with pytest.raises(Misuse, match="all 1 are unknown"):
        edges_from_runs(runs_of((64, 1, NAN)), trained_below=1)
    with pytest.raises(Misuse, match="Dataset as from validation"):
        edges_from_runs(runs_of((64, 1, 1)).rename(x="y"), trained_below=1)


def test_the_optimum_is_bracketed_or_censored_at_the_rim_and_never_extrapolated():
    rows = [(64, 2.0**i, (i - 2) ** 2 + 1) for i in range(5)] + [(128, 2.0**i, 2.0**-i) for i in range(5)]
    rows += [(256, 2.0**i, INF if i > 2 else NAN) for i in range(5)]
    rows += [(512, 2.0**i, loss) for i, loss in enumerate([4, 2, 1, NAN, 2])]
    edges = optimum_from_runs(runs_of(*rows))
    assert np.array_equal(edges["eta"].values[0], [[2, 8], [8, NAN], [NAN, NAN], [2, 16]], equal_nan=True)
    assert edges["best"].values[0] == pytest.approx(4)
    assert np.isnan(edges["best"].values).tolist() == [False, True, True, False]
    assert edges.attrs["notes"] == ["at width = 128 no higher rate is worse than the best; add lr = 32", "at width = 256 no run finished"]


def test_a_lost_run_does_not_move_the_optimum():
    """The seed that is lost at the rate 1 is ten times worse at every rate: were seeds averaged, 1 would be the best."""
    rows = [(64, lr, scale * loss) for scale in (1, 10) for lr, loss in ((1, 2.0), (2, 1.0), (4, 2.0))]
    seed = [0, 0, 0, 1, 1, 1]
    rows[3] = (64, 1, NAN)
    edges = optimum_from_runs(runs_of(*rows, seed=seed))
    assert brackets(edges, "eta_opt") == [[1, 4]]
    rows[4] = (64, 2, INF)                                               # what diverged at one seed is not the best
    assert optimum_from_runs(runs_of(*rows, seed=seed))["eta"].values[0, 0].tolist() != [1, 4]


def test_losses_at_zero_are_refused_with_their_place():
    with pytest.raises(Misuse, match="losses above zero, but loss is -1 at width = 64"):
        optimum_from_runs(runs_of((64, 1, 1), (64, 2, -1)))


def test_a_planted_law_is_found_in_the_words_of_the_table():
    """eta_max = 3 / width, rates of a factor 2 whose grid moves with the width; every tenth run is lost."""
    rng = np.random.default_rng(0)
    rows = [(width, lr, NAN if rng.random() < 0.1 else 0.1 if lr < 3 / width else INF)
            for i, width in enumerate(64 * 2.0 ** np.arange(8)) for lr in 2.0 ** (np.arange(-16, 2) + 0.618 * i % 1)]
    law = fit(edges_from_runs(runs_of(*rows), trained_below=0.2), "eta_max")
    assert law.axis == "width"
    assert law.interval[0] < -1 < law.interval[1]
    assert "width" in judge(law, -1).sentence
    assert "gamma" not in judge(law, -1).sentence
    assert judge(law, 0).outcome == "CONTRADICTED"
