"""Super-consistency: the spread's closed forms and coverage; muP against NTK, in width and in depth; refusals."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepnets import MLP, DeepExperiment, ResidualMLP, ResNet, Transformer, ViT, tasks, transfer_check
from deepnets.phenomena import measures, size_spread, super_consistency, watch
from validation import Misuse

DIGITS = tasks.digits()
RATES = np.logspace(0.8, 2.4, 9)
FEW = {"steps": 60, "batch_size": 32, "device": "cpu", "at": (0, 30, 40, 50, 60)}


def mlp(parametrization):
    return lambda width: MLP(64, width, 3, 10, parametrization=parametrization)


# ---------------------------------------------------------------- the spread of curves

@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.integers(3, 6), st.floats(-5, 5), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_spread_over_sizes_does_not_depend_on_common_factors_of_seeds_and_times(shifts, seeds, unit, source):
    rng = np.random.default_rng(source.getrandbits(32))
    y = np.array(shifts)[:, None] + rng.normal(size=(seeds, 1, 1)) + rng.normal(size=(1, 1, 4))
    found = size_spread(10 ** (y + unit))
    np.testing.assert_allclose(found.spread, np.std(shifts, ddof=1), atol=1e-6)
    np.testing.assert_allclose(found.interval, np.std(shifts, ddof=1), atol=1e-6)
    assert found.scatter < 1e-6
    np.testing.assert_allclose(found.each, np.std(shifts, ddof=1), atol=1e-6)


def test_the_spread_is_the_analysis_of_variance():
    y = np.random.default_rng(1).normal(size=(5, 4, 1)) + np.array([0, 1, 2, 4])[:, None]
    found = size_spread(10**y)
    means, rest = y[..., 0].mean(0), y[..., 0] - y[..., 0].mean(0) - y[..., 0].mean(1, keepdims=True) + y.mean()
    error = (rest**2).sum() / (4 * 3)
    assert found.scatter == pytest.approx(np.sqrt(error), rel=1e-12)
    assert found.spread == pytest.approx(np.sqrt(means.var(ddof=1) - error / 5), rel=1e-12)      # mean squares between, less within
    assert found.ratio == pytest.approx(found.spread / found.scatter)


def test_late_snapshots_count_alone_and_in_mean_squares():
    curves = 10 ** np.broadcast_to(np.array([0, 1.0])[:, None] * np.array([9, 9, 0.01, 0.05]), (3, 2, 4))
    found = size_spread(curves)
    assert found.spread == pytest.approx(np.sqrt((0.01**2 + 0.05**2) / 2 / 2))
    assert found.fired
    assert not size_spread(curves, late=1).fired
    assert size_spread(curves, late=0.25).spread == pytest.approx(0.05 / np.sqrt(2))
    assert size_spread(curves, tolerance=0.01).verdict.outcome == "CONTRADICTED"


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.0), (3, 0.1), (4, 0.03), (4, 0.2), (8, 0.1)])
def test_the_interval_holds_the_spread_at_its_rate_and_verdicts_err_at_theirs(seeds, spread):
    rng = np.random.default_rng(seeds)
    shifts = np.array([-1, -0.3, 0.4, 0.9])
    shifts = spread * (shifts - shifts.mean()) / shifts.std(ddof=1)
    found = [size_spread(10 ** (shifts[:, None] + rng.normal(0, 0.04, (seeds, 4, 1)) + rng.normal(0, 0.03, (seeds, 4, 5))))
             for _ in range(400)]
    assert np.mean([t.interval[0] <= spread <= t.interval[1] for t in found]) > 0.92
    wrong = "CONTRADICTED" if spread <= 0.1 else "SUPPORTED"
    assert np.mean([t.verdict.outcome == wrong for t in found]) < 0.05
    if spread == 0.1:      # at the tolerance
        assert np.mean([t.fired for t in found]) < 0.09


def test_scatter_of_seeds_is_no_spread():
    found = size_spread(10 ** np.random.default_rng(0).normal(0, 0.3, (40, 4, 20)))
    assert found.spread < 0.05
    assert found.scatter == pytest.approx(0.3, rel=0.05)
    assert found.fired


@pytest.mark.parametrize("gap", [np.nan, np.inf, 0.0, -1.0])
def test_a_missing_late_value_is_undecided_and_named(gap):
    curves = np.ones((3, 2, 4))
    curves[2, 1, 0] = gap
    assert size_spread(curves).fired
    curves[2, 1, 3] = gap
    found = size_spread(curves)
    assert found.verdict.outcome == "UNDECIDED"
    assert "size no. 2 has no value with seed no. 3" in found.sentence


@pytest.mark.parametrize(("wrong", "named"), [
    ({"curves": np.ones((2, 4, 4))}, "curves"), ({"curves": np.ones((3, 1, 4))}, "curves"), ({"curves": np.ones((3, 4))}, "curves"),
    ({"curves": "many"}, "curves"), ({"tolerance": 0}, "tolerance"), ({"late": 0}, "late"), ({"late": 1.5}, "late"),
])
def test_size_spread_refuses(wrong, named):
    with pytest.raises(Misuse, match=named):
        size_spread(**{"curves": np.ones((3, 2, 4))} | wrong)


# ---------------------------------------------------------------- networks

def test_sharpness_and_best_eta_stay_under_mup_and_not_under_ntk():
    """The NTK line: gamma in its own units is that of muP times the root of the width, and eta times the width; alike at width 16."""
    mup = super_consistency(mlp("mup"), DIGITS, (16, 32, 64, 128), eta=8.0, scan=RATES, **FEW)
    ntk = super_consistency(mlp("ntk"), DIGITS, (16, 32, 64, 128), gamma=4.0, eta=128.0, scan=16 * RATES, **FEW)
    assert mup.outcome == "SUPPORTED"
    assert mup.fired
    assert ntk.outcome == "CONTRADICTED"
    assert mup.spread.spread < 0.06
    assert ntk.spread.spread > max(0.12, 2 * mup.spread.spread)
    assert ntk.spread.verdict.outcome != "SUPPORTED"
    assert abs(mup.transfer.slopes["best eta"]) < 0.05
    assert 0.15 < ntk.transfer.slopes["best eta"] < 0.3
    assert mup.sentence.startswith("super-consistent in width 16 to 128 (4 seeds): sharpness apart by 0.0")
    assert ntk.sentence.startswith("not super-consistent in width 16 to 128")
    # the same network at width 16, in either's units
    np.testing.assert_allclose(mup.curves.sharpness[:, 0], ntk.curves.sharpness[:, 0], rtol=1e-3)
    assert dict(mup.curves.sizes) == {"seed": 4, "width": 4, "step": 5, "time": 61}
    assert list(mup.curves.width) == [16, 32, 64, 128]
    assert mup.curves.attrs == {"gamma": 1.0, "eta": 8.0}


def test_its_parts_are_the_transfer_check_and_recorded_runs():
    how = {"steps": 10, "batch_size": 16, "device": "cpu", "seeds": (2, 3, 5)}
    found = super_consistency(mlp("mup"), DIGITS, (4, 8, 12, 16), gamma=2.0, scan=4 * RATES, at=(0, 10), **how)
    transfer = transfer_check(mlp("mup"), DIGITS, (4, 8, 12, 16), gamma=2.0, eta=4 * RATES, **how)
    np.testing.assert_array_equal(found.transfer.data.value, transfer.data.value)
    best = np.exp(np.log(transfer.data.value[0]).mean("seed"))
    assert found.curves.attrs["eta"] == pytest.approx(float(best.min()) / 4)
    alone = watch(DeepExperiment(mlp("mup")(12), DIGITS, steps=10, batch_size=16, device="cpu"), 2.0, found.curves.attrs["eta"], (0, 10),
                  {"s": measures.sharpness()}, seed=3)
    np.testing.assert_allclose(found.curves.sharpness.sel(seed=3, width=12), alone.s[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.curves.loss.sel(seed=3, width=12), alone.loss[:, 0], rtol=1e-6)


def test_depth_is_a_size_too():
    of = super_consistency(lambda blocks: ResidualMLP(64, 6, blocks, 10), DIGITS, (1, 2, 3, 4), "blocks", eta=1.0, scan=RATES,
                           transfer_tolerance=9.0, steps=3, batch_size=8, device="cpu", seeds=(0, 1, 2), at=(0, 3))
    assert list(of.curves.sharpness.dims) == ["seed", "blocks", "step"]
    assert "in blocks 1 to 4" in of.sentence


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="a minute; the page on super-consistency claims the same")
def test_deeper_is_sharper_where_branches_are_not_scaled_down():
    def residual(parametrization):
        return lambda blocks: ResidualMLP(64, 24, blocks, 10, parametrization=parametrization)

    how = {"size": "blocks", "steps": 40, "batch_size": 32, "device": "cpu", "seeds": (0, 1, 2), "at": (0, 20, 30, 40)}
    scaled = super_consistency(residual("depth_mup"), DIGITS, (2, 3, 5, 8), eta=6.0, scan=RATES, tolerance=0.2, **how)
    plain = super_consistency(residual("mup"), DIGITS, (2, 3, 5, 8), eta=0.6, scan=np.logspace(-1, 2, 9), **how)
    assert scaled.outcome != "CONTRADICTED"
    assert scaled.spread.fired
    assert plain.outcome == "CONTRADICTED"
    assert plain.spread.spread > 0.3


def test_diverged_runs_are_undecided_and_a_scan_without_the_best_rate_is_refused():
    how = {"steps": 10, "batch_size": 8, "device": "cpu", "seeds": (0, 1, 2), "at": (0, 10)}
    lost = super_consistency(mlp("mup"), DIGITS, (4, 6, 8, 10), eta=1e30, scan=np.logspace(-2, -1, 5), **how)
    assert {str(v.outcome) for v in lost.verdicts.values()} == {"UNDECIDED"}
    assert lost.sentence.startswith("UNDECIDED whether super-consistent")
    with pytest.raises(Misuse, match="scan must hold the best eta"):
        super_consistency(mlp("mup"), DIGITS, (4, 6, 8, 10), scan=np.logspace(-2, -1, 5), **how)


def test_impossible_snapshots_are_refused_before_rates_are_scanned(monkeypatch):
    monkeypatch.setattr(DeepExperiment, "measure", None)
    with pytest.raises(Misuse, match="at must"):
        super_consistency(mlp("mup"), DIGITS, (4, 6, 8, 10), device="cpu", steps=1, batch_size=2, at=(0, 200))


@pytest.mark.parametrize(("change", "named"), [
    ({"sizes": (8, 16, 32)}, "sizes"), ({"size": "heads"}, "size"), ({"gamma": 0}, "gamma"), ({"eta": -1.0}, "eta"),
    ({"scan": (1, 2)}, "scan"), ({"seeds": (0, 1)}, "seeds"), ({"optimizer": "adam"}, "optimizer"), ({"tolerance": 0}, "tolerance"),
    ({"transfer_tolerance": 0}, "transfer_tolerance"), ({"network_of_size": MLP}, "network_of_size"), ({"speed": 1}, "speed"),
    ({"at": (0, 200)}, "at must"),
])
def test_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        super_consistency(**{"network_of_size": mlp("mup"), "task": DIGITS, "sizes": (4, 6, 8, 10), "eta": 1.0, "device": "cpu",
                             "steps": 1, "batch_size": 2} | change)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="minutes; the gallery's page measures the same at every build")
@pytest.mark.parametrize("architecture", ["resnet", "vit", "transformer"])
def test_other_networks(architecture, tmp_path):
    task, rates = DIGITS, np.logspace(0.5, 2.5, 9)
    how = {"steps": 40, "batch_size": 16, "device": "cpu", "seeds": (0, 1, 2), "at": (0, 20, 30, 40)}
    if architecture == "transformer":
        (tmp_path / "a.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 200)
        task = tasks.text(tmp_path / "a.txt", context=16)
        how |= {"loss": "cross_entropy"}
        rates = np.logspace(-1.5, 1, 9)

    def of(parametrization):
        return {"resnet": lambda n: ResNet((1, 8, 8), n, 10, blocks=(1,), norm="none", parametrization=parametrization),
                "vit": lambda n: ViT((1, 8, 8), n, 10, blocks=1, mlp_ratio=2, parametrization=parametrization),
                "transformer": lambda n: Transformer(task.vocabulary, 16, n, blocks=1, mlp_ratio=2, parametrization=parametrization),
                }[architecture]

    mup = super_consistency(of("mup"), task, (8, 16, 32, 64), scan=rates, **how)
    ntk = super_consistency(of("ntk"), task, (8, 16, 32, 64), gamma=8**0.5, scan=8 * rates, **how)
    assert mup.spread.spread < ntk.spread.spread
